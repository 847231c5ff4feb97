//! Agents made of agents.

use async_trait::async_trait;
use mcp_core::store::runs::{RunId, RunQuery, RunState};
use mcp_core::team::{Graph, GraphError, GroupChat, Parallel, Repeat, Router, Sequence};
use mcp_core::{Agent, AgentContext, AgentError, AgentSpec, ServerBuilder, Step, Transcript};
use serde_json::{Value, json};

use crate::run_house::{House, Replica, caller, json_of};

/// Gives its input with its name behind it; one called `bad` fails, and one called `slow` never ends.
struct Member(AgentSpec);

#[async_trait]
impl Agent for Member {
    fn spec(&self) -> &AgentSpec {
        &self.0
    }

    async fn step(&self, so_far: &Transcript, _: AgentContext) -> Result<Step, AgentError> {
        match self.0.name() {
            "bad" => Err(AgentError::failed("it is bad")),
            "slow" => std::future::pending().await,
            name => Step::done(format!("{}>{name}", so_far.input_text())),
        }
    }
}

fn members(builder: ServerBuilder) -> ServerBuilder {
    ["a", "b", "c", "d", "bad", "slow"]
        .into_iter()
        .fold(builder, |builder, name| builder.agent(Member(AgentSpec::new(name, "Is a member."))))
}

fn hired(house: &House, team: impl Agent) -> Replica {
    house.replica(|builder| members(builder).agent(team))
}

async fn start(replica: &Replica) -> RunId {
    replica.server.agent_runs().start(&caller(), "team", &"x", None, None).await.unwrap()
}

/// What comes of a run of the team.
async fn run(team: impl Agent) -> (RunState, Value) {
    let house = House::new();
    let replica = hired(&house, team);
    let id = start(&replica).await;
    let ended = house.until_ended(id).await;
    let told = json_of(&ended);
    (ended.state, if ended.state == RunState::Completed { told["output"].clone() } else { told["error"].clone() })
}

#[tokio::test]
async fn a_sequence_passes_on_what_each_gave() {
    let team = Sequence::new("team", "", ["a", "b", "c"]);
    assert_eq!(run(team).await, (RunState::Completed, json!("x>a>b>c")));
    let told = (RunState::Failed, json!("bad failed: it is bad"));
    assert_eq!(run(Sequence::new("team", "", ["a", "bad", "c"])).await, told);
    assert_eq!(run(Sequence::new("team", "", [""; 0])).await, (RunState::Completed, json!("x")));
}

#[tokio::test]
async fn side_by_side_all_give_or_one_ends_it_or_the_first_is_enough() {
    let team = |members: [&str; 3]| Parallel::new("team", "", members);
    let all = json!({"a": "x>a", "b": "x>b", "c": "x>c"});
    assert_eq!(run(team(["a", "b", "c"])).await, (RunState::Completed, all));
    let ended = "it was ended: enough has come of the others";
    let told = format!("slow failed: {ended}; bad failed: it is bad");
    assert_eq!(run(team(["a", "slow", "bad"])).await, (RunState::Failed, json!(told)));
    let told = json!({"a": "x>a", "b": "x>b", "bad": {"error": "it is bad"}});
    assert_eq!(run(team(["a", "bad", "b"]).collect()).await, (RunState::Completed, told));
    assert_eq!(run(team(["bad", "slow", "b"]).first()).await, (RunState::Completed, json!("x>b")));
    let told = "bad failed: it is bad; bad failed: it is bad";
    assert_eq!(run(Parallel::new("team", "", ["bad", "bad"]).first()).await, (RunState::Failed, json!(told)));
}

/// Those that are not needed any more do not go on.
#[tokio::test]
async fn who_is_not_needed_is_ended() {
    let house = House::new();
    let replica = hired(&house, Parallel::new("team", "", ["slow", "a"]).first());
    let id = start(&replica).await;
    house.until(id, RunState::Completed).await;
    let runs = replica.server.runs().list(&caller(), RunQuery::default()).await.unwrap();
    let slow = runs.iter().find(|run| run.parent == Some(id) && !run.state.is_end());
    if let Some(slow) = slow {
        house.until(slow.id, RunState::Cancelled).await;
    }
}

#[tokio::test]
async fn a_router_chooses_one() {
    let team = Router::new("team", "", |so_far| Ok(if so_far.input_text() == "x" { "b" } else { "a" }.to_owned()));
    assert_eq!(run(team).await, (RunState::Completed, json!("x>b")));
}

#[tokio::test]
async fn something_is_done_again_until_it_is_good() {
    let team = |most| Repeat::until("team", "", "a", most, |output| output.get().matches('>').count() == 3);
    assert_eq!(run(team(5)).await, (RunState::Completed, json!("x>a>a>a")));
    assert_eq!(run(team(2)).await, (RunState::Failed, json!("a gave nothing good in 2 times")));
}

#[tokio::test]
async fn members_talk_as_long_as_one_is_chosen() {
    let team = GroupChat::new("team", "", 10, |said| ["a", "b", "a"].get(said.len()).map(|next| (*next).to_owned()));
    let (state, said) = run(team).await;
    let speakers: Vec<_> = said.as_array().unwrap().iter().map(|remark| remark["speaker"].clone()).collect();
    assert_eq!((state, speakers), (RunState::Completed, vec![json!("a"), json!("b"), json!("a")]));
    let last = said[2]["said"].as_str().unwrap();
    assert!(last.contains("\"about\":\"x\"") && last.matches("\"speaker\":").count() == 2, "{last}");
    let team = GroupChat::new("team", "", 2, |_| Some("a".to_owned()));
    assert_eq!(run(team).await.1.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_graph_goes_along_its_edges_and_joins_what_belongs_together() {
    let graph = Graph::builder("team", "")
        .start("a")
        .edge("a", "b")
        .edge("a", "c")
        .join(["b", "c"], "d")
        .edge_if("d", "a", |_| false)
        .build()
        .unwrap();
    assert_eq!(run(graph).await, (RunState::Completed, json!(r#"{"b":"x>a>b","c":"x>a>c"}>d"#)));
    let graph = Graph::builder("team", "")
        .start("a")
        .edge_if("a", "b", |output| output.get().len() < 12)
        .edge("b", "a")
        .build()
        .unwrap();
    assert_eq!(run(graph).await, (RunState::Completed, json!("x>a>b>a>b>a")));
    let graph = Graph::builder("team", "").start("a").edge("a", "b").edge("a", "c").build().unwrap();
    assert_eq!(run(graph).await, (RunState::Completed, json!({"b": "x>a>b", "c": "x>a>c"})));
}

#[test]
fn a_graph_that_does_not_hang_together_is_none() {
    let refused = |builder: mcp_core::team::GraphBuilder| builder.build().err().unwrap();
    let none = refused(Graph::builder("g", "").edge("a", "b"));
    assert_eq!(none, GraphError::NoStart("g".to_owned()));
    let lost = refused(Graph::builder("g", "").start("a").edge("b", "c").join(["a", "b"], "d"));
    assert_eq!(lost.to_string(), "in the graph \"g\" no edge leads from its start to b, c, d");
    let empty = refused(Graph::builder("g", "").start("a").join([""; 0], "d"));
    assert_eq!(empty.to_string(), "in the graph \"g\" the join to \"d\" is of no members");
}

/// A team is an agent, and so it may be a member.
#[tokio::test]
async fn teams_nest() {
    let house = House::new();
    let replica = house.replica(|builder| {
        members(builder).agent(Sequence::new("team", "", ["a", "inner"])).agent(Parallel::new("inner", "", ["b", "c"]))
    });
    let id = start(&replica).await;
    let run = house.until(id, RunState::Completed).await;
    assert_eq!(json_of(&run)["output"], json!({"b": "x>a>b", "c": "x>a>c"}));
}

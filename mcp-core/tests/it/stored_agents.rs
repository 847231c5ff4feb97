//! Agents that are written down while servers serve, on stores in memory that several share.

use std::sync::Arc;
use std::time::Duration;

use mcp_core::agent::AgentRefusal;
use mcp_core::caller::Caller;
use mcp_core::definition::{AgentDefinition, DefinitionError, Models};
use mcp_core::model::scripted::{ScriptedModel, Turn};
use mcp_core::store::history::CallQuery;
use mcp_core::store::runs::RunState;
use mcp_core::{Agent, AgentContext, AgentError, AgentSpec, Step, Transcript};
use serde_json::json;

use crate::run_house::{House, Replica, caller, json_of};
use crate::support::{settle, until};

/// A model that says what it was told first.
fn models() -> Models {
    let model = ScriptedModel::by(|request| {
        let instructions = request.messages.first().map(|message| message.text()).unwrap_or_default();
        Turn::new().text(instructions)
    });
    Models::from([("fast".to_owned(), Arc::new(model) as _)])
}

async fn replica(house: &House) -> Replica {
    let replica =
        house.replica(|builder| builder.stored_agents(models()).agent(Built(AgentSpec::new("built", "Is built in."))));
    replica.server.follow_agents().await.unwrap();
    replica
}

struct Built(AgentSpec);

#[async_trait::async_trait]
impl Agent for Built {
    fn spec(&self) -> &AgentSpec {
        &self.0
    }

    async fn step(&self, _: &Transcript, _: AgentContext) -> Result<Step, AgentError> {
        Step::done("built")
    }
}

fn operator() -> Caller {
    Caller::new("tenant", "olga").with_role(Caller::OPERATOR)
}

fn saying(text: &str) -> AgentDefinition {
    serde_json::from_value(json!({"description": "Says it.", "model": "fast", "instructions": text})).unwrap()
}

impl Replica {
    async fn define(&self, name: &str, definition: &AgentDefinition) -> Result<u32, DefinitionError> {
        self.server.definitions().define(&operator(), name, definition).await
    }

    /// What an agent says on this replica.
    async fn said(&self, house: &House, name: &str) -> String {
        let id = self.server.agent_runs().start(&caller(), name, &"Well?", None, None).await.unwrap();
        let run = house.until(id, RunState::Completed).await;
        json_of(&run)["output"].as_str().unwrap().to_owned()
    }

    fn has(&self, name: &str) -> bool {
        self.server.agents().find(name).is_some()
    }
}

#[tokio::test]
async fn what_is_written_down_on_one_replica_runs_on_each_and_after_a_restart() {
    let house = House::new();
    let (one, other) = (replica(&house).await, replica(&house).await);
    assert!(!one.has("echo"));
    assert_eq!(one.define("echo", &saying("first")).await.unwrap(), 1);
    until("the other has it", || other.has("echo")).await;
    assert_eq!(other.said(&house, "echo").await, "first");
    assert!(other.server.tools().find("agent.echo").is_some(), "it is a tool as all agents are");

    assert_eq!(other.define("echo", &saying("second")).await.unwrap(), 2);
    for _ in 0..100 {
        settle().await;
    }
    assert_eq!(one.said(&house, "echo").await, "second");
    assert_eq!(replica(&house).await.said(&house, "echo").await, "second");
}

#[tokio::test]
async fn an_earlier_definition_is_in_force_again_and_what_is_off_is_not_there() {
    let house = House::new();
    let one = replica(&house).await;
    let desk = one.server.definitions();
    for text in ["first", "second"] {
        one.define("echo", &saying(text)).await.unwrap();
    }
    desk.roll_back(&operator(), "echo", 1).await.unwrap();
    assert_eq!(one.said(&house, "echo").await, "first");
    assert_eq!(one.define("echo", &saying("third")).await.unwrap(), 3, "no version is there twice");

    desk.switch(&operator(), "echo", false).await.unwrap();
    assert!(!one.has("echo"));
    let refused = one.server.agent_runs().start(&caller(), "echo", &1, None, None).await.unwrap_err();
    assert!(matches!(refused, AgentRefusal::Unknown(_)), "{refused}");
    assert_eq!(one.define("echo", &saying("fourth")).await.unwrap(), 4);
    assert!(!one.has("echo"), "it stays off");
    desk.switch(&operator(), "echo", true).await.unwrap();
    assert_eq!(one.said(&house, "echo").await, "fourth");

    let shown = desk.show(&operator(), "echo", Some(1)).await.unwrap();
    assert_eq!((shown.version, shown.current, shown.latest, shown.on), (1, 4, 4, true));
    assert_eq!((shown.definition, &*shown.by), (saying("first"), "olga"));
    let listed = desk.list(&operator()).await.unwrap();
    assert_eq!(listed.iter().map(|agent| (&*agent.name, agent.version)).collect::<Vec<_>>(), [("echo", 4)]);

    desk.remove(&operator(), "echo").await.unwrap();
    assert!(!one.has("echo") && desk.list(&operator()).await.unwrap().is_empty());
    assert!(matches!(desk.show(&operator(), "echo", None).await, Err(DefinitionError::Missing(_))));
    assert_eq!(one.define("echo", &saying("again")).await.unwrap(), 1);
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_changes_nothing() {
    let house = House::new();
    let one = replica(&house).await;
    let desk = one.server.definitions();
    let unfit: AgentDefinition = serde_json::from_value(json!({"model": "slow"})).unwrap();
    for (name, definition, said) in [
        ("x", &unfit, r#"agents.x: `model` names "slow"; there are fast"#),
        ("a/b", &saying("x"), r#"the agent "a/b" cannot be offered: a name has 1 to 64 characters"#),
        ("built", &saying("x"), r#"the agent "built" is part of the server; take another name"#),
    ] {
        let error = one.define(name, definition).await.unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
    let error = desk.define(&caller(), "x", &saying("x")).await.unwrap_err();
    assert!(matches!(error, DefinitionError::Forbidden), "{error}");
    assert!(matches!(desk.list(&caller()).await, Err(DefinitionError::Forbidden)));
    assert!(matches!(desk.roll_back(&operator(), "x", 1).await, Err(DefinitionError::Missing(_))));
    assert!(matches!(desk.switch(&operator(), "x", true).await, Err(DefinitionError::Missing(_))));
    assert!(desk.list(&operator()).await.unwrap().is_empty());
    let none = house.replica(|builder| builder);
    assert!(matches!(none.server.definitions().list(&operator()).await, Err(DefinitionError::NotKept)));
}

#[tokio::test]
async fn of_two_who_write_at_once_each_has_a_version_of_its_own() {
    let house = House::new();
    let (one, other) = (replica(&house).await, replica(&house).await);
    let texts: Vec<_> = (0..6).map(|n| saying(&format!("text {n}"))).collect();
    let each = texts
        .iter()
        .enumerate()
        .map(|(n, text)| if n % 2 == 0 { one.define("echo", text) } else { other.define("echo", text) });
    let versions = futures_util::future::join_all(each).await;
    let mut numbers: Vec<_> = versions.iter().map(|version| *version.as_ref().unwrap()).collect();
    let desk = one.server.definitions();
    for (text, number) in texts.iter().zip(&numbers) {
        assert_eq!(desk.show(&operator(), "echo", Some(*number)).await.unwrap().definition, *text);
    }
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 6);
}

#[tokio::test]
async fn who_has_changed_an_agent_is_recorded() {
    let house = House::new();
    let one = replica(&house).await;
    one.define("echo", &saying("first")).await.unwrap();
    one.server.definitions().switch(&operator(), "echo", false).await.unwrap();
    let acts = house.stores.history.calls(operator().tenant(), &CallQuery::default()).await.unwrap();
    let acts: Vec<_> = acts.iter().rev().map(|act| (&*act.tool, act.principal.to_string())).collect();
    assert_eq!(acts.len(), 2, "{acts:?}");
    assert!(acts[0].0.contains("define_agent") && acts[1].0.contains("switch_agent"), "{acts:?}");
    assert!(acts.iter().all(|(_, by)| by == "olga"));
    house.clock.advance(Duration::from_secs(1));
}

fn defined(json: serde_json::Value) -> AgentDefinition {
    serde_json::from_value(json).unwrap()
}

/// Nobody knows what is written down next, so it is taken, and told.
#[tokio::test]
async fn what_names_others_that_are_not_there_is_warned_of_until_they_are() {
    let house = House::new();
    let replica = replica(&house).await;
    let desk = replica.server.definitions();
    let warnings = async |name: &str| desk.show(&operator(), name, None).await.unwrap().warnings;
    let team = defined(json!({"team": {"sequence": ["built", "writer", "writer"]}}));
    replica.define("report", &team).await.unwrap();
    let none = "`team` names the agent \"writer\", and there is none; define it, or leave it out";
    assert_eq!(warnings("report").await, [none]);
    let model = json!({"model": "fast", "tools": ["notes.*", "agent.bilt", "serch"], "hands_off_to": ["reprot"]});
    replica.define("writer", &defined(model)).await.unwrap();
    assert_eq!(
        warnings("writer").await,
        [
            "`hands_off_to` names the agent \"reprot\", and there is none; did you mean \"report\"?",
            "`tools` names the agent \"bilt\", and there is none; did you mean \"built\"?",
            "`tools` names the tool \"serch\", and there is none; define it, or leave it out",
        ]
    );
    assert!(warnings("report").await.is_empty(), "it is there now");
    desk.switch(&operator(), "writer", false).await.unwrap();
    assert!(warnings("report").await.is_empty(), "what is off may be on again");
    let listed = desk.list(&operator()).await.unwrap();
    assert_eq!(listed.iter().map(|agent| agent.warnings.len()).collect::<Vec<_>>(), [0, 3]);
}

/// What is there when a server is built is all that its own definitions may name.
#[tokio::test]
async fn a_server_is_not_built_with_a_definition_that_names_what_is_not_there() {
    let build = |definition: serde_json::Value| {
        let agent = defined(definition).build("clerk", &models()).unwrap();
        let built = AgentSpec::new("built", "Is built in.");
        let tool = mcp_core::tool_fn("search", "Searches.", async || Ok::<_, mcp_core::ToolError>("found"));
        let builder = mcp_core::Server::builder("house", "1").agent(agent).agent(Built(built)).tool(tool);
        builder.stored_agents(models()).build().map(drop).map_err(|error| error.to_string())
    };
    for (definition, said) in [
        (
            json!({"team": {"first": ["built", "bilt"]}}),
            "`team` names the agent \"bilt\", and there is none; did you mean \"built\"?",
        ),
        (
            json!({"team": {"router": {"by": "", "to": {}, "otherwise": "x1"}}}),
            "`team` names the agent \"x1\", and there is none; define it",
        ),
        (json!({"team": {"repeat": {"member": "x2", "until": {"is": 1}, "most": 2}}}), "`team` names the agent \"x2\""),
        (json!({"team": {"group_chat": {"members": ["x3"], "rounds": 2}}}), "`team` names the agent \"x3\""),
        (
            json!({"team": {"graph": {"start": "built", "edges": [{"from": "built", "to": "x4"}]}}}),
            "`team` names the agent \"x4\"",
        ),
        (json!({"model": "fast", "hands_off_to": ["x5"]}), "`hands_off_to` names the agent \"x5\""),
        (
            json!({"model": "fast", "tools": ["serch"]}),
            "`tools` names the tool \"serch\", and there is none; did you mean \"search\"?",
        ),
        (json!({"model": "fast", "tools": ["agent.x6"]}), "`tools` names the agent \"x6\""),
    ] {
        let error = build(definition).unwrap_err();
        assert!(error.contains("\"clerk\"") && error.contains(said), "{error}");
    }
    let all = json!({"model": "fast", "tools": ["search", "later.*", "agent.clerk"], "hands_off_to": ["built"]});
    assert_eq!(build(all), Ok(()));
}

//! Members along the edges of a graph.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::value::{RawValue, to_raw_value};

use super::given;
use crate::agent::{Agent, AgentContext, AgentError, AgentSpec, Delegation, Performed, Step, Transcript, Turn, Until};

/// Members along the edges of a graph. It goes on in rounds: in each, the members to whom the edges of the round before lead do their parts
/// side by side. A member of which a join is made waits until all of those have done theirs. Where no edge leads on, the run ends: its output is
/// what the last round gave; of several members, an object by their names. One that fails ends the run.
///
/// Edges may lead back; the budget of the run bounds how often.
///
/// ```
/// # use mcp_core::team::Graph;
/// # use mcp_core::run::WorkersConfig;
/// # use mcp_core::model::scripted::ScriptedModel;
/// # use mcp_core::agent::ModelAgent;
/// # use mcp_core::{Server, TestClient};
/// # use serde_json::json;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let article = Graph::builder("article", "Writes an article.")
///     .start("plan")
///     .edge("plan", "facts")
///     .edge("plan", "style")
///     .join(["facts", "style"], "write")
///     .edge("write", "judge")
///     .edge_if("judge", "write", |verdict| verdict.get().contains("again"))
///     .build()?;
/// # let plan = ModelAgent::new("plan", "Plans.", ScriptedModel::new(["A plan."]));
/// # let facts = ModelAgent::new("facts", "Looks up.", ScriptedModel::new(["Facts."]));
/// # let style = ModelAgent::new("style", "Sets the tone.", ScriptedModel::new(["Style."]));
/// # let write = ModelAgent::new("write", "Writes.", ScriptedModel::new(["A text.", "A better text."]));
/// # let judge = ModelAgent::new("judge", "Judges.", ScriptedModel::new(["Write it again.", "It is good."]));
///
/// let server = Server::builder("office", "1.0.0").agent(article).agent(plan).agent(facts).agent(style).agent(write).agent(judge).build()?;
/// server.start_workers(WorkersConfig::default());
/// let answer = TestClient::new(server).call("agent.article", json!({"input": "harbours"})).await;
/// assert_eq!(answer.first_text(), Some("It is good."));
/// # Ok(())
/// # }
/// ```
pub struct Graph {
    spec: AgentSpec,
    start: String,
    edges: Vec<Edge>,
    joins: Vec<Join>,
}

/// Puts a [`Graph`] together.
#[must_use]
pub struct GraphBuilder(Graph);

/// Why a graph is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// Nothing says where it begins.
    #[error("the graph {0:?} has no start; say with which member it begins")]
    NoStart(String),
    /// No way leads to these members.
    #[error("in the graph {graph:?} no edge leads from its start to {}", members.join(", "))]
    Unreachable {
        /// The graph.
        graph: String,
        /// The members.
        members: Vec<String>,
    },
    /// A join of nothing.
    #[error("in the graph {graph:?} the join to {member:?} is of no members")]
    EmptyJoin {
        /// The graph.
        graph: String,
        /// To whom it leads.
        member: String,
    },
}

type Condition = Arc<dyn Fn(&RawValue) -> bool + Send + Sync>;

struct Edge {
    from: String,
    to: String,
    condition: Option<Condition>,
}

struct Join {
    of: BTreeSet<String>,
    to: String,
}

impl Graph {
    /// Begins with nothing.
    pub fn builder(name: &str, description: impl Into<String>) -> GraphBuilder {
        let spec = AgentSpec::new(name, description);
        GraphBuilder(Self { spec, start: String::new(), edges: Vec::new(), joins: Vec::new() })
    }

    /// To whom the edges lead from what these members gave in one round, each with what it is given.
    fn next(&self, outputs: &BTreeMap<&str, &RawValue>, waiting: &mut Waiting) -> Result<Round, AgentError> {
        let mut next: BTreeMap<String, Vec<(String, Box<RawValue>)>> = BTreeMap::new();
        for edge in &self.edges {
            let Some(output) = outputs.get(&*edge.from) else { continue };
            if edge.condition.as_ref().is_none_or(|condition| condition(output)) {
                next.entry(edge.to.clone()).or_default().push((edge.from.clone(), (*output).to_owned()));
            }
        }
        for (n, join) in self.joins.iter().enumerate() {
            let came = waiting.0.entry(n).or_default();
            came.extend(
                outputs
                    .iter()
                    .filter(|(from, _)| join.of.contains(**from))
                    .map(|(from, output)| ((*from).to_owned(), (*output).to_owned())),
            );
            if came.len() == join.of.len() {
                next.entry(join.to.clone()).or_default().extend(std::mem::take(came));
            }
        }
        next.into_iter().map(|(member, inputs)| Ok((member, merged(inputs)?))).collect()
    }
}

/// Members, and what each is given.
type Round = BTreeMap<String, Box<RawValue>>;

/// What has come of the members of each join, since it was made last.
#[derive(Default)]
struct Waiting(BTreeMap<usize, BTreeMap<String, Box<RawValue>>>);

/// What one member gave as it is; of several, an object by their names.
fn merged(mut inputs: Vec<(String, Box<RawValue>)>) -> Result<Box<RawValue>, AgentError> {
    match (inputs.len(), inputs.pop()) {
        (1, Some((_, only))) => Ok(only),
        (_, last) => Ok(to_raw_value(&inputs.into_iter().chain(last).collect::<BTreeMap<_, _>>())?),
    }
}

impl GraphBuilder {
    /// It begins with this member, which is given the input.
    pub fn start(mut self, member: impl Into<String>) -> Self {
        self.0.start = member.into();
        self
    }

    /// From one member to another, which is given what the first gave.
    pub fn edge(mut self, from: impl Into<String>, to: impl Into<String>) -> Self {
        self.0.edges.push(Edge { from: from.into(), to: to.into(), condition: None });
        self
    }

    /// The same, where this function says so of what the first gave.
    pub fn edge_if(
        mut self,
        from: impl Into<String>,
        to: impl Into<String>,
        condition: impl Fn(&RawValue) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.0.edges.push(Edge { from: from.into(), to: to.into(), condition: Some(Arc::new(condition)) });
        self
    }

    /// From several members to one, once all of them have done their parts, in whichever rounds; it is given what each gave, by their
    /// names.
    pub fn join(mut self, of: impl IntoIterator<Item = impl Into<String>>, to: impl Into<String>) -> Self {
        self.0.joins.push(Join { of: of.into_iter().map(Into::into).collect(), to: to.into() });
        self
    }

    /// The graph.
    ///
    /// # Errors
    /// [`GraphError`]: it does not hang together.
    pub fn build(self) -> Result<Graph, GraphError> {
        let graph = self.0;
        let name = || graph.spec.name().to_owned();
        if graph.start.is_empty() {
            return Err(GraphError::NoStart(name()));
        }
        if let Some(join) = graph.joins.iter().find(|join| join.of.is_empty()) {
            return Err(GraphError::EmptyJoin { graph: name(), member: join.to.clone() });
        }
        let mut reached = BTreeSet::from([graph.start.as_str()]);
        loop {
            let before = reached.len();
            for edge in &graph.edges {
                if reached.contains(&*edge.from) {
                    reached.insert(&edge.to);
                }
            }
            for join in &graph.joins {
                if join.of.iter().all(|member| reached.contains(&**member)) {
                    reached.insert(&join.to);
                }
            }
            if reached.len() == before {
                break;
            }
        }
        let of_edges = graph.edges.iter().flat_map(|edge| [&edge.from, &edge.to]);
        let of_joins = graph.joins.iter().flat_map(|join| join.of.iter().chain([&join.to]));
        let members: BTreeSet<_> = of_edges.chain(of_joins).map(String::as_str).collect();
        let unreachable: Vec<_> = members.difference(&reached).map(|member| (*member).to_owned()).collect();
        if unreachable.is_empty() {
            drop((members, reached));
            Ok(graph)
        } else {
            Err(GraphError::Unreachable { graph: name(), members: unreachable })
        }
    }
}

#[async_trait]
impl Agent for Graph {
    fn spec(&self) -> &AgentSpec {
        &self.spec
    }

    async fn step(&self, so_far: &Transcript, _: AgentContext) -> Result<Step, AgentError> {
        if so_far.turns().is_empty() {
            return Ok(Step::delegate(Delegation::new(&self.start, so_far.input())?));
        }
        let (mut waiting, mut next, mut last) = (Waiting::default(), Round::new(), BTreeMap::new());
        for turn in so_far.turns() {
            last = outputs(turn)?;
            next = self.next(&last, &mut waiting)?;
        }
        if next.is_empty() {
            let last = last.into_iter().map(|(member, output)| (member.to_owned(), output.to_owned())).collect();
            return Step::done(merged(last)?);
        }
        let each = next.into_iter().map(|(member, input)| Delegation::new(member, input));
        Ok(Step::Delegate(each.collect::<Result<_, _>>()?, Until::OneFails))
    }
}

/// What the members of a round gave.
fn outputs(turn: &Turn) -> Result<BTreeMap<&str, &RawValue>, AgentError> {
    let Performed::Delegated(delegations) = turn.performed() else { return Ok(BTreeMap::new()) };
    delegations.iter().map(|(to, delegated)| Ok((to.agent.as_str(), given(to, delegated)?))).collect()
}

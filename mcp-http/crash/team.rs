//! A team of five: agents that decide by what has come of their steps so far, and the tools that they call.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use mcp_core::agent::{Delegation, Inquiry, Performed, Turn, Until};
use mcp_core::{
    Agent, AgentContext, AgentError, AgentSpec, Budget, Context, Question, ServerBuilder, Step, ToolCall, ToolError,
    Transcript, tool_with,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::random;
use super::server::tell;

/// Who leaves all work to the others.
pub const BOSS: &str = "boss";

/// What one of the others does: so many calls of a tool at once, in each of so many turns.
pub struct Part {
    pub name: &'static str,
    tool: &'static str,
    at_once: usize,
    turns: usize,
    /// It asks before it begins, in a turn of its own.
    asks: bool,
    /// After how many steps it has used up what it may use.
    pub steps: Option<u32>,
}

/// The others: the first two are called as tools are, and the work is left to the last two.
pub const PARTS: [Part; 4] = [
    Part { name: "payer", tool: PAY, at_once: 5, turns: 12, asks: false, steps: None },
    Part { name: "counter", tool: COUNT, at_once: 5, turns: 12, asks: false, steps: None },
    Part { name: "asker", tool: PAY_IF, at_once: 3, turns: 11, asks: true, steps: None },
    Part { name: "spender", tool: PAY, at_once: 5, turns: usize::MAX, asks: false, steps: Some(10) },
];

/// What must not happen twice.
const PAY: &str = "settle";
/// The same, once somebody has said that it is to be.
const PAY_IF: &str = "settle_if";
/// What may happen again.
pub const COUNT: &str = "tally";

/// Offers the team and its tools. `all_again` breaks a promise: then whatever they do may be done again.
pub fn furnish(builder: ServerBuilder, witness: SocketAddr, all_again: bool) -> ServerBuilder {
    let pay = tool_with(PAY, "Pays, which must not happen twice.", witness, pay);
    let pay_if = tool_with(PAY_IF, "Asks first, and pays.", witness, pay_if);
    let count = tool_with(COUNT, "Counts, which may happen again.", witness, count).repeatable();
    let builder = match all_again {
        true => builder.tool(pay.repeatable()).tool(pay_if.repeatable()),
        false => builder.tool(pay).tool(pay_if),
    };
    let budget = Budget { steps: Some(200), ..Budget::default() };
    let builder = builder.tool(count).agent(Boss(AgentSpec::new(BOSS, "Leaves all work to others.").budget(budget)));
    PARTS.iter().fold(builder, |builder, part| {
        let budget = Budget { steps: part.steps.or(Budget::default().steps), ..Budget::default() };
        builder.agent(Worker(AgentSpec::new(part.name, "Calls a tool, again and again.").budget(budget), part))
    })
}

#[derive(Deserialize, JsonSchema)]
struct About {
    /// What is paid for, or counted.
    order: String,
}

/// What whoever is asked says.
#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "it is read by the question's schema alone")]
struct Go {
    go: bool,
}

async fn pay(witness: SocketAddr, about: About, cx: Context) -> Result<String, ToolError> {
    act(witness, PAY, &about, &cx).await
}

async fn count(witness: SocketAddr, about: About, cx: Context) -> Result<String, ToolError> {
    act(witness, COUNT, &about, &cx).await
}

async fn pay_if(witness: SocketAddr, about: About, cx: Context) -> Result<String, ToolError> {
    let _: Go = cx.ask("go", Question::form(format!("Is {} to be paid for?", about.order))).await?;
    act(witness, PAY_IF, &about, &cx).await
}

/// Tells the witness that it begins, and under which key, and gives the same receipt as to the witness.
async fn act(witness: SocketAddr, tool: &str, about: &About, cx: &Context) -> Result<String, ToolError> {
    let (order, receipt) = (&about.order, random(1 << 53));
    tell(witness, &format!("{tool} {order} {} {receipt}", cx.key())).await?;
    let slow = if random(20) == 0 { 700 } else { 0 };
    tokio::time::sleep(Duration::from_millis(slow + 20 + random(150) as u64)).await;
    Ok(format!("{order} {receipt}"))
}

struct Boss(AgentSpec);

struct Worker(AgentSpec, &'static Part);

#[async_trait]
impl Agent for Boss {
    fn spec(&self) -> &AgentSpec {
        &self.0
    }

    async fn step(&self, so_far: &Transcript, cx: AgentContext) -> Result<Step, AgentError> {
        goes_on(so_far, &cx)?;
        let [payer, counter, asker, spender] = &PARTS;
        let input = so_far.input();
        match so_far.turns() {
            [] => {
                let called = |part: &Part| ToolCall::new(format!("agent.{}", part.name), json!({"input": input}));
                Ok(Step::Call(vec![called(payer)?, called(counter)?]))
            }
            [_] => {
                let each = [asker, spender].map(|part| Delegation::new(part.name, input));
                Ok(Step::Delegate(each.into_iter().collect::<Result<_, _>>()?, Until::All))
            }
            turns => {
                let said = turns.iter().flat_map(said);
                Step::done(PARTS.iter().map(|part| part.name).zip(said).collect::<BTreeMap<_, _>>())
            }
        }
    }
}

#[async_trait]
impl Agent for Worker {
    fn spec(&self) -> &AgentSpec {
        &self.0
    }

    async fn step(&self, so_far: &Transcript, cx: AgentContext) -> Result<Step, AgentError> {
        goes_on(so_far, &cx)?;
        let Self(_, part) = self;
        match so_far.turns().len() {
            0 if part.asks => Ok(Step::Ask(Inquiry::form::<Go>("Is it to be begun?")?)),
            turn if turn == part.turns => Step::done(so_far.turns().iter().map(said).collect::<Vec<_>>()),
            turn => {
                let order = |i| json!({"order": format!("{}/turn.{turn}/{i}", cx.run())});
                let calls = (0..part.at_once).map(|i| ToolCall::new(part.tool, order(i)));
                Ok(Step::Call(calls.collect::<Result<_, _>>()?))
            }
        }
    }
}

/// What came of a turn, in words.
fn said(turn: &Turn) -> Vec<String> {
    match turn.performed() {
        Performed::Called(calls) => {
            calls.iter().map(|(_, output)| output.first_text().unwrap_or_default().to_owned()).collect()
        }
        Performed::Delegated(delegations) => delegations.iter().map(|(_, delegated)| delegated.text()).collect(),
        Performed::Asked(_, answer) => vec![answer["action"].as_str().unwrap_or_default().to_owned()],
        _ => Vec::new(),
    }
}

/// Fails where what has come of the run so far is something else than it was when the last step was decided, by whichever server; and keeps
/// what it is now.
fn goes_on(so_far: &Transcript, cx: &AgentContext) -> Result<(), AgentError> {
    if let [before @ .., last] = so_far.turns()
        && last.kept::<u64>()? != Some(print(before))
    {
        return Err(AgentError::failed("what has come of the run so far is not what it was"));
    }
    cx.keep(&print(so_far.turns()))
}

/// The same for the same turns, in whichever process.
fn print(turns: &[Turn]) -> u64 {
    let mut hasher = DefaultHasher::new();
    format!("{turns:?}").hash(&mut hasher);
    hasher.finish()
}

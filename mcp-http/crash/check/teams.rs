//! Teams: each run ends as it should, what it gives is what is recorded, what is recorded was done, and nothing else was.

use std::collections::{BTreeMap, HashSet};
use std::error::Error;

use serde_json::Value;

use super::Broken;
use super::runs::{Run, check_journals, runs};
use crate::agents::Told;
use crate::say;
use crate::tables::Tables;
use crate::team::{BOSS, COUNT, PARTS};
use crate::witness::Witness;

/// The kind of the runs.
const AGENT: &str = "agent";
/// What an agent is told of a call that was made, as somebody has said.
const DONE: &str = "The call was done; what it said is not known.";

/// What the witness has seen of an order: the key under which it was begun, and the receipt.
type Effects = BTreeMap<String, Vec<Effect>>;

struct Effect {
    tool: String,
    key: String,
    receipt: String,
}

/// Says what of the teams is broken.
pub(super) fn check(
    tables: &Tables,
    told: &Told,
    witness: &Witness,
    broken: &mut Broken,
) -> Result<(), Box<dyn Error>> {
    // What is recorded was seen before.
    let (runs, effects) = (runs(tables, AGENT)?, effects(witness));
    broken.all("a team was begun, and is not there", told.runs.iter().filter(|id| !runs.contains_key(*id)));
    check_journals(&runs, broken);
    check_effects(&effects, told, broken);
    let mut all = |what: &str, is_so: &dyn Fn(&str, &Run) -> bool| {
        broken.all(what, runs.iter().filter(|(id, run)| is_so(id, run)).map(|(id, _)| id));
    };
    all("a run has ended otherwise than it should", &|_, run| {
        let part = PARTS.iter().find(|part| part.name == run.agent());
        let ends = match part.and_then(|part| part.steps) {
            Some(_) => run.result()["limit"] == "steps",
            None => run.state == "completed",
        };
        run.has_ended() && !ends
    });
    all("something was done, and nobody had decided on it", &|_, run| {
        let mut decided = HashSet::new();
        run.steps.iter().any(|step| match step.key.split_once('/') {
            None => {
                decided.insert(step.key.as_str());
                false
            }
            Some((turn, _)) => step.kind != "noted" && !decided.contains(turn),
        })
    });
    all("something else is recorded than what was done", &|id, run| {
        let mut recorded = run.outputs().map(|(key, said)| (format!("{id}/{}", place(key)), said));
        recorded.any(|(order, said)| !effects.get(&order).is_some_and(|effects| said_so(effects, &order, &said)))
    });
    all("a run says something else than what is recorded", &|id, run| {
        let outputs: BTreeMap<_, _> = run.outputs().map(|(key, said)| (place(key), said)).collect();
        let said_done = |place: &str| {
            let said = told.outcomes.get(&format!("{id}/{place}"));
            said.is_some_and(|said| said.last() == Some(&"done"))
        };
        let is_recorded = |turn: usize, i: usize, said: &Value| {
            let place = format!("turn.{turn}/{i}");
            match outputs.get(&*place) {
                Some(recorded) => said == recorded,
                None => said == "accept" || said == DONE && said_done(&place),
            }
        };
        let turns = run.result()["output"].as_array().cloned().unwrap_or_default();
        turns.iter().enumerate().any(|(turn, said)| {
            said.as_array().is_none_or(|said| !said.iter().enumerate().all(|(i, said)| is_recorded(turn, i, said)))
        })
    });
    all("something else was told to whoever had left it to another one", &|_, run| {
        let parent = run.parent.as_ref().and_then(|parent| runs.get(parent));
        let told = parent.and_then(|parent| parent.result()["output"][run.agent()].as_str().map(str::to_owned));
        let (result, is_told) = (run.result(), run.agent() != BOSS);
        let said = if run.state == "completed" { result["output"].to_string() } else { text(&result["error"]) };
        is_told && told != Some(said)
    });
    all("a run has used something else than what it and those to whom it left something did", &|id, run| {
        let others = || runs.values().filter(|other| other.parent.as_deref() == Some(id));
        let spent = |what: &str| others().map(|other| other.spent(what)).sum::<u64>();
        let (steps, calls) = run.decided();
        run.has_ended()
            && (run.spent("steps") != steps + spent("steps") || run.spent("calls") != calls + spent("calls"))
    });
    all("a run has used more than it may", &|_, run| {
        let budget = &run.arguments()["budget"];
        ["steps", "calls"].iter().any(|what| budget[what].as_u64().is_none_or(|most| run.spent(what) > most))
    });
    say(&format!(
        "{} runs, {} claims, {} calls decided, {} begun, {} of them again; {} times nobody knew what was done",
        runs.len(),
        runs.values().map(|run| run.epoch).sum::<i64>(),
        runs.values().map(|run| run.decided().1).sum::<u64>(),
        effects.values().map(Vec::len).sum::<usize>(),
        effects.values().filter(|begun| begun.len() > 1).count(),
        told.outcomes.values().map(Vec::len).sum::<usize>(),
    ));
    Ok(())
}

/// Says what was begun that should not have been.
fn check_effects(effects: &Effects, told: &Told, broken: &mut Broken) {
    let mut all = |what: &str, is_so: &dyn Fn(&str, &[Effect]) -> bool| {
        broken.all(what, effects.iter().filter(|(order, begun)| is_so(order, begun)).map(|(order, _)| order));
    };
    let keys = |begun: &[Effect]| begun.iter().map(|effect| effect.key.clone()).collect::<HashSet<_>>().len();
    all("what is not repeatable was begun twice, and nobody had said that it was to be", &|order, begun| {
        let said = told.outcomes.get(order).into_iter().flatten();
        let times = 1 + said.filter(|said| **said == "repeat").count();
        begun[0].tool != COUNT && (keys(begun) < begun.len() || begun.len() > times)
    });
    all("what was begun again had another key", &|_, begun| begun[0].tool == COUNT && keys(begun) > 1);
}

/// All that was begun, by the orders.
fn effects(witness: &Witness) -> Effects {
    let mut effects = Effects::new();
    for line in witness.seen().keys() {
        if let [tool, order, key, receipt] = line.split(' ').collect::<Vec<_>>()[..] {
            let effect = Effect { tool: tool.to_owned(), key: key.to_owned(), receipt: receipt.to_owned() };
            effects.entry(order.to_owned()).or_default().push(effect);
        }
    }
    effects
}

fn said_so(effects: &[Effect], order: &str, said: &str) -> bool {
    effects.iter().any(|effect| said == format!("{order} {}", effect.receipt))
}

/// Of which call of which turn a key is, in whichever round, and however often somebody has said that it was to be made again.
fn place(key: &str) -> &str {
    let turn = key.find('/').map_or(0, |at| at + 1);
    key[turn..].find('.').map_or(key, |at| &key[..turn + at])
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

impl Run {
    fn result(&self) -> Value {
        serde_json::from_str(&self.result).unwrap_or_default()
    }

    fn arguments(&self) -> Value {
        serde_json::from_str(&self.arguments).unwrap_or_default()
    }

    fn agent(&self) -> String {
        text(&self.arguments()["agent"])
    }

    fn spent(&self, what: &str) -> u64 {
        self.result()["spent"][what].as_u64().unwrap_or_default()
    }

    /// How many steps were decided, and how many calls in them.
    fn decided(&self) -> (u64, u64) {
        let turns = self.of("noted").filter(|step| step.key.starts_with("turn.") && !step.key.contains('/'));
        turns.fold((0, 0), |(steps, calls), step| {
            let decision: Value = serde_json::from_str(&step.body).unwrap_or_default();
            (steps + 1, calls + decision["step"]["call"].as_array().map_or(0, |calls| calls.len() as u64))
        })
    }

    /// What calls gave, with their keys; one that asked gave nothing.
    fn outputs(&self) -> impl Iterator<Item = (&str, String)> {
        self.of("done").filter_map(|step| {
            let body: Value = serde_json::from_str(&step.body).unwrap_or_default();
            let is_asked = body["asked"].is_object();
            (!is_asked).then(|| (step.key.as_str(), text(&body["output"]["content"][0]["text"])))
        })
    }
}

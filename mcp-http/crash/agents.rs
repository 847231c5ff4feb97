//! A team at work while servers are killed and stopped: one run of it in each round, with somebody who answers what it asks.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sea_orm::prelude::Uuid;
use serde_json::{Value, json};

use super::clients::{Client, until};
use super::house::House;
use super::options::Options;
use super::tables::Tables;
use super::team::BOSS;
use super::witness::Witness;
use super::{check, random, say};

/// How often something befalls a server in a round, at the most.
const STRIKES: usize = 3;

/// What was begun, and what was answered.
#[derive(Default)]
pub struct Told {
    /// The runs of the team, by their ids.
    pub runs: Vec<String>,
    /// What was said of calls of which nobody knew whether they were made, by their orders.
    pub outcomes: BTreeMap<String, Vec<&'static str>>,
    questions: usize,
}

/// Who starts runs and answers them.
struct Desk {
    client: Client,
    witness: Witness,
    told: Mutex<Told>,
}

/// Whether all promises were kept.
pub fn crash(options: &Options) -> Result<bool, Box<dyn Error>> {
    let witness = Witness::start()?;
    let mut house = House::build(options, witness.address())?;
    let database = house.database();
    let client = Client::of(house.servers());
    let desk = Arc::new(Desk { client, witness, told: Mutex::default() });
    let (answering, tables) = (desk.clone(), Tables::open(&database)?);
    // It ends with the process.
    std::thread::spawn(move || answering.answer_for_ever(&tables));
    for round in 1..=options.rounds {
        let begun = Instant::now();
        desk.begin();
        let mut struck = Vec::new();
        for _ in 0..STRIKES {
            std::thread::sleep(Duration::from_millis(200 + random(1_200) as u64));
            if check::have_all_ended(&database)? {
                break;
            }
            struck.push(house.strike()?);
        }
        let are_over = check::all_runs_end(&database)?;
        let told = desk.told();
        say(&format!(
            "round {round}: {}; {} questions answered until now; over in {:.1?}",
            struck.join(", "),
            told.questions,
            begun.elapsed(),
        ));
        if !(check::team(&database, &told, &desk.witness)? && are_over) {
            return Ok(false);
        }
    }
    Ok(house.verifies()?)
}

impl Desk {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a run of the team, again and again until that is acknowledged.
    fn begin(&self) {
        let id = Uuid::from_u64_pair(random(usize::MAX) as u64, random(usize::MAX) as u64).to_string();
        let body = json!({"id": id, "input": "work", "budget": {"steps": 200, "calls": 400}}).to_string();
        let path = format!("api/v1/agents/{BOSS}/runs");
        until("the team begins", || self.client.ask(&path, &[], None, &body).is_some_and(|(status, _)| status == 200));
        self.told().runs.push(id);
    }

    /// Answers all that is asked.
    fn answer_for_ever(&self, tables: &Tables) {
        let body = tables.text("s.body");
        let sql = format!(
            "SELECT r.id, s.key, {body} AS body FROM mcp_runs AS r JOIN mcp_steps AS s ON s.tenant = r.tenant AND s.run = r.id \
             WHERE r.ended IS NULL AND s.kind = 'noted' AND s.key LIKE 'question %'"
        );
        let mut answered = BTreeSet::new();
        loop {
            // A database that is busy is asked again.
            for row in tables.rows(&sql).unwrap_or_default() {
                let read = || {
                    let (id, key) = (row.try_get::<Uuid>("", "id").ok()?, row.try_get::<String>("", "key").ok()?);
                    Some((id.to_string(), key, row.try_get::<String>("", "body").ok()?))
                };
                if let Some((run, key, body)) = read()
                    && answered.insert((run.clone(), key.clone()))
                {
                    self.answer(&run, key.trim_start_matches("question "), &body);
                }
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn answer(&self, run: &str, name: &str, question: &str) {
        let number = number_of(&(run, name));
        let content = match name.ends_with("/outcome") {
            true => json!({"outcome": self.outcome(question, number)}),
            false => json!({"go": true}),
        };
        self.told().questions += 1;
        // Under the same id it is told once, however often it is sent.
        let id = Uuid::from_u64_pair(number, number);
        let body =
            json!({"answers": {name: {"action": "accept", "content": content}}, "id": id.to_string()}).to_string();
        let path = format!("api/v1/runs/{run}/answers");
        until("an answer is taken", || {
            self.client.ask(&path, &[], None, &body).is_some_and(|(status, _)| [200, 409].contains(&status))
        });
    }

    /// What is said of a call of which nobody knows whether it was made: what the witness has not seen is to be made; what it has seen was done,
    /// and at times is to be done again.
    fn outcome(&self, question: &str, number: u64) -> &'static str {
        let question: Value = serde_json::from_str(question).unwrap_or_default();
        let message = question["params"]["message"].as_str().unwrap_or_default();
        let arguments = message.split_once("Its arguments: ").map_or("", |(_, arguments)| arguments);
        let arguments: Value = serde_json::from_str(arguments).unwrap_or_default();
        let order = arguments["order"].as_str().unwrap_or_default();
        let begun = self.witness.seen().keys().any(|line| line.split(' ').nth(1) == Some(order));
        let outcome = if begun && !number.is_multiple_of(3) { "done" } else { "repeat" };
        self.told().outcomes.entry(order.to_owned()).or_default().push(outcome);
        outcome
    }
}

fn number_of(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

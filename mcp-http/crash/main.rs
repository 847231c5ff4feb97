//! Servers that are killed and stopped in the middle of what they do, under load, and a check afterwards of what they had promised:
//! `scripts/crash` says how to run it.

mod agents;
mod check;
mod clients;
mod house;
mod options;
mod server;
mod tables;
mod team;
mod witness;

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clients::Clients;
use house::House;
use options::Options;
use witness::Witness;

/// How many calls are acknowledged in a round, at least.
const CALLS: usize = 500;
/// How many are in flight at least, when something befalls a server.
const IN_FLIGHT: usize = 20;
/// How long anything may take to come.
const PATIENCE: Duration = Duration::from_secs(180);

fn main() -> ExitCode {
    let result = match std::env::args().nth(1).as_deref() {
        Some(server::AUDIT) => return mcp_http::command::run(std::env::args_os()),
        Some(server::WORD) => {
            CHANCE.store(seed(), Ordering::Relaxed);
            server::serve().map(|()| true)
        }
        _ => Options::parse(std::env::args().skip(1)).map_err(Into::into).and_then(|options| {
            let seed = options.seed.unwrap_or_else(seed);
            CHANCE.store(seed, Ordering::Relaxed);
            say(&format!("seed {seed}"));
            if options.agents { agents::crash(&options) } else { crash(&options) }
        }),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("crash: {error}"));
            ExitCode::from(2)
        }
    }
}

/// Whether all promises were kept.
fn crash(options: &Options) -> Result<bool, Box<dyn Error>> {
    let witness = Witness::start()?;
    let mut house = House::build(options, witness.address())?;
    let clients = Clients::start(house.servers());
    for round in 1..=options.rounds {
        let before = clients.acknowledged();
        let begun = Instant::now();
        let moment = before + 100 + random(CALLS - 200);
        wait("calls are acknowledged", || clients.acknowledged() >= moment)?;
        wait("calls are in flight", || clients.in_flight() >= IN_FLIGHT)?;
        let in_flight = clients.in_flight();
        let what = house.strike()?;
        wait("calls are acknowledged again", || clients.acknowledged() >= before + CALLS)?;
        say(&format!(
            "round {round}: {what} with {in_flight} in flight; {} acknowledged in {:.1?}",
            clients.acknowledged() - before,
            begun.elapsed(),
        ));
        // What is broken on purpose is looked for as soon as it may be found.
        if options.sabotage.is_some() && round < options.rounds {
            let told = clients.told();
            std::thread::sleep(Duration::from_secs(1));
            if !check::check(&house.database(), &told, &witness)? {
                return Ok(false);
            }
        }
    }
    clients.stop();
    let are_over = check::all_runs_end(&house.database())?;
    let is_kept = check::check(&house.database(), &clients.told(), &witness)?;
    Ok(house.verifies()? && is_kept && are_over)
}

/// What the next number below something follows from.
static CHANCE: AtomicU64 = AtomicU64::new(0);

/// Another one each time.
fn seed() -> u64 {
    let mut bytes = [0; 8];
    // The system has some, or the harness has nothing to do here.
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    u64::from_le_bytes(bytes)
}

/// A number below `below`, by SplitMix64.
fn random(below: usize) -> usize {
    const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
    let number = CHANCE.fetch_add(GAMMA, Ordering::Relaxed).wrapping_add(GAMMA);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (number ^ (number >> 31)) as usize % below.max(1)
}

/// Waits for what must come.
fn wait(what: &str, is_so: impl Fn() -> bool) -> Result<(), String> {
    let begun = Instant::now();
    while !is_so() {
        if begun.elapsed() > PATIENCE {
            return Err(format!("{what}: never, in {PATIENCE:?}"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn say(line: &str) {
    // Whoever does not listen still wants the exit code.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

//! Whether what was promised is so, by plain SQL, and by what others were told and have seen. It shares nothing with the code that
//! wrote what it reads.

mod calls;
mod runs;
mod tasks;
mod teams;

use std::error::Error;

use super::agents;
use super::clients::Told;
use super::say;
use super::tables::Tables;
use super::witness::Witness;

/// Says what of all that clients were told is broken; whether nothing is.
pub fn check(database: &str, told: &Told, witness: &Witness) -> Result<bool, Box<dyn Error>> {
    let tables = Tables::open(database)?;
    let mut broken = Broken::default();
    calls::check(&tables, &told.calls, witness, &mut broken)?;
    runs::check(&tables, &told.runs, witness, &mut broken)?;
    tasks::check(&tables, &told.tasks, witness, &mut broken)?;
    let seen = witness.seen();
    broken.all(
        "what is not repeatable was begun twice",
        seen.iter().filter(|(what, times)| what.starts_with("pay ") && **times > 1).map(|(what, _)| what),
    );
    say(&format!("{} begun, {} of them again", seen.len(), seen.values().filter(|times| **times > 1).count()));
    Ok(broken.0 == 0)
}

/// The same of all that a team did.
pub fn team(database: &str, told: &agents::Told, witness: &Witness) -> Result<bool, Box<dyn Error>> {
    let mut broken = Broken::default();
    teams::check(&Tables::open(database)?, told, witness, &mut broken)?;
    Ok(broken.0 == 0)
}

pub use runs::{all_runs_end, have_all_ended};

/// How many kinds of things are broken.
#[derive(Default)]
struct Broken(usize);

impl Broken {
    /// Says what is broken, where something is.
    fn all<T: AsRef<str>>(&mut self, what: &str, names: impl Iterator<Item = T>) {
        let mut names = names.peekable();
        if let Some(first) = names.peek().map(|name| name.as_ref().to_owned()) {
            say(&format!("BROKEN: {what}: {} times, such as {first}", names.count()));
            self.0 += 1;
        }
    }
}

//! What is asked for.

/// What the command line says.
pub struct Options {
    pub rounds: usize,
    /// One process on SQLite, and not three on PostgreSQL and Redis.
    pub sqlite: bool,
    /// A team of agents at work, and not clients that call.
    pub agents: bool,
    /// What kills the process takes the power of its machine as well.
    pub power_cut: bool,
    /// The promise that is broken on purpose.
    pub sabotage: Option<String>,
    /// From what all follows that is left to chance here.
    pub seed: Option<u64>,
}

/// What can be broken, of what clients and what agents were promised.
const SABOTAGES: [&str; 3] = ["early-ack", "no-fence", "no-dedup"];
const SABOTAGES_OF_AGENTS: [&str; 3] = ["repeat", "forget", "garble"];

impl Options {
    pub fn parse(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options =
            Self { rounds: 10, sqlite: false, agents: false, power_cut: false, sabotage: None, seed: None };
        let mut words = words;
        while let Some(word) = words.next() {
            match word.as_str() {
                "--sqlite" => options.sqlite = true,
                "--power-cut" => options.power_cut = true,
                "--agents" => options.agents = true,
                "--sabotage" => options.sabotage = Some(words.next().unwrap_or_default()),
                "--seed" => options.seed = Some(number("seed", &words.next().unwrap_or_default())?),
                word => options.rounds = number("number of rounds", word)?,
            }
        }
        let sabotages = if options.agents { SABOTAGES_OF_AGENTS } else { SABOTAGES };
        match &options.sabotage {
            Some(name) if !sabotages.contains(&name.as_str()) => {
                Err(format!("there is no sabotage {name:?}; there are: {}", sabotages.join(" ")))
            }
            _ if options.power_cut && (!options.sqlite || options.agents) => Err(
                "--power-cut is tried with --sqlite and without --agents: what PostgreSQL syncs is its own business"
                    .to_owned(),
            ),
            _ => Ok(options),
        }
    }
}

fn number<N: std::str::FromStr>(what: &str, word: &str) -> Result<N, String> {
    word.parse().map_err(|_| format!("{word:?} is no {what}"))
}

//! What is asked for.

/// What the command line says.
pub struct Options {
    pub rounds: usize,
    /// One process on SQLite, and not three on PostgreSQL and Redis.
    pub sqlite: bool,
    /// What kills the process takes the power of its machine as well.
    pub power_cut: bool,
    /// The promise that is broken on purpose.
    pub sabotage: Option<String>,
}

/// What can be broken.
pub const SABOTAGES: [&str; 3] = ["early-ack", "no-fence", "no-dedup"];

impl Options {
    pub fn parse(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self { rounds: 10, sqlite: false, power_cut: false, sabotage: None };
        let mut words = words;
        while let Some(word) = words.next() {
            match word.as_str() {
                "--sqlite" => options.sqlite = true,
                "--power-cut" => options.power_cut = true,
                "--sabotage" => {
                    let name = words.next().unwrap_or_default();
                    if !SABOTAGES.contains(&name.as_str()) {
                        return Err(format!("there is no sabotage {name:?}; there are: {}", SABOTAGES.join(" ")));
                    }
                    options.sabotage = Some(name);
                }
                number => {
                    options.rounds = number.parse().map_err(|_| format!("{number:?} is no number of rounds"))?;
                }
            }
        }
        match options.power_cut && !options.sqlite {
            true => {
                Err("--power-cut is tried with --sqlite alone: what PostgreSQL syncs is its own business".to_owned())
            }
            false => Ok(options),
        }
    }
}

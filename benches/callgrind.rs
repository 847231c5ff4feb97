//! Counting the instructions of a process. Unlike time they do not depend on what else the machine does.

use std::io::{self, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A process whose instructions are counted, until it ends. Dropped before that, it is killed.
pub struct Callgrind(Child);

/// How long a process may take to end.
const PATIENCE: Duration = Duration::from_secs(60);

impl Callgrind {
    /// Starts `command` under valgrind.
    ///
    /// # Errors
    /// Where valgrind is missing, with the mend.
    pub fn start(command: &Command) -> io::Result<Self> {
        let mut valgrind = Command::new("valgrind");
        // Only the sum is wanted; valgrind writes it to the error output as well.
        valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
        valgrind.arg(command.get_program()).args(command.get_args());
        valgrind.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let child = valgrind.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        child.map(Self).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => io::Error::new(
                error.kind(),
                "valgrind is not on the PATH; run `scripts/tools valgrind`, which installs it",
            ),
            _ => error,
        })
    }

    /// The process itself.
    pub fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// Waits for the end of the process, and gives the number of instructions it took.
    ///
    /// # Errors
    /// Where the process fails, does not end within a minute, or was not counted.
    pub fn finish(mut self) -> io::Result<u64> {
        let began = Instant::now();
        while self.0.try_wait()?.is_none() {
            if began.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("the process did not end within {PATIENCE:?}")));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let status = self.0.wait()?;
        let mut said = String::new();
        if let Some(mut output) = self.0.stderr.take() {
            output.read_to_string(&mut said)?;
        }
        let collected = said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
        match collected {
            Some(instructions) if status.success() => Ok(instructions),
            _ => Err(io::Error::other(format!("the process was not counted to a good end ({status}):\n{said}"))),
        }
    }
}

impl Drop for Callgrind {
    fn drop(&mut self) {
        // It has ended already, unless something else went wrong, which is what is told.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What each of many repetitions costs: the difference between a short run and a long one, so that what happens once is not
/// counted.
///
/// # Errors
/// Those of `run`, which is given how often to repeat and says how many instructions that took.
pub fn per_repetition(short: u64, long: u64, mut run: impl FnMut(u64) -> io::Result<u64>) -> io::Result<f64> {
    let (few, many) = (run(short)?, run(long)?);
    #[expect(clippy::cast_precision_loss, reason = "both are far below 2^52")]
    let (more, times) = (many.saturating_sub(few) as f64, (long - short) as f64);
    Ok(more / times)
}

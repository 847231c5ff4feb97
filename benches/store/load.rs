//! Writers that wait for each call before they make the next.

use std::fmt::Display;
use std::fs;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::try_join_all;
use mcp_core::caller::{Principal, Tenant};
use mcp_core::clock::{Clock, Timestamp};
use mcp_core::store::ledger::{CallId, CallRecord, Outcome};
use mcp_core::tokio_runtime::TokioClock;

/// Makes calls whose ids are like those of a server: newer ones are greater.
#[derive(Default)]
pub struct Load {
    made: AtomicU64,
}

/// What a load has shown.
pub struct Figures {
    /// How many calls were written.
    pub rows: f64,
    seconds: f64,
    /// How long half of them took at the most.
    pub p50_ms: f64,
    /// How long all but one in a hundred took at the most.
    pub p99_ms: f64,
    /// Processor time of this process; that of a database server is not in it.
    pub cpu_micros: f64,
}

impl Figures {
    /// Calls a second.
    pub fn per_second(&self) -> f64 {
        self.rows / self.seconds
    }
}

impl Load {
    /// A call as `echo` makes it, of one of a hundred callers.
    pub fn call(&self) -> CallRecord {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let at = TokioClock::new().now();
        Self::call_at(number, at)
    }

    /// The same, at a given time.
    pub fn call_at(number: u64, at: Timestamp) -> CallRecord {
        let millis = u128::from(at.as_micros().cast_unsigned() / 1_000);
        CallRecord {
            id: CallId::from_u128(millis << 80 | 7 << 76 | 0b10 << 62 | u128::from(number)),
            parent: None,
            tenant: Tenant::from("a tenant"),
            principal: Principal::from(format!("caller {}", number % 100)),
            address: None,
            tool: "echo".to_owned(),
            arguments: Bytes::from_static(br#"{"text":"The quick brown fox jumps over the lazy dog."}"#),
            outcome: Outcome::Ok,
            result: Bytes::from_static(
                br#"{"content":[{"type":"text","text":"The quick brown fox jumps over the lazy dog."}]}"#,
            ),
            at,
            duration: Duration::from_micros(12),
            waited: Duration::ZERO,
        }
    }

    /// So many writers for so long, each of which waits for one call before it makes the next.
    pub async fn run<W, E>(
        &self,
        writers: usize,
        time: Duration,
        write: impl Fn(CallRecord) -> W,
    ) -> io::Result<Figures>
    where
        W: Future<Output = Result<(), E>>,
        E: Display,
    {
        let (cpu, begun) = (cpu_micros()?, Instant::now());
        let write = &write;
        let writer = || async move {
            let mut took = Vec::new();
            while begun.elapsed() < time {
                let asked = Instant::now();
                write(self.call()).await.map_err(|error| io::Error::other(error.to_string()))?;
                took.push(asked.elapsed());
            }
            Ok::<_, io::Error>(took)
        };
        let mut took = try_join_all((0..writers).map(|_| writer())).await?.concat();
        let (seconds, cpu_micros) = (begun.elapsed().as_secs_f64(), cpu_micros()? - cpu);
        took.sort_unstable();
        let millis =
            |percent: usize| took.get(took.len() * percent / 100).map_or(f64::NAN, |took| took.as_secs_f64() * 1_000.0);
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let rows = took.len() as f64;
        Ok(Figures { rows, seconds, p50_ms: millis(50), p99_ms: millis(99), cpu_micros })
    }
}

/// The processor time of this process so far, its threads and the kernel's work for it (proc(5), `/proc/PID/schedstat` of each thread).
fn cpu_micros() -> io::Result<f64> {
    let mut nanos = 0.0;
    for task in fs::read_dir("/proc/self/task")? {
        let stat = fs::read_to_string(task?.path().join("schedstat"))?;
        nanos += stat.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok()).unwrap_or(0.0);
    }
    Ok(nanos / 1_000.0)
}

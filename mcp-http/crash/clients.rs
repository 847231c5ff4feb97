//! Who calls, and what they were told.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use super::house::Servers;
use super::random;

/// How many there are.
const CLIENTS: usize = 40;
/// How long one waits for an answer. What comes later was not acknowledged.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Clients that call until they are stopped.
pub struct Clients {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What a client was told that is done.
#[derive(Clone)]
pub struct Acknowledged {
    pub order: String,
    pub receipt: u64,
}

#[derive(Default)]
struct Shared {
    in_flight: AtomicUsize,
    is_over: AtomicBool,
    acknowledged: Mutex<Vec<Acknowledged>>,
}

impl Clients {
    pub fn start(servers: &Arc<Servers>) -> Self {
        let shared = Arc::<Shared>::default();
        let threads = (0..CLIENTS).map(|client| {
            let (shared, servers) = (shared.clone(), servers.clone());
            std::thread::spawn(move || shared.call(&servers, client))
        });
        Self { threads: Mutex::new(threads.collect()), shared }
    }

    /// How many calls were acknowledged until now.
    pub fn acknowledged(&self) -> usize {
        self.shared.acknowledged().len()
    }

    /// How many wait for an answer.
    pub fn in_flight(&self) -> usize {
        self.shared.in_flight.load(Ordering::SeqCst)
    }

    /// All that was acknowledged until now.
    pub fn told(&self) -> Vec<Acknowledged> {
        self.shared.acknowledged().clone()
    }

    /// Lets those that are in flight end, and makes no more.
    pub fn stop(&self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        let threads: Vec<_> = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            thread.join().expect("no client panics");
        }
    }
}

impl Shared {
    fn acknowledged(&self) -> std::sync::MutexGuard<'_, Vec<Acknowledged>> {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Pays for one order after the other, on one server or another.
    fn call(&self, servers: &Servers, client: usize) {
        let agent = ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).http_status_as_error(false).build();
        let agent = agent.new_agent();
        for n in 0.. {
            if self.is_over.load(Ordering::SeqCst) {
                return;
            }
            let Some(url) = servers.any(random) else {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            };
            let order = format!("{client}-{n}");
            self.in_flight.fetch_add(1, Ordering::SeqCst);
            let answer = agent.post(format!("{url}/api/v1/tools/pay/call")).send(json!({"order": order}).to_string());
            let receipt = answer.ok().and_then(receipt);
            self.in_flight.fetch_sub(1, Ordering::SeqCst);
            match receipt {
                Some(receipt) => self.acknowledged().push(Acknowledged { order, receipt }),
                // A server that is gone refuses at once.
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }
}

/// What an answer acknowledges, if it does.
fn receipt(mut answer: ureq::http::Response<ureq::Body>) -> Option<u64> {
    if answer.status() != 200 {
        return None;
    }
    let body: Value = serde_json::from_str(&answer.body_mut().read_to_string().ok()?).ok()?;
    body["structuredContent"]["receipt"].as_u64()
}

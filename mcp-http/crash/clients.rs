//! Who calls, and what they were told.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::json;

use super::house::Servers;
use super::{PATIENCE, random};

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
    /// The body, to the last byte.
    pub answer: String,
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
        let threads = (0..CLIENTS).map(|number| {
            let agent = ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).http_status_as_error(false).build();
            let client = Client { shared: shared.clone(), servers: servers.clone(), agent: agent.new_agent() };
            std::thread::spawn(move || client.call(number))
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

    /// Begins nothing new, and waits until all that is under way is answered.
    pub fn stop(&self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        let threads: Vec<_> = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            thread.join().expect("no client panics");
        }
    }
}

impl Shared {
    fn acknowledged(&self) -> MutexGuard<'_, Vec<Acknowledged>> {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }
}

/// One of them.
struct Client {
    shared: Arc<Shared>,
    servers: Arc<Servers>,
    agent: ureq::Agent,
}

impl Client {
    /// Does one thing after the other, on one server or another.
    fn call(&self, number: usize) {
        for n in 0.. {
            if self.shared.is_over() {
                return;
            }
            let order = format!("{number}-{n}");
            match random(4) {
                0 => drop(self.send("pay", &order, None)),
                1 => self.insist("pay", &order),
                2 => self.insist("count", &order),
                // Whoever is impatient, and a balancer that repeats, send the same twice at once.
                _ => std::thread::scope(|threads| {
                    let tool = ["pay", "count"][random(2)];
                    threads.spawn(|| self.insist(tool, &order));
                    self.insist(tool, &order);
                }),
            }
        }
    }

    /// Sends the same under a key until it is answered, and at times once more.
    fn insist(&self, tool: &str, order: &str) {
        let begun = Instant::now();
        while !self.send(tool, order, Some(order)) {
            assert!(begun.elapsed() < PATIENCE, "the call of {tool} for {order} is never answered");
        }
        if random(4) == 0 {
            self.send(tool, order, Some(order));
        }
    }

    /// Calls a tool once; whether that was answered.
    fn send(&self, tool: &str, order: &str, key: Option<&str>) -> bool {
        let Some(url) = self.servers.any(random) else {
            std::thread::sleep(Duration::from_millis(5));
            return false;
        };
        let mut request = self.agent.post(format!("{url}/api/v1/tools/{tool}/call"));
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        self.shared.in_flight.fetch_add(1, Ordering::SeqCst);
        let answer = request.send(json!({"order": order}).to_string());
        let answer = answer.ok().filter(|answer| answer.status() == 200);
        let answer = answer.and_then(|mut answer| answer.body_mut().read_to_string().ok());
        self.shared.in_flight.fetch_sub(1, Ordering::SeqCst);
        match answer {
            Some(answer) => {
                self.shared.acknowledged().push(Acknowledged { order: order.to_owned(), answer });
                true
            }
            // A server that is gone refuses at once.
            None => {
                std::thread::sleep(Duration::from_millis(5));
                false
            }
        }
    }
}

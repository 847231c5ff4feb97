//! Who calls, and what they were told.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sea_orm::prelude::Uuid;
use serde_json::{Value, json};

use super::house::Servers;
use super::server::{ASKED, ERRAND};
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

/// What clients were told that is done.
#[derive(Clone, Default)]
pub struct Told {
    pub calls: Vec<Acknowledged>,
    /// The runs that were begun, by their ids.
    pub runs: Vec<String>,
    /// The tasks that were begun.
    pub tasks: Vec<Task>,
}

/// A task that was begun.
#[derive(Clone)]
pub struct Task {
    pub id: String,
    pub tool: &'static str,
    pub order: String,
    /// How it has ended, as far as anybody was told.
    pub ended: Option<Value>,
}

/// An answered call.
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
    told: Mutex<Told>,
}

impl Clients {
    pub fn start(servers: &Arc<Servers>) -> Self {
        let shared = Arc::<Shared>::default();
        let threads = (0..CLIENTS).map(|number| {
            let client = Client { shared: shared.clone(), ..Client::of(servers) };
            std::thread::spawn(move || client.call(number))
        });
        Self { threads: Mutex::new(threads.collect()), shared }
    }

    /// How many calls were acknowledged until now.
    pub fn acknowledged(&self) -> usize {
        self.shared.told().calls.len()
    }

    /// How many wait for an answer.
    pub fn in_flight(&self) -> usize {
        self.shared.in_flight.load(Ordering::SeqCst)
    }

    /// All that was acknowledged until now.
    pub fn told(&self) -> Told {
        self.shared.told().clone()
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
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }
}

/// One of them.
pub struct Client {
    shared: Arc<Shared>,
    servers: Arc<Servers>,
    agent: ureq::Agent,
}

impl Client {
    pub fn of(servers: &Arc<Servers>) -> Self {
        let agent = ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).http_status_as_error(false).build();
        Self { shared: Arc::default(), servers: servers.clone(), agent: agent.new_agent() }
    }

    /// Does one thing after the other, on one server or another.
    fn call(&self, number: usize) {
        for n in 0.. {
            if self.shared.is_over() {
                return;
            }
            let order = format!("{number}-{n}");
            match random(4) {
                _ if random(8) == 0 => self.begin(),
                _ if random(8) == 0 => self.follow(&order),
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

    /// Begins a run, and tells it to go on, each again and again until that is acknowledged.
    fn begin(&self) {
        let id = Uuid::from_u64_pair(random(usize::MAX) as u64, random(usize::MAX) as u64).to_string();
        let body = json!({"kind": ERRAND, "id": id}).to_string();
        until(&format!("the run {id} is begun"), || {
            self.ask("api/v1/runs", &[], None, &body).is_some_and(|(status, _)| status == 200)
        });
        self.shared.told().runs.push(id.clone());
        let path = format!("api/v1/runs/{id}/inputs?id={id}");
        // One whose outcome is unknown has ended by then.
        let is_told = || self.ask(&path, &[], None, "").is_some_and(|(status, _)| [200, 409].contains(&status));
        until(&format!("the run {id} is told to go on"), is_told);
    }

    /// Begins a task, again and again under one key until that is acknowledged; answers what it asks, and looks until it has ended.
    fn follow(&self, order: &str) {
        let tool = ["pay_later", "count_later"][random(2)];
        let call = json!({"name": tool, "arguments": {"later": order}});
        let begun = || self.rpc("tools/call", tool, &call, Some(order))?["taskId"].as_str().map(str::to_owned);
        let id = come(&format!("the task of {order} is begun"), begun);
        let task = Task { id: id.clone(), tool, order: order.to_owned(), ended: None };
        self.shared.told().tasks.push(task);
        let answer = json!({"taskId": id, "inputResponses": {ASKED: {"roots": []}}});
        let ended = come(&format!("the task {id} ends"), || {
            let task = self.rpc("tasks/get", &id, &json!({"taskId": id}), None)?;
            match task["status"].as_str()? {
                "working" => std::thread::sleep(Duration::from_millis(20)),
                "input_required" => drop(self.rpc("tasks/update", &id, &answer, None)),
                _ => return Some(task),
            }
            None
        });
        let mut told = self.shared.told();
        let task = told.tasks.iter_mut().find(|task| task.id == id);
        task.expect("it was put there").ended = Some(ended);
    }

    /// The result of a request of MCP, where there is one.
    fn rpc(&self, method: &str, name: &str, params: &Value, key: Option<&str>) -> Option<Value> {
        let mut params = params.clone();
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {
                "roots": {}, "extensions": {"io.modelcontextprotocol/tasks": {}},
            },
        });
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let headers = [
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", method),
            ("mcp-name", name),
        ];
        let (_, answer) = self.ask("mcp", &headers, key, &body).filter(|(status, _)| *status == 200)?;
        let mut answer: Value = serde_json::from_str(&answer).ok()?;
        assert_eq!(answer["error"], Value::Null, "{method} of {name}");
        Some(answer["result"].take())
    }

    /// Sends the same under a key until it is answered, and at times once more.
    fn insist(&self, tool: &str, order: &str) {
        until(&format!("the call of {tool} for {order} is answered"), || self.send(tool, order, Some(order)));
        if random(4) == 0 {
            self.send(tool, order, Some(order));
        }
    }

    /// Calls a tool once; whether that was answered.
    fn send(&self, tool: &str, order: &str, key: Option<&str>) -> bool {
        let path = format!("api/v1/tools/{tool}/call");
        let answer = self.ask(&path, &[], key, &json!({"order": order}).to_string());
        match answer {
            Some((200, answer)) => {
                self.shared.told().calls.push(Acknowledged { order: order.to_owned(), answer });
                true
            }
            _ => false,
        }
    }

    /// Asks any server, and waits a moment where it did not do what it was asked to.
    pub fn ask(&self, path: &str, headers: &[(&str, &str)], key: Option<&str>, body: &str) -> Option<(u16, String)> {
        let url = self.servers.any(random);
        let answer = url.and_then(|url| {
            let request = self.agent.post(format!("{url}/{path}"));
            let mut request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
            if let Some(key) = key {
                request = request.header("idempotency-key", key);
            }
            self.shared.in_flight.fetch_add(1, Ordering::SeqCst);
            let answer = request.send(body).ok();
            let answer = answer
                .and_then(|mut answer| Some((answer.status().as_u16(), answer.body_mut().read_to_string().ok()?)));
            self.shared.in_flight.fetch_sub(1, Ordering::SeqCst);
            answer
        });
        // A server that is gone refuses at once.
        if !matches!(answer, Some((200, _))) {
            std::thread::sleep(Duration::from_millis(5));
        }
        answer
    }
}

/// Tries again and again.
pub fn until(what: &str, is_so: impl Fn() -> bool) {
    come(what, || is_so().then_some(()));
}

/// Tries again and again, until something has come.
fn come<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(come) = look() {
            return come;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: never, in {PATIENCE:?}");
    }
}

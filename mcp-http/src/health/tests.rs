use std::future::pending;
use std::sync::Mutex;
use std::time::Duration;

use actix_web::{App, test};
use async_trait::async_trait;
use futures_util::FutureExt;
use mcp_core::clock::simulated::SimulatedClock;
use mcp_core::measure::Collector;
use mcp_core::store::check::CheckError;
use serde_json::Value;

use super::dependency::{DEADLINE, PERIOD};
use super::*;

/// Does what the test says.
struct Puppet {
    name: &'static str,
    needed: bool,
    mood: Mutex<Mood>,
}

#[derive(Clone, Copy)]
enum Mood {
    Up,
    Down,
    Hanging,
    Panicking,
}

impl Puppet {
    fn new(name: &'static str, needed: bool, mood: Mood) -> Arc<Self> {
        Arc::new(Self { name, needed, mood: Mutex::new(mood) })
    }

    fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }
}

#[async_trait]
impl Check for Puppet {
    fn name(&self) -> &'static str {
        self.name
    }

    fn is_needed(&self) -> bool {
        self.needed
    }

    async fn check(&self) -> Result<(), CheckError> {
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Up => Ok(()),
            Mood::Down => {
                let cause = std::io::Error::other("password of postgres://ann:hunter2@db is wrong");
                Err(CheckError::new("the database is unavailable").because(Arc::new(cause)))
            }
            Mood::Hanging => pending().await,
            Mood::Panicking => panic!("as the test wants"),
        }
    }
}

/// Watches puppets, over a clock that the test moves.
async fn watch(puppets: &[Arc<Puppet>], clock: &SimulatedClock) -> Health {
    let checks = puppets.iter().map(|puppet| puppet.clone() as Arc<dyn Check>).collect();
    let mut watching = Box::pin(Health::watch(checks, Arc::new(clock.clone()), "1.2.3"));
    let health = match watching.as_mut().now_or_never() {
        Some(health) => health,
        None => {
            clock.advance(DEADLINE);
            watching.await
        }
    };
    settle().await;
    health
}

/// Lets every task go as far as it can.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

/// Moves time on, and lets the checks that are due be made.
async fn pass(clock: &SimulatedClock, time: Duration) {
    clock.advance(time);
    settle().await;
}

async fn get(health: &Health, path: &str) -> (u16, Value) {
    let app = test::init_service(App::new().configure(routes(health.clone()))).await;
    // From whatever host: a load balancer asks by address.
    let request = test::TestRequest::get().uri(path).insert_header(("host", "203.0.113.7")).to_request();
    let answer = test::call_service(&app, request).now_or_never().expect("it waits for nobody");
    let status = answer.status().as_u16();
    (status, test::read_body_json(answer).await)
}

#[actix_web::test]
async fn a_dependency_that_changes_says_since_when_and_what_was_wrong_last() {
    let (clock, database) = (SimulatedClock::new(), Puppet::new("database", true, Mood::Up));
    let health = watch(std::slice::from_ref(&database), &clock).await;
    let expected =
        json!({"state": "up", "latency_ms": 0.0, "since": "2026-01-01T00:00:00.000000Z", "last_error": null});
    let (status, answer) = get(&health, "/health").await;
    assert_eq!((status, &answer["status"], &answer["version"]), (200, &json!("ok"), &json!("1.2.3")));
    assert_eq!(answer["checks"], json!({ "database": expected }));

    pass(&clock, PERIOD).await;
    database.set(Mood::Down);
    pass(&clock, PERIOD).await;
    pass(&clock, PERIOD).await;
    let (status, answer) = get(&health, "/health").await;
    assert_eq!((status, &answer["status"]), (503, &json!("down")));
    let database_now = &answer["checks"]["database"];
    assert_eq!(
        (&database_now["state"], &database_now["since"]),
        (&json!("down"), &json!("2026-01-01T00:00:10.000000Z"))
    );
    let failure = json!({"message": "the database is unavailable", "at": "2026-01-01T00:00:15.000000Z"});
    assert_eq!(database_now["last_error"], failure, "the cause is for the log");

    database.set(Mood::Up);
    pass(&clock, PERIOD).await;
    let (status, answer) = get(&health, "/health").await;
    let database_now = &answer["checks"]["database"];
    assert_eq!(
        (status, &database_now["state"], &database_now["since"]),
        (200, &json!("up"), &json!("2026-01-01T00:00:20.000000Z"))
    );
    assert_eq!(database_now["last_error"], failure, "it is still told");
}

#[actix_web::test]
async fn a_dependency_that_hangs_is_down_and_holds_nobody_up() {
    let (clock, database) = (SimulatedClock::new(), Puppet::new("database", true, Mood::Hanging));
    let health = watch(std::slice::from_ref(&database), &clock).await;
    for _ in 0..3 {
        let (status, answer) = get(&health, "/health").await;
        let found = &answer["checks"]["database"];
        assert_eq!((status, &found["state"], &found["latency_ms"]), (503, &json!("down"), &json!(2000.0)));
        assert_eq!(found["last_error"]["message"], "no answer within 2s");
        pass(&clock, PERIOD).await;
        pass(&clock, DEADLINE).await;
    }
    database.set(Mood::Up);
    pass(&clock, PERIOD).await;
    assert_eq!(get(&health, "/health").await.0, 200, "it heals by itself");
}

#[actix_web::test]
async fn each_dependency_is_a_figure_in_seconds() {
    let puppets = [Puppet::new("database", true, Mood::Hanging), Puppet::new("redis", false, Mood::Up)];
    let health = watch(&puppets, &SimulatedClock::new()).await;
    let samples = health.dependencies().collect();
    let figures: Vec<_> =
        samples.iter().map(|sample| (sample.name, sample.labels[0].1.as_str(), sample.value)).collect();
    assert_eq!(
        figures,
        [
            ("mcp_dependency_up", "database", 0.0),
            ("mcp_dependency_up", "redis", 1.0),
            ("mcp_dependency_check_seconds", "database", 2.0),
            ("mcp_dependency_check_seconds", "redis", 0.0),
        ]
    );
}

#[actix_web::test]
async fn a_check_that_panics_counts_as_down_and_is_made_again() {
    let clock = SimulatedClock::new();
    for first in [Mood::Panicking, Mood::Up] {
        let database = Puppet::new("database", true, first);
        let health = watch(std::slice::from_ref(&database), &clock).await;
        database.set(Mood::Panicking);
        pass(&clock, PERIOD).await;
        let (status, answer) = get(&health, "/health").await;
        let message = &answer["checks"]["database"]["last_error"]["message"];
        assert_eq!((status, message), (503, &json!("the check itself panicked")));
        database.set(Mood::Up);
        pass(&clock, PERIOD).await;
        assert_eq!(get(&health, "/health").await.0, 200, "it heals by itself");
    }
}

#[actix_web::test]
async fn what_calls_can_do_without_only_degrades() {
    let (database, cache) = (Puppet::new("database", true, Mood::Up), Puppet::new("redis", false, Mood::Down));
    let clock = SimulatedClock::new();
    let health = watch(&[database.clone(), cache], &clock).await;
    let (status, answer) = get(&health, "/health").await;
    assert_eq!(
        (status, &answer["status"], &answer["checks"]["redis"]["state"]),
        (200, &json!("degraded"), &json!("down"))
    );
    database.set(Mood::Down);
    pass(&clock, PERIOD).await;
    assert_eq!(get(&health, "/health").await.0, 503);
}

#[actix_web::test]
async fn ready_says_only_whether_it_has_started_and_is_not_stopping() {
    let health = watch(&[Puppet::new("database", true, Mood::Down)], &SimulatedClock::new()).await;
    for (ready, status) in [(false, 503), (true, 200), (false, 503)] {
        health.set_ready(ready);
        assert_eq!(get(&health, "/health/ready").await.0, status);
        assert_eq!(get(&health, "/health/live").await.0, 200);
        assert_eq!(get(&health, "/health").await.1["ready"], ready);
    }
}

#[actix_web::test]
async fn nothing_is_watched_any_more_when_nobody_asks() {
    let (clock, database) = (SimulatedClock::new(), Puppet::new("database", true, Mood::Up));
    let health = watch(std::slice::from_ref(&database), &clock).await;
    assert_eq!(Arc::strong_count(&database), 2);
    drop(health);
    pass(&clock, PERIOD).await;
    assert_eq!(Arc::strong_count(&database), 1);
}

/// Something that is only told of, and is never well.
struct Told;

#[async_trait]
impl Check for Told {
    fn name(&self) -> &'static str {
        "disk"
    }

    fn is_counted(&self) -> bool {
        false
    }

    async fn check(&self) -> Result<(), CheckError> {
        Err(CheckError::new("it is full"))
    }
}

#[actix_web::test]
async fn what_is_only_told_of_makes_no_server_worse() {
    let clock = SimulatedClock::new();
    let health = Health::watch(vec![Arc::new(Told)], Arc::new(clock), "1.2.3").await;
    let (status, answer) = get(&health, "/health").await;
    assert_eq!((status, &answer["status"], &answer["checks"]["disk"]["state"]), (200, &json!("ok"), &json!("down")));
    assert!(health.dependencies().are_down().any(|(name, is_down)| (name, is_down) == ("disk", true)), "alerts are");
}

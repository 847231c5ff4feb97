use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use mcp_core::alert::board::Listener;
use mcp_core::alert::rule::Rule;
use mcp_core::alert::{Event, Notice, Severity};
use mcp_core::caller::{Principal, Tenant};
use mcp_core::clock::simulated::SimulatedClock;
use mcp_core::store::runs::{NewRun, RunId};
use mcp_core::store::settings::Settings;
use mcp_core::{Caller, Server};
use serde_json::json;

use super::*;
use crate::health::Dependencies;

/// Hears what is told, unless it is down.
#[derive(Default)]
struct Ear {
    heard: Mutex<Vec<(Event, String)>>,
    is_down: AtomicBool,
}

#[async_trait]
impl Channel for Ear {
    async fn deliver(&self, notice: &Notice) -> Result<(), DeliveryError> {
        if self.is_down.load(Ordering::Relaxed) {
            return Err(DeliveryError::later("it is down"));
        }
        self.heard.lock().unwrap().push((notice.event, notice.key.clone()));
        Ok(())
    }
}

/// A figure that a test sets.
#[derive(Default)]
struct Figure(Mutex<f64>);

impl Collector for Figure {
    fn collect(&self) -> Vec<Sample> {
        vec![Sample::gauge("mcp_figure", "A figure.", *self.0.lock().unwrap())]
    }
}

/// Settings that can be away.
struct Away {
    settings: Arc<dyn Settings>,
    is_away: Arc<AtomicBool>,
}

impl Away {
    fn look(&self) -> Result<(), StoreError> {
        if self.is_away.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable { store: "settings", source: None });
        }
        Ok(())
    }
}

#[async_trait]
impl Settings for Away {
    async fn load(&self, key: &Key) -> Result<Option<Setting>, StoreError> {
        self.look()?;
        self.settings.load(key).await
    }

    async fn store(&self, key: &Key, value: bytes::Bytes, seen: Option<u64>) -> Result<u64, StoreError> {
        self.look()?;
        self.settings.store(key, value, seen).await
    }

    async fn remove(&self, key: &Key, seen: u64) -> Result<(), StoreError> {
        self.look()?;
        self.settings.remove(key, seen).await
    }

    async fn list(&self, prefix: &Key, after: Option<&str>, limit: u16) -> Result<Vec<(String, Setting)>, StoreError> {
        self.look()?;
        self.settings.list(prefix, after, limit).await
    }
}

/// Replicas on one store, with one channel and a figure for each.
struct House {
    clock: SimulatedClock,
    stores: Stores,
    ear: Arc<Ear>,
    figure: Arc<Figure>,
}

impl House {
    fn new() -> Self {
        let clock = SimulatedClock::new();
        let stores = Stores::in_memory(Arc::new(clock.clone()));
        Self { clock, stores, ear: Arc::default(), figure: Arc::default() }
    }

    async fn replica(&self, is_away: &Arc<AtomicBool>) -> (Watch, Memory) {
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let mut stores = self.stores.clone();
        stores.settings = Arc::new(Away { settings: self.stores.settings.clone(), is_away: is_away.clone() });
        let rule = Rule::above("figure", "too much", "mcp_figure", 1.0, Duration::from_secs(20), Severity::Critical);
        let alerts = Alerts {
            rules: vec![rule],
            channels: BTreeMap::new(),
            listeners: vec![Listener { channel: "ear".to_owned(), severities: Severity::ALL.into() }],
            repeat: Duration::from_secs(3_600),
        };
        let channels = [("ear".to_owned(), self.ear.clone() as Arc<dyn Channel>)].into();
        let dependencies = Arc::new(Dependencies::watch(Vec::new(), clock.clone()).await);
        let gauges = Gauges::new(dependencies, vec![self.figure.clone()]);
        (Watch::new(alerts, channels, stores, clock, gauges, "here".to_owned()), Memory::default())
    }

    async fn rounds(&self, replicas: &mut [(Watch, Memory)], count: usize) {
        for _ in 0..count {
            self.clock.advance(EACH);
            for (watch, memory) in &mut *replicas {
                watch.round(EACH, memory).await;
            }
        }
    }

    fn set(&self, value: f64) {
        *self.figure.0.lock().unwrap() = value;
    }

    fn heard(&self) -> Vec<Event> {
        self.ear.heard.lock().unwrap().iter().map(|(event, _)| *event).collect()
    }
}

#[tokio::test]
async fn of_two_replicas_one_tells_and_the_other_goes_on_where_it_ended() {
    let (house, there) = (House::new(), Arc::default());
    let mut replicas = vec![house.replica(&there).await, house.replica(&there).await];
    house.set(2.0);
    house.rounds(&mut replicas, 30).await;
    assert_eq!(house.heard(), [Event::Firing]);
    let firing = |watch: &Watch| watch.collect()[2].value;
    assert!(replicas.iter().all(|(watch, _)| firing(watch) == 1.0), "each of them shows it");
    let mut pictures = Vec::new();
    for (watch, _) in &replicas {
        pictures.push(serde_json::to_value(watch.picture().await.unwrap()).unwrap());
    }
    let picture = &pictures[0];
    assert_eq!(pictures[1], *picture, "and says the same of it");
    let (rule, alert, channel) = (&picture["rules"][0], &picture["alerts"][0], &picture["channels"][0]);
    assert_eq!((&rule["state"], &rule["above"], &rule["for_seconds"]), (&json!("firing"), &json!(1.0), &json!(20.0)));
    assert_eq!((&alert["phase"], &alert["value"], &alert["until"]), (&json!("firing"), &json!(2.0), &json!(null)));
    assert!(channel["told"].is_string() && channel["failures"] == 0, "{channel}");
    // The one that told is gone.
    replicas.remove(0);
    house.set(0.0);
    house.rounds(&mut replicas, 30).await;
    assert_eq!(house.heard(), [Event::Firing, Event::Resolved]);
    let picture = serde_json::to_value(replicas[0].0.picture().await.unwrap()).unwrap();
    assert_eq!(
        (&picture["rules"][0]["state"], &picture["alerts"][0]["phase"]),
        (&json!("resolved"), &json!("resolved"))
    );
}

#[tokio::test]
async fn what_could_not_be_told_is_told_by_whoever_comes_after_a_restart() {
    let (house, there) = (House::new(), Arc::default());
    house.ear.is_down.store(true, Ordering::Relaxed);
    house.set(2.0);
    let mut replicas = vec![house.replica(&there).await];
    house.rounds(&mut replicas, 180).await;
    assert_eq!(house.heard(), []);
    let mut replicas = vec![house.replica(&there).await];
    house.rounds(&mut replicas, 180).await;
    house.ear.is_down.store(false, Ordering::Relaxed);
    house.rounds(&mut replicas, 40).await;
    assert_eq!(house.heard(), [Event::Firing], "an hour later, and once");
}

#[tokio::test]
async fn without_the_store_a_replica_tells_by_itself_and_it_is_over_once() {
    let (house, away) = (House::new(), Arc::new(AtomicBool::new(false)));
    let mut replicas = vec![house.replica(&away).await];
    house.rounds(&mut replicas, 3).await;
    away.store(true, Ordering::Relaxed);
    house.set(2.0);
    house.rounds(&mut replicas, 30).await;
    assert_eq!(house.heard(), [Event::Firing]);
    away.store(false, Ordering::Relaxed);
    house.rounds(&mut replicas, 10).await;
    assert_eq!(house.heard(), [Event::Firing], "who was told is not told again");
    house.set(0.0);
    house.rounds(&mut replicas, 30).await;
    assert_eq!(house.heard(), [Event::Firing, Event::Resolved]);
    assert_eq!(house.ear.heard.lock().unwrap()[0].1, "here/figure");
}

#[tokio::test]
async fn a_run_that_nobody_takes_is_told_of_and_that_it_was_taken_as_well() {
    let (house, is_away) = (House::new(), Arc::default());
    let mut replicas = [house.replica(&is_away).await, house.replica(&is_away).await];
    let rules = Config::load_from(None, []).unwrap().alerts.rules;
    let rules: Vec<_> = rules.into_iter().filter(|rule| rule.name == "stuck_runs").collect();
    assert_eq!(rules.len(), 1, "it is there by itself");
    for (watch, _) in &replicas {
        let orders = watch.orders();
        watch.change(Alerts { rules: rules.clone(), ..orders.alerts.clone() }, orders.channels.clone());
    }
    let new = NewRun {
        id: RunId::from_u128(1),
        tenant: Tenant::from("acme"),
        principal: Principal::from("ada"),
        kind: "work".to_owned(),
        parent: None,
        arguments: "{}".into(),
        at: house.clock.now(),
    };
    house.stores.runs.create(&new).await.unwrap();
    house.rounds(&mut replicas, 30).await;
    assert_eq!(house.heard(), [], "five minutes are not too long");
    house.rounds(&mut replicas, 7).await;
    assert_eq!(house.heard(), [Event::Firing]);
    let overdue = |watch: &Watch| {
        let samples = watch.gauges.collect();
        samples.into_iter().find(|sample| sample.name == "mcp_run_overdue_seconds").unwrap().value
    };
    assert_eq!(replicas.each_ref().map(|(watch, _)| overdue(watch)), [370.0, 0.0], "the one that looks shows it");
    let claimed = house.stores.runs.claim("work", 1, Duration::from_secs(3_600)).await.unwrap();
    assert_eq!(claimed.runs.len(), 1);
    house.rounds(&mut replicas, 8).await;
    assert_eq!(house.heard(), [Event::Firing, Event::Resolved]);
    // Whoever looked is gone for long, and has nothing to show when it is back.
    let [first, second] = &mut replicas;
    house.clock.advance(Duration::from_secs(7_200));
    second.0.round(EACH, &mut second.1).await;
    first.0.round(EACH, &mut first.1).await;
    assert_eq!([overdue(&first.0), overdue(&second.0)], [0.0, 3_680.0], "its lease is over, and nobody has it");
}

#[tokio::test]
async fn backups_are_read_from_what_is_recorded_of_them_and_no_backup_is_none() {
    let house = House::new();
    let clock: Arc<dyn Clock> = Arc::new(house.clock.clone());
    let stores = house.stores.clone();
    let server = Server::builder("test", "1").clock(clock.clone()).stores(stores.clone()).build().unwrap();
    let dependencies = Arc::new(Dependencies::watch(Vec::new(), clock.clone()).await);
    let gauges = Gauges::new(dependencies, Vec::new());
    let rules = ["backup_failed", "backup_age_hours"]
        .map(|measure| Rule::above(measure, "wrong", measure, 0.0, Duration::ZERO, Severity::Critical));
    let read = async || {
        let read = gauges.read(&rules, &stores, &*clock).await;
        let value = |n: usize| read[n].1.as_ref().unwrap().first().map(|reading| reading.value);
        [value(0), value(1)]
    };
    let back_up = async |done: Result<(), StoreError>| {
        drop(server.administer(&Caller::new("default", "local"), ("backup", json!({})), async { done }).await);
    };
    assert_eq!(read().await, [None, None]);
    back_up(Err(StoreError::Unavailable { store: "backup", source: None })).await;
    assert_eq!(read().await, [Some(1.0), None]);
    assert_eq!(gauges.collect()[0].value, 1.0);
    house.clock.advance(Duration::from_secs(60));
    back_up(Ok(())).await;
    house.clock.advance(Duration::from_secs(7_200));
    let [failed, age] = read().await;
    assert!(failed == Some(0.0) && (age.unwrap() - 2.0).abs() < 0.01, "{failed:?}, {age:?}");
}

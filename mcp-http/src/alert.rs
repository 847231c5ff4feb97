//! Looks every few seconds whether something is wrong, and tells whoever is to know. docs/alerts.md says how that is meant.
//!
//! One replica does it for all of them: whoever holds the lease. Its state is in the store, so that another one goes on where it ended.
//! A replica that cannot reach the store goes on alone, from what it saw last, and what it told by itself is put with the rest once the
//! store is back.

pub(crate) mod picture;
mod readings;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use mcp_core::Stores;
use mcp_core::alert::board::{Board, Due};
use mcp_core::alert::{Channel, DeliveryError};
use mcp_core::clock::Clock;
use mcp_core::measure::{Collector, Sample};
use mcp_core::store::StoreError;
use mcp_core::store::leases::Lease;
use mcp_core::store::settings::{Key, Setting};
use serde::{Deserialize, Serialize};

use crate::config::{Alerts, Config, ConfigError};
pub(crate) use picture::Picture;
pub(crate) use readings::Gauges;

/// How long one look is after the other.
const EACH: Duration = Duration::from_secs(10);
/// What counts of the time between two looks at the most: in what is longer, nobody looked.
const LONGEST_STEP: Duration = Duration::from_secs(60);
/// How long a replica may be silent before another one looks.
const LEASE: Duration = Duration::from_secs(120);
/// Under this name one of several replicas does it, and its state is kept.
const NAME: &str = "alerts";
/// How long one channel is told of one after the other, in one round.
const ROUND: Duration = Duration::from_secs(40);
/// How often what came of telling is put with what others have written meanwhile.
const TRIES: usize = 3;

/// Looks, and tells.
pub(crate) struct Watch {
    orders: Mutex<Arc<Orders>>,
    stores: Stores,
    clock: Arc<dyn Clock>,
    gauges: Gauges,
    /// Which server it is about.
    server: String,
    /// What was seen last of the state of all.
    seen: Mutex<Board>,
    deliveries: Mutex<BTreeMap<(String, &'static str), u64>>,
}

/// What it looks for, and whom it tells.
struct Orders {
    alerts: Alerts,
    channels: Channels,
}

/// Channels by their names.
pub(crate) type Channels = BTreeMap<String, Arc<dyn Channel>>;

/// What a replica knows from round to round.
#[derive(Default)]
struct Memory {
    held: Option<Lease>,
    board: Board,
    /// Whether it went on without the store.
    is_alone: bool,
}

/// What is kept, with the version of its form.
#[derive(Serialize, Deserialize)]
struct Kept {
    format: u32,
    board: Board,
}

/// The channels of a configuration, with their secrets.
pub(crate) fn channels(config: &Config, clock: &Arc<dyn Clock>) -> Result<Channels, ConfigError> {
    let open = |(name, channel): (&String, &mcp_connect::ChannelConfig)| {
        let opened = channel.open(|variable| config.alert_secrets.get(variable).cloned(), clock.clone());
        let opened = opened.map_err(|error| config.error("ALERTS", format!("channels.{name}: {error}")))?;
        Ok((name.clone(), opened))
    };
    config.alerts.channels.iter().map(open).collect()
}

/// Which server alerts are about: its address, as others know it.
pub(crate) fn server(config: &Config) -> String {
    let url = config.public_url.as_deref().and_then(|url| url.split_once("://")).map(|(_, rest)| rest);
    url.and_then(|rest| rest.split('/').next()).unwrap_or("mcp-http").to_owned()
}

/// The state that is kept.
pub(crate) async fn kept(stores: &Stores) -> Result<Option<(Board, u64)>, StoreError> {
    let Some(Setting { value, version }) = stores.settings.load(&Key::of_the_house(NAME)).await? else {
        return Ok(None);
    };
    // One that cannot be read is of another version: it is begun anew, which tells once more of what fires.
    let board = serde_json::from_slice::<Kept>(&value).map(|kept| kept.board).unwrap_or_default();
    Ok(Some((board, version)))
}

async fn keep(stores: &Stores, board: &Board, seen: Option<u64>) -> Result<u64, StoreError> {
    let kept = serde_json::to_vec(&Kept { format: 1, board: board.clone() });
    let kept = kept.map_err(|error| StoreError::Refused { store: "settings", source: Some(Arc::new(error)) })?;
    stores.settings.store(&Key::of_the_house(NAME), kept.into(), seen).await
}

impl Watch {
    pub(crate) fn new(
        alerts: Alerts,
        channels: Channels,
        stores: Stores,
        clock: Arc<dyn Clock>,
        gauges: Gauges,
        server: String,
    ) -> Self {
        let (seen, deliveries) = (Mutex::default(), Mutex::default());
        let orders = Mutex::new(Arc::new(Orders { alerts, channels }));
        Self { orders, stores, clock, gauges, server, seen, deliveries }
    }

    /// From the next look on, looks for these and tells these.
    pub(crate) fn change(&self, alerts: Alerts, channels: Channels) {
        *self.orders.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(Orders { alerts, channels });
    }

    fn orders(&self) -> Arc<Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// `/alerts`, for a scope in which REST is.
    pub(crate) fn routes(self: &Arc<Self>) -> impl FnOnce(&mut actix_web::web::ServiceConfig) + use<> {
        picture::routes(self.clone())
    }

    /// How many fire, as this replica has seen last.
    pub(crate) fn firing(&self) -> u64 {
        let firing = self.seen.lock().unwrap_or_else(PoisonError::into_inner).firing();
        firing.iter().map(|(_, count)| *count as u64).sum()
    }

    /// What is kept, under the rules of this process.
    async fn picture(&self) -> Result<Picture, StoreError> {
        let board = kept(&self.stores).await?.map(|(board, _)| board).unwrap_or_default();
        Ok(Picture::of(&board, &self.orders().alerts))
    }

    /// Looks and tells; it never ends. It may be dropped at any moment: another replica goes on when the lease has ended.
    pub(crate) async fn run(&self) {
        let mut memory = Memory::default();
        loop {
            let begun = self.clock.monotonic();
            self.clock.sleep(EACH).await;
            let step = self.clock.monotonic().saturating_sub(begun).min(LONGEST_STEP);
            self.round(step, &mut memory).await;
        }
    }

    /// One look.
    async fn round(&self, step: Duration, memory: &mut Memory) {
        match self.together(step, memory).await {
            Ok(()) | Err(StoreError::Conflict { .. }) => {}
            Err(error) => {
                if !memory.is_alone {
                    tracing::warn!(%error, "the state of alerts cannot be reached: this replica looks and tells by itself");
                }
                memory.is_alone = true;
                self.look(&mut memory.board, step).await;
                let due = self.due(&mut memory.board);
                for (due, result) in self.tell(due).await {
                    memory.board.told(&due, &result, self.clock.now());
                }
            }
        }
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&memory.board);
    }

    /// One look for all replicas, if it is this one's turn.
    async fn together(&self, step: Duration, memory: &mut Memory) -> Result<(), StoreError> {
        let leases = &self.stores.leases;
        memory.held = match memory.held.take() {
            Some(lease) if leases.renew(&lease, LEASE).await? => Some(lease),
            _ => leases.acquire(NAME, LEASE).await?,
        };
        let (mut board, mut version) = match kept(&self.stores).await? {
            Some((board, version)) => (board, Some(version)),
            None => (Board::default(), None),
        };
        if memory.is_alone {
            // What was told alone is put with the rest, so that whoever's turn it is tells when it is over.
            board.absorb(&memory.board);
            version = Some(keep(&self.stores, &board, version).await?);
            memory.is_alone = false;
        }
        if memory.held.is_none() {
            self.gauges.forget();
            memory.board = board;
            return Ok(());
        }
        let before = board.clone();
        self.look(&mut board, step).await;
        let due = self.due(&mut board);
        // Kept before it is told: whoever has been overtaken tells nothing.
        if board != before {
            version = Some(keep(&self.stores, &board, version).await?);
        }
        memory.board = board;
        if due.is_empty() {
            return Ok(());
        }
        for (due, result) in self.tell(due).await {
            memory.board.told(&due, &result, self.clock.now());
        }
        for _ in 0..TRIES {
            match keep(&self.stores, &memory.board, version).await {
                Err(StoreError::Conflict { .. }) => {
                    let Some((mut newer, newer_version)) = kept(&self.stores).await? else { break };
                    newer.absorb(&memory.board);
                    (memory.board, version) = (newer, Some(newer_version));
                }
                kept => return kept.map(drop),
            }
        }
        Ok(())
    }

    async fn look(&self, board: &mut Board, step: Duration) {
        let orders = self.orders();
        let read = self.gauges.read(&orders.alerts.rules, &self.stores, &*self.clock).await;
        let without_room = board.tick(step, self.clock.now(), &read);
        if without_room > 0 {
            tracing::warn!(alerts = without_room, "there are too many alerts: these are not told of");
        }
    }

    fn due(&self, board: &mut Board) -> Vec<Due> {
        let orders = self.orders();
        board.due(&orders.alerts.listeners, orders.alerts.repeat, &self.server)
    }

    /// Tells, each channel one after the other and up to its first failure; all channels at once.
    async fn tell(&self, due: Vec<Due>) -> Vec<(Due, Result<(), DeliveryError>)> {
        let (orders, mut by_channel) = (self.orders(), BTreeMap::<String, Vec<Due>>::new());
        for due in due {
            by_channel.entry(due.channel.clone()).or_default().push(due);
        }
        let told = by_channel.into_iter().filter_map(|(name, due)| {
            let channel = orders.channels.get(&name)?.clone();
            Some(async move {
                let (begun, mut told) = (self.clock.monotonic(), Vec::new());
                for due in due {
                    let result = channel.deliver(&due.notice).await;
                    self.count(&due, &result);
                    let is_down = matches!(result, Err(DeliveryError::Later { .. }));
                    told.push((due, result));
                    if is_down || self.clock.monotonic().saturating_sub(begun) > ROUND {
                        break;
                    }
                }
                told
            })
        });
        join_all(told).await.into_iter().flatten().collect()
    }

    fn count(&self, due: &Due, result: &Result<(), DeliveryError>) {
        let (channel, alert) = (&due.channel, &due.notice.key);
        let word = match result {
            Ok(()) => {
                tracing::info!(channel, alert, "told of an alert");
                "delivered"
            }
            Err(DeliveryError::Refused { message }) => {
                tracing::error!(
                    channel,
                    alert,
                    reason = message,
                    "a channel refuses to tell of an alert: look at ALERTS"
                );
                "refused"
            }
            Err(error) => {
                tracing::warn!(channel, alert, reason = %error, "an alert could not be told of; it is tried again");
                "failed"
            }
        };
        let mut deliveries = self.deliveries.lock().unwrap_or_else(PoisonError::into_inner);
        *deliveries.entry((due.channel.clone(), word)).or_default() += 1;
    }
}

impl Collector for Watch {
    fn collect(&self) -> Vec<Sample> {
        let firing = self.seen.lock().unwrap_or_else(PoisonError::into_inner).firing();
        let firing = firing.map(|(severity, count)| {
            let help = "Alerts that fire, on all replicas together.";
            Sample::gauge("mcp_alerts_firing", help, count as f64).with("severity", severity.as_str())
        });
        let deliveries = self.deliveries.lock().unwrap_or_else(PoisonError::into_inner);
        let orders = self.orders();
        let told = orders.alerts.listeners.iter().flat_map(|listener| {
            ["delivered", "failed", "refused"].map(|result| {
                let help = "Notices of alerts that this process sent, by how that ended: `failed` is tried again.";
                let count = deliveries.get(&(listener.channel.clone(), result)).copied().unwrap_or(0);
                Sample::counter("mcp_alert_deliveries_total", help, count as f64)
                    .with("channel", &listener.channel)
                    .with("result", result)
            })
        });
        firing.into_iter().chain(told).chain(self.gauges.collect()).collect()
    }
}

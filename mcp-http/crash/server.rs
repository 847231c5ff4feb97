//! The server under test: the bundled one, with tools whose effects are seen by somebody else.

use std::error::Error;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use mcp_core::caller::{Principal, Tenant};
use mcp_core::run::{Repeatable, RunContext, RunError};
use mcp_core::store::StoreError;
use mcp_core::store::idempotency::{CallKey, Claim, Claimed, Idempotency};
use mcp_core::store::ledger::{CallId, Entry, Ledger};
use mcp_core::store::runs::{Step, StepKind};
use mcp_core::{Context, Question, ToolError, tool_with};
use mcp_http::{Bundled, Config};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::time::Instant;

use super::team;

/// The first word of the command line of a server.
pub const WORD: &str = "serve";
/// The first word of a command about audit chains, which is one of the server's own.
pub const AUDIT: &str = "audit";
/// The kind of the runs.
pub const ERRAND: &str = "errand";
/// Where the witness is.
pub const WITNESS: &str = "CRASH_WITNESS";
/// Which promise is broken on purpose, if any.
pub const SABOTAGE: &str = "CRASH_SABOTAGE";

/// Serves until it is killed, or whoever started it has ended.
pub fn serve() -> Result<(), Box<dyn Error>> {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let config = Config::load()?;
    let _log = mcp_http::log::init(&config)?;
    let witness: SocketAddr = std::env::var(WITNESS)?.parse()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let sabotage = std::env::var(SABOTAGE).ok();
        let bundled = sabotaged(mcp_http::bundled(config).await?, sabotage.as_deref());
        let all_again = sabotage.as_deref() == Some("repeat");
        let bundled = bundled.server(|builder| team::furnish(builder, witness, all_again));
        let pay = tool_with("pay", "Pays for an order, which must not happen twice.", witness, pay);
        let count = tool_with("count", "Counts an order, which may happen again.", witness, count).repeatable();
        let pay_later = tool_with("pay_later", "Pays for an order, as a task.", witness, pay_later).task_required();
        let count_later = tool_with("count_later", "Counts an order, as a task.", witness, count_later);
        let bundled = bundled.tool(pay).tool(count).tool(pay_later).tool(count_later.repeatable().task_required());
        bundled.work(ERRAND, move |cx| errand(witness, cx)).run().await?;
        Ok(())
    })
}

#[derive(Deserialize, JsonSchema)]
struct About {
    /// The order that is paid for, or counted.
    order: String,
}

#[derive(Serialize, JsonSchema)]
struct Receipt {
    /// No two are the same.
    receipt: u64,
}

async fn pay(witness: SocketAddr, about: About) -> Result<Receipt, ToolError> {
    effect(witness, "pay", &about.order).await
}

async fn count(witness: SocketAddr, about: About) -> Result<Receipt, ToolError> {
    effect(witness, "count", &about.order).await
}

/// What a task is about.
#[derive(Deserialize, JsonSchema)]
struct Later {
    /// The order that is paid for, or counted, once somebody has said that it is to be.
    later: String,
}

async fn pay_later(witness: SocketAddr, about: Later, cx: Context) -> Result<Receipt, ToolError> {
    asked(&cx).await?;
    effect(witness, "pay", &about.later).await
}

async fn count_later(witness: SocketAddr, about: Later, cx: Context) -> Result<Receipt, ToolError> {
    asked(&cx).await?;
    effect(witness, "count", &about.later).await
}

/// Asks for roots, which a program can answer as well as anybody.
async fn asked(cx: &Context) -> Result<(), ToolError> {
    cx.ask(ASKED, Question::roots()).await.map(drop)
}

/// The key of the question of a task.
pub const ASKED: &str = "roots";

async fn effect(witness: SocketAddr, tool: &str, order: &str) -> Result<Receipt, ToolError> {
    tell(witness, &format!("{tool} {order}")).await?;
    // Long enough to be met by a kill.
    tokio::time::sleep(Duration::from_millis(1 + crate::random(20) as u64)).await;
    Ok(Receipt { receipt: (crate::random(1 << 53)) as u64 })
}

/// What an errand does, one after the other; before [`GOES_ON`] it waits until it is told to.
pub const EFFECTS: [(&str, Repeatable); 4] =
    [("pay", Repeatable::No), ("count", Repeatable::Yes), ("pay", Repeatable::No), ("count", Repeatable::Yes)];
const GOES_ON: usize = 2;

/// Gives the receipts of its effects.
async fn errand(witness: SocketAddr, cx: RunContext) -> Result<Vec<u64>, RunError> {
    let mut receipts = Vec::new();
    for (place, (tool, repeatable)) in EFFECTS.into_iter().enumerate() {
        if place == GOES_ON {
            cx.input().await;
        }
        let key = place.to_string();
        let done = cx.effect(&key, repeatable, |key| async move {
            let done = effect(witness, tool, &key).await;
            done.map(|Receipt { receipt }| receipt).map_err(|error| RunError::failed(error.to_string()))
        });
        receipts.push(done.await?);
    }
    Ok(receipts)
}

/// Says that an effect begins, and waits until that is seen.
pub async fn tell(witness: SocketAddr, what: &str) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(witness).await?;
    stream.write_all(format!("{what}\n").as_bytes()).await?;
    stream.read_exact(&mut [0]).await.map(drop)
}

/// A server that breaks a promise, so that the check can be checked.
fn sabotaged(bundled: Bundled, name: Option<&str>) -> Bundled {
    let mut stores = bundled.stores().clone();
    match name {
        Some("early-ack") => stores.ledger = Arc::new(EarlyAck::of(stores.ledger)),
        Some("no-fence") => stores.ledger = Arc::new(NoFence(stores.ledger)),
        Some("no-dedup") => {
            stores.idempotency = Arc::new(NoDedup(stores.idempotency));
            stores.ledger = Arc::new(Changed(stores.ledger, no_answer));
        }
        Some("forget") => stores.ledger = Arc::new(Changed(stores.ledger, no_decision)),
        Some("garble") => stores.ledger = Arc::new(Changed(stores.ledger, garbled)),
        _ => return bundled,
    }
    bundled.server(|builder| builder.stores(stores))
}

/// Acknowledges what it has not written yet. It writes in the order in which it was told: what is broken is this promise alone.
struct EarlyAck {
    ledger: Arc<dyn Ledger>,
    late: UnboundedSender<(Instant, Vec<Entry>)>,
}

impl EarlyAck {
    fn of(ledger: Arc<dyn Ledger>) -> Self {
        let (late, mut told) = mpsc::unbounded_channel::<(Instant, Vec<Entry>)>();
        let written = ledger.clone();
        tokio::spawn(async move {
            while let Some((at, entries)) = told.recv().await {
                tokio::time::sleep_until(at + Duration::from_millis(50)).await;
                // They are taken at once, and the next ones come behind them.
                tokio::spawn(written.commit(entries));
            }
        });
        Self { ledger, late }
    }
}

impl Ledger for EarlyAck {
    fn commit(&self, entries: Vec<Entry>) -> BoxFuture<'static, Result<(), StoreError>> {
        // Where nobody writes any more, the process ends.
        let _ = self.late.send((Instant::now(), entries));
        std::future::ready(Ok(())).boxed()
    }

    fn admit(&self) -> Result<(), StoreError> {
        self.ledger.admit()
    }
}

/// Goes on as if nobody else had taken over.
struct NoFence(Arc<dyn Ledger>);

impl Ledger for NoFence {
    fn commit(&self, entries: Vec<Entry>) -> BoxFuture<'static, Result<(), StoreError>> {
        let committed = self.0.commit(entries);
        async move {
            match committed.await {
                Err(StoreError::Conflict { .. }) => Ok(()),
                done => done,
            }
        }
        .boxed()
    }

    fn admit(&self) -> Result<(), StoreError> {
        self.0.admit()
    }
}

/// Takes each call for the first under its key.
struct NoDedup(Arc<dyn Idempotency>);

#[async_trait]
impl Idempotency for NoDedup {
    async fn claim(&self, _: &CallKey, _: &Claim) -> Result<Claimed, StoreError> {
        Ok(Claimed::First)
    }

    async fn release(&self, key: &CallKey, owner: CallId, begun: bool) -> Result<(), StoreError> {
        self.0.release(key, owner, begun).await
    }

    async fn prune(&self, age: Duration, limit: u16) -> Result<u64, StoreError> {
        self.0.prune(age, limit).await
    }

    async fn prune_surplus(&self, most: u64, limit: u16) -> Result<u64, StoreError> {
        self.0.prune_surplus(most, limit).await
    }

    async fn erase(&self, tenant: &Tenant, principal: &Principal, limit: u16) -> Result<u64, StoreError> {
        self.0.erase(tenant, principal, limit).await
    }
}

/// Writes something else than what it is to write.
struct Changed(Arc<dyn Ledger>, fn(Entry) -> Option<Entry>);

impl Ledger for Changed {
    fn commit(&self, entries: Vec<Entry>) -> BoxFuture<'static, Result<(), StoreError>> {
        self.0.commit(entries.into_iter().filter_map(self.1).collect())
    }

    fn admit(&self) -> Result<(), StoreError> {
        self.0.admit()
    }
}

/// Keeps no answers for those who come again.
fn no_answer(entry: Entry) -> Option<Entry> {
    (!matches!(entry, Entry::Answer(_))).then_some(entry)
}

/// Keeps nothing of what agents decide.
fn no_decision(entry: Entry) -> Option<Entry> {
    let is_decision = |step: &Step| step.kind == StepKind::Noted && step.key.starts_with("turn.");
    (!matches!(&entry, Entry::Step { step, .. } if is_decision(step))).then_some(entry)
}

/// Keeps something else of what tools gave.
fn garbled(mut entry: Entry) -> Option<Entry> {
    if let Entry::Step { step, .. } = &mut entry
        && step.kind == StepKind::Done
    {
        step.body = r#"{"output":{"content":[{"type":"text","text":"something else"}]}}"#.into();
    }
    Some(entry)
}

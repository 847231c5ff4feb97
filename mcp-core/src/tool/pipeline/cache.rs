//! The stage that uses a result again, and lets callers who ask at once share one run.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use super::measure::{CacheUse, count};
use crate::caller::Tenant;
use crate::context::Context;
use crate::memory::lock;
use crate::tool::arguments::Arguments;
use crate::tool::error::ToolError;
use crate::tool::output::ToolOutput;
use crate::tool::registry::OfferedTool;
use crate::tool::spec::CachePolicy;

/// Answers from the cache, or calls the tool and keeps its result. A cache that fails is a cache that is empty.
pub(super) async fn call(
    policy: &CachePolicy,
    tool: &Arc<OfferedTool>,
    arguments: &Arguments,
    cx: &Context,
) -> Result<ToolOutput, ToolError> {
    let server = &cx.inner().server;
    let (cache, tenant) = (server.cache(), cx.caller().tenant());
    // Read before the tool looks at the data: see the promises of `Cache`.
    let Ok(version) = cache.version(tenant, &tag(policy.tag, cx)).await else {
        count(CacheUse::Miss, tool, cx);
        return super::uncached(tool, arguments, cx).await;
    };
    let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(arguments.as_bytes()));
    let key = format!("result\0{}\0{}\0{version:x}\0{digest}", cx.caller().principal(), tool.spec().name());
    let flight = server.flights().join((tenant.clone(), key.clone()));
    let mut own = None;
    let run = async || {
        if let Ok(Some(kept)) = cache.load(tenant, &key).await
            && let Ok(output) = ToolOutput::from_json(&kept)
        {
            count(CacheUse::Hit, tool, cx);
            own = Some(Ok(output));
            return Ok(Landed::Output(kept));
        }
        count(CacheUse::Miss, tool, cx);
        match super::uncached(tool, arguments, cx).await {
            // Whoever leaves does not take the others with it: one of them runs the tool then.
            Err(ToolError::Cancelled) => Err(ToolError::Cancelled),
            Err(error) => {
                let shared = Landed::Failed(share(&error));
                own = Some(Err(error));
                Ok(shared)
            }
            Ok(output) => {
                let json = output.to_json();
                if !output.is_error() {
                    // A cache that cannot keep it makes the next call slower, no more.
                    let _ = cache.store(tenant, &key, json.clone(), policy.lifetime).await;
                }
                own = Some(Ok(output));
                Ok(Landed::Output(json))
            }
        }
    };
    let landed = flight.cell.get_or_try_init(run).await?;
    if let Some(own) = own {
        return own;
    }
    count(CacheUse::Shared, tool, cx);
    match landed {
        Landed::Output(json) => Ok(ToolOutput::from_json(json)?),
        Landed::Failed(error) => Err(share(error)),
    }
}

/// What a call may change: when it has ended, and also when it is dropped in the middle, what was cached of it is not used again.
pub(super) struct Changes<'a> {
    tool: &'a Arc<OfferedTool>,
    cx: &'a Context,
    settled: bool,
}

impl<'a> Changes<'a> {
    pub(super) fn by(tool: &'a Arc<OfferedTool>, cx: &'a Context) -> Self {
        Self { tool, cx, settled: tool.spec().policy.invalidates.is_empty() }
    }

    pub(super) async fn settle(mut self) {
        if !self.settled {
            invalidate(self.tool, self.cx).await;
            self.settled = true;
        }
    }
}

impl Drop for Changes<'_> {
    fn drop(&mut self) {
        if !self.settled {
            let (tool, cx) = (self.tool.clone(), self.cx.clone());
            self.cx.inner().server.spawn(async move { invalidate(&tool, &cx).await });
        }
    }
}

async fn invalidate(tool: &OfferedTool, cx: &Context) {
    let cache = cx.inner().server.cache();
    for name in &tool.spec().policy.invalidates {
        if let Err(error) = cache.invalidate(cx.caller().tenant(), &tag(name, cx)).await {
            tracing::warn!(%error, tag = name, "a cache could not be told of a change");
        }
    }
}

/// Tags are a caller's own.
fn tag(name: &str, cx: &Context) -> String {
    format!("{}\0{name}", cx.caller().principal())
}

/// The same error for another caller. The cause stays with the first, whose log has it.
fn share(error: &ToolError) -> ToolError {
    match error {
        ToolError::Failed(message) => ToolError::Failed(message.clone()),
        ToolError::Arguments(faults) => ToolError::Arguments(faults.clone()),
        ToolError::TimedOut(after) => ToolError::TimedOut(*after),
        ToolError::Cancelled => ToolError::Cancelled,
        ToolError::Limited(limited) => ToolError::Limited(limited.clone()),
        ToolError::Key(error) => ToolError::Key(*error),
        ToolError::TooLarge { size, limit } => ToolError::TooLarge { size: *size, limit: *limit },
        ToolError::Incapable(capability) => ToolError::Incapable(*capability),
        ToolError::NeedsInput(required) => ToolError::NeedsInput(required.clone()),
        ToolError::Unavailable(cause) => ToolError::Unavailable(cause.to_string().into()),
        ToolError::Internal(cause) => ToolError::Internal(cause.to_string().into()),
    }
}

/// The runs that callers share at this moment; as many as there are calls under way at the most.
#[derive(Default)]
pub(crate) struct Flights(Mutex<HashMap<FlightKey, Shared>>);

type FlightKey = (Tenant, String);

#[derive(Default)]
struct Shared {
    cell: Arc<OnceCell<Landed>>,
    aboard: usize,
}

enum Landed {
    Output(Bytes),
    Failed(ToolError),
}

/// A seat in a run that callers share. With the last seat the run is forgotten.
struct Flight<'a> {
    flights: &'a Flights,
    key: FlightKey,
    cell: Arc<OnceCell<Landed>>,
}

impl Flights {
    fn join(&self, key: FlightKey) -> Flight<'_> {
        let mut flights = lock(&self.0);
        let shared = flights.entry(key.clone()).or_default();
        shared.aboard += 1;
        Flight { flights: self, key, cell: shared.cell.clone() }
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let mut flights = lock(&self.flights.0);
        if let Some(shared) = flights.get_mut(&self.key) {
            shared.aboard -= 1;
            if shared.aboard == 0 {
                flights.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_forgotten_with_its_last_seat_whoever_leaves_at_once() {
        let (flights, together) = (Flights::default(), std::sync::Barrier::new(2));
        std::thread::scope(|threads| {
            for _ in 0..2 {
                threads.spawn(|| {
                    for n in 0..5_000 {
                        let flight = flights.join((Tenant::from("t"), n.to_string()));
                        together.wait();
                        drop(flight);
                    }
                });
            }
        });
        assert!(lock(&flights.0).is_empty());
    }
}

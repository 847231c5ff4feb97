//! What is done that is no call of a tool, and recorded as if it were one: whoever changes who may do what, or what is offered, and
//! whoever is not let in. So it is in the history, in the chain and in an export as calls are, and goes when they go.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::caller::{Caller, Challenge};
use crate::context::Context;
use crate::memory::lock;
use crate::server::Server;
use crate::store::StoreError;
use crate::store::ledger::Outcome;
use crate::tool::output::ToolOutput;
use crate::tool::pipeline::Recording;

/// Something that somebody does.
pub(crate) struct Act {
    /// In one word; it is recorded behind [`PREFIX`].
    pub(crate) what: &'static str,
    /// To whom or what, and how: an object, without secrets.
    pub(crate) details: Value,
}

/// What the names of acts begin with, and those of tools cannot.
const PREFIX: &str = "act:";

/// Who is recorded where nobody knows who it was: no user can have the name.
pub(crate) const NOBODY: &str = "/unknown";

impl Act {
    fn begin(&self, cx: &Context) -> Result<Option<Recording>, StoreError> {
        let Some(ledger) = cx.inner().server.ledger() else { return Ok(None) };
        let details = Bytes::from(self.details.to_string());
        Recording::begin(ledger, format!("{PREFIX}{}", self.what), details, cx).map(Some)
    }
}

impl Server {
    /// Does what must be recorded. Where it cannot be, it is not begun; where its end cannot be, it has an error for an answer, though it may
    /// be done.
    pub(crate) async fn act<T, E: fmt::Display + From<StoreError>>(
        &self,
        caller: &Caller,
        act: Act,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let cx = Context::new(self.clone(), caller.clone(), None, None, None);
        let record = act.begin(&cx)?;
        let done = work.await;
        let Act { what, details } = act;
        let (tenant, by) = (caller.tenant(), caller.principal());
        let (outcome, result) = match &done {
            Ok(_) => {
                tracing::info!(%tenant, %by, act = what, %details, "it was done");
                (Outcome::Ok, ToolOutput::empty())
            }
            Err(error) => {
                tracing::info!(%tenant, %by, act = what, %details, %error, "it was not done");
                (Outcome::Error, ToolOutput::text(error.to_string()).as_error())
            }
        };
        if let Some(record) = record {
            record.end_as(outcome, result.to_json(), None).await?;
        }
        done
    }
}

/// Those who were not let in, in the last minute.
///
/// Whoever tries again and again is recorded once, and once more after a minute, with how often it was; and no more than so many of them
/// are told apart. So nobody fills the history from outside.
#[derive(Default)]
pub(crate) struct Rejected(Mutex<BTreeMap<Attempt, u64>>);

/// From where somebody came, and why they were not let in. `None` stands for all of whom there is no room to tell.
type Attempt = Option<(Option<IpAddr>, String)>;

/// How many are told apart in a minute.
const TOLD_APART: usize = 100;

const MINUTE: Duration = Duration::from_secs(60);

impl Rejected {
    /// Notes another one, and tells whether it is the first of its kind, and the first of all.
    fn note(&self, attempt: (Option<IpAddr>, String)) -> (bool, bool) {
        let mut noted = lock(&self.0);
        let alone = noted.is_empty();
        let attempt = Some(attempt);
        if let Some(more) = noted.get_mut(&attempt) {
            *more += 1;
            return (false, false);
        }
        if noted.len() >= TOLD_APART {
            *noted.entry(None).or_default() += 1;
            return (false, false);
        }
        noted.insert(attempt, 0);
        (true, alone)
    }

    /// Those of whom more came than are recorded, and how many more.
    fn take(&self) -> impl Iterator<Item = (Attempt, u64)> + use<> {
        std::mem::take(&mut *lock(&self.0)).into_iter().filter(|(_, more)| *more > 0)
    }
}

impl Server {
    /// Records that a request was not let in, if it brought credentials. It does not wait for that.
    pub(crate) fn note_rejected(&self, address: Option<IpAddr>, challenge: &Challenge) {
        // Who brings none is told where to get some; and of whose credentials nothing is known, nothing is said.
        if matches!(challenge, Challenge::Missing(_) | Challenge::Unavailable(_)) {
            return;
        }
        let attempt = (address, challenge.to_string());
        let (is_new, is_first) = self.rejected().note(attempt.clone());
        if is_new {
            let address = address.map(tracing::field::display);
            tracing::warn!(address, why = attempt.1, "a request was not let in");
            let server = self.clone();
            self.spawn(async move { server.record_rejected(Some(attempt), 1).await });
        }
        if is_first {
            // It does not keep the server alive.
            let (server, clock) = (self.weak(), self.shared_clock());
            self.spawn(async move {
                clock.sleep(MINUTE).await;
                if let Some(server) = server() {
                    server.settle_rejected().await;
                }
            });
        }
    }

    /// Records how many more came than is recorded.
    pub(crate) async fn settle_rejected(&self) {
        for (attempt, more) in self.rejected().take() {
            self.record_rejected(attempt, more).await;
        }
    }

    async fn record_rejected(&self, attempt: Attempt, times: u64) {
        let (address, why) = attempt.unwrap_or_else(|| (None, "others were not let in either".to_owned()));
        let caller = Caller::new("default", NOBODY).from_address(address);
        let cx = Context::new(self.clone(), caller, None, None, None);
        let act = Act { what: "authenticate", details: json!({"times": times}) };
        let recorded = async {
            let Some(record) = act.begin(&cx)? else { return Ok(()) };
            record.end_as(Outcome::Error, ToolOutput::text(why).as_error().to_json(), None).await
        };
        if let Err(error) = recorded.await {
            tracing::warn!(error = &error as &dyn std::error::Error, "it is not recorded who was not let in");
        }
    }
}

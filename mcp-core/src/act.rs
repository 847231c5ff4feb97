//! What is done that is no call of a tool, and recorded as if it were one: whoever changes who may do what, or what is offered, and
//! whoever is not let in, or not to something. So it is in the history, in the chain and in an export as calls are, and goes when they go.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::caller::{Caller, Challenge, Principal, Tenant};
use crate::catalog::Unseen;
use crate::context::Context;
use crate::memory::lock;
use crate::policy::InsufficientScope;
use crate::server::Server;
use crate::store::StoreError;
use crate::store::history::CallQuery;
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

impl CallQuery {
    /// The records of what was done that is no call of a tool, such as `create_user`.
    pub fn of_act(what: &str) -> Self {
        Self { tool: Some(format!("{PREFIX}{what}")), ..Self::default() }
    }
}

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
    /// Does what somebody does with what the server keeps, from beside it, such as on a command line, and records it as `act:` and `what`, in
    /// one word: with `details`, an object without secrets, and how it ended. Where that cannot be recorded, it is not begun; where its end
    /// cannot be, it has an error for an answer, though it may be done.
    ///
    /// Dropping the future drops the work, and records that it was cancelled.
    ///
    /// # Errors
    /// What the work gives; [`StoreError`] where it cannot be recorded.
    pub async fn administer<T, E: fmt::Display + From<StoreError>>(
        &self,
        caller: &Caller,
        (what, details): (&'static str, Value),
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.act(caller, Act { what, details }, work).await
    }

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

/// Those who were refused in the last minute: who were not let in, or not to something.
///
/// Whoever tries again and again is recorded once, and once more after a minute, with how often it was; and no more than so many of them
/// are told apart. So nobody fills the history by what they may not.
pub(crate) struct Rejected {
    /// What they tried, as the name of an act.
    what: &'static str,
    noted: Mutex<BTreeMap<Option<Attempt>, u64>>,
}

/// Who tried, from where, and why they were refused. `None`, in place of one, stands for all of whom there is no room to tell.
type Attempt = (Tenant, Principal, Option<IpAddr>, String);

/// How many are told apart in a minute.
const TOLD_APART: usize = 100;

const MINUTE: Duration = Duration::from_secs(60);

impl Rejected {
    pub(crate) fn new(what: &'static str) -> Self {
        Self { what, noted: Mutex::default() }
    }

    /// Notes another one, and tells whether it is the first of its kind, and the first of all.
    fn note(&self, attempt: Attempt) -> (bool, bool) {
        let mut noted = lock(&self.noted);
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
    fn take(&self) -> impl Iterator<Item = (Option<Attempt>, u64)> + use<> {
        std::mem::take(&mut *lock(&self.noted)).into_iter().filter(|(_, more)| *more > 0)
    }
}

/// What is refused, each with a room of its own: strangers take none from those who are known.
pub(crate) struct Refusals {
    /// Who is not let in.
    strangers: Rejected,
    /// Who lacks the scopes for something.
    known: Rejected,
}

impl Default for Refusals {
    fn default() -> Self {
        Self { strangers: Rejected::new("authenticate"), known: Rejected::new("authorize") }
    }
}

impl Server {
    /// Records that a request was not let in, if it brought credentials. It does not wait for that.
    pub(crate) fn note_rejected(&self, address: Option<IpAddr>, challenge: &Challenge) {
        // Who brings none is told where to get some; and of whose credentials nothing is known, nothing is said.
        if matches!(challenge, Challenge::Missing(_) | Challenge::Unavailable(_)) {
            return;
        }
        let attempt = (Tenant::from("default"), Principal::from(NOBODY), address, challenge.to_string());
        self.note(|refusals| &refusals.strangers, attempt);
    }

    /// Records that a caller is refused something, if that is because they lack scopes for it. It does not wait for that.
    #[cold]
    pub(crate) fn noted(&self, caller: &Caller, unseen: Unseen) -> Unseen {
        if let Unseen::Lacking(lacking) = &unseen {
            self.note_lacking(caller, lacking);
        }
        unseen
    }

    /// Records that a caller lacks scopes for what they wanted. It does not wait for that.
    pub(crate) fn note_lacking(&self, caller: &Caller, lacking: &InsufficientScope) {
        let attempt = (caller.tenant().clone(), caller.principal().clone(), caller.address(), lacking.to_string());
        self.note(|refusals| &refusals.known, attempt);
    }

    fn note(&self, of: fn(&Refusals) -> &Rejected, attempt: Attempt) {
        let rejected = of(self.refusals());
        let (is_new, is_first) = rejected.note(attempt.clone());
        if is_new {
            let (tenant, by, address, why) = &attempt;
            let address = address.map(tracing::field::display);
            tracing::warn!(%tenant, %by, address, why, act = rejected.what, "a request was refused");
            let server = self.clone();
            self.spawn(async move { server.record_rejected(of, Some(attempt), 1).await });
        }
        if is_first {
            // It does not keep the server alive.
            let (server, clock) = (self.weak(), self.shared_clock());
            self.spawn(async move {
                clock.sleep(MINUTE).await;
                if let Some(server) = server() {
                    server.settle(of).await;
                }
            });
        }
    }

    /// Records how many more were refused than is recorded.
    pub(crate) async fn settle_refusals(&self) {
        self.settle(|refusals| &refusals.strangers).await;
        self.settle(|refusals| &refusals.known).await;
    }

    async fn settle(&self, of: fn(&Refusals) -> &Rejected) {
        for (attempt, more) in of(self.refusals()).take() {
            self.record_rejected(of, attempt, more).await;
        }
    }

    async fn record_rejected(&self, of: fn(&Refusals) -> &Rejected, attempt: Option<Attempt>, times: u64) {
        let others =
            || (Tenant::from("default"), Principal::from(NOBODY), None, "others were not let in either".to_owned());
        let (tenant, principal, address, why) = attempt.unwrap_or_else(others);
        let cx = Context::new(self.clone(), Caller::new(tenant, principal).from_address(address), None, None, None);
        let act = Act { what: of(self.refusals()).what, details: json!({"times": times}) };
        let recorded = async {
            let Some(record) = act.begin(&cx)? else { return Ok(()) };
            record.end_as(Outcome::Error, ToolOutput::text(why).as_error().to_json(), None).await
        };
        if let Err(error) = recorded.await {
            tracing::warn!(error = &error as &dyn std::error::Error, "it is not recorded who was refused");
        }
    }
}

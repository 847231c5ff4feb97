//! All that is kept of somebody, a line each.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::super::{Caller, Principal, Tenant};
use super::{CallerBooks, CallerDesk, CallerError, is_admin, may_name, may_touch};
use crate::act::Act;
use crate::clock::{Timestamp, millis};
use crate::store::StoreError;
use crate::store::api_keys::{ApiKey, KeyId};
use crate::store::history::CallQuery;
use crate::store::ledger::{CallId, CallRecord};
use crate::store::principals::User;
use crate::store::runs::{RunId, RunQuery, RunRecord, StepRecord};
use crate::store::sessions::{SessionInfo, Sessions};
use crate::store::threads::{Place, ThreadId};

/// Lines of JSON, several at once. After an error nothing comes.
pub type Lines = BoxStream<'static, Result<Bytes, StoreError>>;

/// How many records are read at once.
const PAGE: u16 = 20;

impl CallerDesk<'_> {
    /// All that is kept of somebody, for administrators of their tenant and for themselves, as lines of JSON: each an object whose `type`
    /// is `user`, `key` (without its hash), `call`, `thread`, `message`, `note`, `run`, `step`, `input`, `file` (without its bytes), `session` or
    /// `protocol_session`; and one of the type `end` at last, without which it is not all. What changes meanwhile may be in it or not.
    ///
    /// # Errors
    /// [`CallerError`].
    pub async fn export_user(&self, caller: &Caller, principal: &Principal) -> Result<Lines, CallerError> {
        let work = async {
            if principal != caller.principal() {
                if !is_admin(caller) {
                    return Err(CallerError::UnknownUser);
                }
                may_name(caller, principal)?;
            }
            let user = self.books().principals.user(caller.tenant(), principal).await?;
            if let Some(user) = &user {
                may_touch(caller, user)?;
            }
            let whose = Whose { tenant: caller.tenant().clone(), principal: principal.clone() };
            Ok(lines(self.books().clone(), Arc::new(whose), user))
        };
        let details = json!({"user": principal.as_str()});
        self.server.act(caller, Act { what: "export_user", details }, work).await
    }
}

struct Whose {
    tenant: Tenant,
    principal: Principal,
}

/// One record.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line {
    User {
        principal: String,
        display_name: String,
        roles: BTreeSet<String>,
        disabled: bool,
        created: Timestamp,
    },
    Key {
        name: String,
        roles: BTreeSet<String>,
        scopes: BTreeSet<String>,
        created: Timestamp,
        expires: Option<Timestamp>,
        revoked: Option<Timestamp>,
        used: Option<Timestamp>,
        id: KeyId,
        replaces: Option<KeyId>,
    },
    Call {
        tool: String,
        outcome: &'static str,
        at: Timestamp,
        duration_ms: f64,
        waited_ms: f64,
        arguments: Option<Box<RawValue>>,
        result: Option<Box<RawValue>>,
        /// Where it came from.
        address: Option<IpAddr>,
        id: CallId,
        parent: Option<CallId>,
    },
    Thread {
        title: String,
        created: Timestamp,
        id: String,
    },
    Message {
        role: String,
        text: String,
        at: Timestamp,
        id: String,
        thread: String,
    },
    Note {
        name: String,
        text: String,
        written: Timestamp,
    },
    Run {
        kind: String,
        state: &'static str,
        at: Timestamp,
        ended: Option<Timestamp>,
        arguments: Option<Box<RawValue>>,
        result: Option<Box<RawValue>>,
        id: RunId,
        parent: Option<RunId>,
    },
    Step {
        number: u32,
        epoch: u64,
        kind: &'static str,
        key: String,
        at: Timestamp,
        value: Option<Box<RawValue>>,
        run: RunId,
    },
    Input {
        by: String,
        at: Timestamp,
        value: Option<Box<RawValue>>,
        id: String,
        run: RunId,
    },
    File {
        name: String,
        content_type: String,
        size: u64,
        hash: String,
        written: Timestamp,
    },
    Session(Session),
    ProtocolSession(Session),
    End {
        /// How many there are before this one.
        lines: u64,
    },
}

#[derive(Serialize)]
struct Session {
    handle: String,
    created: Timestamp,
    used: Timestamp,
    bytes: usize,
}

/// Some lines, and where to go on.
type Part<C> = Result<(Vec<Line>, Option<C>), StoreError>;

type Reading<C> = BoxFuture<'static, Part<C>>;

fn lines(books: CallerBooks, whose: Arc<Whose>, user: Option<User>) -> Lines {
    let user = stream::iter(user.map(|user| Ok(vec![user.into()]))).boxed();
    let all = user
        .chain(parts(&books, &whose, keys))
        .chain(parts(&books, &whose, calls))
        .chain(parts(&books, &whose, messages))
        .chain(parts(&books, &whose, notes))
        .chain(parts(&books, &whose, runs))
        .chain(parts(&books, &whose, files))
        .chain(parts(&books, &whose, sessions))
        .map(|part| part.map(Some))
        .chain(stream::iter([Ok(None)]));
    let count = |count: &mut u64, part: Result<Option<Vec<Line>>, StoreError>| {
        let part = part.map(|part| part.unwrap_or_else(|| vec![Line::End { lines: *count }]));
        *count += part.as_ref().map_or(0, |part| part.len() as u64);
        std::future::ready(Some(part))
    };
    let all = all.scan(0, count).try_filter(|part| std::future::ready(!part.is_empty()));
    // What ends by an error has no end.
    let whole = all.scan(false, |failed, part| {
        let part = (!*failed).then_some(part);
        *failed |= matches!(part, Some(Err(_)));
        std::future::ready(part)
    });
    whole.map_ok(|part| encode(&part)).boxed()
}

/// All parts of one kind, one after the other.
fn parts<C: Send + 'static>(
    books: &CallerBooks,
    whose: &Arc<Whose>,
    part: fn(CallerBooks, Arc<Whose>, Option<C>) -> Reading<C>,
) -> BoxStream<'static, Result<Vec<Line>, StoreError>> {
    let (books, whose) = (books.clone(), whose.clone());
    let next = move |from: Option<Option<C>>| {
        let part = from.map(|from| part(books.clone(), whose.clone(), from));
        async move {
            let Some(part) = part else { return Ok(None) };
            let (lines, next) = part.await?;
            Ok(Some((lines, next.map(Some))))
        }
    };
    stream::try_unfold(Some(None), next).boxed()
}

/// Where to go on after a page: behind its last record, unless that was not full.
fn behind<T, C>(page: &[T], last: impl FnOnce(&T) -> C) -> Option<C> {
    page.last().filter(|_| page.len() == usize::from(PAGE)).map(last)
}

fn keys(books: CallerBooks, whose: Arc<Whose>, after: Option<KeyId>) -> Reading<KeyId> {
    async move {
        let page = books.api_keys.keys(&whose.tenant, Some(&whose.principal), after, PAGE).await?;
        let next = behind(&page, |key| key.id);
        Ok((page.into_iter().map(Line::from).collect(), next))
    }
    .boxed()
}

fn calls(books: CallerBooks, whose: Arc<Whose>, before: Option<CallId>) -> Reading<CallId> {
    async move {
        let query = CallQuery { principal: Some(whose.principal.clone()), before, limit: PAGE, ..CallQuery::default() };
        let page = books.history.calls(&whose.tenant, &query).await?;
        let next = behind(&page, |call| call.id);
        Ok((page.into_iter().map(Line::from).collect(), next))
    }
    .boxed()
}

/// A thread, or some of its messages: the last thread that was told, and where in it to go on.
type InThread = (ThreadId, Option<Option<Place>>);

fn messages(books: CallerBooks, whose: Arc<Whose>, from: Option<InThread>) -> Reading<InThread> {
    async move {
        let (threads, Whose { tenant, principal }) = (&books.threads, &*whose);
        if let Some((thread, Some(after))) = from {
            let page = threads.messages(tenant, principal, thread, after, PAGE).await?;
            let next = behind(&page, |placed| placed.place);
            let line = |placed: crate::store::threads::Placed| Line::Message {
                role: placed.message.role,
                text: placed.message.text,
                at: placed.message.at,
                id: placed.message.id.to_string(),
                thread: thread.to_string(),
            };
            return Ok((page.into_iter().map(line).collect(), Some((thread, next.map(Some)))));
        }
        let thread = threads.list(tenant, principal, from.map(|(thread, _)| thread), 1).await?.pop();
        let next = thread.as_ref().map(|thread| (thread.id, Some(None)));
        let line = |thread: crate::store::threads::Thread| Line::Thread {
            title: thread.title,
            created: thread.created,
            id: thread.id.to_string(),
        };
        Ok((thread.into_iter().map(line).collect(), next))
    }
    .boxed()
}

fn notes(books: CallerBooks, whose: Arc<Whose>, after: Option<String>) -> Reading<String> {
    async move {
        let page = books.notes.list(&whose.tenant, &whose.principal, after.as_deref(), PAGE).await?;
        let next = behind(&page, |note| note.name.clone());
        let line =
            |note: crate::store::notes::Note| Line::Note { name: note.name, text: note.text, written: note.written };
        Ok((page.into_iter().map(line).collect(), next))
    }
    .boxed()
}

/// A run, or some of what was recorded in it: the last run that was told, and where in it to go on.
type InRun = (RunId, Option<Within>);

#[derive(Clone, Copy)]
enum Within {
    Steps(u32),
    Inputs(u32),
}

fn runs(books: CallerBooks, whose: Arc<Whose>, from: Option<InRun>) -> Reading<InRun> {
    async move {
        let (runs, tenant) = (&books.runs, &whose.tenant);
        if let Some((run, Some(Within::Inputs(from)))) = from {
            let page = runs.inputs(tenant, run, from, PAGE).await?;
            let next = behind(&page, |_| Within::Inputs(from.saturating_add(PAGE.into())));
            let line = |input: crate::store::runs::Input| Line::Input {
                by: input.principal.to_string(),
                at: input.at,
                value: raw(&input.body),
                id: input.id.to_string(),
                run,
            };
            return Ok((page.into_iter().map(line).collect(), Some((run, next))));
        }
        if let Some((run, Some(Within::Steps(from)))) = from {
            let page = runs.steps(tenant, run, from, PAGE).await?;
            let next = behind(&page, |record| Within::Steps(record.step.number.saturating_add(1)));
            let next = next.unwrap_or(Within::Inputs(0));
            let line = |StepRecord { epoch, step }| Line::Step {
                epoch,
                number: step.number,
                kind: step.kind.as_str(),
                key: step.key,
                at: step.at,
                value: raw(&step.body),
                run,
            };
            return Ok((page.into_iter().map(line).collect(), Some((run, Some(next)))));
        }
        let before = from.map(|(run, _)| run);
        let query = RunQuery { principal: Some(whose.principal.clone()), before, limit: 1, ..RunQuery::default() };
        let run = runs.runs(tenant, &query).await?.pop();
        let next = run.as_ref().map(|run| (run.id, Some(Within::Steps(0))));
        Ok((run.into_iter().map(Line::from).collect(), next))
    }
    .boxed()
}

fn files(books: CallerBooks, whose: Arc<Whose>, after: Option<String>) -> Reading<String> {
    async move {
        let Some(files) = &books.files else { return Ok((Vec::new(), None)) };
        let page = files.list(&whose.tenant, &whose.principal, "", after.as_deref(), PAGE).await?;
        let next = behind(&page, |file| file.name.clone());
        let line = |file: crate::store::files::File| Line::File {
            name: file.name,
            content_type: file.content_type,
            size: file.size,
            hash: file.hash.to_string(),
            written: file.written,
        };
        Ok((page.into_iter().map(line).collect(), next))
    }
    .boxed()
}

/// They are so few that they are told at once.
fn sessions(books: CallerBooks, whose: Arc<Whose>, _: Option<()>) -> Reading<()> {
    async move {
        let list = async |room: &dyn Sessions| room.list(&whose.tenant, &whose.principal).await;
        let mut lines: Vec<_> = list(&*books.sessions).await?.into_iter().map(|of| Line::Session(of.into())).collect();
        lines.extend(list(&*books.protocol_sessions).await?.into_iter().map(|of| Line::ProtocolSession(of.into())));
        Ok((lines, None))
    }
    .boxed()
}

fn encode(lines: &[Line]) -> Bytes {
    let mut text = Vec::new();
    for line in lines {
        // Each is made of what becomes JSON.
        if serde_json::to_writer(&mut text, line).is_ok() {
            text.push(b'\n');
        }
    }
    text.into()
}

/// Stored JSON as it was stored.
fn raw(json: &[u8]) -> Option<Box<RawValue>> {
    serde_json::from_slice(json).ok()
}

impl From<User> for Line {
    fn from(user: User) -> Self {
        let User { principal, display_name, disabled, created, roles } = user;
        Self::User { principal: principal.to_string(), display_name, roles, disabled, created }
    }
}

impl From<ApiKey> for Line {
    fn from(key: ApiKey) -> Self {
        let ApiKey { id, name, scopes, roles, created, expires, revoked, used, replaces, .. } = key;
        let replaces = replaces.map(|replaced| replaced.key);
        Self::Key { name, roles, scopes, created, expires, revoked, used, id, replaces }
    }
}

impl From<CallRecord> for Line {
    fn from(call: CallRecord) -> Self {
        Self::Call {
            tool: call.tool,
            outcome: call.outcome.as_str(),
            at: call.at,
            duration_ms: millis(call.duration),
            waited_ms: millis(call.waited),
            arguments: raw(&call.arguments),
            result: raw(&call.result),
            address: call.address,
            id: call.id,
            parent: call.parent,
        }
    }
}

impl From<RunRecord> for Line {
    fn from(run: RunRecord) -> Self {
        Self::Run {
            kind: run.kind,
            state: run.state.as_str(),
            at: run.at,
            ended: run.ended,
            arguments: raw(&run.arguments),
            result: raw(&run.result),
            id: run.id,
            parent: run.parent,
        }
    }
}

impl From<SessionInfo> for Session {
    fn from(SessionInfo { handle, created, used, bytes }: SessionInfo) -> Self {
        Self { handle, created, used, bytes }
    }
}

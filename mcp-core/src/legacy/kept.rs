//! Streams that are taken up again (2025-11-25, basic/transports, "Resumability and Redelivery"): what is said on one is kept for a
//! while in the cache, where any replica finds it.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use futures_util::stream::{self, BoxStream};
use tokio::sync::mpsc;

use super::mail::UnderWay;
use super::peer::Peer;
use super::session::Session;
use crate::caller::{Caller, Tenant};
use crate::context::Context;
use crate::endpoint::stream::{KEEP_ALIVE, Piece, frame};
use crate::jsonrpc;
use crate::protocol::encoding;
use crate::protocol::errors::{RpcError, invalid};
use crate::server::{ListenerGuard, Server};
use crate::store::events::{Event, Listener, Topic};

/// The header by which a client says what it has read.
pub(super) const HEADER: &str = "last-event-id";

/// What the ids of events begin with that are of no call. Nothing is kept of these: who comes back is told of everything.
const LISTENING: &str = "listen";

/// How long an event is kept.
const LIFETIME: Duration = Duration::from_secs(5 * 60);

/// How many pieces wait for a client that does not read, before it is taken for one that will come back.
const WAITING: usize = 64;

/// After how many keep-alives that did not come a call is taken for dead.
const SILENCE: u32 = 3;

/// After how many milliseconds a client comes back that was let go.
const RETRY: u32 = 1000;

/// A request of a client with a session, of which a stream is kept if its answer becomes one.
pub(crate) struct InSession {
    /// As long as it lives, the client can end the call.
    _under_way: UnderWay,
    cx: Context,
    session: String,
    /// The request's id as JSON text.
    request: String,
    /// Whether the client knows of streams that end before their answer.
    polls: bool,
}

/// The events of one stream. Each is written once, and never changes.
struct Kept {
    tenant: Tenant,
    /// What all keys of its events begin with.
    key: String,
    /// What all ids of its events begin with.
    id: String,
}

impl Kept {
    fn new(tenant: &Tenant, session: &str, id: &str) -> Self {
        Self { tenant: tenant.clone(), key: format!("stream {session} {id}"), id: id.to_owned() }
    }

    fn topic(&self) -> Topic {
        Topic::of(&self.tenant, self.key.as_str())
    }

    /// Keeps an event under its number; the one with the number 0 is the request's id.
    async fn keep(&self, server: &Server, number: u64, mark: u8, message: &[u8]) {
        let value = [&[mark], message].concat();
        let kept = server.cache().store(&self.tenant, &format!("{} {number}", self.key), value.into(), LIFETIME).await;
        if let Err(error) = kept {
            tracing::debug!(%error, "an event of a stream is not kept");
        }
    }

    async fn load(&self, server: &Server, number: u64) -> Option<Bytes> {
        // What cannot be loaded now may be at the next look.
        server.cache().load(&self.tenant, &format!("{} {number}", self.key)).await.ok().flatten()
    }

    /// Tells whoever has taken the stream up how far it has come; a hint.
    async fn tell(&self, server: &Server, latest: u64) {
        let _ = server.mail().events().publish(&self.topic(), latest.to_string().into()).await;
    }

    fn event(&self, out: &mut Vec<u8>, number: u64, message: &[u8]) {
        event(out, &self.id, number, message);
    }
}

/// Writes a message as an event of a stream, by whose id a client says that it has read it.
fn event(out: &mut Vec<u8>, stream: &str, number: u64, message: &[u8]) {
    out.extend_from_slice(format!("id: {stream}.{number}\n").as_bytes());
    frame(out, message);
}

/// Marks of what is kept: an event behind which others come, and the last one.
const MORE: u8 = b'+';
const LAST: u8 = b'.';

impl InSession {
    pub(super) fn new(server: &Server, session: &Session, request: &str, cx: &Context) -> Self {
        Self {
            _under_way: server.mail().begin(&session.handle, request, cx.clone()),
            cx: cx.clone(),
            session: session.handle.clone(),
            request: request.to_owned(),
            polls: session.peer.polls(),
        }
    }

    /// Carries what a call says to its client, and goes on when that has left. A client that does not read is one that comes back.
    pub(crate) fn carry(self, server: &Server, mut pieces: BoxStream<'static, Piece>) -> BoxStream<'static, Bytes> {
        let (client, mut frames) = mpsc::channel(WAITING);
        let (running, carrying) = (server.count_running(), server.clone());
        server.spawn(async move {
            // All of it: the call is under way as long as it is carried.
            let Self { _under_way, cx, session, request, polls } = self;
            let kept = Kept::new(cx.caller().tenant(), &session, &cx.call_id().to_string());
            let (server, mut client) = (carrying, Some(client));
            kept.keep(&server, 0, MORE, request.as_bytes()).await;
            let mut frames = if polls { primer(&kept.id, 0) } else { Vec::new() };
            let mut latest = 0;
            while let Some(piece) = pieces.next().await {
                for (n, message) in piece.messages.iter().enumerate() {
                    latest += 1;
                    let is_last = piece.is_last && n + 1 == piece.messages.len();
                    kept.keep(&server, latest, if is_last { LAST } else { MORE }, message).await;
                    kept.event(&mut frames, latest, message);
                }
                if frames.is_empty() {
                    frames.extend_from_slice(KEEP_ALIVE);
                }
                kept.tell(&server, latest).await;
                let sent = client.as_ref().map(|client| client.try_send(Bytes::from(std::mem::take(&mut frames))));
                let leaves = piece.release && polls && !piece.is_last;
                if leaves || !matches!(sent, Some(Ok(()))) {
                    client = None;
                }
                frames.clear();
            }
            drop(running);
        });
        stream::poll_fn(move |task| frames.poll_recv(task)).boxed()
    }
}

/// An event without data, by which a client knows from where on to ask, and when.
pub(super) fn primer(stream: &str, number: u64) -> Vec<u8> {
    format!("id: {stream}.{number}\nretry: {RETRY}\ndata:\n\n").into_bytes()
}

/// What a client wants to go on with.
pub(super) enum TakenUp {
    /// To be told of changes.
    Listening,
    /// The events of a call, behind this one.
    Call(String, u64),
}

impl TakenUp {
    /// Reads the id of the last event that a client has seen.
    pub(super) fn read(id: &str) -> Result<Self, RpcError> {
        let parts = id.rsplit_once('.').and_then(|(stream, number)| Some((stream, number.parse().ok()?)));
        match parts {
            Some((LISTENING, _)) => Ok(Self::Listening),
            Some((stream, number)) if stream.len() <= 64 => Ok(Self::Call(stream.to_owned(), number)),
            _ => Err(gone()),
        }
    }
}

/// Writes an event that is of no call.
pub(super) fn listening_event(out: &mut Vec<u8>, server: &Server, message: &[u8]) {
    event(out, LISTENING, moment(server), message);
}

/// A number that grows from one event to a later one, on whichever replica.
fn moment(server: &Server) -> u64 {
    server.clock().now().as_micros().unsigned_abs()
}

/// The first frames of a stream on which changes are told.
pub(super) fn listening(server: &Server, peer: &Peer) -> Vec<u8> {
    if peer.polls() { primer(LISTENING, moment(server)) } else { KEEP_ALIVE.to_vec() }
}

/// A stream that is read on.
struct Reading {
    server: Server,
    kept: Kept,
    request: String,
    heard: Listener,
    next: u64,
    /// The last event that is known to be kept.
    latest: u64,
    quiet: u32,
    keep_alive: Duration,
    ended: bool,
    _counted: ListenerGuard,
}

/// Reads a stream of this session on, behind the event with the number `after`.
pub(super) async fn read_on(
    server: &Server,
    caller: &Caller,
    session: &Session,
    (stream, after): (String, u64),
    keep_alive: Duration,
) -> Result<BoxStream<'static, Bytes>, RpcError> {
    let kept = Kept::new(caller.tenant(), &session.handle, &stream);
    let busy =
        || RpcError::new(503, jsonrpc::INTERNAL_ERROR, "the stream cannot be read at the moment; try again later");
    let counted = server.count_listener(caller)?;
    let request = kept.load(server, 0).await.ok_or_else(gone)?;
    let request = String::from_utf8_lossy(request.get(1..).unwrap_or_default()).into_owned();
    let heard = server.mail().events().subscribe(&kept.topic()).await.map_err(|_| busy())?;
    let reading = Reading {
        server: server.clone(),
        kept,
        request,
        heard,
        next: after.saturating_add(1),
        latest: 0,
        quiet: 0,
        keep_alive,
        ended: false,
        _counted: counted,
    };
    let frames = stream::unfold(reading, async |mut reading| Some((reading.read().await?, reading)));
    Ok(stream::once(std::future::ready(Bytes::from_static(KEEP_ALIVE))).chain(frames).boxed())
}

impl Reading {
    /// The next frames; `None` at the end.
    async fn read(&mut self) -> Option<Bytes> {
        loop {
            if self.ended {
                return None;
            }
            if let Some(event) = self.kept.load(&self.server, self.next).await {
                let (mark, message) = event.split_first()?;
                let mut frames = Vec::new();
                self.kept.event(&mut frames, self.next, message);
                self.next += 1;
                self.ended = *mark == LAST;
                return Some(frames.into());
            }
            if self.latest >= self.next || self.quiet >= SILENCE {
                return Some(self.lost());
            }
            let closing = pin!(self.server.closing().cancelled());
            let told = pin!(select(self.heard.next(), closing));
            match select(told, self.server.clock().sleep(self.keep_alive)).await {
                Either::Left((Either::Left((Some(Event::Told(latest)), _)), _)) => {
                    self.quiet = 0;
                    self.latest = std::str::from_utf8(&latest).ok()?.parse().ok()?;
                    if self.latest < self.next {
                        return Some(Bytes::from_static(KEEP_ALIVE));
                    }
                }
                Either::Left((Either::Left((Some(Event::Missed), _)), _)) => {}
                // The server ends, and so does the stream.
                Either::Left(_) => return None,
                Either::Right(_) => {
                    self.quiet += 1;
                    return Some(Bytes::from_static(KEEP_ALIVE));
                }
            }
        }
    }

    /// Nobody waits for ever: what is lost is an error.
    fn lost(&mut self) -> Bytes {
        self.ended = true;
        let what = "the rest of this answer is not kept any more; send the request again";
        let error = RpcError::new(200, jsonrpc::INTERNAL_ERROR, what);
        let mut frames = Vec::new();
        self.kept.event(&mut frames, self.next, &encoding::error(Some(&self.request), &error));
        frames.into()
    }
}

fn gone() -> RpcError {
    let what =
        "the header `Last-Event-ID` names no event of this session that is kept; leave it out to listen to what is new";
    RpcError { status: 400, ..invalid(what) }
}

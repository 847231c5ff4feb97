//! A server at the end of one channel of messages, such as the standard streams of a process (basic/transports/stdio).

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use futures_util::stream::{BoxStream, unfold};
use tokio::sync::{Semaphore, mpsc};

use crate::ask::in_place::Answers;
use crate::call::Call;
use crate::caller::Caller;
use crate::context::{Cancellation, Outbox};
use crate::dispatch::{self, Exchange, Reply};
use crate::endpoint::rules;
use crate::jsonrpc::reader::Raw;
use crate::jsonrpc::{self, Message, Request};
use crate::legacy::peer::Peer;
use crate::memory::lock;
use crate::protocol::encoding::{self, Encoding, Outcome};
use crate::protocol::errors::RpcError;
use crate::protocol::listen::{Filter, Subscription};
use crate::protocol::version::Era;
use crate::server::Server;

/// How many requests of one connection are answered at once; with more, [`Connection::receive`] waits.
const MOST_REQUESTS: usize = 256;

/// How many messages wait for a client that does not read, before its requests wait as well.
const MOST_WAITING: usize = 256;

/// A server at the end of one channel of messages, in every era of the protocol. What comes from the client goes to
/// [`Connection::receive`]; what goes to the client comes out of the [`Outgoing`] that is made with it. Requests are answered beside
/// each other.
///
/// Dropping all clones is what a client does that leaves.
///
/// ```
/// use futures_util::StreamExt;
/// use mcp_core::connection::Connection;
/// use mcp_core::{Caller, Server};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), mcp_core::BuildError> {
/// let server = Server::builder("quiet", "1.0.0").build()?;
/// let (connection, mut outgoing) = Connection::new(server, Caller::new("default", "local"));
/// connection.receive(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#.into()).await;
/// assert_eq!(outgoing.next().await.as_deref(), Some(&br#"{"jsonrpc":"2.0","id":1,"result":{}}"#[..]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Connection(Arc<Inner>);

/// What goes to the client: messages, each without a line break. It ends when the connection and all that it has begun have.
pub type Outgoing = BoxStream<'static, Bytes>;

struct Inner {
    server: Server,
    caller: Caller,
    outgoing: mpsc::Sender<Bytes>,
    /// What is answered at this moment, by the ids of the requests as JSON text.
    under_way: Arc<UnderWay>,
    room: Arc<Semaphore>,
    peer: Mutex<Peer>,
    answers: Arc<Answers>,
    /// Whether an older client is told what has changed: once, however often it says that it is ready.
    tells_of_changes: AtomicBool,
    closed: Arc<Cancellation>,
}

type UnderWay = Mutex<HashMap<String, Arc<Cancellation>>>;

impl Connection {
    /// A connection of `server` with this caller.
    pub fn new(server: Server, caller: Caller) -> (Self, Outgoing) {
        let (outgoing, messages) = mpsc::channel(MOST_WAITING);
        let inner = Inner {
            server,
            caller,
            outgoing,
            under_way: Arc::default(),
            room: Arc::new(Semaphore::new(MOST_REQUESTS)),
            peer: Mutex::default(),
            answers: Arc::default(),
            tells_of_changes: AtomicBool::new(false),
            closed: Arc::default(),
        };
        let outgoing =
            unfold(messages, |mut messages| async { messages.recv().await.map(|message| (message, messages)) });
        (Self(Arc::new(inner)), outgoing.boxed())
    }

    /// Takes one message of the client. It completes when the next may come; what the message asks for goes on beside it.
    ///
    /// Not cancel safe: a dropped future may have lost the message.
    pub async fn receive(&self, message: Bytes) {
        let Inner { server, caller, room, under_way, .. } = &*self.0;
        let request = match jsonrpc::decode(&message) {
            Ok(Message::Request(request)) => request,
            Ok(Message::Notification(notification)) => {
                let of = notification.params.rare().request_id.map(Raw::get);
                if notification.method == "notifications/cancelled"
                    && let Some(cancellation) = of.and_then(|id| lock(under_way).get(id).cloned())
                {
                    cancellation.cancel();
                } else if notification.method == "notifications/initialized" {
                    self.tell_of_changes();
                }
                return;
            }
            Err(fault) if fault.is_response => return self.take_answer(&message),
            Err(fault) => {
                let id = fault.id.map(|id| id.as_json().to_owned());
                return self.send(encoding::error(id.as_deref(), &RpcError::new(400, fault.code, fault.message))).await;
            }
        };
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        let id = request.id.as_json().to_owned();
        let Some(flight) = Flight::begin(under_way, &id) else {
            let error = RpcError::new(400, jsonrpc::INVALID_REQUEST, "a request with this id is under way");
            return self.send(encoding::error(Some(&id), &error)).await;
        };
        let (reply, encoding) = self.reply(request, caller.clone(), &message);
        let (outgoing, closed) = (self.0.outgoing.clone(), self.0.closed.clone());
        let answered = Answering { server: server.clone(), outgoing, closed: closed.clone(), id, encoding };
        let call = match &reply {
            Reply::Call(_, call, _) => Some(call.context().clone()),
            _ => None,
        };
        server.spawn(async move {
            let _permit = permit;
            let cancelled = flight.cancellation.clone();
            let answering = pin!(answered.answer(reply));
            let ended = matches!(select(answering, pin!(cancelled.cancelled())).await, Either::Right(_));
            // A call of the older era goes on when its client leaves, and does not when its client says that it should end.
            if let Some(call) = call.filter(|_| ended && !closed.is_set()) {
                call.inner().cancellation.cancel();
            }
            drop(flight);
        });
    }

    /// Answers that what came is no message.
    ///
    /// Not cancel safe: a dropped future may have answered nothing.
    pub async fn refuse(&self, why: &str) {
        self.send(encoding::error(None, &RpcError::new(400, jsonrpc::INVALID_REQUEST, why))).await;
    }

    /// Ends what listens, and completes when everything else has been answered, or after `limit`. To be called when nothing more comes
    /// from the client.
    ///
    /// Cancel safe.
    pub async fn finish(&self, limit: Duration) {
        self.0.closed.cancel();
        let all = u32::try_from(MOST_REQUESTS).unwrap_or(u32::MAX);
        select(pin!(self.0.room.acquire_many(all)), self.0.server.clock().sleep(limit)).await;
    }

    /// All that is decided before something begins.
    fn reply(&self, request: Request<'_>, caller: Caller, body: &Bytes) -> (Reply, Encoding) {
        let server = &self.0.server;
        let exchange = |encoding| Exchange { server, caller, encoding, head: None, body, speech: None };
        let (reply, encoding) = if Era::of_request(&request) == Era::Modern {
            let reply = dispatch::measured(&request, server, || match rules::check_meta(&request) {
                Ok(_) => dispatch::dispatch(&request, exchange(Encoding::Modern)),
                Err(error) => Err((Some(request.id.as_json().to_owned()), error)),
            });
            (reply, Encoding::Modern)
        } else {
            let reply = || lock(&self.0.peer).reply(&request, exchange(Encoding::Legacy), &self.0.answers);
            let reply = dispatch::measured(&request, server, reply);
            (reply, Encoding::Legacy)
        };
        (reply.unwrap_or_else(|(id, error)| Reply::Refused(id, error)), encoding)
    }

    /// Gives an answer of the older era to the call that waits for it.
    fn take_answer(&self, message: &[u8]) {
        // What answers no question of ours is nothing.
        if let Some((id, answer)) = jsonrpc::read_response(message) {
            self.0.answers.deliver(&id, answer);
        }
    }

    /// Tells a client of the older era what has changed, from here on.
    fn tell_of_changes(&self) {
        if self.0.tells_of_changes.swap(true, Ordering::AcqRel) {
            return;
        }
        let (server, caller) = (self.0.server.clone(), self.0.caller.clone());
        let (here, closed) = (Arc::downgrade(&self.0), self.0.closed.clone());
        self.0.server.spawn(async move {
            let Ok(mut heard) = server.listen_to_changes(&caller).await else { return };
            let tell = async {
                while let Some(heard) = heard.next().await {
                    let Some(inner) = here.upgrade() else { return };
                    let told = lock(&inner.peer).told(&heard);
                    for message in told {
                        let _ = inner.outgoing.send(message.into()).await;
                    }
                }
            };
            select(pin!(tell), pin!(closed.cancelled())).await;
        });
    }

    async fn send(&self, message: Vec<u8>) {
        // Nobody may be left to read it.
        let _ = self.0.outgoing.send(message.into()).await;
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.closed.cancel();
        for cancellation in lock(&self.under_way).values() {
            cancellation.cancel();
        }
    }
}

/// One request that is answered; its id is its own as long as it lives.
struct Flight {
    under_way: Arc<UnderWay>,
    id: String,
    cancellation: Arc<Cancellation>,
}

impl Flight {
    fn begin(under_way: &Arc<UnderWay>, id: &str) -> Option<Self> {
        let cancellation = Arc::<Cancellation>::default();
        let mut others = lock(under_way);
        if others.contains_key(id) {
            return None;
        }
        others.insert(id.to_owned(), cancellation.clone());
        drop(others);
        Some(Self { under_way: under_way.clone(), id: id.to_owned(), cancellation })
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        lock(&self.under_way).remove(&self.id);
    }
}

/// Answers one request.
struct Answering {
    server: Server,
    outgoing: mpsc::Sender<Bytes>,
    /// Set when nothing more comes from the client.
    closed: Arc<Cancellation>,
    /// The request's id as JSON text.
    id: String,
    encoding: Encoding,
}

impl Answering {
    async fn answer(self, reply: Reply) {
        match reply {
            Reply::Message(json) => self.send(json).await,
            Reply::Refused(id, error) => self.send(encoding::error(id.as_deref(), &error)).await,
            Reply::Call(_, call, outbox) => self.follow(call, outbox).await,
            Reply::Read(_, read, outbox) => self.follow(read, outbox).await,
            Reply::Listen(_, caller, filter) => self.listen(&caller, filter).await,
        }
    }

    /// Sends what a call says, and how it ends.
    async fn follow<T: Outcome + Unpin>(&self, mut call: Call<T>, outbox: Option<Arc<Outbox>>) {
        let finished = loop {
            let Some(outbox) = &outbox else { break (&mut call).await };
            match select(&mut call, pin!(outbox.filled())).await {
                Either::Left((finished, _)) => {
                    self.say(outbox).await;
                    break finished;
                }
                Either::Right(_) => self.say(outbox).await,
            }
        };
        if let Some(outbox) = &outbox {
            outbox.close();
        }
        let message = finished.encode(&self.server, self.encoding, &self.id);
        self.send(message.unwrap_or_else(|error| encoding::error(Some(&self.id), &error))).await;
    }

    async fn say(&self, outbox: &Outbox) {
        for message in outbox.take() {
            self.send(message).await;
        }
    }

    async fn listen(&self, caller: &Caller, filter: Filter) {
        let opened = Subscription::open(self.server.clone(), caller, self.id.clone(), filter).await;
        let mut subscription = match opened {
            Ok(subscription) => subscription,
            Err(error) => return self.send(encoding::error(Some(&self.id), &error)).await,
        };
        self.send(subscription.acknowledgement()).await;
        loop {
            let next = match select(pin!(subscription.next()), pin!(self.closed.cancelled())).await {
                Either::Left((next, _)) => next,
                Either::Right(_) => None,
            };
            let Some(messages) = next else { break };
            for message in messages {
                self.send(message).await;
            }
        }
        // On one channel a subscription is told to be over in both ways.
        self.send(subscription.cancelled()).await;
        self.send(subscription.end()).await;
    }

    async fn send(&self, message: Vec<u8>) {
        // JSON has line breaks only between tokens, where a space is as good; here one would end the message.
        let line: Vec<u8> = match message.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
            true => message.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect(),
            false => message,
        };
        // Nobody may be left to read it.
        let _ = self.outgoing.send(line.into()).await;
    }
}

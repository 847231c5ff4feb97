//! The Streamable HTTP transport of the older era (2025-11-25, basic/transports).

use std::borrow::Cow;
use std::pin::pin;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::{Either, join_all, select};
use futures_util::stream::{self, BoxStream};
use serde_json::value::RawValue;

use super::kept::{self, InSession, TakenUp};
use super::peer::Peer;
use super::session::{self, Session};
use super::{alone, check_version, initialize};
use crate::caller::Caller;
use crate::changes::{Change, Heard};
use crate::dispatch::{self, Exchange, Reply};
use crate::endpoint::Endpoint;
use crate::endpoint::answer::{Answer, Body};
use crate::endpoint::head::{Head, Header};
use crate::endpoint::{rules, stream as events};
use crate::jsonrpc::reader::Raw;
use crate::jsonrpc::{self, Fault, Message, Notification, Request};
use crate::protocol::encoding::Encoding;
use crate::protocol::errors::RpcError;
use crate::protocol::listen::hear;
use crate::server::operations::Operation;
use crate::spans;

/// How many messages a batch has at the most.
const MOST_IN_A_BATCH: usize = 100;

/// The revision that has batches.
const BATCHES: &str = "2025-03-26";

/// One request of an older client, on its way to its answer.
pub(crate) struct Legacy<'a> {
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) head: &'a dyn Head,
    pub(crate) caller: Caller,
}

/// An error, and the id of what it answers.
type Refused = (Option<String>, RpcError);

impl Legacy<'_> {
    /// Answers one message.
    pub(crate) async fn message(self, message: Message<'_>, body: &Bytes) -> Answer {
        let endpoint = self.endpoint;
        let answered = match message {
            Message::Request(request) => self.request(request, body).await,
            Message::Notification(notification) => {
                self.notification(&notification).await.map_err(|error| (None, error))
            }
        };
        answered.unwrap_or_else(|(id, error)| endpoint.refuse(id.as_deref(), &error))
    }

    /// Answers what is no message of its own: a response to a question, or several messages at once.
    pub(crate) async fn other(self, fault: &Fault<'_>, body: &Bytes) -> Answer {
        let answered = if fault.is_response {
            self.response(body).await
        } else if body.trim_ascii_start().starts_with(b"[") {
            self.batch(body).await
        } else {
            Err(RpcError::new(400, fault.code, fault.message.clone()))
        };
        answered.unwrap_or_else(|error| Answer::error(fault.id.map(|id| id.as_json()), &error))
    }

    async fn request(self, request: Request<'_>, body: &Bytes) -> Result<Answer, Refused> {
        let (endpoint, caller, server) = (self.endpoint, &self.caller, self.endpoint.server());
        let id = request.id.as_json().to_owned();
        let refused = |error| (Some(id.clone()), error);
        if request.method == "initialize" {
            let (operation, peer) = (Operation::begin(server, &request.method), Peer::new(&request.params));
            let begun = Session::begin(server, caller, &peer).await;
            if let Some(operation) = operation {
                operation.end(server, None, begun.as_ref().err().map(spans::fault_of));
            }
            let handle = begun.map_err(refused)?;
            let mut answer = Answer::json(200, initialize(server, &id, &request.params));
            answer.headers.push((session::HEADER, handle));
            return Ok(answer);
        }
        check_version(self.head.header(rules::VERSION)).map_err(refused)?;
        let exchange = || Exchange {
            server,
            caller: caller.clone(),
            encoding: Encoding::Legacy,
            head: Some(self.head),
            body,
            speech: None,
        };
        let Some(session) = Session::find(server, caller, self.head).await.map_err(refused)? else {
            let reply = || alone(&request, self.head.header(rules::VERSION), exchange());
            let reply = dispatch::measured(&request, server, reply)?;
            return Ok(endpoint.respond(reply, Encoding::Legacy, None).await);
        };
        // What this call waits for may arrive at a replica that the client speaks to next.
        server.mail().listen(server).await;
        let mut peer = session.peer.clone();
        let reply = || peer.reply(&request, exchange(), &server.mail().answers);
        let reply = dispatch::measured(&request, server, reply)?;
        let within = match &reply {
            Reply::Call(id, call, _) => Some(InSession::new(server, &session, id, call.context())),
            Reply::Read(id, read, _) => Some(InSession::new(server, &session, id, read.context())),
            _ => None,
        };
        if peer != session.peer {
            // Others may change it at this moment: the change is made again upon what they have saved.
            let answers = server.mail().answers.clone();
            let change =
                |peer: &mut Peer| peer.reply(&request, exchange(), &answers).map(drop).map_err(|(_, error)| error);
            session.change(server, caller, change).await.map_err(refused)?;
        }
        Ok(endpoint.respond(reply, Encoding::Legacy, within.map(Box::new)).await)
    }

    async fn notification(self, notification: &Notification<'_>) -> Result<Answer, RpcError> {
        check_version(self.head.header(rules::VERSION))?;
        let server = self.endpoint.server();
        let session = Session::find(server, &self.caller, self.head).await?;
        if let ("notifications/cancelled", Some(session), Some(request)) =
            (&*notification.method, session, notification.params.rare().request_id)
        {
            server.mail().cancel(&session.handle, request.get()).await;
        }
        Ok(Answer::accepted())
    }

    /// Takes the answer to a question that a call of this session has asked, on whichever replica.
    async fn response(self, body: &[u8]) -> Result<Answer, RpcError> {
        let server = self.endpoint.server();
        let alone = || {
            let message =
                "this is a JSON-RPC response, which answers what was asked within a session; send its `Mcp-Session-Id`";
            RpcError::new(400, jsonrpc::INVALID_REQUEST, message)
        };
        Session::find(server, &self.caller, self.head).await?.ok_or_else(alone)?;
        check_version(self.head.header(rules::VERSION))?;
        let invalid = || RpcError::new(400, jsonrpc::INVALID_REQUEST, "the response has no id that the server gave");
        let (id, answer) = jsonrpc::read_response(body).ok_or_else(invalid)?;
        server.mail().deliver(&id, answer).await.map_err(|error| {
            tracing::warn!(%error, "an answer does not reach the replica that waits for it");
            RpcError::new(503, jsonrpc::INTERNAL_ERROR, "the answer cannot be passed on at the moment; send it again")
        })?;
        Ok(Answer::accepted())
    }

    /// Answers several messages at once (2025-03-26, basic, "Batching"), beside each other and in one array.
    async fn batch(self, body: &Bytes) -> Result<Answer, RpcError> {
        let invalid = |message: &str| RpcError::new(400, jsonrpc::INVALID_REQUEST, message.to_owned());
        let version = match self.head.header(rules::VERSION) {
            Header::Absent => Cow::Borrowed(BATCHES),
            Header::One(version) => Cow::Borrowed(version),
            Header::Refused(why) => Cow::Owned(why.to_owned()),
        };
        if version != BATCHES {
            return Err(invalid("batches are not part of this protocol revision; send each message by itself"));
        }
        // What the one strict reader takes is read again, piece by piece.
        Raw::read(body).map_err(|error| RpcError::new(400, jsonrpc::PARSE_ERROR, error.to_string()))?;
        let pieces: Vec<&RawValue> = serde_json::from_slice(body).map_err(|_| invalid("a batch is an array"))?;
        if pieces.is_empty() || pieces.len() > MOST_IN_A_BATCH {
            return Err(invalid(&format!("a batch has 1 to {MOST_IN_A_BATCH} messages")));
        }
        let answers = join_all(pieces.into_iter().map(async |piece| {
            let body = body.slice_ref(piece.get().as_bytes());
            let one = Legacy { endpoint: self.endpoint, head: self.head, caller: self.caller.clone() };
            let answer = match jsonrpc::decode(&body) {
                Ok(Message::Request(request)) if request.method == "initialize" => {
                    let error = invalid("`initialize` is no part of a batch; send it by itself, and first");
                    Answer::error(Some(request.id.as_json()), &error)
                }
                Ok(message) => one.message(message, &body).await,
                Err(fault) if body.starts_with(b"[") => Answer::error(None, &invalid(&fault.message)),
                Err(fault) => one.other(&fault, &body).await,
            };
            last_message(answer).await
        }))
        .await;
        let answers: Vec<_> = answers.into_iter().flatten().collect();
        if answers.is_empty() {
            return Ok(Answer::accepted());
        }
        let mut out = Vec::with_capacity(answers.iter().map(|answer| answer.len() + 1).sum::<usize>() + 2);
        crate::json::write_list(&mut out, answers, |out, answer| out.extend_from_slice(&answer));
        Ok(Answer::json(200, out))
    }

    /// Tells the client what has changed, until it leaves (2025-11-25, basic/transports, "Listening for Messages from the Server"); or
    /// goes on with the stream of a call.
    pub(crate) async fn listen(self) -> Answer {
        match self.stream().await {
            Ok(frames) => Answer::events(Body::Stream(frames)),
            Err(error) => Answer::error(None, &error),
        }
    }

    async fn stream(self) -> Result<BoxStream<'static, Bytes>, RpcError> {
        let server = self.endpoint.server();
        check_version(self.head.header(rules::VERSION))?;
        let session = Session::find(server, &self.caller, self.head).await?.ok_or_else(session::missing)?;
        let keep_alive = self.endpoint.pacing().keep_alive;
        let taken_up = match self.head.header(kept::HEADER) {
            Header::One(id) => Some(TakenUp::read(id)?),
            _ => None,
        };
        let before = match taken_up {
            Some(TakenUp::Call(stream, after)) => {
                return kept::read_on(server, &self.caller, &session, (stream, after), keep_alive).await;
            }
            // Whatever there was in between.
            Some(TakenUp::Listening) => Some(Heard::Missed),
            None => None,
        };
        let (counted, heard) = hear(server, &self.caller).await?;
        let heard = stream::iter(before).chain(heard);
        let first = kept::listening(server, &session.peer);
        let (server, caller) = (server.clone(), self.caller.clone());
        let state = (server, caller, session, heard, counted);
        let rest = stream::unfold(state, move |(server, caller, mut session, mut heard, counted)| async move {
            let next = {
                let closing = pin!(server.closing().cancelled());
                let next = pin!(select(heard.next(), closing));
                match select(next, server.clock().sleep(keep_alive)).await {
                    Either::Left((Either::Left((Some(heard), _)), _)) => Some(heard),
                    // The server ends, and so does the stream.
                    Either::Left(_) => return None,
                    Either::Right(_) => None,
                }
            };
            // A session that is listened to is used, and what it is subscribed to may have changed. Lists concern everyone.
            if matches!(next, None | Some(Heard::Missed | Heard::Change(Change::Resource(_)))) {
                match Session::again(&server, &caller, &session.handle).await {
                    Ok(Some(again)) => session = again,
                    Ok(None) => return None,
                    // What is known is as good as anything.
                    Err(_) => {}
                }
            }
            let mut frames = Vec::new();
            for message in next.iter().flat_map(|heard| session.peer.told(heard)) {
                kept::listening_event(&mut frames, &server, &message);
            }
            if next.is_none() {
                frames.extend_from_slice(events::KEEP_ALIVE);
            }
            Some((Bytes::from(frames), (server, caller, session, heard, counted)))
        });
        let rest = rest.filter(|frames| std::future::ready(!frames.is_empty()));
        Ok(stream::once(std::future::ready(Bytes::from(first))).chain(rest).boxed())
    }

    /// Ends the session.
    pub(crate) async fn end(self) -> Answer {
        let ended = async {
            check_version(self.head.header(rules::VERSION))?;
            Session::end(self.endpoint.server(), &self.caller, self.head).await
        };
        match ended.await {
            Ok(()) => Answer { status: 204, headers: Vec::new(), content_type: None, body: Body::Empty },
            Err(error) => Answer::error(None, &error),
        }
    }
}

/// The message that an answer ends with, where it has one.
async fn last_message(answer: Answer) -> Option<Vec<u8>> {
    match answer.body {
        Body::Empty => None,
        Body::Full(message) if answer.content_type == Some("application/json") => Some(message.to_vec()),
        Body::Full(frames) => events::last_data(&frames),
        Body::Stream(pieces) => {
            let last = pieces.fold(Bytes::new(), async |last, piece| if piece.len() > 8 { piece } else { last }).await;
            events::last_data(&last)
        }
    }
}

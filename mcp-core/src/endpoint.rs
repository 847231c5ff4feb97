//! The Streamable HTTP transport (basic/transports) over plain strings: a shell brings the head and the body of a request,
//! and sends what comes back.

pub mod answer;
mod guard;
pub mod head;
mod proxies;
pub(crate) mod rules;
pub(crate) mod stream;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::caller::browsers::ByKey;
use crate::caller::{Authenticate, Caller, KeyOrLoopback};
use crate::context::Outbox;
use crate::dispatch::{self, Exchange, Reply};
use crate::jsonrpc::{self, Message};
use crate::legacy;
use crate::legacy::http::Legacy;
use crate::legacy::kept::InSession;
use crate::legacy::session;
use crate::oauth::ProtectedResource;
use crate::policy::{InsufficientScope, Requirement, Standing};
use crate::protocol::encoding::Encoding;
use crate::protocol::errors::RpcError;
use crate::protocol::listen::Subscription;
use crate::protocol::version::Era;
use crate::server::Server;
use answer::{Answer, Refusal};
use guard::Guard;
use head::{Head, Header};
pub use proxies::{BadNetwork, TrustedProxies};

/// A [`Server`] behind the Streamable HTTP transport, in every era of the protocol. Cheap to clone.
///
/// A shell does three things: it asks [`Endpoint::admit`] with the head of the request, reads the body up to
/// [`Endpoint::max_body`] and for [`Endpoint::body_timeout`] at the most, and sends what [`Endpoint::answer`] gives.
#[derive(Clone)]
pub struct Endpoint {
    server: Server,
    guard: Arc<Guard>,
    authenticate: Arc<dyn Authenticate>,
    resource: Option<Arc<ProtectedResource>>,
    proxies: Arc<TrustedProxies>,
    pacing: Pacing,
    max_body: usize,
    body_timeout: Duration,
}

/// When a call that has not ended is heard of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pacing {
    /// After so long the answer becomes a stream.
    pub(crate) silence: Duration,
    /// So often a stream says that it is alive.
    pub(crate) keep_alive: Duration,
}

impl Endpoint {
    /// An endpoint that answers callers on this machine only. See the methods below for a wider door.
    pub fn new(server: Server) -> Self {
        Self {
            server,
            guard: Arc::new(Guard::default()),
            authenticate: Arc::new(KeyOrLoopback::loopback_only()),
            resource: None,
            proxies: Arc::default(),
            pacing: Pacing { silence: Duration::from_secs(10), keep_alive: Duration::from_secs(15) },
            max_body: 4 * 1024 * 1024,
            body_timeout: Duration::from_secs(30),
        }
    }

    /// Finds out by `authenticate` who calls.
    #[must_use]
    pub fn authenticate(mut self, authenticate: impl Authenticate) -> Self {
        self.authenticate = Arc::new(authenticate);
        self
    }

    /// Tells those who are not let in, or lack a scope, where they get a token for this server, whoever finds out who calls.
    #[must_use]
    pub fn protected_resource(mut self, resource: ProtectedResource) -> Self {
        self.resource = Some(Arc::new(resource));
        self
    }

    /// Also answers requests whose `Host` is `host` (with or without a port; without, every port is meant).
    #[must_use]
    pub fn allow_host(mut self, host: &str) -> Self {
        Arc::make_mut(&mut self.guard).allow_host(host);
        self
    }

    /// Answers whatever `Host` a request names. Without credentials that only a real client has, this lets any web page
    /// that a user opens reach the server (DNS rebinding).
    #[must_use]
    pub fn allow_any_host(mut self) -> Self {
        Arc::make_mut(&mut self.guard).allow_any_host();
        self
    }

    /// Also answers pages of `origin`, such as `https://app.example.com`.
    #[must_use]
    pub fn allow_origin(mut self, origin: &str) -> Self {
        Arc::make_mut(&mut self.guard).allow_origin(origin);
        self
    }

    /// Takes the word of these proxies for where a request comes from. One of them on this machine does not make its clients callers on this
    /// machine.
    #[must_use]
    pub fn trusted_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.proxies = Arc::new(proxies);
        self
    }

    /// How long a call may say nothing before its answer becomes a stream (10 s).
    #[must_use]
    pub fn silence(mut self, silence: Duration) -> Self {
        self.pacing.silence = silence;
        self
    }

    /// How often a stream with nothing to say shows that it is alive (15 s).
    #[must_use]
    pub fn keep_alive(mut self, every: Duration) -> Self {
        self.pacing.keep_alive = every;
        self
    }

    /// The largest body in bytes (4 MiB).
    #[must_use]
    pub fn limit_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// The largest body in bytes: a shell reads no further, and answers [`Refusal::too_large`].
    pub fn max_body(&self) -> usize {
        self.max_body
    }

    /// How long a body may take to come (30 s).
    #[must_use]
    pub fn limit_body_time(mut self, time: Duration) -> Self {
        self.body_timeout = time;
        self
    }

    /// How long a body may take to come: a shell waits no longer, and answers [`Refusal::too_slow`].
    pub fn body_timeout(&self) -> Duration {
        self.body_timeout
    }

    /// The server behind it.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// What is told of it as a resource that tokens are for.
    pub fn resource(&self) -> Option<&ProtectedResource> {
        self.resource.as_deref()
    }

    /// Decides by the head whether a request may come in, and who sends it. To be asked before the body is read.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// 503 where the server has enough to do; and as [`Endpoint::identify`].
    pub async fn admit(&self, head: &dyn Head) -> Result<Caller, Refusal> {
        self.check_load()?;
        self.identify(head).await
    }

    /// The first part of [`Endpoint::admit`], for a host that has found out by itself who calls. To be asked before anything is done for a
    /// request.
    ///
    /// # Errors
    /// 503 where as many calls are under way, or as many bytes are held, as the server takes.
    pub fn check_load(&self) -> Result<(), Refusal> {
        self.server.load().check()
    }

    /// The second part of [`Endpoint::admit`], for what is to be answered whatever there is to do.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// 403 for a foreign `Origin` or `Host`, 401 for missing or wrong credentials, 400 for such as cannot be read, 503 where it cannot be
    /// found out whose they are.
    pub async fn identify(&self, head: &dyn Head) -> Result<Caller, Refusal> {
        self.check_origin(head)?;
        let client = self.client_address(head);
        let behind = self.proxies.see(head, client);
        let seen = behind.as_ref().map_or(head, |behind| behind as &dyn Head);
        match self.authenticate.authenticate(seen).await {
            Ok(caller) => Ok(caller.from_address(client)),
            Err(challenge) => {
                self.server.note_rejected(client, &challenge);
                Err(self.complete(challenge.into()))
            }
        }
    }

    /// The same, for a request that is sent with this key, or access token, whatever it brings itself: one that a
    /// [browser keeps](crate::caller::browsers::Browsers::key).
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// As [`Endpoint::identify`].
    pub async fn identify_by(&self, head: &dyn Head, key: &str) -> Result<Caller, Refusal> {
        self.identify(&ByKey::new(head, key)).await
    }

    /// Where a request comes from, by its connection or by the [proxies](Endpoint::trusted_proxies) that are believed.
    pub fn client_address(&self, head: &dyn Head) -> Option<IpAddr> {
        self.proxies.client(head)
    }

    /// Adds to a refusal with a challenge where a token is to be had.
    fn complete(&self, refusal: Refusal) -> Refusal {
        match (&self.resource, &refusal.challenge) {
            (Some(resource), Some(challenge)) => {
                Refusal { challenge: Some(resource.complete(challenge).into()), ..refusal }
            }
            _ => refusal,
        }
    }

    /// What is answered to a caller who lacks scopes: 403, with all that are needed and, where that is known, where a token with them is to
    /// be had. For shells that call by [`Server::open_call`]; [`Endpoint::answer`] does it by itself.
    pub fn insufficient_scope(&self, lacking: &InsufficientScope) -> Refusal {
        let challenge = Some(lacking.challenge().into());
        self.complete(Refusal { status: 403, message: lacking.to_string(), challenge })
    }

    /// Decides whether an admitted caller may take a route of the shell: its method and its path, such as `GET /api/v1/files/{name}`. It is
    /// asked for only where [`Policy::routes`](crate::Policy::routes) was used.
    ///
    /// # Errors
    /// 404 for who may not know of the route, where there is nothing at `shown`; 403 for who lacks scopes for it.
    pub fn admit_to(&self, caller: &Caller, shown: &str, route: impl FnOnce() -> String) -> Result<(), Refusal> {
        let rules = self.server.route_rules();
        if rules.is_empty() {
            return Ok(());
        }
        let route = route();
        match rules.standing(&route, &Requirement::none(), caller) {
            Standing::Met => Ok(()),
            Standing::Hidden => {
                Err(Refusal { status: 404, message: format!("there is nothing at {shown}"), challenge: None })
            }
            Standing::LacksScopes => {
                let scopes = rules.scopes(&route, &Requirement::none());
                let lacking = InsufficientScope { what: format!("`{route}`"), scopes };
                self.server.note_lacking(caller, &lacking);
                Err(self.insufficient_scope(&lacking))
            }
        }
    }

    /// The first half of [`Endpoint::identify`], for a host that has found out by itself who calls.
    ///
    /// # Errors
    /// 403 for a foreign `Origin` or `Host`.
    pub fn check_origin(&self, head: &dyn Head) -> Result<(), Refusal> {
        self.guard.check(head)
    }

    /// Answers one request of an admitted caller.
    ///
    /// Dropping the future, or the stream of its answer, is what a client does that leaves: a call of the modern era is then
    /// cancelled, one of the older era goes on (basic/transports, "Streamable HTTP").
    pub async fn answer(&self, head: &dyn Head, caller: Caller, body: Bytes) -> Answer {
        let within = |caller| Legacy { endpoint: self, head, caller };
        let names_session = || head.header(session::HEADER) != Header::Absent;
        match head.verb() {
            "POST" => {}
            // Only the older era has sessions, and streams that no request has begun.
            "GET" if names_session() => return within(caller).listen().await,
            "DELETE" if names_session() => return within(caller).end().await,
            _ => {
                let what =
                    "send messages by POST; a stream to GET, or something to DELETE, there is within a session alone";
                return Answer::error(None, &RpcError::new(405, jsonrpc::INVALID_REQUEST, what));
            }
        }
        let version = head.header(rules::VERSION);
        let exchange = |caller, encoding| Exchange {
            server: &self.server,
            caller,
            encoding,
            head: Some(head),
            body: &body,
            speech: None,
        };
        let (reply, encoding) = match jsonrpc::decode(&body) {
            Ok(message) => match (Era::of(version, &message), message) {
                (Era::Modern, Message::Notification(_)) => return Answer::accepted(),
                (Era::Modern, Message::Request(request)) => {
                    let reply =
                        dispatch::measured(&request, &self.server, || match rules::check(head, version, &request) {
                            Ok(()) => dispatch::dispatch(&request, exchange(caller, Encoding::Modern)),
                            Err(error) => Err((Some(request.id.as_json().to_owned()), error)),
                        });
                    (reply, Encoding::Modern)
                }
                (Era::Legacy, Message::Request(request)) if !names_session() && request.method != "initialize" => {
                    let reply = || legacy::alone(&request, version, exchange(caller, Encoding::Legacy));
                    (dispatch::measured(&request, &self.server, reply), Encoding::Legacy)
                }
                (Era::Legacy, message) => return Box::pin(within(caller).message(message, &body)).await,
            },
            Err(fault) if Era::of_header(version) == Era::Legacy => {
                return Box::pin(within(caller).other(&fault, &body)).await;
            }
            Err(fault) => {
                let id = fault.id.map(|id| id.as_json().to_owned());
                return Answer::error(id.as_deref(), &RpcError::new(400, fault.code, fault.message));
            }
        };
        self.respond(reply.unwrap_or_else(|(id, error)| Reply::Refused(id, error)), encoding, None).await
    }

    /// Answers with an error, which tells a caller who lacks scopes where a token with them is to be had.
    pub(crate) fn refuse(&self, id: Option<&str>, error: &RpcError) -> Answer {
        match &error.lacking {
            Some(lacking) => self.insufficient_scope(lacking).into_answer_to(id),
            None => Answer::error(id, error),
        }
    }

    /// Answers with what a request has come to, once it has.
    pub(crate) async fn respond(&self, reply: Reply, encoding: Encoding, session: Option<Box<InSession>>) -> Answer {
        match reply {
            Reply::Message(json) => Answer::json(200, json),
            Reply::Refused(id, error) => self.refuse(id.as_deref(), &error),
            Reply::Call(id, call, outbox) => self.speaker(id, encoding, outbox, session).answer(call).await,
            Reply::Listen(id, caller, filter) => {
                match Subscription::open(self.server.clone(), &caller, id.clone(), filter).await {
                    Ok(subscription) => stream::listen(subscription, self.pacing.keep_alive),
                    Err(error) => Answer::error(Some(&id), &error),
                }
            }
            Reply::Read(id, read, outbox) => self.speaker(id, encoding, outbox, session).answer(read).await,
        }
    }

    fn speaker(
        &self,
        id: String,
        encoding: Encoding,
        outbox: Option<Arc<Outbox>>,
        session: Option<Box<InSession>>,
    ) -> stream::Speaker {
        stream::Speaker::new(self.server.clone(), id, encoding, outbox, self.pacing, session)
    }

    pub(crate) fn pacing(&self) -> Pacing {
        self.pacing
    }
}

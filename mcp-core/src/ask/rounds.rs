//! Questions that are asked by ending the request (basic/patterns/mrtr).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};

use bytes::Bytes;
use serde_json::Value;

use super::question::Asked;
use super::state::{self, State};
use crate::capability::ClientCapabilities;
use crate::context::Context;
use crate::jsonrpc::{self, Message, Params};
use crate::memory::lock;
use crate::protocol::errors::{RpcError, invalid};
use crate::tool::error::ToolError;

/// In how many rounds a call may ask.
const MOST_ROUNDS: u32 = 32;

/// The questions of a call, which ends with them, and is made again with the answers. It is free until somebody asks, or answers.
pub(crate) struct InRounds {
    carrier: Carrier,
    rounds: OnceLock<Box<Rounds>>,
}

/// Who carries what is known from one round to the next.
enum Carrier {
    /// The client, sealed. The request is read again where it is needed.
    Client(Bytes),
    /// The run that the call is made in.
    Run,
}

/// What is known of the rounds so far.
pub(crate) struct Rounds {
    client: ClientCapabilities,
    so_far: Mutex<SoFar>,
    /// Whether the call may go on without its client.
    may_detach: AtomicBool,
}

#[derive(Default)]
struct SoFar {
    state: State,
    /// What came with this request.
    sent: BTreeMap<String, Value>,
    /// The keys of this run.
    used: BTreeSet<String>,
    open: BTreeMap<String, Asked>,
    /// How many things are being done that are done once.
    under_way: usize,
    /// How many wait for the call to go on without its client.
    detaching: usize,
}

/// With what a call ends that is made again: what its client is asked before it sends its request again (schema,
/// `InputRequiredResult`), or nothing, where it goes on without its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputRequired {
    /// Whether it goes on without its client.
    pub(crate) detached: bool,
    /// The member `inputRequests`, as JSON.
    pub(crate) requests: String,
    /// The member `requestState`; where a run is to make the call again, the state itself.
    pub(crate) state: String,
}

impl InputRequired {
    /// The questions, under the keys of their answers, as JSON (schema, `InputRequests`).
    pub fn requests_json(&self) -> &str {
        &self.requests
    }

    /// What is to be sent again with the answers (schema, `requestState`): it says nothing to its reader.
    pub fn state(&self) -> &str {
        &self.state
    }
}

impl InRounds {
    /// The questions of the request in `body`, whose parameters are `params`.
    ///
    /// # Errors
    /// What came as answers is none, or what came as state is not what this server gave to this caller for this request.
    pub(crate) fn new(params: &Params<'_>, body: &Bytes) -> Result<Self, RpcError> {
        if params.rare().input_responses.is_some_and(|sent| !sent.get().starts_with('{')) {
            return Err(invalid("`params.inputResponses` must be an object with an answer for each key"));
        }
        Ok(Self { carrier: Carrier::Client(body.clone()), rounds: OnceLock::new() })
    }

    /// The questions of a call that a run makes, for a client that can do so much: `state` is that of the round before, and `sent`
    /// are the answers that came since then.
    ///
    /// # Errors
    /// The state is that of another version.
    pub(crate) fn in_run(
        client: ClientCapabilities,
        state: Option<&str>,
        sent: BTreeMap<String, Value>,
    ) -> Result<Self, serde_json::Error> {
        let state = state.map(State::read).transpose()?.unwrap_or_default();
        let rounds = Rounds::new(client, SoFar { state, sent, ..SoFar::default() });
        Ok(Self { carrier: Carrier::Run, rounds: OnceLock::from(Box::new(rounds)) })
    }

    /// Lets the call go on without its client, once it says that it can.
    pub(crate) fn let_detach(&self, cx: &Context) {
        self.rounds(cx).may_detach.store(true, Ordering::Release);
    }

    /// Opens the state that came with the request, if any did, before anything is begun.
    pub(crate) fn open(&self, params: &Params<'_>, cx: &Context) -> Result<(), RpcError> {
        if params.rare().request_state.is_none() {
            return Ok(());
        }
        let rounds = Rounds::read(params, cx).ok_or_else(|| {
            invalid(
                "`params.requestState` is not what this request was answered with, or too old; send the request again without it, and without `inputResponses`",
            )
        })?;
        // Nobody else has the call yet.
        let _ = self.rounds.set(Box::new(rounds));
        Ok(())
    }

    pub(crate) fn rounds(&self, cx: &Context) -> &Rounds {
        self.rounds.get_or_init(|| {
            let rounds = match &self.carrier {
                Carrier::Client(body) => match jsonrpc::decode(body) {
                    Ok(Message::Request(request)) => Rounds::read(&request.params, cx),
                    _ => None,
                },
                Carrier::Run => None,
            };
            Box::new(rounds.unwrap_or_else(|| Rounds::new(ClientCapabilities::default(), SoFar::default())))
        })
    }

    /// As [`Dialogue::questions`](super::dialogue::Dialogue::questions).
    pub(super) fn questions(&self, cx: &Context) -> Option<ToolError> {
        let rounds = self.rounds.get().filter(|rounds| rounds.must_stop())?;
        Some(rounds.ask(&self.carrier, cx))
    }
}

impl Rounds {
    fn new(client: ClientCapabilities, so_far: SoFar) -> Self {
        Self { client, so_far: Mutex::new(so_far), may_detach: AtomicBool::new(false) }
    }

    /// What the request says; nothing, where its state is not ours.
    fn read(params: &Params<'_>, cx: &Context) -> Option<Self> {
        let client = ClientCapabilities::of(params);
        let sent =
            params.rare().input_responses.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
        let state = match params.rare().request_state {
            None => State::default(),
            Some(_) => State::open(params, &cx.inner().server, cx.caller())?,
        };
        Some(Self::new(client, SoFar { state, sent, ..SoFar::default() }))
    }

    pub(super) fn client(&self) -> &ClientCapabilities {
        &self.client
    }

    /// Begins with a question, and gives the answer where there is one.
    pub(super) fn begin(&self, key: &str, asked: &Asked) -> Result<Option<Value>, ToolError> {
        let mut so_far = lock(&self.so_far);
        so_far.take(key)?;
        let digest = state::digest(asked);
        let SoFar { state, sent, .. } = &mut *so_far;
        // Who answers a question that was never asked knows it beforehand; who answers another one does not.
        let is_same = state.asked.get(key).is_none_or(|before| *before == digest);
        if let Some(answer) = state.answers.get(key).filter(|_| is_same) {
            return Ok(Some(answer.clone()));
        }
        state.answers.remove(key);
        let answer = sent.remove(key).filter(|_| is_same);
        state.asked.insert(key.to_owned(), digest);
        if let Some(answer) = &answer {
            state.answers.insert(key.to_owned(), answer.clone());
        }
        Ok(answer)
    }

    pub(super) fn has_used(&self, prefix: &str) -> bool {
        lock(&self.so_far).used.iter().any(|key| key.starts_with(prefix))
    }

    /// The answer was none.
    pub(super) fn unfit(&self, key: &str) {
        lock(&self.so_far).state.answers.remove(key);
    }

    /// Waits for an answer, which does not come in this run.
    pub(super) async fn wait(&self, key: &str, asked: &Asked) -> Result<Value, ToolError> {
        lock(&self.so_far).open.insert(key.to_owned(), asked.clone());
        let _open = Open { rounds: self, key };
        std::future::pending().await
    }

    /// What was kept under a key that is hereby used.
    pub(super) fn kept(&self, key: &str) -> Result<Option<Value>, ToolError> {
        let mut so_far = lock(&self.so_far);
        so_far.take(key)?;
        Ok(so_far.state.kept.get(key).cloned())
    }

    pub(super) fn keep(&self, key: &str, value: Value) {
        lock(&self.so_far).state.kept.insert(key.to_owned(), value);
    }

    /// Keeps the call from ending with questions, until it is dropped.
    pub(super) fn hold(&self) -> UnderWay<'_> {
        lock(&self.so_far).under_way += 1;
        UnderWay(self)
    }

    /// Waits for the call to go on without its client, which it does not in this run; at once over, where it may not.
    pub(super) async fn detach(&self) {
        if self.may_detach.load(Ordering::Acquire) {
            lock(&self.so_far).detaching += 1;
            let _detaching = Detaching(self);
            std::future::pending::<()>().await;
        }
    }

    fn must_stop(&self) -> bool {
        let so_far = lock(&self.so_far);
        so_far.under_way == 0 && (!so_far.open.is_empty() || so_far.detaching > 0)
    }

    /// Ends the round with what is open.
    fn ask(&self, carrier: &Carrier, cx: &Context) -> ToolError {
        let mut so_far = lock(&self.so_far);
        // What is asked is asked before.
        let detached = so_far.open.is_empty();
        so_far.state.round += 1;
        if so_far.state.round > MOST_ROUNDS {
            return ToolError::failed(format!("this call has asked in {MOST_ROUNDS} rounds, and asks again"));
        }
        let requests: BTreeMap<_, _> = so_far
            .open
            .iter()
            .map(|(key, asked)| (key, serde_json::json!({"method": asked.method, "params": asked.params})))
            .collect();
        let requests = serde_json::to_string(&requests).unwrap_or_default();
        let state = match carrier {
            Carrier::Client(body) if !detached => match jsonrpc::decode(body) {
                Ok(Message::Request(request)) => so_far.state.seal(&request.params, cx),
                _ => Err("the request cannot be read again".to_owned()),
            },
            Carrier::Client(_) | Carrier::Run => so_far.state.write(),
        };
        match state {
            Ok(state) => ToolError::NeedsInput(Box::new(InputRequired { detached, requests, state })),
            Err(why) => ToolError::Internal(why.into()),
        }
    }
}

impl SoFar {
    /// Each key is used once in a run.
    fn take(&mut self, key: &str) -> Result<(), ToolError> {
        use_key(&mut self.used, key)
    }
}

/// Uses a key, once.
pub(super) fn use_key(used: &mut BTreeSet<String>, key: &str) -> Result<(), ToolError> {
    if used.insert(key.to_owned()) {
        return Ok(());
    }
    let message = format!("the key {key:?} was used before in this call; each question has a key of its own");
    Err(ToolError::Internal(message.into()))
}

/// A question that is alive.
struct Open<'a> {
    rounds: &'a Rounds,
    key: &'a str,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        lock(&self.rounds.so_far).open.remove(self.key);
    }
}

/// Somebody who waits for the call to go on without its client.
struct Detaching<'a>(&'a Rounds);

impl Drop for Detaching<'_> {
    fn drop(&mut self) {
        lock(&self.0.so_far).detaching -= 1;
    }
}

/// Something that is done once, and is not done yet.
pub(super) struct UnderWay<'a>(&'a Rounds);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        lock(&self.0.so_far).under_way -= 1;
    }
}

//! What a client carries from one round to the next, sealed: it can neither read nor change it, nor use it elsewhere.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::question::Asked;
use crate::caller::Caller;
use crate::context::Context;
use crate::jsonrpc::Params;
use crate::jsonrpc::reader::Raw;
use crate::server::Server;

/// The state of a request's rounds. Its format has a version, since a replica of the version before may be given it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct State {
    version: u8,
    /// In microseconds since the epoch.
    expires: i64,
    pub(super) round: u32,
    pub(super) answers: BTreeMap<String, Value>,
    /// A digest of each question.
    pub(super) asked: BTreeMap<String, String>,
    pub(super) kept: BTreeMap<String, Value>,
    /// Under what the result of the call is kept, where its answers are taken once: the same in all of its rounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    once: Option<String>,
}

/// The versions that are written, and the only ones that are read: the second is that of a call whose answers are taken once, which a
/// replica of the version before must not go on with.
const VERSION: u8 = 1;
const VERSION_ONCE: u8 = 2;

/// For how long answers are waited for.
const LIFETIME: Duration = Duration::from_secs(60 * 60);

/// How many bytes the state has at the most, before it is sealed.
const LARGEST: usize = 256 * 1024;

impl State {
    /// Writes it for somebody who is trusted with it.
    pub(super) fn write(&mut self) -> Result<String, String> {
        self.version = if self.once.is_some() { VERSION_ONCE } else { VERSION };
        let text = serde_json::to_string(self).map_err(|error| error.to_string())?;
        if text.len() > LARGEST {
            return Err(format!("the answers so far, and what is to be kept, have more than {LARGEST} bytes"));
        }
        Ok(text)
    }

    /// Reads what [`State::write`] wrote.
    pub(super) fn read(text: &str) -> Result<Self, serde_json::Error> {
        let state: Self = serde_json::from_str(text)?;
        match (state.version, &state.once) {
            (VERSION, None) | (VERSION_ONCE, Some(_)) => Ok(state),
            _ => Err(serde::de::Error::custom("the answers so far were written by another version")),
        }
    }

    /// Seals it for this caller and this request.
    pub(super) fn seal(&mut self, params: &Params<'_>, cx: &Context) -> Result<String, String> {
        let server = &cx.inner().server;
        let tool = params.name.and_then(Raw::string).and_then(|name| server.tools().find(&name));
        if self.once.is_none() && tool.is_some_and(|tool| tool.spec().policy.answered_once) {
            self.once = Some(server.new_call_id().to_string());
        }
        self.expires = cx.clock().now().after(LIFETIME).as_micros();
        let text = self.write()?.into_bytes();
        let sealed = server.seal().seal(&bound(params, cx.caller()), text)?;
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Opens what was sealed for this caller and this request, and is not too old.
    pub(super) fn open(params: &Params<'_>, server: &Server, caller: &Caller) -> Option<Self> {
        let sealed = URL_SAFE_NO_PAD.decode(&*params.rare().request_state?.string()?).ok()?;
        let text = server.seal().open(&bound(params, caller), &sealed)?;
        let state = Self::read(std::str::from_utf8(&text).ok()?).ok()?;
        (state.expires >= server.clock().now().as_micros()).then_some(state)
    }
}

/// The key of a request that brings answers which are taken once.
pub(crate) fn key_of_answers(params: &Params<'_>, server: &Server, caller: &Caller) -> Option<String> {
    // No client gives a key with a space in it.
    State::open(params, server, caller)?.once.map(|once| format!(" answers {once}"))
}

/// A digest of a question.
pub(super) fn digest(asked: &Asked) -> String {
    let mut hash = Sha256::new();
    hash.update(asked.method);
    absorb(&mut hash, &asked.params);
    URL_SAFE_NO_PAD.encode(&hash.finalize()[..16])
}

/// What the state is bound to: who asks, and for what. Arguments are compared by what they say, and not as they are written.
fn bound(params: &Params<'_>, caller: &Caller) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut part = |text: &str| {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    };
    let named = |raw: Option<Raw<'_>>| raw.and_then(Raw::string).unwrap_or_default().into_owned();
    part(caller.tenant().as_str());
    part(caller.principal().as_str());
    part(&named(params.name));
    part(&named(params.rare().uri));
    let arguments = params.arguments.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or(Value::Null);
    absorb(&mut hash, &arguments);
    hash.finalize().into()
}

/// Adds a value to a hash, the members of objects in the order of their names.
fn absorb(hash: &mut Sha256, value: &Value) {
    match value {
        Value::Array(items) => {
            hash.update(format!("[{}", items.len()));
            items.iter().for_each(|item| absorb(hash, item));
        }
        Value::Object(members) => {
            hash.update(format!("{{{}", members.len()));
            let sorted: BTreeMap<_, _> = members.iter().collect();
            for (name, member) in sorted {
                absorb(hash, &Value::String(name.clone()));
                absorb(hash, member);
            }
        }
        plain => {
            let text = plain.to_string();
            hash.update(format!("{}:", text.len()));
            hash.update(text);
        }
    }
}

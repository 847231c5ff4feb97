//! What names the effect of a call.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::Cancellation;
use super::withheld::Withheld;
use crate::caller::Caller;
use crate::memory::lock;
use crate::store::idempotency::CallKey;
use crate::tool::arguments::Arguments;
use crate::tool::error::ToolError;

/// The key of a call that was sent under one, or made in a call that was.
pub(crate) struct Key {
    /// Under what its result is kept.
    pub(crate) of_call: CallKey,
    /// Whether it is kept, or the key only names the effect.
    pub(crate) is_kept: bool,
    /// Set when nobody waits for the call any more: it goes on all the same.
    pub(crate) left: Cancellation,
    /// What no other effect is called.
    effect: String,
    /// Where the record of the call goes, if it is not committed by itself.
    withheld: Option<Arc<Withheld>>,
    /// How often each call was made in this one.
    made: Mutex<HashMap<[u8; 32], u32>>,
}

/// How many different calls with keys may be made in one.
const MOST: usize = 10_000;

impl Key {
    /// The key that `caller` has given to a call of `tool`.
    pub(crate) fn new(caller: &Caller, tool: &str, text: &str) -> Self {
        Self::of(caller, tool, text.to_owned(), true)
    }

    /// The key of a call that a run makes, whose result the run keeps.
    pub(crate) fn in_run(caller: &Caller, tool: &str, text: String) -> Self {
        Self::of(caller, tool, text, false)
    }

    /// The same, where the run commits the record of the call as well.
    pub(crate) fn withholding(self, withheld: Arc<Withheld>) -> Self {
        Self { withheld: Some(withheld), ..self }
    }

    pub(crate) fn withheld(&self) -> Option<&Withheld> {
        self.withheld.as_deref()
    }

    fn of(caller: &Caller, tool: &str, key: String, is_kept: bool) -> Self {
        let (tenant, principal) = (caller.tenant().clone(), caller.principal().clone());
        let effect =
            digest(&[tenant.as_str().as_bytes(), principal.as_str().as_bytes(), tool.as_bytes(), key.as_bytes()]);
        Self {
            of_call: CallKey { tenant, principal, tool: tool.to_owned(), key },
            is_kept,
            left: Cancellation::default(),
            effect: URL_SAFE_NO_PAD.encode(effect),
            withheld: None,
            made: Mutex::default(),
        }
    }

    /// What no other effect is called: 43 characters of the alphabet of URLs.
    pub(crate) fn effect(&self) -> &str {
        &self.effect
    }

    /// No call was made in this one yet.
    pub(super) fn begin_again(&self) {
        lock(&self.made).clear();
    }

    /// The key of a call that is made in this one: the same when this one is made again, as long as the same calls are made in it, in
    /// whatever order.
    pub(crate) fn inner(
        &self,
        caller: &Caller,
        tool: &str,
        arguments: &Arguments,
        is_kept: bool,
    ) -> Result<Self, ToolError> {
        let call = digest(&[tool.as_bytes(), arguments.as_bytes()]);
        let nth = {
            let mut made = lock(&self.made);
            if made.len() >= MOST && !made.contains_key(&call) {
                return Err(ToolError::failed(format!(
                    "more than {MOST} different calls are made in one that has a key"
                )));
            }
            let nth = made.entry(call).or_default();
            *nth += 1;
            *nth
        };
        let text = digest(&[self.effect.as_bytes(), &call, &nth.to_le_bytes()]);
        // No client gives a key with a space in it.
        Ok(Self::of(caller, tool, format!(" {}", URL_SAFE_NO_PAD.encode(text)), is_kept))
    }
}

/// Of all parts, none of which is taken for a piece of another.
fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

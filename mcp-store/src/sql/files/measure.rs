//! What is learned of bytes while they pass.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, future};
use mcp_core::caller::Tenant;
use mcp_core::store::StoreError;
use mcp_core::store::blobs::ByteStream;
use mcp_core::store::files::{Hash, SEARCHED, searched};
use ring::hmac;

use super::STORE;

/// Measures a stream on its way to its blob.
pub(super) struct Measure(Arc<Mutex<State>>);

struct State {
    digest: hmac::Context,
    size: u64,
    most: u64,
    is_too_large: bool,
    /// As much as is searched, and a little more, which tells that there is more.
    beginning: Vec<u8>,
}

/// What was learned of a stream that has ended.
pub(super) struct Measured {
    pub(super) hash: Hash,
    pub(super) size: u64,
    pub(super) is_too_large: bool,
    beginning: Vec<u8>,
}

impl Measure {
    /// Begins to measure bytes of `tenant`, of which there may be `most`.
    pub(super) fn begin(key: &hmac::Key, tenant: &Tenant, most: u64) -> Self {
        let tenant = tenant.as_str();
        let mut digest = hmac::Context::with_key(key);
        // Its length first, so that no end of a name is taken for a beginning of bytes.
        digest.update(&(tenant.len() as u64).to_be_bytes());
        digest.update(tenant.as_bytes());
        Self(Arc::new(Mutex::new(State { digest, size: 0, most, is_too_large: false, beginning: Vec::new() })))
    }

    /// The same bytes, which end by an error where there are too many.
    pub(super) fn of(&self, bytes: ByteStream) -> ByteStream {
        let state = self.0.clone();
        bytes.and_then(move |piece| future::ready(lock(&state).see(&piece).map(|()| piece))).boxed()
    }

    /// What was seen until now.
    pub(super) fn end(self) -> Measured {
        let state = lock(&self.0);
        let tag = state.digest.clone().sign();
        let mut hash = [0; 32];
        hash.copy_from_slice(tag.as_ref());
        Measured {
            hash: Hash::from_bytes(hash),
            size: state.size,
            is_too_large: state.is_too_large,
            beginning: state.beginning.clone(),
        }
    }
}

impl State {
    fn see(&mut self, piece: &Bytes) -> Result<(), StoreError> {
        self.size = self.size.saturating_add(piece.len() as u64);
        if self.size > self.most {
            self.is_too_large = true;
            return Err(StoreError::Refused { store: STORE, source: None });
        }
        self.digest.update(piece);
        let room = (SEARCHED + 1).saturating_sub(self.beginning.len());
        self.beginning.extend_from_slice(&piece[..piece.len().min(room)]);
        Ok(())
    }
}

impl Measured {
    /// The part that is searched.
    pub(super) fn searched(&self, content_type: &str) -> &str {
        searched(content_type, &self.beginning)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

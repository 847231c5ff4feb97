//! The record of a call that is committed with what comes of the call.

use std::sync::{Arc, Mutex};

use crate::memory::lock;
use crate::server::Server;
use crate::store::ledger::{CallRecord, Entry};

/// Where the record of a call waits until a run commits it together with what came of the call. One that nobody has taken is
/// committed alone when this is dropped: a call that was made is recorded.
pub(crate) struct Withheld {
    server: Server,
    record: Mutex<Option<CallRecord>>,
}

impl Withheld {
    pub(crate) fn new(server: &Server) -> Arc<Self> {
        Arc::new(Self { server: server.clone(), record: Mutex::default() })
    }

    pub(crate) fn put(&self, record: CallRecord) {
        *lock(&self.record) = Some(record);
    }

    pub(crate) fn take(&self) -> Option<CallRecord> {
        lock(&self.record).take()
    }
}

impl Drop for Withheld {
    fn drop(&mut self) {
        if let (Some(record), Some(ledger)) = (self.take(), self.server.ledger()) {
            // It is in the queue when `commit` returns.
            drop(ledger.commit(vec![Entry::Call(record)]));
        }
    }
}

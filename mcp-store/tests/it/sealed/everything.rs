//! One thing of every kind that callers keep.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, future, stream};
use mcp_core::Stores;
use mcp_core::caller::{Principal, Tenant};
use mcp_core::clock::Timestamp;
use mcp_core::store::StoreError;
use mcp_core::store::files::Span;
use mcp_core::store::idempotency::{CallKey, Claim, Claimed};
use mcp_core::store::ledger::{Answer, CallId, CallRecord, Entry, Outcome};
use mcp_core::store::replicas::ReplicaId;
use mcp_core::store::runs::{Ending, Hold, Input, InputId, InputKind, NewRun, RunId, Step, StepKind, Turn};
use mcp_core::store::threads::{Message, MessageId, Thread, ThreadId};
use sha2::{Digest, Sha256};

/// Stands in all of them.
pub(super) const MARKER: &str = "quicksilver";

pub(super) const HOUR: Duration = Duration::from_secs(3_600);

/// A caller, and what they keep.
pub(super) struct Everything {
    pub(super) tenant: Tenant,
    pub(super) owner: Principal,
    call: CallRecord,
    key: CallKey,
    handles: std::sync::Mutex<Vec<String>>,
}

impl Everything {
    pub(super) fn new() -> Self {
        Self::of("a")
    }

    pub(super) fn of(tenant: &str) -> Self {
        let (tenant, owner) = (Tenant::from(tenant), Principal::from("ada"));
        let call = CallRecord {
            id: CallId::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0001),
            parent: None,
            tenant: tenant.clone(),
            principal: owner.clone(),
            address: None,
            tool: "t".to_owned(),
            arguments: Bytes::from(format!(r#"{{"a":"{MARKER}"}}"#)),
            outcome: Outcome::Ok,
            result: Bytes::from(format!(r#"{{"r":"{MARKER}"}}"#)),
            at: Timestamp::from_micros(1_752_000_000_000_000),
            duration: Duration::ZERO,
            waited: Duration::ZERO,
        };
        let key =
            CallKey { tenant: tenant.clone(), principal: owner.clone(), tool: "t".to_owned(), key: "k".to_owned() };
        Self { tenant, owner, call, key, handles: std::sync::Mutex::default() }
    }

    /// What is recorded of their call.
    pub(super) fn call(&self) -> CallRecord {
        self.call.clone()
    }

    fn run(&self) -> RunId {
        RunId::from_u128(7)
    }

    fn thread(&self) -> ThreadId {
        ThreadId::from_u128(8)
    }

    fn arguments(&self) -> [u8; 32] {
        Sha256::digest(&self.call.arguments).into()
    }

    /// By what somebody who reads it would find something out.
    pub(super) fn traces(&self) -> Vec<(&'static str, Vec<u8>)> {
        vec![
            ("the marker", MARKER.as_bytes().to_vec()),
            ("the digest of arguments", self.arguments().to_vec()),
            ("the digest of a record", self.call.digest().to_vec()),
        ]
    }

    pub(super) fn file(&self) -> Vec<u8> {
        // More than one piece.
        format!("{MARKER} ").repeat(15_000).into_bytes()
    }

    pub(super) async fn write(&self, stores: &Stores) {
        let (tenant, owner, at) = (&self.tenant, &self.owner, self.call.at);
        let body = Bytes::from(MARKER);
        let claim = Claim { owner: self.call.id, replica: ReplicaId::from_u64(1), digest: self.arguments() };
        stores.idempotency.claim(&self.key, &claim).await.unwrap();
        let answer = Answer { key: self.key.clone(), arguments: self.arguments(), call: self.call.id };
        stores.ledger.commit(vec![Entry::Call(self.call.clone()), Entry::Answer(answer)]).await.unwrap();
        let run = NewRun {
            id: self.run(),
            tenant: tenant.clone(),
            principal: owner.clone(),
            kind: format!("kind of {tenant}"),
            parent: None,
            arguments: body.clone(),
            at,
        };
        stores.runs.create(&run).await.unwrap();
        let claimed = stores.runs.claim(&run.kind, 1, HOUR).await.unwrap().runs.remove(0);
        assert_eq!(claimed.arguments, body);
        let input = Input {
            id: InputId::from_u128(9),
            principal: owner.clone(),
            kind: InputKind::Message,
            body: body.clone(),
            at,
        };
        stores.runs.post(tenant, run.id, &input).await.unwrap();
        let hold = Hold { tenant: tenant.clone(), run: run.id, epoch: claimed.epoch };
        let step = Step { number: 0, kind: StepKind::Done, key: "key".to_owned(), body: body.clone(), at };
        let turn = Turn::End { run: Box::new(claimed), ending: Ending::Completed, result: body, at };
        stores.ledger.commit(vec![Entry::Step { hold: hold.clone(), step }, Entry::Turn { hold, turn }]).await.unwrap();
        stores.notes.write(tenant, owner, "note", MARKER).await.unwrap();
        let thread = Thread { id: self.thread(), title: MARKER.to_owned(), created: at };
        stores.threads.create(tenant, owner, &thread).await.unwrap();
        let message = Message { id: MessageId::from_u128(1), role: "user".to_owned(), text: MARKER.to_owned(), at };
        assert!(stores.threads.append(tenant, owner, thread.id, &message).await.unwrap());
        let mut handles = Vec::new();
        for sessions in [&stores.sessions, &stores.protocol_sessions] {
            let session = sessions.create(tenant, owner, MARKER.into(), HOUR).await.unwrap();
            sessions.save(tenant, owner, &session.handle, session.version, MARKER.into()).await.unwrap();
            handles.push(session.handle);
        }
        *self.handles.lock().unwrap() = handles;
        let files = stores.files.as_ref().unwrap();
        let bytes = stream::iter(self.file().chunks(10_007).map(Bytes::copy_from_slice).collect::<Vec<_>>());
        files.write(tenant, owner, "file", "text/plain", bytes.map(Ok).boxed()).await.unwrap();
        let empty = stream::once(future::ready(Ok::<_, StoreError>(Bytes::new()))).boxed();
        files.write(tenant, owner, "empty", "text/plain", empty).await.unwrap();
    }

    /// All of it is read as it was written.
    pub(super) async fn is_kept(&self, stores: &Stores) {
        let (tenant, owner) = (&self.tenant, &self.owner);
        assert_eq!(stores.history.call(tenant, self.call.id).await.unwrap().unwrap(), self.call);
        let claim = Claim { owner: CallId::from_u128(5), replica: ReplicaId::from_u64(1), digest: self.arguments() };
        assert_eq!(stores.idempotency.claim(&self.key, &claim).await.unwrap(), Claimed::Answered(self.call.id));
        let other = Claim { digest: [0; 32], ..claim };
        assert_eq!(stores.idempotency.claim(&self.key, &other).await.unwrap(), Claimed::Mismatch);
        let run = stores.runs.run(tenant, self.run()).await.unwrap().unwrap();
        assert_eq!((&run.arguments[..], &run.result[..]), (MARKER.as_bytes(), MARKER.as_bytes()));
        let steps = stores.runs.steps(tenant, run.id, 0, 9).await.unwrap();
        assert_eq!(steps.iter().map(|record| &record.step.body[..]).collect::<Vec<_>>(), [MARKER.as_bytes()]);
        let inputs = stores.runs.inputs(tenant, run.id, 0, 9).await.unwrap();
        assert_eq!(inputs.iter().map(|input| &input.body[..]).collect::<Vec<_>>(), [MARKER.as_bytes()]);
        assert_eq!(stores.notes.read(tenant, owner, "note").await.unwrap().unwrap().text, MARKER);
        assert_eq!(stores.threads.list(tenant, owner, None, 9).await.unwrap()[0].title, MARKER);
        let messages = stores.threads.messages(tenant, owner, self.thread(), None, 9).await.unwrap();
        assert_eq!(messages.iter().map(|placed| placed.message.text.as_str()).collect::<Vec<_>>(), [MARKER]);
        let handles = self.handles.lock().unwrap().clone();
        for (sessions, handle) in [&stores.sessions, &stores.protocol_sessions].into_iter().zip(handles) {
            let session = sessions.load(tenant, owner, &handle).await.unwrap().unwrap();
            assert_eq!(session.value, MARKER);
        }
        let file = self.file();
        let size = file.len() as u64;
        for (first, last) in
            [(0, size - 1), (0, 0), (65_535, 65_536), (65_536, 131_071), (size - 1, size), (70_000, 140_000)]
        {
            let part = self.part(stores, "file", Some(Span::Between(first, last))).await.unwrap();
            let end = usize::try_from(last.min(size - 1)).unwrap();
            assert!(part == file[usize::try_from(first).unwrap()..=end], "{first} to {last}");
        }
        assert_eq!(self.part(stores, "empty", None).await.unwrap(), b"");
        assert!(self.part(stores, "file", None).await.unwrap() == file);
    }

    pub(super) async fn part(&self, stores: &Stores, name: &str, span: Option<Span>) -> Result<Vec<u8>, StoreError> {
        let files = stores.files.as_ref().unwrap();
        let open = files.read(&self.tenant, &self.owner, name, span).await.unwrap().unwrap();
        Ok(open.bytes.try_collect::<Vec<_>>().await?.concat())
    }
}

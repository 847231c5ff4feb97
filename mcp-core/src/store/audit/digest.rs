//! What a link holds of its record.

use sha2::{Digest, Sha256};

use super::entry::{Head, Removal};
use super::link::{Kind, Mark};
use crate::store::ledger::{Answer, CallRecord, Entry};
use crate::store::runs::{Hold, RunRecord, Step};

/// The digest of a record: SHA-256 over all its columns as they came, in their order, each so that none can be taken for a part of
/// another.
#[derive(Clone, Debug)]
pub struct RecordDigest(Sha256);

impl RecordDigest {
    /// That of a record of this kind.
    pub fn of(kind: &Kind) -> Self {
        Self(Sha256::new()).text(kind.as_str())
    }

    /// What the link of a removal holds: that of no column of a record of this kind, and zeros for a call.
    pub fn of_removed(kind: &Kind) -> [u8; 32] {
        if *kind == Kind::CALL { [0; 32] } else { Self::of(kind).finish() }
    }

    /// With a column of bytes: their number, and they.
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
        self
    }

    /// With a column of text: as bytes.
    #[must_use]
    pub fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    /// With a column that holds a number: 8 bytes, the first the highest.
    #[must_use]
    pub fn number(self, number: i64) -> Self {
        self.bytes(&number.to_be_bytes())
    }

    /// With a column that holds an id: 16 bytes.
    #[must_use]
    pub fn id(self, id: u128) -> Self {
        self.bytes(&id.to_be_bytes())
    }

    /// With a column that may hold an id: no bytes, where there is none.
    #[must_use]
    pub fn optional_id(self, id: Option<u128>) -> Self {
        match id {
            Some(id) => self.id(id),
            None => self.bytes(&[]),
        }
    }

    /// The digest.
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

impl CallRecord {
    /// What its link holds.
    pub fn digest(&self) -> [u8; 32] {
        let digest = RecordDigest::of(&Kind::CALL)
            .text(self.tenant.as_str())
            .id(self.id.as_u128())
            .optional_id(self.parent.map(|parent| parent.as_u128()))
            .text(self.principal.as_str())
            .text(&self.tool)
            .text(self.outcome.as_str())
            .number(self.at.as_micros())
            .number(i64::try_from(self.duration.as_micros()).unwrap_or(i64::MAX))
            .bytes(&self.arguments)
            .bytes(&self.result);
        // Calls that were recorded before there were addresses have none, and nobody knew for how long they had waited.
        let address = self.address.map(|address| address.to_string());
        match (address, self.waited.as_micros()) {
            (None, 0) => digest.finish(),
            (Some(address), 0) => digest.text(&address).finish(),
            (address, waited) => {
                let digest = digest.text(address.as_deref().unwrap_or_default());
                digest.number(i64::try_from(waited).unwrap_or(i64::MAX)).finish()
            }
        }
    }
}

impl Answer {
    /// What its link holds.
    pub fn digest(&self) -> [u8; 32] {
        RecordDigest::of(&Kind::ANSWER)
            .text(self.key.tenant.as_str())
            .text(self.key.principal.as_str())
            .text(&self.key.tool)
            .text(&self.key.key)
            .bytes(&self.arguments)
            .id(self.call.as_u128())
            .finish()
    }
}

impl Step {
    /// What its link holds, where it was written under `hold`.
    pub fn digest(&self, hold: &Hold) -> [u8; 32] {
        RecordDigest::of(&Kind::STEP)
            .text(hold.tenant.as_str())
            .id(hold.run.as_u128())
            .number(self.number.into())
            .number(hold.epoch.cast_signed())
            .text(self.kind.as_str())
            .text(&self.key)
            .bytes(&self.body)
            .number(self.at.as_micros())
            .finish()
    }
}

impl RunRecord {
    /// What its link holds, once it has ended. How many inputs it has is no part of it: one may come while it ends.
    pub fn digest(&self) -> [u8; 32] {
        RecordDigest::of(&Kind::RUN)
            .text(self.tenant.as_str())
            .id(self.id.as_u128())
            .text(self.principal.as_str())
            .text(&self.kind)
            .optional_id(self.parent.map(|parent| parent.as_u128()))
            .bytes(&self.arguments)
            .number(self.at.as_micros())
            .text(self.state.as_str())
            .number(self.epoch.cast_signed())
            .number(self.attempts.into())
            .number(self.position.into())
            .number(self.ended.map_or(i64::MIN, |ended| ended.as_micros()))
            .bytes(&self.result)
            .finish()
    }

    fn mark(&self) -> Mark {
        let (tenant, subject) = (Some(self.tenant.clone()), self.id.as_u128());
        Mark { kind: Kind::RUN, tenant, subject, number: 0, digest: self.digest() }
    }
}

impl Entry {
    /// What is to be linked when it is written.
    pub fn marks(&self) -> Vec<Mark> {
        match self {
            Self::Call(call) => vec![Mark {
                kind: Kind::CALL,
                tenant: Some(call.tenant.clone()),
                subject: call.id.as_u128(),
                number: 0,
                digest: call.digest(),
            }],
            Self::Answer(answer) => vec![Mark {
                kind: Kind::ANSWER,
                tenant: Some(answer.key.tenant.clone()),
                subject: answer.call.as_u128(),
                number: 0,
                digest: answer.digest(),
            }],
            Self::Step { hold, step } => vec![Mark {
                kind: Kind::STEP,
                tenant: Some(hold.tenant.clone()),
                subject: hold.run.as_u128(),
                number: step.number.into(),
                digest: step.digest(hold),
            }],
            // What a run waits for is no record: what comes of it is.
            Self::Turn { turn, .. } => turn.ended().iter().map(RunRecord::mark).collect(),
            Self::Used { .. } => Vec::new(),
            Self::Removal(removal) => removal.marks(),
            Self::Anchor(heads) => heads.iter().map(|head| head.mark(Kind::ANCHOR)).collect(),
            Self::Checkpoint(head) => vec![head.mark(Kind::CHECKPOINT)],
        }
    }
}

impl Removal {
    fn marks(&self) -> Vec<Mark> {
        let mark = |id: u128, of: &Kind| Mark {
            kind: self.cause.kind(),
            tenant: Some(self.tenant.clone()),
            subject: id,
            number: 0,
            digest: RecordDigest::of_removed(of),
        };
        let calls = self.calls.iter().map(|call| mark(call.as_u128(), &Kind::CALL));
        calls.chain(self.runs.iter().map(|run| mark(run.as_u128(), &Kind::RUN))).collect()
    }
}

impl Head {
    fn mark(&self, kind: Kind) -> Mark {
        Mark { kind, tenant: None, subject: self.chain.as_u128(), number: self.sequence, digest: self.mac }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_column_is_taken_for_a_part_of_another() {
        let digest = |parts: [&str; 2]| RecordDigest::of(&Kind::CALL).text(parts[0]).text(parts[1]).finish();
        assert_ne!(digest(["a", "b"]), digest(["ab", ""]));
        assert_ne!(digest(["a", "b"]), digest(["", "ab"]));
        let id = |id| RecordDigest::of(&Kind::CALL).optional_id(id).finish();
        assert_ne!(id(None), id(Some(0)));
        assert_ne!(RecordDigest::of(&Kind::CALL).finish(), RecordDigest::of(&Kind::BEGUN).finish());
    }
}

//! Files that break their promises.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, future, stream};
use sha2::{Digest, Sha256};

use crate::caller::{Principal, Tenant};
use crate::clock::Clock;
use crate::clock::simulated::SimulatedClock;
use crate::contract::Fresh;
use crate::contract::files::CAPS;
use crate::memory::lock;
use crate::store::blobs::ByteStream;
use crate::store::files::{
    Caps, File, FileError, Files, Hash, OVERHEAD, OpenFile, Span, check_names, is_text, searched,
};
use crate::store::words::words;
use crate::store::{StoreError, Stores};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    LosesTheLastByte,
    ForgetsTheType,
    FoldsNames,
    FirstWritingCounts,
    FindsOldTexts,
    WritesWhatBroke,
    WritesWhatWasLeft,
    IgnoresSpans,
    ExcludesTheLast,
    RefusesNoSpan,
    AnyOwner,
    AnyTenant,
    JoinsTheNames,
    SharesTheRoom,
    HashesAlike,
    HashesForAll,
    HashesAnew,
    KeepsWhatIsRemoved,
    RemovesEqualBytes,
    TakesTheLargest,
    CutsTheLargest,
    TakesTheMost,
    CountsWhatIsReplaced,
    CountsWhatIsRemoved,
    CountsBytesAlone,
    AnyName,
    ListsAsWritten,
    ListsEveryPrefix,
    ListsAfterItself,
    ListsWithoutLimit,
    HalfWords,
    AnyWord,
    MindsCase,
    FindsAllWithoutWords,
    NamesAlone,
    TextsAlone,
    SearchesToTheEnd,
    SearchesPictures,
    OldestFirst,
    FindsWithoutLimit,
}

/// Files in a list, in the order of writing; sound, but for the flaw.
struct Broken {
    flaw: Flaw,
    clock: SimulatedClock,
    files: Mutex<Vec<Kept>>,
    removed: Mutex<u64>,
}

#[derive(Clone)]
struct Kept {
    caller: String,
    file: File,
    bytes: Bytes,
}

fn broken(flaw: Flaw) -> Fresh {
    let clock = SimulatedClock::new();
    let mut stores = Stores::in_memory(Arc::new(clock.clone()));
    let files = Broken { flaw, clock: clock.clone(), files: Mutex::default(), removed: Mutex::default() };
    stores.files = Some(Arc::new(files));
    Fresh::new(stores, clock)
}

impl Broken {
    fn is(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    fn caller(&self, tenant: &Tenant, owner: &Principal) -> String {
        match self.flaw {
            Flaw::AnyOwner => format!("{tenant:?}"),
            Flaw::AnyTenant => format!("{owner:?}"),
            Flaw::JoinsTheNames => format!("{tenant}{owner}"),
            _ => format!("{tenant:?} {owner:?}"),
        }
    }

    fn kept(&self, tenant: &Tenant, owner: &Principal, name: &str) -> Option<Kept> {
        let (caller, name) = (self.caller(tenant, owner), self.name(name));
        let files = lock(&self.files);
        files.iter().rev().find(|kept| kept.caller == caller && kept.file.name == name).cloned()
    }

    fn name(&self, name: &str) -> String {
        if self.is(Flaw::FoldsNames) { name.to_lowercase() } else { name.to_owned() }
    }

    fn hash(&self, tenant: &Tenant, bytes: &[u8]) -> Hash {
        let salt = match self.flaw {
            Flaw::HashesForAll => String::new(),
            Flaw::HashesAnew => lock(&self.files).len().to_string(),
            _ => format!("{tenant:?}"),
        };
        let bytes = if self.is(Flaw::HashesAlike) { &bytes[..bytes.len().min(1)] } else { bytes };
        Hash::from_bytes(Sha256::new().chain_update(salt).chain_update(bytes).finalize().into())
    }

    fn room(&self, file: &File) -> u64 {
        file.size + if self.is(Flaw::CountsBytesAlone) { 0 } else { OVERHEAD }
    }

    fn keep(&self, tenant: &Tenant, owner: &Principal, file: File, bytes: Bytes) -> Result<File, FileError> {
        let caller = self.caller(tenant, owner);
        let mut files = lock(&self.files);
        let counts = |kept: &&Kept| {
            (kept.caller == caller || self.is(Flaw::SharesTheRoom))
                && (kept.file.name != file.name || self.is(Flaw::CountsWhatIsReplaced))
        };
        let taken: u64 = files.iter().filter(counts).map(|kept| self.room(&kept.file)).sum();
        let removed = if self.is(Flaw::CountsWhatIsRemoved) { *lock(&self.removed) } else { 0 };
        if taken + removed + self.room(&file) > CAPS.owner && !self.is(Flaw::TakesTheMost) {
            return Err(FileError::Full { limit: CAPS.owner });
        }
        let old = files.iter().position(|kept| kept.caller == caller && kept.file.name == file.name);
        let kept = Kept { caller, file: file.clone(), bytes };
        match old {
            Some(old) if self.is(Flaw::FirstWritingCounts) => files[old] = kept,
            Some(_) if self.is(Flaw::FindsOldTexts) => files.push(kept),
            old => {
                if let Some(old) = old {
                    files.remove(old);
                }
                files.push(kept);
            }
        }
        Ok(file)
    }

    fn words(&self, text: &str) -> BTreeSet<String> {
        if self.is(Flaw::MindsCase) {
            let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
            return words.map(str::to_owned).collect();
        }
        words(text).collect()
    }

    fn holds(&self, kept: &Kept, wanted: &BTreeSet<String>) -> bool {
        let content_type = if self.is(Flaw::SearchesPictures) { "text/plain" } else { &kept.file.content_type };
        let text = match self.flaw {
            Flaw::NamesAlone => "",
            Flaw::SearchesToTheEnd if is_text(content_type) => str::from_utf8(&kept.bytes).unwrap_or_default(),
            _ => searched(content_type, &kept.bytes),
        };
        let name = if self.is(Flaw::TextsAlone) { "" } else { &kept.file.name };
        let text = format!("{name} {text}");
        match self.flaw {
            Flaw::HalfWords => wanted.iter().all(|word| text.to_lowercase().contains(word)),
            Flaw::AnyWord => !wanted.is_disjoint(&self.words(&text)),
            _ => wanted.is_subset(&self.words(&text)),
        }
    }
}

#[async_trait]
impl Files for Broken {
    fn caps(&self) -> Caps {
        CAPS
    }

    async fn write(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        name: &str,
        content_type: &str,
        mut bytes: ByteStream,
    ) -> Result<File, FileError> {
        if !self.is(Flaw::AnyName) {
            check_names("files", name, content_type)?;
        }
        let name = self.name(name);
        let content_type = if self.is(Flaw::ForgetsTheType) { "text/plain" } else { content_type };
        let file = |bytes: &[u8]| File {
            name: name.clone(),
            content_type: content_type.to_owned(),
            size: bytes.len() as u64,
            hash: self.hash(tenant, bytes),
            written: self.clock.now(),
        };
        let mut whole = Vec::new();
        loop {
            match bytes.next().await {
                Some(Ok(piece)) => whole.extend_from_slice(&piece),
                None => break,
                Some(Err(error)) => {
                    if self.is(Flaw::WritesWhatBroke) {
                        self.keep(tenant, owner, file(&whole), whole.into())?;
                    }
                    return Err(error.into());
                }
            }
            if self.is(Flaw::WritesWhatWasLeft) {
                self.keep(tenant, owner, file(&whole), whole.clone().into())?;
            }
            if whole.len() as u64 > CAPS.file {
                match self.flaw {
                    Flaw::TakesTheLargest => {}
                    Flaw::CutsTheLargest => {
                        whole.truncate(usize::try_from(CAPS.file).expect("it is small"));
                        break;
                    }
                    _ => return Err(FileError::TooLarge { limit: CAPS.file }),
                }
            }
        }
        let file = file(&whole);
        if self.is(Flaw::LosesTheLastByte) {
            whole.pop();
        }
        self.keep(tenant, owner, file, whole.into())
    }

    async fn read(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        name: &str,
        span: Option<Span>,
    ) -> Result<Option<OpenFile>, FileError> {
        let Some(Kept { file, bytes, .. }) = self.kept(tenant, owner, name) else { return Ok(None) };
        let size = file.size;
        let range = match (span, self.flaw) {
            (None, _) | (_, Flaw::IgnoresSpans) => Some(0..size),
            (Some(Span::Between(first, last)), Flaw::ExcludesTheLast) => Some(first..last.min(size)),
            (Some(span), Flaw::RefusesNoSpan) => Some(span.of(size).unwrap_or(0..0)),
            (Some(span), _) => span.of(size),
        };
        let range = range.ok_or(FileError::OutOfRange { size })?;
        let place = |place: u64| usize::try_from(place).expect("it is small").min(bytes.len());
        let part = bytes.slice(place(range.start)..place(range.end));
        Ok(Some(OpenFile { file, range, bytes: stream::once(future::ready(Ok(part))).boxed() }))
    }

    async fn find(&self, tenant: &Tenant, owner: &Principal, name: &str) -> Result<Option<File>, StoreError> {
        Ok(self.kept(tenant, owner, name).map(|kept| kept.file))
    }

    async fn remove(&self, tenant: &Tenant, owner: &Principal, name: &str) -> Result<bool, StoreError> {
        let Some(found) = self.kept(tenant, owner, name) else { return Ok(false) };
        *lock(&self.removed) += self.room(&found.file);
        lock(&self.files).retain(|kept| match self.flaw {
            Flaw::KeepsWhatIsRemoved => true,
            Flaw::RemovesEqualBytes => kept.file.hash != found.file.hash,
            _ => (&kept.caller, &kept.file.name) != (&found.caller, &found.file.name),
        });
        Ok(true)
    }

    async fn list(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        prefix: &str,
        after: Option<&str>,
        limit: u16,
    ) -> Result<Vec<File>, StoreError> {
        let caller = self.caller(tenant, owner);
        let mut own: Vec<File> =
            lock(&self.files).iter().filter(|kept| kept.caller == caller).map(|kept| kept.file.clone()).collect();
        if !self.is(Flaw::ListsAsWritten) {
            own.sort_by(|one, other| one.name.cmp(&other.name));
        }
        own.retain(|file| file.name.starts_with(prefix) || self.is(Flaw::ListsEveryPrefix));
        own.retain(|file| {
            after.is_none_or(|after| *file.name > *after || file.name == after && self.is(Flaw::ListsAfterItself))
        });
        if !self.is(Flaw::ListsWithoutLimit) {
            own.truncate(limit.into());
        }
        Ok(own)
    }

    async fn search(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        query: &str,
        limit: u16,
    ) -> Result<Vec<File>, StoreError> {
        let wanted = self.words(query);
        if wanted.is_empty() && !self.is(Flaw::FindsAllWithoutWords) {
            return Ok(Vec::new());
        }
        let caller = self.caller(tenant, owner);
        let files = lock(&self.files);
        let own = files.iter().filter(|kept| kept.caller == caller);
        let mut found: Vec<_> = own.filter(|kept| self.holds(kept, &wanted)).map(|kept| kept.file.clone()).collect();
        if !self.is(Flaw::OldestFirst) {
            found.reverse();
        }
        if !self.is(Flaw::FindsWithoutLimit) {
            found.truncate(limit.into());
        }
        Ok(found)
    }
}

super::each_case_fails! {
    files, broken,
    a_written_file_is_read_back: [Flaw::LosesTheLastByte, Flaw::ForgetsTheType, Flaw::FoldsNames],
    writing_again_replaces: [Flaw::FindsOldTexts],
    what_is_cut_off_changes_nothing: [Flaw::WritesWhatBroke, Flaw::WritesWhatWasLeft],
    a_span_is_part_of_the_file: [Flaw::IgnoresSpans, Flaw::ExcludesTheLast, Flaw::RefusesNoSpan],
    callers_are_apart: [Flaw::AnyOwner, Flaw::AnyTenant, Flaw::JoinsTheNames, Flaw::SharesTheRoom],
    equal_bytes_have_an_equal_hash: [Flaw::HashesAlike, Flaw::HashesForAll, Flaw::HashesAnew],
    a_removed_file_is_gone: [Flaw::KeepsWhatIsRemoved, Flaw::RemovesEqualBytes],
    a_file_is_no_larger_than_may_be: [Flaw::TakesTheLargest, Flaw::CutsTheLargest],
    an_owner_has_a_limited_room: [
        Flaw::TakesTheMost,
        Flaw::CountsWhatIsReplaced,
        Flaw::CountsWhatIsRemoved,
        Flaw::CountsBytesAlone,
    ],
    a_name_is_short: [Flaw::AnyName],
    a_list_is_in_the_order_of_names: [
        Flaw::ListsAsWritten,
        Flaw::ListsEveryPrefix,
        Flaw::ListsAfterItself,
        Flaw::ListsWithoutLimit,
    ],
    search_finds_whole_words_in_any_case: [
        Flaw::HalfWords,
        Flaw::AnyWord,
        Flaw::MindsCase,
        Flaw::FindsAllWithoutWords,
        Flaw::NamesAlone,
        Flaw::TextsAlone,
        Flaw::SearchesToTheEnd,
        Flaw::SearchesPictures,
    ],
    search_shows_the_newest_first: [Flaw::OldestFirst, Flaw::FirstWritingCounts, Flaw::FindsWithoutLimit],
}

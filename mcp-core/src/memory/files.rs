//! Files in memory.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::pin::pin;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;
use futures_util::future::{Either, select};
use sha2::{Digest, Sha256};

use super::blobs::{once, part};
use super::lock;
use crate::caller::{Principal, Tenant};
use crate::clock::Clock;
use crate::store::StoreError;
use crate::store::blobs::ByteStream;
use crate::store::files::{
    Caps, File, FileError, Files, Hash, LONGEST_WRITE, OVERHEAD, OpenFile, Span, check_names, searched,
};
use crate::store::sessions::new_handle;
use crate::store::words::words;

/// [`Files`] in memory, of [`MemoryFiles::BYTES`] together. What was written is not forgotten to make room: when it is full it takes no
/// more.
pub struct MemoryFiles {
    clock: Arc<dyn Clock>,
    caps: Caps,
    shelf: Mutex<Shelf>,
}

#[derive(Default)]
struct Shelf {
    by_name: BTreeMap<Key, Kept>,
    last_order: u64,
    /// The hashes of one process have nothing to do with those of another.
    salt: String,
}

type Key = (Tenant, Principal, String);

#[derive(Clone)]
struct Kept {
    file: File,
    bytes: Bytes,
    order: u64,
}

const STORE: &str = "store of files";

impl MemoryFiles {
    /// How much room all files take at the most.
    pub const BYTES: u64 = 64 * 1024 * 1024;

    /// No files yet.
    pub fn new(clock: Arc<dyn Clock>, caps: Caps) -> Self {
        Self { clock, caps, shelf: Mutex::default() }
    }

    async fn collect(&self, mut bytes: ByteStream) -> Result<Bytes, FileError> {
        let mut whole = BytesMut::new();
        while let Some(piece) = bytes.try_next().await? {
            if (whole.len() + piece.len()) as u64 > self.caps.file {
                return Err(FileError::TooLarge { limit: self.caps.file });
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    fn kept(&self, tenant: &Tenant, owner: &Principal, name: &str) -> Option<Kept> {
        lock(&self.shelf).by_name.get(&(tenant.clone(), owner.clone(), name.to_owned())).cloned()
    }
}

impl Shelf {
    fn hash(&mut self, tenant: &Tenant, bytes: &[u8]) -> Result<Hash, StoreError> {
        if self.salt.is_empty() {
            self.salt = new_handle()?;
        }
        let tenant = tenant.as_str();
        let begin = Sha256::new().chain_update(&self.salt).chain_update((tenant.len() as u64).to_be_bytes());
        Ok(Hash::from_bytes(begin.chain_update(tenant).chain_update(bytes).finalize().into()))
    }

    fn own<'s>(&'s self, tenant: &'s Tenant, owner: &'s Principal, from: &str) -> impl Iterator<Item = &'s Kept> {
        let first = (tenant.clone(), owner.clone(), from.to_owned());
        let from = self.by_name.range((Bound::Included(first), Bound::Unbounded));
        from.take_while(move |((of, by, _), _)| of == tenant && by == owner).map(|(_, kept)| kept)
    }
}

/// How much room a file takes.
fn room(file: &File) -> u64 {
    file.size + OVERHEAD
}

#[async_trait]
impl Files for MemoryFiles {
    fn caps(&self) -> Caps {
        self.caps
    }

    async fn write(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        name: &str,
        content_type: &str,
        bytes: ByteStream,
    ) -> Result<File, FileError> {
        check_names(STORE, name, content_type)?;
        let bytes = match select(pin!(self.collect(bytes)), self.clock.sleep(LONGEST_WRITE)).await {
            Either::Left((bytes, _)) => bytes?,
            Either::Right(_) => return Err(FileError::TooSlow),
        };
        let mut shelf = lock(&self.shelf);
        let hash = shelf.hash(tenant, &bytes)?;
        let file = File {
            name: name.to_owned(),
            content_type: content_type.to_owned(),
            size: bytes.len() as u64,
            hash,
            written: self.clock.now(),
        };
        let key = (tenant.clone(), owner.clone(), name.to_owned());
        let freed = shelf.by_name.get(&key).map_or(0, |kept| room(&kept.file));
        let taken: u64 = shelf.own(tenant, owner, "").map(|kept| room(&kept.file)).sum();
        if taken - freed + room(&file) > self.caps.owner {
            return Err(FileError::Full { limit: self.caps.owner });
        }
        let taken: u64 = shelf.by_name.values().map(|kept| room(&kept.file)).sum();
        if taken - freed + room(&file) > Self::BYTES {
            return Err(StoreError::Unavailable { store: STORE, source: None }.into());
        }
        shelf.last_order += 1;
        let order = shelf.last_order;
        shelf.by_name.insert(key, Kept { file: file.clone(), bytes, order });
        Ok(file)
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
        let range = span.map_or(Some(0..size), |span| span.of(size)).ok_or(FileError::OutOfRange { size })?;
        Ok(Some(OpenFile { file, bytes: once(part(&bytes, range.clone())), range }))
    }

    async fn find(&self, tenant: &Tenant, owner: &Principal, name: &str) -> Result<Option<File>, StoreError> {
        Ok(self.kept(tenant, owner, name).map(|kept| kept.file))
    }

    async fn remove(&self, tenant: &Tenant, owner: &Principal, name: &str) -> Result<bool, StoreError> {
        let key = (tenant.clone(), owner.clone(), name.to_owned());
        Ok(lock(&self.shelf).by_name.remove(&key).is_some())
    }

    async fn list(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        prefix: &str,
        after: Option<&str>,
        limit: u16,
    ) -> Result<Vec<File>, StoreError> {
        let shelf = lock(&self.shelf);
        let found = shelf.own(tenant, owner, prefix).map(|kept| &kept.file);
        let found = found.take_while(|file| file.name.starts_with(prefix));
        let found = found.filter(|file| after.is_none_or(|after| file.name.as_str() > after));
        Ok(found.take(limit.into()).cloned().collect())
    }

    async fn search(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        query: &str,
        limit: u16,
    ) -> Result<Vec<File>, StoreError> {
        let wanted: Vec<String> = words(query).collect();
        let holds = |kept: &&Kept| {
            let text = searched(&kept.file.content_type, &kept.bytes);
            let held: std::collections::BTreeSet<String> = words(&kept.file.name).chain(words(text)).collect();
            wanted.iter().all(|word| held.contains(word))
        };
        let shelf = lock(&self.shelf);
        let mut found: Vec<_> = match wanted.is_empty() {
            true => Vec::new(),
            false => shelf.own(tenant, owner, "").filter(holds).collect(),
        };
        found.sort_by_key(|kept| std::cmp::Reverse(kept.order));
        Ok(found.into_iter().take(limit.into()).map(|kept| kept.file.clone()).collect())
    }
}

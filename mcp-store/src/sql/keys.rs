//! The house's own keys.

mod sealer;
#[cfg(test)]
mod tests;

use ring::rand::{SecureRandom, SystemRandom};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, Statement};

use serde::{Deserialize, Serialize};

use super::Database;
use super::entity::key::{Column, Entity, FORMAT, Model};
use super::error::message;
use crate::error::OpenError;
use mcp_core::store::hex::hex;
use sealer::Sealer;
pub(super) use sealer::subkey;

/// A key that the house made for one purpose, once, and keeps in the database. It is there sealed under a secret key, under the newest
/// since the last start, and so it stays the same when the secret keys are changed.
pub(crate) struct HouseKey {
    purpose: Purpose,
    /// Under which it stands in the database.
    name: String,
    id: String,
    bytes: [u8; 32],
}

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The audit chain.
    Audit,
    /// The digests by which the contents of files are found.
    Files,
    /// What callers keep. There is one for each secret key that was the newest while content was sealed.
    Content,
}

impl Purpose {
    /// Those of which there is one key.
    #[cfg(test)]
    const ALL: [Self; 2] = [Self::Audit, Self::Files];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Files => "files",
            Self::Content => "content",
        }
    }
}

/// What the names of the keys for content begin with; the id of the secret key follows under which each was made.
const CONTENT: &str = "content ";

/// Of several replicas that start at once one makes the key. Run twice, it finds its own.
const MAKE: &str = "INSERT INTO mcp_keys (purpose, id, format, sealer, sealed) VALUES ($1, $2, $3, $4, $5) \
                    ON CONFLICT (purpose) DO NOTHING";

impl HouseKey {
    /// The key for `purpose`, made where there is none, and sealed under the first of `secrets` where it was sealed under another
    /// of them. There are no keys where there are no secrets.
    ///
    /// # Errors
    /// [`OpenError::Sealed`] where none of the secrets opens it; [`OpenError::Key`] where the database does not give it.
    pub(crate) async fn load(
        database: &Database,
        secrets: &[[u8; 32]],
        purpose: Purpose,
    ) -> Result<Option<Self>, OpenError> {
        let sealers: Vec<Sealer> = secrets.iter().map(Sealer::of).collect();
        if sealers.is_empty() {
            return Ok(None);
        }
        Self::load_named(database, &sealers, purpose, purpose.as_str()).await.map(Some)
    }

    async fn load_named(
        database: &Database,
        sealers: &[Sealer],
        purpose: Purpose,
        name: &str,
    ) -> Result<Self, OpenError> {
        let newest = sealers.first().ok_or_else(|| damaged(purpose, "there are no SECRET_KEYS"))?;
        let row = match find(database, purpose, name).await? {
            Some(row) => row,
            None => {
                Self::new(purpose, name)?.insert(database, newest).await.map_err(failed(purpose))?;
                find(database, purpose, name).await?.ok_or_else(|| damaged(purpose, "it is gone again"))?
            }
        };
        Self::opened(purpose, &row, sealers)?.resealed(database, row, newest).await
    }

    /// The same key, sealed under `newest` from now on.
    async fn resealed(self, database: &Database, row: Model, newest: &Sealer) -> Result<Self, OpenError> {
        if row.sealer != newest.id() {
            self.reseal(database, row, newest).await.map_err(failed(self.purpose))?;
        }
        Ok(self)
    }

    /// The key under which content is to be sealed while the first of `secrets` is the newest: made where there is none.
    ///
    /// # Errors
    /// As [`HouseKey::load`]; also where there are no secrets.
    pub(crate) async fn of_content(database: &Database, secrets: &[[u8; 32]]) -> Result<Self, OpenError> {
        let sealers: Vec<Sealer> = secrets.iter().map(Sealer::of).collect();
        let name = format!("{CONTENT}{}", sealers.first().map_or("", Sealer::id));
        Self::load_named(database, &sealers, Purpose::Content, &name).await
    }

    /// All keys under which content was ever sealed. Where they are to be `renewed`, each is sealed under the first of `secrets` from
    /// then on.
    ///
    /// # Errors
    /// As [`HouseKey::load`]; also where there are keys and no secrets.
    pub(crate) async fn all_of_content(
        database: &Database,
        secrets: &[[u8; 32]],
        renewed: bool,
    ) -> Result<Vec<Self>, OpenError> {
        let sealers: Vec<Sealer> = secrets.iter().map(Sealer::of).collect();
        let rows = Entity::find().filter(Column::Purpose.starts_with(CONTENT)).order_by_asc(Column::Purpose);
        let mut keys = Vec::new();
        for row in rows.all(database.readers()).await.map_err(failed(Purpose::Content))? {
            let key = Self::opened(Purpose::Content, &row, &sealers)?;
            keys.push(match sealers.first() {
                Some(newest) if renewed => key.resealed(database, row, newest).await?,
                _ => key,
            });
        }
        Ok(keys)
    }

    /// The key for `purpose` that is there, for whoever only reads: none is made or sealed anew.
    ///
    /// # Errors
    /// As [`HouseKey::load`].
    pub(crate) async fn existing(
        database: &Database,
        secrets: &[[u8; 32]],
        purpose: Purpose,
    ) -> Result<Option<Self>, OpenError> {
        let sealers: Vec<Sealer> = secrets.iter().map(Sealer::of).collect();
        let row = if sealers.is_empty() { None } else { find(database, purpose, purpose.as_str()).await? };
        row.map(|row| Self::opened(purpose, &row, &sealers)).transpose()
    }

    /// The key in a row.
    fn opened(purpose: Purpose, row: &Model, sealers: &[Sealer]) -> Result<Self, OpenError> {
        if row.format != FORMAT {
            let format = format!("its format is {}, and this version reads {FORMAT}", row.format);
            return Err(damaged(purpose, &format));
        }
        let Some(sealer) = sealers.iter().find(|sealer| sealer.id() == row.sealer) else {
            let given = sealers.iter().map(Sealer::id).collect::<Vec<_>>().join(", ");
            let given = if given.is_empty() { "none".to_owned() } else { given };
            let (id, sealer) = (row.id.clone(), row.sealer.clone());
            return Err(OpenError::Sealed { purpose: purpose.as_str(), id, sealer, given });
        };
        let bytes = sealer.open(&bound(&row.purpose, &row.id), &row.sealed);
        let key = bytes.map(|bytes| Self { purpose, name: row.purpose.clone(), id: row.id.clone(), bytes });
        key.ok_or_else(|| damaged(purpose, "it is not as it was sealed"))
    }

    fn new(purpose: Purpose, name: &str) -> Result<Self, OpenError> {
        let bytes = random().ok_or_else(|| damaged(purpose, "the system has no randomness"))?;
        Ok(Self {
            purpose,
            name: name.to_owned(),
            id: hex(&subkey(&bytes, "the id of a key of the house")[..8]),
            bytes,
        })
    }

    async fn insert(&self, database: &Database, sealer: &Sealer) -> Result<(), DbErr> {
        let values = [
            self.name.as_str().into(),
            (&*self.id).into(),
            FORMAT.into(),
            sealer.id().into(),
            self.sealed(sealer)?.into(),
        ];
        let make = Statement::from_sql_and_values(database.backend(), MAKE, values);
        database.writer().execute_raw(make).await.map(drop)
    }

    /// Replaces `row`, unless another replica has sealed it anew meanwhile. Run twice, it does nothing the second time.
    async fn reseal(&self, database: &Database, row: Model, newest: &Sealer) -> Result<(), DbErr> {
        let reseal = Entity::update_many()
            .col_expr(Column::Sealer, newest.id().into())
            .col_expr(Column::Sealed, self.sealed(newest)?.into())
            .filter(Column::Purpose.eq(row.purpose))
            .filter(Column::Id.eq(row.id))
            .filter(Column::Sealer.eq(row.sealer));
        reseal.exec(database.writer()).await.map(drop)
    }

    fn sealed(&self, sealer: &Sealer) -> Result<Vec<u8>, DbErr> {
        let sealed = sealer.seal(&bound(&self.name, &self.id), &self.bytes);
        sealed.ok_or_else(|| DbErr::Custom("the system has no randomness".to_owned()))
    }

    /// Tells which key it is, and nothing of it.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The key itself.
    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }
}

/// Which keys a database holds: what must be there to use a copy of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KeyId {
    /// What the key is for.
    pub purpose: String,
    /// Which key it is.
    pub id: String,
    /// Which of the secret keys opens it.
    pub sealer: String,
}

impl KeyId {
    /// Those of all keys, in the order of their purposes.
    pub(crate) async fn all(connection: &impl ConnectionTrait) -> Result<Vec<Self>, DbErr> {
        let rows = Entity::find().order_by_asc(Column::Purpose).all(connection).await?;
        Ok(rows.into_iter().map(|Model { purpose, id, sealer, .. }| Self { purpose, id, sealer }).collect())
    }
}

/// Which secret keys these are, the newest first.
pub(crate) fn sealer_ids(secrets: &[[u8; 32]]) -> Vec<String> {
    secrets.iter().map(|secret| Sealer::of(secret).id().to_owned()).collect()
}

async fn find(database: &Database, purpose: Purpose, name: &str) -> Result<Option<Model>, OpenError> {
    Entity::find_by_id(name).one(database.readers()).await.map_err(failed(purpose))
}

/// What a sealed key is bound to: a row's key opens in no other row.
fn bound(name: &str, id: &str) -> String {
    format!("{name} {id}")
}

/// Bytes that nobody knows, unless the system has none.
pub(super) fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(bytes)
}

fn failed(purpose: Purpose) -> impl Fn(DbErr) -> OpenError {
    move |error| damaged(purpose, &message(&error))
}

fn damaged(purpose: Purpose, what: &str) -> OpenError {
    OpenError::Key { purpose: purpose.as_str(), source: what.into() }
}

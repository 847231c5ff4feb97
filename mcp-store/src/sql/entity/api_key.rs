//! A row of `mcp_api_keys`.

use std::collections::BTreeSet;

use mcp_core::caller::{Principal, Tenant};
use mcp_core::clock::Timestamp;
use mcp_core::store::api_keys::{ApiKey, KeyHash, KeyId, Replaced};
use sea_orm::DbErr;
use sea_orm::entity::prelude::*;

use crate::sql::text::{shown, stored};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "mcp_api_keys")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) tenant: String,
    /// 16 bytes, which sort as the ids do.
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) principal: String,
    pub(crate) name: String,
    /// 32 bytes, which are no other key's.
    pub(crate) hash: Vec<u8>,
    /// A JSON array.
    pub(crate) scopes: String,
    /// A JSON array.
    pub(crate) roles: String,
    /// Microseconds since the epoch, as all that follow.
    pub(crate) created: i64,
    pub(crate) expires: Option<i64>,
    pub(crate) revoked: Option<i64>,
    pub(crate) used: Option<i64>,
    /// The id of the key in whose place this one was made, and until when that one was to let in.
    pub(crate) replaces: Option<Uuid>,
    pub(crate) replaces_at: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    pub(crate) fn new(tenant: &Tenant, key: &ApiKey) -> Self {
        let micros = |at: Option<Timestamp>| at.map(Timestamp::as_micros);
        Self {
            tenant: stored(tenant.as_str()).into_owned(),
            id: uuid(key.id),
            principal: stored(key.principal.as_str()).into_owned(),
            name: stored(&key.name).into_owned(),
            hash: key.hash.0.to_vec(),
            scopes: list(&key.scopes),
            roles: list(&key.roles),
            created: key.created.as_micros(),
            expires: micros(key.expires),
            revoked: micros(key.revoked),
            used: micros(key.used),
            replaces: key.replaces.map(|replaced| uuid(replaced.key)),
            replaces_at: micros(key.replaces.map(|replaced| replaced.ends)),
        }
    }
}

impl TryFrom<Model> for ApiKey {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        let unreadable = |what: &str| DbErr::Type(format!("the {what} of the key {} cannot be read", row.id));
        let names = |list: &str, what| serde_json::from_str(list).map_err(|_| unreadable(what));
        let at = |micros: Option<i64>| micros.map(Timestamp::from_micros);
        Ok(Self {
            id: key_id(row.id),
            hash: row.hash.as_slice().try_into().map(KeyHash).map_err(|_| unreadable("hash"))?,
            scopes: names(&row.scopes, "scopes")?,
            roles: names(&row.roles, "roles")?,
            principal: Principal::from(shown(row.principal)),
            name: shown(row.name),
            created: Timestamp::from_micros(row.created),
            expires: at(row.expires),
            revoked: at(row.revoked),
            used: at(row.used),
            replaces: row.replaces.zip(at(row.replaces_at)).map(|(key, ends)| Replaced { key: key_id(key), ends }),
        })
    }
}

pub(crate) fn uuid(id: KeyId) -> Uuid {
    Uuid::from_u128(id.as_u128())
}

fn key_id(uuid: Uuid) -> KeyId {
    KeyId::from_u128(uuid.as_u128())
}

/// Names as a JSON array, in which no control character stands as it is.
fn list(names: &BTreeSet<String>) -> String {
    serde_json::Value::from_iter(names.iter().map(String::as_str)).to_string()
}

//! A row of `mcp_calls`.

use std::time::Duration;

use mcp_core::caller::{Principal, Tenant};
use mcp_core::clock::Timestamp;
use mcp_core::store::ledger::{CallId, CallRecord};
use sea_orm::DbErr;
use sea_orm::entity::prelude::*;

use crate::sql::text::{shown, stored};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "mcp_calls")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) tenant: String,
    /// 16 bytes, which sort as the ids do.
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    /// How the row is to be read: [`FORMAT`].
    pub(crate) format: i16,
    pub(crate) parent: Option<Uuid>,
    pub(crate) principal: String,
    pub(crate) tool: String,
    pub(crate) outcome: String,
    /// Microseconds since the epoch.
    pub(crate) at: i64,
    /// Microseconds.
    pub(crate) duration: i64,
    /// The bytes that came.
    pub(crate) arguments: Vec<u8>,
    /// The bytes that went.
    pub(crate) result: Vec<u8>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The format of the rows that this version writes, and the only one that it reads.
pub(crate) const FORMAT: i16 = 1;

impl From<&CallRecord> for Model {
    fn from(call: &CallRecord) -> Self {
        Self {
            tenant: stored(call.tenant.as_str()).into_owned(),
            id: uuid(call.id),
            format: FORMAT,
            parent: call.parent.map(uuid),
            principal: stored(call.principal.as_str()).into_owned(),
            tool: stored(&call.tool).into_owned(),
            outcome: call.outcome.as_str().to_owned(),
            at: call.at.as_micros(),
            duration: micros(call.duration),
            arguments: call.arguments.to_vec(),
            result: call.result.to_vec(),
        }
    }
}

impl TryFrom<Model> for CallRecord {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        let unreadable = |what: String| DbErr::Type(format!("the call {}: {what}", row.id));
        if row.format != FORMAT {
            return Err(unreadable(format!("its format is {}, and this version reads {FORMAT}", row.format)));
        }
        Ok(Self {
            id: CallId::from_u128(row.id.as_u128()),
            parent: row.parent.map(|parent| CallId::from_u128(parent.as_u128())),
            outcome: row.outcome.parse().map_err(|_| unreadable(format!("it ended {:?}", row.outcome)))?,
            tenant: Tenant::from(shown(row.tenant)),
            principal: Principal::from(shown(row.principal)),
            tool: shown(row.tool),
            arguments: row.arguments.into(),
            result: row.result.into(),
            at: Timestamp::from_micros(row.at),
            duration: Duration::from_micros(u64::try_from(row.duration).unwrap_or(0)),
        })
    }
}

pub(crate) fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

pub(crate) fn uuid(id: CallId) -> Uuid {
    Uuid::from_u128(id.as_u128())
}

//! A row of `mcp_calls`.

use std::time::Duration;

use mcp_core::caller::{Principal, Tenant};
use mcp_core::clock::Timestamp;
use mcp_core::store::ledger::{CallId, CallRecord};
use sea_orm::DbErr;
use sea_orm::entity::prelude::*;

use crate::sql::content::Place;
use crate::sql::large::Large;
use crate::sql::text::{shown, stored};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "mcp_calls")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) tenant: String,
    /// 16 bytes, which sort as the ids do.
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    /// How the row is to be read: [`FORMAT`], or [`IN_A_BLOB`].
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
    /// Where both are, if they are not here.
    pub(crate) blob: Option<String>,
    /// Where it was called from, if that is known.
    pub(crate) address: Option<String>,
    /// Microseconds, if it has waited.
    pub(crate) waited: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The format of the rows that are written. Others are read once they are [filled](crate::sql::large::LargeBytes::fill).
pub(crate) const FORMAT: i16 = 1;
/// The format of rows whose bytes were moved into a blob.
pub(crate) const IN_A_BLOB: i16 = 2;

/// The columns that are content.
pub(crate) const COLUMNS: [&str; 2] = ["mcp_calls.arguments", "mcp_calls.result"];

/// Where a column of a call is.
pub(crate) fn place(column: &str, tenant: &str, id: Uuid) -> Place {
    Place::of(column).text(tenant).id(id)
}

impl Large for Model {
    fn take_blob(&mut self) -> Option<String> {
        let is_moved = self.format == IN_A_BLOB && self.arguments.is_empty() && self.result.is_empty();
        let blob = self.blob.take_if(|_| is_moved)?;
        self.format = FORMAT;
        Some(blob)
    }

    fn fields(&mut self) -> Vec<&mut Vec<u8>> {
        vec![&mut self.arguments, &mut self.result]
    }

    fn place(&self, field: usize) -> Place {
        place(COLUMNS.get(field).unwrap_or(&""), &self.tenant, self.id)
    }
}

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
            blob: None,
            address: call.address.map(|address| address.to_string()),
            waited: waited(call),
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
        if row.blob.is_some() {
            return Err(unreadable("its bytes are in a blob and in the row".to_owned()));
        }
        let address = row.address.as_deref().map(str::parse).transpose();
        Ok(Self {
            address: address.map_err(|_| unreadable("it came from no address".to_owned()))?,
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
            waited: Duration::from_micros(row.waited.and_then(|waited| u64::try_from(waited).ok()).unwrap_or(0)),
        })
    }
}

pub(crate) fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// Nothing, where it has not waited.
pub(crate) fn waited(call: &CallRecord) -> Option<i64> {
    Some(micros(call.waited)).filter(|waited| *waited > 0)
}

pub(crate) fn uuid(id: CallId) -> Uuid {
    Uuid::from_u128(id.as_u128())
}

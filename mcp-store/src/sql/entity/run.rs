//! A row of `mcp_runs`.

use mcp_core::caller::{Principal, Tenant};
use mcp_core::clock::Timestamp;
use mcp_core::store::runs::{RunId, RunRecord};
use sea_orm::DbErr;
use sea_orm::entity::prelude::*;

use super::step::number;
use crate::sql::content::Place;
use crate::sql::large::Large;
use crate::sql::text::{shown, stored};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "mcp_runs")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) tenant: String,
    /// 16 bytes, which sort as the ids do.
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    /// How the row, its steps and its inputs are to be read: [`FORMAT`], or [`IN_A_BLOB`].
    pub(crate) format: i16,
    pub(crate) principal: String,
    pub(crate) kind: String,
    pub(crate) parent: Option<Uuid>,
    pub(crate) arguments: Vec<u8>,
    /// Microseconds since the epoch.
    pub(crate) at: i64,
    pub(crate) state: String,
    pub(crate) epoch: i64,
    pub(crate) attempts: i32,
    pub(crate) position: i32,
    pub(crate) inputs: i32,
    /// Microseconds since the epoch of the clock; nothing where it is never to be claimed.
    pub(crate) due: Option<i64>,
    /// Microseconds since the epoch.
    pub(crate) ended: Option<i64>,
    pub(crate) result: Vec<u8>,
    /// Where arguments and result are, if they are not here.
    pub(crate) blob: Option<String>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The format of the rows that are written. Others are read once they are [filled](crate::sql::large::LargeBytes::fill).
pub(crate) const FORMAT: i16 = 1;
/// The format of runs whose bytes were moved into a blob, and those of their large steps into others.
pub(crate) const IN_A_BLOB: i16 = 2;

/// The columns that are content.
pub(crate) const COLUMNS: [&str; 2] = ["mcp_runs.arguments", "mcp_runs.result"];

/// Where a column of a run is.
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

impl From<&RunRecord> for Model {
    fn from(run: &RunRecord) -> Self {
        Self {
            tenant: stored(run.tenant.as_str()).into_owned(),
            id: uuid(run.id),
            format: FORMAT,
            principal: stored(run.principal.as_str()).into_owned(),
            kind: stored(&run.kind).into_owned(),
            parent: run.parent.map(uuid),
            arguments: run.arguments.to_vec(),
            at: run.at.as_micros(),
            state: run.state.as_str().to_owned(),
            epoch: run.epoch.cast_signed(),
            attempts: number(run.attempts),
            position: number(run.position),
            inputs: number(run.inputs),
            due: run.due.map(|due| due.as_micros()),
            ended: run.ended.map(|ended| ended.as_micros()),
            result: run.result.to_vec(),
            blob: None,
        }
    }
}

impl TryFrom<Model> for RunRecord {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        let unreadable = |what: String| DbErr::Type(format!("the run {}: {what}", row.id));
        if row.format != FORMAT {
            return Err(unreadable(format!("its format is {}, and this version reads {FORMAT}", row.format)));
        }
        if row.blob.is_some() {
            return Err(unreadable("its bytes are in a blob and in the row".to_owned()));
        }
        let count = |number: i32| u32::try_from(number).unwrap_or(0);
        Ok(Self {
            id: RunId::from_u128(row.id.as_u128()),
            state: row.state.parse().map_err(|_| unreadable(format!("its state is {:?}", row.state)))?,
            tenant: Tenant::from(shown(row.tenant)),
            principal: Principal::from(shown(row.principal)),
            kind: shown(row.kind),
            parent: row.parent.map(|parent| RunId::from_u128(parent.as_u128())),
            arguments: row.arguments.into(),
            at: Timestamp::from_micros(row.at),
            epoch: row.epoch.cast_unsigned(),
            attempts: count(row.attempts),
            position: count(row.position),
            inputs: count(row.inputs),
            due: row.due.map(Timestamp::from_micros),
            ended: row.ended.map(Timestamp::from_micros),
            result: row.result.into(),
        })
    }
}

pub(crate) fn uuid(id: RunId) -> Uuid {
    Uuid::from_u128(id.as_u128())
}

//! A row of `mcp_steps`.

use mcp_core::clock::Timestamp;
use mcp_core::store::runs::{Hold, Step, StepRecord};
use sea_orm::DbErr;
use sea_orm::entity::prelude::*;

use super::run::uuid;
use crate::sql::content::Place;
use crate::sql::large::Large;
use crate::sql::text::{shown, stored};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "mcp_steps")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) tenant: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) run: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) number: i32,
    /// Under which it was written.
    pub(crate) epoch: i64,
    pub(crate) kind: String,
    pub(crate) key: String,
    pub(crate) body: Vec<u8>,
    /// Microseconds since the epoch.
    pub(crate) at: i64,
    /// Where the body is, if it is not here: then the format of the run says so as well.
    pub(crate) blob: Option<String>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    pub(crate) fn new(hold: &Hold, step: &Step) -> Self {
        Self {
            tenant: stored(hold.tenant.as_str()).into_owned(),
            run: uuid(hold.run),
            number: number(step.number),
            epoch: hold.epoch.cast_signed(),
            kind: step.kind.as_str().to_owned(),
            key: stored(&step.key).into_owned(),
            body: step.body.to_vec(),
            at: step.at.as_micros(),
            blob: None,
        }
    }
}

/// Where the body of a step is.
pub(crate) fn place(tenant: &str, run: Uuid, number: i32) -> Place {
    Place::of("mcp_steps.body").text(tenant).id(run).number(number.into())
}

impl Large for Model {
    fn take_blob(&mut self) -> Option<String> {
        let is_moved = self.body.is_empty();
        self.blob.take_if(|_| is_moved)
    }

    fn fields(&mut self) -> Vec<&mut Vec<u8>> {
        vec![&mut self.body]
    }

    fn place(&self, _: usize) -> Place {
        place(&self.tenant, self.run, self.number)
    }
}

impl TryFrom<Model> for StepRecord {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        let unreadable = |_| DbErr::Type(format!("step {} of the run {} is {:?}", row.number, row.run, row.kind));
        if row.blob.is_some() {
            return Err(DbErr::Type(format!("step {} of the run {} is in a blob and in the row", row.number, row.run)));
        }
        let step = Step {
            number: u32::try_from(row.number).unwrap_or(0),
            kind: row.kind.parse().map_err(unreadable)?,
            key: shown(row.key),
            body: row.body.into(),
            at: Timestamp::from_micros(row.at),
        };
        Ok(Self { epoch: row.epoch.cast_unsigned(), step })
    }
}

/// What is stored for a number, which nothing reaches that is too large.
pub(crate) fn number(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

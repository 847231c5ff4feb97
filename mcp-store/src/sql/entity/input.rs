//! A row of `mcp_inputs`.

use mcp_core::caller::Principal;
use mcp_core::clock::Timestamp;
use mcp_core::store::runs::{Input, InputId};
use sea_orm::DbErr;
use sea_orm::entity::prelude::*;

use crate::sql::content::Place;
use crate::sql::text::shown;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "mcp_inputs")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) tenant: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) run: Uuid,
    /// How many were there before it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) number: i32,
    pub(crate) id: Uuid,
    pub(crate) principal: String,
    pub(crate) kind: String,
    pub(crate) body: Vec<u8>,
    /// Microseconds since the epoch.
    pub(crate) at: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Where the body of an input is.
pub(crate) fn place(tenant: &str, run: Uuid, id: Uuid) -> Place {
    Place::of("mcp_inputs.body").text(tenant).id(run).id(id)
}

impl TryFrom<Model> for Input {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        let unreadable = |_| DbErr::Type(format!("input {} of the run {} is {:?}", row.number, row.run, row.kind));
        Ok(Self {
            id: InputId::from_u128(row.id.as_u128()),
            kind: row.kind.parse().map_err(unreadable)?,
            principal: Principal::from(shown(row.principal)),
            body: row.body.into(),
            at: Timestamp::from_micros(row.at),
        })
    }
}

pub(crate) fn uuid(id: InputId) -> Uuid {
    Uuid::from_u128(id.as_u128())
}

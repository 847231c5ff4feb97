//! A row of `mcp_threads`.

use mcp_core::caller::{Principal, Tenant};
use mcp_core::clock::Timestamp;
use mcp_core::store::threads::{Thread, ThreadId};
use sea_orm::entity::prelude::*;

use crate::sql::content::Place;
use crate::sql::text::stored;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "mcp_threads")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) tenant: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) owner: String,
    /// 16 bytes, which sort as the ids do.
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) title: String,
    /// Microseconds since the epoch.
    pub(crate) created: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// Of a thread whose title is to be stored.
    pub(crate) fn new(tenant: &Tenant, owner: &Principal, thread: &Thread) -> Self {
        Self {
            tenant: stored(tenant.as_str()).into_owned(),
            owner: stored(owner.as_str()).into_owned(),
            id: uuid(thread.id),
            title: thread.title.clone(),
            created: thread.created.as_micros(),
        }
    }

    /// Where its title is.
    pub(crate) fn place(&self) -> Place {
        Place::of("mcp_threads.title").text(&self.tenant).text(&self.owner).id(self.id)
    }
}

/// Of a row whose title was opened.
impl From<Model> for Thread {
    fn from(row: Model) -> Self {
        let id = ThreadId::from_u128(row.id.as_u128());
        Self { id, title: row.title, created: Timestamp::from_micros(row.created) }
    }
}

pub(crate) fn uuid(id: ThreadId) -> Uuid {
    Uuid::from_u128(id.as_u128())
}

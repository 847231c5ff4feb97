//! What is done on the command line, straight on the stores, and recorded as what is done by REST is.

use mcp_core::caller::desk::{CallerError, MadeKey, NewKey, NewUser};
use mcp_core::{Caller, Server, Stores};
use serde_json::Value;

use super::failure::Failure;
use crate::bundled;
use crate::config::Config;
use crate::secret::SecretKeys;

/// Who acts: whoever can read the database and the secret keys may do everything.
pub(super) fn by(tenant: &str) -> Caller {
    Caller::new(tenant, "local").with_role(Caller::ADMIN).with_role(Caller::OPERATOR)
}

/// Refuses a database that is not at this version.
pub(super) async fn at_this_version(config: &Config) -> Result<(), Failure> {
    if bundled::pending_migrations(config).await?.is_empty() {
        return Ok(());
    }
    Err(config.error("DATABASE_URL", "the database is not at this version: run `mcp-http migrate`").into())
}

/// A server on the stores, which serves nobody, and those stores.
pub(super) async fn opened(config: &Config) -> Result<(Server, Stores), Failure> {
    at_this_version(config).await?;
    let bundled = crate::bundled(config.clone()).await?;
    let stores = bundled.stores().clone();
    Ok((bundled.into_server()?, stores))
}

/// Makes a key for a user, who is added where there is none.
pub(super) async fn make_key(server: &Server, by: &Caller, user: NewUser, key: NewKey) -> Result<MadeKey, CallerError> {
    let (desk, of) = (server.callers(), user.principal.clone());
    if let Err(CallerError::UnknownUser) = desk.user(by, &of).await {
        desk.create_user(by, user).await?;
    }
    desk.create_key(by, NewKey { principal: Some(of), ..key }).await
}

/// Records what was done with all that is kept, or why it could not be, where the stores can have a record of it: at this version, and with their keys.
pub(super) async fn record(
    config: &Config,
    what: &'static str,
    details: Value,
    done: Result<(), Failure>,
) -> Result<(), Failure> {
    if SecretKeys::existing(config).is_err() || !bundled::pending_migrations(config).await?.is_empty() {
        return Ok(());
    }
    let is_done = done.is_ok();
    let recorded = async {
        let (server, _) = opened(config).await?;
        server.administer(&by(bundled::HOUSE), (what, details), async { done }).await
    };
    recorded.await.map_err(
        |failure: Failure| {
            if is_done { failure.hint("it was done, and is not recorded") } else { failure }
        },
    )
}

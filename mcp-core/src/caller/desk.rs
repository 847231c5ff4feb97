//! What callers may do with users and their keys.

mod export;
mod keys;
mod users;

use std::collections::BTreeSet;
use std::sync::Arc;

use super::secret::NoRandomness;
use super::{Caller, KeyOrLoopback, Principal};
use crate::act::NOBODY;
use crate::server::Server;
use crate::store::api_keys::ApiKeys;
use crate::store::files::Files;
use crate::store::history::History;
use crate::store::notes::Notes;
use crate::store::principals::{Principals, User};
use crate::store::records::Records;
use crate::store::runs::Runs;
use crate::store::sessions::Sessions;
use crate::store::threads::Threads;
use crate::store::{StoreError, Stores};

pub use export::Lines;
pub use keys::{KEYS_PER_USER, LONGEST_OVERLAP, MadeKey, NewKey, OVERLAP, RotatedKey};
pub use users::NewUser;

/// What callers may do with users and their keys: an administrator with those of their tenant, others with their own keys.
///
/// Nobody grants a role or a scope that they do not have themselves, nor touches an operator, unless they are an operator.
pub struct CallerDesk<'s> {
    server: &'s Server,
}

/// Where users and keys are kept, and everything else that somebody has.
#[derive(Clone)]
pub(crate) struct CallerBooks {
    principals: Arc<dyn Principals>,
    api_keys: Arc<dyn ApiKeys>,
    history: Arc<dyn History>,
    threads: Arc<dyn Threads>,
    notes: Arc<dyn Notes>,
    runs: Arc<dyn Runs>,
    files: Option<Arc<dyn Files>>,
    sessions: Arc<dyn Sessions>,
    protocol_sessions: Arc<dyn Sessions>,
    records: Vec<Arc<dyn Records>>,
}

impl CallerBooks {
    pub(crate) fn principals(&self) -> &dyn Principals {
        &*self.principals
    }

    pub(crate) fn threads(&self) -> &dyn Threads {
        &*self.threads
    }

    pub(crate) fn api_keys(&self) -> &dyn ApiKeys {
        &*self.api_keys
    }

    pub(crate) fn new(stores: &Stores) -> Self {
        let Stores { principals, api_keys, history, threads, notes, runs, .. } = stores.clone();
        let Stores { files, sessions, protocol_sessions, records, .. } = stores.clone();
        Self { principals, api_keys, history, threads, notes, runs, files, sessions, protocol_sessions, records }
    }
}

impl<'s> CallerDesk<'s> {
    pub(crate) fn new(server: &'s Server) -> Self {
        Self { server }
    }

    fn books(&self) -> &'s CallerBooks {
        self.server.caller_books()
    }
}

/// Why something is not done with a user or a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallerError {
    /// The caller may not.
    #[error("{0}")]
    Forbidden(String),
    /// What was given cannot be used.
    #[error("`{field}`: {problem}")]
    Invalid {
        /// What of it.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// There is no such user, as far as the caller may know.
    #[error("there is no such user")]
    UnknownUser,
    /// There is no such key, as far as the caller may know.
    #[error("there is no such key")]
    UnknownKey,
    /// Somebody has that name.
    #[error("there is a user of that name already")]
    UserExists,
    /// A key that lets nobody in any more is not replaced.
    #[error("the key has ended; make a new one")]
    KeyEnded,
    /// There is no room for another key.
    #[error("the user has {KEYS_PER_USER} keys that have not ended; revoke one of them first")]
    TooManyKeys,
    /// There is nothing to make a secret of.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// It cannot be kept, or looked up.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn forbidden(why: impl Into<String>) -> CallerError {
    CallerError::Forbidden(why.into())
}

fn is_admin(caller: &Caller) -> bool {
    caller.has_role(Caller::ADMIN)
}

fn is_operator(caller: &Caller) -> bool {
    caller.has_role(Caller::OPERATOR)
}

fn needs_admin(caller: &Caller, what: &str) -> Result<(), CallerError> {
    if is_admin(caller) {
        Ok(())
    } else {
        Err(forbidden(format!("{what} takes the role `admin`, which the caller does not have")))
    }
}

/// Whether the caller may have to do with this user: with an operator only operators have, and they themselves.
fn may_touch(caller: &Caller, user: &User) -> Result<(), CallerError> {
    let is_self = user.principal == *caller.principal();
    if is_self || is_operator(caller) || !user.roles.contains(Caller::OPERATOR) {
        return Ok(());
    }
    Err(forbidden("the user is an operator, whom only operators change"))
}

/// Whether the caller may have to do with somebody of this name, also where no user has it: whom the server lets in by itself is an
/// operator.
fn may_name(caller: &Caller, principal: &Principal) -> Result<(), CallerError> {
    let is_own = matches!(principal.as_str(), KeyOrLoopback::HOLDER | KeyOrLoopback::LOCAL | NOBODY);
    if is_operator(caller) || !is_own {
        return Ok(());
    }
    Err(forbidden(format!("`{principal}` is a name of the server's own, with which only operators have to do")))
}

/// Whether the caller may give these roles to somebody.
fn may_grant(caller: &Caller, roles: &BTreeSet<String>) -> Result<(), CallerError> {
    match roles.iter().find(|role| !is_operator(caller) && !caller.has_role(role)) {
        Some(role) => Err(forbidden(format!("the caller does not have the role `{role}`, and so cannot grant it"))),
        None => Ok(()),
    }
}

/// Whether the caller may give these scopes to a key.
fn may_grant_scopes(caller: &Caller, scopes: &BTreeSet<String>) -> Result<(), CallerError> {
    match scopes.iter().find(|scope| !is_operator(caller) && !caller.has_scope(scope)) {
        Some(scope) => Err(forbidden(format!("the caller does not have the scope `{scope}`, and so cannot grant it"))),
        None => Ok(()),
    }
}

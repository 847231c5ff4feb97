//! From what the driver says to what a store says.

use std::sync::Arc;

use mcp_core::store::{Cause, StoreError};
use sea_orm::sqlx::Error;
use sea_orm::sqlx::postgres::PgDatabaseError;
use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr};

/// The error of `store`; the driver's stays as the cause, for the log.
pub(super) fn store_error(store: &'static str) -> impl Fn(DbErr) -> StoreError {
    move |error| {
        let refused = match &error {
            DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => {
                is_about_the_data(error)
            }
            DbErr::Type(_) | DbErr::TryIntoErr { .. } => true,
            _ => false,
        };
        of(store, refused, Arc::new(error))
    }
}

/// As [`store_error`], for an error that sea-orm has not seen.
pub(super) fn sqlx_error(store: &'static str) -> impl Fn(Error) -> StoreError {
    move |error| of(store, is_about_the_data(&error), Arc::new(error))
}

fn of(store: &'static str, refused: bool, cause: Cause) -> StoreError {
    let source = Some(cause);
    if refused { StoreError::Refused { store, source } } else { StoreError::Unavailable { store, source } }
}

/// It took too long.
pub(super) fn late() -> DbErr {
    DbErr::Conn(RuntimeErr::Internal("no answer in time".to_owned()))
}

/// What the database said, without the words that the layers around it add.
pub(crate) fn message(error: &DbErr) -> String {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(cause))
        | DbErr::Exec(RuntimeErr::SqlxError(cause))
        | DbErr::Query(RuntimeErr::SqlxError(cause)) => match cause.as_database_error() {
            Some(said) => said.message().to_owned(),
            None => cause.to_string(),
        },
        _ => error.to_string(),
    }
}

/// Whether the server, or ourselves, have closed the connection, so that another one may work.
pub(super) fn is_about_the_connection(error: &DbErr) -> bool {
    // The server is stopped, or has killed this connection, or is ending because another one crashed.
    const CLOSED: [&str; 2] = ["57P01", "57P02"];
    // The pool was given up meanwhile.
    if let DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed) = error {
        return true;
    }
    let (DbErr::Conn(RuntimeErr::SqlxError(error))
    | DbErr::Exec(RuntimeErr::SqlxError(error))
    | DbErr::Query(RuntimeErr::SqlxError(error))) = error
    else {
        return false;
    };
    match &**error {
        Error::Io(_) => true,
        Error::Database(error) => error.code().is_some_and(|code| CLOSED.contains(&&*code)),
        _ => false,
    }
}

/// Whether the database works, and will say the same whenever it is given this data.
fn is_about_the_data(error: &Error) -> bool {
    match error {
        Error::Database(error) => {
            let is_data_error = match error.try_downcast_ref::<PgDatabaseError>() {
                Some(_) => is_postgres_data_error,
                None => is_sqlite_data_error,
            };
            error.code().is_some_and(|code| is_data_error(&code))
        }
        Error::ColumnDecode { .. } | Error::Decode(_) | Error::Encode(_) => true,
        _ => false,
    }
}

/// The first two letters are the class (<https://www.postgresql.org/docs/current/errcodes-appendix.html>): data exception, integrity
/// constraint violation, program limit exceeded.
fn is_postgres_data_error(code: &str) -> bool {
    ["22", "23", "54"].iter().any(|class| code.starts_with(class))
}

/// The lower byte of an extended code is the primary one: <https://sqlite.org/rescode.html>.
fn is_sqlite_data_error(code: &str) -> bool {
    const TOO_BIG: u32 = 18;
    const CONSTRAINT: u32 = 19;
    const MISMATCH: u32 = 20;
    const RANGE: u32 = 25;
    code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, TOO_BIG | CONSTRAINT | MISMATCH | RANGE))
}

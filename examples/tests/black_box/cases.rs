//! The cases, and the hosts that each runs on.

mod admission;
mod answers;
mod bodies;
mod connection;
mod headers;
mod legacy;
mod rows;
mod streams;
mod verbs;

/// Expands each case to one named test a host.
macro_rules! cases {
    (over sockets: $($case:ident),* $(,)?) => {
        $(mod $case {
            crate::cases::on!(actix: Actix, $case);
            crate::cases::on!(axum: Axum, $case);
        })*
    };
    ($($case:ident),* $(,)?) => {
        $(mod $case {
            crate::cases::on!(actix: Actix, $case);
            crate::cases::on!(axum: Axum, $case);
            crate::cases::on!(in_process: InProcess, $case);
        })*
    };
}

macro_rules! on {
    ($name:ident: $host:ident, $case:ident) => {
        #[tokio::test]
        async fn $name() {
            crate::host::run::<crate::host::$host>(super::$case).await;
        }
    };
}

use {cases, on};

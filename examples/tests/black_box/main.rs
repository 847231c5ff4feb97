//! What a client sees of the MCP endpoint, whoever serves it: each case is HTTP as it goes over the wire, and runs against
//! three hosts.
//!
//! | host | what is between the bytes and the endpoint |
//! |---|---|
//! | `actix` | a socket, actix-web and `mcp_http::mount` |
//! | `axum` | a socket, axum and `host_axum.rs` |
//! | `in_process` | nothing: the head and the body of the same request go to `Endpoint::admit` and `Endpoint::answer` |
//!
//! Every case runs on all three but those of `cases/connection.rs`, which are about the connection itself. In process there
//! is none, so nobody can cut a body, announce a length that is wrong, send it in chunks or send two requests at once.
//!
//! After each case the same server must still answer.

mod cases;
mod host;
mod request;
mod response;
mod tools;

/// The example itself is one of the hosts.
#[expect(dead_code, reason = "its `main` is not called here")]
#[path = "../../host_axum.rs"]
mod host_axum;

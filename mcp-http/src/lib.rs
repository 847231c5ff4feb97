//! An actix-web shell for [`mcp_core`]: it translates requests and answers, and adds nothing.
//!
//! An app that exists mounts an endpoint in one line:
//!
//! ```no_run
//! use actix_web::{App, HttpServer, web};
//! use mcp_core::{Endpoint, Server};
//!
//! # #[actix_web::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let endpoint = Endpoint::new(Server::builder("my-app", "1.0.0").build()?);
//! HttpServer::new(move || App::new().service(web::scope("/mcp").configure(mcp_http::mount(endpoint.clone()))))
//!     .tcp_nodelay(true)
//!     .h1_allow_half_closed(false)
//!     .bind(("127.0.0.1", 8000))?
//!     .run()
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! With the feature `bundled` (on by default) it is also the ready-made server; an embedder turns default features off.

mod asset;
#[cfg(feature = "console")]
mod console;
mod docs;
mod exchange;
mod metrics;
mod mount;
mod occupied;
mod rest;
pub mod stdio;
mod telemetry;
mod well_known;

#[cfg(feature = "bundled")]
mod alert;
#[cfg(feature = "bundled")]
mod bundled;
#[cfg(feature = "bundled")]
pub mod command;
#[cfg(feature = "bundled")]
pub mod config;
#[cfg(feature = "bundled")]
mod health;
#[cfg(feature = "bundled")]
pub mod log;
#[cfg(feature = "bundled")]
mod secret;
#[cfg(feature = "bundled")]
mod system;
#[cfg(feature = "bundled")]
mod traces;

#[cfg(feature = "bundled")]
pub use bundled::{Bundled, StartError, bundled};
#[cfg(feature = "bundled")]
pub use config::{Config, ConfigError};
#[cfg(feature = "console")]
pub use console::console;
pub use docs::docs;
pub use metrics::Metrics;
pub use mount::mount;
pub use rest::rest;
#[cfg(feature = "bundled")]
pub use secret::SecretKeys;
pub use telemetry::{FollowedBody, FollowedService, Telemetry, telemetry};
pub use well_known::well_known;

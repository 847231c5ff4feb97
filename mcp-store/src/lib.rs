//! Storage for mcp-core on SQL databases and Redis, and the tools that work on it.
//!
//! [`open`] makes the [`Stores`](mcp_core::Stores) of a server out of a URL: SQLite in a file, for one process, or PostgreSQL. With
//! [`StoreConfig::redis_url`], replicas share what is short-lived. [`beside`] does the same in the database of a host that uses
//! sea-orm. [`tool::tools`] are tools on such stores: notes that each caller keeps, and a search in the caller's own calls. What
//! serves them is not here: see mcp-core for the server, and mcp-http for a shell.
//!
//! ```
//! use std::sync::Arc;
//! use mcp_core::Server;
//! use mcp_core::tokio_runtime::TokioClock;
//! use mcp_store::StoreConfig;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let url = format!("sqlite:{}/data/mcp.db", folder.path().display());
//! // let url = "sqlite:./data/mcp.db";
//! let stores = mcp_store::open(&StoreConfig::new(&url, Arc::new(TokioClock::new()))?).await?;
//! let server = Server::builder("notes", "1.0.0").tools(mcp_store::tool::tools(&stores)).stores(stores).build()?;
//! # let _ = server;
//! # Ok(())
//! # }
//! ```

pub mod backup;
mod blobs;
mod cache;
mod distrust;
mod error;
mod ledger;
mod look;
mod open;
mod progress;
mod random;
mod redis;
mod spans;
mod sql;
#[cfg(any(test, feature = "test"))]
pub mod test_servers;
mod tls;
pub mod tool;

pub use error::OpenError;
pub use look::{DatabaseUser, database_time, database_user, keeps_api_keys, keys_open, redis_answers};
pub use open::{Recorded, StoreConfig, beside, key_ids, migrate, open, pending_migrations, recorded, renew_content};
pub use progress::{Progress, Step, Unit};
pub use sql::content::renewal::Renewed;
pub use sql::keys::KeyId;

//! Real servers for tests, and what may befall them: a PostgreSQL, a Redis and an S3 of one's own, each on a free port, in a temporary
//! folder, with TLS where an [`Authority`] vouches for them; a wire that fails ([`FaultProxy`]), and a power cut ([`PowerCut`]).
//!
//! They are programs of the machine (`postgres` 15 or newer with `initdb` and `psql`, `redis-server`, and the moto that
//! `scripts/tools` brings), and end with the process that started them, however that ends. No other server is touched. Whatever does not work panics, and says why; every
//! function blocks.

mod authority;
mod fault_proxy;
mod postgres;
#[cfg(target_os = "linux")]
mod power_cut;
mod process;
mod redis;
mod s3;

pub use authority::Authority;
pub use fault_proxy::{Fault, FaultProxy};
pub use postgres::PostgresServer;
#[cfg(target_os = "linux")]
pub use power_cut::PowerCut;
pub use process::free_port;
pub use redis::RedisServer;
pub use s3::S3Server;

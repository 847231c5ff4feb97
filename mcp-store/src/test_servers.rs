//! Real servers for tests, and what may befall them: a PostgreSQL and a Redis of one's own, each on a free port, in a temporary
//! folder, with TLS where an [`Authority`] vouches for them; a wire that fails ([`FaultProxy`]), and a power cut ([`PowerCut`]).
//!
//! They are programs of the machine (`postgres` 15 or newer with `initdb` and `psql`, and `redis-server`), and end with the
//! process that started them, however that ends. No other server is touched. Whatever does not work panics, and says why; every
//! function blocks.

mod authority;
mod fault_proxy;
mod postgres;
#[cfg(target_os = "linux")]
mod power_cut;
mod process;
mod redis;

pub use authority::Authority;
pub use fault_proxy::{Fault, FaultProxy};
pub use postgres::PostgresServer;
#[cfg(target_os = "linux")]
pub use power_cut::PowerCut;
pub use redis::RedisServer;

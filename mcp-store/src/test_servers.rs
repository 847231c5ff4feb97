//! Real servers for tests: a PostgreSQL and a Redis of one's own, each on a free port, in a temporary folder, with TLS where an
//! [`Authority`] vouches for them.
//!
//! They are programs of the machine (`postgres` 15 or newer with `initdb` and `psql`, and `redis-server`), and end with the
//! process that started them, however that ends. No other server is touched. Whatever does not work panics, and says why; every
//! function blocks.

mod authority;
mod postgres;
mod process;
mod redis;

pub use authority::Authority;
pub use postgres::PostgresServer;
pub use redis::RedisServer;

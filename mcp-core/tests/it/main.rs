//! The engine from the outside: literal bytes in, literal bytes out, on one thread and simulated time.

mod arguments;
mod asking;
mod caching;
mod connecting;
mod ending;
mod eras;
mod errors;
mod keyed;
mod leaving;
mod legacy_sessions;
mod listing;
mod measuring;
mod nesting;
mod outputs;
mod reading;
mod recording;
mod rejections;
mod runs;
mod sessions;
mod speaking;
mod subscribing;
mod support;
mod switching;
mod time;
mod two_servers;
mod ui;

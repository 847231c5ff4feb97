//! The examples are the files beside this one; each runs by `cargo run -p examples --example NAME`.

//! What the benches share: the requests that they send, and counting instructions.

pub mod callgrind;
pub mod echo;

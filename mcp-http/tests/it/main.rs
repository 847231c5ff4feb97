//! The shell and the bundled server, from outside, over real sockets.

mod audit;
mod backups;
mod bodies;
mod bundled;
mod callers;
mod commands;
mod degraded;
mod docs;
mod files;
mod forget;
mod forms;
mod health;
mod keyed;
mod keys_command;
mod large;
mod log;
mod metrics;
mod oauth;
mod openapi;
mod outages;
#[cfg(target_os = "linux")]
mod power_cut;
mod readme;
mod replicas;
mod rest;
mod rest_calling;
mod rmcp;
mod runs;
mod second;
mod served;
mod sessions;
mod stdio;
mod stop;
mod tasks;
mod telemetry;
mod wire;

//! The bundled server for one client, over the standard streams; its log goes to stderr.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    mcp_http::command::run_stdio(std::env::args_os())
}

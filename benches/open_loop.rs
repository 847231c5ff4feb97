//! Requests by the clock, for `scripts/compare full`.
//!
//! `open-loop PORT RATE SECONDS TEMPLATE KEYS` sends the request in a file, in which `{key}` stands for one of the lines of another
//! file, `{tool}` for one of twenty numbers of two digits, and `{number}` for the number of the request, of eight; it prints what
//! came of them as one line of JSON.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use benches::ended;
use benches::load::OpenLoop;

const TOOLS: u64 = 20;

fn main() -> ExitCode {
    ended(run())
}

fn run() -> io::Result<()> {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let [port, rate, seconds, template, keys] = &words[..] else {
        return Err(io::Error::other("open-loop PORT RATE SECONDS TEMPLATE KEYS"));
    };
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().map_err(io::Error::other)?));
    let rate = rate.parse().map_err(io::Error::other)?;
    let extent = Duration::from_secs(seconds.parse().map_err(io::Error::other)?);
    let (template, keys) = (std::fs::read_to_string(template)?, std::fs::read_to_string(keys)?);
    let keys: Vec<_> = keys.lines().collect();
    let request = |number: u64| {
        let key = keys[number as usize % keys.len()];
        // Each key calls each tool.
        let tool = format!("{:02}", (number + number / keys.len() as u64) % TOOLS);
        let request = template.replace("{key}", key).replace("{tool}", &tool);
        request.replace("{number}", &format!("{number:08}")).into_bytes()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (figures, _) = runtime.block_on(OpenLoop { server, rate, extent }.run(request));
    let [p50, p99, last] = [0.5, 0.99, 1.0].map(|part| figures.accepted_within(part).as_micros());
    let (accepted, others) = (figures.accepted(), figures.refused() + figures.others());
    let told = format!(r#""accepted": {accepted}, "others": {others}, "p50": {p50}, "p99": {p99}, "longest": {last}"#);
    writeln!(io::stdout(), "{{{told}}}")?;
    if others > 0 {
        writeln!(io::stderr(), "{figures}")?;
    }
    Ok(())
}

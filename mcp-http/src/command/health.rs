//! `health`: how a server is, for people, and as an exit code for what restarts it.

use serde_json::Value;

use super::client::Client;
use super::failure::{Failure, Kind};
use super::output::{Output, table};
use crate::config::Config;

pub(super) const EXAMPLES: &str = "\
Examples:
  mcp-http health
  mcp-http health https://mcp.example.com
  mcp-http health --json";

/// Asks the server of `target`; or that of this configuration, at `ADMIN_BIND` where there is one.
pub(super) fn run(config: &Config, target: Option<&str>, output: &mut Output) -> Result<(), Failure> {
    let reply = Client::of_operator(config, target).look("/health")?;
    let (Some(status), Some(ready)) = (reply.body["status"].as_str(), reply.body["ready"].as_bool()) else {
        let said = format!("what answers {} says nothing of its health", reply.status);
        return Err(Failure::new(Kind::Failed, said).hint("is it the address of such a server?"));
    };
    output.write(&reply.body, || shown(status, ready, &reply.body["checks"]))?;
    match (status, ready) {
        ("down", _) => Err(Failure::new(Kind::Failed, "calls fail: what the server leans on is down")),
        (_, false) => Err(Failure::new(Kind::Failed, "the server takes no requests: it starts, or it stops")),
        _ => Ok(()),
    }
}

fn shown(status: &str, ready: bool, checks: &Value) -> String {
    let takes = if ready { "takes requests" } else { "takes no requests" };
    let row = |(name, check): (&String, &Value)| {
        let state = check["state"].as_str().unwrap_or("–").to_owned();
        let latency = check["latency_ms"].as_f64().map_or("–".to_owned(), |latency| format!("{latency:.1} ms"));
        let since = format!("since {}", check["since"].as_str().unwrap_or("–"));
        let error = check["last_error"]["message"].as_str().unwrap_or_default().to_owned();
        vec![name.clone(), state, latency, since, error]
    };
    let rows = checks.as_object().into_iter().flatten().map(row).collect::<Vec<_>>();
    format!("{status}, {takes}\n{}", table(&rows))
}

//! `alert`: whether channels work, and what fires.

use std::sync::Arc;

use clap::Subcommand;
use mcp_core::alert::board::shown::Shown;
use mcp_core::alert::{DeliveryError, Notice};
use mcp_core::clock::Clock;
use mcp_core::nearest::nearest;
use mcp_core::tokio_runtime::TokioClock;
use serde_json::json;

use super::act;
use super::failure::{Failure, Kind};
use super::output::{Output, table};
use crate::alert;
use crate::config::Config;

pub(super) const EXAMPLES: &str = "\
Examples:
  mcp-http alert test duty
  mcp-http alert list";

#[derive(Subcommand)]
pub(super) enum Alert {
    /// Tell somebody, by a channel of ALERTS, that this is a test
    Test {
        /// The channel's name
        channel: String,
    },
    /// List what fires, what would if it lasts, and what was over last
    List,
}

pub(super) fn run(config: &Config, what: &Alert, output: &mut Output) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    match what {
        Alert::Test { channel } => runtime.block_on(test(config, channel, output)),
        Alert::List => runtime.block_on(list(config, output)),
    }
}

async fn test(config: &Config, name: &str, output: &mut Output) -> Result<(), Failure> {
    let clock: Arc<dyn Clock> = Arc::new(TokioClock::new());
    let channels = alert::channels(config, &clock)?;
    let channel = channels.get(name).ok_or_else(|| {
        let mend = match nearest(name, channels.keys().map(String::as_str)) {
            Some(near) => format!("did you mean {near}?"),
            None if channels.is_empty() => "ALERTS has none: see docs/alerts.md".to_owned(),
            None => format!("there are {}", channels.keys().cloned().collect::<Vec<_>>().join(", ")),
        };
        Failure::new(Kind::Usage, format!("there is no channel {name:?}")).hint(mend)
    })?;
    channel.deliver(&Notice::trial(&alert::server(config), clock.now())).await.map_err(|error| match error {
        DeliveryError::Refused { message } => {
            Failure::new(Kind::Refused, format!("{name}: {message}")).hint("look at its part of ALERTS")
        }
        error => Failure::new(Kind::Unreachable, format!("{name}: {error}")).hint("it may go well later"),
    })?;
    output.write(&json!({"channel": name, "told": true}), || format!("{name} took the test: see that it came."))
}

async fn list(config: &Config, output: &mut Output) -> Result<(), Failure> {
    let (_, stores) = act::opened(config).await?;
    let board = alert::kept(&stores).await?.map(|(board, _)| board).unwrap_or_default();
    let shown = alert::Picture::of(&board, &config.alerts);
    output.write(&json!(shown), || {
        let alerts = &shown.alerts;
        if alerts.is_empty() {
            return "nothing fires".to_owned();
        }
        let row = |alert: &Shown| {
            let phase = serde_json::to_value(alert.phase).ok().and_then(|phase| phase.as_str().map(str::to_owned));
            let untold = alert.untold.join(",");
            let untold = if untold.is_empty() { untold } else { format!("not yet told: {untold}") };
            vec![
                phase.unwrap_or_default(),
                alert.severity.to_string(),
                alert.summary.clone(),
                match alert.until {
                    Some(until) => format!("since {}, until {until}", alert.since),
                    None => format!("since {}", alert.since),
                },
                untold,
            ]
        };
        table(&alerts.iter().map(row).collect::<Vec<_>>())
    })
}

//! What the server says of itself while it serves.

use mcp_core::store::ledger::Outcome;
use serde_json::Value;
use tokio::sync::OnceCell;

use super::{Finding, Looked};
use crate::command::client::Client;

/// Which part of the calls may fail.
const ERRORS: f64 = 0.001;

/// Within how many seconds 99 of 100 calls must have ended: one of the bounds that are counted.
const SLOW: f64 = 0.1;

const NONE_SERVES: &str = "the server of this configuration does not answer: start it, and look again";

/// What the server says of itself, which more than one check looks at; nothing, where it does not answer.
#[derive(Default)]
pub(super) struct Pages {
    health: OnceCell<Option<Value>>,
    metrics: OnceCell<Option<String>>,
}

/// Asks the server, on a thread that may wait.
async fn ask<T: Send + 'static>(looked: &Looked, question: impl FnOnce(Client) -> T + Send + 'static) -> Option<T> {
    let client = Client::of_operator(&looked.config, None);
    tokio::task::spawn_blocking(|| question(client)).await.ok()
}

pub(super) async fn health(looked: &Looked) -> Finding {
    of_page(looked, of_health).await
}

/// What it is worth that `/health` says this.
async fn of_page(looked: &Looked, judge: fn(&Value) -> Finding) -> Finding {
    let asked = async || ask(looked, |client| client.look("/health").ok()).await.flatten().map(|reply| reply.body);
    match looked.pages.health.get_or_init(asked).await {
        Some(page) => judge(page),
        None => Finding::CannotApply(NONE_SERVES.to_owned()),
    }
}

fn of_health(health: &Value) -> Finding {
    let down = |(name, check): (&String, &Value)| (check["state"] == "down").then(|| name.clone());
    let down: Vec<String> = health["checks"].as_object().into_iter().flatten().filter_map(down).collect();
    let names = if down.is_empty() { String::new() } else { format!(" ({})", down.join(", ")) };
    match (health["status"].as_str(), health["ready"].as_bool()) {
        (Some("ok"), Some(true)) => Finding::Ok("the server answers, and what it leans on is up".to_owned()),
        (Some("down"), _) => {
            Finding::Failed(format!("calls fail, since what they lean on is down{names}: `mcp-http health` says more"))
        }
        (Some(_), Some(false)) => Finding::Failed("the server takes no requests: it starts, or it stops".to_owned()),
        (Some(status), _) => Finding::Warning(format!("the server is {status}{names}: `mcp-http health` says more")),
        (None, _) => Finding::Failed("what answers is no such server: see that HOST and PORT name it".to_owned()),
    }
}

/// How full the server says that its machine is.
pub(super) async fn resources(looked: &Looked) -> Finding {
    of_page(looked, |health| of_resources(&health["checks"])).await
}

fn of_resources(checks: &Value) -> Finding {
    let there: Vec<&Value> = ["cpu", "memory", "disk", "open_files"]
        .iter()
        .map(|part| &checks[*part])
        .filter(|part| part.is_object())
        .collect();
    if there.is_empty() {
        return Finding::CannotApply(
            "the server does not tell how full its machine is: /health takes the role monitor, which API_KEY has"
                .to_owned(),
        );
    }
    let full = there.iter().filter(|part| part["state"] == "down");
    let full: Vec<&str> = full.map(|part| part["last_error"]["message"].as_str().unwrap_or("it is full")).collect();
    match full.as_slice() {
        [] => Finding::Ok("processors, memory, disk and open files: there is enough left".to_owned()),
        full => Finding::Failed(full.join("; ")),
    }
}

pub(super) async fn errors(looked: &Looked) -> Finding {
    of_metrics(looked, of_errors).await
}

pub(super) async fn times(looked: &Looked) -> Finding {
    of_metrics(looked, of_times).await
}

async fn of_metrics(looked: &Looked, judge: fn(&str) -> Finding) -> Finding {
    let asked = async || ask(looked, |client| client.text("/metrics")).await.flatten();
    match looked.pages.metrics.get_or_init(asked).await {
        Some(metrics) => judge(metrics),
        None => Finding::CannotApply(format!("{NONE_SERVES}; /metrics takes the role monitor, which API_KEY has")),
    }
}

/// The sum of the samples of a name of which this label has a value that counts.
fn sum(metrics: &str, name: &str, label: &str, counts: impl Fn(&str) -> bool) -> f64 {
    let samples = metrics.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('{')?.rsplit_once("} "));
    let value = |labels: &str| {
        let (_, rest) = labels.split_once(&format!("{label}=\""))?;
        rest.split_once('"').map(|(value, _)| counts(value))
    };
    samples.filter(|(labels, _)| value(labels) == Some(true)).filter_map(|(_, count)| count.parse::<f64>().ok()).sum()
}

fn no_calls() -> Finding {
    Finding::CannotApply("the server has answered no calls yet: `mcp-http load` makes some".to_owned())
}

fn of_errors(metrics: &str) -> Finding {
    let calls = |counts: fn(&str) -> bool| sum(metrics, "mcp_tool_calls_total", "outcome", counts);
    let (all, failed) = (calls(|_| true), calls(|outcome| outcome.parse::<Outcome>().is_ok_and(Outcome::is_failure)));
    if all == 0.0 {
        return no_calls();
    }
    let said = format!("of {all} calls {failed} failed");
    if failed / all <= ERRORS {
        Finding::Ok(said)
    } else {
        Finding::Failed(format!(
            "{said}, which is more than 0.1 %: mcp_tool_calls_total in /metrics says of which tools, and how"
        ))
    }
}

fn of_times(metrics: &str) -> Finding {
    let calls = |bound: &'static str| sum(metrics, "mcp_tool_duration_seconds_bucket", "le", move |le| le == bound);
    let (all, fast) =
        (calls("+Inf"), sum(metrics, "mcp_tool_duration_seconds_bucket", "le", |le| le.parse() == Ok(SLOW)));
    if all == 0.0 {
        return no_calls();
    }
    let said = format!("of {all} calls {fast} took at most 100 ms");
    if fast / all >= 0.99 {
        Finding::Ok(said)
    } else {
        Finding::Failed(format!(
            "{said}, so that p99 is above it: mcp_tool_duration_seconds in /metrics says which tools are slow"
        ))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_server_that_is_down_or_not_ready_is_found() {
        let of = |status: &str, ready: bool, database: &str| {
            of_health(&json!({"status": status, "ready": ready, "checks": {"database": {"state": database}}}))
        };
        assert_eq!(of("ok", true, "up").as_str(), "ok");
        let down = of("down", true, "down");
        assert!(down.as_str() == "failed" && down.text().contains("(database)"), "{}", down.text());
        assert_eq!(of("ok", false, "up").as_str(), "failed");
        assert_eq!(of("degraded", true, "up").as_str(), "warning");
        assert_eq!(of_health(&json!({"hello": "world"})).as_str(), "failed");
    }

    #[test]
    fn a_part_of_the_machine_that_is_full_is_found() {
        let of = |disk: &str| {
            of_resources(
                &json!({"cpu": {"state": "up"}, "disk": {"state": disk, "last_error": {"message": "97 % of the disk"}}}),
            )
        };
        assert_eq!(of("up").as_str(), "ok");
        assert_eq!((of("down").as_str(), of("down").text()), ("failed", "97 % of the disk"));
        assert_eq!(of_resources(&Value::Null).as_str(), "cannot apply");
    }

    #[test]
    fn more_than_one_call_of_a_thousand_that_fails_is_found() {
        let of = |ok: u32, error: u32| {
            of_errors(&format!(
                "# TYPE mcp_tool_calls_total counter\nmcp_tool_calls_total{{tool=\"a\",outcome=\"ok\"}} {ok}\n\
                 mcp_tool_calls_total{{tool=\"b\",outcome=\"error\"}} {error}\n"
            ))
        };
        assert_eq!(of(0, 0).as_str(), "cannot apply");
        assert_eq!(of(999, 1).as_str(), "ok");
        let found = of(998, 2);
        assert!(found.as_str() == "failed" && found.text().contains("of 1000 calls 2 failed"), "{}", found.text());
    }

    #[test]
    fn more_than_one_slow_call_of_a_hundred_is_found() {
        let of = |fast: u32, all: u32| {
            let bucket = "mcp_tool_duration_seconds_bucket{tool=\"a\",le=";
            of_times(&format!("{bucket}\"0.05\"}} 0\n{bucket}\"0.1\"}} {fast}\n{bucket}\"+Inf\"}} {all}\n"))
        };
        assert_eq!(of(0, 0).as_str(), "cannot apply");
        assert_eq!(of(99, 100).as_str(), "ok");
        assert_eq!(of(98, 100).as_str(), "failed");
    }
}

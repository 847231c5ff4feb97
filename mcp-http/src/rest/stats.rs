//! `/stats`: how many calls there were, how they ended, and how long they took; and what language models took.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::{HttpResponse, web};
use mcp_core::Endpoint;
use mcp_core::clock::Timestamp;
use mcp_core::measure::Distribution;
use mcp_core::model::price::Money;
use mcp_core::server::stats::{Period, StatsError};
use mcp_core::store::stats::{By, Counted, MINUTE, StatsQuery, Taken, minute};
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use super::query::parse;
use super::route::{Forms, Route, Table};
use super::{Admitted, encoded};

/// The route.
pub(crate) static TABLE: Table = Table {
    name: "mcp_http::rest::stats",
    about: "Figures of the calls, and of language models",
    open: false,
    forms: Forms::Two,
    routes: &[Route {
        method: Method::GET,
        path: "/stats",
        to: |route| route.to(show),
        id: "stats",
        about: "How many calls there were, how many failed, or how long they took, or what language models took for agents: the last hour unless told otherwise, of all tenants for callers with the role `monitor` or `operator`, and of the own one for an administrator",
        segments: &[],
        query: Some(SchemaGenerator::subschema_for::<Asked>),
        body: None,
        answers: &[(200, SchemaGenerator::subschema_for::<Stats>)],
        problems: &[400, 403, 503],
    }],
};

/// What is asked for.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// What is told: `calls` unless told otherwise.
    #[serde(default)]
    measure: Measure,
    /// By what is told apart: calls by `tool` or `outcome`, `tokens` and `cost` by `agent` or `model`.
    #[serde(default)]
    by: By,
    /// From the minute of this time on (RFC 3339); an hour before the end unless told otherwise.
    #[schemars(extend("format" = "date-time"))]
    from: Option<String>,
    /// Up to the minute of this time, which is in it (RFC 3339); now unless told otherwise.
    #[schemars(extend("format" = "date-time"))]
    to: Option<String>,
    /// How many seconds are counted together: whole minutes, and no less than a five-hundredth of the time.
    step: Option<u64>,
}

/// What is told of calls, or of what language models took.
#[derive(Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Measure {
    /// How many ended.
    #[default]
    Calls,
    /// How many of them failed.
    Errors,
    /// Which part of them failed, from 0 to 1.
    ErrorRate,
    /// How long they took on average, in milliseconds.
    Mean,
    /// How long half of them took at the most, in milliseconds.
    P50,
    /// The same of nine in ten.
    P90,
    /// The same of 99 in a hundred.
    P99,
    /// How many tokens language models took for the steps of agents, in and out.
    Tokens,
    /// What they cost, in the currency of the prices.
    Cost,
}

/// Figures over a time.
#[derive(Serialize, JsonSchema)]
struct Stats {
    measure: Measure,
    by: By,
    /// When the first step begins.
    #[schemars(with = "String", extend("format" = "date-time"))]
    from: Timestamp,
    /// When the last step is over.
    #[schemars(with = "String", extend("format" = "date-time"))]
    to: Timestamp,
    /// How long a step is, in seconds.
    step: u64,
    series: Vec<Series>,
}

/// Figures of the calls of one tool, of those that ended in one way, of one agent or model, or of all.
#[derive(Serialize, JsonSchema)]
struct Series {
    /// The tool, the outcome, the agent or the model; absent, where all are told together.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The same of all steps together.
    total: Option<f64>,
    /// One for each step; null, where there was nothing of which it could be told.
    values: Vec<Option<f64>>,
}

/// What was counted together.
#[derive(Clone, Default)]
struct Sum {
    failed: u64,
    durations: Distribution,
    tokens: u64,
    cost: Money,
}

impl Measure {
    fn of(self, sum: &Sum) -> Option<f64> {
        let count = sum.durations.count();
        let quantile = |part| sum.durations.quantile(part).map(millis);
        match self {
            Self::Calls => Some(count as f64),
            Self::Errors => Some(sum.failed as f64),
            Self::ErrorRate => (count > 0).then(|| sum.failed as f64 / count as f64),
            Self::Mean => (count > 0).then(|| millis(sum.durations.sum()) / count as f64),
            Self::P50 => quantile(0.5),
            Self::P90 => quantile(0.9),
            Self::P99 => quantile(0.99),
            Self::Tokens => Some(sum.tokens as f64),
            Self::Cost => Some(sum.cost.as_micros() as f64 / 1e6),
        }
    }
}

pub(super) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

async fn show(
    Admitted(caller): Admitted,
    endpoint: web::Data<Endpoint>,
    asked: web::Query<Asked>,
) -> Result<HttpResponse, Problem> {
    let asked = asked.into_inner();
    let period = Period {
        from: parse::<Timestamp>("from", asked.from)?,
        to: parse::<Timestamp>("to", asked.to)?,
        step: asked.step.map(Duration::from_secs),
    };
    let (query, sums) = match asked.measure {
        Measure::Tokens | Measure::Cost => {
            let (query, taken) = endpoint.server().model_stats(&caller, period, asked.by).await?;
            (query, taken.into_iter().map(of_models).collect::<Vec<_>>())
        }
        _ => {
            let (query, counted) = endpoint.server().stats(&caller, period, asked.by).await?;
            (query, counted.into_iter().map(of_calls).collect())
        }
    };
    encoded(&Stats {
        measure: asked.measure,
        by: asked.by,
        from: query.from,
        to: query.to,
        step: query.step().unsigned_abs() * MINUTE.as_secs(),
        series: series(asked.measure, &query, sums),
    })
}

/// When a step begins, of which name it is, and what was counted in it.
type Told = (Timestamp, Option<String>, Sum);

fn of_calls(Counted { at, name, failed, durations, .. }: Counted) -> Told {
    (at, name, Sum { failed, durations, ..Sum::default() })
}

fn of_models(Taken { at, name, tokens, cost, .. }: Taken) -> Told {
    (at, name, Sum { tokens, cost, ..Sum::default() })
}

fn series(measure: Measure, query: &StatsQuery, told: Vec<Told>) -> Vec<Series> {
    let ((first, end), step) = (query.range(), query.step());
    let steps = usize::try_from((end - first + step - 1) / step).unwrap_or(0);
    let mut sums = BTreeMap::<Option<String>, Vec<Sum>>::new();
    if query.by == By::Nothing {
        sums.insert(None, vec![Sum::default(); steps]);
    }
    for (at, name, counted) in told {
        let place = usize::try_from((minute(at) - first) / step).unwrap_or(usize::MAX);
        if let Some(sum) = sums.entry(name).or_insert_with(|| vec![Sum::default(); steps]).get_mut(place) {
            *sum = counted;
        }
    }
    let told = |(name, sums): (Option<String>, Vec<Sum>)| {
        let mut all = Sum::default();
        for sum in &sums {
            all.failed += sum.failed;
            all.durations.merge(&sum.durations);
            all.tokens = all.tokens.saturating_add(sum.tokens);
            all.cost = all.cost.plus(sum.cost);
        }
        Series { name, total: measure.of(&all), values: sums.iter().map(|sum| measure.of(sum)).collect() }
    };
    sums.into_iter().map(told).collect()
}

impl From<StatsError> for Problem {
    fn from(error: StatsError) -> Self {
        let detail = error.to_string();
        match error {
            StatsError::Hidden => Self::new(403, detail),
            StatsError::Store(error) => error.into(),
            _ => Self::new(400, detail),
        }
    }
}

//! `/alerts`: what is looked for, what fires, and who was told.

use std::sync::Arc;

use actix_web::{HttpResponse, web};
use mcp_core::alert::Severity;
use mcp_core::alert::board::shown::{Shown, ShownChannel};
use mcp_core::alert::board::{Board, Phase};
use mcp_core::alert::rule::{Comparison, Rule};
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;

use super::Watch;
use crate::config::Alerts;
use crate::rest::problem::Problem;
use crate::rest::route::{Forms, Route, Table};
use crate::rest::{Admitted, encoded};

/// The route, beside those of REST.
pub(super) fn routes(watch: Arc<Watch>) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        config.app_data(web::Data::from(watch));
        TABLE.register(config);
    }
}

pub(crate) static TABLE: Table = Table {
    name: "mcp_http::alert",
    about: "Alerts",
    open: false,
    forms: Forms::Two,
    routes: &[Route::get(
        "/alerts",
        "alerts",
        "What is looked for, what fires or was over last, and how the channels are, the same from every replica; it takes the role `monitor` or `operator`",
        |route| route.to(show),
        &[(200, SchemaGenerator::subschema_for::<Picture>)],
        &[403, 503],
    )],
};

/// What is looked for, and what came of it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Alerts")]
pub(crate) struct Picture {
    pub(crate) rules: Vec<ShownRule>,
    /// What fires, or would if that lasts, the worst first; and then what was over last.
    pub(crate) alerts: Vec<Shown>,
    pub(crate) channels: Vec<ShownChannel>,
}

/// A rule, and whether anything fires by it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AlertRule")]
pub(crate) struct ShownRule {
    name: String,
    /// The worst of its alerts: `ok`, where it has none.
    state: RuleState,
    /// What is wrong, in words that stand before the figure.
    about: String,
    measure: String,
    /// What is more than this is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    above: Option<f64>,
    /// What is less than this is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    below: Option<f64>,
    /// It is over once what is read is not past this.
    clear: f64,
    /// For how many seconds it must be wrong.
    for_seconds: f64,
    /// For how many seconds it must be well again.
    clear_for_seconds: f64,
    severity: Severity,
}

/// How it is with a rule.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "AlertRuleState")]
enum RuleState {
    /// Nothing is wrong.
    Ok,
    /// It has fired, and does no more.
    Resolved,
    /// It fires if that lasts.
    Pending,
    /// It fires.
    Firing,
}

impl Picture {
    /// What is kept of alerts, under these rules.
    pub(crate) fn of(board: &Board, alerts: &Alerts) -> Self {
        let shown = board.show(&alerts.listeners);
        let rules = alerts.rules.iter().map(|rule| ShownRule::of(rule, &shown)).collect();
        Self { rules, alerts: shown, channels: board.channels(&alerts.listeners) }
    }
}

impl ShownRule {
    fn of(rule: &Rule, alerts: &[Shown]) -> Self {
        let state = |alert: &Shown| match alert.phase {
            Phase::Firing => RuleState::Firing,
            Phase::Pending => RuleState::Pending,
            _ => RuleState::Resolved,
        };
        let past = |comparison| (rule.comparison == comparison).then_some(rule.threshold);
        Self {
            name: rule.name.clone(),
            state: alerts.iter().filter(|alert| alert.rule == rule.name).map(state).max().unwrap_or(RuleState::Ok),
            about: rule.about.clone(),
            measure: rule.measure.clone(),
            above: past(Comparison::Above),
            below: past(Comparison::Below),
            clear: rule.clear,
            for_seconds: rule.hold.as_secs_f64(),
            clear_for_seconds: rule.clear_hold.as_secs_f64(),
            severity: rule.severity,
        }
    }
}

async fn show(Admitted(caller): Admitted, watch: web::Data<Watch>) -> Result<HttpResponse, Problem> {
    if !caller.may_monitor() {
        return Err(Problem::new(403, "alerts are shown to callers with the role monitor or operator"));
    }
    encoded(&watch.picture().await?)
}

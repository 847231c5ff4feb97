//! What operators see of the bundled server beside its health and its alerts: its settings, its replicas, its log, its backups, and what doctor
//! finds.

mod log;

use std::sync::{Arc, Mutex, PoisonError};

use actix_web::{HttpResponse, web};
use futures_util::future::BoxFuture;
use mcp_core::caller::Tenant;
use mcp_core::clock::Timestamp;
use mcp_core::store::history::CallQuery;
use mcp_core::store::ledger::{CallRecord, Outcome};
use mcp_core::store::replicas::Living;
use mcp_core::{Caller, Stores};
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde_json::Value;

use crate::config::Config;
use crate::rest::problem::Problem;
use crate::rest::route::{Forms, Route, Table};
use crate::rest::{Admitted, encoded};

/// What is shown.
pub(crate) struct System {
    config: Mutex<Config>,
    stores: Stores,
    /// The tenant of whoever is on this machine, for whom backups are recorded.
    house: Tenant,
    doctor: Option<Doctor>,
    /// Who has it looked, one at a time.
    looking: tokio::sync::Mutex<()>,
}

/// Looks at a configuration and all that it names.
pub(crate) type Doctor = fn(Config) -> BoxFuture<'static, Vec<Found>>;

/// What became of one thing that was looked at.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Found {
    pub(crate) check: &'static str,
    /// `ok`, `warning`, `failed`, or `cannot apply`.
    pub(crate) status: &'static str,
    /// What is so, or what is wrong, and the mend.
    pub(crate) detail: String,
}

impl Found {
    /// The status of what is wrong.
    pub(crate) const FAILED: &str = "failed";

    pub(crate) fn has_failed(&self) -> bool {
        self.status == Self::FAILED
    }
}

impl System {
    pub(crate) fn new(config: Config, stores: Stores, house: Tenant, doctor: Option<Doctor>) -> Self {
        Self { config: Mutex::new(config), stores, house, doctor, looking: tokio::sync::Mutex::default() }
    }

    /// From now on shows these settings.
    pub(crate) fn change(&self, config: &Config) {
        self.config.lock().unwrap_or_else(PoisonError::into_inner).clone_from(config);
    }

    /// Whether the web console is served.
    #[cfg(feature = "console")]
    pub(crate) fn has_console(&self) -> bool {
        self.config.lock().unwrap_or_else(PoisonError::into_inner).console
    }

    fn config(&self) -> Config {
        self.config.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// `/system/…`, for a scope in which REST is.
    pub(crate) fn routes(self: &Arc<Self>) -> impl FnOnce(&mut web::ServiceConfig) + use<> {
        let this = web::Data::from(self.clone());
        move |config| {
            config.app_data(this);
            TABLE.register(config);
            log::TABLE.register(config);
        }
    }
}

/// The routes, but for that of the log.
pub(crate) static TABLE: Table = Table {
    name: "mcp_http::system",
    about: "System",
    open: false,
    forms: Forms::Two,
    routes: &[
        Route::get(
            "/system/config",
            "showConfig",
            "Each setting, its value in force, secrets hidden, and where that came from; it takes the role `operator`",
            |route| route.to(config),
            &[(200, SchemaGenerator::subschema_for::<Settings>)],
            OF_OPERATORS,
        ),
        Route::get(
            "/system/replicas",
            "listReplicas",
            "The processes that serve from the same stores; it takes the role `operator`",
            |route| route.to(replicas),
            &[(200, SchemaGenerator::subschema_for::<Replicas>)],
            OF_OPERATORS,
        ),
        Route::get(
            "/system/backups",
            "listBackups",
            "The last fifty backups that were tried, the newest first; it takes the role `operator`",
            |route| route.to(backups),
            &[(200, SchemaGenerator::subschema_for::<Backups>)],
            OF_OPERATORS,
        ),
        Route::get(
            "/system/doctor",
            "examine",
            "What doctor finds: it looks at the configuration and all that it names, which takes some seconds; it takes the role `operator`",
            |route| route.to(doctor),
            &[(200, SchemaGenerator::subschema_for::<Findings>)],
            OF_OPERATORS,
        ),
    ],
};

/// The problems of what is for operators alone.
const OF_OPERATORS: &[u16] = &[403, 503];

pub(crate) use log::TABLE as LOG;

/// Refuses whoever is no operator.
fn operator(caller: &Caller) -> Result<(), Problem> {
    match caller.has_role(Caller::OPERATOR) {
        true => Ok(()),
        false => Err(Problem::new(403, "it is shown to callers with the role operator")),
    }
}

/// The settings in force.
#[derive(Serialize, JsonSchema)]
struct Settings {
    settings: Vec<ShownSetting>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Setting")]
struct ShownSetting {
    key: &'static str,
    /// As text; `***` for a secret, and empty where nothing is set.
    value: String,
    origin: String,
    about: &'static str,
}

async fn config(Admitted(caller): Admitted, system: web::Data<System>) -> Result<HttpResponse, Problem> {
    operator(&caller)?;
    let config = system.config();
    let shown = config.effective().map(|(setting, value, origin)| ShownSetting {
        key: setting.key,
        value,
        origin: origin.to_string(),
        about: setting.about,
    });
    encoded(&Settings { settings: shown.collect() })
}

/// Those that live, who began first before the others.
#[derive(Serialize, JsonSchema)]
struct Replicas {
    replicas: Vec<Replica>,
}

#[derive(Serialize, JsonSchema)]
struct Replica {
    /// The name of its machine.
    host: String,
    version: String,
    #[schemars(with = "String", extend("format" = "date-time"))]
    started: Timestamp,
    /// Until when it is taken for alive, unless it is heard again.
    #[schemars(with = "String", extend("format" = "date-time"))]
    until: Timestamp,
    /// Whether it is the one that answers.
    is_this: bool,
    id: String,
}

async fn replicas(Admitted(caller): Admitted, system: web::Data<System>) -> Result<HttpResponse, Problem> {
    operator(&caller)?;
    let this = system.stores.presence.replica().id;
    let shown = |Living { replica, until, .. }: Living| Replica {
        is_this: replica.id == this,
        host: replica.host,
        version: replica.version,
        started: replica.started,
        until,
        id: replica.id.to_string(),
    };
    encoded(&Replicas { replicas: system.stores.replicas.list().await?.into_iter().map(shown).collect() })
}

/// Backups that were tried, the newest first.
#[derive(Serialize, JsonSchema)]
struct Backups {
    backups: Vec<Backup>,
}

#[derive(Serialize, JsonSchema)]
struct Backup {
    /// Where it was put.
    folder: String,
    /// When it had ended.
    #[schemars(with = "String", extend("format" = "date-time"))]
    at: Timestamp,
    outcome: Outcome,
    /// Whether it was restored for a trial.
    verified: bool,
}

impl From<CallRecord> for Backup {
    fn from(act: CallRecord) -> Self {
        let details: Value = serde_json::from_slice(&act.arguments).unwrap_or_default();
        let folder = details["folder"].as_str().unwrap_or_default().to_owned();
        Self { folder, at: act.at, outcome: act.outcome, verified: details["verified"] == true }
    }
}

async fn backups(Admitted(caller): Admitted, system: web::Data<System>) -> Result<HttpResponse, Problem> {
    operator(&caller)?;
    let query = CallQuery { limit: 50, ..CallQuery::of_act("backup") };
    let acts = system.stores.history.calls(&system.house, &query).await?;
    encoded(&Backups { backups: acts.into_iter().map(Backup::from).collect() })
}

/// What doctor has found.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Findings {
    /// Whether no check failed.
    well: bool,
    pub(crate) checks: Vec<Found>,
}

impl Findings {
    pub(crate) fn of(checks: Vec<Found>) -> Self {
        Self { well: !checks.iter().any(Found::has_failed), checks }
    }
}

async fn doctor(Admitted(caller): Admitted, system: web::Data<System>) -> Result<HttpResponse, Problem> {
    operator(&caller)?;
    let Some(doctor) = system.doctor else {
        return Err(Problem::new(503, "there is none in this process: run `mcp-http doctor` on its machine"));
    };
    // It opens what the configuration names once more: nobody needs that several times at once.
    let Ok(_looking) = system.looking.try_lock() else {
        return Err(Problem::new(503, "it looks for somebody else just now: ask again in some seconds"));
    };
    encoded(&Findings::of(doctor(system.config()).await))
}

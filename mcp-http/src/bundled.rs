//! The ready-made server: storage, the tools that come with it, every way in.

mod access;
mod agents;
mod cors;
mod listen;
mod opened;
mod reload;
mod signals;

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::middleware::{Condition, DefaultHeaders};
use actix_web::{App, HttpServer, web};
use mcp_core::caller::Tenant;
use mcp_core::clock::Clock;
use mcp_core::definition::Models;
use mcp_core::measure::Collector;
use mcp_core::presence::JoinError;
use mcp_core::run::{Work, WorkersConfig};
use mcp_core::store::audit::keep_anchored;
use mcp_core::tokio_runtime::{TokioClock, TokioSpawner};
use mcp_core::{Caller, Endpoint, Server, ServerBuilder, Stores, Tool, tool};
use tokio::runtime::Handle;

use crate::alert::{self, Gauges, Watch};
use crate::config::{Config, ConfigError, LogFormat};
use crate::health::machine::Machine;
use crate::health::{self, Health};
use crate::secret::SecretKeys;
use crate::system::{Doctor, System};
use crate::{Metrics, docs, mount, rest, stdio, telemetry, well_known};
use listen::{Door, Tls};
use reload::Living;
use signals::Signals;

pub(crate) use opened::{Opened, located, open, pending_migrations, unopened};

/// The bundled server before it runs; a tool of your own is one line:
///
/// ```no_run
/// # use mcp_core::{ToolError, tool_fn};
/// # async fn greet() -> Result<String, ToolError> { Ok("Hello!".to_owned()) }
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let my_tool = tool_fn("greet", "Greets.", greet);
/// mcp_http::bundled(mcp_http::Config::load()?).await?.tool(my_tool).run().await?;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct Bundled {
    config: Config,
    builder: ServerBuilder,
    stores: Stores,
    secret_keys: SecretKeys,
    models: Models,
    doctor: Option<Doctor>,
}

/// Opens what the configuration names. To be called on a multi-thread tokio runtime, which also runs the calls.
///
/// # Errors
/// [`StartError`] when a key cannot be read or made, or the database cannot be opened. A Redis that does not answer is waited for
/// while the server serves.
pub async fn bundled(config: Config) -> Result<Bundled, StartError> {
    let Opened { mut stores, secret_keys } = open(&config).await?;
    let models = agents::models(&config, &mut stores)?;
    let builder = Server::builder("mcp-http", env!("CARGO_PKG_VERSION"))
        .clock(Arc::new(TokioClock::new()))
        .spawner(Arc::new(TokioSpawner::on(Handle::current())))
        .stores(stores.clone())
        .secret_keys(secret_keys.subkeys("mcp-core"))
        .measured()
        .timeout(config.call_timeout)
        .policy(config.policy.clone())
        .redacted(config.redact_arguments.iter().cloned())
        .max_in_flight(config.max_in_flight)
        .max_bytes_in_flight(config.max_bytes_in_flight)
        .max_wait(config.max_wait)
        .streams_per_caller(config.streams_per_caller)
        .tool(tool::time::now())
        .tools(mcp_store::tool::tools(&stores));
    let builder = agents::offer(builder, &config, &models)?;
    let builder = config.rate_limit.into_iter().fold(builder, ServerBuilder::rate_limit);
    let builder = config.rate_limit_per_caller.into_iter().fold(builder, ServerBuilder::rate_limit_per_caller);
    Ok(Bundled { config, builder, stores, secret_keys, models, doctor: None })
}

impl Bundled {
    /// Offers one more tool.
    pub fn tool(self, tool: impl Tool) -> Self {
        self.server(|builder| builder.tool(tool))
    }

    /// Does the work of runs of one more kind.
    pub fn work(self, kind: impl Into<String>, work: impl Work) -> Self {
        self.server(|builder| builder.work(kind, work))
    }

    /// Changes anything else of the server.
    pub fn server(mut self, change: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Self {
        self.builder = change(self.builder);
        self
    }

    /// Has what is wrong found by this, for operators who ask.
    pub(crate) fn doctor(self, doctor: Doctor) -> Self {
        Self { doctor: Some(doctor), ..self }
    }

    /// The server, which does not serve.
    pub(crate) fn into_server(self) -> Result<Server, StartError> {
        Ok(self.builder.build()?)
    }

    /// The stores that it opened.
    pub fn stores(&self) -> &Stores {
        &self.stores
    }

    /// The language models of its configuration, by their names there.
    pub fn models(&self) -> &Models {
        &self.models
    }

    /// The keys that it seals with.
    pub fn secret_keys(&self) -> &SecretKeys {
        &self.secret_keys
    }

    /// Serves until SIGTERM or SIGINT, and for `STOP_DELAY` after that. Then no new request is taken, running calls may finish for `STOP_TIMEOUT`, and what
    /// they did is written.
    ///
    /// # Errors
    /// [`StartError`] when a tool cannot be offered or the address is taken.
    pub async fn run(self) -> Result<(), StartError> {
        let Self { mut config, builder, stores, doctor, .. } = self;
        let tls = Tls::open(&config)?;
        let clock: Arc<dyn Clock> = Arc::new(TokioClock::new());
        let channels = alert::channels(&config, &clock)?;
        let server = builder.build()?;
        check_ways_in(&config, &server).await?;
        // What is begun from here on is ended in order, also where it must stop before it serves.
        let mut stop = Signals::to_stop();
        server.join().await.map_err(|error| match error {
            JoinError::Alone(_) => config.error(
                "REDIS_URL",
                format!(
                    "{error}; stop that one, or set REDIS_URL for all of them to the Redis through which replicas share what they keep"
                ),
            ),
            _ => config.error("DATABASE_URL", format!("the replicas cannot be joined: {error}; see that the database takes writes")),
        })?;
        follow(&config, &server).await?;
        server.stored_keys().follow();
        let endpoint = access::endpoint(&config, server.clone())?;
        let kept = stores.clone();
        let machine = Machine::new(config.data_folder(), clock.clone());
        let checks = stores.checks.into_iter().chain(machine.checks()).collect();
        let health = Health::watch(checks, clock.clone(), server.version()).await;
        let collectors: Vec<_> = stores.collectors.into_iter().chain([machine as Arc<dyn Collector>]).collect();
        let metrics = collectors.iter().cloned().fold(Metrics::new(endpoint.clone()), Metrics::collector);
        let metrics = metrics.collector(health.dependencies());
        let traces = crate::log::traces().map(|traces| traces as Arc<dyn Collector>);
        let metrics = traces.into_iter().fold(metrics, Metrics::collector);
        let workers = server.start_workers(workers(&config));
        let metrics = metrics.collector(Arc::new(workers.clone()));
        let collectors =
            collectors.into_iter().chain([server.load().clone() as Arc<dyn Collector>, Arc::new(workers.clone())]);
        let gauges = Gauges::new(health.dependencies(), collectors.collect());
        let watch =
            Watch::new(config.alerts.clone(), channels, kept.clone(), clock.clone(), gauges, alert::server(&config));
        let watch = Arc::new(watch);
        let metrics = metrics.collector(watch.clone());
        let system = Arc::new(System::new(config.clone(), kept.clone(), Tenant::from(HOUSE), doctor));
        let door = Door::new(&config, tls.clone(), server.load().clone());
        let metrics = metrics.collector(Arc::new(door.clone()));
        let (shown, monitored, watched, seen) = (health.clone(), metrics.clone(), watch.clone(), system.clone());
        let origins = config.allowed_origins.clone();
        let (by_tls, strictly) =
            (tls.is_some() && !config.hsts.is_zero(), format!("max-age={}", config.hsts.as_secs()));
        let app = move || {
            let strictly = DefaultHeaders::new().add(("strict-transport-security", strictly.as_str()));
            let cors = cors::cors(&origins);
            App::new()
                .wrap(cors)
                .wrap(telemetry(&metrics))
                .wrap(Condition::new(by_tls, strictly))
                .configure(ways_in(&endpoint, &shown, &metrics, &watched, &seen))
        };
        let http = listen::bind(&config).and_then(|sockets| {
            let address = sockets.first().map(TcpListener::local_addr).transpose()?;
            Ok((address, listen::serve(&config, sockets, door, app)?))
        });
        let http = http.map_err(|error| {
            let taken = format!("{}:{} cannot be listened on: {error}; set another PORT", config.host, config.port);
            config.error("PORT", taken)
        });
        let (http, admin) = match http.and_then(|http| Ok((http, serve_admin(&config, &health, &monitored)?))) {
            Ok(bound) => bound,
            Err(error) => {
                workers.stop(Duration::ZERO).await;
                // Whoever comes next need not wait until this replica is taken for dead.
                server.drain(Duration::from_secs(1)).await;
                return Err(error.into());
            }
        };
        for rule in server.rules_without_use() {
            tracing::warn!(rule, "a rule of POLICY fits nothing that is offered");
        }
        let (address, running) = http;
        let handle = running.handle();
        let running = tokio::spawn(running);
        let audit = kept.audit.clone();
        let mut living = Living::begin(&config, watch, system, kept.clone(), clock);
        let anchored = tokio::spawn(async move { keep_anchored(&kept, &TokioClock::new()).await });
        let followed = tls.map(|tls| tokio::spawn(async move { tls.follow().await }));
        let mut reload = Signals::to_reload();
        health.set_ready(true);
        announce(&config, &server, address);

        {
            let (living, config) = (&mut living, &mut config);
            loop {
                tokio::select! {
                    () = stop.next() => break,
                    () = reload.next() => living.reload(config),
                }
            }
        }
        health.set_ready(false);
        if !config.stop_delay.is_zero() {
            tracing::info!("not ready any more: requests are taken for STOP_DELAY, or until the next signal");
            tokio::select! {
                () = tokio::time::sleep(config.stop_delay) => {}
                () = stop.next() => {}
            }
        }
        tracing::info!("stopping: no new requests; running calls may finish");
        let ended = async {
            // What is released now, other replicas go on with at once.
            server.close();
            let (released, ()) = tokio::join!(workers.stop(config.stop_timeout), handle.stop(true));
            if released > 0 {
                tracing::warn!(runs = released, "runs could not be released; they are gone on with after RUN_LEASE");
            }
            let left = server.drain(config.stop_timeout).await;
            if left > 0 {
                tracing::warn!(calls = left, "calls were still running after STOP_TIMEOUT, and are dropped");
            }
            if let Some(followed) = followed {
                followed.abort();
            }
            living.end();
            anchored.abort();
            if let Some(admin) = &admin {
                admin.stop(false).await;
            }
            // Where the database is gone, there is nothing new to be anchored.
            let _ = tokio::time::timeout(LAST_ANCHOR, audit.anchor()).await;
        };
        tokio::select! {
            () = ended => {}
            () = stop.next() => return Err(StartError::Interrupted),
        }
        // The workers have stopped; what they return has been told by `stop`.
        let _ = tokio::time::timeout(Duration::from_secs(1), running).await;
        Ok(())
    }
}

impl Bundled {
    /// Serves one client over the standard streams, until its end of them is closed, or until SIGTERM or SIGINT. Nothing is listened on, and
    /// several such processes may share a database. The log must not go to the standard output.
    ///
    /// # Errors
    /// [`StartError`] when a tool cannot be offered, or the streams break.
    pub async fn run_stdio(self) -> Result<(), StartError> {
        let Self { config, builder, stores, .. } = self;
        let server = builder.build()?;
        let mut stop = Signals::to_stop();
        follow(&config, &server).await?;
        let workers = server.start_workers(workers(&config));
        let caller = Caller::operator("local");
        let served = tokio::select! {
            served = stdio::serve(server.clone(), caller) => served,
            () = stop.next() => Ok(()),
        };
        server.close();
        workers.stop(config.stop_timeout).await;
        server.drain(config.stop_timeout).await;
        let _ = tokio::time::timeout(LAST_ANCHOR, stores.audit.anchor()).await;
        Ok(served?)
    }
}

/// The tenant as which whoever is on this machine acts.
pub(crate) const HOUSE: &str = "default";

/// Refuses to serve where others would reach the server, and nobody could come in.
async fn check_ways_in(config: &Config, server: &Server) -> Result<(), ConfigError> {
    if config.is_loopback() || config.api_key.is_some() || !config.oauth_issuers.is_empty() {
        return Ok(());
    }
    let failed =
        |error| config.error("DATABASE_URL", format!("it cannot be read whether there is an API key: {error}"));
    if server.stored_keys().are_there(&Tenant::from(HOUSE)).await.map_err(failed)? {
        return Ok(());
    }
    Err(config.error(
        "HOST",
        format!(
            "{} can be reached from other machines, and there is no key to come in with: run `mcp-http keys create NAME`, \
             set API_KEY to a long random text, OAUTH_ISSUERS to who signs in its callers, or HOST=127.0.0.1",
            config.host
        ),
    ))
}

/// Follows what is changed on any replica of what is offered.
async fn follow(config: &Config, server: &Server) -> Result<(), ConfigError> {
    let failed =
        |error| config.error("DATABASE_URL", format!("it cannot be read what was changed while it served: {error}"));
    server.follow_switches().await.map_err(failed)?;
    server.follow_agents().await.map_err(failed)
}

/// How runs are done here.
fn workers(config: &Config) -> WorkersConfig {
    let mut workers = WorkersConfig::default();
    workers.lease = config.run_lease;
    workers.concurrency = config.run_concurrency;
    workers
}

/// How long the last anchor of the audit chains may take.
const LAST_ANCHOR: Duration = Duration::from_secs(2);

/// Everything that the server serves.
pub(crate) fn ways_in(
    endpoint: &Endpoint,
    health: &Health,
    metrics: &Metrics,
    watch: &Arc<Watch>,
    system: &Arc<System>,
) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        let api = web::scope("/api/v1").configure(rest(endpoint.clone()));
        config
            .service(web::scope("/mcp").configure(mount(endpoint.clone())))
            .service(api.configure(watch.routes()).configure(system.routes()))
            .configure(docs(endpoint.clone()))
            .configure(console(endpoint, system))
            .configure(well_known(endpoint.clone()))
            .configure(metrics.routes())
            .configure(health::routes(health.guarded_by(endpoint.clone())));
    }
}

/// The web console, unless `CONSOLE` is off.
#[cfg(feature = "console")]
fn console(endpoint: &Endpoint, system: &System) -> impl FnOnce(&mut web::ServiceConfig) {
    let console = system.has_console().then(|| crate::console(endpoint.clone()));
    move |config| {
        if let Some(console) = console {
            config.configure(console);
        }
    }
}

#[cfg(not(feature = "console"))]
fn console(_: &Endpoint, _: &System) -> impl FnOnce(&mut web::ServiceConfig) {
    |_| ()
}

/// Shows how the server does to whoever can reach `ADMIN_BIND`, where that is set.
fn serve_admin(config: &Config, health: &Health, metrics: &Metrics) -> Result<Option<ServerHandle>, ConfigError> {
    let Some(address) = config.admin_bind else { return Ok(None) };
    let (health, metrics) = (health.clone(), metrics.clone());
    let app = move || App::new().configure(metrics.routes_for_everyone()).configure(health::routes(health.clone()));
    let bound = HttpServer::new(app).workers(1).disable_signals().bind(address);
    let running = bound.map(HttpServer::run).map_err(|error| {
        config.error("ADMIN_BIND", format!("{address} cannot be listened on: {error}; set another address"))
    })?;
    let handle = running.handle();
    tokio::spawn(running);
    Ok(Some(handle))
}

/// Says where the server is and what to do next: six lines for people, or one for what reads the log.
fn announce(config: &Config, server: &Server, address: Option<SocketAddr>) {
    let scheme = config.scheme();
    let address = address.map_or_else(|| format!("{}:{}", config.host, config.port), |address| address.to_string());
    let tools = server.tools().list();
    let names: Vec<_> = tools.iter().map(|tool| tool.spec().name()).collect();
    let log = || tracing::info!(address, scheme, tools = names.len(), "serving");
    if config.log_format == LogFormat::Json {
        return log();
    }
    let console = match config.console && cfg!(feature = "console") {
        true => format!("; console {scheme}://{address}/console"),
        false => String::new(),
    };
    let mut out = std::io::stdout().lock();
    // A closed stdout is no reason not to serve.
    let _ = write!(
        out,
        "listening  {scheme}://{address}\n\
         mcp        {scheme}://{address}/mcp (2026-07-28; 2025-11-25, 2025-06-18, 2025-03-26)\n\
         tools      {}\n\
         storage    {}, cache {}\n\
         docs       {scheme}://{address}/docs{console}\n\
         next       curl -s {scheme}://{address}/api/v1/tools/time.now/call -d '{{\"zone\": \"Europe/Lisbon\"}}'\n",
        names.join(", "),
        config
            .effective()
            .find(|(setting, ..)| setting.key == "DATABASE_URL")
            .map(|(_, url, _)| url)
            .unwrap_or_default(),
        if config.redis_url.is_some() { "shared through Redis" } else { "in this process" },
    );
    drop(out);
    // Who reads a file does not see what is said to people, who read it first.
    if config.log_file.is_some() {
        log();
    }
}

/// Why the server did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A setting cannot be used; the message names it, where it came from, and the mend.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A tool cannot be offered.
    #[error(transparent)]
    Build(#[from] mcp_core::BuildError),
    /// The standard streams are broken.
    #[error("the standard streams cannot be served: {0}")]
    Streams(#[from] std::io::Error),
    /// A second signal came while running calls were finishing.
    #[error("interrupted before running calls had finished")]
    Interrupted,
}

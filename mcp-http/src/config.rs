//! What the bundled server is told: defaults, then a JSON file, then the environment.

mod alerts;
mod origin;
mod policy;
mod setting;
#[cfg(test)]
mod tests;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use mcp_connect::{ChannelConfig, ModelConfig};
use mcp_core::definition::AgentDefinition;
use mcp_core::endpoint::TrustedProxies;
use mcp_core::policy::Policy;
use mcp_core::retention::Limit;
use mcp_core::store::limits::Rate;
use secrecy::SecretString;

pub(crate) use alerts::{Alerts, BACKUP_AGE};
use origin::Layers;
pub use origin::Origin;
pub use setting::{SETTINGS, Setting};

/// The configuration of the bundled server, checked. Each field has the name of its setting in lower case; see [`SETTINGS`].
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// The address to listen on.
    pub host: String,
    /// The port to listen on; 0 takes a free one.
    pub port: u16,
    /// Where data is kept.
    pub database_url: String,
    /// Where replicas share what is short-lived.
    pub redis_url: Option<SecretString>,
    /// A file with the authority that alone vouches for Redis.
    pub redis_ca: Option<PathBuf>,
    /// Where the bytes of files are kept, if not beside the SQLite database.
    pub files_url: Option<String>,
    /// The first administrator's key.
    pub api_key: Option<SecretString>,
    /// What commands send to a URL that is not this server's.
    pub target_key: Option<SecretString>,
    /// Keys that seal what leaves the server and comes back, the newest first.
    pub secret_keys: Vec<SecretString>,
    /// Whether what callers keep is sealed before it is written.
    pub encrypt_content: bool,
    /// Whether the words of what is sealed are kept as they are.
    pub index_plaintext: bool,
    /// The address at which clients reach MCP.
    pub public_url: Option<String>,
    /// Issuers whose access tokens are believed.
    pub oauth_issuers: Vec<String>,
    /// What tokens may also have in `aud`.
    pub oauth_audience: Option<String>,
    /// Where the keys of the only issuer are.
    pub oauth_jwks_url: Option<String>,
    /// Scopes that clients are to ask for.
    pub oauth_scopes: Vec<String>,
    /// The tenant of callers who bring a token.
    pub oauth_tenant: String,
    /// The claim that names the tenant instead.
    pub oauth_tenant_claim: Option<String>,
    /// The claim that holds a caller's roles.
    pub oauth_roles_claim: Option<String>,
    /// The claim that holds a caller's scopes.
    pub oauth_scopes_claim: Option<String>,
    /// What callers need, on top of what the code of a tool, resource or prompt requires.
    pub policy: Policy,
    /// Language models by their names.
    pub models: BTreeMap<String, ModelConfig>,
    /// Agents by their names.
    pub agents: BTreeMap<String, AgentDefinition>,
    /// More detail in the log and in errors.
    pub debug_mode: bool,
    /// How the log is written.
    pub log_format: LogFormat,
    /// The least level of the log, or a filter such as `info,mcp_core=debug`.
    pub log_level: String,
    /// A file that the log goes to as well.
    pub log_file: Option<PathBuf>,
    /// How large it becomes, in bytes, before it is put aside.
    pub log_file_size: u64,
    /// How many such files there are, with the one that is written.
    pub log_files: u32,
    /// Where traces are sent.
    pub otel_exporter_otlp_endpoint: Option<String>,
    /// Headers that are sent along.
    pub otel_exporter_otlp_headers: Vec<(String, SecretString)>,
    /// What the server is called in traces.
    pub otel_service_name: String,
    /// What else is said of it there.
    pub otel_resource_attributes: Vec<(String, String)>,
    /// Which part of the traces that begin here is kept, from 0 to 1.
    pub otel_traces_sampler_arg: f64,
    /// Where metrics and health are shown without a key.
    pub admin_bind: Option<SocketAddr>,
    /// Names under which the server is reached, beside this machine's own.
    pub allowed_hosts: Vec<String>,
    /// Web pages that may call the server, beside its own.
    pub allowed_origins: Vec<String>,
    /// The proxies whose word is taken for where a request comes from.
    pub trusted_proxies: TrustedProxies,
    /// How many threads speak HTTP.
    pub workers: usize,
    /// A file with the server's certificate, and its chain.
    pub tls_cert: Option<PathBuf>,
    /// A file with its key.
    pub tls_key: Option<PathBuf>,
    /// How long browsers are to come by TLS alone; no time does not say so.
    pub hsts: Duration,
    /// How many connections are open at the most.
    pub max_connections: usize,
    /// How many of them come from one address at the most.
    pub max_connections_per_address: usize,
    /// How long the head of a request may take to come, and the begin of TLS.
    pub head_timeout: Duration,
    /// How long a connection may wait for its next request.
    pub keep_alive: Duration,
    /// How long a client may take nothing of what it is sent.
    pub write_timeout: Duration,
    /// How many calls take longer than one poll at once, at the most.
    pub max_in_flight: usize,
    /// How long calls that hold a thread wait for one, at the most.
    pub max_wait: Duration,
    /// How many bytes are held at once for large bodies, and for answers that nobody takes.
    pub max_bytes_in_flight: usize,
    /// How many streams one caller has open at the most.
    pub streams_per_caller: usize,
    /// The largest request body, in bytes.
    pub max_body: usize,
    /// The largest file, in bytes.
    pub max_file: u64,
    /// How many bytes all files of one caller take at the most.
    pub files_quota: u64,
    /// How many sessions of clients of the older era there are at the most.
    pub protocol_sessions: u32,
    /// How many of them one caller has at the most.
    pub protocol_sessions_per_caller: u32,
    /// How long a request body may take to come, or each piece of a file.
    pub body_timeout: Duration,
    /// How long a call may take, where its tool does not say.
    pub call_timeout: Duration,
    /// Whether the web console is served.
    pub console: bool,
    /// How often all callers together may call tools.
    pub rate_limit: Option<Rate>,
    /// How often one caller may.
    pub rate_limit_per_caller: Option<Rate>,
    /// How long a call may say nothing before its answer becomes a stream.
    pub stream_after: Duration,
    /// How long running calls may take to finish when the server stops.
    pub stop_timeout: Duration,
    /// How long requests are still taken, after it was said that the server is not ready any more, before it stops.
    pub stop_delay: Duration,
    /// How many bytes of results are cached in this process.
    pub cache_bytes: u64,
    /// How long calls are recorded, and how many.
    pub keep_calls: Limit,
    /// Places in the arguments of calls that are not recorded.
    pub redact_arguments: Vec<String>,
    /// How long messages are kept, and how many.
    pub keep_messages: Limit,
    /// How long notes are kept, and how many.
    pub keep_notes: Limit,
    /// How long runs are kept after their end.
    pub keep_runs: Limit,
    /// How long the keys under which calls are sent twice are remembered.
    pub keep_keys: Limit,
    /// How long the links of what was removed are kept.
    pub keep_audit: Limit,
    /// `KEEP_STATS`.
    pub keep_stats: Limit,
    /// How long a run is held without a sign of life, before another replica goes on with it.
    pub run_lease: Duration,
    /// How many runs this process does at a time; with 0 it does none.
    pub run_concurrency: u16,
    /// How long a replica may be silent before others take over what it was doing.
    pub replica_lease: Duration,
    /// When somebody is told that something is wrong, and how.
    pub(crate) alerts: Alerts,
    /// The secrets of channels, by the variables of the environment that hold them.
    pub(crate) alert_secrets: BTreeMap<String, SecretString>,
    /// What clients of S3 have in the environment.
    pub(crate) aws: Vec<(String, SecretString)>,
    /// The keys of models, by the variables of the environment that hold them.
    pub(crate) model_keys: BTreeMap<String, SecretString>,
    layers: Layers,
}

/// A setting's text as anybody may read it.
fn shown(setting: &Setting, text: Option<&str>) -> String {
    match text {
        Some(_) if setting.secret => "***".to_owned(),
        Some(text) => value::without_password(text),
        None => String::new(),
    }
}

impl fmt::Debug for Config {
    /// The settings as [`Config::effective`] shows them: without secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.effective().map(|(setting, value, _)| (setting.key, value))).finish()
    }
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// A setting that cannot be used: which, where its value came from, and the mend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} ({origin}): {problem}")]
pub struct ConfigError {
    pub(crate) key: String,
    pub(crate) origin: Origin,
    pub(crate) problem: String,
}

/// What can change while the server serves.
pub(crate) const RELOADED: [&str; 11] = [
    "LOG_LEVEL",
    "ALERTS",
    "STOP_TIMEOUT",
    "STOP_DELAY",
    "KEEP_CALLS",
    "KEEP_MESSAGES",
    "KEEP_NOTES",
    "KEEP_RUNS",
    "KEEP_KEYS",
    "KEEP_AUDIT",
    "KEEP_STATS",
];

/// A setting that is another one by now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) key: &'static str,
    pub(crate) before: String,
    pub(crate) after: String,
    /// Whether it is in force without a restart.
    pub(crate) is_taken: bool,
}

impl Config {
    /// Reads `./config.json`, if there is one, and the environment.
    ///
    /// # Errors
    /// [`ConfigError`] for the first setting that cannot be used.
    pub fn load() -> Result<Self, ConfigError> {
        let file = Path::new("config.json");
        Self::load_from(file.exists().then_some(file), std::env::vars())
    }

    /// Reads `file` and the environment.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_file(file: &Path) -> Result<Self, ConfigError> {
        Self::load_from(Some(file), std::env::vars())
    }

    /// Reads the file and these variables.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_from(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let environment: Vec<_> = environment.into_iter().collect();
        let aws = environment.iter().filter(|(name, _)| name.starts_with("AWS_"));
        let aws = aws.map(|(name, value)| (name.clone(), SecretString::from(value.as_str()))).collect();
        let layers = Layers::read(file, environment.iter().cloned())?;
        let models: BTreeMap<String, ModelConfig> = layers.get(setting::MODELS, |text| {
            value::object(
                text,
                r#"{"fast": {"provider": "openai", "model": "gpt-5-mini", "key_env": "OPENAI_API_KEY"}}"#,
            )
        })?;
        let alerts = layers.get(setting::ALERTS, alerts::alerts)?;
        let config = Self {
            host: layers.get("HOST", value::host)?,
            port: layers.get("PORT", value::number)?,
            database_url: layers.get("DATABASE_URL", value::text)?,
            redis_url: layers.get("REDIS_URL", value::optional_secret)?,
            redis_ca: layers.get("REDIS_CA", value::path)?,
            files_url: layers.get("FILES_URL", value::optional_text)?,
            api_key: layers.get("API_KEY", value::api_key)?,
            target_key: layers.get("TARGET_KEY", value::target_key)?,
            secret_keys: layers.get("SECRET_KEYS", value::secret_keys)?,
            encrypt_content: layers.get("ENCRYPT_CONTENT", value::switch)?,
            index_plaintext: layers.get("INDEX_PLAINTEXT", value::switch)?,
            public_url: layers.get("PUBLIC_URL", value::optional_text)?,
            oauth_issuers: layers.get("OAUTH_ISSUERS", value::list)?,
            oauth_audience: layers.get("OAUTH_AUDIENCE", value::optional_text)?,
            oauth_jwks_url: layers.get("OAUTH_JWKS_URL", value::optional_text)?,
            oauth_scopes: layers.get("OAUTH_SCOPES", value::list)?,
            oauth_tenant: layers.get("OAUTH_TENANT", value::text)?,
            oauth_tenant_claim: layers.get("OAUTH_TENANT_CLAIM", value::optional_text)?,
            oauth_roles_claim: layers.get("OAUTH_ROLES_CLAIM", value::optional_text)?,
            oauth_scopes_claim: layers.get("OAUTH_SCOPES_CLAIM", value::optional_text)?,
            policy: layers.get(setting::POLICY, policy::policy)?,
            agents: layers.get(setting::AGENTS, |text| {
                value::object(text, r#"{"helper": {"description": "Helps.", "model": "fast"}}"#)
            })?,
            model_keys: variables(models.values().filter_map(|model| model.key_env.as_deref()), &environment),
            alert_secrets: variables(alerts.channels.values().flat_map(ChannelConfig::variables), &environment),
            alerts,
            models,
            debug_mode: layers.get("DEBUG_MODE", value::switch)?,
            log_format: layers.get("LOG_FORMAT", value::log_format)?,
            log_level: layers.get("LOG_LEVEL", value::log_level)?,
            log_file: layers.get("LOG_FILE", value::path)?,
            log_file_size: layers.get("LOG_FILE_SIZE", value::file_size)?,
            log_files: layers.get("LOG_FILES", value::files)?,
            otel_exporter_otlp_endpoint: layers.get("OTEL_EXPORTER_OTLP_ENDPOINT", value::web_address)?,
            otel_exporter_otlp_headers: layers.get("OTEL_EXPORTER_OTLP_HEADERS", value::headers)?,
            otel_service_name: layers.get("OTEL_SERVICE_NAME", value::text)?,
            otel_resource_attributes: layers.get("OTEL_RESOURCE_ATTRIBUTES", value::pairs)?,
            otel_traces_sampler_arg: layers.get("OTEL_TRACES_SAMPLER_ARG", value::part)?,
            admin_bind: layers.get("ADMIN_BIND", value::optional_address)?,
            console: layers.get("CONSOLE", value::switch)?,
            allowed_hosts: layers.get("ALLOWED_HOSTS", value::list)?,
            allowed_origins: layers.get("ALLOWED_ORIGINS", value::origins)?,
            trusted_proxies: layers.get("TRUSTED_PROXIES", value::networks)?,
            workers: layers.get("WORKERS", value::workers)?,
            tls_cert: layers.get("TLS_CERT", value::path)?,
            tls_key: layers.get("TLS_KEY", value::path)?,
            hsts: layers.get("HSTS", value::span)?,
            max_connections: layers.get("MAX_CONNECTIONS", value::many)?,
            max_connections_per_address: layers.get("MAX_CONNECTIONS_PER_ADDRESS", value::many)?,
            head_timeout: layers.get("HEAD_TIMEOUT", value::duration)?,
            keep_alive: layers.get("KEEP_ALIVE", value::duration)?,
            write_timeout: layers.get("WRITE_TIMEOUT", value::duration)?,
            max_in_flight: layers.get("MAX_IN_FLIGHT", value::many)?,
            max_wait: layers.get("MAX_WAIT", value::duration)?,
            max_bytes_in_flight: layers.get("MAX_BYTES_IN_FLIGHT", value::bytes)?,
            streams_per_caller: layers.get("STREAMS_PER_CALLER", value::many)?,
            max_body: layers.get("MAX_BODY", value::bytes)?,
            max_file: layers.get("MAX_FILE", value::bytes)?,
            files_quota: layers.get("FILES_QUOTA", value::bytes)?,
            protocol_sessions: layers.get("PROTOCOL_SESSIONS", value::count)?,
            protocol_sessions_per_caller: layers.get("PROTOCOL_SESSIONS_PER_CALLER", value::count)?,
            body_timeout: layers.get("BODY_TIMEOUT", value::duration)?,
            call_timeout: layers.get("CALL_TIMEOUT", value::duration)?,
            rate_limit: layers.get("RATE_LIMIT", value::rate)?,
            rate_limit_per_caller: layers.get("RATE_LIMIT_PER_CALLER", value::rate)?,
            stream_after: layers.get("STREAM_AFTER", value::duration)?,
            stop_timeout: layers.get("STOP_TIMEOUT", value::duration)?,
            stop_delay: layers.get("STOP_DELAY", value::delay)?,
            cache_bytes: layers.get("CACHE_BYTES", value::bytes)?,
            keep_calls: layers.get("KEEP_CALLS", value::limit)?,
            redact_arguments: layers.get("REDACT_ARGUMENTS", value::pointers)?,
            keep_messages: layers.get("KEEP_MESSAGES", value::limit)?,
            keep_notes: layers.get("KEEP_NOTES", value::limit)?,
            keep_runs: layers.get("KEEP_RUNS", value::limit)?,
            keep_keys: layers.get("KEEP_KEYS", value::limit)?,
            keep_audit: layers.get("KEEP_AUDIT", value::age)?,
            keep_stats: layers.get("KEEP_STATS", value::age)?,
            run_lease: layers.get("RUN_LEASE", value::lease)?,
            run_concurrency: layers.get("RUN_CONCURRENCY", value::number)?,
            replica_lease: layers.get("REPLICA_LEASE", value::duration)?,
            aws,
            layers,
        };
        config.check()?;
        Ok(config)
    }

    /// Reads the same file and the environment again.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub(crate) fn reload(&self) -> Result<Self, ConfigError> {
        match &self.layers.file {
            Some(file) => Self::load_file(file),
            None => Self::load(),
        }
    }

    /// What is not as it is in `newer`, secrets hidden.
    pub(crate) fn changes(&self, newer: &Self) -> Vec<Change> {
        let is_other = |setting: &&Setting| self.layers.text(setting.key) != newer.layers.text(setting.key);
        let change = |setting: &Setting| Change {
            key: setting.key,
            before: shown(setting, self.layers.text(setting.key)),
            after: shown(setting, newer.layers.text(setting.key)),
            is_taken: RELOADED.contains(&setting.key),
        };
        SETTINGS.iter().filter(is_other).map(change).collect()
    }

    /// Takes from `newer` what can change while the server serves: [`RELOADED`].
    pub(crate) fn take(&mut self, newer: Self) {
        for key in RELOADED {
            self.layers.take(&newer.layers, key);
        }
        self.alerts = newer.alerts;
        self.alert_secrets = newer.alert_secrets;
        self.log_level = newer.log_level;
        self.stop_timeout = newer.stop_timeout;
        self.stop_delay = newer.stop_delay;
        self.keep_calls = newer.keep_calls;
        self.keep_messages = newer.keep_messages;
        self.keep_notes = newer.keep_notes;
        self.keep_runs = newer.keep_runs;
        self.keep_keys = newer.keep_keys;
        self.keep_audit = newer.keep_audit;
        self.keep_stats = newer.keep_stats;
    }

    /// What is wrong only where two settings meet.
    fn check(&self) -> Result<(), ConfigError> {
        if !self.is_loopback() {
            let reachable = format!("{} can be reached from other machines", self.host);
            if self.debug_mode {
                return Err(self.error(
                    "DEBUG_MODE",
                    format!("{reachable}, which must not see debug detail; set DEBUG_MODE=false"),
                ));
            }
        }
        Ok(())
    }

    /// An error of one setting.
    pub(crate) fn error(&self, key: &str, problem: impl Into<String>) -> ConfigError {
        ConfigError { key: key.to_owned(), origin: self.layers.origin(key), problem: problem.into() }
    }

    /// Whether only this machine can reach the server.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
    }

    /// What URLs of the server begin with.
    pub fn scheme(&self) -> &'static str {
        if self.tls_cert.is_some() { "https" } else { "http" }
    }

    /// The folder of the SQLite database, where files that belong to it are kept.
    pub fn data_folder(&self) -> Option<PathBuf> {
        let path = self.database_url.strip_prefix("sqlite:")?;
        let path = path.strip_prefix("//").unwrap_or(path).split('?').next()?;
        let folder = Path::new(path).parent()?;
        Some(if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_owned() })
    }

    /// Each setting with the value in force, secrets hidden, and where it came from.
    pub fn effective(&self) -> impl Iterator<Item = (&'static Setting, String, Origin)> {
        SETTINGS
            .iter()
            .map(|setting| (setting, shown(setting, self.layers.text(setting.key)), self.layers.origin(setting.key)))
    }
}

/// What stands in these variables.
fn variables<'a>(
    named: impl Iterator<Item = &'a str>,
    environment: &[(String, String)],
) -> BTreeMap<String, SecretString> {
    let named: BTreeSet<_> = named.collect();
    let named = environment.iter().filter(|(name, _)| named.contains(name.as_str()));
    named.map(|(name, value)| (name.clone(), SecretString::from(value.as_str()))).collect()
}

//! The list of settings: what the help, the errors and the documentation know.

/// One setting.
#[derive(Debug)]
#[non_exhaustive]
pub struct Setting {
    /// Its name: that of the variable, and, in any case, of the member in the JSON file.
    pub key: &'static str,
    /// Its value where nothing is said.
    pub default: Option<&'static str>,
    /// What it does.
    pub about: &'static str,
    /// Whether its value is never shown.
    pub secret: bool,
}

const fn setting(key: &'static str, default: &'static str, about: &'static str) -> Setting {
    Setting { key, default: Some(default), about, secret: false }
}

const fn unset(key: &'static str, about: &'static str) -> Setting {
    Setting { key, default: None, about, secret: false }
}

const fn secret(key: &'static str, about: &'static str) -> Setting {
    Setting { key, default: None, about, secret: true }
}

/// The settings that are objects in the file.
pub(super) const POLICY: &str = "POLICY";
pub(super) const MODELS: &str = "MODELS";
pub(super) const AGENTS: &str = "AGENTS";
pub(super) const ALERTS: &str = "ALERTS";

/// All settings, in the order in which they are shown.
pub static SETTINGS: &[Setting] = &[
    setting(
        "HOST",
        "127.0.0.1",
        "the address to listen on; one that others can reach needs API_KEY, a key that is kept, or OAUTH_ISSUERS",
    ),
    setting("PORT", "8000", "the port to listen on; 0 takes a free one"),
    setting("DATABASE_URL", "sqlite:./data/mcp.db", "where data is kept"),
    secret(
        "REDIS_URL",
        "where replicas share cached results and keep sessions, such as redis://127.0.0.1:6379, or rediss://HOST:PORT with TLS; without it each has its own results, and sessions are in the database",
    ),
    unset(
        "REDIS_CA",
        "a PEM file with the certificate of the authority that vouches for rediss://; else those that browsers trust",
    ),
    unset(
        "FILES_URL",
        "where the bytes of files are kept, such as file:./data/files or s3://BUCKET/PREFIX; on SQLite a folder beside it, and on PostgreSQL nowhere unless it is set",
    ),
    secret("API_KEY", "the first administrator's key: at least 16 characters"),
    secret("TARGET_KEY", "the key that commands send to a URL that is not this server's, which never gets API_KEY"),
    secret(
        "SECRET_KEYS",
        "keys that seal what leaves the server, the newest first, each 32 bytes in base64; on SQLite made at the first start",
    ),
    setting(
        "ENCRYPT_CONTENT",
        "false",
        "seal what callers keep, in the database, in blobs and on Redis, under keys that SECRET_KEYS seal: see docs/encryption.md",
    ),
    setting(
        "INDEX_PLAINTEXT",
        "false",
        "keep the words of sealed notes, messages and files readable in the database, so that searches find them",
    ),
    unset(
        "PUBLIC_URL",
        "the address at which clients reach MCP, such as https://mcp.example.com/mcp: what tokens of OAUTH_ISSUERS are for",
    ),
    unset(
        "OAUTH_ISSUERS",
        "issuers whose access tokens are believed, such as https://login.example.com, separated by commas; then callers on this machine need a token or a key as well",
    ),
    unset("OAUTH_AUDIENCE", "what tokens may also have in aud, beside PUBLIC_URL"),
    unset("OAUTH_JWKS_URL", "where the keys of the only issuer are, if it does not say so itself"),
    unset("OAUTH_SCOPES", "scopes that clients are to ask for, separated by commas"),
    setting("OAUTH_TENANT", "default", "the tenant of callers who bring a token"),
    unset(
        "OAUTH_TENANT_CLAIM",
        "the claim that names the tenant instead: its name, or a JSON pointer such as /org/id; each issuer is believed for every tenant",
    ),
    unset(
        "OAUTH_ROLES_CLAIM",
        "the claim that holds a caller's roles, also those of administrators; without it, they have none",
    ),
    unset("OAUTH_SCOPES_CLAIM", "the claim that holds a caller's scopes, if neither scope nor scp"),
    unset(
        POLICY,
        "which roles, tenants and scopes tools, resources, prompts, agents and routes take, and before which tools agents ask, as JSON: see docs/policy.md",
    ),
    unset(
        MODELS,
        "language models by their names, as JSON such as {\"fast\": {\"provider\": \"openai\", \"model\": \"gpt-5-mini\", \"key_env\": \"OPENAI_API_KEY\"}}: see docs/models.md; with one, there is the agent `assistant`",
    ),
    unset(
        AGENTS,
        "agents and teams by their names, as JSON such as {\"helper\": {\"description\": \"Helps.\", \"model\": \"fast\", \"tools\": [\"notes.*\"]}}: see docs/agents.md",
    ),
    unset(
        ALERTS,
        "who is told that something is wrong, and when, as JSON such as {\"channels\": {\"chat\": {\"kind\": \"slack\", \"url_env\": \"SLACK_URL\"}}}: see docs/alerts.md",
    ),
    setting("DEBUG_MODE", "false", "more detail in the log and in errors; only on this machine"),
    setting("LOG_FORMAT", "text", "text or json"),
    setting("LOG_LEVEL", "info", "error, warn, info, debug, trace, or a filter such as info,mcp_core=debug"),
    unset(
        "LOG_FILE",
        "a file that the log goes to as well, in a folder that is there; when it is full it is put aside as FILE.1, FILE.2 and so on: see docs/logging.md",
    ),
    setting("LOG_FILE_SIZE", "64MiB", "how large it becomes"),
    setting("LOG_FILES", "5", "how many there are at the most, with the one that is written"),
    unset(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "where traces are sent by OTLP over HTTP, as JSON, such as http://127.0.0.1:4318; without it, nowhere: see docs/tracing.md",
    ),
    secret("OTEL_EXPORTER_OTLP_HEADERS", "headers that are sent along, such as api-key=SECRET, separated by commas"),
    setting("OTEL_SERVICE_NAME", "mcp-http", "what the server is called in traces"),
    unset(
        "OTEL_RESOURCE_ATTRIBUTES",
        "what else is said of it there, such as deployment.environment.name=production, separated by commas",
    ),
    setting("OTEL_TRACES_SAMPLER_ARG", "1", "which part of the traces that begin here is kept, from 0 to 1"),
    unset(
        "ADMIN_BIND",
        "an address of its own, such as 127.0.0.1:9000, at which /metrics and all of /health are shown without a key; let nobody else reach it",
    ),
    setting("CONSOLE", "true", "serve the web console at /console; false leaves it out"),
    unset("ALLOWED_HOSTS", "names under which the server is reached, beside localhost, separated by commas"),
    unset(
        "ALLOWED_ORIGINS",
        "web pages that may call it and read its answers (CORS), such as https://app.example.com, separated by commas",
    ),
    unset(
        "TRUSTED_PROXIES",
        "addresses and networks of the proxies in front of it, such as 10.0.0.0/8, separated by commas: what they write into X-Forwarded-For is believed, and none of them passes for this machine",
    ),
    setting("WORKERS", "0", "threads that speak HTTP; 0 is one for each processor"),
    unset(
        "TLS_CERT",
        "a PEM file with the server's certificate and its chain: then it speaks https alone, and takes a new one from there at once",
    ),
    unset("TLS_KEY", "a PEM file with the key of TLS_CERT"),
    setting("HSTS", "365d", "with TLS_CERT, how long browsers are to come by https alone; 0 does not say so"),
    setting("MAX_CONNECTIONS", "10000", "how many connections are open; one more is closed at once"),
    setting(
        "MAX_CONNECTIONS_PER_ADDRESS",
        "1000",
        "how many of them come from one address, or from one network of IPv6; as many as a load balancer in front has",
    ),
    setting("HEAD_TIMEOUT", "10s", "how long the head of a request may take to come, and the begin of TLS"),
    setting("KEEP_ALIVE", "75s", "how long a connection may wait for its next request"),
    setting("WRITE_TIMEOUT", "30s", "how long a client may take nothing of what it is sent, before it is cut off"),
    setting(
        "MAX_IN_FLIGHT",
        "4096",
        "how many calls take longer than a moment at once; with as many, requests are answered 503",
    ),
    setting(
        "MAX_WAIT",
        "50ms",
        "how long calls that keep a processor busy wait for one; where it would be longer, they are answered 503",
    ),
    setting(
        "MAX_BYTES_IN_FLIGHT",
        "256MiB",
        "how much large bodies and answers that nobody takes hold at once; the same",
    ),
    setting("STREAMS_PER_CALLER", "1000", "how many streams one caller has open; one more is answered 429"),
    setting("MAX_BODY", "4MiB", "the largest request body"),
    setting("MAX_FILE", "64MiB", "the largest file"),
    setting("FILES_QUOTA", "1GiB", "how much all files of one caller take"),
    setting(
        "PROTOCOL_SESSIONS",
        "10000",
        "how many sessions clients of the older era have; of more, the one that is idle longest ends",
    ),
    setting("PROTOCOL_SESSIONS_PER_CALLER", "1000", "how many of them one caller has"),
    setting("BODY_TIMEOUT", "30s", "how long a request body may take to come"),
    setting("CALL_TIMEOUT", "60s", "how long a call may take, where its tool does not say"),
    unset(
        "RATE_LIMIT",
        "how often all callers together may call tools, such as 1000/s or 60000/min: as many at once, which come back evenly; on all replicas together, where they share Redis",
    ),
    unset("RATE_LIMIT_PER_CALLER", "the same for each caller"),
    setting("STREAM_AFTER", "10s", "how long a call may say nothing before its answer becomes a stream"),
    setting("STOP_TIMEOUT", "30s", "how long running calls may take to finish when the server stops"),
    setting("STOP_DELAY", "0s", "how long it goes on taking requests, not ready any more, before it stops"),
    setting("CACHE_BYTES", "64MiB", "results cached in this process"),
    setting(
        "KEEP_CALLS",
        "90d",
        "how long calls are recorded, and how many of each tenant, such as 90d,1000000; or forever",
    ),
    unset(
        "REDACT_ARGUMENTS",
        "places in the arguments of calls that are not recorded, as JSON pointers such as /password or /card/number, separated by commas",
    ),
    setting("KEEP_MESSAGES", "365d", "the same of messages in threads"),
    setting("KEEP_NOTES", "forever", "the same of notes"),
    setting("KEEP_RUNS", "90d", "the same of runs that have ended"),
    setting("KEEP_KEYS", "24h", "the same of keys, under which a call that is sent again is answered from its record"),
    setting("KEEP_AUDIT", "365d", "how long it can be proved that a record was removed, or forever"),
    setting(
        "KEEP_STATS",
        "400d",
        "how long it is known how many calls there were, how they ended and how long they took, or forever",
    ),
    setting(
        "RUN_LEASE",
        "15s",
        "how long a run is held without a sign of life, before another replica goes on with it",
    ),
    setting("RUN_CONCURRENCY", "64", "how many runs this process does at a time; 0 does none"),
    setting("REPLICA_LEASE", "10s", "how long a replica may be silent before others take over what it was doing"),
];

/// The setting of that name, in any case.
pub(super) fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key.eq_ignore_ascii_case(name))
}

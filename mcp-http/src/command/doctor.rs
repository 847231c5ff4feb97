//! `doctor`: looks at the configuration and all that it names, and says what to mend. It changes nothing.

mod around;
mod kept;
mod machine;
mod served;
#[cfg(test)]
mod tests;

use std::future::ready;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use mcp_store::StoreConfig;
use serde_json::json;

use super::failure::{Failure, Kind};
use super::output::{Output, table};
use crate::bundled;
use crate::config::Config;
use crate::secret::SecretKeys;
use crate::system::{Findings, Found};

pub(super) const EXAMPLES: &str = "\
Examples:
  mcp-http doctor
  mcp-http doctor --config production.json --json";

/// Something that is looked at: its name, and how. Another one is a line here.
type Check = (&'static str, fn(&Looked) -> BoxFuture<'_, Finding>);

const CHECKS: &[Check] = &[
    ("database", |looked| database(looked).boxed()),
    ("database user", |looked| kept::user(looked).boxed()),
    ("clock", |looked| kept::clock(looked).boxed()),
    ("redis", |looked| redis(looked).boxed()),
    ("secret keys", |looked| secret_keys(looked).boxed()),
    ("encryption", |looked| ready(encryption(&looked.config)).boxed()),
    ("tls", |looked| ready(around::tls(&looked.config)).boxed()),
    ("internal ports", |looked| around::internal_ports(looked).boxed()),
    ("access", |looked| access(looked).boxed()),
    ("limits", |looked| ready(around::limits(&looked.config)).boxed()),
    ("logging", |looked| ready(around::logging(&looked.config)).boxed()),
    ("alerts", |looked| ready(around::alerts(&looked.config)).boxed()),
    ("backup", |looked| kept::backup(looked).boxed()),
    ("load test", |looked| kept::load_test(looked).boxed()),
    ("audit", |looked| kept::audit(looked).boxed()),
    ("disk", |looked| ready(machine::disk(&looked.config)).boxed()),
    ("open files", |looked| ready(machine::open_files(&looked.config)).boxed()),
    ("container", |looked| ready(machine::container(&looked.config)).boxed()),
    ("health", |looked| served::health(looked).boxed()),
    ("resources", |looked| served::resources(looked).boxed()),
    ("errors", |looked| served::errors(looked).boxed()),
    ("times", |looked| served::times(looked).boxed()),
];

/// What is looked at first: without it there is nothing else to look at.
const CONFIGURATION: &str = "configuration";

/// How long one of them may take.
const DEADLINE: Duration = Duration::from_secs(15);

/// What is looked at.
struct Looked {
    config: Config,
    /// With the secret keys that are there.
    store: StoreConfig,
    /// What the server says of itself, asked for once.
    pages: served::Pages,
}

/// What was found.
enum Finding {
    Ok(String),
    /// It works, and could be better.
    Warning(String),
    /// What is wrong, and the mend.
    Failed(String),
    /// It cannot be looked at now, or from here: why.
    CannotApply(String),
}

impl Finding {
    /// As it is shown.
    fn of_check(self, check: &'static str) -> Found {
        Found { check, status: self.as_str(), detail: self.text().to_owned() }
    }

    fn as_str(&self) -> &'static str {
        match self {
            Self::Ok(_) => "ok",
            Self::Warning(_) => "warning",
            Self::Failed(_) => Found::FAILED,
            Self::CannotApply(_) => "cannot apply",
        }
    }

    fn text(&self) -> &str {
        let (Self::Ok(text) | Self::Warning(text) | Self::Failed(text) | Self::CannotApply(text)) = self;
        text
    }

    /// Something that is wrong where others reach the server, and could be better where this machine alone does.
    fn amiss(config: &Config, text: impl Into<String>) -> Self {
        if is_reachable(config) { Self::Failed(text.into()) } else { Self::Warning(text.into()) }
    }

    /// Something that worked, or what it said that did not.
    fn of<T, E: ToString>(result: Result<T, E>, well: impl FnOnce(T) -> Self) -> Self {
        match result {
            Ok(value) => well(value),
            Err(error) => Self::Failed(error.to_string()),
        }
    }
}

pub(super) fn run(config: Result<Config, Failure>, output: &mut Output) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let found = runtime.block_on(look(config));
    // What was begun and did not end in time is not waited for.
    runtime.shutdown_background();
    let failed = found.iter().filter(|found| found.has_failed()).count();
    let findings = Findings::of(found);
    output.write(&json!(findings), || {
        let row = |found: &Found| vec![found.status.to_owned(), found.check.to_owned(), found.detail.clone()];
        table(&findings.checks.iter().map(row).collect::<Vec<_>>())
    })?;
    match failed {
        0 => Ok(()),
        1 => Err(Failure::new(Kind::Findings, "1 check failed")),
        count => Err(Failure::new(Kind::Findings, format!("{count} checks failed"))),
    }
}

/// The same of a server's own configuration.
pub(super) fn examine(config: Config) -> BoxFuture<'static, Vec<Found>> {
    async { look(Ok(config)).await }.boxed()
}

async fn look(config: Result<Config, Failure>) -> Vec<Found> {
    let looked = config.and_then(|config| {
        let store = bundled::located(&config)?;
        Ok(Looked { config, store, pages: served::Pages::default() })
    });
    let mut looked = match looked {
        Ok(looked) => looked,
        Err(failure) => return vec![Finding::Failed(failure.message().to_owned()).of_check(CONFIGURATION)],
    };
    let mut found = vec![Finding::Ok("every setting can be used".to_owned()).of_check(CONFIGURATION)];
    // What is wrong with them is told by their check.
    if let Ok(keys) = SecretKeys::existing(&looked.config) {
        looked.store.secret_keys = keys.subkeys("mcp-store").collect();
    }
    let late = |_| Finding::Failed(format!("no answer within {} seconds", DEADLINE.as_secs()));
    let looks = CHECKS.iter().map(async |(name, check)| {
        tokio::time::timeout(DEADLINE, check(&looked)).await.unwrap_or_else(late).of_check(name)
    });
    found.extend(join_all(looks).await);
    found
}

async fn database(looked: &Looked) -> Finding {
    Finding::of(mcp_store::pending_migrations(&looked.store).await, |pending| match pending.len() {
        0 => Finding::Ok("it answers, and its tables are those of this version".to_owned()),
        count => {
            Finding::Warning(format!("{count} migrations are pending: run `mcp-http migrate`, or start the server"))
        }
    })
}

async fn redis(looked: &Looked) -> Finding {
    if looked.config.redis_url.is_none() {
        return Finding::Ok("none is set: one process serves".to_owned());
    }
    Finding::of(mcp_store::redis_answers(&looked.store).await, |answers| match answers {
        true => Finding::Ok("it answers, and takes writes".to_owned()),
        false => Finding::Failed(
            "it does not answer, or takes no writes: see that it runs, and that REDIS_URL names it".to_owned(),
        ),
    })
}

/// Whether there is nothing yet that could be looked at.
async fn is_new(looked: &Looked) -> bool {
    mcp_store::pending_migrations(&looked.store).await.is_ok_and(|pending| !pending.is_empty())
}

async fn secret_keys(looked: &Looked) -> Finding {
    if SecretKeys::are_missing(&looked.config) {
        return Finding::Warning("there is none yet: one is made beside the database at the first start".to_owned());
    }
    if let Err(error) = SecretKeys::existing(&looked.config) {
        return Finding::Failed(error.to_string());
    }
    if is_new(looked).await {
        return Finding::Ok("they can be used".to_owned());
    }
    Finding::of(mcp_store::keys_open(&looked.store).await, |()| {
        Finding::Ok("they open every key that is kept in the database".to_owned())
    })
}

/// Whether others can reach the server, through a proxy or without.
fn is_reachable(config: &Config) -> bool {
    !config.is_loopback() || config.public_url.is_some()
}

fn encryption(config: &Config) -> Finding {
    match (config.encrypt_content, is_reachable(config)) {
        (true, _) if config.index_plaintext => Finding::Warning(
            "what callers keep is encrypted, but for the words of notes, messages and files: INDEX_PLAINTEXT is set".to_owned(),
        ),
        (true, _) => Finding::Ok("what callers keep is encrypted".to_owned()),
        (false, false) => Finding::Ok("what callers keep is not encrypted; this machine alone reaches the server".to_owned()),
        (false, true) => Finding::Failed(
            "others reach the server, and what callers keep is not encrypted: set ENCRYPT_CONTENT=true, restart, and run \
             `mcp-http migrate --reencrypt`"
                .to_owned(),
        ),
    }
}

async fn access(looked: &Looked) -> Finding {
    let config = &looked.config;
    if !is_reachable(config) {
        return Finding::Ok("this machine alone reaches the server".to_owned());
    }
    if config.api_key.is_some() || !config.oauth_issuers.is_empty() {
        return Finding::Ok("callers need a key or a token".to_owned());
    }
    let nobody =
        "others reach the server, and there is no key to come in with: set API_KEY, or run `mcp-http keys create NAME`";
    if is_new(looked).await {
        return Finding::Failed(nobody.to_owned());
    }
    Finding::of(mcp_store::keeps_api_keys(&looked.store).await, |some| match some {
        true => Finding::Ok("callers need a key".to_owned()),
        false => Finding::Failed(nobody.to_owned()),
    })
}

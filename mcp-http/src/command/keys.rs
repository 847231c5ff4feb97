//! `keys`: API keys, straight on the stores.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Subcommand;
use mcp_core::caller::Principal;
use mcp_core::caller::desk::{CallerError, MadeKey, NewKey, NewUser};
use mcp_core::clock::{Clock, Timestamp};
use mcp_core::store::StoreError;
use mcp_core::store::api_keys::{ApiKey, KeyId};
use mcp_core::tokio_runtime::TokioClock;
use mcp_core::{Caller, Server};
use serde_json::{Value, json};

use super::act;
use super::client::base;
use super::failure::{Failure, Kind};
use super::output::{Output, table};
use crate::config::Config;
use crate::rest::keys::{Key, SecretKey};

pub(super) const EXAMPLES: &str = "\
Examples:
  mcp-http keys create ci --expires 90d         a key for the user ci, who is added where there is none
  mcp-http keys create laptop --for ada --role admin
  mcp-http keys list
  mcp-http keys rotate ID --overlap 1d          a new key; the old one lets in for a day more
  mcp-http keys revoke ID";

#[derive(Subcommand)]
pub(super) enum Keys {
    /// Make a key, and show its secret once
    Create {
        /// What it is for
        name: String,
        /// Whom it lets in, who is added where there is none (else a user of the key's name)
        #[arg(long = "for", value_name = "PRINCIPAL")]
        of: Option<String>,
        /// A role that it carries; if left out, all that the user has
        #[arg(long = "role", value_name = "ROLE")]
        roles: Vec<String>,
        /// A scope that it is granted; '*' is all of them
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// How long it lets in, such as 90d or 12h; for good, if left out
        #[arg(long, value_name = "TIME", value_parser = time)]
        expires: Option<Duration>,
    },
    /// List the keys
    List {
        /// Whose, if not everybody's
        #[arg(long = "for", value_name = "PRINCIPAL")]
        of: Option<String>,
    },
    /// Make a key in the place of another one
    Rotate {
        /// The id of the old one
        id: KeyId,
        /// How long the old one lets in still, such as 1d; 0 ends it at once
        #[arg(long, value_name = "TIME", value_parser = time, default_value = "7d")]
        overlap: Duration,
    },
    /// Let nobody in by a key any more
    Revoke {
        /// Its id
        id: KeyId,
    },
}

pub(super) fn run(config: &Config, tenant: &str, what: Keys, output: &mut Output) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let by = act::by(tenant);
    runtime.block_on(async {
        let (server, _) = act::opened(config).await?;
        let desk = server.callers();
        match what {
            Keys::Create { name, of, roles, scopes, expires } => {
                let principal = Principal::from(of.unwrap_or_else(|| name.clone()));
                let roles: BTreeSet<String> = roles.into_iter().collect();
                let user = NewUser { principal, display_name: String::new(), roles: roles.clone() };
                let key = NewKey {
                    name,
                    principal: None,
                    roles: (!roles.is_empty()).then_some(roles),
                    scopes: Some(scopes.into_iter().collect()),
                    expires: expires.map(|time| TokioClock::new().now().after(time)),
                };
                shown_once(config, act::make_key(&server, &by, user, key).await?, None, output)
            }
            Keys::List { of } => list(&server, &by, of.map(Principal::from).as_ref(), output).await,
            Keys::Rotate { id, overlap } => {
                let rotated = desk.rotate_key(&by, id, Some(overlap)).await?;
                shown_once(config, rotated.made, Some(rotated.old_ends), output)
            }
            Keys::Revoke { id } => {
                let key = desk.revoke_key(&by, id).await?;
                let text = format!("The key {:?} of {} lets nobody in any more.", key.name, key.principal);
                output.write(&json!(Key::from(key)), || text)
            }
        }
    })
}

async fn list(server: &Server, by: &Caller, of: Option<&Principal>, output: &mut Output) -> Result<(), Failure> {
    const PAGE: u16 = 500;
    let mut keys: Vec<ApiKey> = Vec::new();
    loop {
        let page = server.callers().keys(by, of, keys.last().map(|key| key.id), PAGE).await?;
        let more = page.len() == usize::from(PAGE);
        keys.extend(page);
        if !more {
            break;
        }
    }
    let now = TokioClock::new().now();
    let head = ["NAME", "USER", "ROLES", "SCOPES", "ENDS", "USED", "ID"].map(str::to_owned).to_vec();
    let rows: Vec<_> = std::iter::once(head).chain(keys.iter().map(|key| row(key, now))).collect();
    let all: Vec<Value> = keys.into_iter().map(|key| json!(Key::from(key))).collect();
    output.write(&json!({"keys": all}), || match rows.as_slice() {
        [_] => "There are no keys; `mcp-http keys create NAME` makes one.".to_owned(),
        rows => table(rows),
    })
}

fn row(key: &ApiKey, now: Timestamp) -> Vec<String> {
    let end = [key.expires, key.revoked].into_iter().flatten().min();
    vec![
        key.name.clone(),
        key.principal.to_string(),
        words(&key.roles),
        words(&key.scopes),
        match end {
            Some(_) if key.has_ended(now) => "ended".to_owned(),
            Some(end) => short(end),
            None => "–".to_owned(),
        },
        key.used.map_or_else(|| "–".to_owned(), short),
        key.id.to_string(),
    ]
}

fn shown_once(config: &Config, made: MadeKey, old_ends: Option<Timestamp>, output: &mut Output) -> Result<(), Failure> {
    let secret = made.secret.expose().to_owned();
    let MadeKey { key, .. } = made;
    let mut rows = vec![
        ("key", secret.clone()),
        ("", "keep it now: it is not shown again".to_owned()),
        ("name", key.name.clone()),
        ("user", key.principal.to_string()),
        ("roles", words(&key.roles)),
        ("scopes", words(&key.scopes)),
        ("expires", key.expires.map_or_else(|| "–".to_owned(), short)),
        ("id", key.id.to_string()),
    ];
    rows.extend(old_ends.map(|end| ("old key", format!("lets in until {}", short(end)))));
    let call = format!(
        "curl -s {}/api/v1/tools/time.now/call -H 'Authorization: Bearer {secret}' -d '{{}}'",
        base(config, None)
    );
    rows.push(("try", call));
    let rows: Vec<_> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    output.write(&json!(SecretKey { secret, key: key.into(), old_ends }), || table(&rows))
}

fn words(words: &BTreeSet<String>) -> String {
    if words.is_empty() { "–".to_owned() } else { words.iter().cloned().collect::<Vec<_>>().join(" ") }
}

/// A moment to the second.
fn short(at: Timestamp) -> String {
    let whole = at.to_string();
    whole.split_once('.').map_or(whole.clone(), |(seconds, _)| format!("{seconds}Z"))
}

/// `90d`, `12h`, `30m`, `45s` or `0`.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    let bad = || "expected a time such as 90d, 12h, 30m or 45s".to_owned();
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let count: u64 = digits.parse().map_err(|_| bad())?;
    let seconds = match unit {
        "d" => 86_400,
        "h" => 3_600,
        "m" => 60,
        "s" => 1,
        "" if count == 0 => 0,
        _ => return Err(bad()),
    };
    count.checked_mul(seconds).map(Duration::from_secs).ok_or_else(bad)
}

impl From<CallerError> for Failure {
    fn from(error: CallerError) -> Self {
        let kind = match &error {
            CallerError::Store(StoreError::Unavailable { .. }) => Kind::Unreachable,
            CallerError::Invalid { .. } => Kind::Usage,
            CallerError::Forbidden(_) => Kind::Refused,
            _ => Kind::Failed,
        };
        let failure = Self::new(kind, error.to_string());
        if matches!(error, CallerError::UnknownKey) {
            failure.hint("`mcp-http keys list` shows those that there are")
        } else {
            failure
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit() {
        for (text, seconds) in [("90d", 7_776_000), ("12h", 43_200), ("30m", 1_800), ("45s", 45), ("0", 0), ("0d", 0)] {
            assert_eq!(time(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for bad in ["", "d", "90", "-1d", "1w", "1 d", "99999999999999999999d", "999999999999999999d"] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }
}

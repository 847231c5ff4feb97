//! What is around the server: who reaches it, what reaches what it leans on, and who hears of it.

use std::fs::{self, OpenOptions};
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use mcp_core::clock::Clock;
use mcp_core::tokio_runtime::TokioClock;
use secrecy::ExposeSecret;

use super::{Finding, Looked, is_reachable};
use crate::alert;
use crate::config::Config;

pub(super) fn tls(config: &Config) -> Finding {
    match (&config.tls_cert, config.public_url.as_deref()) {
        _ if !is_reachable(config) => Finding::Ok("this machine alone reaches the server".to_owned()),
        (Some(_), _) => Finding::Ok("the server speaks https alone".to_owned()),
        (None, Some(url)) if url.starts_with("https://") => {
            Finding::Ok("what is in front of the server speaks https, as PUBLIC_URL says".to_owned())
        }
        (None, _) => Finding::Failed(
            "others reach the server, and what they send can be read on its way: set TLS_CERT and TLS_KEY, or put it behind a \
             proxy that speaks https, and set PUBLIC_URL to its address"
                .to_owned(),
        ),
    }
}

/// That what is for the server alone is not for everybody: its page for operators, the database, Redis.
pub(super) async fn internal_ports(looked: &Looked) -> Finding {
    let config = &looked.config;
    if let Some(address) = config.admin_bind
        && (address.ip().is_unspecified() || !is_private(address.ip()))
    {
        return Finding::Failed(format!(
            "ADMIN_BIND={address} shows metrics and health without a key to whoever reaches this machine: bind it to 127.0.0.1, or \
             to an address of the private network"
        ));
    }
    let redis = config.redis_url.as_ref().map(|url| url.expose_secret());
    let mut unknown = Vec::new();
    let mut said = Vec::new();
    for (key, url) in [("DATABASE_URL", Some(config.database_url.as_str())), ("REDIS_URL", redis)] {
        let Some(place) = url.and_then(Place::of) else { continue };
        let Ok(addresses) = tokio::net::lookup_host((place.host, 0)).await else {
            unknown.push(format!("{key} names {}, of which nobody knows where it is", place.host));
            continue;
        };
        let Some(public) = addresses.map(|address| address.ip()).find(|address| !is_private(*address)) else {
            continue;
        };
        if !place.is_sealed {
            return Finding::Failed(format!(
                "{key} names {}, whose address {public} is a public one, and nothing seals what goes there: reach it in a private \
                 network, or with TLS ({})",
                place.host, place.mend
            ));
        }
        said.push(format!("{key} names a public address, with TLS: see that its group lets in the servers alone"));
    }
    match (unknown.is_empty(), said.is_empty()) {
        (false, _) => Finding::CannotApply(unknown.join("; ")),
        (true, false) => Finding::Warning(said.join("; ")),
        (true, true) => {
            Finding::Ok("what is for the server alone is on this machine, or in a private network".to_owned())
        }
    }
}

/// The host of a URL, and whether what goes there is sealed.
struct Place<'a> {
    host: &'a str,
    is_sealed: bool,
    mend: &'static str,
}

impl<'a> Place<'a> {
    fn of(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let (is_sealed, mend) = match scheme {
            "rediss" => (true, ""),
            "redis" => (false, "rediss://"),
            _ => (
                ["require", "verify-ca", "verify-full"].iter().any(|mode| url.contains(&format!("sslmode={mode}"))),
                "?sslmode=verify-full",
            ),
        };
        let authority = rest.split(['/', '?', '#']).next()?;
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let host = match host.strip_prefix('[') {
            Some(v6) => v6.split(']').next()?,
            None => host.rsplit_once(':').map_or(host, |(host, _)| host),
        };
        (scheme != "sqlite" && !host.is_empty()).then_some(Self { host, is_sealed, mend })
    }
}

/// Whether the Internet does not know the way to an address.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_private(v4.into()),
            None => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
        },
    }
}

pub(super) fn limits(config: &Config) -> Finding {
    if config.rate_limit.is_none() && config.rate_limit_per_caller.is_none() {
        return Finding::amiss(
            config,
            "nothing bounds how often somebody calls: set RATE_LIMIT_PER_CALLER, such as 100/s, and RATE_LIMIT for all together",
        );
    }
    Finding::Ok("how often tools are called is bounded, as everything else is".to_owned())
}

pub(super) fn logging(config: &Config) -> Finding {
    if let Some(path) = &config.log_file
        && let Err(error) = log_file(path)
    {
        return Finding::Failed(format!(
            "LOG_FILE={} cannot be written: {error}; name a file in a folder that is there, and in which the server may write",
            path.display()
        ));
    }
    // What is said of all that no other part names.
    let level = config.log_level.split(',').map(str::trim).rfind(|part| !part.contains('='));
    match level {
        Some("off" | "error" | "warn") => Finding::amiss(
            config,
            format!("LOG_LEVEL={} leaves requests out of the log: set it to info", config.log_level),
        ),
        Some("debug" | "trace") if is_reachable(config) => Finding::Warning(
            "the log has more in it than a server that others use should write for long: set LOG_LEVEL=info".to_owned(),
        ),
        _ => match &config.log_file {
            None => Finding::Ok("each request has its line on stdout".to_owned()),
            Some(path) => {
                let path = path.display();
                let all = config.log_file_size.saturating_mul(config.log_files.into()).div_ceil(1 << 20);
                Finding::Ok(format!(
                    "each request has its line on stdout, and in {path}, which takes at most {all} MiB"
                ))
            }
        },
    }
}

/// Whether the file can be written as the server will do it; it is not made.
fn log_file(path: &Path) -> io::Result<()> {
    match OpenOptions::new().append(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            fs::read_dir(folder.unwrap_or(Path::new("."))).map(drop)
        }
        opened => opened.map(drop),
    }
}

pub(super) fn alerts(config: &Config) -> Finding {
    let clock: Arc<dyn Clock> = Arc::new(TokioClock::new());
    Finding::of(alert::channels(config, &clock), |channels| match channels.len() {
        0 => Finding::amiss(
            config,
            "nobody is told when something is wrong: name a channel in ALERTS (docs/alerts.md), and try it by `mcp-http alert test`",
        ),
        _ => {
            let names: Vec<_> = channels.keys().map(String::as_str).collect();
            Finding::Ok(format!("people are told by {}; `mcp-http alert test` tries it", names.join(", ")))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_the_internet_knows_is_not_private() {
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "::1",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(is_private(private.parse().unwrap()), "{private}");
        }
        for public in ["203.0.113.5", "8.8.8.8", "100.128.0.1", "2001:db8::1", "::ffff:8.8.8.8"] {
            assert!(!is_private(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn a_url_names_its_host_and_whether_it_is_sealed() {
        for (url, host, is_sealed) in [
            ("postgres://u:p%40@db.example.com:5432/mcp?sslmode=verify-full", "db.example.com", true),
            ("postgresql://db/mcp?sslmode=prefer", "db", false),
            ("redis://:secret@127.0.0.1:6379/1", "127.0.0.1", false),
            ("rediss://[2001:db8::1]:6379", "2001:db8::1", true),
        ] {
            let place = Place::of(url).unwrap();
            assert_eq!((place.host, place.is_sealed), (host, is_sealed), "{url}");
        }
        assert!(Place::of("sqlite:./data/mcp.db").is_none() && Place::of("sqlite:///mcp.db").is_none());
        assert!(Place::of("postgres:///mcp?host=/run/postgresql").is_none(), "a socket is on this machine");
    }
}

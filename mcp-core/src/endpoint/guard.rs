//! Keeps web pages out that have no business here (basic/transports, "Security Warning": DNS rebinding).

use super::answer::Refusal;
use super::head::{Head, Header};

/// Which `Host` and which `Origin` may come in. Unless told otherwise: this machine's own names, on every port.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    /// `None`: whatever a request names.
    hosts: Option<Vec<String>>,
    origins: Vec<String>,
}

const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

impl Default for Guard {
    fn default() -> Self {
        Self { hosts: Some(LOOPBACK.map(str::to_owned).to_vec()), origins: Vec::new() }
    }
}

impl Guard {
    pub(super) fn allow_host(&mut self, host: &str) {
        if let Some(hosts) = &mut self.hosts {
            hosts.push(host.to_ascii_lowercase());
        }
    }

    pub(super) fn allow_any_host(&mut self) {
        self.hosts = None;
    }

    pub(super) fn allow_origin(&mut self, origin: &str) {
        self.origins.push(origin.trim_end_matches('/').to_ascii_lowercase());
    }

    pub(super) fn check(&self, head: &dyn Head) -> Result<(), Refusal> {
        let host = match head.header("host") {
            Header::Absent => None,
            Header::One(host) => Some(host),
            Header::Refused(why) => return Err(Refusal::forbidden(format!("`Host` cannot be used: {why}"))),
        };
        if let Some(host) = host.filter(|host| !self.host_is_allowed(host)) {
            return Err(Refusal::forbidden(format!(
                "`Host: {host}` is not allowed here; add it to ALLOWED_HOSTS (Endpoint::allow_host)"
            )));
        }
        match head.header("origin") {
            Header::Absent => Ok(()),
            Header::One(origin) if self.origin_is_allowed(origin, host) => Ok(()),
            Header::One(origin) => Err(Refusal::forbidden(format!(
                "`Origin: {origin}` is not allowed here; add it to ALLOWED_ORIGINS (Endpoint::allow_origin)"
            ))),
            Header::Refused(why) => Err(Refusal::forbidden(format!("`Origin` cannot be used: {why}"))),
        }
    }

    fn host_is_allowed(&self, host: &str) -> bool {
        let name = without_port(host);
        let matches = |allowed: &String| host.eq_ignore_ascii_case(allowed) || name.eq_ignore_ascii_case(allowed);
        self.hosts.as_ref().is_none_or(|hosts| hosts.iter().any(matches))
    }

    /// A page may come from a listed origin, from the server itself, or from wherever requests may be addressed.
    fn origin_is_allowed(&self, origin: &str, host: Option<&str>) -> bool {
        let Some((scheme, authority)) = origin.split_once("://") else { return false };
        let is_scheme = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
        self.origins.iter().any(|allowed| origin.eq_ignore_ascii_case(allowed))
            || (is_scheme && host.is_some_and(|host| authority.eq_ignore_ascii_case(host)))
            || (is_scheme && self.hosts.is_some() && self.host_is_allowed(authority))
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.is_empty() => name,
        _ => host,
    }
}

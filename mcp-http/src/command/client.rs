//! A client for the REST of a server, local or at a URL.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use ureq::RequestBuilder;
use ureq::http::Uri;

use super::failure::{Failure, Kind};
use crate::config::Config;

/// Speaks to one server.
pub(super) struct Client {
    agent: ureq::Agent,
    base: String,
    /// Which setting has the key for it, and that key.
    setting: &'static str,
    key: Option<String>,
}

/// An answer that came: its status, and its body as JSON.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Value,
}

/// The largest answer that is read.
const MAX_ANSWER: u64 = 64 * 1024 * 1024;

impl Client {
    /// A client of `target`, or of the server that this configuration starts.
    pub(super) fn new(config: &Config, target: Option<&str>) -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_connect(Some(Duration::from_secs(5)))
            .http_status_as_error(false)
            .build()
            .new_agent();
        let base = base(config, target);
        let (setting, key) = key(config, &base);
        let key = key.map(|key| key.expose_secret().to_owned());
        Self { agent, base, setting, key }
    }

    /// Where it asks, and with which key.
    pub(super) fn place(&self) -> (&str, Option<&str>) {
        (&self.base, self.key.as_deref())
    }

    /// A client of the server of this configuration, at `ADMIN_BIND` where there is one.
    pub(super) fn of_operator(config: &Config, target: Option<&str>) -> Self {
        let admin = config.admin_bind.map(|address| format!("http://{address}")).filter(|_| target.is_none());
        Self::new(config, admin.as_deref().or(target))
    }

    pub(super) fn get(&self, path: &str) -> Result<Reply, Failure> {
        let request = self.agent.get(format!("{}{path}", self.base));
        self.read(self.with_key(request).call())
    }

    /// The same, also where the answer is that of a server that is down.
    pub(super) fn look(&self, path: &str) -> Result<Reply, Failure> {
        let request = self.agent.get(format!("{}{path}", self.base));
        self.parse(self.with_key(request).call())
    }

    /// The text at an address; nothing, where there is none for this caller.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        let request = self.agent.get(format!("{}{path}", self.base));
        let mut answer = self.with_key(request).call().ok().filter(|answer| answer.status() == 200)?;
        answer.body_mut().with_config().limit(MAX_ANSWER).read_to_string().ok()
    }

    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Reply, Failure> {
        let request = self.agent.post(format!("{}{path}", self.base));
        self.read(self.with_key(request).send_json(body))
    }

    /// The lines of a stream of events, behind the one with this id; or another answer.
    pub(super) fn events(
        &self,
        path: &str,
        last: Option<&str>,
    ) -> Result<Result<impl BufRead + use<>, Reply>, Failure> {
        let request = self.agent.get(format!("{}{path}", self.base)).header("accept", "text/event-stream");
        let request = last.into_iter().fold(request, |request, last| request.header("last-event-id", last));
        // It has no end of its own.
        self.stream(self.with_key(request).call(), u64::MAX)
    }

    /// The lines of what is told while something is done, up to what comes of it; or another answer.
    pub(super) fn post_events(&self, path: &str, body: &Value) -> Result<Result<impl BufRead + use<>, Reply>, Failure> {
        let request = self.agent.post(format!("{}{path}", self.base)).header("accept", "text/event-stream");
        self.stream(self.with_key(request).send_json(body), MAX_ANSWER)
    }

    fn stream(
        &self,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
        most: u64,
    ) -> Result<Result<impl BufRead + use<>, Reply>, Failure> {
        match answer {
            Ok(answer) if answer.status() == 200 && answer.body().mime_type() == Some("text/event-stream") => {
                Ok(Ok(BufReader::new(answer.into_body().into_with_config().limit(most).reader())))
            }
            answer => self.read(answer).map(Err),
        }
    }

    fn with_key<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        self.key.iter().fold(request, |request, key| request.header("authorization", format!("Bearer {key}")))
    }

    fn read(&self, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Reply, Failure> {
        let reply = self.parse(answer)?;
        let detail = || reply.body["detail"].as_str().unwrap_or("no reason given").to_owned();
        match reply.status {
            401 | 403 => {
                let hint = format!("set {} to a key that lets you in", self.setting);
                Err(Failure::new(Kind::Refused, detail()).hint(hint))
            }
            500.. => Err(Failure::new(Kind::Failed, detail())),
            _ => Ok(reply),
        }
    }

    fn parse(&self, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Reply, Failure> {
        let mut answer = answer.map_err(|error| {
            Failure::new(Kind::Unreachable, format!("{} does not answer: {error}", self.base))
                .hint("start it with `mcp-http`, or name another URL")
        })?;
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_string();
        let body = body.ok().and_then(|text| serde_json::from_str(&text).ok()).ok_or_else(|| {
            Failure::new(Kind::Failed, format!("{} answers {status} with something that is no JSON", self.base))
                .hint("is it the address of such a server?")
        })?;
        Ok(Reply { status, body })
    }
}

/// Where `target` is, or the server that this configuration starts.
pub(super) fn base(config: &Config, target: Option<&str>) -> String {
    let host = match config.host.as_str() {
        "0.0.0.0" => "127.0.0.1".to_owned(),
        "::" => "[::1]".to_owned(),
        v6 if v6.contains(':') => format!("[{v6}]"),
        host => host.to_owned(),
    };
    match target {
        // A URL of the MCP endpoint is what clients are configured with.
        Some(url) => url.trim_end_matches('/').trim_end_matches("/mcp").to_owned(),
        None => format!("{}://{host}:{}", config.scheme(), config.port),
    }
}

/// Which setting has the key for what is at a URL, and that key. This server's own is for nobody else, who could do with it here what an
/// administrator can.
pub(super) fn key<'a>(config: &'a Config, url: &str) -> (&'static str, Option<&'a SecretString>) {
    match is_own(config, url) {
        true => ("API_KEY", config.api_key.as_ref()),
        false => ("TARGET_KEY", config.target_key.as_ref()),
    }
}

/// Whether a URL is one of those under which the server of this configuration is known.
fn is_own(config: &Config, url: &str) -> bool {
    let admin = config.admin_bind.map(|address| format!("http://{address}"));
    let known = [Some(base(config, None)), config.public_url.clone(), admin];
    origin(url).is_some_and(|url| known.iter().flatten().any(|own| origin(own).is_some_and(|own| own == url)))
}

/// The scheme, the host and the port of a URL.
fn origin(url: &str) -> Option<(String, String, u16)> {
    let url: Uri = url.parse().ok()?;
    let scheme = url.scheme_str()?.to_owned();
    let host = match url.host()?.to_ascii_lowercase() {
        local if local == "localhost" => "127.0.0.1".to_owned(),
        host => host,
    };
    let port = url.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
    Some((scheme, host, port))
}

/// A text as part of a path.
pub(super) fn escape(segment: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    segment
        .bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_this_server_is_sent_to_no_other() {
        let settings = [
            ("API_KEY", "0123456789abcdef"),
            ("TARGET_KEY", "other"),
            ("HOST", "0.0.0.0"),
            ("PORT", "8001"),
            ("PUBLIC_URL", "https://MCP.example.com/mcp"),
            ("ADMIN_BIND", "10.0.0.1:9"),
        ];
        let config = Config::load_from(None, settings.map(|(key, text)| (key.to_owned(), text.to_owned()))).unwrap();
        let sent = |url: &str| key(&config, url).1.map(ExposeSecret::expose_secret);
        for own in [
            "http://127.0.0.1:8001",
            "http://localhost:8001/mcp",
            "https://mcp.example.com",
            "https://mcp.example.com:443/mcp",
            "http://10.0.0.1:9",
        ] {
            assert_eq!(sent(own), Some("0123456789abcdef"), "{own}");
        }
        for other in [
            "http://127.0.0.1:8000",
            "https://127.0.0.1:8001",
            "http://mcp.example.com",
            "https://mcp.example.com.evil.test",
            &["https://mcp.example.com", "evil.test/mcp"].join("@"),
            "http://localhost.evil.test:8001",
            "no url",
        ] {
            assert_eq!(sent(other), Some("other"), "{other}");
        }
    }
}

//! Mail, to a real server: aiosmtpd, which `scripts/tools` brings.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use mcp_core::alert::{Channel, DeliveryError, Event};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::super::ChannelConfig;
use super::super::email::Email;
use super::{notice, open};
use crate::test_server::vouched;

/// A mail server, until it is dropped.
struct MailServer {
    process: Child,
    said: BufReader<ChildStdout>,
    port: u16,
    folder: PathBuf,
}

impl MailServer {
    fn start(mode: &str) -> Self {
        let folder = std::env::temp_dir().join(format!(
            "mcp-mail-{}-{mode}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        std::fs::create_dir_all(&folder).unwrap();
        // The port of each is another one, but the authority and the name are theirs alone.
        let (authority, certificate, key) = vouched("localhost");
        for (name, pem) in
            [("ca.pem", authority.pem()), ("cert.pem", certificate.pem()), ("key.pem", key.serialize_pem())]
        {
            std::fs::write(folder.join(name), pem).unwrap();
        }
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = Command::new(here.join("../scripts/tools")).arg("aiosmtpd").output().unwrap();
        assert!(python.status.success(), "scripts/tools aiosmtpd: {}", String::from_utf8_lossy(&python.stderr));
        let mut process = Command::new(String::from_utf8(python.stdout).unwrap().trim())
            .arg(here.join("src/notify/tests/smtp.py"))
            .args([mode, folder.join("cert.pem").to_str().unwrap(), folder.join("key.pem").to_str().unwrap()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap());
        let mut port = String::new();
        said.read_line(&mut port).unwrap();
        let port = port.trim().parse().expect("it says its port");
        Self { process, said, port, folder }
    }

    /// A channel that writes to it.
    fn config(&self, more: Value) -> Value {
        let mut config = json!({
            "kind": "email", "server": "localhost", "port": self.port, "from": "MCP <mcp@example.com>",
            "to": ["one@example.com", "two@example.com"], "ca": self.folder.join("ca.pem"),
            "user": "ops", "password_env": "PASSWORD",
        });
        for (key, value) in more.as_object().unwrap() {
            config[key] = value.clone();
        }
        config
    }

    fn mail(&mut self) -> Value {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

async fn tell(config: &Value) -> Result<(), DeliveryError> {
    open(config, "").deliver(&notice(Event::Firing)).await
}

#[tokio::test]
async fn mail_is_sent_sealed_by_whoever_may() {
    for mode in ["starttls", "tls"] {
        let mut server = MailServer::start(mode);
        tell(&server.config(json!({"tls": mode}))).await.unwrap();
        let mail = server.mail();
        assert_eq!((&mail["sealed"], &mail["user"]), (&json!(true), &json!("ops")), "{mode}: {mail}");
        assert_eq!(mail["from"], "mcp@example.com");
        assert_eq!(mail["to"], json!(["one@example.com", "two@example.com"]));
        let text = mail["text"].as_str().unwrap();
        for line in [
            "To: one@example.com, two@example.com",
            "From: MCP <mcp@example.com>",
            "[CRITICAL] mcp.example.com: a dependency is down: <redis> & more (1)",
            "since 2026-01-01T00:00:00.000000Z",
            "rule dependency_down, alert mcp.example.com/dependency_down/redis",
        ] {
            assert!(text.contains(line), "{line} is not in:\n{text}");
        }
        assert!(text.contains("Subject: [CRITICAL] mcp.example.com: "), "{text}");
    }
}

#[tokio::test]
async fn mail_without_a_seal_stays_on_this_machine() {
    let mut server = MailServer::start("none");
    tell(&server.config(json!({"tls": "none", "user": null, "password_env": null}))).await.unwrap();
    assert_eq!(server.mail()["sealed"], false);
    // A server that cannot seal is sent nothing that it was told to seal.
    let error = tell(&server.config(json!({"tls": "starttls"}))).await.unwrap_err();
    assert!(!error.to_string().contains("mail-secret"), "{error:?}");
}

#[tokio::test]
async fn a_mail_server_says_what_may_go_well_later() {
    let server = MailServer::start("starttls");
    let full = tell(&server.config(json!({"to": ["full@example.com"]}))).await.unwrap_err();
    assert!(matches!(&full, DeliveryError::Later { message, .. } if message.contains("mailbox is full")), "{full:?}");
    let nobody = tell(&server.config(json!({"to": ["nobody@example.com"]}))).await.unwrap_err();
    assert!(matches!(&nobody, DeliveryError::Refused { message } if message.contains("no such mailbox")), "{nobody:?}");
    let wrong = tell(&server.config(json!({"password_env": "WRONG"}))).await.unwrap_err();
    assert!(matches!(&wrong, DeliveryError::Refused { .. }), "{wrong:?}");
    assert!(!wrong.to_string().contains("another-secret"), "{wrong:?}");
}

#[tokio::test]
async fn a_mail_server_for_whom_nobody_vouches_is_sent_nothing() {
    let server = MailServer::start("starttls");
    let error = tell(&server.config(json!({"ca": null}))).await.unwrap_err();
    assert!(matches!(&error, DeliveryError::Later { message, .. } if message.contains("certificate")), "{error:?}");
}

#[tokio::test]
async fn a_mail_server_that_is_away_or_hangs_is_left() {
    let server = MailServer::start("hang");
    let config: ChannelConfig = serde_json::from_value(server.config(json!({}))).unwrap();
    let email = Email::open(&config, Some(SecretString::from("mail-secret"))).unwrap();
    let error = email.with_patience(Duration::from_millis(200)).deliver(&notice(Event::Firing)).await.unwrap_err();
    assert!(matches!(&error, DeliveryError::Later { message, .. } if message.contains("200ms")), "{error:?}");
    let config = server.config(json!({}));
    drop(server);
    let error = tell(&json!({"ca": null, "kind": "email", "server": "localhost", "port": config["port"], "from": "a@b.c", "to": ["a@b.c"]})).await;
    assert!(matches!(error, Err(DeliveryError::Later { .. })), "{error:?}");
}

//! Mail, over SMTP.

use std::error::Error;
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use mcp_core::alert::{Channel, DeliveryError, Notice};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;

use super::{ChannelConfig, MailTls};
use crate::refused::short;

/// People with mail boxes.
pub(super) struct Email {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
    password: Option<SecretString>,
    patience: Duration,
}

/// How long telling may take in all: mail servers make strangers wait.
const PATIENCE: Duration = Duration::from_secs(30);

impl Email {
    pub(super) fn open(config: &ChannelConfig, password: Option<SecretString>) -> Result<Self, String> {
        let ChannelConfig::Email { server, port, tls, ca, from, to, user, .. } = config else {
            return Err("it is of another kind".to_owned());
        };
        let mailbox = |text: &String| {
            text.parse::<Mailbox>()
                .map_err(|error| format!("expected a mail address such as ops@example.com, got {text:?}: {error}"))
        };
        if to.is_empty() || to.len() > 20 {
            return Err(format!("to: expected 1 to 20 mail addresses, got {}", to.len()));
        }
        let is_here = server == "localhost" || server.parse().is_ok_and(|address: IpAddr| address.is_loopback());
        if *tls == MailTls::None && !is_here {
            return Err(format!("tls: \"none\" lets everyone on the way to {server} read along; use starttls or tls"));
        }
        let sealed = || -> Result<TlsParameters, String> {
            let mut parameters =
                TlsParameters::builder(server.clone()).certificate_store(CertificateStore::WebpkiRoots);
            if let Some(ca) = ca {
                let bad = |why: String| format!("ca: {} cannot be used: {why}", ca.display());
                let pem = std::fs::read(ca).map_err(|error| bad(error.to_string()))?;
                let authority = Certificate::from_pem(&pem).map_err(|error| bad(error.to_string()))?;
                parameters = parameters.certificate_store(CertificateStore::None).add_root_certificate(authority);
            }
            parameters.build_rustls().map_err(|error| error.to_string())
        };
        let (tls, usual) = match tls {
            MailTls::StartTls => (Tls::Required(sealed()?), 587),
            MailTls::Tls => (Tls::Wrapper(sealed()?), 465),
            MailTls::None => (Tls::None, 25),
        };
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(server)
            .port(port.unwrap_or(usual))
            .tls(tls)
            .timeout(Some(PATIENCE));
        match (user, &password) {
            (Some(user), Some(password)) => {
                transport = transport.credentials(Credentials::new(user.clone(), password.expose_secret().to_owned()));
            }
            (None, None) => {}
            _ => return Err("user and password_env belong together".to_owned()),
        }
        let to = to.iter().map(mailbox).collect::<Result<_, _>>()?;
        Ok(Self { transport: transport.build(), from: mailbox(from)?, to, password, patience: PATIENCE })
    }

    #[cfg(test)]
    pub(super) fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }
}

#[async_trait]
impl Channel for Email {
    async fn deliver(&self, notice: &Notice) -> Result<(), DeliveryError> {
        let message = self.to.iter().cloned().fold(Message::builder(), |message, to| message.to(to));
        let subject: String = notice.line().chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
        let text = format!("{}\n{}\n\nrule {}, alert {}\n", notice.line(), notice.times(), notice.rule, notice.key);
        let message = message.from(self.from.clone()).subject(subject).header(ContentType::TEXT_PLAIN).body(text);
        let message = message.map_err(|error| DeliveryError::refused(error.to_string()))?;
        let Ok(sent) = timeout(self.patience, self.transport.send(message)).await else {
            return Err(DeliveryError::later(format!("it did not answer within {:?}", self.patience)));
        };
        sent.map(drop).map_err(|error| {
            let causes: String = std::iter::successors(error.source(), |cause| (*cause).source())
                .map(|cause| format!(": {cause}"))
                .collect();
            let secret = self.password.as_ref().map(ExposeSecret::expose_secret);
            let message = short(&format!("{error}{causes}"), secret);
            // What is wrong on this side stays wrong.
            if error.is_permanent() || error.is_client() {
                DeliveryError::refused(message)
            } else {
                DeliveryError::later(message)
            }
        })
    }
}

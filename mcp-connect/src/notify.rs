//! Channels through which somebody is told of an alert.
//!
//! What is asked of each side is what it documents: SMTP, Slack's incoming webhooks, Twilio's Messages, PagerDuty's Events v2, and a
//! signed request of our own. Every secret, and each URL that is one, comes from the environment and is in no error.

mod email;
mod pagerduty;
mod post;
mod slack;
#[cfg(test)]
mod tests;
mod twilio;
mod webhook;

use std::path::PathBuf;
use std::sync::Arc;

use mcp_core::alert::Channel;
use mcp_core::clock::Clock;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use email::Email;
use pagerduty::PagerDuty;
use post::{PATIENCE, Post};
use slack::Slack;
use twilio::Twilio;
use webhook::Webhook;

/// A channel, as it is configured. No secret is in it, but the names of the variables of the environment that hold them.
///
/// ```
/// let config: mcp_connect::ChannelConfig = serde_json::from_str(r#"{"kind": "slack", "url_env": "SLACK_URL"}"#)?;
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
#[non_exhaustive]
pub enum ChannelConfig {
    /// Mail, over SMTP.
    Email {
        /// The mail server's name.
        server: String,
        /// Its port; what is usual for `tls`, where nothing is said.
        port: Option<u16>,
        /// How the connection is sealed.
        #[serde(default)]
        tls: MailTls,
        /// A PEM file with the authority that alone vouches for it; else those that browsers trust.
        ca: Option<PathBuf>,
        /// Who writes.
        from: String,
        /// Who is written to.
        to: Vec<String>,
        /// Under which name it logs in.
        user: Option<String>,
        /// The variable that holds the password.
        password_env: Option<String>,
    },
    /// An incoming webhook of Slack.
    Slack {
        /// The variable that holds its URL, which is a secret.
        url_env: String,
    },
    /// A text message by Twilio.
    Twilio {
        /// The account's SID.
        account: String,
        /// The variable that holds its token.
        token_env: String,
        /// The number that writes.
        from: String,
        /// The number that is written to.
        to: String,
        /// Where Twilio is, if not where it says.
        base_url: Option<String>,
    },
    /// A service of PagerDuty.
    PagerDuty {
        /// The variable that holds its integration key.
        key_env: String,
        /// Where PagerDuty is, if not where it says: such as its region in Europe.
        base_url: Option<String>,
    },
    /// A signed request.
    Webhook {
        /// The variable that holds the URL.
        url_env: String,
        /// The variable that holds the key of the signature.
        secret_env: String,
    },
}

/// How the connection to a mail server is sealed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum MailTls {
    /// It begins open, and goes on only once it is sealed (port 587).
    #[default]
    StartTls,
    /// From its beginning (port 465).
    Tls,
    /// Not at all (port 25); on this machine alone.
    None,
}

/// A channel that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ChannelConfigError(String);

impl ChannelConfig {
    /// The variables that hold its secrets.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        let (one, other) = match self {
            Self::Email { password_env, .. } => (password_env.as_deref(), None),
            Self::Slack { url_env } => (Some(url_env.as_str()), None),
            Self::Twilio { token_env, .. } => (Some(token_env.as_str()), None),
            Self::PagerDuty { key_env, .. } => (Some(key_env.as_str()), None),
            Self::Webhook { url_env, secret_env } => (Some(url_env.as_str()), Some(secret_env.as_str())),
        };
        one.into_iter().chain(other)
    }

    /// The channel, with its secrets out of these variables. Nothing is asked before it tells.
    ///
    /// # Errors
    /// [`ChannelConfigError`]: what is missing or is not what it should be; it holds no secret.
    pub fn open(
        &self,
        variable: impl Fn(&str) -> Option<SecretString>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<dyn Channel>, ChannelConfigError> {
        let secret = |name: &str| {
            let value = variable(name).filter(|value| !value.expose_secret().trim().is_empty());
            value.ok_or_else(|| ChannelConfigError(format!("the variable {name} is not set; it is to hold its secret")))
        };
        let post = || Post::new(clock.clone(), PATIENCE).map_err(|error| ChannelConfigError(error.to_string()));
        let url = |name: &str| {
            post::secret_address(&secret(name)?).map_err(|why| ChannelConfigError(format!("{name}: {why}")))
        };
        let base = |base: &Option<String>, usual: &str| {
            let text = base.as_deref().unwrap_or(usual).trim_end_matches('/');
            post::base(text).map_err(|why| ChannelConfigError(format!("base_url {text:?}: {why}")))
        };
        Ok(match self {
            Self::Email { password_env, .. } => {
                let password = password_env.as_deref().map(secret).transpose()?;
                Arc::new(Email::open(self, password).map_err(ChannelConfigError)?)
            }
            Self::Slack { url_env } => Arc::new(Slack { post: post()?, url: url(url_env)? }),
            Self::Twilio { account, token_env, from, to, base_url } => {
                let base = base(base_url, "https://api.twilio.com")?;
                Arc::new(
                    Twilio::new(post()?, &base, account, secret(token_env)?, from, to).map_err(ChannelConfigError)?,
                )
            }
            Self::PagerDuty { key_env, base_url } => {
                let base = base(base_url, "https://events.pagerduty.com")?;
                Arc::new(PagerDuty::new(post()?, &base, secret(key_env)?).map_err(ChannelConfigError)?)
            }
            Self::Webhook { url_env, secret_env } => {
                Arc::new(Webhook { post: post()?, url: url(url_env)?, secret: secret(secret_env)?, clock })
            }
        })
    }
}

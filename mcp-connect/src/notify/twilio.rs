//! Text messages, by Twilio's Messages resource.

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::Uri;
use mcp_core::alert::{Channel, DeliveryError, Notice};
use secrecy::{ExposeSecret, SecretString};

use super::post::{Message, Post};

/// One telephone.
pub(super) struct Twilio {
    post: Post,
    url: Uri,
    account: String,
    token: SecretString,
    from: String,
    to: String,
}

/// How many characters are sent: two or three messages, as networks count them.
const LONGEST: usize = 320;

impl Twilio {
    pub(super) fn new(
        post: Post,
        base: &str,
        account: &str,
        token: SecretString,
        from: &str,
        to: &str,
    ) -> Result<Self, String> {
        if account.is_empty() || !account.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(format!("account: expected a SID such as AC and 32 digits, got {account:?}"));
        }
        let url = format!("{base}/2010-04-01/Accounts/{account}/Messages.json");
        let url = url.parse().map_err(|_| "base_url is no URL".to_owned())?;
        Ok(Self { post, url, account: account.to_owned(), token, from: from.to_owned(), to: to.to_owned() })
    }
}

#[async_trait]
impl Channel for Twilio {
    async fn deliver(&self, notice: &Notice) -> Result<(), DeliveryError> {
        let text: String = format!("{}\n{}", notice.line(), notice.times()).chars().take(LONGEST).collect();
        let form = [("To", &self.to), ("From", &self.from), ("Body", &text)];
        let form: Vec<_> = form.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
        let who = STANDARD.encode(format!("{}:{}", self.account, self.token.expose_secret()));
        let message = Message {
            to: &self.url,
            content_type: "application/x-www-form-urlencoded",
            headers: vec![("authorization", format!("Basic {who}"))],
            body: form.join("&"),
            secret: self.token.expose_secret(),
        };
        self.post.send(message).await.map(drop)
    }
}

fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

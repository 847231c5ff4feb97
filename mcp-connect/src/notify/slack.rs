//! Slack's incoming webhooks.

use async_trait::async_trait;
use hyper::Uri;
use mcp_core::alert::{Channel, DeliveryError, Notice};
use serde_json::json;

use super::post::{Message, Post};

/// A channel of Slack.
pub(super) struct Slack {
    pub(super) post: Post,
    /// Whoever has it can write.
    pub(super) url: Uri,
}

#[async_trait]
impl Channel for Slack {
    async fn deliver(&self, notice: &Notice) -> Result<(), DeliveryError> {
        let text = format!("*{}*\n{}", escaped(&notice.line()), escaped(&notice.times()));
        let message = Message {
            to: &self.url,
            content_type: "application/json",
            headers: Vec::new(),
            body: json!({"text": text}).to_string(),
            secret: self.url.path(),
        };
        match self.post.send(message).await?.as_str() {
            "ok" => Ok(()),
            other => Err(DeliveryError::refused(format!("it answered {other:?} instead of \"ok\""))),
        }
    }
}

/// The three characters that Slack reads.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

//! A request of our own, which whoever gets it can tell from others' by its signature.

use std::sync::Arc;

use async_trait::async_trait;
use hmac::{Hmac, KeyInit, Mac};
use hyper::Uri;
use mcp_core::alert::{Channel, DeliveryError, Notice};
use mcp_core::clock::Clock;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use super::post::{Message, Post};

/// Somebody's own receiver.
pub(super) struct Webhook {
    pub(super) post: Post,
    pub(super) url: Uri,
    pub(super) secret: SecretString,
    pub(super) clock: Arc<dyn Clock>,
}

#[async_trait]
impl Channel for Webhook {
    async fn deliver(&self, notice: &Notice) -> Result<(), DeliveryError> {
        let body = serde_json::to_string(notice).map_err(|error| DeliveryError::refused(error.to_string()))?;
        let timestamp = (self.clock.now().as_micros() / 1_000_000).to_string();
        let signature = signature(self.secret.expose_secret(), &timestamp, &body)
            .ok_or_else(|| DeliveryError::refused("the secret cannot be a key"))?;
        let message = Message {
            to: &self.url,
            content_type: "application/json",
            headers: vec![("x-mcp-timestamp", timestamp), ("x-mcp-signature", signature)],
            body,
            // It may stand in the path or in the query.
            secret: self.url.path_and_query().map_or("", |path| path.as_str()),
        };
        self.post.send(message).await.map(drop)
    }
}

/// `v1=` and the HMAC-SHA256, in hexadecimal digits, of the timestamp, a full stop and the body.
fn signature(secret: &str, timestamp: &str, body: &str) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body.as_bytes());
    let digits = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    Some(format!("v1={digits}"))
}

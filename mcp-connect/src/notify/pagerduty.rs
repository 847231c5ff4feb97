//! PagerDuty's Events API, version 2.

use async_trait::async_trait;
use hyper::Uri;
use mcp_core::alert::{Channel, DeliveryError, Event, Notice};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::post::{Message, Post};

/// A service of PagerDuty: an alert is one incident there, however often it is told of.
pub(super) struct PagerDuty {
    post: Post,
    url: Uri,
    key: SecretString,
}

/// How many characters a key of theirs and a summary have at the most.
const LONGEST_KEY: usize = 255;
const LONGEST_SUMMARY: usize = 1024;

impl PagerDuty {
    pub(super) fn new(post: Post, base: &str, key: SecretString) -> Result<Self, String> {
        let url = format!("{base}/v2/enqueue").parse().map_err(|_| "base_url is no URL".to_owned())?;
        Ok(Self { post, url, key })
    }
}

#[async_trait]
impl Channel for PagerDuty {
    async fn deliver(&self, notice: &Notice) -> Result<(), DeliveryError> {
        let dedup_key: String = notice.key.chars().take(LONGEST_KEY).collect();
        let mut event = json!({
            "routing_key": self.key.expose_secret(),
            "event_action": match notice.event { Event::Firing => "trigger", Event::Resolved => "resolve" },
            "dedup_key": dedup_key,
        });
        if notice.event == Event::Firing {
            event["payload"] = json!({
                "summary": notice.line().chars().take(LONGEST_SUMMARY).collect::<String>(),
                "source": notice.server,
                "severity": notice.severity,
                "timestamp": notice.since,
                "component": notice.subject,
                "class": notice.rule,
                "custom_details": {"value": notice.value},
            });
        }
        let message = Message {
            to: &self.url,
            content_type: "application/json",
            headers: Vec::new(),
            body: event.to_string(),
            secret: self.key.expose_secret(),
        };
        self.post.send(message).await.map(drop)
    }
}

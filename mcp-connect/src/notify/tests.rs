//! What each side is sent, and what becomes of what it answers.

mod mail;

use std::time::Duration;

use mcp_core::alert::{DeliveryError, Event, Notice, Severity};
use mcp_core::clock::Timestamp;
use mcp_core::clock::simulated::SimulatedClock;
use serde_json::{Value, json};

use super::*;
use crate::test_server::{Act, Server};

const PATH: &str = "/services/T000/B000/url-secret";

fn notice(event: Event) -> Notice {
    let mut notice = Notice::trial("mcp.example.com", Timestamp::from_micros(1_767_225_600_000_000));
    notice.key = "mcp.example.com/dependency_down/redis".to_owned();
    notice.rule = "dependency_down".to_owned();
    notice.subject = Some("redis".to_owned());
    notice.severity = Severity::Critical;
    notice.summary = "a dependency is down: <redis> & more (1)".to_owned();
    notice.value = 1.0;
    notice.event = event;
    notice.until = (event == Event::Resolved).then(|| notice.since.after(Duration::from_secs(60)));
    notice
}

/// Opens what is configured, with secrets that are known again.
fn open(config: &Value, url: &str) -> Arc<dyn Channel> {
    try_open(config, url).unwrap()
}

fn try_open(config: &Value, url: &str) -> Result<Arc<dyn Channel>, ChannelConfigError> {
    let config: ChannelConfig = serde_json::from_value(config.clone()).unwrap();
    let variable = |name: &str| match name {
        "URL" => Some(format!("{url}{PATH}")),
        "SECRET" => Some("hook-secret".to_owned()),
        "TOKEN" => Some("sms-secret".to_owned()),
        "KEY" => Some("duty-secret".to_owned()),
        "PASSWORD" => Some("mail-secret".to_owned()),
        "WRONG" => Some("another-secret".to_owned()),
        _ => None,
    };
    config.open(|name| variable(name).map(SecretString::from), Arc::new(SimulatedClock::new()))
}

fn slack() -> Value {
    json!({"kind": "slack", "url_env": "URL"})
}

fn webhook() -> Value {
    json!({"kind": "webhook", "url_env": "URL", "secret_env": "SECRET"})
}

fn pagerduty(url: &str) -> Value {
    json!({"kind": "pagerduty", "key_env": "KEY", "base_url": url})
}

fn twilio(url: &str) -> Value {
    json!({"kind": "twilio", "account": "AC0123", "token_env": "TOKEN", "from": "+15550100", "to": "+15550199", "base_url": url})
}

/// The channels that speak HTTP, with the server that they speak to.
fn over_http(url: &str) -> [Value; 4] {
    [slack(), webhook(), pagerduty(url), twilio(url)]
}

/// What a server that answers so was asked, and what came of it.
async fn tell(config: impl Fn(&str) -> Value, act: Act, event: Event) -> ((String, String), Result<(), DeliveryError>) {
    let server = Server::start(act);
    let told = open(&config(&server.url()), &server.url()).deliver(&notice(event)).await;
    let mut asked = server.asked();
    assert_eq!(asked.len(), 1);
    (asked.remove(0), told)
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

const OK: Act = Act::Say(&["HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"]);

#[tokio::test]
async fn slack_is_sent_a_text() {
    let ((head, body), told) = tell(|_| slack(), OK, Event::Firing).await;
    told.unwrap();
    assert!(head.starts_with(&format!("POST {PATH} HTTP/1.1")), "{head}");
    assert_eq!(header(&head, "content-type"), Some("application/json"));
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        body,
        json!({"text": "*[CRITICAL] mcp.example.com: a dependency is down: &lt;redis&gt; &amp; more (1)*\nsince 2026-01-01T00:00:00.000000Z"})
    );
}

#[tokio::test]
async fn slack_that_does_not_say_ok_has_refused() {
    let other = Act::Say(&["HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello"]);
    let gone = Act::Say(&["HTTP/1.1 404 Not Found\r\ncontent-length: 10\r\nconnection: close\r\n\r\nno_service"]);
    for (act, word) in [(other, "hello"), (gone, "no_service")] {
        let (_, told) = tell(|_| slack(), act, Event::Firing).await;
        let error = told.unwrap_err();
        assert!(matches!(&error, DeliveryError::Refused { message } if message.contains(word)), "{error:?}");
    }
}

#[tokio::test]
async fn pagerduty_is_sent_a_trigger_and_a_resolve_under_one_key() {
    let accepted = Act::Say(&[
        "HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n",
        r#"{"status": "success", "message": "Event processed", "dedup_key": "k"}"#,
    ]);
    let ((head, body), told) = tell(pagerduty, accepted, Event::Firing).await;
    told.unwrap();
    assert!(head.starts_with("POST /v2/enqueue HTTP/1.1"), "{head}");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        body,
        json!({
            "routing_key": "duty-secret",
            "event_action": "trigger",
            "dedup_key": "mcp.example.com/dependency_down/redis",
            "payload": {
                "summary": "[CRITICAL] mcp.example.com: a dependency is down: <redis> & more (1)",
                "source": "mcp.example.com",
                "severity": "critical",
                "timestamp": "2026-01-01T00:00:00.000000Z",
                "component": "redis",
                "class": "dependency_down",
                "custom_details": {"value": 1.0},
            },
        })
    );
    let ((_, body), told) = tell(pagerduty, accepted, Event::Resolved).await;
    told.unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    let expected = json!({"routing_key": "duty-secret", "event_action": "resolve", "dedup_key": "mcp.example.com/dependency_down/redis"});
    assert_eq!(body, expected);
}

#[tokio::test]
async fn twilio_is_sent_a_form_by_its_account() {
    let created = Act::Say(&["HTTP/1.1 201 Created\r\nconnection: close\r\n\r\n{\"sid\": \"SM1\"}"]);
    let ((head, body), told) = tell(twilio, created, Event::Resolved).await;
    told.unwrap();
    assert!(head.starts_with("POST /2010-04-01/Accounts/AC0123/Messages.json HTTP/1.1"), "{head}");
    assert_eq!(header(&head, "content-type"), Some("application/x-www-form-urlencoded"));
    // AC0123:sms-secret
    assert_eq!(header(&head, "authorization"), Some("Basic QUMwMTIzOnNtcy1zZWNyZXQ="));
    assert_eq!(
        body,
        "To=%2B15550199&From=%2B15550100&Body=%5BRESOLVED%5D%20mcp.example.com%3A%20a%20dependency%20is%20down%3A%20%3Credis%3E%20%26%20\
         more%20%281%29%0Asince%202026-01-01T00%3A00%3A00.000000Z%2C%20until%202026-01-01T00%3A01%3A00.000000Z"
    );
}

#[tokio::test]
async fn twilio_says_why_a_number_is_wrong() {
    let bad = Act::Say(&[
        "HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n",
        r#"{"code": 21211, "message": "Invalid 'To' Phone Number", "status": 400}"#,
    ]);
    let error = tell(twilio, bad, Event::Firing).await.1.unwrap_err();
    assert!(matches!(&error, DeliveryError::Refused { message } if message.contains("21211")), "{error:?}");
}

#[tokio::test]
async fn a_webhook_is_signed_over_its_time_and_its_body() {
    let ((head, body), told) = tell(|_| webhook(), OK, Event::Firing).await;
    told.unwrap();
    assert_eq!(header(&head, "x-mcp-timestamp"), Some("1767225600"));
    // As another implementation of RFC 2104 and FIPS 180-4 has it.
    let key = signed_by_ring("hook-secret", &format!("1767225600.{body}"));
    assert_eq!(header(&head, "x-mcp-signature"), Some(&*format!("v1={key}")));
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        body,
        json!({
            "key": "mcp.example.com/dependency_down/redis", "event": "firing", "severity": "critical",
            "rule": "dependency_down", "subject": "redis", "summary": "a dependency is down: <redis> & more (1)",
            "value": 1.0, "server": "mcp.example.com", "since": "2026-01-01T00:00:00.000000Z",
        })
    );
}

/// What ring makes of it.
fn signed_by_ring(secret: &str, text: &str) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    ring::hmac::sign(&key, text.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_side_that_cannot_now_may_later() {
    let slowly = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 30\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let broken = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    for (answer, expected) in [(slowly, Some(Duration::from_secs(30))), (broken, None)] {
        let pieces: &'static [&'static str] = Box::leak(Box::new([&*answer.to_owned().leak()]));
        let server = Server::start(Act::Say(pieces));
        for config in over_http(&server.url()) {
            let error = open(&config, &server.url()).deliver(&notice(Event::Firing)).await.unwrap_err();
            assert!(matches!(&error, DeliveryError::Later { after, .. } if *after == expected), "{config}: {error:?}");
        }
    }
}

#[tokio::test]
async fn a_side_that_refuses_has_refused_and_no_secret_is_told() {
    let echo = Act::Say(&[
        "HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n",
        "no: duty-secret sms-secret /services/T000/B000/url-secret",
    ]);
    let redirect = Act::Say(&[
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    ]);
    for act in [echo, redirect] {
        let server = Server::start(act);
        for (config, own) in
            over_http(&server.url()).iter().zip(["url-secret", "url-secret", "duty-secret", "sms-secret"])
        {
            let error = open(config, &server.url()).deliver(&notice(Event::Firing)).await.unwrap_err();
            assert!(matches!(error, DeliveryError::Refused { .. }), "{config}: {error:?}");
            assert!(!error.to_string().contains(own), "{config}: {error}");
        }
    }
}

#[tokio::test]
async fn nobody_there_is_told_of_without_the_secret() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    for config in over_http(&url) {
        let error = open(&config, &url).deliver(&notice(Event::Firing)).await.unwrap_err();
        assert!(matches!(&error, DeliveryError::Later { after: None, .. }), "{config}: {error:?}");
        assert!(error.to_string().contains("cannot be reached") && !error.to_string().contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn a_side_that_hangs_is_left() {
    for act in [Act::Hold(&[]), Act::Hold(&["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"])] {
        let server = Server::start(act);
        let post = Post::new(Arc::new(SimulatedClock::new()), Duration::from_millis(100)).unwrap();
        let slack = Slack { post, url: server.url().parse().unwrap() };
        let error = slack.deliver(&notice(Event::Firing)).await.unwrap_err();
        assert!(matches!(&error, DeliveryError::Later { message, .. } if message.contains("100ms")), "{error:?}");
        drop(slack);
    }
}

#[test]
fn what_is_wrong_with_a_channel_is_said_without_its_secret() {
    for (config, url, expected) in [
        (json!({"kind": "slack", "url_env": "UNSET"}), "", "the variable UNSET is not set"),
        (slack(), "http://hooks.example.com", "URL: it must begin with https://"),
        (slack(), "nonsense url-secret", "URL: it is no URL"),
        (pagerduty("ftp://example.com"), "", "base_url \"ftp://example.com\": "),
        (
            json!({"kind": "twilio", "account": "a/b", "token_env": "TOKEN", "from": "1", "to": "2"}),
            "",
            "account: expected a SID",
        ),
        (json!({"kind": "email", "server": "mail.example.com", "from": "a@b.c", "to": []}), "", "to: expected 1 to 20"),
        (
            json!({"kind": "email", "server": "mail.example.com", "from": "nobody", "to": ["a@b.c"]}),
            "",
            "got \"nobody\"",
        ),
        (
            json!({"kind": "email", "server": "mail.example.com", "from": "a@b.c", "to": ["a@b.c"], "tls": "none"}),
            "",
            "tls: \"none\" lets",
        ),
        (
            json!({"kind": "email", "server": "mail.example.com", "from": "a@b.c", "to": ["a@b.c"], "user": "ops"}),
            "",
            "belong together",
        ),
        (
            json!({"kind": "email", "server": "mail.example.com", "from": "a@b.c", "to": ["a@b.c"], "ca": "/none"}),
            "",
            "ca: /none cannot be used",
        ),
    ] {
        let error = try_open(&config, url).err().expect("it is wrong").to_string();
        assert!(error.contains(expected) && !error.contains("-secret"), "{config}: {error}");
    }
}

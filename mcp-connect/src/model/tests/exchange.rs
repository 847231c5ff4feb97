//! How providers are asked over the wire, and what becomes of answers that are none.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use mcp_core::clock::Clock;
use mcp_core::clock::simulated::SimulatedClock;
use mcp_core::model::delta::Delta;
use mcp_core::model::reply::Draft;
use mcp_core::{LanguageModel, LanguageModelExt, Message, ModelError, ModelRequest};

use super::super::{ModelConfig, ProviderModel, open_models};
use crate::test_server::{Act, Server};

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
const HELLO: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"Hello\"}}]}\n\n";
const END: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

fn model(server: &Server, clock: &SimulatedClock) -> ProviderModel {
    let config = format!(
        r#"{{"provider": "openai", "model": "m", "key_env": "KEY", "base_url": "{}/v1", "temperature": 0.25, "extra": {{"seed": 7}}}}"#,
        server.url()
    );
    let config: ModelConfig = serde_json::from_str(&config).unwrap();
    config.open("fast", Arc::new(clock.clone()), |_| Some("sk-secret".to_owned())).unwrap()
}

fn request() -> ModelRequest {
    ModelRequest::new([Message::user("Hi")])
}

async fn ask(server: &Server) -> Result<String, ModelError> {
    let reply = model(server, &SimulatedClock::new()).complete(&request()).await;
    reply.map(|reply| reply.message.text())
}

#[tokio::test]
async fn a_request_has_the_key_in_its_head_and_what_is_configured_in_its_body() {
    let server = Server::start(Act::Say(&[HEAD, HELLO, END]));
    assert_eq!(ask(&server).await.unwrap(), "Hello");
    let asked = server.asked();
    let (head, body) = &asked[0];
    assert!(head.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("authorization: Bearer sk-secret\r\n"), "{head}");
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!((&body["seed"], &body["temperature"], &body["model"]), (&7.into(), &0.25.into(), &"m".into()));
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_the_key() {
    let elsewhere = Server::start(Act::Say(&[HEAD, HELLO, END]));
    let head =
        format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: {}/v1\r\ncontent-length: 0\r\n\r\n", elsewhere.url());
    let server = Server::start(Act::Say(Box::leak(Box::new([&*head.leak()]))));
    assert!(matches!(ask(&server).await, Err(ModelError::BadRequest { .. })));
    assert_eq!((server.asked().len(), elsewhere.asked().len()), (1, 0));
}

#[tokio::test]
async fn a_refusal_says_when_to_come_back_and_never_the_key() {
    let limited = Server::start(Act::Say(&[
        "HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\nconnection: close\r\n\r\n",
        r#"{"error": {"message": "slowly, sk-secret"}}"#,
    ]));
    let error = ask(&limited).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    assert!(
        matches!(error, ModelError::RateLimited { .. }) && !format!("{error} {error:?}").contains("sk-secret"),
        "{error}"
    );
    // A refusal that has no end is one all the same.
    let broken = Server::start(Act::SayForEver("HTTP/1.1 500 Oops\r\nconnection: close\r\n\r\n", "no"));
    assert!(matches!(ask(&broken).await, Err(ModelError::Unavailable { .. })));
}

#[tokio::test]
async fn who_does_not_answer_is_unavailable() {
    let config = r#"{"provider": "ollama", "model": "m", "base_url": "http://127.0.0.1:1"}"#;
    let config: ModelConfig = serde_json::from_str(config).unwrap();
    let model = config.open("fast", Arc::new(SimulatedClock::new()), |_| None).unwrap();
    let error = model.complete(&request()).await.unwrap_err();
    assert!(matches!(error, ModelError::Unavailable { .. }), "{error}");
}

#[tokio::test]
async fn what_was_said_before_a_cut_is_given_and_then_the_error() {
    for pieces in [
        // It closes, or it breaks off a body whose length it has told.
        &[HEAD, HELLO] as &'static [&'static str],
        &["HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n", HELLO],
        &["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n36\r\n", HELLO],
        &[HEAD, HELLO, "data: {malformed\n\n"],
    ] {
        let server = Server::start(Act::Say(pieces));
        let model = model(&server, &SimulatedClock::new());
        let deltas: Vec<_> = model.stream(&request()).await.unwrap().collect().await;
        assert_eq!(deltas.first(), Some(&Ok(Delta::text("Hello"))), "{pieces:?}");
        assert!(matches!(&deltas[1..], [Err(ModelError::BrokenStream { .. })]), "{pieces:?}: {deltas:?}");
    }
}

#[tokio::test]
async fn what_comes_after_the_end_is_not_waited_for() {
    let server = Server::start(Act::Hold(&[HEAD, HELLO, END]));
    assert_eq!(ask(&server).await.unwrap(), "Hello");
}

/// Lets time pass as soon as somebody waits for it.
async fn pass(clock: &SimulatedClock, time: Duration) -> ! {
    loop {
        if clock.sleepers() > 0 {
            clock.advance(time);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn silence_has_an_end() {
    let said: [&'static [&'static str]; 3] = [&[], &[HEAD], &[HEAD, HELLO]];
    for pieces in said {
        let (server, clock) = (Server::start(Act::Hold(pieces)), SimulatedClock::new());
        let model = model(&server, &clock);
        let reading = async {
            let mut deltas = model.stream(&request()).await?;
            // Time stands still until all that is said was heard.
            if pieces.len() == 2 {
                assert_eq!(deltas.next().await, Some(Ok(Delta::text("Hello"))));
            }
            let mut draft = Draft::default();
            tokio::select! {
                read = async {
                    while let Some(delta) = deltas.next().await {
                        draft.push(delta?)?;
                    }
                    draft.finish().map(drop)
                } => read,
                () = async { pass(&clock, Duration::from_secs(61)).await } => Ok(()),
            }
        };
        let ended = if pieces.is_empty() {
            tokio::select! {
                ended = reading => ended,
                () = async { pass(&clock, Duration::from_secs(61)).await } => Ok(()),
            }
        } else {
            reading.await
        };
        assert_eq!(ended, Err(ModelError::TimedOut { after: Duration::from_secs(60) }), "{pieces:?}");
        assert!(clock.monotonic() >= Duration::from_secs(60));
    }
}

#[tokio::test]
async fn an_answer_has_an_end_to_its_size() {
    let filler = "a".repeat(256 * 1024);
    for piece in
        [filler.clone(), format!(": {filler}\n"), format!("data: {{\"choices\":[],\"more\":\"{filler}\"}}\n\n")]
    {
        let server = Server::start(Act::SayForEver(HEAD, piece.leak()));
        assert!(matches!(ask(&server).await, Err(ModelError::TooLarge { .. })));
        until_gone(server).await;
    }
}

/// Waits until the connection of a request is over, and lets it come to that.
async fn until_gone(server: Server) {
    tokio::task::spawn_blocking(move || server.wait_until_gone()).await.unwrap();
}

#[tokio::test]
async fn who_drops_the_stream_has_cancelled_the_request() {
    let server = Server::start(Act::Hold(&[HEAD, HELLO]));
    let model = model(&server, &SimulatedClock::new());
    let mut deltas = model.stream(&request()).await.unwrap();
    assert_eq!(deltas.next().await, Some(Ok(Delta::text("Hello"))));
    drop(deltas);
    until_gone(server).await;
}

/// Two models of one account: what one has used, the other has less.
#[tokio::test]
async fn models_that_share_an_allowance_take_from_it_together() {
    const USED: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":500,\"completion_tokens\":400}}\n\n";
    let server = Server::start(Act::Say(&[HEAD, HELLO, USED, END]));
    let model = |name: &str, more: &str| {
        let url = server.url();
        format!(
            r#""{name}": {{"provider": "openai_compatible", "model": "{name}", "base_url": "{url}", "attempts": 1{more}}}"#
        )
    };
    let own = r#", "allowance": {"tokens_per_minute": 600}"#;
    let configs =
        format!("{{{}, {}, {}}}", model("fast", own), model("smart", r#", "allowance": "fast""#), model("free", ""));
    let (configs, clock) = (serde_json::from_str(&configs).unwrap(), SimulatedClock::new());
    let models = open_models(&configs, &(Arc::new(clock.clone()) as Arc<dyn Clock>), |_| None).unwrap();
    assert!(models["fast"].complete(&request()).await.is_ok());
    for name in ["smart", "fast"] {
        let refused = models[name].complete(&request()).await.unwrap_err();
        assert!(matches!(refused, ModelError::RateLimited { .. }), "{refused}");
    }
    assert!(models["free"].complete(&request()).await.is_ok());
    clock.advance(Duration::from_secs(60));
    assert!(models["smart"].complete(&request()).await.is_ok());
    assert_eq!(server.asked().len(), 3);
}

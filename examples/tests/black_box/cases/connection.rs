//! What a client can do wrong, or well, with the connection itself. In process there is none: a body is a piece of memory
//! there, whole from the start, and each request stands alone. So these run over sockets only.

use tokio::io::AsyncWriteExt;

use super::cases;
use crate::host::Served;
use crate::request::{Request, call, call_with_token, discover};

cases! {
    over sockets:
    a_body_may_come_in_chunks,
    ten_megabytes_in_chunks_are_too_many,
    a_body_that_is_announced_too_large_is_not_waited_for,
    a_body_that_is_cut_calls_nothing,
    chunks_that_are_none_are_refused,
    a_length_that_is_none_is_refused,
    a_client_may_wait_to_be_asked_for_its_body,
    requests_sent_at_once_are_answered_in_order,
    a_connection_survives_errors,
    a_refused_body_is_not_taken_for_a_request,
    the_answer_to_head_has_no_body,
    a_client_of_http_1_0_is_sent_no_chunks,
}

async fn a_body_may_come_in_chunks(server: &Served) {
    let large = format!(r#"{{"message":"{}"}}"#, "a".repeat(200_000));
    let response = server.send(call("echo", &large).chunked()).await;
    let text = response.json()["result"]["content"][0]["text"].as_str().map(str::len);
    assert_eq!((response.head.status, text), (200, Some(200_000)));
}

async fn ten_megabytes_in_chunks_are_too_many(server: &Served) {
    let large = format!(r#"{{"message":"{}"}}"#, "a".repeat(10 * 1024 * 1024));
    server.send(call("echo", &large).chunked()).await.expect_error(413, -32600, None, "4194304 bytes");
}

async fn a_body_that_is_announced_too_large_is_not_waited_for(server: &Served) {
    let (mut reader, mut writer) = server.connect().await;
    writer.write_all(&discover().raw_body(vec![b' '; 10 * 1024 * 1024]).head()).await.expect("the server reads");
    let response = reader.response().await.expect("the server says what is wrong");
    response.expect_error(413, -32600, None, "4194304 bytes");
}

/// The client closes its side in the middle of the body. Whether it is still told so is the server's choice.
async fn a_body_that_is_cut_calls_nothing(server: &Served) {
    for request in [call("steps", "{}"), call("steps", "{}").chunked()] {
        let bytes = request.to_bytes();
        let (mut reader, mut writer) = server.connect().await;
        writer.write_all(&bytes[..bytes.len() - 20]).await.expect("the server reads");
        writer.shutdown().await.expect("the connection is open");
        if let Some(response) = reader.response().await {
            assert_eq!(response.head.status, 400, "{}", response.text());
        }
        assert_eq!(server.probe.started.count(), 0);
    }
}

async fn chunks_that_are_none_are_refused(server: &Served) {
    for body in ["zz\r\n{}\r\n0\r\n\r\n", "2\r\n{}nonsense", "ffffffffffffffffff\r\n{}"] {
        let (mut reader, mut writer) = server.connect().await;
        let head = call("steps", "{}").chunked().head();
        writer.write_all(&[&head, body.as_bytes()].concat()).await.expect("the server reads");
        let response = reader.response().await.expect("the server says what is wrong");
        assert_eq!(response.head.status, 400, "{body}");
        assert_eq!(server.probe.started.count(), 0);
    }
}

async fn a_length_that_is_none_is_refused(server: &Served) {
    for framing in [
        "Content-Length: -1",
        "Content-Length: many",
        "Content-Length: 5\r\nContent-Length: 6",
        "Transfer-Encoding: nonsense",
    ] {
        let (mut reader, mut writer) = server.connect().await;
        let request = format!("POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\n{framing}\r\n\r\n");
        writer.write_all(request.as_bytes()).await.expect("the server reads");
        let response = reader.response().await.expect("the server says what is wrong");
        assert!([400, 501].contains(&response.head.status), "{framing}: {}", response.head.status);
    }
}

async fn a_client_may_wait_to_be_asked_for_its_body(server: &Served) {
    let request = discover().header("Expect", "100-continue");
    let (mut reader, mut writer) = server.connect().await;
    writer.write_all(&request.head()).await.expect("the server reads");
    assert_eq!(reader.head().await.map(|head| head.status), Some(100));
    writer.write_all(&request.body).await.expect("the server reads");
    assert_eq!(reader.response().await.map(|response| response.head.status), Some(200));
}

async fn requests_sent_at_once_are_answered_in_order(server: &Served) {
    let say = |message: &str| call("echo", &format!(r#"{{"message":"{message}"}}"#)).to_bytes();
    let (mut reader, mut writer) = server.connect().await;
    let all = [say("one"), discover().body("{").to_bytes(), say("two"), say("three")].concat();
    writer.write_all(&all).await.expect("the server reads");
    let mut said = Vec::new();
    for _ in 0..4 {
        let response = reader.response().await.expect("each request is answered");
        said.push(response.json()["result"]["content"][0]["text"].as_str().unwrap_or("-").to_owned());
    }
    assert_eq!(said, ["one", "-", "two", "three"]);
}

async fn a_connection_survives_errors(server: &Served) {
    let (mut reader, mut writer) = server.connect().await;
    for (request, status) in [
        (discover().body("{"), 400),
        (call("nobody", "{}"), 200),
        (call("panics", "{}"), 200),
        (Request::literal("DELETE /mcp HTTP/1.1\nHost: 127.0.0.1"), 405),
        (discover(), 200),
    ] {
        writer.write_all(&request.to_bytes()).await.expect("the server reads");
        let response = reader.response().await.expect("the connection stays open");
        assert_eq!(response.head.status, status, "{}", response.text());
    }
}

/// A body that nobody reads holds what looks like a request. Either the connection is closed, or the next request is answered.
async fn a_refused_body_is_not_taken_for_a_request(server: &Served) {
    let hidden = call("steps", "{}").to_bytes();
    for refused in [discover().header("X-API-Key", "wrong"), discover().header("X-API-Key", "wrong").chunked()] {
        let (mut reader, mut writer) = server.connect().await;
        writer.write_all(&refused.raw_body(hidden.clone()).to_bytes()).await.expect("the server reads");
        assert_eq!(reader.response().await.map(|response| response.head.status), Some(401));
        // A connection that the server has closed may refuse this; then the loop below reads nothing.
        let _ = writer.write_all(&discover().to_bytes()).await;
        let _ = writer.shutdown().await;
        while let Some(response) = reader.response().await {
            assert_eq!(response.json()["result"]["supportedVersions"][0], "2026-07-28");
        }
        assert_eq!(server.probe.started.count(), 0, "the hidden request was served");
    }
}

async fn the_answer_to_head_has_no_body(server: &Served) {
    let (mut reader, mut writer) = server.connect().await;
    writer.write_all(b"HEAD /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await.expect("the server reads");
    assert_eq!(reader.head().await.map(|head| head.status), Some(405));
    // What follows the head is the next answer, and no body.
    writer.write_all(&discover().to_bytes()).await.expect("the server reads");
    assert_eq!(reader.head().await.map(|head| head.status), Some(200));
}

/// Some proxies still speak it to what stands behind them.
async fn a_client_of_http_1_0_is_sent_no_chunks(server: &Served) {
    for connection in ["close", "keep-alive"] {
        let mut request = call_with_token("steps", "7").header("Connection", connection);
        request.line = "POST /mcp HTTP/1.0".to_owned();
        let (mut reader, mut writer) = server.connect().await;
        writer.write_all(&request.to_bytes()).await.expect("the server reads");
        let head = reader.head().await.expect("the request is answered");
        assert_eq!((head.header("content-type"), head.header("transfer-encoding")), (Some("text/event-stream"), None));
        let mut body = reader.piece().await.expect("the first event comes while the call goes on");
        server.probe.go_on.happens();
        while let Some(piece) = reader.piece().await {
            body.extend(piece);
        }
        let text = String::from_utf8(body).expect("events are text");
        assert!(text.starts_with("event: message\ndata: ") && text.ends_with("}\n\n"), "{text}");
        assert!(text.contains(r#""text":"done""#), "{text}");
    }
}

//! Verbs other than POST, and messages that nobody answers.

use super::cases;
use crate::host::Served;
use crate::request::{Request, discover};

cases! {
    only_post_is_served,
    the_head_is_checked_before_the_verb,
    a_notification_is_accepted,
}

async fn only_post_is_served(server: &Served) {
    for verb in ["GET", "DELETE", "PUT", "PATCH", "OPTIONS", "BREW"] {
        let request = Request::literal(&format!("{verb} /mcp HTTP/1.1\nHost: 127.0.0.1\nAccept: text/event-stream"));
        let response = server.send(request).await;
        response.expect_error(405, -32600, None, "POST");
        assert_eq!(response.head.header("allow"), Some("POST"), "{verb}");
    }
}

async fn the_head_is_checked_before_the_verb(server: &Served) {
    let request = Request::literal("GET /mcp HTTP/1.1\nHost: 127.0.0.1\nOrigin: https://evil.example");
    server.send(request).await.expect_error(403, -32600, None, "ALLOWED_ORIGINS");
}

async fn a_notification_is_accepted(server: &Served) {
    for body in [
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,META}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/nobody-knows","params":{META}}"#,
    ] {
        let response = server.send(discover().without("Mcp-Method").body(body)).await;
        assert_eq!((response.head.status, response.text()), (202, ""), "{body}");
    }
}

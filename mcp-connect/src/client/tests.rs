//! A server that speaks MCP over TLS, of the older era, and who is believed to be it.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::*;
use crate::test_server::{read, vouched};
use crate::wire::trusting;

const PATIENCE: Duration = Duration::from_secs(20);

struct TlsServer {
    port: u16,
    authority: CertificateDer<'static>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl TlsServer {
    /// With a certificate for this name.
    fn start(name: &str) -> Self {
        let (authority, leaf, key) = vouched(name);
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, config, heads) = (listener.local_addr().unwrap().port(), Arc::new(config), Arc::default());
        let heard: Arc<Mutex<Vec<String>>> = Arc::clone(&heads);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, heard) = (config.clone(), heard.clone());
                // Who does not believe it goes at once.
                thread::spawn(move || serve(stream, config, &heard));
            }
        });
        Self { port, authority: authority.der().clone(), heads }
    }

    /// Connects with the authority of this server, and no other.
    async fn connect(&self) -> Result<McpClient, ClientError> {
        let mut trusted = RootCertStore::empty();
        trusted.add(self.authority.clone()).unwrap();
        let headers = [("authorization".to_owned(), "Bearer secret".to_owned())];
        McpClient::at(&self.url(), &headers, trusting(trusted).unwrap(), PATIENCE).await
    }

    fn url(&self) -> String {
        format!("https://localhost:{}/mcp", self.port)
    }
}

fn serve(stream: TcpStream, config: Arc<ServerConfig>, heads: &Mutex<Vec<String>>) -> Option<()> {
    let mut stream = StreamOwned::new(ServerConnection::new(config).ok()?, stream);
    let (head, body) = read(&mut stream)?;
    heads.lock().unwrap().push(head);
    let answer = answer(&serde_json::from_str(&body).unwrap_or_default());
    stream.write_all(answer.as_bytes()).ok()?;
    stream.conn.send_close_notify();
    stream.flush().ok()
}

fn answer(message: &Value) -> String {
    let result = |result: Value| json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
    let object = |body: Value| {
        let body = body.to_string();
        let session = "mcp-session-id: s-1\r\ncontent-type: Application/JSON; charset=utf-8";
        format!("HTTP/1.1 200 OK\r\n{session}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
    };
    let events =
        |body: String| format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n{body}");
    match message["method"].as_str() {
        Some("initialize") => object(result(json!({
            "protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "older", "version": "1"},
        }))),
        Some("tools/list") => {
            let tool = json!({"name": "echo", "inputSchema": {"type": "object"}});
            events(format!(": hello\n\nevent: message\ndata: {}\n\n", result(json!({"tools": [tool]}))))
        }
        Some("tools/call") if message["params"]["name"] == "endless" => events("data: x\n".repeat(256 * 1024)),
        Some("tools/call") => object(json!({
            "jsonrpc": "2.0", "id": message["id"], "error": {"code": -32602, "message": "there is no such tool"},
        })),
        Some("server/discover") => {
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 4\r\nconnection: close\r\n\r\nwhat".to_owned()
        }
        None => "HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned(),
        Some(_) => "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_spoken_with_over_tls_and_an_answer_without_an_end_is_left() {
    let server = TlsServer::start("localhost");
    let client = server.connect().await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(
        (&client.about()["server"]["name"], &client.about()["protocolVersion"]),
        (&json!("older"), &json!("2025-11-25"))
    );
    let tools = client.tools().await.unwrap();
    assert_eq!(tools.iter().map(|tool| &tool["name"]).collect::<Vec<_>>(), ["echo"]);
    let refused = client.call("nothing", Map::new()).await.unwrap_err();
    assert_eq!(refused.to_string(), "there is no such tool");
    let heads = server.heads.lock().unwrap().clone();
    assert!(heads.iter().all(|head| head.contains("authorization: Bearer secret\r\n")), "{heads:?}");
    let listed = heads.iter().rev().find(|head| head.starts_with("POST ")).unwrap();
    assert!(
        listed.contains("mcp-session-id: s-1\r\n") && listed.contains("mcp-protocol-version: 2025-11-25\r\n"),
        "{listed}"
    );
    let endless = client.call("endless", Map::new()).await.unwrap_err();
    assert!(!matches!(endless, ClientError::Late(_)), "{endless}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_spoken_with_whose_certificate_is_not_that_of_the_name() {
    let other = TlsServer::start("elsewhere.example.com");
    let Err(refused) = other.connect().await else { panic!("it is another one") };
    assert!(
        matches!(refused, ClientError::Unreachable(_)) && refused.to_string().contains("not valid for name"),
        "{refused}"
    );
    // An authority that nobody knows.
    let server = TlsServer::start("localhost");
    let address = Address::Url { url: server.url(), headers: Vec::new() };
    let Err(refused) = McpClient::connect(&address, PATIENCE).await else { panic!("nobody vouches for it") };
    assert!(refused.to_string().contains("UnknownIssuer"), "{refused}");
    assert!(other.heads.lock().unwrap().is_empty() && server.heads.lock().unwrap().is_empty(), "nothing was said");
}

#[tokio::test]
async fn an_address_that_is_none_is_told_before_anybody_is_asked() {
    for url in ["ftp://example.com/mcp", "https://", "example.com"] {
        let address = Address::Url { url: url.to_owned(), headers: Vec::new() };
        assert!(matches!(McpClient::connect(&address, PATIENCE).await, Err(ClientError::Address(_))), "{url}");
    }
}

//! The middleware in an app of one's own: requests that do not simply end, and responses that others make.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::dev::{ServerHandle, Service, ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::test::{TestRequest, call_and_read_body, init_service, try_call_service};
use actix_web::{App, Error, HttpMessage, HttpRequest, HttpResponse, HttpServer, error, web};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use mcp_core::tokio_runtime::TokioSpawner;
use mcp_core::tool::function::NoInput;
use mcp_core::{Endpoint, Server, ToolError, tool_with};
use mcp_http::{Metrics, rest, telemetry};
use tokio::sync::Notify;
use tracing::subscriber::NoSubscriber;
use tracing::{Dispatch, Span};

/// A tool that waits until it is told to go on.
async fn wait(go: Arc<Notify>, _: NoInput) -> Result<String, ToolError> {
    go.notified().await;
    Ok("done".to_owned())
}

fn metrics(go: &Arc<Notify>) -> (Endpoint, Metrics) {
    let wait = tool_with("wait", "Waits.", go.clone(), wait).read_only();
    let spawner = Arc::new(TokioSpawner::on(tokio::runtime::Handle::current()));
    let server = Server::builder("app", "1.0.0").tool(wait).measured().spawner(spawner).build().unwrap();
    let endpoint = Endpoint::new(server).silence(Duration::from_millis(1));
    (endpoint.clone(), Metrics::new(endpoint))
}

/// Serves on a port of its own.
fn serve(go: &Arc<Notify>) -> (SocketAddr, ServerHandle) {
    let (endpoint, metrics) = metrics(go);
    let server = HttpServer::new(move || {
        App::new()
            .wrap(telemetry(&metrics))
            .configure(metrics.routes())
            .service(web::scope("/rest").configure(rest(endpoint.clone())))
            .service(web::scope("/mcp").configure(mcp_http::mount(endpoint.clone())))
    });
    let server = server.workers(1).h1_allow_half_closed(false).disable_signals().bind(("127.0.0.1", 0)).unwrap();
    let address = server.addrs()[0];
    let server = server.run();
    let handle = server.handle();
    tokio::spawn(server);
    (address, handle)
}

/// Sends a request, and leaves the connection open.
fn send(address: SocketAddr, path: &str, headers: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(stream, "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
        .unwrap();
    stream
}

/// Waits until the metrics have this line.
fn until(address: SocketAddr, line: &str) {
    let url = format!("http://{address}/metrics");
    let mut last = String::new();
    for _ in 0..2_000 {
        last = ureq::get(&url).call().unwrap().body_mut().read_to_string().unwrap();
        if last.lines().any(|other| other == line) {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{line} never came; at last:\n{last}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_before_its_answer_is_counted_as_such() {
    let go = Arc::new(Notify::new());
    let (address, handle) = serve(&go);
    tokio::task::spawn_blocking(move || {
        let stream = send(address, "/rest/tools/wait/call", "", "{}");
        until(address, "mcp_tool_calls_in_flight{tool=\"wait\"} 1");
        until(address, "mcp_http_requests_in_flight 2");
        drop(stream);
        let route = "route=\"/rest/tools/{name}/call\"";
        until(address, &format!("mcp_http_requests_total{{{route},method=\"POST\",status=\"none\"}} 1"));
        until(address, &format!("mcp_http_request_duration_seconds_count{{{route}}} 1"));
        until(address, "mcp_tool_calls_total{tool=\"wait\",outcome=\"cancelled\"} 1");
        until(address, "mcp_tool_calls_in_flight{tool=\"wait\"} 0");
        until(address, "mcp_http_requests_in_flight 1");
    })
    .await
    .unwrap();
    handle.stop(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_answered_at_its_head_and_under_way_to_its_end() {
    let go = Arc::new(Notify::new());
    let (address, handle) = serve(&go);
    tokio::task::spawn_blocking(move || {
        let headers = "mcp-protocol-version: 2026-07-28\r\nmcp-method: tools/call\r\nmcp-name: wait\r\n";
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"wait","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
        let mut stream = send(address, "/mcp", headers, body);
        let mut text = String::new();
        let mut more = |until: &str| {
            while !text.contains(until) {
                let mut bytes = [0; 1024];
                let read = stream.read(&mut bytes).unwrap();
                assert_ne!(read, 0, "it ended after {text:?}");
                text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
            }
        };
        more("\r\n\r\n");
        until(address, "mcp_http_requests_total{route=\"/mcp\",method=\"POST\",status=\"2xx\"} 1");
        until(address, "mcp_http_requests_in_flight 2");
        until(address, "mcp_http_request_duration_seconds_count{route=\"/mcp\"} 0");
        go.notify_one();
        more("done");
        until(address, "mcp_http_request_duration_seconds_count{route=\"/mcp\"} 1");
        until(address, "mcp_http_requests_in_flight 1");
        until(address, "mcp_tool_calls_total{tool=\"wait\",outcome=\"ok\"} 1");
        assert!(text.contains("x-request-id: "), "{text}");
    })
    .await
    .unwrap();
    handle.stop(false).await;
}

#[actix_web::test]
async fn what_is_logged_from_the_first_middleware_to_the_end_of_the_body_belongs_to_the_request() {
    fn span() -> &'static str {
        Span::current().metadata().map_or("none", |metadata| metadata.name())
    }
    async fn streamed(request: HttpRequest) -> HttpResponse {
        let first = *request.extensions().get::<&str>().unwrap();
        let places = [first, " ", span(), " "].map(|text| Ok::<_, Error>(Bytes::from_static(text.as_bytes())));
        let last = stream::once(async { Ok(Bytes::from_static(span().as_bytes())) });
        HttpResponse::Ok().streaming(stream::iter(places).chain(last))
    }
    let first = |request: ServiceRequest, next: &_| {
        request.extensions_mut().insert(span());
        Service::call(next, request)
    };
    // As long as there is one subscriber alone, a place that logs asks the thread that comes by first whether anyone listens, and those of
    // other tests listen to nothing.
    let _others = [(); 2].map(|()| Dispatch::new(NoSubscriber::new()));
    let _logging = tracing::subscriber::set_default(tracing_subscriber::registry());
    tracing::callsite::rebuild_interest_cache();
    let (_, metrics) = metrics(&Arc::new(Notify::new()));
    let app = App::new().route("/", web::get().to(streamed)).wrap_fn(first).wrap(telemetry(&metrics));
    let app = init_service(app).await;
    let body = call_and_read_body(&app, TestRequest::get().uri("/").to_request()).await;
    assert_eq!(body, "request request request");
}

#[actix_web::test]
async fn the_error_of_another_middleware_has_an_id_as_well() {
    async fn refuse(_: ServiceRequest, _: Next<BoxBody>) -> Result<ServiceResponse<BoxBody>, Error> {
        Err(error::ErrorImATeapot("short and stout"))
    }
    let (_, metrics) = metrics(&Arc::new(Notify::new()));
    let app = init_service(App::new().wrap(from_fn(refuse)).wrap(telemetry(&metrics))).await;
    let request = TestRequest::get().uri("/").insert_header(("x-request-id", "mine")).to_request();
    let Err(error) = try_call_service(&app, request).await else { panic!("the other middleware refuses") };
    let response = error.error_response();
    assert_eq!(
        (response.status().as_u16(), response.headers().get("x-request-id").unwrap().as_bytes()),
        (418, &b"mine"[..])
    );
    assert_eq!(error.to_string(), "short and stout");
}

#[actix_web::test]
async fn a_handler_that_panics_is_answered_with_an_id() {
    async fn broken() -> HttpResponse {
        panic!("a secret of the house")
    }
    let metrics = metrics(&Arc::default()).1;
    let app = init_service(App::new().route("/", web::get().to(broken)).wrap(telemetry(&metrics))).await;
    let request = TestRequest::get().uri("/").insert_header(("x-request-id", "my-id")).to_request();
    let error = try_call_service(&app, request).await.map(drop).unwrap_err();
    let response = error.error_response();
    assert_eq!(
        (response.status().as_u16(), response.headers().get("x-request-id").unwrap().as_bytes()),
        (500, &b"my-id"[..])
    );
    let body = actix_web::body::to_bytes(response.into_body()).await.unwrap();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&body["status"], &body["instance"]), (&500.into(), &"urn:request:my-id".into()), "{body}");
    assert!(!body.to_string().contains("secret"), "{body}");
    // It was one request, and the next is served.
    let again = TestRequest::get().uri("/nowhere").to_request();
    assert_eq!(try_call_service(&app, again).await.unwrap().status(), 404);
}

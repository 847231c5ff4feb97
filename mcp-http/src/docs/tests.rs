use std::collections::BTreeSet;
use std::sync::Arc;

use actix_web::test::{TestRequest, call_and_read_body, init_service};
use actix_web::{App, HttpRequest, web};
use mcp_core::clock::Clock;
use mcp_core::tokio_runtime::TokioClock;
use mcp_core::{Endpoint, Server, Stores};

use super::*;
use crate::Config;
use crate::Metrics;
use crate::alert::{Channels, Gauges, Watch};
use crate::bundled::ways_in;
use crate::config::Alerts;
use crate::health::Health;
use crate::system::System;

/// What is served and is no part of what the document describes.
const BESIDE: [&str; 6] = ["/mcp", "/", "/api/v1", "/openapi.json", "/metrics", "/map"];

/// The paths that an app knows, below their scopes.
async fn registered(config: impl FnOnce(&mut web::ServiceConfig)) -> BTreeSet<String> {
    let map = async |request: HttpRequest| format!("{:?}", request.resource_map());
    let app = init_service(App::new().configure(config).route("/map", web::get().to(map))).await;
    let map = call_and_read_body(&app, TestRequest::get().uri("/map").to_request()).await;
    let map = String::from_utf8(map.to_vec()).unwrap();
    let patterns = map.split("patterns: Single(\"").skip(1).filter_map(|rest| rest.split('"').next());
    let beside = |path: &str| {
        path.is_empty() || BESIDE.contains(&path) || path.starts_with("/docs") || path.starts_with("/console")
    };
    patterns.filter(|path| !beside(path)).map(str::to_owned).collect()
}

#[actix_web::test]
async fn whatever_is_registered_comes_from_a_table() {
    let endpoint = Endpoint::new(Server::builder("test", "1").build().unwrap());
    let health = Health::watch(Vec::new(), Arc::new(TokioClock::new()), "1").await;
    let metrics = Metrics::new(endpoint.clone());
    let gauges = Gauges::new(health.dependencies(), Vec::new());
    let clock: Arc<dyn Clock> = Arc::new(TokioClock::new());
    let stores = Stores::in_memory(clock.clone());
    let watch = Watch::new(Alerts::default(), Channels::new(), stores, clock.clone(), gauges, "test".to_owned());
    let watch = Arc::new(watch);
    let system =
        Arc::new(System::new(Config::load_from(None, []).unwrap(), Stores::in_memory(clock), "default".into(), None));
    let mut described: BTreeSet<_> =
        TABLES.iter().flat_map(|table| table.routes).map(|route| route.path.to_owned()).collect();
    let found = registered(ways_in(&endpoint, &health, &metrics, &watch, &system)).await;
    assert_eq!(found, described, "a route that is not in a table is not in the OpenAPI document");

    // This test notices one that is added beside the tables.
    let found = registered(|config| {
        config
            .configure(ways_in(&endpoint, &health, &metrics, &watch, &system))
            .service(web::scope("/a").route("/forgotten", web::get()));
    });
    described.extend(["/a".to_owned(), "/forgotten".to_owned()]);
    assert_eq!(found.await, described);
}

#[actix_web::test]
async fn the_document_says_where_an_app_has_put_the_routes() {
    let endpoint = Endpoint::new(Server::builder("test", "1").build().unwrap());
    let app = App::new()
        .service(web::scope("/deep/er").configure(crate::rest(endpoint.clone())))
        .service(web::scope("/help").configure(docs(endpoint)));
    let app = init_service(app).await;
    let request = TestRequest::get().uri("/help/openapi.json").peer_addr("127.0.0.1:5".parse().unwrap());
    let document = call_and_read_body(&app, request.to_request()).await;
    let document: serde_json::Value = serde_json::from_slice(&document).unwrap();
    let paths: Vec<_> = document["paths"].as_object().unwrap().keys().collect();
    let expected = [
        "agent-definitions",
        "agent-definitions/{name}",
        "agents",
        "agents/{name}/runs",
        "calls",
        "calls/{call}",
        "events",
        "files",
        "files/{name}",
        "keys",
        "keys/{key}",
        "keys/{key}/rotate",
        "questions",
        "runs",
        "runs/{run}",
        "runs/{run}/answers",
        "runs/{run}/cancel",
        "runs/{run}/events",
        "runs/{run}/inputs",
        "runs/{run}/questions",
        "sessions",
        "sessions/{handle}",
        "stats",
        "system",
        "threads",
        "threads/{thread}",
        "threads/{thread}/messages",
        "tools",
        "tools/{name}",
        "tools/{name}/answer",
        "tools/{name}/call",
        "users",
        "users/{principal}",
        "users/{principal}/export",
    ];
    assert_eq!(paths, expected.map(|path| format!("/deep/er/{path}")).each_ref());
    assert_eq!(document["servers"][0]["url"], "..");
}

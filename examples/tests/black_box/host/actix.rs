//! actix-web, by way of mcp-http.

use std::net::SocketAddr;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer, web};
use async_trait::async_trait;
use mcp_core::Endpoint;

use super::Host;
use crate::request::Request;
use crate::response::Exchange;
use crate::tools;

pub struct Actix {
    address: SocketAddr,
    server: ServerHandle,
}

#[async_trait]
impl Host for Actix {
    async fn start(endpoint: Endpoint) -> Self {
        let server = HttpServer::new(move || {
            App::new().service(web::scope("/mcp").configure(mcp_http::mount(endpoint.clone())))
        })
        .workers(1)
        .disable_signals()
        .keep_alive(tools::NEVER)
        .tcp_nodelay(true)
        .h1_allow_half_closed(false)
        .bind(("127.0.0.1", 0))
        .expect("a port is free");
        let address = server.addrs()[0];
        let server = server.run();
        let handle = server.handle();
        tokio::spawn(server);
        Self { address, server: handle }
    }

    async fn open(&self, request: Request) -> Exchange {
        super::exchange(self.address, request).await
    }

    fn address(&self) -> Option<SocketAddr> {
        Some(self.address)
    }

    async fn stop(&self) {
        self.server.stop(false).await;
    }
}

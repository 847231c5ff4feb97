//! axum, by way of the example.

use std::net::SocketAddr;

use async_trait::async_trait;
use mcp_core::Endpoint;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::Host;
use crate::host_axum;
use crate::request::Request;
use crate::response::Exchange;

pub struct Axum {
    address: SocketAddr,
    server: JoinHandle<std::io::Result<()>>,
}

#[async_trait]
impl Host for Axum {
    async fn start(endpoint: Endpoint) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        Self { address, server: tokio::spawn(host_axum::serve(listener, endpoint)) }
    }

    async fn open(&self, request: Request) -> Exchange {
        super::exchange(self.address, request).await
    }

    fn address(&self) -> Option<SocketAddr> {
        Some(self.address)
    }

    async fn stop(&self) {
        self.server.abort();
    }
}

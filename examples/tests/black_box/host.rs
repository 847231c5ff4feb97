//! The hosts, and how a case is run on each.

mod actix;
mod axum;
mod in_process;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mcp_core::Endpoint;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use crate::request::{self, Request};
use crate::response::{Exchange, Part, Reader, Response};
use crate::tools::{self, Probe};

pub use actix::Actix;
pub use axum::Axum;
pub use in_process::InProcess;

/// Something that serves an endpoint.
#[async_trait]
pub trait Host: Send + Sync {
    /// Begins to serve.
    async fn start(endpoint: Endpoint) -> Self
    where
        Self: Sized;

    /// Sends one request, on a connection of its own.
    async fn open(&self, request: Request) -> Exchange;

    /// Where it listens, if it does.
    fn address(&self) -> Option<SocketAddr>;

    /// Stops serving.
    async fn stop(&self);
}

/// The server that a case talks to.
pub struct Served {
    host: Box<dyn Host>,
    pub probe: Arc<Probe>,
}

impl Served {
    /// Sends one request, and gives the whole response.
    pub async fn send(&self, request: Request) -> Response {
        self.open(request).await.response().await
    }

    /// Sends one request, and gives what has not come yet.
    pub async fn open(&self, request: Request) -> Exchange {
        self.host.open(request).await
    }

    /// Opens a connection, to send what is no request, or more than one.
    pub async fn connect(&self) -> (Reader<OwnedReadHalf>, OwnedWriteHalf) {
        let address = self.host.address().expect("cases of connections run on hosts that have some");
        let (read, write) = TcpStream::connect(address).await.expect("the server listens").into_split();
        (Reader::new(read), write)
    }
}

/// A case that waits for something that does not come has failed; none takes nearly as long.
const DEADLINE: Duration = Duration::from_secs(30);

/// Runs a case on a server of its own, and sees to it that the server has survived.
pub async fn run<H: Host + 'static>(case: impl AsyncFnOnce(&Served)) {
    let (endpoint, probe) = tools::endpoint();
    let served = Served { host: Box::new(H::start(endpoint).await), probe };
    let whole = async {
        case(&served).await;
        served.send(request::call("echo", r#"{"message":"still here"}"#)).await.expect_json(concat!(
            r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","content":[{"type":"text","text":"still here"}],"#,
            r#""_meta":{"io.modelcontextprotocol/serverInfo":{"name":"black-box","version":"1.0.0"}}}}"#
        ));
    };
    tokio::time::timeout(DEADLINE, whole).await.expect("the case ends");
    served.host.stop().await;
}

/// Sends a request over a socket, reading while it writes: a server may answer before it has read everything.
async fn exchange(address: SocketAddr, request: Request) -> Exchange {
    let (sender, parts) = mpsc::channel(64);
    let task = tokio::spawn(async move {
        let (read, mut write) = TcpStream::connect(address).await.expect("the server listens").into_split();
        let writing = async {
            // A server that has refused a body may close before it has all of it.
            let _ = write.write_all(&request.to_bytes()).await;
            std::future::pending::<()>().await
        };
        let reading = async {
            let mut reader = Reader::new(read);
            let Some(head) = reader.head().await else { return };
            let _ = sender.send(Part::Head(head)).await;
            while let Some(piece) = reader.piece().await {
                let _ = sender.send(Part::Piece(piece)).await;
            }
        };
        tokio::select! { () = writing => {}, () = reading => {} }
    });
    Exchange::new(parts, task)
}

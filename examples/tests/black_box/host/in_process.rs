//! No host at all: what a shell does, done to the endpoint by hand.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use async_trait::async_trait;
use futures_util::StreamExt;
use mcp_core::Endpoint;
use mcp_core::endpoint::answer::{Answer, Body, Refusal};
use mcp_core::endpoint::head;
use tokio::sync::mpsc;

use super::Host;
use crate::request::Request;
use crate::response::{Exchange, Head, Part};

pub struct InProcess {
    endpoint: Endpoint,
}

#[async_trait]
impl Host for InProcess {
    async fn start(endpoint: Endpoint) -> Self {
        Self { endpoint }
    }

    async fn open(&self, request: Request) -> Exchange {
        let (sender, parts) = mpsc::channel(64);
        let endpoint = self.endpoint.clone();
        let task = tokio::spawn(async move {
            let answer = answer(&endpoint, request).await;
            let mut headers: Vec<_> =
                answer.headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            headers.extend(answer.content_type.map(|value| ("content-type".to_owned(), value.to_owned())));
            let mut pieces = match answer.body {
                Body::Empty => futures_util::stream::empty().boxed(),
                Body::Full(bytes) => futures_util::stream::iter([bytes]).boxed(),
                Body::Stream(pieces) => pieces,
            };
            let _ = sender.send(Part::Head(Head { status: answer.status, headers })).await;
            while let Some(piece) = pieces.next().await {
                let _ = sender.send(Part::Piece(piece.to_vec())).await;
            }
        });
        Exchange::new(parts, task)
    }

    fn address(&self) -> Option<SocketAddr> {
        None
    }

    async fn stop(&self) {}
}

async fn answer(endpoint: &Endpoint, request: Request) -> Answer {
    let body = request.body.clone();
    let head = LiteralHead(request);
    match endpoint.admit(&head).await {
        Ok(_) if body.len() > endpoint.max_body() => Refusal::too_large(endpoint.max_body()).into_answer(),
        Ok(caller) => endpoint.answer(&head, caller, body.into()).await,
        Err(refusal) => refusal.into_answer(),
    }
}

struct LiteralHead(Request);

impl head::Head for LiteralHead {
    fn verb(&self) -> &str {
        self.0.line.split(' ').next().unwrap_or_default()
    }

    fn header(&self, name: &str) -> head::Header<'_> {
        let own = self.0.headers.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
        head::Header::from_values(own.map(|(_, value)| value.as_slice()))
    }

    fn values(&self, name: &str) -> Vec<&[u8]> {
        let own = self.0.headers.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
        own.map(|(_, value)| value.as_slice()).collect()
    }

    fn any_name(&self, test: &dyn Fn(&str) -> bool) -> bool {
        self.0.headers.iter().any(|(name, _)| test(name))
    }

    fn peer(&self) -> Option<IpAddr> {
        Some(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }
}

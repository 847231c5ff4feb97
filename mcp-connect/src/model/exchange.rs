//! One request and its answer, as it comes: within its time, and up to its size.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use futures_util::stream::{StreamExt, try_unfold};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use mcp_core::ModelError;
use mcp_core::clock::Clock;
use mcp_core::model::Deltas;
use mcp_core::model::delta::Delta;
use tokio_rustls::rustls::Error as TlsError;

use super::dialect::Reader;
use super::frames::{Decoder, Frame, Framing};
use super::refusal::Refusal;
use crate::refused::{retry_after, short};
use crate::wire::connector;

/// Asks providers. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub(super) struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    clock: Arc<dyn Clock>,
}

/// How long there may be silence.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Before the head of an answer, and again before its first byte.
    pub(super) first: Duration,
    /// Between bytes, after that.
    pub(super) between: Duration,
}

/// How many bytes an answer has at the most, with all that is around the reply.
const LARGEST: usize = 64 * 1024 * 1024;

/// How many bytes are read of a refusal.
const LARGEST_REFUSAL: usize = 64 * 1024;

/// How many idle connections are kept to one provider.
const IDLE: usize = 8;

impl Http {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Result<Self, TlsError> {
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(IDLE).build(connector()?);
        Ok(Self { client, clock })
    }

    /// Sends a request, and reads its answer as it comes. No redirect is followed.
    pub(super) async fn send(
        &self,
        request: Request<Full<Bytes>>,
        key: Option<&str>,
        patience: Patience,
        framing: Framing,
        reader: Box<dyn Reader>,
    ) -> Result<Deltas, ModelError> {
        let answer =
            self.within(patience.first, self.client.request(request)).await?.map_err(|error| unreachable(&error))?;
        if answer.status().as_u16() != 200 {
            return Err(self.refusal(answer, key, patience).await);
        }
        let answer = Answer {
            body: answer.into_body(),
            decoder: Decoder::new(framing),
            reader,
            frames: VecDeque::new(),
            deltas: VecDeque::new(),
            read: 0,
            is_over: false,
            is_complete: false,
            http: self.clone(),
            patience,
        };
        Ok(try_unfold(answer, |mut answer| async {
            let delta = answer.next().await?;
            Ok(delta.map(|delta| (delta, answer)))
        })
        .boxed())
    }

    /// What comes of it, unless that takes too long.
    async fn within<T>(&self, time: Duration, work: impl Future<Output = T>) -> Result<T, ModelError> {
        match select(pin!(work), self.clock.sleep(time)).await {
            Either::Left((done, _)) => Ok(done),
            Either::Right(_) => Err(ModelError::TimedOut { after: time }),
        }
    }

    async fn refusal(&self, answer: Response<Incoming>, key: Option<&str>, patience: Patience) -> ModelError {
        let (head, mut body) = answer.into_parts();
        let header = |name: &str| head.headers.get(name)?.to_str().ok().map(str::to_owned);
        let retry_after = retry_after(header, self.clock.now());
        let mut said = Vec::new();
        // What it says may be late, or cut: it has refused all the same.
        let reading = async {
            while let Some(Ok(frame)) = body.frame().await {
                if let Ok(data) = frame.into_data() {
                    said.extend_from_slice(&data[..data.len().min(LARGEST_REFUSAL - said.len())]);
                }
                if said.len() >= LARGEST_REFUSAL {
                    break;
                }
            }
        };
        let _ = self.within(patience.between, reading).await;
        Refusal { status: head.status.as_u16(), retry_after, body: &said, key }.error()
    }
}

/// An answer that is being read.
struct Answer {
    body: Incoming,
    decoder: Decoder,
    reader: Box<dyn Reader>,
    frames: VecDeque<Frame>,
    deltas: VecDeque<Delta>,
    read: usize,
    /// Whether there is nothing more to read.
    is_over: bool,
    /// Whether the end of the reply was given.
    is_complete: bool,
    http: Http,
    patience: Patience,
}

impl Answer {
    async fn next(&mut self) -> Result<Option<Delta>, ModelError> {
        loop {
            if let Some(delta) = self.deltas.pop_front() {
                if matches!(delta, Delta::End(_)) {
                    self.end();
                }
                return Ok(Some(delta));
            }
            if self.is_complete {
                return Ok(None);
            }
            if self.is_over {
                return Err(ModelError::broken("it was cut before the reply was complete"));
            }
            if let Some(frame) = self.frames.pop_front() {
                self.reader.read(&frame, &mut self.deltas)?;
                continue;
            }
            let time = if self.read == 0 { self.patience.first } else { self.patience.between };
            match self.http.within(time, self.body.frame()).await? {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.take(&data)?;
                    }
                }
                Some(Err(error)) => return Err(ModelError::broken(format!("it was cut: {}", causes(&error)))),
                None => self.run_out()?,
            }
        }
    }

    fn take(&mut self, data: &[u8]) -> Result<(), ModelError> {
        self.read = self.read.saturating_add(data.len());
        if self.read > LARGEST {
            return Err(ModelError::TooLarge { message: format!("the answer has more than {LARGEST} bytes") });
        }
        self.decoder.push(data, &mut self.frames)
    }

    /// There is nothing more to read.
    fn run_out(&mut self) -> Result<(), ModelError> {
        self.decoder.finish(&mut self.frames)?;
        while let Some(frame) = self.frames.pop_front() {
            self.reader.read(&frame, &mut self.deltas)?;
        }
        self.reader.finish(&mut self.deltas);
        self.is_over = true;
        Ok(())
    }

    /// The reply is complete. What is left is read if it is there, so that the connection can be used again.
    fn end(&mut self) {
        (self.is_over, self.is_complete) = (true, true);
        self.deltas.clear();
        for _ in 0..8 {
            if !matches!(self.body.frame().now_or_never(), Some(Some(Ok(_)))) {
                break;
            }
        }
    }
}

/// Nobody has answered.
fn unreachable(error: &hyper_util::client::legacy::Error) -> ModelError {
    ModelError::Unavailable { message: format!("it cannot be reached: {}", causes(error)), retry_after: None }
}

fn causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source()).map(ToString::to_string);
    short(&std::iter::once(error.to_string()).chain(causes).collect::<Vec<_>>().join(": "), None)
}

//! A body that becomes a file, piece by piece.

use std::time::Duration;

use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::future::{Either, join, select};
use futures_util::{StreamExt, stream};
use mcp_core::Endpoint;
use mcp_core::endpoint::answer::Refusal;
use mcp_core::store::StoreError;
use mcp_core::store::blobs::ByteStream;
use mcp_core::store::files::{FileError, LONGEST_NAME, LONGEST_TYPE, check_names};
use tokio::sync::mpsc;

use super::super::problem::Problem;
use super::super::{Admitted, encoded};
use super::FileShown;

/// How many pieces wait between the network and the store.
const WAITING: usize = 2;

type Piece = Result<Bytes, StoreError>;

pub(super) async fn write(
    Admitted(caller): Admitted,
    request: HttpRequest,
    payload: web::Payload,
    endpoint: web::Data<Endpoint>,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let files = endpoint.server().files(&caller)?;
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let content_type = header(CONTENT_TYPE).unwrap_or("application/octet-stream");
    check_names("", &name, content_type).map_err(|_| {
        let limits =
            format!("a file's name has 1 to {LONGEST_NAME} bytes, and its `Content-Type` {LONGEST_TYPE} at the most");
        Problem::new(400, limits)
    })?;
    let limit = files.caps().file;
    if header(CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok()).is_some_and(|length| length > limit) {
        return Err(FileError::TooLarge { limit }.into());
    }
    let (pieces, waiting) = mpsc::channel(WAITING);
    let feed = feed(payload, pieces, endpoint.body_timeout());
    let write = files.write(&name, content_type, stream_of(waiting));
    let (fed, written) = join(feed, write).await;
    // What is wrong with the body is also why it was not written.
    fed?;
    encoded(&FileShown::from(written?))
}

/// Hands the pieces of a body on until it ends, or until nobody takes them any more.
async fn feed(mut payload: web::Payload, pieces: mpsc::Sender<Piece>, timeout: Duration) -> Result<(), Problem> {
    loop {
        let next = {
            let next = std::pin::pin!(tokio::time::timeout(timeout, payload.next()));
            match select(next, std::pin::pin!(pieces.closed())).await {
                Either::Left((next, _)) => next,
                Either::Right(_) => return Ok(()),
            }
        };
        let problem = match next {
            Ok(None) => return Ok(()),
            Ok(Some(Ok(piece))) => {
                // Nobody takes it, where the write has failed: that tells more.
                let _ = pieces.send(Ok(piece)).await;
                continue;
            }
            Ok(Some(Err(error))) => Problem::new(400, format!("the body cannot be read: {error}")),
            Err(_) => Refusal::too_slow(timeout).into(),
        };
        // So that what came is not taken for all.
        let _ = pieces.send(Err(StoreError::Refused { store: "body", source: None })).await;
        return Err(problem);
    }
}

fn stream_of(waiting: mpsc::Receiver<Piece>) -> ByteStream {
    stream::unfold(waiting, async |mut waiting| Some((waiting.recv().await?, waiting))).boxed()
}

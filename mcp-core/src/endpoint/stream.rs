//! The answer to a call: one JSON object, or a stream of events where the call speaks before it ends.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use futures_util::stream;

use super::Pacing;
use super::answer::{Answer, Body};
use crate::call::Call;
use crate::context::{Context, Outbox};
use crate::legacy::kept::InSession;
use crate::protocol::encoding::{self, Encoding, Outcome};
use crate::protocol::listen::Subscription;
use crate::server::Server;

/// Speaks for one call to its client.
pub(super) struct Speaker {
    server: Server,
    /// The request's id as JSON text.
    id: String,
    encoding: Encoding,
    outbox: Option<Arc<Outbox>>,
    pacing: Pacing,
    session: Option<Box<InSession>>,
}

/// What goes to the client at once.
#[derive(Default)]
pub(crate) struct Piece {
    /// Without any, that the call is alive.
    pub(crate) messages: Vec<Vec<u8>>,
    /// Whether the last of them is the answer.
    pub(crate) is_last: bool,
    /// Whether the client may hang up, and come back for the rest.
    pub(crate) release: bool,
}

/// What happened first.
enum Event<T> {
    Finished(T),
    Spoke,
    Silent,
}

impl Speaker {
    pub(super) fn new(
        server: Server,
        id: String,
        encoding: Encoding,
        outbox: Option<Arc<Outbox>>,
        pacing: Pacing,
        session: Option<Box<InSession>>,
    ) -> Self {
        Self { server, id, encoding, outbox, pacing, session }
    }

    /// Waits until it is known whether the answer is an object or a stream.
    pub(super) async fn answer<T: Outcome + Unpin>(self, mut call: Call<T>) -> Answer {
        match self.next(&mut call, self.pacing.silence).await {
            Event::Finished(finished) => self.finish(finished, call.context()),
            Event::Spoke => {
                let first = self.said();
                self.stream(call, first)
            }
            Event::Silent => self.stream(call, Piece::default()),
        }
    }

    /// Waits for the next event; one that is not waited for to its end is not lost.
    async fn next<T: Outcome + Unpin>(&self, call: &mut Call<T>, patience: Duration) -> Event<T> {
        let quiet = pin!(async {
            let spoke = pin!(async {
                match &self.outbox {
                    Some(outbox) => outbox.filled().await,
                    None => std::future::pending().await,
                }
            });
            match select(spoke, self.server.clock().sleep(patience)).await {
                Either::Left(_) => Event::Spoke,
                Either::Right(_) => Event::Silent,
            }
        });
        match select(call, quiet).await {
            Either::Left((finished, _)) => Event::Finished(finished),
            Either::Right((event, _)) => event,
        }
    }

    /// The whole answer to a call that ended before anything was sent.
    fn finish(&self, finished: impl Outcome, cx: &Context) -> Answer {
        let (said, retry_after) = (self.said(), finished.retry_after());
        let mut answer = if said.messages.is_empty() {
            match finished.encode(&self.server, self.encoding, &self.id) {
                Ok(json) => Answer::json(200, json),
                Err(error) => Answer::error(Some(&self.id), &error),
            }
        } else {
            Answer::events(Body::Full(self.end(said, finished).frames()))
        };
        if let Some(quotas) = cx.quotas() {
            answer.headers.extend(quotas.headers());
        }
        answer.headers.extend(retry_after.map(|seconds| ("retry-after", seconds.to_string())));
        answer
    }

    /// From here on the call runs by itself: a client that does not read holds up neither the call nor its timeout.
    fn stream<T: Outcome + Unpin>(mut self, mut call: Call<T>, first: Piece) -> Answer {
        call.move_out();
        let (server, session) = (self.server.clone(), self.session.take());
        let rest = stream::unfold(Some((self, call)), async |state| {
            let (speaker, mut call) = state?;
            let piece = loop {
                let said = speaker.said();
                if !said.messages.is_empty() || said.release {
                    break said;
                }
                match speaker.next(&mut call, speaker.pacing.keep_alive).await {
                    Event::Silent => break Piece::default(),
                    Event::Spoke => {}
                    // What the call said last comes before its result.
                    Event::Finished(finished) => return Some((speaker.end(speaker.said(), finished), None)),
                }
            };
            Some((piece, Some((speaker, call))))
        });
        let pieces = stream::once(std::future::ready(first)).chain(rest);
        let frames = match session {
            Some(session) => session.carry(&server, pieces.boxed()),
            None => pieces.map(|piece| piece.frames()).boxed(),
        };
        Answer::events(Body::Stream(frames))
    }

    /// The last piece: what was said, and the result.
    fn end(&self, mut said: Piece, finished: impl Outcome) -> Piece {
        let last = finished.encode(&self.server, self.encoding, &self.id);
        said.messages.push(last.unwrap_or_else(|error| encoding::error(Some(&self.id), &error)));
        Piece { is_last: true, ..said }
    }

    /// All that waits in the outbox.
    fn said(&self) -> Piece {
        let Some(outbox) = &self.outbox else { return Piece::default() };
        Piece { messages: outbox.take(), is_last: false, release: outbox.take_release() }
    }
}

impl Piece {
    fn frames(&self) -> Bytes {
        if self.messages.is_empty() {
            return Bytes::from_static(KEEP_ALIVE);
        }
        let mut frames = Vec::new();
        for message in &self.messages {
            frame(&mut frames, message);
        }
        frames.into()
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        if let Some(outbox) = &self.outbox {
            outbox.close();
        }
    }
}

/// The answer to a client that listens: first what it is told of, then what has changed, until it leaves or the server ends.
pub(super) fn listen(subscription: Subscription, keep_alive: Duration) -> Answer {
    let mut first = Vec::new();
    frame(&mut first, &subscription.acknowledgement());
    // In a box, it is not copied from one wait to the next.
    let rest = stream::unfold(Some(Box::new(subscription)), move |state| async move {
        let mut subscription = state?;
        let silence = subscription.clock().sleep(keep_alive);
        let next = match select(pin!(subscription.next()), silence).await {
            Either::Left((next, _)) => Some(next),
            Either::Right(_) => None,
        };
        let Some(next) = next else { return Some((Bytes::from_static(KEEP_ALIVE), Some(subscription))) };
        let mut frames = Vec::with_capacity(256);
        let Some(messages) = next else {
            frame(&mut frames, &subscription.end());
            return Some((Bytes::from(frames), None));
        };
        for message in messages {
            frame(&mut frames, &message);
        }
        Some((Bytes::from(frames), Some(subscription)))
    });
    Answer::events(Body::Stream(stream::once(std::future::ready(Bytes::from(first))).chain(rest).boxed()))
}

/// A comment, which clients pass over (HTML, "Server-sent events").
pub(crate) const KEEP_ALIVE: &[u8] = b":\r\n\r\n";

/// Writes one message as an event.
pub(crate) fn frame(out: &mut Vec<u8>, message: &[u8]) {
    named_frame(out, "message", message);
}

/// The same, of an event with a name of its own.
pub(super) fn named_frame(out: &mut Vec<u8>, name: &str, message: &[u8]) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    // JSON has line breaks only between tokens, where a space is as good; here one would end the event's data.
    out.extend(message.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
    out.extend_from_slice(b"\n\n");
}

/// The message of the last event in these frames.
pub(crate) fn last_data(frames: &[u8]) -> Option<Vec<u8>> {
    let lines = frames.split(|byte| *byte == b'\n');
    lines.filter_map(|line| line.strip_prefix(b"data: ")).next_back().map(<[u8]>::to_vec)
}

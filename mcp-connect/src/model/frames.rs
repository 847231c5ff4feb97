//! From the bytes of an answer to the pieces that it is made of. What is not yet a whole piece is held, up to a limit.

mod event_stream;
mod lines;

use std::collections::VecDeque;

use mcp_core::ModelError;

use event_stream::EventStream;
use lines::Lines;

/// One piece of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Frame {
    /// What kind of piece it is, where the framing says so.
    pub(super) event: String,
    /// JSON, or a word of the provider.
    pub(super) data: Vec<u8>,
}

/// How pieces are told apart.
#[derive(Clone, Copy, Debug)]
pub(super) enum Framing {
    /// Server-sent events (WHATWG HTML, section 9.2).
    Sse,
    /// A line is a piece.
    Lines,
    /// Amazon's event stream.
    EventStream,
}

/// How many bytes a piece has at the most.
pub(super) const LARGEST: usize = 8 * 1024 * 1024;

/// Finds pieces.
pub(super) enum Decoder {
    Sse(Box<Sse>),
    Lines(Lines),
    EventStream(EventStream),
}

impl Decoder {
    pub(super) fn new(framing: Framing) -> Self {
        match framing {
            Framing::Sse => Self::Sse(Box::default()),
            Framing::Lines => Self::Lines(Lines::default()),
            Framing::EventStream => Self::EventStream(EventStream::default()),
        }
    }

    /// Takes more bytes, and gives the pieces that are whole by now.
    pub(super) fn push(&mut self, bytes: &[u8], out: &mut VecDeque<Frame>) -> Result<(), ModelError> {
        match self {
            Self::Sse(sse) => sse.push(bytes, out),
            Self::Lines(lines) => lines.push(bytes, |line| {
                if !line.is_empty() {
                    out.push_back(Frame { event: String::new(), data: line.to_vec() });
                }
                Ok(())
            }),
            Self::EventStream(stream) => stream.push(bytes, out),
        }
    }

    /// There are no more bytes: what is held may be a piece all the same.
    pub(super) fn finish(&mut self, out: &mut VecDeque<Frame>) -> Result<(), ModelError> {
        match self {
            // A last line, and the empty one that ends its event.
            Self::Sse(_) => self.push(b"\n\n", out),
            Self::Lines(_) => self.push(b"\n", out),
            Self::EventStream(stream) => stream.finish(),
        }
    }
}

/// Server-sent events.
#[derive(Default)]
pub(super) struct Sse {
    lines: Lines,
    event: String,
    data: Vec<u8>,
    has_data: bool,
}

impl Sse {
    fn push(&mut self, bytes: &[u8], out: &mut VecDeque<Frame>) -> Result<(), ModelError> {
        let Self { lines, event, data, has_data } = self;
        lines.push(bytes, |line| {
            if line.is_empty() {
                let (event, data) = (std::mem::take(event), std::mem::take(data));
                if std::mem::take(has_data) {
                    out.push_back(Frame { event, data });
                }
                return Ok(());
            }
            let colon = memchr::memchr(b':', line).unwrap_or(line.len());
            let value = line.get(colon + 1..).unwrap_or_default();
            let value = value.strip_prefix(b" ").unwrap_or(value);
            match &line[..colon] {
                b"event" => *event = String::from_utf8_lossy(value).into_owned(),
                b"data" => {
                    if std::mem::replace(has_data, true) {
                        data.push(b'\n');
                    }
                    if data.len() + value.len() > LARGEST {
                        return Err(too_large());
                    }
                    data.extend_from_slice(value);
                }
                // Comments keep a connection alive; ids and delays are for those who come back.
                _ => {}
            }
            Ok(())
        })
    }
}

pub(super) fn too_large() -> ModelError {
    ModelError::TooLarge { message: format!("a piece of the answer has more than {LARGEST} bytes") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pieces, whichever way the bytes are cut.
    fn frames(framing: Framing, bytes: &[u8]) -> Vec<(String, String)> {
        let read = |cut: usize| {
            let (mut decoder, mut out) = (Decoder::new(framing), VecDeque::new());
            for piece in bytes.chunks(cut) {
                decoder.push(piece, &mut out).unwrap();
            }
            decoder.finish(&mut out).unwrap();
            let text = |frame: Frame| (frame.event, String::from_utf8(frame.data).unwrap());
            out.into_iter().map(text).collect::<Vec<_>>()
        };
        let whole = read(bytes.len().max(1));
        for cut in 1..bytes.len() {
            assert_eq!(read(cut), whole, "cut into pieces of {cut}");
        }
        whole
    }

    fn plain(data: &[&str]) -> Vec<(String, String)> {
        data.iter().map(|data| (String::new(), (*data).to_owned())).collect()
    }

    #[test]
    fn events_are_found_whichever_line_ends_they_have() {
        let bytes =
            "\u{feff}: hi\n\nevent: ping\ndata: {}\n\ndata: a\r\ndata:b\r\n\r\nid: 7\rdata: ü\r\rdata\n\ndata: [DONE]";
        assert_eq!(
            frames(Framing::Sse, bytes.as_bytes()),
            [("ping", "{}"), ("", "a\nb"), ("", "ü"), ("", ""), ("", "[DONE]")]
                .map(|(event, data)| (event.to_owned(), data.to_owned()))
        );
        assert_eq!(frames(Framing::Sse, b"event: x\n\n:\n\n"), []);
    }

    #[test]
    fn lines_are_found_and_empty_ones_are_not_pieces() {
        assert_eq!(frames(Framing::Lines, b"{\"a\":1}\n\r\n{}\r\nlast"), plain(&["{\"a\":1}", "{}", "last"]));
    }

    #[test]
    fn a_piece_has_an_end_to_its_size() {
        for framing in [Framing::Sse, Framing::Lines, Framing::EventStream] {
            let (mut decoder, mut out) = (Decoder::new(framing), VecDeque::new());
            let some = [b'a'; 64 * 1024];
            let refused = (0..=LARGEST / some.len()).find_map(|_| decoder.push(&some, &mut out).err());
            assert!(
                matches!(refused, Some(ModelError::TooLarge { .. } | ModelError::BrokenStream { .. })),
                "{framing:?}"
            );
            assert!(out.is_empty());
        }
        let (mut decoder, mut out) = (Decoder::new(Framing::Sse), VecDeque::new());
        let line = format!("data: {}\n", "a".repeat(64 * 1024));
        let refused = (0..=LARGEST / line.len() + 1).find_map(|_| decoder.push(line.as_bytes(), &mut out).err());
        assert!(matches!(refused, Some(ModelError::TooLarge { .. })));
    }
}

//! Amazon's event stream (vnd.amazon.eventstream): a length, headers, a payload, and checksums of both.

use std::collections::VecDeque;

use mcp_core::ModelError;

use super::{Frame, LARGEST, too_large};

/// Holds what is no whole message yet.
#[derive(Default)]
pub(crate) struct EventStream {
    held: Vec<u8>,
}

/// Lengths of the message and of its headers, and their checksum.
const PRELUDE: usize = 12;
/// The checksum at the end.
const CHECKSUM: usize = 4;

impl EventStream {
    pub(super) fn push(&mut self, bytes: &[u8], out: &mut VecDeque<Frame>) -> Result<(), ModelError> {
        self.held.extend_from_slice(bytes);
        let mut read = 0;
        while let Some(prelude) = self.held.get(read..read + PRELUDE) {
            let length = number(prelude) as usize;
            if number(&prelude[8..]) != crc32(&prelude[..8]) || length < PRELUDE + CHECKSUM {
                return Err(broken());
            }
            if length > LARGEST {
                return Err(too_large());
            }
            let Some(message) = self.held.get(read..read + length) else { break };
            out.push_back(decode(message).ok_or_else(broken)?);
            read += length;
        }
        self.held.drain(..read);
        Ok(())
    }

    pub(super) fn finish(&mut self) -> Result<(), ModelError> {
        if self.held.is_empty() { Ok(()) } else { Err(broken()) }
    }
}

fn decode(message: &[u8]) -> Option<Frame> {
    let (body, checksum) = message.split_at(message.len() - CHECKSUM);
    if number(checksum) != crc32(body) {
        return None;
    }
    let (mut headers, data) = body[PRELUDE..].split_at_checked(number(&message[4..]) as usize)?;
    let mut event = None;
    while let Some((&length, rest)) = headers.split_first() {
        let (name, rest) = rest.split_at_checked(length.into())?;
        let (&kind, rest) = rest.split_first()?;
        let (size, rest) = match kind {
            0 | 1 => (0, rest),
            2 => (1, rest),
            3 => (2, rest),
            4 => (4, rest),
            5 | 8 => (8, rest),
            6 | 7 => {
                let (size, rest) = rest.split_first_chunk()?;
                (u16::from_be_bytes(*size).into(), rest)
            }
            9 => (16, rest),
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(size)?;
        // An exception names its own kind.
        if name == b":exception-type" || (name == b":event-type" && event.is_none()) {
            event = Some(String::from_utf8_lossy(value).into_owned());
        }
        headers = rest;
    }
    Some(Frame { event: event.unwrap_or_default(), data: data.to_vec() })
}

/// The first four bytes, which are there.
fn number(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

/// The checksum of gzip (RFC 1952, section 8), bit by bit: messages are short.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

fn broken() -> ModelError {
    ModelError::broken("the answer is no event stream")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(headers: &[(&str, &str)], data: &str) -> Vec<u8> {
        let mut encoded = Vec::new();
        for (name, value) in headers {
            encoded.push(u8::try_from(name.len()).unwrap());
            encoded.extend_from_slice(name.as_bytes());
            encoded.push(7);
            encoded.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
            encoded.extend_from_slice(value.as_bytes());
        }
        let length = u32::try_from(PRELUDE + encoded.len() + data.len() + CHECKSUM).unwrap();
        let mut message = length.to_be_bytes().to_vec();
        message.extend_from_slice(&u32::try_from(encoded.len()).unwrap().to_be_bytes());
        message.extend_from_slice(&crc32(&message).to_be_bytes());
        message.extend_from_slice(&encoded);
        message.extend_from_slice(data.as_bytes());
        message.extend_from_slice(&crc32(&message).to_be_bytes());
        message
    }

    fn read(bytes: &[u8], cut: usize) -> Result<Vec<(String, String)>, ModelError> {
        let (mut stream, mut out) = (EventStream::default(), VecDeque::new());
        bytes.chunks(cut).try_for_each(|piece| stream.push(piece, &mut out))?;
        stream.finish()?;
        Ok(out.into_iter().map(|frame| (frame.event, String::from_utf8(frame.data).unwrap())).collect())
    }

    #[test]
    fn the_checksum_is_that_of_gzip() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn messages_are_found_whichever_way_they_are_cut() {
        let mut bytes = message(&[(":event-type", "messageStart"), (":content-type", "application/json")], "{}");
        bytes.extend(message(
            &[(":message-type", "exception"), (":exception-type", "throttlingException")],
            "{\"a\":1}",
        ));
        let expected = [("messageStart", "{}"), ("throttlingException", "{\"a\":1}")];
        let expected = expected.map(|(event, data)| (event.to_owned(), data.to_owned()));
        for cut in 1..bytes.len() {
            assert_eq!(read(&bytes, cut).unwrap(), expected);
        }
    }

    #[test]
    fn what_was_altered_or_cut_is_broken() {
        let whole = message(&[(":event-type", "messageStart")], "{}");
        for at in 0..whole.len() {
            let mut altered = whole.clone();
            altered[at] ^= 1;
            assert!(read(&altered, altered.len()).is_err(), "{at}");
            assert!(at == 0 || read(&whole[..at], at).is_err(), "{at}");
        }
    }
}

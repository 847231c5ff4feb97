//! By what the lines of one request are found again, here and elsewhere.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use actix_web::http::header::{HeaderMap, HeaderValue};

use super::X_REQUEST_ID;

/// Gives each request its id.
pub(super) struct RequestIds {
    /// What tells this process from others, and a dash.
    process: String,
    next: AtomicU64,
}

impl RequestIds {
    pub(super) fn new() -> Self {
        Self { process: format!("{:016x}-", random()), next: AtomicU64::new(1) }
    }

    /// The id that a request brings, if it is a sound one; else a new one.
    pub(super) fn of(&self, headers: &HeaderMap) -> HeaderValue {
        let mut brought = headers.get_all(&X_REQUEST_ID);
        match (brought.next(), brought.next()) {
            (Some(id), None) if is_sound(id.as_bytes()) => id.clone(),
            _ => self.make(),
        }
    }

    fn make(&self) -> HeaderValue {
        let id = format!("{}{:x}", self.process, self.next.fetch_add(1, Ordering::Relaxed));
        // Hexadecimal digits and a dash are a sound value.
        HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("none"))
    }
}

/// The id of a trace that begins here.
pub(super) fn new_trace() -> String {
    format!("{:016x}{:016x}", random(), random())
}

fn random() -> u64 {
    // The keys of a `RandomState` come from the system's source of randomness.
    RandomState::new().hash_one(0_u8)
}

/// Ids go into logs and into other programs: none may look like something else there.
fn is_sound(id: &[u8]) -> bool {
    const MARKS: &[u8] = b"-_.:/+=";
    (1..=128).contains(&id.len()) && id.iter().all(|byte| byte.is_ascii_alphanumeric() || MARKS.contains(byte))
}

/// To what a request belongs elsewhere (W3C Trace Context, section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceParent {
    pub(crate) trace: u128,
    pub(crate) parent: u64,
    /// Whether it is followed there.
    pub(crate) is_sampled: bool,
}

impl TraceParent {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let is_hex = |part: &str, len: usize| {
            part.len() == len && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        // Only later versions may have more parts.
        let version_is_known = is_hex(version, 2) && version != "ff" && (version != "00" || parts.next().is_none());
        if !(version_is_known && is_hex(trace, 32) && is_hex(parent, 16) && is_hex(flags, 2)) {
            return None;
        }
        let (trace, parent) = (u128::from_str_radix(trace, 16).ok()?, u64::from_str_radix(parent, 16).ok()?);
        let is_sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
        (trace != 0 && parent != 0).then_some(Self { trace, parent, is_sampled })
    }
}

/// A header of the trace to which a request belongs, as its client has sent it.
pub(super) fn trace_header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().filter(|text| text.len() <= 512)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderName;

    use super::*;

    fn headers(name: &'static str, values: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    #[test]
    fn a_sound_id_is_kept_and_any_other_replaced() {
        let ids = RequestIds::new();
        let longest = [b'a'; 128];
        for sound in [b"a".as_slice(), b"0198c0de-0000-7000-8000-000000000001", b"Root=1-67:a/b+c_d.e", &longest] {
            assert_eq!(ids.of(&headers("x-request-id", &[sound])).as_bytes(), sound);
        }
        let too_long = [b'a'; 129];
        let bad: [&[&[u8]]; 8] =
            [&[], &[b""], &[b"a b"], &[b"\"a\""], &[b"a\tb"], &[b"\xc3\xa4"], &[&too_long], &[b"a", b"b"]];
        let mut made = bad.map(|values| ids.of(&headers("x-request-id", values)).to_str().unwrap().to_owned());
        let is_made = |id: &String| id.len() > 17 && id.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
        assert!(made.iter().all(|id| is_made(id) && id.as_bytes() != too_long), "{made:?}");
        made.sort();
        assert!(made.windows(2).all(|pair| pair[0] != pair[1]), "each is made once: {made:?}");
    }

    #[test]
    fn only_a_sound_traceparent_has_a_trace() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let of = |value: String| TraceParent::parse(&value).map(|parent| format!("{:032x}", parent.trace));
        for sound in [format!("00-{trace}-b7ad6b7169203331-01"), format!("01-{trace}-b7ad6b7169203331-01-more")] {
            assert_eq!(of(sound).as_deref(), Some(trace));
        }
        for bad in [
            format!("00-{trace}-b7ad6b7169203331"),
            format!("00-{trace}-b7ad6b7169203331-01-more"),
            format!("ff-{trace}-b7ad6b7169203331-01"),
            format!("00-{}-b7ad6b7169203331-01", trace.to_uppercase()),
            format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
            format!("00-{trace}-0000000000000000-01"),
            format!("00-{}-b7ad6b7169203331-01", &trace[1..]),
            String::new(),
        ] {
            assert_eq!(of(bad.clone()), None, "{bad}");
        }
    }
}

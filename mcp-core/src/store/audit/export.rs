//! What was done, as lines for an archive elsewhere.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde::Serialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::{Audit, ChainId, Kind, Link};
use crate::clock::{Timestamp, millis};
use crate::store::StoreError;
use crate::store::hex::hex;
use crate::store::history::History;
use crate::store::ledger::{CallId, CallRecord};

/// What to export.
#[derive(Clone, Copy, Debug, Default)]
pub struct Export {
    /// Only what was linked then or later.
    pub from: Option<Timestamp>,
    /// Only what was linked before then.
    pub to: Option<Timestamp>,
    /// Whether to tell the arguments of calls, as far as they were recorded; else their digest alone.
    pub arguments: bool,
}

/// Signs exports, by Ed25519 (RFC 8032): whoever has the public key can tell that anchors, and whole exports, are what the server wrote.
pub struct ExportKey(Ed25519KeyPair);

impl ExportKey {
    /// The key that is made of these bytes.
    pub fn new(seed: &[u8; 32]) -> Self {
        match Ed25519KeyPair::from_seed_unchecked(seed) {
            Ok(pair) => Self(pair),
            Err(_) => unreachable!("a seed of 32 bytes makes a key"),
        }
    }

    /// The public key: `SubjectPublicKeyInfo` in PEM (RFC 8410).
    pub fn public_pem(&self) -> String {
        /// What stands before the 32 bytes of such a key.
        const PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
        let der = [&PREFIX, self.0.public_key().as_ref()].concat();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
    }

    fn sign(&self, text: &str) -> String {
        STANDARD.encode(self.0.sign(text.as_bytes()))
    }
}

/// How many links are read at once.
const PAGE: u16 = 500;

/// All links in lines of JSON, several lines at once, and of calls what they were: who called what, when and from where, how it ended,
/// and the digest of the arguments. The last line, without which it is not all, signs the digest of those before it. After an error
/// nothing comes.
pub fn export<'a>(
    audit: &'a dyn Audit,
    history: &'a dyn History,
    key: &'a ExportKey,
    what: Export,
) -> BoxStream<'a, Result<Bytes, StoreError>> {
    let pages = stream::try_unfold(Some(None), move |from: Option<Option<(ChainId, u64)>>| async move {
        let Some(after) = from else { return Ok(None) };
        let links = audit.walk(after, PAGE).await?;
        let next = links.last().filter(|_| links.len() == usize::from(PAGE)).map(|link| (link.chain, link.sequence));
        let mut text = Vec::new();
        for link in links.iter().filter(|link| what.has(link)) {
            line(&mut text, &told(link, (audit, history), key, what.arguments).await?);
        }
        Ok(Some((text, next.map(Some))))
    });
    let mut seen = (Sha256::new(), 0_u64);
    let pages = pages.map_ok(Some).chain(stream::iter([Ok(None)]));
    let lines = pages.map_ok(move |page| {
        let text = page.unwrap_or_else(|| {
            let (sha256, lines) = (hex(&seen.0.clone().finalize()), seen.1);
            let signature = key.sign(&format!("mcp export 1\n{lines}\n{sha256}\n"));
            let mut end = Vec::new();
            line(&mut end, &Line::End { lines, sha256, signature });
            end
        });
        seen.0.update(&text);
        seen.1 += memchr::memchr_iter(b'\n', &text).count() as u64;
        Bytes::from(text)
    });
    lines.try_filter(|text| std::future::ready(!text.is_empty())).boxed()
}

impl Export {
    fn has(&self, link: &Link) -> bool {
        self.from.is_none_or(|from| from <= link.at) && self.to.is_none_or(|to| link.at < to)
    }
}

/// One line. Times are those of RFC 3339, codes and digests hexadecimal digits, signatures base64.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'a> {
    /// A call, or an act, and the link that is about it.
    Call {
        tenant: &'a str,
        caller: String,
        tool: String,
        at: Timestamp,
        address: Option<std::net::IpAddr>,
        outcome: &'static str,
        duration_ms: f64,
        waited_ms: f64,
        arguments_sha256: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        arguments: Option<Box<RawValue>>,
        id: CallId,
        parent: Option<CallId>,
        /// Whether the record is what its link says.
        sound: bool,
        link: Linked,
    },
    /// What else was done; and a call whose record is gone.
    Link {
        kind: &'a str,
        tenant: Option<&'a str>,
        subject: String,
        number: u64,
        link: Linked,
    },
    /// How far a chain had come.
    Anchor {
        chain: String,
        sequence: u64,
        code: String,
        at: Timestamp,
        signature: String,
        link: Linked,
    },
    End {
        lines: u64,
        sha256: String,
        signature: String,
    },
}

/// Where a link stands, and what it holds.
#[derive(Serialize)]
struct Linked {
    chain: String,
    sequence: u64,
    at: Timestamp,
    digest: String,
    code: String,
}

async fn told<'a>(
    link: &'a Link,
    (audit, history): (&dyn Audit, &dyn History),
    key: &ExportKey,
    arguments: bool,
) -> Result<Line<'a>, StoreError> {
    let linked = Linked {
        chain: link.chain.to_string(),
        sequence: link.sequence,
        at: link.at,
        digest: hex(&link.digest),
        code: hex(&link.mac),
    };
    let tenant = link.tenant.as_ref();
    if link.kind == Kind::ANCHOR {
        let (chain, code) = (ChainId::from_u128(link.subject).to_string(), hex(&link.digest));
        let text = format!("mcp anchor 1\n{chain}\n{}\n{code}\n{}\n", link.number, link.at);
        let signature = key.sign(&text);
        return Ok(Line::Anchor { chain, sequence: link.number, code, at: link.at, signature, link: linked });
    }
    let call = match tenant.filter(|_| link.kind == Kind::CALL) {
        Some(tenant) => history.call(tenant, CallId::from_u128(link.subject)).await?,
        None => None,
    };
    Ok(match (call, tenant) {
        (Some(call), Some(tenant)) => {
            let sound = audit.is_linked(link, call.digest());
            of_call(call, tenant.as_str(), sound, linked, arguments)
        }
        _ => Line::Link {
            kind: link.kind.as_str(),
            tenant: tenant.map(|tenant| tenant.as_str()),
            subject: CallId::from_u128(link.subject).to_string(),
            number: link.number,
            link: linked,
        },
    })
}

fn of_call(call: CallRecord, tenant: &str, sound: bool, link: Linked, arguments: bool) -> Line<'_> {
    Line::Call {
        tenant,
        sound,
        caller: call.principal.to_string(),
        tool: call.tool,
        at: call.at,
        address: call.address,
        outcome: call.outcome.as_str(),
        duration_ms: millis(call.duration),
        waited_ms: millis(call.waited),
        arguments_sha256: hex(&Sha256::digest(&call.arguments)),
        arguments: if arguments { serde_json::from_slice(&call.arguments).ok() } else { None },
        id: call.id,
        parent: call.parent,
        link,
    }
}

fn line(out: &mut Vec<u8>, line: &Line<'_>) {
    // Writing to memory does not fail, and every key is a text.
    let _ = serde_json::to_writer(&mut *out, line);
    out.push(b'\n');
}

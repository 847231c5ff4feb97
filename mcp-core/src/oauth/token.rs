//! A token as it comes: a JWT in the compact form of a JWS (RFC 7515, section 3.1; RFC 7519).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;

use super::algorithm::Algorithm;

/// A token that was read, and of which nothing is believed yet.
pub(super) struct Token<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) key: Option<String>,
    pub(super) claims: Value,
    /// What was signed.
    pub(super) message: &'a [u8],
    pub(super) signature: Vec<u8>,
}

/// How long a token may be, in bytes.
pub(super) const LONGEST: usize = 16 * 1024;

/// What is looked at of a header. Keys and addresses of keys that a token brings along (`jwk`, `jku`, `x5c`, `x5u`) are not: who has
/// made a token cannot say by which key it is to be believed.
#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: Option<String>,
    kid: Option<String>,
    crit: Option<Value>,
}

impl<'a> Token<'a> {
    /// Reads a token, or says what is wrong with it. What is said holds nothing of the token.
    pub(super) fn read(text: &'a str) -> Result<Self, &'static str> {
        let not_jwt = "it is no signed JWT";
        let (message, signature) = text.rsplit_once('.').ok_or(not_jwt)?;
        let (header, claims) = message.split_once('.').ok_or(not_jwt)?;
        let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| not_jwt);
        let header: Header = serde_json::from_slice(&decoded(header)?).map_err(|_| not_jwt)?;
        let algorithm = Algorithm::named(&header.alg).ok_or("its algorithm is not taken here")?;
        // Other kinds of signed tokens, which mean something else, must not pass for access tokens (RFC 8725, section 3.11).
        let typ = header.typ.as_deref().map(|typ| typ.strip_prefix("application/").unwrap_or(typ));
        if typ.is_some_and(|typ| !typ.eq_ignore_ascii_case("JWT") && !typ.eq_ignore_ascii_case("at+jwt")) {
            return Err("it is no access token");
        }
        if header.crit.is_some() {
            return Err("it asks for an extension that is not known here");
        }
        let claims: Value = serde_json::from_slice(&decoded(claims)?).map_err(|_| not_jwt)?;
        if !claims.is_object() {
            return Err(not_jwt);
        }
        Ok(Self { algorithm, key: header.kid, claims, message: message.as_bytes(), signature: decoded(signature)? })
    }
}

//! What an issuer says of itself.

use hyper::Uri;
use serde::Deserialize;

use crate::wire::address;

/// The metadata of an issuer (RFC 8414, section 2), as far as they matter here.
#[derive(Deserialize)]
pub(super) struct Metadata {
    issuer: String,
    jwks_uri: Option<String>,
}

impl Metadata {
    pub(super) fn decode(json: &[u8]) -> Result<Self, &'static str> {
        serde_json::from_slice(json).map_err(|_| "it is no JSON object with an `issuer`")
    }

    /// Where the keys of that issuer are.
    pub(super) fn keys_of(&self, issuer: &str) -> Result<Uri, &'static str> {
        if self.issuer != issuer {
            return Err("it is of another issuer; set the issuer to the very text that `issuer` has there");
        }
        address(self.jwks_uri.as_deref().ok_or("it names no `jwks_uri`")?)
    }
}

/// Where an issuer may say it, in the order in which clients of MCP look (basic/authorization, "Authorization Server Metadata
/// Discovery"): the well-known part stands before the issuer's own path, or, in the older manner, behind it.
pub(super) fn candidates(issuer: &Uri) -> Vec<Uri> {
    let path = issuer.path().trim_end_matches('/');
    let mut paths = vec![
        format!("/.well-known/oauth-authorization-server{path}"),
        format!("/.well-known/openid-configuration{path}"),
        format!("{path}/.well-known/openid-configuration"),
    ];
    paths.dedup();
    let at = |path: String| {
        let mut parts = issuer.clone().into_parts();
        parts.path_and_query = path.parse().ok();
        Uri::from_parts(parts).ok()
    };
    paths.into_iter().filter_map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::{Metadata, candidates};

    #[test]
    fn the_well_known_part_stands_before_the_path_or_behind_it() {
        let of =
            |issuer: &str| candidates(&issuer.parse().unwrap()).iter().map(ToString::to_string).collect::<Vec<_>>();
        for issuer in ["https://login.example.com", "https://login.example.com/"] {
            assert_eq!(
                of(issuer),
                [
                    "https://login.example.com/.well-known/oauth-authorization-server",
                    "https://login.example.com/.well-known/openid-configuration",
                ]
            );
        }
        assert_eq!(
            of("https://login.example.com:8443/realms/one"),
            [
                "https://login.example.com:8443/.well-known/oauth-authorization-server/realms/one",
                "https://login.example.com:8443/.well-known/openid-configuration/realms/one",
                "https://login.example.com:8443/realms/one/.well-known/openid-configuration",
            ]
        );
    }

    #[test]
    fn an_issuer_speaks_for_itself_alone() {
        let keys = |json: &str, issuer| Metadata::decode(json.as_bytes())?.keys_of(issuer);
        let said = r#"{"issuer": "https://a.example.com", "jwks_uri": "https://keys.example.com/a"}"#;
        assert_eq!(keys(said, "https://a.example.com").unwrap(), "https://keys.example.com/a");
        for (json, issuer) in [
            (said, "https://a.example.com/"),
            (said, "https://b.example.com"),
            (r#"{"issuer": "i"}"#, "i"),
            (r#"{"issuer": "i", "jwks_uri": "http://169.254.169.254/latest"}"#, "i"),
            (r#"{"issuer": "i", "jwks_uri": "file:///etc/passwd"}"#, "i"),
            (r#"{"issuer": "i", "jwks_uri": "https://user\u0040h/"}"#, "i"),
            (r#"{"issuer": "i", "jwks_uri": "/keys"}"#, "i"),
            (r#"{"jwks_uri": "https://keys.example.com/a"}"#, "i"),
            ("[]", "i"),
            ("<html>", "i"),
        ] {
            assert!(keys(json, issuer).is_err(), "{json}");
        }
    }
}

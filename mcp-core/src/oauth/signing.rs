//! An issuer's side, for tests: keys that sign.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair};
use serde_json::{Value, json};

/// A key that signs tokens. All but that of RSA, which takes too long to be made, are made anew each time.
pub struct SigningKey {
    id: String,
    algorithm: &'static str,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// Made for these tests, and of use nowhere else.
static RSA: &[u8] = include_bytes!("signing/rsa.der");

impl SigningKey {
    /// A key with that id, for one of `RS256`, `RS384`, `RS512`, `PS256`, `PS384`, `PS512`, `ES256`, `ES384` and `EdDSA`.
    ///
    /// # Panics
    /// For another algorithm.
    pub fn new(id: &str, algorithm: &'static str) -> Self {
        let random = SystemRandom::new();
        let ecdsa = |how| {
            let key = EcdsaKeyPair::generate_pkcs8(how, &random).expect("there is randomness");
            Pair::Ecdsa(EcdsaKeyPair::from_pkcs8(how, key.as_ref(), &random).expect("it was made so"))
        };
        let pair = match algorithm {
            "ES256" => ecdsa(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
            "ES384" => ecdsa(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
            "EdDSA" => {
                let key = Ed25519KeyPair::generate_pkcs8(&random).expect("there is randomness");
                Pair::Ed25519(Ed25519KeyPair::from_pkcs8(key.as_ref()).expect("it was made so"))
            }
            "RS256" | "RS384" | "RS512" | "PS256" | "PS384" | "PS512" => {
                Pair::Rsa(RsaKeyPair::from_der(RSA).expect("it is a key"))
            }
            other => panic!("no key for {other:?}"),
        };
        Self { id: id.to_owned(), algorithm, pair }
    }

    /// What its issuer publishes of it (RFC 7517).
    pub fn jwk(&self) -> Value {
        let (id, text) = (&self.id, |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes));
        match &self.pair {
            Pair::Rsa(pair) => {
                let PublicKeyComponents::<Vec<u8>> { n, e } = pair.public_key().into();
                json!({"kty": "RSA", "kid": id, "use": "sig", "n": text(&n), "e": text(&e)})
            }
            Pair::Ecdsa(pair) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let curve = if self.algorithm == "ES256" { "P-256" } else { "P-384" };
                json!({"kty": "EC", "kid": id, "alg": self.algorithm, "crv": curve, "x": text(x), "y": text(y)})
            }
            Pair::Ed25519(pair) => {
                json!({"kty": "OKP", "kid": id, "crv": "Ed25519", "x": text(pair.public_key().as_ref())})
            }
        }
    }

    /// A token with these claims.
    pub fn token(&self, claims: &Value) -> String {
        self.token_with(&json!({"alg": self.algorithm, "typ": "at+jwt", "kid": self.id}), claims)
    }

    /// A token with this header, whatever it says, and these claims.
    ///
    /// # Panics
    /// Where there is no randomness.
    pub fn token_with(&self, header: &Value, claims: &Value) -> String {
        let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let random = SystemRandom::new();
        let signed = match &self.pair {
            Pair::Rsa(pair) => {
                let how: &dyn signature::RsaEncoding = match self.algorithm {
                    "RS256" => &signature::RSA_PKCS1_SHA256,
                    "RS384" => &signature::RSA_PKCS1_SHA384,
                    "RS512" => &signature::RSA_PKCS1_SHA512,
                    "PS256" => &signature::RSA_PSS_SHA256,
                    "PS384" => &signature::RSA_PSS_SHA384,
                    _ => &signature::RSA_PSS_SHA512,
                };
                let mut signed = vec![0; pair.public().modulus_len()];
                pair.sign(how, &random, message.as_bytes(), &mut signed).expect("there is randomness");
                signed
            }
            Pair::Ecdsa(pair) => pair.sign(&random, message.as_bytes()).expect("there is randomness").as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message.as_bytes()).as_ref().to_vec(),
        };
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signed))
    }
}

/// What an issuer publishes: the set of these keys.
pub fn key_set(keys: &[&SigningKey]) -> Value {
    json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()})
}

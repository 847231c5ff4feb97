//! A key by which a signature is checked.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm};
use serde::Deserialize;

use super::algorithm::Algorithm;

/// A public key of an issuer. Cheap to clone.
#[derive(Clone)]
pub struct PublicKey(Arc<Key>);

struct Key {
    id: Option<String>,
    /// The only algorithm that it may be used with, where its issuer says so.
    only: Option<Algorithm>,
    material: Material,
}

enum Material {
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
    /// An uncompressed point.
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// The members of a JWK (RFC 7517, section 4; RFC 7518, section 6) that are looked at.
#[derive(Deserialize)]
pub(super) struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl PublicKey {
    /// The key's id, by which tokens name it.
    pub fn id(&self) -> Option<&str> {
        self.0.id.as_deref()
    }

    /// Whether the holder of the key has signed `message` so. A key of another type than the algorithm's has not.
    pub fn verifies(&self, algorithm: Algorithm, message: &[u8], signed: &[u8]) -> bool {
        use Algorithm::{EdDsa, Es256, Es384, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};

        if self.0.only.is_some_and(|only| only != algorithm) {
            return false;
        }
        let plain = |how: &'static dyn VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(how, key).verify(message, signed).is_ok()
        };
        match (&self.0.material, algorithm) {
            (Material::Rsa(key), algorithm) => {
                let how = match algorithm {
                    Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
                    Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
                    Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
                    Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
                    Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
                    Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
                    Es256 | Es384 | EdDsa => return false,
                };
                key.verify(how, message, signed).is_ok()
            }
            (Material::P256(point), Es256) => plain(&signature::ECDSA_P256_SHA256_FIXED, point),
            (Material::P384(point), Es384) => plain(&signature::ECDSA_P384_SHA384_FIXED, point),
            (Material::Ed25519(key), EdDsa) => plain(&signature::ED25519, key),
            _ => false,
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicKey").field(&self.id()).finish()
    }
}

impl Jwk {
    /// The key; none, where it is of a type that is not known here, or is not for signatures: such are to be passed over
    /// (RFC 7517, section 5).
    pub(super) fn into_key(self) -> Option<PublicKey> {
        let signs = self.usage.as_deref().is_none_or(|usage| usage == "sig")
            && self.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        if !signs {
            return None;
        }
        // One whose algorithm is not known here can be used with none.
        let only = match self.alg.as_deref() {
            Some(name) => Some(Algorithm::named(name)?),
            None => None,
        };
        let material = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => {
                let without_zeros = |bytes: Vec<u8>| bytes.into_iter().skip_while(|byte| *byte == 0).collect();
                let n: Vec<u8> = without_zeros(decoded(self.n.as_deref())?);
                // Shorter ones are not safe, and longer ones cost too much; those that check would refuse them anyway.
                (256..=1024).contains(&n.len()).then_some(())?;
                Material::Rsa(RsaPublicKeyComponents { n, e: without_zeros(decoded(self.e.as_deref())?) })
            }
            ("EC", Some("P-256")) => Material::P256(self.point(32)?),
            ("EC", Some("P-384")) => Material::P384(self.point(48)?),
            ("OKP", Some("Ed25519")) => Material::Ed25519(decoded(self.x.as_deref()).filter(|x| x.len() == 32)?),
            _ => return None,
        };
        Some(PublicKey(Arc::new(Key { id: self.kid, only, material })))
    }

    /// The point of a curve whose coordinates have so many bytes, uncompressed.
    fn point(&self, length: usize) -> Option<Vec<u8>> {
        let coordinate = |text: &Option<String>| decoded(text.as_deref()).filter(|bytes| bytes.len() == length);
        Some([vec![4], coordinate(&self.x)?, coordinate(&self.y)?].concat())
    }
}

fn decoded(text: Option<&str>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text?).ok()
}

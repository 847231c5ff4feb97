//! Why a server is not believed to be whom a URL names.

use std::io;

use tokio_rustls::rustls::{CertificateError, Error};

/// What a TLS handshake failed for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Distrust {
    #[error("its certificate is of an authority that is not trusted here")]
    Authority,
    #[error("its certificate is for other names")]
    Name,
    #[error("its certificate is refused ({0})")]
    Certificate(String),
    #[error("it does not speak TLS")]
    Plain,
    #[error("it has begun no TLS in time")]
    Silent,
}

impl Distrust {
    /// That of a handshake which ended so; nothing, where the connection was cut.
    pub(crate) fn of(error: &io::Error) -> Option<Self> {
        Some(match error.get_ref()?.downcast_ref()? {
            // An authority that was made anew under its old name signs otherwise.
            Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
                Self::Authority
            }
            Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) => Self::Name,
            Error::InvalidMessage(_) => Self::Plain,
            other => Self::Certificate(other.to_string()),
        })
    }
}

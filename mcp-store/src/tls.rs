//! What TLS is made of: one cryptography, named here, since a library takes and sets none for the whole process.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, Error, RootCertStore};

use crate::error::Cause;

/// A client that believes those for whom `trusted` vouches.
pub(crate) fn client(trusted: RootCertStore) -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    Ok(builder.with_safe_default_protocol_versions()?.with_root_certificates(trusted).with_no_client_auth())
}

/// The authorities in a file, in PEM, or those that browsers trust.
pub(crate) fn trusted(file: Option<&Path>) -> Result<RootCertStore, Cause> {
    let Some(file) = file else { return Ok(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect()) };
    let mut trusted = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&std::fs::read(file)?) {
        trusted.add(certificate.map_err(|error| format!("it cannot be read: {error}"))?)?;
    }
    if trusted.is_empty() {
        return Err("there is no certificate in it".into());
    }
    Ok(trusted)
}

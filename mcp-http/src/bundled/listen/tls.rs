//! TLS: a certificate that may be changed while the server serves, and the begin of a connection.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{Error, ServerConfig};
use tokio_rustls::server::TlsStream;

use crate::bundled::signals::Signals;
use crate::config::{Config, ConfigError};

/// Begins connections. Clones are the same.
#[derive(Clone)]
pub(in crate::bundled) struct Tls {
    acceptor: TlsAcceptor,
    certificate: Arc<Certificate>,
}

/// The certificate that the server shows, as its files had it last.
#[derive(Debug)]
struct Certificate {
    certificate: PathBuf,
    key: PathBuf,
    shown: RwLock<Arc<CertifiedKey>>,
    /// What was in the files when they were looked at last.
    read: Mutex<Files>,
}

/// The bytes of a certificate and of its key.
type Files = (Vec<u8>, Vec<u8>);

/// How often it is looked whether the files have changed.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

impl Tls {
    /// With the certificate that `config` names, if it names one: by TLS 1.2 or 1.3, and for HTTP/1.1 alone. HTTP/2 ends at a load balancer.
    pub(in crate::bundled) fn open(config: &Config) -> Result<Option<Self>, ConfigError> {
        let (certificate, key) = match (&config.tls_cert, &config.tls_key) {
            (None, None) => return Ok(None),
            (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
            (Some(_), None) => return Err(config.error("TLS_KEY", "set it to the file with the key of TLS_CERT")),
            (None, Some(_)) => {
                return Err(config.error("TLS_CERT", "set it to the file with the certificate of TLS_KEY"));
            }
        };
        let files = read(&certificate, &key).map_err(|(setting, problem)| config.error(setting, problem))?;
        let shown = certified(&files).map_err(|(setting, problem)| config.error(setting, problem))?;
        let shown = RwLock::new(Arc::new(shown));
        let certificate = Arc::new(Certificate { certificate, key, shown, read: Mutex::new(files) });
        let builder = ServerConfig::builder_with_provider(Arc::new(provider())).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| config.error("TLS_CERT", format!("TLS cannot be spoken: {error}")))?;
        let mut tls = builder.with_no_client_auth().with_cert_resolver(certificate.clone());
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Some(Self { acceptor: TlsAcceptor::from(Arc::new(tls)), certificate }))
    }

    /// Begins a connection; whoever speaks without TLS is told.
    pub(super) async fn accept(&self, tcp: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let mut first = [0];
        if tcp.peek(&mut first).await? == 1 && first[0] != HANDSHAKE {
            let _ = tcp.try_write(PLAIN.as_bytes());
            // What is not read would take the answer with it.
            while tcp.try_read(&mut [0; 4096]).is_ok_and(|read| read > 0) {}
            return Err(io::Error::other("it does not speak TLS"));
        }
        self.acceptor.accept(tcp).await
    }

    /// Shows what the files have from now on, whenever they change, or SIGHUP comes; what cannot be used changes nothing. It does not end.
    pub(in crate::bundled) async fn follow(&self) {
        let mut reload = Signals::to_reload();
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_AGAIN) => {}
                () = reload.next() => {}
            }
            self.certificate.look();
        }
    }
}

impl Certificate {
    fn look(&self) {
        let files = match read(&self.certificate, &self.key) {
            Ok(files) => files,
            Err((setting, problem)) => {
                tracing::error!(setting, problem, "the certificate cannot be read again; the one before is shown");
                return;
            }
        };
        let mut known = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if *known == files {
            return;
        }
        match certified(&files) {
            Ok(certified) => {
                *self.shown.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(certified);
                tracing::info!("a new certificate is shown");
            }
            Err((setting, problem)) => {
                tracing::error!(setting, problem, "the new certificate cannot be used; the one before is shown");
            }
        }
        *known = files;
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.shown.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// A setting, and what is wrong with its file.
type Fault = (&'static str, String);

fn read(certificate: &Path, key: &Path) -> Result<Files, Fault> {
    let read = |setting, path: &Path| {
        std::fs::read(path).map_err(|error| (setting, format!("{} cannot be read: {error}", path.display())))
    };
    Ok((read("TLS_CERT", certificate)?, read("TLS_KEY", key)?))
}

fn certified((certificate, key): &Files) -> Result<CertifiedKey, Fault> {
    let expected = |what: &str| format!("expected a PEM file with {what}");
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
    let chain =
        chain.map_err(|error| ("TLS_CERT", format!("{}: {error}", expected("the certificate and its chain"))))?;
    if chain.is_empty() {
        return Err(("TLS_CERT", format!("{}, got none", expected("the certificate and its chain"))));
    }
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|error| ("TLS_KEY", format!("{}: {error}", expected("a key that has no password"))))?;
    CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
        Error::InconsistentKeys(_) => ("TLS_KEY", "it is not the key of the certificate in TLS_CERT".to_owned()),
        Error::InvalidCertificate(error) => ("TLS_CERT", format!("the certificate cannot be used: {error}")),
        error => ("TLS_KEY", format!("the key cannot be used: {error}")),
    })
}

fn provider() -> CryptoProvider {
    ring::default_provider()
}

/// What the first record of TLS begins with (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// The answer to a request that comes without TLS.
const PLAIN: &str = "HTTP/1.1 400 Bad Request\r\n\
    content-type: text/plain\r\n\
    content-length: 37\r\n\
    connection: close\r\n\
    \r\n\
    this port speaks TLS: use https://...";

#[cfg(test)]
mod tests {
    use mcp_store::test_servers::Authority;

    use super::*;

    #[test]
    fn a_certificate_that_cannot_be_used_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("server.pem"), folder.path().join("server.key"));
        let vouch = || Authority::new().vouch("localhost", folder.path());
        vouch();
        let files = read(&certificate, &key).unwrap();
        let shown = RwLock::new(Arc::new(certified(&files).unwrap()));
        let known = Certificate { certificate: certificate.clone(), key, shown, read: Mutex::new(files) };
        let shown = || known.shown.read().unwrap().cert.clone();
        let first = shown();
        known.look();
        std::fs::write(&certificate, "no certificate").unwrap();
        known.look();
        std::fs::remove_file(&certificate).unwrap();
        known.look();
        assert_eq!(shown(), first);
        vouch();
        known.look();
        assert_ne!(shown(), first);
    }
}

//! An authority that vouches for servers.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use tempfile::TempDir;

/// An authority of one's own. Its file goes with it; the servers that have its certificates do not.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

/// The files of a server that is vouched for.
pub(super) struct Identity {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

impl Authority {
    /// One that nobody trusts yet.
    pub fn new() -> Self {
        let mut about = CertificateParams::default();
        about.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        about.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let issuer = CertifiedIssuer::self_signed(about, key()).expect("an authority can be made");
        let folder = TempDir::new().expect("a temporary folder can be made");
        write(&folder.path().join(FILE), &issuer.pem());
        Self { issuer, folder }
    }

    /// The file with its own certificate.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join(FILE)
    }

    /// Vouches for a server of that name, whose files are put into `folder`: `server.pem` and `server.key`.
    pub fn vouch(&self, name: &str, folder: &Path) {
        let (about, key) = (CertificateParams::new([name.to_owned()]).expect("it can be a name"), key());
        let certificate = about.signed_by(&key, &self.issuer).expect("an authority can sign");
        let identity = Identity::of(folder);
        write(&identity.certificate, &certificate.pem());
        write(&identity.key, &key.serialize_pem());
    }
}

impl Identity {
    /// That of the server in `folder`.
    pub(super) fn of(folder: &Path) -> Self {
        Self { certificate: folder.join("server.pem"), key: folder.join("server.key") }
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

const FILE: &str = "authority.pem";

fn key() -> KeyPair {
    KeyPair::generate().expect("a key can be made")
}

/// Writes a file that is its owner's alone, as servers ask for where it is a key.
fn write(file: &Path, text: &str) {
    std::fs::write(file, text).expect("the folder can be written to");
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(file, mode).expect("its owner may say who reads it");
    }
}

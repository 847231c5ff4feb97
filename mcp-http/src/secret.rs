//! The keys under which the server seals what leaves it and comes back.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hkdf::Hkdf;
use secrecy::{ExposeSecret, SecretBox, SecretString};
use sha2::Sha256;

use crate::config::{Config, ConfigError};

/// The server's secret keys, the newest first: the first seals, all of them open. Never used themselves: each purpose has a
/// subkey of its own (HKDF-SHA256, RFC 5869).
pub struct SecretKeys(Vec<SecretBox<[u8]>>);

/// The name of the file beside the SQLite database.
const FILE: &str = "secret.key";

impl SecretKeys {
    /// Refuses what [`SecretKeys::load`] would refuse for want of a key, before anything is touched.
    pub(crate) fn check(config: &Config) -> Result<(), ConfigError> {
        if config.secret_keys.is_empty() && config.data_folder().is_none() {
            return Err(config.error(
                "SECRET_KEYS",
                "PostgreSQL is for replicas, which must share a key: run `export SECRET_KEYS=\"$(openssl rand -base64 32)\"`, \
                 once, and give each replica the same",
            ));
        }
        Ok(())
    }

    /// The keys of `SECRET_KEYS`; without it, and with SQLite, the key in the database's folder, made at the first start and
    /// readable by its owner only.
    ///
    /// # Errors
    /// [`ConfigError`] when the file cannot be read or made, or when others may read it.
    pub fn load(config: &Config) -> Result<Self, ConfigError> {
        Self::read(config, read_or_make)
    }

    /// The keys that are there; none is made.
    ///
    /// # Errors
    /// As [`SecretKeys::load`].
    pub(crate) fn existing(config: &Config) -> Result<Self, ConfigError> {
        Self::read(
            config,
            |path| if path.exists() { read_or_make(path) } else { Err(io::Error::other("is not there")) },
        )
    }

    fn read(config: &Config, file: impl Fn(&Path) -> io::Result<SecretString>) -> Result<Self, ConfigError> {
        Self::check(config)?;
        let keys = match config.data_folder() {
            Some(folder) if config.secret_keys.is_empty() => {
                let path = folder.join(FILE);
                let key =
                    file(&path).map_err(|error| config.error("SECRET_KEYS", format!("{} {error}", path.display())))?;
                vec![key]
            }
            _ => config.secret_keys.clone(),
        };
        let decode =
            |key: &SecretString| STANDARD.decode(key.expose_secret().trim()).ok().filter(|key| key.len() >= 32);
        let keys: Option<Vec<_>> = keys.iter().map(|key| decode(key).map(|key| SecretBox::new(key.into()))).collect();
        keys.map(Self).ok_or_else(|| config.error("SECRET_KEYS", "a key is not 32 bytes in base64"))
    }

    /// Whether [`SecretKeys::load`] would make a key.
    pub(crate) fn are_missing(config: &Config) -> bool {
        config.secret_keys.is_empty() && config.data_folder().is_some_and(|folder| !folder.join(FILE).exists())
    }

    /// The subkeys for one purpose, the newest first. The same purpose has the same subkeys on every replica.
    pub fn subkeys(&self, purpose: &str) -> impl Iterator<Item = [u8; 32]> {
        self.0.iter().map(move |key| {
            let mut subkey = [0; 32];
            // 32 bytes are far below the 8160 at which this fails.
            let expanded = Hkdf::<Sha256>::new(None, key.expose_secret()).expand(purpose.as_bytes(), &mut subkey);
            debug_assert!(expanded.is_ok());
            subkey
        })
    }
}

fn read_or_make(path: &Path) -> io::Result<SecretString> {
    let explain = |what: &str, error: io::Error| io::Error::other(format!("{what}: {error}"));
    match File::open(path) {
        Ok(mut file) => {
            refuse_if_others_read(&file)?;
            let mut text = String::new();
            file.read_to_string(&mut text).map_err(|error| explain("cannot be read", error))?;
            Ok(text.into())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make(path).map_err(|error| explain("cannot be made", error))
        }
        Err(error) => Err(explain("cannot be read", error)),
    }
}

fn make(path: &Path) -> io::Result<SecretString> {
    let mut key = [0_u8; 32];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    let text = STANDARD.encode(key);
    if let Some(folder) = path.parent() {
        let mut private = DirBuilder::new();
        private.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut private, 0o700);
        private.create(folder)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    // A power cut takes what is synced of a file with its name, if that is not synced as well. Elsewhere a folder cannot be opened.
    if cfg!(unix) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(text.into())
}

#[cfg(unix)]
fn refuse_if_others_read(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    match file.metadata()?.permissions().mode() & 0o077 {
        0 => Ok(()),
        _ => Err(io::Error::other("can be read by others than its owner; run `chmod 600` on it")),
    }
}

#[cfg(not(unix))]
fn refuse_if_others_read(_: &File) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(folder: &Path, keys: &str) -> Config {
        let url = format!("sqlite:{}/mcp.db", folder.display());
        let environment = [("DATABASE_URL", url.as_str()), ("SECRET_KEYS", keys)];
        Config::load_from(None, environment.map(|(key, value)| (key.to_owned(), value.to_owned()))).unwrap()
    }

    #[test]
    fn a_key_is_made_once_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let first: Vec<_> = SecretKeys::load(&config(&data, "")).unwrap().subkeys("a").collect();
        let again: Vec<_> = SecretKeys::load(&config(&data, "")).unwrap().subkeys("a").collect();
        assert_eq!(first, again);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let path = data.join(FILE);
            assert_eq!(std::fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            for read_by_its_group_or_all in [0o640, 0o604] {
                let permissions = std::fs::Permissions::from_mode(read_by_its_group_or_all);
                std::fs::set_permissions(&path, permissions).unwrap();
                let error = SecretKeys::load(&config(&data, "")).map(drop).unwrap_err().to_string();
                assert!(error.contains("SECRET_KEYS") && error.contains("chmod 600"), "{error}");
            }
        }
    }

    #[test]
    fn each_purpose_has_a_key_of_its_own_and_the_newest_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (STANDARD.encode([1; 32]), STANDARD.encode([2; 32]));
        let before: Vec<_> = SecretKeys::load(&config(folder.path(), &old)).unwrap().subkeys("a").collect();
        let rotated = SecretKeys::load(&config(folder.path(), &format!("{new},{old}"))).unwrap();
        let after: Vec<_> = rotated.subkeys("a").collect();
        assert_eq!(after.len(), 2);
        assert_eq!(after[1], before[0]);
        assert_ne!(after[0], before[0]);
        assert_ne!(rotated.subkeys("b").next(), rotated.subkeys("a").next());
    }
}

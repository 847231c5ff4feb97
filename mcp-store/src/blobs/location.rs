//! Where blobs are kept.

use std::path::PathBuf;
use std::sync::Arc;

use mcp_core::store::blobs::Blobs;

use super::FolderBlobs;
use crate::error::OpenError;

/// A place for blobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    /// A folder of this machine.
    Folder(PathBuf),
}

/// A place that is open.
pub(crate) struct Opened {
    pub(crate) blobs: Arc<dyn Blobs>,
    /// Where it is a folder of this machine.
    pub(crate) folder: Option<PathBuf>,
}

impl Location {
    /// Reads a URL: `file:PATH`.
    pub(crate) fn parse(url: &str) -> Result<Self, OpenError> {
        let bad = |problem: &str| OpenError::Files { problem: problem.to_owned() };
        match url.split_once(':') {
            Some(("file", path)) => match path.strip_prefix("//").unwrap_or(path) {
                "" => Err(bad("it has no path")),
                path => Ok(Self::Folder(PathBuf::from(path))),
            },
            Some((scheme, _)) => Err(bad(&format!("files are kept in a folder, not in {scheme:?}"))),
            None => Err(bad("it has no scheme")),
        }
    }

    /// Makes what is missing of it.
    pub(crate) fn open(&self) -> Result<Opened, OpenError> {
        match self {
            Self::Folder(folder) => {
                let blobs = FolderBlobs::open(folder).map_err(|error| OpenError::Files {
                    problem: format!("{} cannot be used: {error}", folder.display()),
                })?;
                Ok(Opened { blobs: Arc::new(blobs), folder: Some(folder.clone()) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_folder() {
        for (url, path) in
            [("file:./data/files", "./data/files"), ("file:///srv/files", "/srv/files"), ("file:/srv", "/srv")]
        {
            assert_eq!(Location::parse(url).unwrap(), Location::Folder(PathBuf::from(path)));
        }
        for url in ["", "files", "file:", "file://", "ftp://host/files"] {
            let refused = Location::parse(url).unwrap_err().to_string();
            assert!(refused.contains("FILES_URL") && !refused.contains('\n'), "{refused}");
        }
    }
}

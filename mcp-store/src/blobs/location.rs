//! Where blobs are kept.

use std::path::PathBuf;
use std::sync::Arc;

use mcp_core::store::blobs::Blobs;

use super::FolderBlobs;
#[cfg(feature = "s3")]
use super::bucket::BucketBlobs;
use crate::error::OpenError;

/// A place for blobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A bucket of S3, or of another store that speaks as S3 does.
    #[cfg(feature = "s3")]
    Bucket {
        name: String,
        /// What stands before the names of blobs.
        prefix: String,
    },
}

/// A place that is open.
pub(crate) struct Opened {
    pub(crate) blobs: Arc<dyn Blobs>,
    /// Where it is a folder of this machine.
    pub(crate) folder: Option<PathBuf>,
}

impl Location {
    /// Reads a URL: `file:PATH`, or `s3://BUCKET/PREFIX`.
    pub(crate) fn parse(url: &str) -> Result<Self, OpenError> {
        let bad = |problem: &str| OpenError::Files { problem: problem.to_owned() };
        match url.split_once(':') {
            Some(("file", path)) => match path.strip_prefix("//").unwrap_or(path) {
                "" => Err(bad("it has no path")),
                path => Ok(Self::Folder(PathBuf::from(path))),
            },
            Some(("s3", place)) => bucket(place).map_err(bad),
            Some((scheme, _)) => Err(bad(&format!("files are kept in a folder or in S3, not in {scheme:?}"))),
            None => Err(bad("it has no scheme")),
        }
    }

    /// Makes what is missing of a folder, and asks a bucket whether it lets us in, in which case `variables` say who we are.
    #[cfg_attr(not(feature = "s3"), allow(unused_variables))]
    pub(crate) async fn open(&self, variables: &[(String, String)]) -> Result<Opened, OpenError> {
        match self {
            Self::Folder(folder) => {
                let blobs = FolderBlobs::open(folder).map_err(|error| OpenError::Files {
                    problem: format!("{} cannot be used: {error}", folder.display()),
                })?;
                Ok(Opened { blobs: Arc::new(blobs), folder: Some(folder.clone()) })
            }
            #[cfg(feature = "s3")]
            Self::Bucket { name, prefix } => {
                let blobs = BucketBlobs::open(name, prefix, variables).await?;
                Ok(Opened { blobs: Arc::new(blobs), folder: None })
            }
        }
    }
}

/// Reads what stands behind `s3:`.
#[cfg(feature = "s3")]
fn bucket(place: &str) -> Result<Location, &'static str> {
    let place = place.strip_prefix("//").unwrap_or_default();
    let (name, prefix) = place.split_once('/').unwrap_or((place, ""));
    let fits = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
    if !(3..=63).contains(&name.len()) || !name.bytes().all(fits) {
        return Err("behind s3:// stands no bucket (3 to 63 small letters, digits, dots and dashes)");
    }
    if prefix.contains(['?', '#']) {
        return Err("behind s3:// stand a bucket and a prefix, and nothing else");
    }
    Ok(Location::Bucket { name: name.to_owned(), prefix: prefix.to_owned() })
}

/// Reads what stands behind `s3:`.
#[cfg(not(feature = "s3"))]
fn bucket(_: &str) -> Result<Location, &'static str> {
    Err("this program was built without the feature s3")
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
            refuse(url);
        }
    }

    #[cfg(feature = "s3")]
    #[test]
    fn a_url_names_a_bucket() {
        for (url, prefix) in [("s3://a-bucket", ""), ("s3://a-bucket/", ""), ("s3://a-bucket/p/q", "p/q")] {
            let (name, prefix) = ("a-bucket".to_owned(), prefix.to_owned());
            assert_eq!(Location::parse(url).unwrap(), Location::Bucket { name, prefix });
        }
        for url in
            ["s3:", "s3:a-bucket", "s3://", "s3:///p", "s3://id:key@a-bucket", "s3://A", "s3://a-bucket/p?region=x"]
        {
            refuse(url);
        }
    }

    fn refuse(url: &str) {
        let refused = Location::parse(url).unwrap_err().to_string();
        assert!(refused.contains("FILES_URL") && !refused.contains('\n'), "{refused}");
        assert!(!refused.contains("key"), "{refused}");
    }
}

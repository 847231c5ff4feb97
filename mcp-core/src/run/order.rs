//! What a run is to do, as it is kept.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::RunError;
use crate::store::runs::RunRecord;

#[derive(Deserialize)]
struct Version {
    version: u8,
}

/// Reads the arguments of a run, which say their version: a replica of the version before may have begun it, or of the next.
///
/// # Errors
/// They are no such thing; they are of another version, whose server is to go on with the run.
pub(crate) fn read<T: DeserializeOwned>(run: &RunRecord, version: u8) -> Result<T, RunError> {
    let bad = |error| RunError::failed(format!("what the run is to do cannot be read: {error}"));
    let written: Version = serde_json::from_slice(&run.arguments).map_err(bad)?;
    if written.version == version {
        serde_json::from_slice(&run.arguments).map_err(bad)
    } else {
        Err(RunError::again("the run was begun by another version of this server"))
    }
}

//! The moment up to which a request can be made anew: nothing of its reply was given out.

use std::future::ready;

use futures_util::StreamExt;
use futures_util::stream::once;

use super::error::ModelError;
use super::request::ModelRequest;
use super::{Deltas, LanguageModel};

/// Asks, and gives the reply once the first of it is there. What fails before that fails here.
pub(super) async fn begun(model: &dyn LanguageModel, request: &ModelRequest) -> Result<Deltas, ModelError> {
    let mut deltas = model.stream(request).await?;
    match deltas.next().await {
        Some(Ok(first)) => Ok(once(ready(Ok(first))).chain(deltas).boxed()),
        Some(Err(error)) => Err(error),
        None => Err(ModelError::broken("it was cut before it began")),
    }
}

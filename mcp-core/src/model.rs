//! Language models: messages in, a stream of deltas out. Who speaks with a provider is elsewhere (mcp-connect); here is what is said,
//! and what can be put around any model: [`Retrying`](retrying::Retrying), [`Fallback`](fallback::Fallback),
//! [`Metered`](metered::Metered), [`Priced`](priced::Priced), [`Recorder`](recorder::Recorder).
//!
//! ```
//! use mcp_core::model::scripted::ScriptedModel;
//! use mcp_core::{LanguageModelExt, Message, ModelRequest};
//!
//! # futures_util::FutureExt::now_or_never(async {
//! let model = ScriptedModel::new(["Good day."]);
//! let reply = model.complete(&ModelRequest::new([Message::user("Hello!")])).await?;
//! assert_eq!(reply.message.text(), "Good day.");
//! # Ok::<(), mcp_core::ModelError>(()) }).unwrap().unwrap();
//! ```

pub mod allowance;
mod begun;
mod bucket;
pub mod cassette;
pub mod delta;
pub mod error;
pub mod fallback;
pub mod message;
pub mod metered;
pub mod price;
pub mod priced;
pub mod recorder;
pub mod replayer;
pub mod reply;
pub mod request;
pub mod retrying;
pub mod scripted;
mod shared;
pub mod usage;

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use delta::Delta;
use error::ModelError;
use reply::{Draft, Reply};
use request::ModelRequest;

/// Goes on with a conversation.
///
/// Promises, of each that implements it:
/// - A stream gives any number of deltas, and then [`Delta::End`] or an error; nothing comes after those. One that ends with neither
///   was cut, and is taken for [`ModelError::BrokenStream`].
/// - Whoever drops the future or the stream has cancelled the request: nothing goes on behind it.
/// - An error holds no secret, and says whether to ask again.
#[async_trait]
pub trait LanguageModel: Send + Sync + 'static {
    /// `provider::model`, by which it stands in price tables, figures and cassettes.
    fn name(&self) -> &str;

    /// Asks, and gives what the model says as it comes.
    ///
    /// Cancel safe: who drops the future has asked or not, and learns of no answer.
    ///
    /// # Errors
    /// As [`ModelError`] has them; some providers tell of them here, and some on the stream.
    async fn stream(&self, request: &ModelRequest) -> Result<Deltas, ModelError>;
}

/// What a model says, piece by piece.
pub type Deltas = BoxStream<'static, Result<Delta, ModelError>>;

/// Conveniences of every model.
#[async_trait]
pub trait LanguageModelExt: LanguageModel {
    /// Asks, and waits for the whole reply.
    ///
    /// # Errors
    /// As [`LanguageModel::stream`] and its stream, and [`ModelError::TooLarge`].
    async fn complete(&self, request: &ModelRequest) -> Result<Reply, ModelError> {
        let (mut deltas, mut draft) = (self.stream(request).await?, Draft::default());
        while let Some(delta) = deltas.next().await {
            draft.push(delta?)?;
        }
        draft.finish()
    }
}

impl<T: LanguageModel + ?Sized> LanguageModelExt for T {}

#[async_trait]
impl<T: LanguageModel + ?Sized> LanguageModel for Arc<T> {
    fn name(&self) -> &str {
        (**self).name()
    }

    async fn stream(&self, request: &ModelRequest) -> Result<Deltas, ModelError> {
        (**self).stream(request).await
    }
}

#[async_trait]
impl<T: LanguageModel + ?Sized> LanguageModel for Box<T> {
    fn name(&self) -> &str {
        (**self).name()
    }

    async fn stream(&self, request: &ModelRequest) -> Result<Deltas, ModelError> {
        (**self).stream(request).await
    }
}

//! A question in the middle of a call (basic/patterns/mrtr; client/elicitation, client/sampling, client/roots).

pub(crate) mod dialogue;
pub(crate) mod form;
pub(crate) mod in_place;
mod question;
mod roots;
pub(crate) mod rounds;
mod sampling;
pub(crate) mod state;

pub use question::{Elicited, Question};
pub use roots::Root;
pub use rounds::InputRequired;
pub use sampling::{Sampled, Sampling};

use std::pin::pin;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::capability::{ClientCapabilities, ClientCapability};
use crate::context::Context;
use crate::tool::error::ToolError;
use question::Reading;

/// How long a key may be, in bytes.
const LONGEST_KEY: usize = 128;

impl Context {
    /// Asks whoever calls, and gives the answer. The first time nobody has answered yet: then the call ends here, its client is sent the
    /// question, and sends the call again with the answer, to this server or to another replica. In that run everything before this
    /// line is done again, and this line gives the answer.
    ///
    /// So it is promised:
    /// - Code behind a question that is not answered does not run; what is dropped is dropped. Hold no lock and no transaction over it.
    /// - The questions that are sent are those that are alive when the tool can go no further: of `join!` both, of `select!` both.
    /// - What runs beside a question, or has run before it, runs again, but for what was given to [`Context::once`].
    /// - Each key is asked at most once in a run; use the same keys for the same questions in each run. Where the question under a key
    ///   has changed, it is asked again.
    ///
    /// Cancel safe: a question that is dropped is not sent.
    ///
    /// # Errors
    /// [`ToolError::Failed`] where the user declined, or was asked too often; [`ToolError::Incapable`] where the client cannot be asked this;
    /// [`ToolError::Internal`] where the key was used before in this run, the form cannot be shown, or nobody can be asked here, as in a
    /// tool whose results are cached.
    pub async fn ask<A>(&self, key: &str, question: Question<A>) -> Result<A, ToolError> {
        let dialogue = self.dialogue().ok_or_else(|| internal("nobody can be asked here"))?;
        let asked = question.asked().map_err(internal)?;
        dialogue.can(&question.needs)?;
        let key = self.full_key(key)?;
        let mut answer = dialogue.begin(&key, &asked)?;
        loop {
            let value = match answer.take() {
                Some(value) => value,
                None => dialogue.wait(&key, &asked).await?,
            };
            match question.read(value) {
                Reading::Answer(answer) => return Ok(answer),
                Reading::Declined(how) => {
                    return Err(ToolError::failed(format!("the user has {how} the question {key:?}")));
                }
                // It is asked again.
                Reading::Unfit => dialogue.unfit(&key),
            }
        }
    }

    /// Does something that is not done again when the call is sent again with answers: its result is kept meanwhile, by the client, who
    /// cannot read or change it. No more than that is promised: a call that is sent again for another reason does it again, unless it
    /// has an idempotency key.
    ///
    /// A call does not end with questions as long as such a thing is under way.
    ///
    /// Not cancel safe: what was begun is begun.
    ///
    /// # Errors
    /// That of `work`, which is not kept; [`ToolError::Internal`] where the key was used before in this run, or the result does not become
    /// JSON and back.
    pub async fn once<T, E>(&self, key: &str, work: impl Future<Output = Result<T, E>>) -> Result<T, ToolError>
    where
        T: Serialize + DeserializeOwned,
        E: Into<ToolError>,
    {
        let Some(dialogue) = self.dialogue() else { return work.await.map_err(Into::into) };
        let key = self.full_key(key)?;
        if let Some(kept) = dialogue.kept(&key)? {
            return Ok(serde_json::from_value(kept)?);
        }
        let _under_way = dialogue.hold();
        let done = pin!(work).await.map_err(Into::into)?;
        dialogue.keep(&key, serde_json::to_value(&done)?);
        Ok(done)
    }

    /// Lets the client go: from here on the call takes long. Where the tool [`detaches`](crate::ToolSpec::detaches) and the client can
    /// follow tasks, the call ends here as it does at a question, and is made again as a task, from its beginning, with all that was
    /// answered and kept: there, and wherever the client waits for the result, this line does nothing.
    ///
    /// Cancel safe: what is dropped lets nobody go.
    pub async fn detach(&self) {
        if let Some(dialogue) = self.dialogue() {
            dialogue.detach().await;
        }
    }

    /// The same call under which the keys of questions begin with `name`: for parts of a tool that are written apart, and do not know
    /// each other's keys.
    #[must_use]
    pub fn scope(&self, name: &str) -> Self {
        self.within(&format!("{name}/"))
    }

    /// What the client says that it can do.
    pub fn client(&self) -> ClientCapabilities {
        self.dialogue().map(|dialogue| dialogue.client().clone()).unwrap_or_default()
    }

    /// Whether the client can do this.
    pub fn client_can(&self, capability: ClientCapability) -> bool {
        self.client().has(capability)
    }

    fn full_key(&self, key: &str) -> Result<String, ToolError> {
        let full = format!("{}{key}", self.key_prefix());
        if key.is_empty() || full.len() > LONGEST_KEY {
            return Err(internal(format!("the key {full:?} has not 1 to {LONGEST_KEY} bytes")));
        }
        Ok(full)
    }
}

fn internal(message: impl Into<String>) -> ToolError {
    ToolError::Internal(message.into().into())
}

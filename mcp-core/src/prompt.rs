//! What a prompt is: messages for a model, made when they are asked for (server/prompts).

pub mod function;
pub mod message;
pub mod spec;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::catalog::Offered;
use crate::completion::{Completing, Completion};
use crate::context::Context;
use crate::policy::Requirement;
use crate::strings::StringArguments;
use crate::tool::error::ToolError;
use message::PromptOutput;
use spec::PromptSpec;

/// A prompt. Most are made of a function by [`prompt_fn`](function::prompt_fn).
#[async_trait]
pub trait Prompt: Send + Sync + 'static {
    /// What it is called and takes. Read once, when it is offered.
    fn spec(&self) -> &PromptSpec;

    /// The messages. What the spec requires is there.
    ///
    /// A client that leaves drops the future: to ask for messages changes nothing.
    ///
    /// # Errors
    /// See [`ToolError`]: what the client may see depends on the variant.
    async fn get(&self, arguments: StringArguments, cx: Context) -> Result<PromptOutput, ToolError>;

    /// What an argument may become (server/utilities/completion).
    ///
    /// # Errors
    /// As [`Prompt::get`].
    async fn complete(&self, asked: Completing, cx: Context) -> Result<Completion, ToolError> {
        let _ = (asked, cx);
        Ok(Completion::default())
    }
}

/// A prompt with all that is worked out once, when it is offered.
pub struct OfferedPrompt {
    prompt: Arc<dyn Prompt>,
    wire: Bytes,
}

impl OfferedPrompt {
    /// Checks the spec and prepares it.
    ///
    /// # Errors
    /// [`BadPrompt`], which says what is wrong with the spec.
    pub fn new(prompt: Arc<dyn Prompt>) -> Result<Self, BadPrompt> {
        let spec = prompt.spec();
        let bad = |fault: String| BadPrompt { name: spec.name().to_owned(), fault };
        spec.check().map_err(bad)?;
        let wire = serde_json::to_vec(&spec.wire).map_err(|error| bad(error.to_string()))?.into();
        Ok(Self { prompt, wire })
    }

    /// What it says of itself.
    pub fn spec(&self) -> &PromptSpec {
        self.prompt.spec()
    }

    pub(crate) fn prompt(&self) -> &dyn Prompt {
        &*self.prompt
    }
}

impl Offered for OfferedPrompt {
    fn key(&self) -> &str {
        self.spec().name()
    }

    fn requirement(&self) -> &Requirement {
        &self.spec().requirement
    }

    fn json(&self) -> &Bytes {
        &self.wire
    }
}

/// A prompt that cannot be offered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the prompt {name:?} cannot be offered: {fault}")]
pub struct BadPrompt {
    name: String,
    fault: String,
}

impl BadPrompt {
    pub(crate) fn twice(name: String) -> Self {
        Self { name, fault: "another prompt has this name".to_owned() }
    }
}

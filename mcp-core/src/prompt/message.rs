//! What a prompt gives.

use crate::content::{Content, Role};
use crate::json;

/// Messages, for a conversation to begin with or to go on with (schema, `GetPromptResult`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PromptOutput {
    description: Option<String>,
    messages: Vec<PromptMessage>,
}

/// One thing that is said (schema, `PromptMessage`).
#[derive(Clone, Debug, PartialEq)]
pub struct PromptMessage {
    role: Role,
    content: Content,
}

impl PromptMessage {
    /// The user says it.
    pub fn user(content: impl Into<Content>) -> Self {
        Self { role: Role::User, content: content.into() }
    }

    /// The assistant says it.
    pub fn assistant(content: impl Into<Content>) -> Self {
        Self { role: Role::Assistant, content: content.into() }
    }
}

impl PromptOutput {
    /// These messages.
    pub fn new(messages: impl IntoIterator<Item = PromptMessage>) -> Self {
        Self { description: None, messages: messages.into_iter().collect() }
    }

    /// What they are, in place of the prompt's own description.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// The messages.
    pub fn messages(&self) -> &[PromptMessage] {
        &self.messages
    }

    /// Roughly how many bytes it takes.
    pub(crate) fn size(&self) -> usize {
        self.messages.iter().map(|message| message.content.size() + 32).sum()
    }

    /// Writes the members of the result object; `description` is that of the prompt.
    pub(crate) fn encode_members(&self, out: &mut Vec<u8>, description: &str) {
        out.extend_from_slice(b"\"description\":");
        json::write_string(out, self.description.as_deref().unwrap_or(description));
        out.extend_from_slice(b",\"messages\":");
        json::write_list(out, &self.messages, |out, message| {
            out.extend_from_slice(b"{\"role\":");
            json::write(out, &message.role);
            out.extend_from_slice(b",\"content\":");
            message.content.encode(out);
            out.push(b'}');
        });
    }
}

/// What the function of a prompt may return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the output of a prompt",
    label = "no messages",
    note = "the output is a text, which the user says, a `PromptMessage`, a `Vec<PromptMessage>`, or a `PromptOutput`"
)]
pub trait IntoMessages: Send {
    /// The messages.
    fn into_messages(self) -> PromptOutput;
}

impl IntoMessages for PromptOutput {
    fn into_messages(self) -> PromptOutput {
        self
    }
}

impl IntoMessages for Vec<PromptMessage> {
    fn into_messages(self) -> PromptOutput {
        PromptOutput::new(self)
    }
}

impl IntoMessages for PromptMessage {
    fn into_messages(self) -> PromptOutput {
        PromptOutput::new([self])
    }
}

impl IntoMessages for String {
    fn into_messages(self) -> PromptOutput {
        PromptMessage::user(self).into_messages()
    }
}

impl IntoMessages for &'static str {
    fn into_messages(self) -> PromptOutput {
        PromptMessage::user(self).into_messages()
    }
}

//! What a model has said, put together.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::delta::{Delta, End, ToolCallPiece};
use super::error::ModelError;
use super::message::{Message, Part, Reasoning, Role, ToolCall};

/// A whole reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// What the model has said; each of its calls has an id of its own.
    pub message: Message,
    /// How it has ended.
    #[serde(flatten)]
    pub end: End,
}

/// A reply that is not complete: deltas are put together in it. It has room for [`Draft::LARGEST`] bytes and
/// [`Draft::MOST_CALLS`] calls.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    parts: Vec<Part>,
    /// Where in the parts each call is, by its place among the calls.
    calls: Vec<(u32, usize)>,
    size: usize,
    end: Option<End>,
}

impl Draft {
    /// How many bytes a reply has at the most.
    pub const LARGEST: usize = 4 * 1024 * 1024;

    /// How many calls a reply has at the most.
    pub const MOST_CALLS: usize = 1_000;

    /// Adds a piece.
    ///
    /// # Errors
    /// [`ModelError::TooLarge`], where there is no room for it, and [`ModelError::BrokenStream`], where the reply was complete.
    pub fn push(&mut self, delta: Delta) -> Result<(), ModelError> {
        self.size = self.size.saturating_add(delta.size());
        if self.size > Self::LARGEST {
            let message = format!("the reply has more than {} bytes", Self::LARGEST);
            return Err(ModelError::TooLarge { message });
        }
        if self.end.is_some() {
            return Err(ModelError::broken("more came after the end of the reply"));
        }
        match delta {
            Delta::Text { text } => self.push_text(text),
            Delta::Reasoning(thought) => self.push_thought(thought),
            Delta::ToolCall(piece) => self.push_call(piece)?,
            Delta::End(end) => self.end = Some(end),
        }
        Ok(())
    }

    fn push_text(&mut self, more: String) {
        match self.parts.last_mut() {
            Some(Part::Text { text }) => text.push_str(&more),
            _ if more.is_empty() => {}
            _ => self.parts.push(Part::Text { text: more }),
        }
    }

    fn push_thought(&mut self, more: Reasoning) {
        match self.parts.last_mut() {
            Some(Part::Reasoning(thought)) if thought.opaque.is_none() => {
                thought.text.push_str(&more.text);
                thought.opaque = more.opaque;
            }
            _ => self.parts.push(Part::Reasoning(more)),
        }
    }

    fn push_call(&mut self, piece: ToolCallPiece) -> Result<(), ModelError> {
        let ToolCallPiece { index, id, name, arguments } = piece;
        let at = self.calls.iter().rfind(|(of, _)| *of == index).map(|(_, at)| *at);
        if let Some(Part::ToolCall(call)) = at.and_then(|at| self.parts.get_mut(at)) {
            if call.id.is_empty() {
                call.id = id;
            }
            if call.name.is_empty() {
                call.name = name;
            }
            call.arguments.push_str(&arguments);
            return Ok(());
        }
        if self.calls.len() >= Self::MOST_CALLS {
            let message = format!("the reply calls more than {} tools at once", Self::MOST_CALLS);
            return Err(ModelError::TooLarge { message });
        }
        self.calls.push((index, self.parts.len()));
        self.parts.push(Part::ToolCall(ToolCall { id, name, arguments }));
        Ok(())
    }

    /// Whether something has come of the call in this place.
    pub(crate) fn has_call(&self, index: u32) -> bool {
        self.calls.iter().any(|(of, _)| *of == index)
    }

    /// What has come so far; calls in it may lack their end.
    pub fn so_far(&self) -> &[Part] {
        &self.parts
    }

    /// The whole reply.
    ///
    /// # Errors
    /// [`ModelError::BrokenStream`], where its end has not come.
    pub fn finish(self) -> Result<Reply, ModelError> {
        let end = self.end.ok_or_else(|| ModelError::broken("it was cut before the reply was complete"))?;
        let mut message = Message { role: Role::Assistant, parts: self.parts };
        name_calls(&mut message.parts);
        Ok(Reply { message, end })
    }
}

/// Gives an id to each call that has none, or that of another one, since results find their calls by it.
fn name_calls(parts: &mut [Part]) {
    let mut seen = HashSet::new();
    for (n, part) in parts.iter_mut().enumerate() {
        if let Part::ToolCall(call) = part {
            let mut suffix = String::new();
            while call.id.is_empty() || !seen.insert(call.id.clone()) {
                call.id = format!("call_{n}{suffix}");
                suffix.push('_');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::delta::FinishReason;
    use crate::model::message::Opaque;

    fn put_together(deltas: impl IntoIterator<Item = Delta>) -> Result<Reply, ModelError> {
        let mut draft = Draft::default();
        deltas.into_iter().try_for_each(|delta| draft.push(delta))?;
        draft.finish()
    }

    fn piece(index: u32, id: &str, name: &str, arguments: &str) -> Delta {
        Delta::call(index, ToolCall { id: id.to_owned(), name: name.to_owned(), arguments: arguments.to_owned() })
    }

    fn end() -> Delta {
        Delta::End(End::new(FinishReason::Stop))
    }

    #[test]
    fn pieces_become_the_parts_that_they_are_of_in_the_order_of_their_beginning() {
        let thought = |text: &str, data: Option<&str>| {
            let opaque = data.map(|data| Opaque { provider: "p".to_owned(), data: data.to_owned() });
            Delta::Reasoning(Reasoning { text: text.to_owned(), opaque })
        };
        let reply = put_together([
            thought("One", None),
            thought(" two", Some("s1")),
            thought("Three", None),
            Delta::text("Hello"),
            Delta::text(""),
            Delta::text(", you"),
            piece(0, "a", "add", "{\"x\""),
            piece(1, "b", "", ""),
            piece(0, "", "", ":1}"),
            piece(1, "", "mul", "[]"),
            end(),
        ]);
        let reply = serde_json::to_value(reply.unwrap()).unwrap();
        assert_eq!(
            reply,
            serde_json::json!({
                "message": {"role": "assistant", "parts": [
                    {"type": "reasoning", "text": "One two", "opaque": {"provider": "p", "data": "s1"}},
                    {"type": "reasoning", "text": "Three"},
                    {"type": "text", "text": "Hello, you"},
                    {"type": "tool_call", "id": "a", "name": "add", "arguments": "{\"x\":1}"},
                    {"type": "tool_call", "id": "b", "name": "mul", "arguments": "[]"},
                ]},
                "finish": "stop",
            })
        );
    }

    #[test]
    fn each_call_has_an_id_of_its_own() {
        let reply = put_together([
            piece(0, "", "a", ""),
            piece(1, "call_0", "b", ""),
            piece(2, "call_0", "c", ""),
            piece(3, "", "d", ""),
            end(),
        ]);
        let reply = reply.unwrap();
        let ids: HashSet<_> = reply.message.tool_calls().map(|call| call.id.clone()).collect();
        assert_eq!(ids.len(), 4, "{ids:?}");
        assert!(!ids.contains(""));
    }

    #[test]
    fn what_was_cut_and_what_goes_on_after_its_end_is_broken() {
        assert!(matches!(put_together([Delta::text("Hel")]), Err(ModelError::BrokenStream { .. })));
        assert!(matches!(put_together([end(), Delta::text("lo")]), Err(ModelError::BrokenStream { .. })));
    }

    #[test]
    fn a_reply_has_an_end_to_its_size() {
        let many = (0..=u32::try_from(Draft::MOST_CALLS).unwrap()).map(|index| piece(index, "", "add", "{}"));
        assert!(matches!(put_together(many), Err(ModelError::TooLarge { .. })));
        let large = (0..=4).map(|_| Delta::text("a".repeat(Draft::LARGEST / 4)));
        assert!(matches!(put_together(large), Err(ModelError::TooLarge { .. })));
        let long = (0..=4).map(|_| piece(0, "", "", &"1".repeat(Draft::LARGEST / 4)));
        assert!(matches!(put_together(long), Err(ModelError::TooLarge { .. })));
    }
}

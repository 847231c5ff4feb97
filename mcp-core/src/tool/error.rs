//! How a tool fails, and what its client learns of it.

use std::fmt;
use std::time::Duration;

use super::limited::Limited;
use crate::ask::InputRequired;
use crate::capability::ClientCapability;

/// Why a call has no result. `?` makes an [`ToolError::Internal`] of any other error, so it does not implement
/// [`std::error::Error`] itself.
#[derive(Debug)]
#[non_exhaustive]
pub enum ToolError {
    /// The tool could not do what it was asked; the client and its model see the message, and can learn from it.
    Failed(String),
    /// The arguments do not fit; the client sees each fault. Nothing was done: the call may be sent again under its key.
    Arguments(Vec<Fault>),
    /// The call took longer than it may.
    TimedOut(Duration),
    /// The client left, or the server stopped.
    Cancelled,
    /// A limit stands in the way for now, and the tool was not called; the server alone makes it. A tool that calls another, which is
    /// limited, has an [`Unavailable`](Self::Unavailable) with this cause. REST answers 429 or 503.
    Limited(Box<Limited>),
    /// It was sent under a key, and that stands in the way.
    Key(KeyError),
    /// The output is larger than it may be.
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The most that is allowed, in bytes.
        limit: usize,
    },
    /// The client cannot be asked what the tool must know. MCP answers it with an error of the protocol.
    Incapable(ClientCapability),
    /// The call ends with questions, and is sent again with the answers: [`Context::ask`](crate::Context::ask) makes it.
    NeedsInput(Box<InputRequired>),
    /// Something that the call needs is gone at the moment. REST answers 503.
    Unavailable(Cause),
    /// Something broke. The cause goes to the log under the call's id; the client sees the id alone.
    Internal(Cause),
}

/// Why a call has no result because of the key under which it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// The key was sent before, with other arguments. REST answers 422, MCP an error of the protocol.
    Reused,
    /// The call that has the key took longer than this one could wait. REST and MCP answer 503: it may be sent again.
    StillRunning,
    /// An earlier call with the key was begun and never answered, and to run the tool again might do its work twice. This is the
    /// answer of the key from then on.
    OutcomeUnknown,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reused => {
                "the idempotency key was sent before with other arguments; send a new key with each call that is not the same"
            }
            Self::StillRunning => "the call with this idempotency key still runs; send it again later, with the same key",
            Self::OutcomeUnknown => {
                "the outcome is unknown: the call was begun, and the server that ran it ended before it answered; find out whether it has done its work before you call again"
            }
        })
    }
}

/// What is logged and not shown.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// One thing that is wrong with the arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where, as a JSON pointer (RFC 6901) into the arguments; empty for the whole.
    pub pointer: String,
    /// What is wrong, and what is expected.
    pub detail: String,
}

impl Fault {
    /// A fault that quotes what was sent, which may be long.
    pub(crate) fn quoting(pointer: &str, detail: &str) -> Self {
        const LONGEST: usize = 500;
        let short = |text: &str| match text.char_indices().nth(LONGEST) {
            None => text.to_owned(),
            Some((end, _)) => format!("{}…", &text[..end]),
        };
        Self { pointer: short(pointer), detail: short(detail) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pointer.is_empty() { f.write_str(&self.detail) } else { write!(f, "{}: {}", self.pointer, self.detail) }
    }
}

impl ToolError {
    /// The tool could not do what it was asked; the client sees `message`.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed(message.into())
    }

    /// The arguments do not fit, for this reason.
    pub fn arguments(detail: impl Into<String>) -> Self {
        Self::Arguments(vec![Fault { pointer: String::new(), detail: detail.into() }])
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for ToolError {
    fn from(error: E) -> Self {
        Self::Internal(Box::new(error))
    }
}

impl fmt::Display for ToolError {
    /// What the client may see. An internal cause is not part of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(message) => f.write_str(message),
            Self::Arguments(faults) => {
                f.write_str("invalid arguments")?;
                for (n, fault) in faults.iter().enumerate() {
                    write!(f, "{} {fault}", if n == 0 { ":" } else { ";" })?;
                }
                Ok(())
            }
            Self::TimedOut(after) => write!(f, "the tool took longer than {after:?} and was stopped"),
            Self::Cancelled => f.write_str("the call was cancelled"),
            Self::Limited(limited) => limited.fmt(f),
            Self::Key(error) => error.fmt(f),
            Self::TooLarge { size, limit } => {
                write!(f, "the output has {size} bytes, more than the {limit} allowed; ask for less at a time")
            }
            Self::Incapable(capability) => {
                write!(f, "the client cannot be asked: it does not declare the capability {}", capability.name())
            }
            Self::NeedsInput(_) => f.write_str("the call waits for answers of its client"),
            Self::Unavailable(_) => f.write_str("a service that this call needs is unavailable; try again later"),
            Self::Internal(_) => f.write_str("the tool failed inside"),
        }
    }
}

//! Who is asked in the middle of a call, and how.

use serde_json::Value;

use super::in_place::{InPlace, Paused};
use super::question::Asked;
use super::rounds::{InRounds, Rounds, UnderWay};
use crate::capability::{ClientCapabilities, ClientCapability};
use crate::context::Context;
use crate::tool::error::ToolError;

/// How the client of a request is asked.
pub(crate) enum Dialogue {
    /// By ending the request, which is sent again with answers.
    Rounds(InRounds),
    /// By a request to the client, whose answer is waited for.
    InPlace(Box<InPlace>),
}

/// The one who is asked.
#[derive(Clone, Copy)]
pub(crate) enum Partner<'a> {
    Rounds(&'a Rounds),
    InPlace(&'a InPlace),
}

/// Something that is done once, and is not done yet.
pub(super) struct Held<'a> {
    _rounds: Option<UnderWay<'a>>,
}

impl Dialogue {
    pub(crate) fn partner(&self, cx: &Context) -> Partner<'_> {
        match self {
            Self::Rounds(rounds) => Partner::Rounds(rounds.rounds(cx)),
            Self::InPlace(in_place) => Partner::InPlace(in_place),
        }
    }

    /// The questions with which a call ends that is pending, where it can go no further without an answer that comes with another
    /// request.
    pub(crate) fn questions(&self, cx: &Context) -> Option<ToolError> {
        match self {
            Self::Rounds(rounds) => rounds.questions(cx),
            Self::InPlace(_) => None,
        }
    }

    /// For how long answers have been waited for.
    pub(crate) fn paused(&self) -> Paused {
        match self {
            Self::Rounds(_) => Paused::default(),
            Self::InPlace(in_place) => in_place.paused(),
        }
    }
}

impl<'a> Partner<'a> {
    pub(crate) fn client(self) -> &'a ClientCapabilities {
        match self {
            Self::Rounds(rounds) => rounds.client(),
            Self::InPlace(in_place) => in_place.client(),
        }
    }

    pub(super) fn can(self, needs: &[ClientCapability]) -> Result<(), ToolError> {
        match needs.iter().find(|need| !self.client().has(**need)) {
            None => Ok(()),
            Some(lacking) => Err(ToolError::Incapable(*lacking)),
        }
    }

    /// Begins with a question, and gives the answer where there is one.
    pub(super) fn begin(self, key: &str, asked: &Asked) -> Result<Option<Value>, ToolError> {
        match self {
            Self::Rounds(rounds) => rounds.begin(key, asked),
            Self::InPlace(in_place) => in_place.use_key(key).map(|()| None),
        }
    }

    /// Whether a key was used that begins like this.
    pub(crate) fn has_used(self, prefix: &str) -> bool {
        match self {
            Self::Rounds(rounds) => rounds.has_used(prefix),
            Self::InPlace(in_place) => in_place.has_used(prefix),
        }
    }

    /// The answer was none.
    pub(super) fn unfit(self, key: &str) {
        if let Self::Rounds(rounds) = self {
            rounds.unfit(key);
        }
    }

    pub(super) async fn wait(self, key: &str, asked: &Asked) -> Result<Value, ToolError> {
        match self {
            Self::Rounds(rounds) => rounds.wait(key, asked).await,
            Self::InPlace(in_place) => in_place.ask(asked).await,
        }
    }

    /// What was kept under a key that is hereby used.
    pub(super) fn kept(self, key: &str) -> Result<Option<Value>, ToolError> {
        match self {
            Self::Rounds(rounds) => rounds.kept(key),
            Self::InPlace(in_place) => in_place.use_key(key).map(|()| None),
        }
    }

    pub(super) fn keep(self, key: &str, value: Value) {
        if let Self::Rounds(rounds) = self {
            rounds.keep(key, value);
        }
    }

    pub(super) async fn detach(self) {
        if let Self::Rounds(rounds) = self {
            rounds.detach().await;
        }
    }

    pub(super) fn hold(self) -> Held<'a> {
        match self {
            Self::Rounds(rounds) => Held { _rounds: Some(rounds.hold()) },
            Self::InPlace(_) => Held { _rounds: None },
        }
    }
}

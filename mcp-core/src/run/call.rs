//! A call of a tool that a run makes.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, select};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::context::RunContext;
use super::effect::{Begun, Repeatable};
use super::error::RunError;
use crate::ask::InputRequired;
use crate::ask::dialogue::Dialogue;
use crate::ask::rounds::InRounds;
use crate::caller::Caller;
use crate::capability::ClientCapabilities;
use crate::context::Context;
use crate::context::key::Key;
use crate::context::withheld::Withheld;
use crate::protocol::encoding::Encoding;
use crate::protocol::errors::RpcError;
use crate::protocol::tools;
use crate::server::Server;
use crate::tool::arguments::Arguments;
use crate::tool::error::ToolError;
use crate::tool::output::ToolOutput;
use crate::tool::pipeline::{self, Failure};
use crate::tool::registry::OfferedTool;

/// A call that a run makes in rounds: one that asks is made again with the answers, and with what is known of the rounds before.
pub(crate) struct RunCall {
    pub(crate) server: Server,
    pub(crate) caller: Caller,
    pub(crate) tool: Arc<OfferedTool>,
    pub(crate) arguments: Arguments,
    /// What names its effect, the same in each round and whoever makes it.
    pub(crate) key: Key,
    /// What whoever is asked can do.
    pub(crate) client: ClientCapabilities,
}

/// How a round ends.
pub(crate) enum Ended {
    Output(ToolOutput),
    /// With an error of the protocol.
    Refused(RpcError),
    /// With questions.
    Asked(Box<InputRequired>),
}

impl RunCall {
    /// Makes the call as an effect of the run, under `key`: once, or again where the tool may be repeated. What `ended` makes of how it ended is
    /// recorded together with the record of the call.
    ///
    /// # Errors
    /// As [`RunContext::effect`]; those of `ended`.
    pub(crate) async fn perform<T: Serialize + DeserializeOwned>(
        mut self,
        cx: &RunContext,
        key: &str,
        begun: Begun,
        state: Option<&str>,
        answers: BTreeMap<String, Value>,
        ended: impl FnOnce(Ended) -> Result<T, RunError>,
    ) -> Result<T, RunError> {
        let repeatable = if self.tool.spec().policy.may_be_repeated() { Repeatable::Yes } else { Repeatable::No };
        let withheld = Withheld::new(&self.server);
        self.key = self.key.withholding(withheld.clone());
        let round = |_| async { ended(self.round(cx, state, answers).await?) };
        cx.perform(key, repeatable, begun, Some(&withheld), round).await
    }

    /// Makes the call, which is told where the run is cancelled.
    ///
    /// # Errors
    /// [`RunError::Cancelled`]; the state is that of another version.
    async fn round(
        self,
        cx: &RunContext,
        state: Option<&str>,
        answers: BTreeMap<String, Value>,
    ) -> Result<Ended, RunError> {
        // Results that are kept for other calls hold for them all, whatever their clients would answer.
        let dialogue = match self.tool.cache() {
            None => Some(Dialogue::Rounds(InRounds::in_run(self.client, state, answers)?)),
            Some(_) => None,
        };
        let call = Context::new(self.server, self.caller, Some(Box::new(self.key)), None, dialogue);
        let made = pipeline::run(self.tool, self.arguments, call.clone());
        let finished = match select(made, pin!(cx.cancelled())).await {
            Either::Left((finished, _)) => finished,
            Either::Right(((), made)) => {
                call.inner().cancellation.cancel();
                made.await
            }
        };
        match finished {
            Err(Failure { error: ToolError::Cancelled, .. }) => Err(RunError::Cancelled),
            Err(Failure { error: ToolError::NeedsInput(required), .. }) => Ok(Ended::Asked(required)),
            finished => Ok(match finished.or_else(|failure| tools::failed(failure, Encoding::Modern)) {
                Ok(output) => Ended::Output(output),
                Err(error) => Ended::Refused(error),
            }),
        }
    }
}

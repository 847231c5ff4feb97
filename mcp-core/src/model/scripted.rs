//! A model that says what it is told.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::{iter, pending};

use super::delta::{Delta, End, FinishReason};
use super::error::ModelError;
use super::message::{Reasoning, ToolCall};
use super::request::{BYTES_PER_TOKEN, ModelRequest};
use super::usage::Usage;
use super::{Deltas, LanguageModel};
use crate::clock::Clock;
use crate::memory::lock;

/// Answers from a script, and remembers what it was asked: for tests, and for examples that run without a provider. A script in order
/// answers each request with its next [`Turn`], and those after the last with an error; a function answers by what is asked, so that
/// several can ask at once.
pub struct ScriptedModel {
    script: Script,
    asked: Mutex<VecDeque<ModelRequest>>,
}

enum Script {
    InOrder(Mutex<VecDeque<Turn>>),
    By(Box<dyn Fn(&ModelRequest) -> Turn + Send + Sync>),
}

/// What the model says in one reply. Where nothing else is said, the reply ends well, for tool calls where there are any, and its
/// tokens are counted by its bytes.
#[derive(Clone, Debug, Default)]
pub struct Turn {
    steps: Vec<Step>,
    calls: u32,
    said: usize,
    usage: Option<Usage>,
    is_uncounted: bool,
    last: Last,
}

#[derive(Clone)]
enum Step {
    Give(Delta),
    Wait(Arc<dyn Clock>, Duration),
}

/// What comes after the steps.
#[derive(Clone, Debug, Default)]
enum Last {
    #[default]
    End,
    Nothing,
    Silence,
    Fail(ModelError),
}

impl ScriptedModel {
    /// What it is called.
    pub const NAME: &str = "scripted::model";

    /// How many requests it remembers; then it forgets the oldest.
    pub const REMEMBERED: usize = 1_000;

    /// Answers with these, in their order.
    pub fn new<T: Into<Turn>>(turns: impl IntoIterator<Item = T>) -> Self {
        Self::with(Script::InOrder(Mutex::new(turns.into_iter().map(Into::into).collect())))
    }

    /// Answers by what is asked.
    pub fn by(answer: impl Fn(&ModelRequest) -> Turn + Send + Sync + 'static) -> Self {
        Self::with(Script::By(Box::new(answer)))
    }

    fn with(script: Script) -> Self {
        Self { script, asked: Mutex::default() }
    }

    /// What it was asked, the oldest first.
    pub fn asked(&self) -> Vec<ModelRequest> {
        lock(&self.asked).iter().cloned().collect()
    }
}

impl Turn {
    /// Says nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says this, in one piece.
    #[must_use]
    pub fn text(self, text: impl Into<String>) -> Self {
        self.delta(Delta::text(text))
    }

    /// Says this, word by word.
    #[must_use]
    pub fn words(self, text: &str) -> Self {
        text.split_inclusive(' ').fold(self, Self::text)
    }

    /// Thinks this.
    #[must_use]
    pub fn reasoning(self, text: impl Into<String>) -> Self {
        self.delta(Delta::Reasoning(Reasoning { text: text.into(), opaque: None }))
    }

    /// Calls this tool with these arguments, whatever they are.
    #[must_use]
    pub fn call(mut self, name: impl Into<String>, arguments: impl ToString) -> Self {
        let call = ToolCall { id: format!("call_{}", self.calls), name: name.into(), arguments: arguments.to_string() };
        let delta = Delta::call(self.calls, call);
        self.calls += 1;
        self.delta(delta)
    }

    /// Gives this piece, whatever it is.
    #[must_use]
    pub fn delta(mut self, delta: Delta) -> Self {
        self.said = self.said.saturating_add(delta.size());
        self.steps.push(Step::Give(delta));
        self
    }

    /// Is silent for so long.
    #[must_use]
    pub fn wait(mut self, clock: Arc<dyn Clock>, duration: Duration) -> Self {
        self.steps.push(Step::Wait(clock, duration));
        self
    }

    /// Ends with this error: at once, where nothing comes before.
    #[must_use]
    pub fn fail(mut self, error: ModelError) -> Self {
        self.last = Last::Fail(error);
        self
    }

    /// Is cut: there is no end.
    #[must_use]
    pub fn cut(mut self) -> Self {
        self.last = Last::Nothing;
        self
    }

    /// Is silent for ever in place of an end.
    #[must_use]
    pub fn held(mut self) -> Self {
        self.last = Last::Silence;
        self
    }

    /// It has used so much.
    #[must_use]
    pub fn usage(mut self, usage: Usage) -> Self {
        self.usage = Some(usage);
        self
    }

    /// Nobody says what it has used.
    #[must_use]
    pub fn uncounted(mut self) -> Self {
        self.is_uncounted = true;
        self
    }

    fn end(&self, request: &ModelRequest) -> End {
        let finish = if self.calls > 0 { FinishReason::ToolCalls } else { FinishReason::Stop };
        let counted = || Usage {
            input_tokens: request.estimated_tokens(),
            output_tokens: self.said.div_ceil(BYTES_PER_TOKEN) as u64,
            ..Usage::default()
        };
        let usage = (!self.is_uncounted).then(|| self.usage.unwrap_or_else(counted));
        End { usage, ..End::new(finish) }
    }

    fn play(self, request: &ModelRequest) -> Result<Deltas, ModelError> {
        let (end, is_nothing) = (self.end(request), self.steps.is_empty());
        let steps = iter(self.steps).filter_map(|step| async {
            match step {
                Step::Give(delta) => Some(Ok(delta)),
                Step::Wait(clock, duration) => {
                    clock.sleep(duration).await;
                    None
                }
            }
        });
        Ok(match self.last {
            Last::Fail(error) if is_nothing => return Err(error),
            Last::Fail(error) => steps.chain(iter([Err(error)])).boxed(),
            Last::End => steps.chain(iter([Ok(Delta::End(end))])).boxed(),
            Last::Nothing => steps.boxed(),
            Last::Silence => steps.chain(pending()).boxed(),
        })
    }
}

impl<T: Into<String>> From<T> for Turn {
    fn from(text: T) -> Self {
        Self::new().text(text)
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Give(delta) => delta.fmt(f),
            Self::Wait(_, duration) => write!(f, "Wait({duration:?})"),
        }
    }
}

#[async_trait]
impl LanguageModel for ScriptedModel {
    fn name(&self) -> &str {
        Self::NAME
    }

    async fn stream(&self, request: &ModelRequest) -> Result<Deltas, ModelError> {
        {
            let mut asked = lock(&self.asked);
            if asked.len() >= Self::REMEMBERED {
                asked.pop_front();
            }
            asked.push_back(request.clone());
        }
        let turn = match &self.script {
            Script::By(answer) => answer(request),
            Script::InOrder(turns) => lock(turns)
                .pop_front()
                .ok_or_else(|| ModelError::NotRecorded { message: "the script has no more turns".to_owned() })?,
        };
        turn.play(request)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::clock::simulated::SimulatedClock;
    use crate::model::LanguageModelExt;
    use crate::model::message::Message;

    fn request(text: &str) -> ModelRequest {
        ModelRequest::new([Message::user(text)])
    }

    #[tokio::test]
    async fn turns_come_in_their_order_and_then_no_more() {
        let model = ScriptedModel::new([
            Turn::new().words("One two three").call("add", r#"{"a":1}"#).call("mul", "broken"),
            "Done".into(),
        ]);
        let first = model.complete(&request("Go")).await.unwrap();
        assert_eq!(first.message.text(), "One two three");
        let calls: Vec<_> = first.message.tool_calls().map(|call| (&*call.id, &*call.name, &*call.arguments)).collect();
        assert_eq!(calls, [("call_0", "add", r#"{"a":1}"#), ("call_1", "mul", "broken")]);
        assert_eq!(first.end.finish, FinishReason::ToolCalls);
        assert!(first.end.usage.is_some_and(|usage| usage.input_tokens > 0 && usage.output_tokens > 0));
        let second = model.complete(&request("On")).await.unwrap();
        assert_eq!((second.message.text(), second.end.finish), ("Done".to_owned(), FinishReason::Stop));
        assert!(matches!(model.complete(&request("More")).await, Err(ModelError::NotRecorded { .. })));
        let asked: Vec<_> = model.asked().iter().map(|request| request.messages[0].text()).collect();
        assert_eq!(asked, ["Go", "On", "More"]);
    }

    #[tokio::test]
    async fn a_function_answers_by_what_is_asked_and_what_is_remembered_has_an_end() {
        let model = ScriptedModel::by(|request| Turn::from(request.messages[0].text().to_uppercase()));
        for n in 0..ScriptedModel::REMEMBERED + 3 {
            let reply = model.complete(&request(&format!("n{n}"))).await.unwrap();
            assert_eq!(reply.message.text(), format!("N{n}"));
        }
        assert_eq!(model.asked().len(), ScriptedModel::REMEMBERED);
        assert_eq!(model.asked()[0].messages[0].text(), "n3");
    }

    #[tokio::test]
    async fn it_fails_at_once_or_in_the_middle_is_cut_is_slow_and_falls_silent() {
        let error = ModelError::Refused { message: "no".to_owned() };
        let clock = SimulatedClock::new();
        let second = Duration::from_secs(1);
        let model = ScriptedModel::new([
            Turn::new().fail(error.clone()),
            Turn::from("Hel").fail(error.clone()),
            Turn::from("Hel").cut(),
            Turn::from("Hel").wait(Arc::new(clock.clone()), second).text("lo"),
            Turn::from("Hel").held(),
        ]);
        let request = request("Hi");
        assert_eq!(model.stream(&request).await.err(), Some(error.clone()));
        let mut deltas = model.stream(&request).await.unwrap();
        assert_eq!(deltas.next().await, Some(Ok(Delta::text("Hel"))));
        assert_eq!(deltas.next().await, Some(Err(error)));
        assert!(deltas.next().await.is_none());
        assert!(matches!(model.complete(&request).await, Err(ModelError::BrokenStream { .. })));
        let mut slow = model.complete(&request);
        assert!(slow.as_mut().now_or_never().is_none());
        clock.advance(second);
        assert_eq!(slow.await.unwrap().message.text(), "Hello");
        let mut silent = model.stream(&request).await.unwrap();
        assert!(silent.next().await.is_some());
        assert!(silent.next().now_or_never().is_none());
    }
}

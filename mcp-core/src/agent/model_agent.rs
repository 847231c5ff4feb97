//! An agent whose steps a language model decides.

mod conversation;
mod toolbox;

use std::sync::Arc;

use async_trait::async_trait;
use jsonschema::Validator;
use schemars::JsonSchema;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};
use tracing::Instrument;

use super::step::ToolCall;
use super::{Agent, AgentContext, AgentError, AgentSpec, Step, Transcript, spans};
use crate::model::delta::FinishReason;
use crate::model::error::ModelError;
use crate::model::reply::Reply;
use crate::model::request::{BYTES_PER_TOKEN, ModelRequest, OutputSchema};
use crate::model::{LanguageModel, LanguageModelExt};
use crate::tool::schema;
use conversation::Conversation;
use toolbox::Toolbox;

/// An agent that asks a language model what is to be done: with instructions, and tools that it may use.
///
/// Text is data: whatever a tool says, the model can call no tools but those that are named here, and no more than the caller may.
///
/// ```
/// use mcp_core::agent::ModelAgent;
/// use mcp_core::model::scripted::{ScriptedModel, Turn};
///
/// let model = ScriptedModel::new([Turn::new().call("time.now", "{}"), "It is late.".into()]);
/// let agent = ModelAgent::new("clock", "Tells the time.", model).instructions("Be brief.").tools(["time.now"]);
/// ```
pub struct ModelAgent {
    spec: AgentSpec,
    model: Arc<dyn LanguageModel>,
    instructions: String,
    toolbox: Toolbox,
    output: Option<(Arc<OutputSchema>, Validator)>,
    max_output_tokens: Option<u32>,
    temperature: Option<f64>,
    context_tokens: u64,
    input_guards: Vec<Guard>,
    output_guards: Vec<Guard>,
    fault: Option<String>,
}

/// Looks at a text, and says why it is not let through.
type Guard = Arc<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

/// How large a conversation is at the most, in tokens, unless an agent says otherwise.
const CONTEXT_TOKENS: u64 = 100_000;

/// How often a model is asked for one step, where what it says is of no use.
const TRIES: usize = 3;

impl ModelAgent {
    /// An agent of this name, which may use no tools. The description says to people and models what it is for.
    pub fn new(name: impl Into<Arc<str>>, description: impl Into<String>, model: impl LanguageModel) -> Self {
        Self {
            spec: AgentSpec::new(name, description),
            model: Arc::new(model),
            instructions: String::new(),
            toolbox: Toolbox::default(),
            output: None,
            max_output_tokens: None,
            temperature: None,
            context_tokens: CONTEXT_TOKENS,
            input_guards: Vec::new(),
            output_guards: Vec::new(),
            fault: None,
        }
    }

    /// What the model is told first.
    #[must_use]
    pub fn instructions(self, text: impl Into<String>) -> Self {
        Self { instructions: text.into(), ..self }
    }

    /// It may use these tools as well, as far as the caller of a run may; `*` at the end stands for anything. The tool `agent.NAME` leaves something to
    /// that agent.
    #[must_use]
    pub fn tools(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.toolbox.add(names);
        self
    }

    /// It may use all tools as well that take one of these scopes, as far as the caller may; also such as are added later.
    #[must_use]
    pub fn tools_of_scopes(mut self, scopes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.toolbox.add_scopes(scopes);
        self
    }

    /// It may hand the run over to these agents.
    #[must_use]
    pub fn hands_off_to(mut self, agents: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.toolbox.hand_off_to(agents);
        self
    }

    /// It ends with a `T`, and not with text: what does not fit the schema of that, the model is asked for again.
    #[must_use]
    pub fn output<T: JsonSchema>(self) -> Self {
        self.output_json(schema::of_output::<T>())
    }

    /// The same by a JSON Schema (2020-12).
    #[must_use]
    pub fn output_json(self, schema: Map<String, Value>) -> Self {
        match schema::compile(&schema) {
            Ok(validator) => {
                let output = Arc::new(OutputSchema { name: "output".to_owned(), schema });
                Self { output: Some((output, validator)), ..self }
            }
            Err(fault) => Self { fault: Some(format!("the schema of its output: {fault}")), ..self },
        }
    }

    /// How many tokens a reply of the model has at the most.
    #[must_use]
    pub fn max_output_tokens(self, most: u32) -> Self {
        Self { max_output_tokens: Some(most), ..self }
    }

    /// How much chance there is in what the model says.
    #[must_use]
    pub fn temperature(self, temperature: f64) -> Self {
        Self { temperature: Some(temperature), ..self }
    }

    /// How many tokens a conversation has at the most (100,000), as estimated: of a longer one the oldest steps are left out, each with
    /// all that came of it.
    #[must_use]
    pub fn context_tokens(self, most: u64) -> Self {
        Self { context_tokens: most, ..self }
    }

    /// Looks at the input of each run before the model does: an error ends the run.
    #[must_use]
    pub fn guard_input(mut self, guard: impl Fn(&str) -> Result<(), String> + Send + Sync + 'static) -> Self {
        self.input_guards.push(Arc::new(guard));
        self
    }

    /// Looks at what a run is to end with: the model is told an error, and asked again. Who follows a run of an agent that has such a guard is
    /// told nothing of what its model says before a step is decided.
    #[must_use]
    pub fn guard_output(mut self, guard: impl Fn(&str) -> Result<(), String> + Send + Sync + 'static) -> Self {
        self.output_guards.push(Arc::new(guard));
        self
    }

    /// Changes what it says of itself: its budget, and for whom it is.
    #[must_use]
    pub fn spec(mut self, change: impl FnOnce(AgentSpec) -> AgentSpec) -> Self {
        self.spec = change(self.spec);
        self
    }

    /// Why it cannot decide anything, if it cannot.
    pub(crate) fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// Asks the model once.
    async fn ask(&self, conversation: &Conversation, cx: &AgentContext) -> Result<Reply, ModelError> {
        let mut request = ModelRequest::new(conversation.messages()).tools(conversation.tools());
        request.output = self.output.as_ref().map(|(output, _)| output.clone());
        request.max_output_tokens = self.max_output_tokens;
        request.temperature = self.temperature;
        let chat = spans::chat(self.model.name());
        let asked = async {
            match self.output_guards.is_empty() {
                true => cx.complete(&*self.model, &request).await,
                // Nobody hears what a guard may not let through.
                false => self.model.complete(&request).await,
            }
        };
        let reply = asked.instrument(chat.clone()).await?;
        spans::ended(&chat, &reply.end);
        // Where nobody has counted, what was said counts.
        let counted = || request.estimated_tokens().saturating_add((reply.message.size() / BYTES_PER_TOKEN) as u64);
        let tokens = reply.end.usage.map_or_else(counted, |usage| usage.total());
        cx.spend_on(self.model.name(), tokens, reply.end.cost.unwrap_or_default());
        Ok(reply)
    }

    /// What a reply says is to be done; an error is what the model is told before it is asked again.
    fn decide(&self, reply: &Reply, conversation: &Conversation) -> Result<Step, String> {
        let calls: Vec<_> = reply.message.tool_calls().collect();
        if !calls.is_empty() {
            return conversation.decide(&calls);
        }
        let text = reply.message.text();
        if reply.end.finish == FinishReason::Length {
            return Err("Your reply was cut, since it was too long. Be shorter.".to_owned());
        }
        if text.trim().is_empty() {
            return Err("You have said nothing. Call a tool, or give your answer.".to_owned());
        }
        for guard in &self.output_guards {
            guard(&text)?;
        }
        Ok(Step::Done(self.read(&text)?))
    }

    /// What a run ends with.
    fn read(&self, text: &str) -> Result<Box<RawValue>, String> {
        let Some((_, validator)) = &self.output else {
            return to_raw_value(text).map_err(|error| error.to_string());
        };
        let output: Value = serde_json::from_str(text.trim())
            .map_err(|error| format!("Your answer must be JSON that fits the schema, and nothing else: {error}"))?;
        let faults: Vec<_> = validator.iter_errors(&output).map(|fault| fault.to_string()).take(10).collect();
        if faults.is_empty() {
            to_raw_value(&output).map_err(|error| error.to_string())
        } else {
            Err(format!("Your answer does not fit the schema: {}", faults.join("; ")))
        }
    }
}

#[async_trait]
impl Agent for ModelAgent {
    fn spec(&self) -> &AgentSpec {
        &self.spec
    }

    async fn step(&self, so_far: &Transcript, cx: AgentContext) -> Result<Step, AgentError> {
        if let Some(fault) = &self.fault {
            return Err(AgentError::failed(fault));
        }
        if so_far.turns().is_empty() {
            let input = so_far.input_text();
            for guard in &self.input_guards {
                guard(&input).map_err(|why| AgentError::failed(format!("the input is not let through: {why}")))?;
            }
        }
        let tools = self.toolbox.open(&cx, self.spec.name());
        let mut conversation = Conversation::of(&self.instructions, so_far, tools)?;
        conversation.shorten(self.context_tokens);
        let mut told = String::new();
        for _ in 0..TRIES {
            let reply = match self.ask(&conversation, &cx).await {
                Ok(reply) => reply,
                Err(ModelError::ContextLengthExceeded { .. }) if conversation.can_be_shorter() => {
                    conversation.shorten(conversation.estimated_tokens() / 2);
                    continue;
                }
                Err(error) if error.is_retryable() => return Err(AgentError::again(error.to_string())),
                Err(error) => return Err(AgentError::failed(error.to_string())),
            };
            if reply.end.finish == FinishReason::ContentFilter {
                return Err(AgentError::failed("the provider of the model does not let its reply through"));
            }
            match self.decide(&reply, &conversation) {
                Ok(step) => {
                    cx.keep(&reply.message)?;
                    return Ok(step);
                }
                Err(why) => {
                    conversation.correct(reply.message, &why);
                    told = why;
                }
            }
        }
        Err(AgentError::failed(format!("the model gives no answer that can be used; it was told last: {told}")))
    }
}

/// A call that is not made.
fn refused(id: &str, tool: &str, arguments: Box<RawValue>, why: String) -> ToolCall {
    ToolCall { id: id.to_owned(), tool: tool.to_owned(), arguments, refused: Some(why) }
}

//! Prompts made of async functions.

use std::marker::PhantomData;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::Prompt;
use super::message::{IntoMessages, PromptOutput};
use super::spec::{PromptArgument, PromptSpec, prompt_methods};
use crate::completion::{Completers, Completing, Completion, completion_methods};
use crate::context::Context;
use crate::policy::requirement_methods;
use crate::strings::StringArguments;
use crate::tool::error::ToolError;
use crate::tool::function::{ToolFunction, WithState};
use crate::tool::schema;

/// Makes a prompt of an async function: `async fn(Arguments) -> Result<Output, ToolError>`, or with a [`Context`] behind the arguments, or
/// without both.
///
/// - Arguments: any type that is `Deserialize` and `JsonSchema`. Its fields are the arguments, their doc comments the descriptions; an
///   `Option` may be left out. Clients send texts: numbers and truth values are read out of them. Where a field is an enum, the names
///   of its variants complete it.
/// - Output: a text, which the user says; a [`PromptMessage`](super::message::PromptMessage), several of them, or a [`PromptOutput`].
///
/// ```
/// use mcp_core::{ToolError, prompt_fn};
/// use schemars::JsonSchema;
/// use serde::Deserialize;
///
/// #[derive(Deserialize, JsonSchema)]
/// struct Review {
///     /// What to review.
///     code: String,
///     /// In how many words.
///     words: Option<u32>,
/// }
///
/// async fn review(review: Review) -> Result<String, ToolError> {
///     Ok(format!("Review this in {} words:\n{}", review.words.unwrap_or(100), review.code))
/// }
///
/// let prompt = prompt_fn("review", "Asks for a review of code.", review);
/// ```
pub fn prompt_fn<F, Shape>(
    name: impl Into<String>,
    description: impl Into<String>,
    function: F,
) -> FunctionPrompt<F, Shape>
where
    F: ToolFunction<Shape>,
    F::Input: DeserializeOwned + JsonSchema + Send,
    F::Output: IntoMessages,
    F::Error: Into<ToolError>,
    F::Future: Send,
{
    let schema = schema::of_input::<F::Input>();
    let (mut spec, mut completers) = (PromptSpec::new(name, description), Completers::default());
    let required = |name: &str| {
        schema.get("required").and_then(Value::as_array).is_some_and(|list| list.iter().any(|one| one == name))
    };
    for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let argument = if required(name) { PromptArgument::required(name) } else { PromptArgument::optional(name) };
        let description = property.get("description").and_then(Value::as_str);
        spec = spec.argument(match description {
            Some(description) => argument.description(description),
            None => argument,
        });
        let choices = choices(property, &schema);
        if !choices.is_empty() {
            completers.choices(name.clone(), choices);
        }
    }
    FunctionPrompt { spec, function, completers, shape: PhantomData }
}

/// As [`prompt_fn`], for a function that is given a clone of `state` first.
pub fn prompt_with<S, F, Shape>(
    name: impl Into<String>,
    description: impl Into<String>,
    state: S,
    function: F,
) -> FunctionPrompt<WithState<S, F>, Shape>
where
    WithState<S, F>: ToolFunction<Shape>,
    <WithState<S, F> as ToolFunction<Shape>>::Input: DeserializeOwned + JsonSchema + Send,
    <WithState<S, F> as ToolFunction<Shape>>::Output: IntoMessages,
    <WithState<S, F> as ToolFunction<Shape>>::Error: Into<ToolError>,
    <WithState<S, F> as ToolFunction<Shape>>::Future: Send,
{
    prompt_fn(name, description, WithState::new(state, function))
}

/// The names that a schema allows, if it is a choice of names.
fn choices(property: &Value, root: &Map<String, Value>) -> Vec<String> {
    let names = |list: &Value| -> Vec<String> {
        list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    if let Some(list) = property.get("enum") {
        return names(list);
    }
    if let Some(name) = property.get("const").and_then(Value::as_str) {
        return vec![name.to_owned()];
    }
    let reference = property.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix("#/$defs/"));
    let defined = reference.and_then(|name| root.get("$defs")?.get(name));
    let inner = ["anyOf", "oneOf"].into_iter().filter_map(|key| property.get(key)?.as_array()).flatten();
    defined.into_iter().chain(inner).flat_map(|schema| choices(schema, root)).collect()
}

/// A prompt made of a function; see [`prompt_fn`].
pub struct FunctionPrompt<F, Shape> {
    spec: PromptSpec,
    function: F,
    completers: Completers,
    shape: PhantomData<fn() -> Shape>,
}

prompt_methods!([F, Shape] FunctionPrompt<F, Shape>, spec);
requirement_methods!([F, Shape] FunctionPrompt<F, Shape>, spec);
completion_methods!([F, Shape] FunctionPrompt<F, Shape>);

#[async_trait]
impl<F, Shape: 'static> Prompt for FunctionPrompt<F, Shape>
where
    F: ToolFunction<Shape> + Send + Sync,
    F::Input: DeserializeOwned + JsonSchema + Send,
    F::Output: IntoMessages,
    F::Error: Into<ToolError>,
    F::Future: Send,
{
    fn spec(&self) -> &PromptSpec {
        &self.spec
    }

    async fn get(&self, arguments: StringArguments, cx: Context) -> Result<PromptOutput, ToolError> {
        match self.function.call(arguments.parse()?, cx).await {
            Ok(output) => Ok(output.into_messages()),
            Err(error) => Err(error.into()),
        }
    }

    async fn complete(&self, asked: Completing, cx: Context) -> Result<Completion, ToolError> {
        self.completers.complete(asked, cx).await
    }
}

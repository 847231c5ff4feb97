//! A tool made of an async function.

use std::any::Any;
use std::marker::PhantomData;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Tool;
use super::arguments::Arguments;
use super::error::ToolError;
use super::output::ToolOutput;
use super::schema;
use super::spec::{ToolSpec, policy_methods};
use crate::content::Content;
use crate::context::Context;
use crate::policy::requirement_methods;

/// Makes a tool of an async function: `async fn(Input, Context) -> Result<Output, ToolError>`, or without the context, or
/// without both. The doc comments of the input's fields become descriptions in its schema.
///
/// - Input: any type that is `Deserialize` and `JsonSchema`, and whose schema is an object's. A function that wants the
///   context and nothing else takes [`NoInput`] before it.
/// - Output: any type that is `Serialize` and `JsonSchema`. One whose schema is a string becomes text, `()` becomes nothing,
///   and all others become structured output, mirrored as text. [`ToolOutput`] and [`Content`] are taken as they are.
/// - Error: [`ToolError`], or any error type, which is logged and not shown.
///
/// ```
/// use mcp_core::{ToolError, tool_fn};
/// use schemars::JsonSchema;
/// use serde::Deserialize;
///
/// /// Two numbers.
/// #[derive(Deserialize, JsonSchema)]
/// struct Add {
///     /// The first.
///     a: i64,
///     /// The second.
///     b: i64,
/// }
///
/// async fn add(input: Add) -> Result<i64, ToolError> {
///     input.a.checked_add(input.b).ok_or_else(|| ToolError::failed("the sum is too large"))
/// }
///
/// let tool = tool_fn("add", "Adds two numbers.", add).read_only();
/// ```
pub fn tool_fn<F, Shape>(name: impl Into<String>, description: impl Into<String>, function: F) -> FunctionTool<F, Shape>
where
    F: ToolFunction<Shape> + Send + Sync,
    F::Input: FromArguments,
    F::Output: IntoOutput,
    F::Error: Into<ToolError>,
    F::Future: Send,
{
    let mut spec = ToolSpec::new(name, description).input::<F::Input>();
    spec.typed = true;
    spec.wire.output_schema = F::Output::schema().filter(|schema| !is_text(schema) && !is_nothing(schema));
    let text = F::Output::schema().is_some_and(|schema| is_text(&schema));
    FunctionTool { spec, function, text, shape: PhantomData }
}

/// As [`tool_fn`], for a function that is given a clone of `state` first: `async fn(State, Input, Context) -> …`, or without
/// the context, or without both. Put what is large into an `Arc`.
///
/// ```
/// use std::sync::Arc;
/// use mcp_core::{ToolError, tool_with};
///
/// struct Shop { open: bool }
///
/// async fn is_open(shop: Arc<Shop>) -> Result<bool, ToolError> {
///     Ok(shop.open)
/// }
///
/// let tool = tool_with("is_open", "Whether the shop is open.", Arc::new(Shop { open: true }), is_open);
/// ```
pub fn tool_with<S, F, Shape>(
    name: impl Into<String>,
    description: impl Into<String>,
    state: S,
    function: F,
) -> FunctionTool<WithState<S, F>, Shape>
where
    S: Clone + Send + Sync,
    F: Send + Sync,
    WithState<S, F>: ToolFunction<Shape>,
    <WithState<S, F> as ToolFunction<Shape>>::Input: FromArguments,
    <WithState<S, F> as ToolFunction<Shape>>::Output: IntoOutput,
    <WithState<S, F> as ToolFunction<Shape>>::Error: Into<ToolError>,
    <WithState<S, F> as ToolFunction<Shape>>::Future: Send,
{
    tool_fn(name, description, WithState::new(state, function))
}

/// A tool made of a function; see [`tool_fn`].
pub struct FunctionTool<F, Shape> {
    spec: ToolSpec,
    function: F,
    /// Whether the output is a text and no structured value.
    text: bool,
    shape: PhantomData<fn() -> Shape>,
}

policy_methods!([F, Shape] FunctionTool<F, Shape>, spec);
requirement_methods!([F, Shape] FunctionTool<F, Shape>, spec);

#[async_trait]
impl<F, Shape: 'static> Tool for FunctionTool<F, Shape>
where
    F: ToolFunction<Shape> + Send + Sync,
    F::Input: FromArguments,
    F::Output: IntoOutput,
    F::Error: Into<ToolError>,
    F::Future: Send,
{
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, arguments: Arguments, cx: Context) -> Result<ToolOutput, ToolError> {
        let input = parse(&arguments)?;
        match self.function.call(input, cx).await {
            Ok(output) => output.into_output(self.text),
            Err(error) => Err(error.into()),
        }
    }
}

/// Parses the input. JSON Schema counts `1.0` as an integer and serde does not; the schema is what the client was told.
fn parse<T: DeserializeOwned>(arguments: &Arguments) -> Result<T, ToolError> {
    arguments.parse().or_else(|refused| {
        let mut value: Value = arguments.parse()?;
        if whole_floats_to_integers(&mut value) {
            Ok(serde_json::from_value(value).map_err(|_| refused)?)
        } else {
            Err(refused)
        }
    })
}

fn whole_floats_to_integers(value: &mut Value) -> bool {
    /// Beyond this, not every integer is a double.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) if number.is_f64() => match number.as_f64() {
            #[expect(clippy::cast_possible_truncation, reason = "it is whole, and small enough to be exact")]
            Some(float) if float.fract() == 0.0 && float.abs() <= EXACT => {
                *value = Value::from(float as i64);
                true
            }
            _ => false,
        },
        Value::Array(list) => list.iter_mut().map(whole_floats_to_integers).fold(false, std::ops::BitOr::bitor),
        Value::Object(map) => map.values_mut().map(whole_floats_to_integers).fold(false, std::ops::BitOr::bitor),
        _ => false,
    }
}

/// A function that can be a tool. Implemented for `Fn(Input, Context)`, `Fn(Input)` and `Fn()` that return a future of a
/// `Result`; there is no need to implement it by hand.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the function of a tool",
    label = "not a tool's function",
    note = "a tool's function is `async fn(Input, Context) -> Result<Output, ToolError>`, `async fn(Input) -> …` or `async fn() -> …`",
    note = "with `tool_with`, the state comes first: `async fn(State, Input, Context) -> …`, and it must be `Clone`"
)]
pub trait ToolFunction<Shape>: 'static {
    /// What the arguments are parsed into.
    type Input;
    /// What it gives.
    type Output;
    /// How it fails.
    type Error;
    /// The future that it returns.
    type Future: Future<Output = Result<Self::Output, Self::Error>>;

    /// Calls it.
    fn call(&self, input: Self::Input, cx: Context) -> Self::Future;
}

/// The input of a function that takes none but wants the context: the empty object.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoInput {}

impl JsonSchema for NoInput {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "NoInput".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schema::no_arguments().into()
    }
}

/// A function and the state that it is given.
pub struct WithState<S, F> {
    state: S,
    function: F,
}

impl<S, F> WithState<S, F> {
    pub(crate) fn new(state: S, function: F) -> Self {
        Self { state, function }
    }
}

macro_rules! shapes {
    ($([$($generic:ident),*] $shape:ty, $subject:ty, $fn:path, $input:ty, |$this:ident, $in:pat_param, $cx:pat_param| $call:expr;)*) => {$(
        #[diagnostic::do_not_recommend]
        impl<$($generic,)* Fut, T, E> ToolFunction<$shape> for $subject
        where
            F: $fn + 'static,
            Fut: Future<Output = Result<T, E>>,
            $($generic: 'static,)*
        {
            type Input = $input;
            type Output = T;
            type Error = E;
            type Future = Fut;

            fn call(&self, $in: $input, $cx: Context) -> Fut {
                let $this = self;
                $call
            }
        }
    )*};
}

shapes! {
    [F, A] (A, Context), F, Fn(A, Context) -> Fut, A, |this, input, cx| this(input, cx);
    [F, A] (A,), F, Fn(A) -> Fut, A, |this, input, _| this(input);
    [F] (), F, Fn() -> Fut, NoInput, |this, _, _| this();
}

macro_rules! shapes_with_state {
    ($([$($generic:ident),*] $shape:ty, $fn:path, $input:ty, |$this:ident, $in:pat_param, $cx:pat_param| $call:expr;)*) => {$(
        #[diagnostic::do_not_recommend]
        impl<S: Clone + 'static, F, $($generic: 'static,)* Fut, T, E> ToolFunction<$shape> for WithState<S, F>
        where
            F: $fn + 'static,
            Fut: Future<Output = Result<T, E>>,
        {
            type Input = $input;
            type Output = T;
            type Error = E;
            type Future = Fut;

            fn call(&self, $in: $input, $cx: Context) -> Fut {
                let $this = self;
                $call
            }
        }
    )*};
}

shapes_with_state! {
    [A] (S, A, Context), Fn(S, A, Context) -> Fut, A, |this, input, cx| (this.function)(this.state.clone(), input, cx);
    [A] (S, A), Fn(S, A) -> Fut, A, |this, input, _| (this.function)(this.state.clone(), input);
    [] (S,), Fn(S) -> Fut, NoInput, |this, _, _| (this.function)(this.state.clone());
}

/// What a tool's function may take.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the input of a tool",
    label = "not an input",
    note = "an input derives `serde::Deserialize` and `schemars::JsonSchema`",
    note = "a function that needs the context alone takes `NoInput` before it: `async fn(NoInput, Context) -> …`"
)]
pub trait FromArguments: DeserializeOwned + JsonSchema + Send {}

impl<T: DeserializeOwned + JsonSchema + Send> FromArguments for T {}

/// What a tool's function may return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the output of a tool",
    label = "not an output",
    note = "an output derives `serde::Serialize` and `schemars::JsonSchema`, or is `ToolOutput` or `Content`"
)]
pub trait IntoOutput: Send {
    /// The schema of the output, if it has one.
    fn schema() -> Option<Value>;

    /// The output; `text` says that the schema is a string's.
    ///
    /// # Errors
    /// [`ToolError::Internal`] when the value does not become JSON.
    fn into_output(self, text: bool) -> Result<ToolOutput, ToolError>;
}

impl<T: Serialize + JsonSchema + Send + 'static> IntoOutput for T {
    fn schema() -> Option<Value> {
        Some(Value::Object(schema::of_output::<T>()))
    }

    fn into_output(self, text: bool) -> Result<ToolOutput, ToolError> {
        let mut output = Some(self);
        if !text {
            let nothing = (&output as &dyn Any).is::<Option<()>>();
            return if nothing { Ok(ToolOutput::empty()) } else { Ok(ToolOutput::structured(&output)?) };
        }
        // Most texts are a `String`, which need not be copied.
        if let Some(text) = (&mut output as &mut dyn Any).downcast_mut::<Option<String>>() {
            return Ok(ToolOutput::text(text.take().unwrap_or_default()));
        }
        match serde_json::to_value(&output)? {
            Value::String(text) => Ok(ToolOutput::text(text)),
            other => Ok(ToolOutput::text(other.to_string())),
        }
    }
}

impl IntoOutput for ToolOutput {
    fn schema() -> Option<Value> {
        None
    }

    fn into_output(self, _: bool) -> Result<ToolOutput, ToolError> {
        Ok(self)
    }
}

impl IntoOutput for Content {
    fn schema() -> Option<Value> {
        None
    }

    fn into_output(self, _: bool) -> Result<ToolOutput, ToolError> {
        Ok(self.into())
    }
}

/// An enum whose variants have descriptions is a choice of strings.
fn is_text(schema: &Value) -> bool {
    let is_choice = || schema.get("oneOf").and_then(Value::as_array).is_some_and(|list| list.iter().all(is_text));
    schema.get("type").map_or_else(is_choice, |kind| kind == "string")
}

fn is_nothing(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("null")
}

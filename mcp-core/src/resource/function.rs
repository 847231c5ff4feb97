//! Resources made of async functions.

use std::marker::PhantomData;

use async_trait::async_trait;
use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::Resource;
use super::spec::{ResourceSpec, resource_methods};
use crate::completion::{Completers, Completing, Completion, completion_methods};
use crate::content::ResourceContents;
use crate::context::Context;
use crate::policy::requirement_methods;
use crate::strings::StringArguments;
use crate::tool::error::ToolError;
use crate::tool::function::{NoInput, ToolFunction, WithState};

/// Makes a resource of an async function, which is called whenever it is read: `async fn() -> Result<Contents, ToolError>`, or
/// `async fn(NoInput, Context) -> …`.
///
/// What it gives is a text (`String`, `&'static str`), bytes (`Vec<u8>`, `Bytes`), a [`ResourceContents`], or several of them; or any
/// of these in an `Option`, where `None` says that there is nothing at the moment.
///
/// ```
/// use mcp_core::{ToolError, resource_fn};
///
/// async fn handbook() -> Result<String, ToolError> {
///     Ok("# Handbook".to_owned())
/// }
///
/// let resource = resource_fn("docs://handbook", "Handbook", handbook).mime_type("text/markdown");
/// ```
pub fn resource_fn<F, Shape>(uri: impl Into<String>, name: impl Into<String>, function: F) -> FunctionResource<F, Shape>
where
    F: ToolFunction<Shape, Input = NoInput>,
    F::Output: IntoContents,
    F::Error: Into<ToolError>,
    F::Future: Send,
{
    FunctionResource::new(ResourceSpec::new(uri, name), function)
}

/// As [`resource_fn`], for a function that is given a clone of `state` first.
pub fn resource_with<S, F, Shape>(
    uri: impl Into<String>,
    name: impl Into<String>,
    state: S,
    function: F,
) -> FunctionResource<WithState<S, F>, Shape>
where
    WithState<S, F>: ToolFunction<Shape, Input = NoInput>,
    <WithState<S, F> as ToolFunction<Shape>>::Output: IntoContents,
    <WithState<S, F> as ToolFunction<Shape>>::Error: Into<ToolError>,
    <WithState<S, F> as ToolFunction<Shape>>::Future: Send,
{
    resource_fn(uri, name, WithState::new(state, function))
}

/// Makes a resource of each URI that [`template`](super::template::UriTemplate) describes, of an async function:
/// `async fn(Variables) -> Result<Contents, ToolError>`, or `async fn(Variables, Context) -> …`. The variables are any type that is
/// `Deserialize` and has a field for each. What it gives is as for [`resource_fn`]; `None` says that there is no such resource.
///
/// ```
/// use mcp_core::{ToolError, resource_template_fn};
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// struct Page {
///     number: u32,
/// }
///
/// async fn page(page: Page) -> Result<Option<String>, ToolError> {
///     Ok((page.number < 100).then(|| format!("Page {}.", page.number)))
/// }
///
/// let pages = resource_template_fn("book://pages/{number}", "Pages", page).mime_type("text/plain");
/// ```
pub fn resource_template_fn<F, Shape>(
    template: impl Into<String>,
    name: impl Into<String>,
    function: F,
) -> FunctionResource<F, Shape>
where
    F: ToolFunction<Shape>,
    F::Input: DeserializeOwned + Send,
    F::Output: IntoContents,
    F::Error: Into<ToolError>,
    F::Future: Send,
{
    FunctionResource::new(ResourceSpec::template(template, name), function)
}

/// As [`resource_template_fn`], for a function that is given a clone of `state` first.
pub fn resource_template_with<S, F, Shape>(
    template: impl Into<String>,
    name: impl Into<String>,
    state: S,
    function: F,
) -> FunctionResource<WithState<S, F>, Shape>
where
    WithState<S, F>: ToolFunction<Shape>,
    <WithState<S, F> as ToolFunction<Shape>>::Input: DeserializeOwned + Send,
    <WithState<S, F> as ToolFunction<Shape>>::Output: IntoContents,
    <WithState<S, F> as ToolFunction<Shape>>::Error: Into<ToolError>,
    <WithState<S, F> as ToolFunction<Shape>>::Future: Send,
{
    resource_template_fn(template, name, WithState::new(state, function))
}

/// A resource made of a function; see [`resource_fn`] and [`resource_template_fn`].
pub struct FunctionResource<F, Shape> {
    spec: ResourceSpec,
    function: F,
    completers: Completers,
    shape: PhantomData<fn() -> Shape>,
}

impl<F, Shape> FunctionResource<F, Shape> {
    fn new(spec: ResourceSpec, function: F) -> Self {
        Self { spec, function, completers: Completers::default(), shape: PhantomData }
    }
}

resource_methods!([F, Shape] FunctionResource<F, Shape>, spec);
requirement_methods!([F, Shape] FunctionResource<F, Shape>, spec);
completion_methods!([F, Shape] FunctionResource<F, Shape>);

#[async_trait]
impl<F, Shape: 'static> Resource for FunctionResource<F, Shape>
where
    F: ToolFunction<Shape> + Send + Sync,
    F::Input: DeserializeOwned + Send,
    F::Output: IntoContents,
    F::Error: Into<ToolError>,
    F::Future: Send,
{
    fn spec(&self) -> &ResourceSpec {
        &self.spec
    }

    async fn read(
        &self,
        uri: &str,
        variables: StringArguments,
        cx: Context,
    ) -> Result<Option<Vec<ResourceContents>>, ToolError> {
        // A number that is none is no such resource.
        let Ok(input) = variables.parse() else { return Ok(None) };
        match self.function.call(input, cx).await {
            Ok(contents) => Ok(contents.into_contents(uri)),
            Err(error) => Err(error.into()),
        }
    }

    async fn complete(&self, asked: Completing, cx: Context) -> Result<Completion, ToolError> {
        self.completers.complete(asked, cx).await
    }
}

/// What the function of a resource may return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the contents of a resource",
    label = "no contents",
    note = "contents are a `String`, a `Vec<u8>`, `Bytes`, a `ResourceContents`, a `Vec<ResourceContents>`, or one of them in an `Option`"
)]
pub trait IntoContents: Send {
    /// The contents of the resource at `uri`; `None` where there is none.
    fn into_contents(self, uri: &str) -> Option<Vec<ResourceContents>>;
}

impl IntoContents for String {
    fn into_contents(self, uri: &str) -> Option<Vec<ResourceContents>> {
        Some(vec![ResourceContents::text(uri, self)])
    }
}

impl IntoContents for &'static str {
    fn into_contents(self, uri: &str) -> Option<Vec<ResourceContents>> {
        Some(vec![ResourceContents::text(uri, self)])
    }
}

impl IntoContents for Vec<u8> {
    fn into_contents(self, uri: &str) -> Option<Vec<ResourceContents>> {
        Some(vec![ResourceContents::blob(uri, self)])
    }
}

impl IntoContents for Bytes {
    fn into_contents(self, uri: &str) -> Option<Vec<ResourceContents>> {
        Some(vec![ResourceContents::blob(uri, self)])
    }
}

impl IntoContents for ResourceContents {
    fn into_contents(self, _: &str) -> Option<Vec<ResourceContents>> {
        Some(vec![self])
    }
}

impl IntoContents for Vec<ResourceContents> {
    fn into_contents(self, _: &str) -> Option<Vec<ResourceContents>> {
        Some(self)
    }
}

impl<T: IntoContents> IntoContents for Option<T> {
    fn into_contents(self, uri: &str) -> Option<Vec<ResourceContents>> {
        self.and_then(|contents| contents.into_contents(uri))
    }
}

//! What a resource is: something under a URI that a client reads (server/resources).

pub mod function;
pub mod spec;
pub mod template;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::catalog::Offered;
use crate::completion::{Completing, Completion};
use crate::content::ResourceContents;
use crate::context::Context;
use crate::policy::Requirement;
use crate::strings::StringArguments;
use crate::tool::error::ToolError;
use spec::ResourceSpec;

/// A resource, or all resources whose URIs are of one form. Most are made of a function by
/// [`resource_fn`](function::resource_fn) and [`resource_template_fn`](function::resource_template_fn).
#[async_trait]
pub trait Resource: Send + Sync + 'static {
    /// Where it is, and what it is. Read once, when it is offered.
    fn spec(&self) -> &ResourceSpec;

    /// What is under `uri`; `variables` holds what stands in the places of the template's variables, decoded. `None` where there is
    /// nothing.
    ///
    /// A client that leaves drops the future: to read changes nothing.
    ///
    /// # Errors
    /// See [`ToolError`]: what the client may see depends on the variant.
    async fn read(
        &self,
        uri: &str,
        variables: StringArguments,
        cx: Context,
    ) -> Result<Option<Vec<ResourceContents>>, ToolError>;

    /// What a variable of the template may become (server/utilities/completion).
    ///
    /// # Errors
    /// As [`Resource::read`].
    async fn complete(&self, asked: Completing, cx: Context) -> Result<Completion, ToolError> {
        let _ = (asked, cx);
        Ok(Completion::default())
    }
}

/// A resource with all that is worked out once, when it is offered.
pub struct OfferedResource {
    resource: Arc<dyn Resource>,
    wire: Bytes,
}

impl OfferedResource {
    /// Checks the spec and prepares it.
    ///
    /// # Errors
    /// [`BadResource`], which says what is wrong with the spec.
    pub fn new(resource: Arc<dyn Resource>) -> Result<Self, BadResource> {
        let spec = resource.spec();
        let bad = |fault: String| BadResource { uri: spec.key().to_owned(), fault };
        spec.check().map_err(bad)?;
        let wire = serde_json::to_vec(&spec.wire).map_err(|error| bad(error.to_string()))?.into();
        Ok(Self { resource, wire })
    }

    /// What it says of itself.
    pub fn spec(&self) -> &ResourceSpec {
        self.resource.spec()
    }

    pub(crate) fn resource(&self) -> &dyn Resource {
        &*self.resource
    }
}

impl Offered for OfferedResource {
    fn key(&self) -> &str {
        self.spec().key()
    }

    fn requirement(&self) -> &Requirement {
        &self.spec().requirement
    }

    fn json(&self) -> &Bytes {
        &self.wire
    }
}

/// A resource that cannot be offered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the resource {uri:?} cannot be offered: {fault}")]
pub struct BadResource {
    uri: String,
    fault: String,
}

impl BadResource {
    pub(crate) fn twice(uri: String) -> Self {
        Self { uri, fault: "another resource has this URI".to_owned() }
    }
}

//! Views that clients show beside what tools answer: pages under `ui://`, in a frame of their own (the extension
//! `io.modelcontextprotocol/ui`, "MCP Apps", 2026-01-26).
//!
//! ```
//! use mcp_core::view::{Permission, View};
//! use mcp_core::{BuildError, Server, ToolError, resource_fn, tool_fn};
//!
//! async fn page() -> Result<&'static str, ToolError> {
//!     Ok("<!doctype html><title>Weather</title><p id=now></p>")
//! }
//!
//! async fn weather() -> Result<String, ToolError> {
//!     Ok("It rains.".to_owned())
//! }
//!
//! # fn main() -> Result<(), BuildError> {
//! let view = View::new().connects("https://weather.example.com").may(Permission::Geolocation);
//! let server = Server::builder("weather", "1.0.0")
//!     .resource(resource_fn("ui://weather/now", "Weather", page).view(view))
//!     .tool(tool_fn("weather", "How the weather is.", weather).view("ui://weather/now"))
//!     .build()?;
//! # let _ = server;
//! # Ok(())
//! # }
//! ```
//!
//! A client that shows no views shows the tool's text, so that every tool gives one; [`ClientCapability::Views`] tells which it is.
//! What a page is made of must be the server's own: put what others wrote into the results of tools, which the page is told.
//!
//! [`ClientCapability::Views`]: crate::ClientCapability::Views

use serde::Serialize;

/// The extension.
pub(crate) const EXTENSION: &str = "io.modelcontextprotocol/ui";

/// The media type of a view.
pub const MEDIA_TYPE: &str = "text/html;profile=mcp-app";

/// What a page needs of the client that shows it. It is given nothing that it does not name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    #[serde(skip_serializing_if = "Csp::is_empty")]
    csp: Csp,
    #[serde(skip_serializing_if = "Permissions::is_empty")]
    permissions: Permissions,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefers_border: Option<bool>,
}

/// The origins that a page may reach (the extension's `McpUiResourceCsp`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Csp {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    connect_domains: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resource_domains: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    frame_domains: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    base_uri_domains: Vec<String>,
}

impl Csp {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What a page may use, each an empty object (the extension's `McpUiResourcePermissions`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
struct Permissions(std::collections::BTreeMap<Permission, Granted>);

impl Permissions {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Granted {}

/// Something of the user's that a page may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
#[expect(missing_docs, reason = "the platform's own words")]
pub enum Permission {
    Camera,
    Microphone,
    Geolocation,
    ClipboardWrite,
}

impl View {
    /// A page that reaches nobody and may nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// It speaks to this origin: `fetch` and sockets.
    #[must_use]
    pub fn connects(mut self, origin: impl Into<String>) -> Self {
        self.csp.connect_domains.push(origin.into());
        self
    }

    /// It loads scripts, styles, pictures and fonts from this origin.
    #[must_use]
    pub fn loads(mut self, origin: impl Into<String>) -> Self {
        self.csp.resource_domains.push(origin.into());
        self
    }

    /// It shows pages of this origin in frames.
    #[must_use]
    pub fn frames(mut self, origin: impl Into<String>) -> Self {
        self.csp.frame_domains.push(origin.into());
        self
    }

    /// Its `base` may be of this origin.
    #[must_use]
    pub fn based_at(mut self, origin: impl Into<String>) -> Self {
        self.csp.base_uri_domains.push(origin.into());
        self
    }

    /// It may ask its user for this.
    #[must_use]
    pub fn may(mut self, permission: Permission) -> Self {
        self.permissions.0.insert(permission, Granted {});
        self
    }

    /// It wants an origin of its own, of a form that the client defines.
    #[must_use]
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Whether it looks better with a border, or without; else the client decides.
    #[must_use]
    pub fn border(mut self, border: bool) -> Self {
        self.prefers_border = Some(border);
        self
    }
}

/// What stands in `_meta` of what has to do with a view.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Meta<T> {
    pub(crate) ui: T,
}

/// The view of a tool (the extension's `McpUiToolMeta`).
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ToolView {
    pub(crate) resource_uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) visibility: Option<[&'static str; 1]>,
}

/// Says what is wrong with the URI of a view.
pub(crate) fn check(uri: &str) -> Result<(), String> {
    match uri.strip_prefix("ui://") {
        Some(rest) if !rest.is_empty() => Ok(()),
        _ => Err(format!("{uri:?} is no view; the URI of one begins with `ui://`")),
    }
}

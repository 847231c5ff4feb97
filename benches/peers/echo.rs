//! The tool `echo` of the bench `hello`, as the official SDK has it.

use rmcp::ServerHandler;
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{ServerCapabilities, ServerConfig};
use rmcp::{tool, tool_handler, tool_router};
use schemars::JsonSchema;
use serde::Deserialize;

/// A server of one tool. The SDK wants one for each request, so that the router is made once and cloned.
#[derive(Clone)]
pub struct Echo {
    tool_router: ToolRouter<Self>,
}

/// What `echo` takes.
#[derive(Deserialize, JsonSchema)]
pub struct Said {
    /// What to say.
    message: String,
}

#[tool_router]
impl Echo {
    /// The server, to be cloned.
    #[must_use]
    pub fn new() -> Self {
        Self { tool_router: Self::tool_router() }
    }

    #[tool(description = "Says what it is told.", annotations(read_only_hint = true))]
    async fn echo(&self, Parameters(said): Parameters<Said>) -> String {
        said.message
    }
}

impl Default for Echo {
    fn default() -> Self {
        Self::new()
    }
}

#[tool_handler(router = self.tool_router)]
impl ServerHandler for Echo {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }
}

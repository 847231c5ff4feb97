//! A client of other MCP servers, of either era: over HTTP, with TLS or without, or of a process that it starts.

mod http;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::process::Stdio;
use std::time::Duration;

use rmcp::model::{CallToolRequestParams, ClientConfig, Implementation, PaginatedRequestParams, ProtocolVersion};
use rmcp::service::{ClientInitializeError, ClientLifecycleMode, RunningService};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::{IntoTransport, StreamableHttpClientTransport};
use rmcp::{ClientServiceExt, RoleClient, ServiceError};
use serde_json::{Map, Value, json};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use self::http::Http;
use crate::wire::{Connector, any_address, connector};

/// Where a server is.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// At a URL that begins with `http://` or `https://`, with these headers.
    Url {
        /// Of its MCP endpoint.
        url: String,
        /// What is sent along with each request, such as `Authorization`.
        headers: Vec<(String, String)>,
    },
    /// A command that speaks on its standard streams; what it says on stderr goes to ours.
    Command {
        /// The program, and its arguments.
        words: Vec<String>,
        /// What it has in its environment, beside ours.
        environment: Vec<(String, String)>,
    },
}

/// Why a server was not spoken with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The address cannot be used.
    #[error("{0}")]
    Address(String),
    /// Nobody answers, or it is no MCP server.
    #[error("it does not answer as an MCP server: {0}")]
    Unreachable(String),
    /// It took too long.
    #[error("no answer within {} seconds", .0.as_secs())]
    Late(Duration),
    /// It answered with an error.
    #[error("{0}")]
    Answered(String),
    /// It lists more than is read.
    #[error("it lists more than {MOST} {0}")]
    TooMany(&'static str),
}

/// How many tools, resources or prompts of a server are read.
pub const MOST: usize = 10_000;

/// One server, connected. Dropping it ends the connection, and the process.
pub struct McpClient {
    service: RunningService<RoleClient, ClientConfig>,
    patience: Duration,
    /// Ends with this.
    _child: Option<Child>,
}

impl McpClient {
    /// Connects, in the newest era that the server speaks. Each answer is waited for as long as `patience`, this one included.
    ///
    /// # Errors
    /// [`ClientError`], in one line.
    pub async fn connect(address: &Address, patience: Duration) -> Result<Self, ClientError> {
        match address {
            Address::Url { url, headers } => {
                let connector = connector().map_err(|error| ClientError::Address(error.to_string()))?;
                Self::at(url, headers, connector, patience).await
            }
            Address::Command { words, environment } => {
                let (program, arguments) =
                    words.split_first().ok_or_else(|| ClientError::Address("there is no command".to_owned()))?;
                let mut command = Command::new(program);
                command.args(arguments).envs(environment.iter().cloned()).kill_on_drop(true);
                command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
                let mut child = command
                    .spawn()
                    .map_err(|error| ClientError::Unreachable(format!("{program} cannot be started: {error}")))?;
                let streams = child.stdout.take().zip(child.stdin.take());
                let streams = streams.ok_or_else(|| ClientError::Unreachable("it has no streams".to_owned()))?;
                Self::over(streams, Some(child), patience).await
            }
        }
    }

    async fn at(
        url: &str,
        headers: &[(String, String)],
        connector: Connector,
        patience: Duration,
    ) -> Result<Self, ClientError> {
        any_address(url).map_err(|problem| ClientError::Address(problem.to_owned()))?;
        let bad = |name: &str| ClientError::Address(format!("the header {name} cannot be sent"));
        let headers: HashMap<_, _> = headers
            .iter()
            .map(|(name, value)| {
                let header = (name.parse().ok(), value.parse().ok());
                if let (Some(name), Some(value)) = header { Ok((name, value)) } else { Err(bad(name)) }
            })
            .collect::<Result<_, _>>()?;
        let config = StreamableHttpClientTransportConfig::with_uri(url).custom_headers(headers);
        let transport = StreamableHttpClientTransport::with_client(Http::new(connector), config);
        Self::over(transport, None, patience).await
    }

    async fn over<E, A>(
        transport: impl IntoTransport<RoleClient, E, A>,
        child: Option<Child>,
        patience: Duration,
    ) -> Result<Self, ClientError>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let service = timeout(patience, this().serve_with_lifecycle(transport, lifecycle()));
        let service = service.await.map_err(|_| ClientError::Late(patience))?;
        let service = service.map_err(|error| match &error {
            // What is around it names types.
            ClientInitializeError::TransportError { error, .. } => {
                ClientError::Unreachable(chain(error.error.as_ref()))
            }
            error => ClientError::Unreachable(chain(error)),
        })?;
        Ok(Self { service, patience, _child: child })
    }

    /// What the server says of itself: `server`, `protocolVersion`, `capabilities`, `instructions`.
    pub fn about(&self) -> Value {
        let Some(info) = self.service.peer_info() else { return json!({}) };
        json!({
            "server": info.server_info, "protocolVersion": info.protocol_version,
            "capabilities": info.capabilities, "instructions": info.instructions,
        })
    }

    /// Its tools, each as the protocol has it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn tools(&self) -> Result<Vec<Value>, ClientError> {
        self.all("tools", async |page| {
            let found = self.service.list_tools(page).await?;
            Ok((json!(found.tools), found.next_cursor))
        })
        .await
    }

    /// Its resources.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn resources(&self) -> Result<Vec<Value>, ClientError> {
        self.all("resources", async |page| {
            let found = self.service.list_resources(page).await?;
            Ok((json!(found.resources), found.next_cursor))
        })
        .await
    }

    /// Its templates of resources.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn resource_templates(&self) -> Result<Vec<Value>, ClientError> {
        self.all("templates", async |page| {
            let found = self.service.list_resource_templates(page).await?;
            Ok((json!(found.resource_templates), found.next_cursor))
        })
        .await
    }

    /// Its prompts.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn prompts(&self) -> Result<Vec<Value>, ClientError> {
        self.all("prompts", async |page| {
            let found = self.service.list_prompts(page).await?;
            Ok((json!(found.prompts), found.next_cursor))
        })
        .await
    }

    /// Calls a tool, and gives its result as the protocol has it.
    ///
    /// # Errors
    /// [`ClientError`]; what the tool says itself (`isError`) is a result.
    pub async fn call(&self, tool: &str, arguments: Map<String, Value>) -> Result<Value, ClientError> {
        let call = self.service.call_tool(CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments));
        let mut result = json!(self.soon(call).await?);
        if let Some(members) = result.as_object_mut() {
            members.remove("resultType");
            members.remove("_meta");
        }
        Ok(result)
    }

    async fn soon<T>(&self, answer: impl Future<Output = Result<T, ServiceError>>) -> Result<T, ClientError> {
        timeout(self.patience, answer).await.map_err(|_| ClientError::Late(self.patience))?.map_err(answered)
    }

    /// All pages of a list.
    async fn all(
        &self,
        what: &'static str,
        list: impl AsyncFn(Option<PaginatedRequestParams>) -> Result<(Value, Option<String>), ServiceError>,
    ) -> Result<Vec<Value>, ClientError> {
        let mut all = Vec::new();
        let mut page = None;
        // A server that gives empty pages for ever is left as well.
        for _ in 0..MOST {
            let (found, next) = self.soon(list(page)).await?;
            if let Value::Array(found) = found {
                all.extend(found);
            }
            if all.len() > MOST {
                break;
            }
            match next {
                None => return Ok(all),
                next => page = Some(PaginatedRequestParams::default().with_cursor(next)),
            }
        }
        Err(ClientError::TooMany(what))
    }
}

fn answered(error: ServiceError) -> ClientError {
    match error {
        ServiceError::McpError(error) => ClientError::Answered(error.message.into_owned()),
        error => ClientError::Unreachable(chain(&error)),
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut told: Vec<String> = Vec::new();
    for cause in causes {
        let cause = cause.to_string().replace('\n', " ");
        // Many say their cause themselves.
        if !told.iter().any(|before| before.contains(&cause)) {
            told.push(cause);
        }
    }
    told.join(": ")
}

fn this() -> ClientConfig {
    let mut config = ClientConfig::default();
    config.client_info = Implementation::new("mcp-connect", env!("CARGO_PKG_VERSION"));
    config
}

fn lifecycle() -> ClientLifecycleMode {
    ClientLifecycleMode::Auto {
        preferred_versions: vec![ProtocolVersion::V_2026_07_28],
        legacy_version: Some(ProtocolVersion::V_2025_11_25),
    }
}

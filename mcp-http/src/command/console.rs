//! `console`: where the web console is, and a way in.

use mcp_core::Caller;
use mcp_core::caller::browsers::Browsers;
use mcp_core::caller::desk::{NewKey, NewUser};
use mcp_core::clock::Clock;
use mcp_core::tokio_runtime::TokioClock;
use serde_json::json;

use super::act;
use super::client::base;
use super::failure::{Failure, Kind};
use super::output::Output;
use crate::bundled::HOUSE;
use crate::config::Config;

pub(super) const EXAMPLES: &str = "\
Examples:
  mcp-http console                              where the console is; elsewhere than on this machine alone, a link that lets in once
  PUBLIC_URL=https://mcp.example.com/mcp mcp-http console";

/// As whom a link lets in, and what its keys are called.
const NAME: &str = "console";

pub(super) fn run(config: &Config, output: &mut Output) -> Result<(), Failure> {
    if !config.console || cfg!(not(feature = "console")) {
        return Err(Failure::new(Kind::Refused, "the console is not served")
            .hint("set CONSOLE=true, and start the server again"));
    }
    let url = format!("{}/console", base(config, config.public_url.as_deref()));
    if config.is_loopback() && config.oauth_issuers.is_empty() && config.public_url.is_none() {
        return output.write(&json!({"url": url}), || format!("{url}\nIt opens for everyone on this machine."));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let token = runtime.block_on(link(config))?;
    let url = format!("{url}#token={token}");
    let minutes = Browsers::LINK.as_secs() / 60;
    output.write(&json!({"url": url, "seconds": Browsers::LINK.as_secs()}), || {
        format!("{url}\nIt lets in once, within {minutes} minutes.")
    })
}

/// A link to a key that ends with the session for which it is.
async fn link(config: &Config) -> Result<String, Failure> {
    let (server, _) = act::opened(config).await?;
    let roles = [Caller::ADMIN, Caller::OPERATOR].map(str::to_owned).into();
    let user = NewUser { principal: NAME.into(), display_name: "Console".to_owned(), roles };
    let key = NewKey {
        name: NAME.to_owned(),
        principal: None,
        roles: None,
        scopes: Some([Caller::ALL_SCOPES.to_owned()].into()),
        expires: Some(TokioClock::new().now().after(Browsers::LINK + Browsers::SESSION)),
    };
    let made = act::make_key(&server, &act::by(HOUSE), user, key).await?;
    server.browsers().link(made.secret.expose()).map_err(|error| Failure::new(Kind::Failed, error.to_string()))
}

//! `completion/complete` (server/utilities/completion).

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Deserialize;

use crate::call::Call;
use crate::caller::Caller;
use crate::completion::{Completing, Completion};
use crate::dispatch::Exchange;
use crate::json;
use crate::jsonrpc::Params;
use crate::jsonrpc::reader::Raw;
use crate::protocol::encoding::Encoded;
use crate::protocol::errors::{self, RpcError, invalid};
use crate::protocol::prompts;
use crate::resource::OfferedResource;
use crate::resource::template::UriTemplate;
use crate::server::Server;
use crate::strings::StringArguments;
use crate::tool::pipeline;

/// What an argument belongs to.
#[derive(Deserialize)]
#[serde(tag = "type")]
enum Reference {
    #[serde(rename = "ref/prompt")]
    Prompt { name: String },
    #[serde(rename = "ref/resource")]
    Resource { uri: String },
}

#[derive(Deserialize)]
struct Argument {
    name: String,
    value: String,
}

#[derive(Default, Deserialize)]
struct Known {
    #[serde(default)]
    arguments: StringArguments,
}

/// Prepares what completes an argument.
pub(crate) fn complete(exchange: Exchange<'_>, params: &Params<'_>, id: &str) -> Result<Call<Encoded>, RpcError> {
    let (server, encoding) = (exchange.server, exchange.encoding);
    let reference = params.rare().reference.and_then(Raw::object).ok_or_else(|| {
        invalid(
            "`params.ref` must be {\"type\": \"ref/prompt\", \"name\": …} or {\"type\": \"ref/resource\", \"uri\": …}",
        )
    })?;
    let argument: Argument = params
        .rare()
        .argument
        .and_then(Raw::object)
        .ok_or_else(|| invalid("`params.argument` must be {\"name\": …, \"value\": …}, both strings"))?;
    let known: Known = match params.rare().context {
        None => Known::default(),
        Some(raw) => raw
            .object()
            .ok_or_else(|| invalid("`params.context.arguments` must be an object whose values are strings"))?,
    };
    let asked = Completing { argument: argument.name, value: argument.value, known: known.arguments };
    let unknown = |what: &str| invalid(format!("there is no argument {:?} of {what}", asked.argument));
    let cx = exchange.context(params, None, None, false)?;
    let inner = cx.clone();
    let (kind, complete): (_, BoxFuture<'static, _>) = match reference {
        Reference::Prompt { name } => {
            let prompt = prompts::find(server, cx.caller(), &name)?;
            if !prompt.spec().arguments().iter().any(|known| known.name() == asked.argument) {
                return Err(unknown(&format!("the prompt {name:?}")));
            }
            ("prompt", async move { prompt.prompt().complete(asked, inner).await }.boxed())
        }
        Reference::Resource { uri } => {
            let template = find_template(server, cx.caller(), &uri)?;
            let variables = |template: &UriTemplate| template.variables().any(|known| known == asked.argument);
            if !template.spec().uri_template().is_some_and(variables) {
                return Err(unknown(&format!("the template {uri:?}")));
            }
            ("resource", async move { template.resource().complete(asked, inner).await }.boxed())
        }
    };
    let (inner, id) = (cx.clone(), id.to_owned());
    let complete = async move {
        let completion = pipeline::read(kind, "completion", &inner, complete).await;
        let completion: Completion = completion.map_err(|failure| errors::of_read(&failure))?;
        Ok(encoding.result(&inner.inner().server, &id, 256, |out| {
            out.extend_from_slice(b"\"completion\":{\"values\":");
            json::write_list(out, &completion.values, |out, value: &String| json::write_string(out, value));
            if let Some(total) = completion.total {
                out.extend_from_slice(format!(",\"total\":{total}").as_bytes());
            }
            out.extend_from_slice(format!(",\"hasMore\":{}}}", completion.has_more).as_bytes());
        }))
    };
    Ok(Call::read(complete, cx))
}

fn find_template(server: &Server, caller: &Caller, template: &str) -> Result<Arc<OfferedResource>, RpcError> {
    server.resource_templates().seen_by(caller).find(template).map_err(|unseen| {
        errors::unseen(server.noted(caller, unseen), || {
            let shown: String = template.chars().take(1024).collect();
            invalid(format!("there is no template {shown:?}; `resources/templates/list` names those that there are"))
        })
    })
}

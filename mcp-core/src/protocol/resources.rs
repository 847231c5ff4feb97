//! `resources/read` (server/resources).

use std::sync::Arc;

use serde_json::json;

use crate::call::Call;
use crate::caller::Caller;
use crate::content::ResourceContents;
use crate::context::{Context, Outbox};
use crate::json;
use crate::jsonrpc::Params;
use crate::jsonrpc::reader::Raw;
use crate::protocol::encoding::{Encoded, Encoding};
use crate::protocol::errors::{self, RpcError, invalid};
use crate::protocol::tools;
use crate::server::Server;
use crate::tool::pipeline;

/// Prepares a read.
pub(crate) fn read(
    server: &Server,
    params: &Params<'_>,
    caller: Caller,
    encoding: Encoding,
    id: &str,
) -> Result<(Call<Encoded>, Option<Arc<Outbox>>), RpcError> {
    let uri = params.uri.and_then(Raw::string);
    let uri = uri.ok_or_else(|| invalid("`params.uri` must be the URI of a resource, as `resources/list` gives it"))?;
    let outbox = tools::outbox(params, encoding)?;
    let (resource, variables) = server.find_resource(&uri).ok_or_else(|| not_found(&uri, encoding))?;
    let (uri, id) = (uri.into_owned(), id.to_owned());
    let cx = Context::new(server.clone(), caller, None, outbox.clone());
    let inner = cx.clone();
    let read = async move {
        let read = resource.resource().read(&uri, variables, inner.clone());
        let contents = pipeline::read("resource", resource.spec().key(), &inner, read).await;
        let contents = contents.map_err(|failure| errors::of_read(&failure))?.filter(|contents| !contents.is_empty());
        let contents = contents.ok_or_else(|| not_found(&uri, encoding))?;
        let contents: Vec<_> =
            contents.into_iter().map(|contents| contents.of_type(resource.spec().media_type())).collect();
        let size = contents.iter().map(|contents| contents.size() + 64).sum();
        Ok(encoding.result(&inner.inner().server, &id, size, |out| {
            out.extend_from_slice(b"\"contents\":");
            json::write_list(out, &contents, |out, contents: &ResourceContents| contents.encode(out));
            encoding.caching(out, resource.spec().caching);
        }))
    };
    Ok((Call::read(read, cx), outbox))
}

/// The older era has a code of its own for this.
fn not_found(uri: &str, encoding: Encoding) -> RpcError {
    let shown: String = uri.chars().take(1024).collect();
    let code = if encoding == Encoding::Modern { crate::jsonrpc::INVALID_PARAMS } else { errors::RESOURCE_NOT_FOUND };
    RpcError::new(200, code, format!("there is no resource {shown:?}")).with_data(json!({"uri": shown}))
}

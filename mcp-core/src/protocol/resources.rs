//! `resources/read` (server/resources).

use std::sync::Arc;

use serde_json::json;

use crate::call::Call;
use crate::content::ResourceContents;
use crate::context::Outbox;
use crate::dispatch::Exchange;
use crate::json;
use crate::jsonrpc::Params;
use crate::jsonrpc::reader::Raw;
use crate::protocol::encoding::{self, Encoded, Encoding};
use crate::protocol::errors::{self, RpcError, invalid};
use crate::tool::pipeline;

/// Prepares a read.
pub(crate) fn read(
    exchange: Exchange<'_>,
    params: &Params<'_>,
    id: &str,
) -> Result<(Call<Encoded>, Option<Arc<Outbox>>), RpcError> {
    let uri = params.rare().uri.and_then(Raw::string);
    let uri = uri.ok_or_else(|| invalid("`params.uri` must be the URI of a resource, as `resources/list` gives it"))?;
    let (outbox, encoding) = (exchange.outbox(params)?, exchange.encoding);
    let (resource, variables) = exchange
        .server
        .find_resource(&exchange.caller, &uri)
        .map_err(|unseen| errors::unseen(unseen, || not_found(&uri, encoding)))?;
    let (uri, id) = (uri.into_owned(), id.to_owned());
    let cx = exchange.context(params, None, outbox.clone(), true)?;
    let inner = cx.clone();
    let read = async move {
        let read = resource.resource().read(&uri, variables, inner.clone());
        let contents = pipeline::read("resource", resource.spec().key(), &inner, read).await;
        let contents = match contents {
            Ok(contents) => contents.filter(|contents| !contents.is_empty()),
            Err(failure) => return encoding::unread(&inner.inner().server, &id, &failure),
        };
        let contents = contents.ok_or_else(|| not_found(&uri, encoding))?;
        let contents: Vec<_> =
            contents.into_iter().map(|contents| contents.of_type(resource.spec().media_type())).collect();
        let size = contents.iter().map(|contents| contents.size() + 64).sum();
        Ok(encoding.result(&inner.inner().server, &id, size, |out| {
            out.extend_from_slice(b"\"contents\":");
            let view = resource.spec().view_meta();
            json::write_list(out, &contents, |out, contents: &ResourceContents| contents.encode_with(out, view));
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

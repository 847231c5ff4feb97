//! `subscriptions/listen` (basic/patterns/subscriptions).

use std::pin::pin;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::{Either, select};
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::caller::Caller;
use crate::capability::{ClientCapabilities, ClientCapability};
use crate::changes::{Change, Heard};
use crate::clock::Clock;
use crate::json;
use crate::jsonrpc::Params;
use crate::jsonrpc::reader::Raw;
use crate::protocol::errors::{self, RpcError, invalid};
use crate::protocol::tasks;
use crate::server::{ListenerGuard, Server};
use crate::task::{Tasks, Watch};

/// Of how many resources a client is told: in one subscription, or in one session of the older era.
pub(crate) const MOST_URIS: usize = 256;

/// Of how many tasks a client is told in one subscription.
const MOST_TASKS: usize = 100;

/// What a client wants to hear of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Filter {
    #[serde(default, skip_serializing_if = "is_false")]
    tools_list_changed: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    prompts_list_changed: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    resources_list_changed: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    resource_subscriptions: Vec<String>,
    /// Of the extension of tasks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    task_ids: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

impl Filter {
    /// What is asked for, as far as the server has it.
    pub(crate) fn read(params: &Params<'_>, server: &Server) -> Result<Self, RpcError> {
        let mut filter: Self = params.rare().notifications.and_then(Raw::object).ok_or_else(|| {
            invalid(
                "`params.notifications` must be an object that says what to listen to: toolsListChanged, promptsListChanged, resourcesListChanged, resourceSubscriptions",
            )
        })?;
        if filter.resource_subscriptions.len() > MOST_URIS {
            return Err(invalid(format!(
                "`params.notifications.resourceSubscriptions` has more than {MOST_URIS} URIs; listen to the others by another request"
            )));
        }
        if filter.task_ids.len() > MOST_TASKS {
            return Err(invalid(format!(
                "`params.notifications.taskIds` has more than {MOST_TASKS} ids; listen to the others by another request"
            )));
        }
        if !filter.task_ids.is_empty() && !ClientCapabilities::of(params).has(ClientCapability::Tasks) {
            return Err(errors::incapable(ClientCapability::Tasks));
        }
        if !server.does_tasks() {
            filter.task_ids.clear();
        }
        filter.prompts_list_changed &= server.has_prompts();
        filter.resources_list_changed &= server.has_resources();
        if !server.has_resources() {
            filter.resource_subscriptions.clear();
        }
        Ok(filter)
    }

    /// The method and the parameters of what this client is told.
    fn told(&self, heard: &Heard) -> Vec<(&'static str, Option<&str>)> {
        let is_told = |change: &Change| match change {
            Change::Tools => self.tools_list_changed,
            Change::Prompts => self.prompts_list_changed,
            Change::Resources => self.resources_list_changed,
            Change::Resource(uri) => self.resource_subscriptions.contains(uri),
            // Of tasks it is told how they are.
            Change::Task(_) => false,
        };
        match heard {
            Heard::Change(change) if !is_told(change) => Vec::new(),
            Heard::Change(Change::Tools) => vec![(TOOLS, None)],
            Heard::Change(Change::Prompts) => vec![(PROMPTS, None)],
            Heard::Change(Change::Resources) => vec![(RESOURCES, None)],
            Heard::Change(Change::Task(_)) => Vec::new(),
            Heard::Change(Change::Resource(uri)) => {
                let own = self.resource_subscriptions.iter().find(|own| *own == uri);
                own.map(|uri| (UPDATED, Some(uri.as_str()))).into_iter().collect()
            }
            // Whatever it may have been.
            Heard::Missed => {
                let lists = [
                    (self.tools_list_changed, TOOLS),
                    (self.prompts_list_changed, PROMPTS),
                    (self.resources_list_changed, RESOURCES),
                ];
                let lists = lists.into_iter().filter(|(asked, _)| *asked).map(|(_, method)| (method, None));
                lists.chain(self.resource_subscriptions.iter().map(|uri| (UPDATED, Some(uri.as_str())))).collect()
            }
        }
    }
}

const TOOLS: &str = "notifications/tools/list_changed";
const PROMPTS: &str = "notifications/prompts/list_changed";
const RESOURCES: &str = "notifications/resources/list_changed";
const UPDATED: &str = "notifications/resources/updated";

/// Counts a client of either era as one that listens, and hears what concerns it from here on.
pub(crate) async fn hear(
    server: &Server,
    caller: &Caller,
) -> Result<(ListenerGuard, BoxStream<'static, Heard>), RpcError> {
    let counted = server.count_listener(caller)?;
    let heard = server.listen_to_changes(caller).await.map_err(|error| {
        tracing::warn!(%error, "nobody can listen to changes");
        errors::busy("changes cannot be listened to at the moment; try again later")
    })?;
    Ok((counted, heard))
}

/// One client that listens.
pub(crate) struct Subscription {
    server: Server,
    /// The id of the request that began it, as JSON text.
    id: String,
    filter: Filter,
    heard: BoxStream<'static, Heard>,
    tasks: Watch,
    _counted: ListenerGuard,
}

impl Subscription {
    /// Begins to listen: what is told from here on is heard.
    pub(crate) async fn open(
        server: Server,
        caller: &Caller,
        id: String,
        mut filter: Filter,
    ) -> Result<Self, RpcError> {
        let (counted, heard) = hear(&server, caller).await?;
        let tasks = Tasks::of(&server, caller);
        let tasks = Watch::open(tasks, &mut filter.task_ids).await.map_err(tasks::refused)?;
        Ok(Self { server, id, filter, heard, tasks, _counted: counted })
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        self.server.shared_clock()
    }

    /// The first message: what the client is told of.
    pub(crate) fn acknowledgement(&self) -> Vec<u8> {
        self.notification("notifications/subscriptions/acknowledged", |out| {
            out.extend_from_slice(b",\"notifications\":");
            json::write(out, &self.filter);
        })
    }

    /// The next messages, at least one; `None` where the server ends the subscription.
    ///
    /// Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Vec<Vec<u8>>> {
        let server = self.server.clone();
        match select(pin!(self.changed()), pin!(server.closing().cancelled())).await {
            Either::Left((told, _)) => told,
            Either::Right(_) => None,
        }
    }

    async fn changed(&mut self) -> Option<Vec<Vec<u8>>> {
        loop {
            if let Some(task) = self.tasks.next().await {
                let told = self.notification("notifications/tasks", |out| {
                    out.push(b',');
                    task.encode_detailed(out, self.server.limits().task_ttl);
                });
                return Some(vec![told]);
            }
            let heard = self.heard.next().await?;
            self.tasks.heard(&heard);
            let told: Vec<_> = self
                .filter
                .told(&heard)
                .into_iter()
                .map(|(method, uri)| {
                    self.notification(method, |out| {
                        if let Some(uri) = uri {
                            out.extend_from_slice(b",\"uri\":");
                            json::write_string(out, uri);
                        }
                    })
                })
                .collect();
            if !told.is_empty() {
                return Some(told);
            }
        }
    }

    /// Where all subscriptions share a channel, the one message before the last (basic/patterns/cancellation).
    pub(crate) fn cancelled(&self) -> Vec<u8> {
        self.notification("notifications/cancelled", |out| {
            out.extend_from_slice(b",\"requestId\":");
            out.extend_from_slice(self.id.as_bytes());
        })
    }

    /// The last message: the server ends the subscription.
    pub(crate) fn end(&self) -> Vec<u8> {
        let mut out = b"{\"jsonrpc\":\"2.0\",\"id\":".to_vec();
        out.extend_from_slice(self.id.as_bytes());
        out.extend_from_slice(b",\"result\":{\"resultType\":\"complete\",\"_meta\":{");
        self.write_id(&mut out);
        out.extend_from_slice(b",\"io.modelcontextprotocol/serverInfo\":");
        out.extend_from_slice(&self.server.identity().implementation);
        out.extend_from_slice(b"}}}");
        out
    }

    fn notification(&self, method: &str, params: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"method\":\"");
        out.extend_from_slice(method.as_bytes());
        out.extend_from_slice(b"\",\"params\":{\"_meta\":{");
        self.write_id(&mut out);
        out.push(b'}');
        params(&mut out);
        out.extend_from_slice(b"}}");
        out
    }

    /// Writes which subscription a message belongs to, in the type that the client gave.
    fn write_id(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\"io.modelcontextprotocol/subscriptionId\":");
        out.extend_from_slice(self.id.as_bytes());
    }
}

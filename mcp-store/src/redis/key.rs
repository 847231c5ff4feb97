//! The names of keys.

use mcp_core::caller::{Principal, Tenant};
use mcp_core::store::events::Topic;

/// What is written to find out whether anything can be.
pub(super) const BEAT: &str = "mcp:beat";
/// A part of the version of every tag.
pub(super) const EPOCH: &str = "mcp:cache:epoch";

/// The channels of all events, as a pattern. Channels know nothing of the databases of a server, so that its number is in them.
pub(super) fn events(database: i64) -> String {
    format!("mcp:event:{database}:*")
}

/// The channel of a topic.
pub(super) fn event(database: i64, topic: &Topic) -> String {
    let kind = format!("mcp:event:{database}");
    match topic.tenant() {
        Some(tenant) => of(&kind, tenant, topic.name()),
        // No length begins with a letter.
        None => format!("{kind}:house:{}", topic.name()),
    }
}

/// The key of a cached value.
pub(super) fn value(tenant: &Tenant, name: &str) -> String {
    of("mcp:cache:value", tenant, name)
}

/// The key of a tag's version.
pub(super) fn tag(tenant: &Tenant, name: &str) -> String {
    of("mcp:cache:tag", tenant, name)
}

/// The key of what was taken from a limit.
pub(super) fn limit(tenant: &Tenant, name: &str) -> String {
    of("mcp:limit", tenant, name)
}

/// What all keys of a room of sessions begin with: those of `value:` with an owner and a handle, those of `list:` with an owner, and `all`.
pub(super) fn sessions(room: &str) -> String {
    format!("mcp:{}:", room.strip_suffix('s').unwrap_or(room))
}

/// An owner of sessions, as a part of their keys.
pub(super) fn session_owner(tenant: &Tenant, owner: &Principal) -> String {
    let owner = owner.as_str();
    owned(tenant, &format!("{}:{owner}:", owner.len()))
}

fn of(kind: &str, tenant: &Tenant, name: &str) -> String {
    format!("{kind}:{}", owned(tenant, name))
}

/// The length tells where the tenant ends, whatever is in its name.
fn owned(tenant: &Tenant, name: &str) -> String {
    let tenant = tenant.as_str();
    format!("{}:{tenant}:{name}", tenant.len())
}

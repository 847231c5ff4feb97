//! The names of keys.

use mcp_core::caller::Tenant;

/// What is written to find out whether anything can be.
pub(super) const BEAT: &str = "mcp:beat";
/// A part of the version of every tag.
pub(super) const EPOCH: &str = "mcp:cache:epoch";

/// The key of a cached value.
pub(super) fn value(tenant: &Tenant, name: &str) -> String {
    of("mcp:cache:value", tenant, name)
}

/// The key of a tag's version.
pub(super) fn tag(tenant: &Tenant, name: &str) -> String {
    of("mcp:cache:tag", tenant, name)
}

/// The length tells where the tenant ends, whatever is in its name.
fn of(kind: &str, tenant: &Tenant, name: &str) -> String {
    let tenant = tenant.as_str();
    format!("{kind}:{}:{tenant}:{name}", tenant.len())
}

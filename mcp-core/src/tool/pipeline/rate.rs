//! The stage that counts how often is called.

use crate::caller::Tenant;
use crate::context::Context;
use crate::store::limits::Rate;
use crate::tool::error::ToolError;
use crate::tool::limited::{Limited, LimitedBy};
use crate::tool::quota::Quotas;
use crate::tool::registry::OfferedTool;

/// How often callers may call, whatever the tools say.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rates {
    /// One of them.
    pub(crate) per_caller: Option<Rate>,
    /// All of them together.
    pub(crate) of_all: Option<Rate>,
}

/// Takes one token from each limit that the call is counted by, and tells its client how it stands with them.
///
/// What a tool calls in a call counts for its own limit, and for no other: its caller has called once.
pub(super) async fn take(own: Option<Rate>, tool: &OfferedTool, cx: &Context) -> Result<(), ToolError> {
    let server = &cx.inner().server;
    let Rates { per_caller, of_all } =
        server.rates().filter(|_| cx.inner().parent.is_none()).copied().unwrap_or_default();
    // The narrowest first: whoever is refused by a limit of their own takes nothing from others.
    let limits = [(LimitedBy::Tool, own), (LimitedBy::Caller, per_caller), (LimitedBy::Server, of_all)];
    let (mut quotas, mut refused) = (Quotas::default(), None);
    for (by, rate) in limits {
        let Some(rate) = rate else { continue };
        let (tenant, key) = counted_as(by, tool, cx);
        // One token is no more than a burst, which is all that could be refused.
        let Ok(decision) = cx.wait(server.limit_store().take(&tenant, &key, rate, 1)).await else { continue };
        quotas.push(by, rate, decision);
        if !decision.allowed {
            refused = Some(Limited::by_rate(by, rate, decision.retry_after));
            break;
        }
    }
    cx.tell_quotas(quotas);
    refused.map_or(Ok(()), |limited| Err(ToolError::Limited(Box::new(limited))))
}

/// Whose tokens are taken, and under which key.
fn counted_as(by: LimitedBy, tool: &OfferedTool, cx: &Context) -> (Tenant, String) {
    let (tenant, principal) = (cx.caller().tenant(), cx.caller().principal());
    match by {
        LimitedBy::Tool => (tenant.clone(), format!("tool\0{principal}\0{}", tool.spec().name())),
        LimitedBy::Caller => (tenant.clone(), format!("caller\0{principal}")),
        // Those of the house, and of no tenant.
        _ => (Tenant::from(""), "server".to_owned()),
    }
}

/// A rate by which something would be allowed at some time.
pub(crate) fn check(rate: Rate) -> Result<(), String> {
    if rate.burst == 0 || rate.per.is_zero() {
        return Err(format!(
            "a rate of {} in {:?} allows nothing or all; give it one at least, and a time",
            rate.burst, rate.per
        ));
    }
    Ok(())
}

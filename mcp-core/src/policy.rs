//! Who may use what is offered.

use std::sync::Arc;

use crate::caller::{Caller, Tenant};

/// What it takes to use something: nothing, unless something is named.
///
/// Whoever lacks the role, or is of another tenant, is answered as if there were no such thing. Whoever lacks a scope alone is shown
/// it, and answered 403 where they use it: to them it is worth knowing what to ask for.
///
/// ```
/// use mcp_core::policy::Requirement;
///
/// let clerk = Requirement::none().role("clerk").role("auditor").scope("ledger:read");
/// # assert!(!clerk.is_none());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requirement {
    roles: Vec<Arc<str>>,
    tenants: Vec<Tenant>,
    scopes: Vec<Arc<str>>,
}

/// How a requirement stands with a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is met.
    Met,
    /// Scopes are missing, and nothing else.
    LacksScopes,
    /// To this caller it is not there.
    Hidden,
}

impl Requirement {
    /// That which everyone meets.
    pub fn none() -> Self {
        Self::default()
    }

    /// With this role, or one of the others that are named.
    #[must_use]
    pub fn role(mut self, role: impl Into<Arc<str>>) -> Self {
        self.roles.push(role.into());
        self
    }

    /// Of this tenant, or one of the others that are named.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<Tenant>) -> Self {
        self.tenants.push(tenant.into());
        self
    }

    /// With this scope, and all others that are named.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<Arc<str>>) -> Self {
        self.scopes.push(scope.into());
        self
    }

    /// Whether everyone meets it.
    pub fn is_none(&self) -> bool {
        self.roles.is_empty() && self.tenants.is_empty() && self.scopes.is_empty()
    }

    /// How it stands with this caller.
    pub(crate) fn of(&self, caller: &Caller) -> Standing {
        let has_role = self.roles.is_empty() || self.roles.iter().any(|role| caller.has_role(role));
        let is_of_tenant = self.tenants.is_empty() || self.tenants.contains(caller.tenant());
        if !has_role || !is_of_tenant {
            return Standing::Hidden;
        }
        if self.scopes.iter().all(|scope| caller.has_scope(scope)) { Standing::Met } else { Standing::LacksScopes }
    }
}

/// Requirements by what is offered, for an operator who cannot change the code of a tool. They come on top of what a tool, resource
/// or prompt requires by itself; where several fit, all of them hold.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    pub(crate) tools: Rules,
    pub(crate) resources: Rules,
    pub(crate) prompts: Rules,
    pub(crate) agents: Rules,
    pub(crate) routes: Rules,
    pub(crate) approval: Patterns,
}

/// Requirements by key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules(Vec<(Pattern, Requirement)>);

/// Names; `*` at the end of one stands for anything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Patterns(Vec<Pattern>);

/// A key, or all that begin with one.
#[derive(Clone, Debug)]
struct Pattern {
    text: String,
    is_prefix: bool,
}

impl Policy {
    /// That which requires nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// What tools of this name require; `*` at the end stands for anything.
    #[must_use]
    pub fn tools(mut self, names: &str, requirement: Requirement) -> Self {
        self.tools.push(names, requirement);
        self
    }

    /// What resources under this URI, or under the URIs of this template, require; `*` at the end stands for anything.
    #[must_use]
    pub fn resources(mut self, uris: &str, requirement: Requirement) -> Self {
        self.resources.push(uris, requirement);
        self
    }

    /// What prompts of this name require; `*` at the end stands for anything.
    #[must_use]
    pub fn prompts(mut self, names: &str, requirement: Requirement) -> Self {
        self.prompts.push(names, requirement);
        self
    }

    /// What agents of this name require; `*` at the end stands for anything.
    #[must_use]
    pub fn agents(mut self, names: &str, requirement: Requirement) -> Self {
        self.agents.push(names, requirement);
        self
    }

    /// Whoever has started a run of an agent is asked before the agent calls a tool of this name; `*` at the end stands for anything.
    #[must_use]
    pub fn approval(mut self, tools: &str) -> Self {
        self.approval.push(tools);
        self
    }

    /// What routes of a shell require, as their method and their path, such as `GET /api/v1/files/{name}`; `*` at the end stands for
    /// anything. See [`Endpoint::admit_to`](crate::Endpoint::admit_to).
    #[must_use]
    pub fn routes(mut self, routes: &str, requirement: Requirement) -> Self {
        self.routes.push(routes, requirement);
        self
    }
}

impl Patterns {
    pub(crate) fn push(&mut self, pattern: &str) {
        self.0.push(Pattern::read(pattern));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them stands for this key.
    pub(crate) fn fit(&self, key: &str) -> bool {
        self.0.iter().any(|pattern| pattern.fits(key))
    }

    /// Whether one of them is this key itself.
    pub(crate) fn name(&self, key: &str) -> bool {
        self.0.iter().any(|pattern| !pattern.is_prefix && pattern.fits(key))
    }
}

impl Pattern {
    fn read(text: &str) -> Self {
        let (text, is_prefix) = text.strip_suffix('*').map_or((text, false), |prefix| (prefix, true));
        Self { text: text.to_owned(), is_prefix }
    }

    fn fits(&self, key: &str) -> bool {
        if self.is_prefix { key.starts_with(&self.text) } else { key == self.text }
    }
}

impl Rules {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The patterns that fit none of these keys.
    pub(crate) fn without_use<'k>(&self, keys: impl Iterator<Item = &'k str> + Clone) -> impl Iterator<Item = String> {
        self.0.iter().filter(move |(pattern, _)| !keys.clone().any(|key| pattern.fits(key))).map(|(pattern, _)| {
            let star = if pattern.is_prefix { "*" } else { "" };
            format!("{}{star}", pattern.text)
        })
    }

    /// The same for what has keys that begin with `prefix` as for those that have not.
    pub(crate) fn extend(&mut self, prefix: &str, others: &Self) {
        let longer =
            |pattern: &Pattern| Pattern { text: format!("{prefix}{}", pattern.text), is_prefix: pattern.is_prefix };
        self.0.extend(others.0.iter().map(|(pattern, requirement)| (longer(pattern), requirement.clone())));
    }

    fn push(&mut self, pattern: &str, requirement: Requirement) {
        self.0.push((Pattern::read(pattern), requirement));
    }

    /// Those that what has this key is under.
    fn of(&self, key: &str) -> impl Iterator<Item = &Requirement> {
        self.0.iter().filter(move |(pattern, _)| pattern.fits(key)).map(|(_, requirement)| requirement)
    }

    /// How all of them, and `own`, stand with a caller.
    pub(crate) fn standing(&self, key: &str, own: &Requirement, caller: &Caller) -> Standing {
        // Nearly all that is offered requires nothing.
        if own.is_none() && self.0.is_empty() {
            return Standing::Met;
        }
        let mut standing = Standing::Met;
        for requirement in self.of(key).chain([own]) {
            match requirement.of(caller) {
                Standing::Met => {}
                Standing::LacksScopes => standing = Standing::LacksScopes,
                Standing::Hidden => return Standing::Hidden,
            }
        }
        standing
    }

    /// All scopes that the use of what has this key takes, each once.
    pub(crate) fn scopes(&self, key: &str, own: &Requirement) -> Vec<Arc<str>> {
        let mut scopes: Vec<Arc<str>> = Vec::new();
        for scope in self.of(key).chain([own]).flat_map(|requirement| &requirement.scopes) {
            if !scopes.contains(scope) {
                scopes.push(scope.clone());
            }
        }
        scopes
    }
}

/// Scopes that the use of something takes, and that its caller does not have: HTTP 403 with a challenge (RFC 6750, section 3.1).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} takes the scope{} {}; ask for credentials that have {}", if scopes.len() == 1 { "" } else { "s" }, quoted(scopes), if scopes.len() == 1 { "it" } else { "them" })]
pub struct InsufficientScope {
    /// What was to be used, such as `the tool "pay"`.
    pub what: String,
    /// All that it takes, also those that the caller has.
    pub scopes: Vec<Arc<str>>,
}

impl InsufficientScope {
    /// The value of `WWW-Authenticate`: all the scopes at once, so that a client can ask for them (basic/authorization, "Scope Challenge
    /// Handling").
    pub(crate) fn challenge(&self) -> String {
        // What is no scope cannot be asked for.
        let scopes: Vec<_> = self.scopes.iter().map(|scope| &**scope).filter(|scope| is_scope(scope)).collect();
        format!("Bearer error=\"insufficient_scope\", scope=\"{}\"", scopes.join(" "))
    }
}

/// Whether it is a scope: visible ASCII without quotes, backslashes and spaces (RFC 6749, section 3.3).
pub(crate) fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
}

fn quoted(scopes: &[Arc<str>]) -> String {
    scopes.iter().map(|scope| format!("`{scope}`")).collect::<Vec<_>>().join(" ")
}

/// The methods that say what something requires, for all that holds a spec.
macro_rules! requirement_methods {
    ([$($generics:tt)*] $type:ty $(, $spec:ident)?) => {
        impl<$($generics)*> $type {
            /// A caller needs this scope to use it, and all others that are named; who lacks one is answered which.
            #[must_use]
            pub fn requires(mut self, scope: impl Into<std::sync::Arc<str>>) -> Self {
                let requirement = &mut self$(.$spec)?.requirement;
                *requirement = std::mem::take(requirement).scope(scope);
                self
            }

            /// It is there for callers with this role, or with one of the others that are named.
            #[must_use]
            pub fn for_role(mut self, role: impl Into<std::sync::Arc<str>>) -> Self {
                let requirement = &mut self$(.$spec)?.requirement;
                *requirement = std::mem::take(requirement).role(role);
                self
            }

            /// It is there for callers of this tenant, or of one of the others that are named.
            #[must_use]
            pub fn for_tenant(mut self, tenant: impl Into<$crate::caller::Tenant>) -> Self {
                let requirement = &mut self$(.$spec)?.requirement;
                *requirement = std::mem::take(requirement).tenant(tenant);
                self
            }
        }
    };
}
pub(crate) use requirement_methods;

#[cfg(test)]
mod tests {
    use super::*;

    fn caller() -> Caller {
        Caller::new("acme", "ada").with_role("clerk").with_scope("read")
    }

    #[test]
    fn one_of_the_roles_one_of_the_tenants_and_all_scopes_are_needed() {
        let none = Requirement::none;
        for (requirement, expected) in [
            (none(), Standing::Met),
            (none().role("clerk"), Standing::Met),
            (none().role("boss").role("clerk"), Standing::Met),
            (none().role("boss"), Standing::Hidden),
            (none().tenant("acme"), Standing::Met),
            (none().tenant("other").tenant("acme"), Standing::Met),
            (none().tenant("other"), Standing::Hidden),
            (none().scope("read"), Standing::Met),
            (none().scope("read").scope("write"), Standing::LacksScopes),
            (none().role("boss").scope("write"), Standing::Hidden),
            (none().tenant("other").role("clerk").scope("read"), Standing::Hidden),
        ] {
            assert_eq!(requirement.of(&caller()), expected, "{requirement:?}");
        }
    }

    #[test]
    fn whoever_has_all_scopes_has_each() {
        let unlimited = Caller::new("acme", "ada").with_scope(Caller::ALL_SCOPES);
        assert_eq!(Requirement::none().scope("read").scope("write").of(&unlimited), Standing::Met);
        assert_eq!(Requirement::none().role("clerk").of(&unlimited), Standing::Hidden, "a scope is no role");
    }

    #[test]
    fn all_rules_that_fit_hold_together_with_what_is_required_by_itself() {
        let policy = Policy::none()
            .tools("pay.*", Requirement::none().scope("pay"))
            .tools("pay.out", Requirement::none().role("boss"))
            .tools("note", Requirement::none().scope("read"));
        let standing = |key| policy.tools.standing(key, &Requirement::none(), &caller());
        assert_eq!(standing("pay.in"), Standing::LacksScopes);
        assert_eq!(standing("pay.out"), Standing::Hidden);
        assert_eq!(standing("note"), Standing::Met);
        assert_eq!(standing("notes"), Standing::Met);
        let own = Requirement::none().scope("read").scope("write").scope("pay");
        assert_eq!(policy.tools.standing("note", &own, &caller()), Standing::LacksScopes);
        let scopes = policy.tools.scopes("pay.in", &own);
        assert_eq!(scopes.iter().map(|scope| &**scope).collect::<Vec<_>>(), ["pay", "read", "write"]);
    }

    #[test]
    fn who_lacks_scopes_is_told_which() {
        let lacking = |scopes: &[&str]| InsufficientScope {
            what: "the tool \"pay\"".to_owned(),
            scopes: scopes.iter().map(|&scope| scope.into()).collect(),
        };
        let one = "the tool \"pay\" takes the scope `a`; ask for credentials that have it";
        assert_eq!(lacking(&["a"]).to_string(), one);
        let two = "the tool \"pay\" takes the scopes `a` `b`; ask for credentials that have them";
        assert_eq!(lacking(&["a", "b"]).to_string(), two);
    }
}

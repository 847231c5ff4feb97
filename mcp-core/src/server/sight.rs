//! What a caller sees of a server: what they find in it, and hear of.

use std::sync::Arc;

use futures_util::stream::BoxStream;

use super::{CallError, Inner, Server};
use crate::agent::AGENT;
use crate::caller::Caller;
use crate::catalog::{Catalog, Seen, Unseen};
use crate::changes::{Change, Heard};
use crate::resource::OfferedResource;
use crate::resource::template::UriTemplate;
use crate::store::StoreError;
use crate::strings::StringArguments;
use crate::tool::registry::OfferedTool;

impl Server {
    /// What `caller` reads under `uri`, and what the variables of its template are there; a resource of its own before a template, and
    /// of several templates the first. Whoever may not use that one is given no other.
    ///
    /// # Errors
    /// [`Unseen`]: there is nothing, as far as this caller may know; or they lack scopes for it.
    pub fn find_resource(&self, caller: &Caller, uri: &str) -> Result<(Arc<OfferedResource>, StringArguments), Unseen> {
        let (catalog, resource, variables) = self.resource_at(uri).ok_or(Unseen::Unknown)?;
        catalog.seen_by(caller).check(&resource).map_err(|unseen| self.noted(caller, unseen))?;
        Ok((resource, variables))
    }

    /// The same, whoever may use it, and where it is offered.
    fn resource_at(&self, uri: &str) -> Option<(&Catalog<OfferedResource>, Arc<OfferedResource>, StringArguments)> {
        let Inner { resources, resource_templates, .. } = &*self.0;
        if let Some(resource) = resources.find(uri) {
            return Some((resources, resource, StringArguments::default()));
        }
        resource_templates.list().into_iter().find_map(|template| {
            let variables = template.spec().uri_template().and_then(|known: &UriTemplate| known.matches(uri))?;
            Some((resource_templates, template, variables))
        })
    }

    /// The tool of that name, to be called by `caller`.
    ///
    /// # Errors
    /// As [`Server::see_tool`]; [`CallError::Forbidden`] where they lack scopes for it.
    pub fn find_tool(&self, caller: &Caller, name: &str) -> Result<Arc<OfferedTool>, CallError> {
        let seen = self.0.tools.seen_by(caller);
        seen.find(name).map_err(|unseen| match self.noted(caller, unseen) {
            Unseen::Lacking(lacking) => lacking.into(),
            Unseen::Unknown => CallError::unknown_tool(name, seen),
        })
    }

    /// The tool of that name, to be shown to `caller`, who may lack scopes to call it.
    ///
    /// # Errors
    /// [`CallError::UnknownTool`], with the name that may have been meant, also where the caller may not know of it.
    pub fn see_tool(&self, caller: &Caller, name: &str) -> Result<Arc<OfferedTool>, CallError> {
        let seen = self.0.tools.seen_by(caller);
        seen.see(name).ok_or_else(|| CallError::unknown_tool(name, seen))
    }

    /// The patterns of its [policy](crate::ServerBuilder::policy) that fit no tool, resource or prompt: perhaps they are not written as they
    /// were meant.
    pub fn rules_without_use(&self) -> Vec<String> {
        let Inner { tools, resources, resource_templates, prompts, agents, .. } = &*self.0;
        // A rule may be meant for either.
        let templates = resource_templates.rules_without_use();
        let resources = resources.rules_without_use().into_iter().filter(|rule| templates.contains(rule));
        tools
            .rules_without_use()
            .into_iter()
            // Those of agents are told as such.
            .filter(|rule| !rule.starts_with(AGENT))
            .chain(resources)
            .chain(prompts.rules_without_use())
            .chain(agents.rules_without_use())
            .collect()
    }

    /// Listens to what changes, as far as it concerns `caller`: not to what is in resources that are not there for them.
    pub(crate) async fn listen_to_changes(&self, caller: &Caller) -> Result<BoxStream<'static, Heard>, StoreError> {
        let (server, listener) = (self.clone(), caller.clone());
        let may_know = move |change: &Change| match change {
            Change::Resource(uri) => server.may_hear_of(&listener, uri),
            _ => true,
        };
        self.0.changes.listen(caller.tenant(), may_know).await
    }

    /// Of what is offered, who may use it hears; of what is not, everyone may.
    fn may_hear_of(&self, caller: &Caller, uri: &str) -> bool {
        self.resource_at(uri).is_none_or(|(catalog, resource, _)| catalog.seen_by(caller).check(&resource).is_ok())
    }
}

impl CallError {
    fn unknown_tool(name: &str, seen: Seen<'_, OfferedTool>) -> Self {
        Self::UnknownTool { name: name.chars().take(128).collect(), nearest: seen.nearest(name) }
    }
}

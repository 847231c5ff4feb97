//! Names of what may belong to a tenant or to the house.

use crate::caller::Tenant;

/// A name of something of one tenant, or of something of the house that concerns no caller. Equal names of two tenants, or of a
/// tenant and the house, have nothing to do with each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    tenant: Option<Tenant>,
    name: String,
}

impl Key {
    /// A name of one tenant's.
    pub fn of(tenant: &Tenant, name: impl Into<String>) -> Self {
        Self { tenant: Some(tenant.clone()), name: name.into() }
    }

    /// A name of the house's.
    pub fn of_the_house(name: impl Into<String>) -> Self {
        Self { tenant: None, name: name.into() }
    }

    /// Whose it is, if it is a tenant's.
    pub fn tenant(&self) -> Option<&Tenant> {
        self.tenant.as_ref()
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

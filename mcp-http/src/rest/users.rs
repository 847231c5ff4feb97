//! `/users`: who may call.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::http::Method;
use actix_web::{HttpResponse, web};
use mcp_core::Endpoint;
use mcp_core::caller::Principal;
use mcp_core::caller::desk;
use mcp_core::clock::Timestamp;
use mcp_core::store::principals;
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::page::{Page, PageSize};
use super::problem::Problem;
use super::route::{Forms, Route, Table};
use super::{Admitted, Sent, encoded};

/// The routes.
pub(crate) static TABLE: Table = Table {
    name: "mcp_http::rest::users",
    about: "Users",
    open: false,
    forms: Forms::Two,
    routes: &[
        Route {
            method: Method::GET,
            path: "/users",
            to: |route| route.to(list),
            id: "listUsers",
            about: "The users of the tenant, in the order of their names; it takes the role `admin`",
            segments: &[],
            query: Some(SchemaGenerator::subschema_for::<Page>),
            body: None,
            answers: &[(200, SchemaGenerator::subschema_for::<Users>)],
            problems: &[400],
        },
        Route {
            method: Method::POST,
            path: "/users",
            to: |route| route.to(create),
            id: "createUser",
            about: "Adds a user, who comes in once they have a key; it takes the role `admin`",
            segments: &[],
            query: None,
            body: Some(SchemaGenerator::subschema_for::<NewUser>),
            answers: &[(200, SchemaGenerator::subschema_for::<User>)],
            problems: &[408, 409, 413, 422],
        },
        Route {
            method: Method::DELETE,
            path: "/users/{principal}",
            to: |route| route.to(erase),
            id: "eraseUser",
            about: "Removes a user, their keys, and all that is kept of them; proofs of what was recorded stay; it takes the role `admin`",
            segments: SEGMENTS,
            query: None,
            body: None,
            answers: &[(200, SchemaGenerator::subschema_for::<Erased>)],
            problems: &[404],
        },
        Route {
            method: Method::GET,
            path: "/users/{principal}",
            to: |route| route.to(show),
            id: "showUser",
            about: "One user, for administrators and for themselves",
            segments: SEGMENTS,
            query: None,
            body: None,
            answers: &[(200, SchemaGenerator::subschema_for::<User>)],
            problems: &[404],
        },
        Route {
            method: Method::PATCH,
            path: "/users/{principal}",
            to: |route| route.to(change),
            id: "changeUser",
            about: "Changes what is named of a user, or keeps them out; it takes the role `admin`",
            segments: SEGMENTS,
            query: None,
            body: Some(SchemaGenerator::subschema_for::<UserChange>),
            answers: &[(200, SchemaGenerator::subschema_for::<User>)],
            problems: &[404, 408, 413, 422],
        },
    ],
};

const SEGMENTS: &[(&str, &str)] = &[("principal", "The name under which they call.")];

/// A page of users, in the order of their names.
#[derive(Serialize, JsonSchema)]
struct Users {
    users: Vec<User>,
    /// The `after` of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A person or service that may call.
#[derive(Serialize, JsonSchema)]
struct User {
    /// The name under which they call.
    principal: String,
    /// How they are shown to people; where that is nothing, by that name.
    display_name: String,
    /// What they may do.
    roles: BTreeSet<String>,
    /// Whether they are kept out for the time being, with all their keys.
    disabled: bool,
    #[schemars(with = "String", extend("format" = "date-time"))]
    created: Timestamp,
}

/// A user to add.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewUser {
    /// The name under which they call, which has no slash.
    #[schemars(length(min = 1, max = 200))]
    principal: String,
    /// How they are shown to people.
    #[serde(default)]
    #[schemars(length(max = 200))]
    display_name: String,
    /// What they may do; none that the caller may not, unless that is an operator.
    #[serde(default)]
    roles: BTreeSet<String>,
}

/// What is to be changed of a user; what is not named stays.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UserChange {
    /// How they are shown from now on.
    #[schemars(length(max = 200))]
    display_name: Option<String>,
    /// All roles that they have from now on.
    roles: Option<BTreeSet<String>>,
    /// Whether they are kept out from now on.
    disabled: Option<bool>,
}

/// Somebody of whom nothing is kept any more.
#[derive(Serialize, JsonSchema)]
struct Erased {
    principal: String,
    /// How many records of each kind were removed.
    removed: BTreeMap<String, u64>,
}

async fn list(
    Admitted(caller): Admitted,
    endpoint: web::Data<Endpoint>,
    page: web::Query<Page>,
) -> Result<HttpResponse, Problem> {
    let Page { after, limit } = page.into_inner();
    let size = PageSize::of(limit);
    let after = after.map(Principal::from);
    let found = endpoint.server().callers().users(&caller, after.as_ref(), size.and_one()).await?;
    let (users, next) = size.cut(found, |user| user.principal.to_string());
    encoded(&Users { users: users.into_iter().map(User::from).collect(), next })
}

async fn create(Sent(caller, body): Sent, endpoint: web::Data<Endpoint>) -> Result<HttpResponse, Problem> {
    let unreadable = |error| Problem::new(422, format!("the body is no user to add: {error}"));
    let NewUser { principal, display_name, roles } = serde_json::from_slice(&body).map_err(unreadable)?;
    let new = desk::NewUser { principal: principal.into(), display_name, roles };
    encoded(&User::from(endpoint.server().callers().create_user(&caller, new).await?))
}

async fn show(
    Admitted(caller): Admitted,
    endpoint: web::Data<Endpoint>,
    principal: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    encoded(&User::from(endpoint.server().callers().user(&caller, &principal.into_inner().into()).await?))
}

async fn change(
    Sent(caller, body): Sent,
    endpoint: web::Data<Endpoint>,
    principal: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let unreadable = |error| Problem::new(422, format!("the body is no change of a user: {error}"));
    let UserChange { display_name, roles, disabled } = serde_json::from_slice(&body).map_err(unreadable)?;
    let change = principals::UserChange { display_name, disabled, roles };
    let principal = principal.into_inner().into();
    encoded(&User::from(endpoint.server().callers().change_user(&caller, &principal, &change).await?))
}

async fn erase(
    Admitted(caller): Admitted,
    endpoint: web::Data<Endpoint>,
    principal: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let principal = principal.into_inner();
    let removed = endpoint.server().callers().erase_user(&caller, &principal.as_str().into()).await?;
    let removed = removed.into_iter().map(|(kind, count)| (kind.to_owned(), count)).collect();
    encoded(&Erased { principal, removed })
}

impl From<principals::User> for User {
    fn from(user: principals::User) -> Self {
        let principals::User { principal, display_name, disabled, created, roles } = user;
        Self { principal: principal.to_string(), display_name, roles, disabled, created }
    }
}

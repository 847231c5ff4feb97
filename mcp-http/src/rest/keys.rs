//! `/keys`: API keys, each with the user whom it lets in.

use std::collections::BTreeSet;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::{HttpResponse, web};
use mcp_core::Endpoint;
use mcp_core::caller::desk::{self, MadeKey};
use mcp_core::clock::Timestamp;
use mcp_core::store::api_keys::{ApiKey, KeyId};
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::page::PageSize;
use super::problem::Problem;
use super::route::{Forms, Route, Table};
use super::{Admitted, Sent, encoded};

/// The routes.
pub(crate) static TABLE: Table = Table {
    name: "mcp_http::rest::keys",
    about: "Keys",
    open: false,
    forms: Forms::Two,
    routes: &[
        Route {
            method: Method::GET,
            path: "/keys",
            to: |route| route.to(list),
            id: "listKeys",
            about: "API keys, in the order in which they were made: an administrator sees all of the tenant's, others their own",
            segments: &[],
            query: Some(SchemaGenerator::subschema_for::<Filter>),
            body: None,
            answers: &[(200, SchemaGenerator::subschema_for::<Keys>)],
            problems: &[400],
        },
        Route {
            method: Method::POST,
            path: "/keys",
            to: |route| route.to(create),
            id: "createKey",
            about: "Makes an API key, whose secret is in this answer and nowhere else; one for others takes the role `admin`",
            segments: &[],
            query: None,
            body: Some(SchemaGenerator::subschema_for::<NewKey>),
            answers: &[(200, SchemaGenerator::subschema_for::<SecretKey>)],
            problems: &[404, 408, 409, 413, 422],
        },
        Route {
            method: Method::DELETE,
            path: "/keys/{key}",
            to: |route| route.to(revoke),
            id: "revokeKey",
            about: "Lets nobody in by a key any more",
            segments: SEGMENTS,
            query: None,
            body: None,
            answers: &[(200, SchemaGenerator::subschema_for::<Key>)],
            problems: &[404],
        },
        Route {
            method: Method::POST,
            path: "/keys/{key}/rotate",
            to: |route| route.to(rotate),
            id: "rotateKey",
            about: "Makes a key in the place of another one, which lets in for a while more; its secret is in this answer and nowhere else",
            segments: SEGMENTS,
            query: None,
            body: Some(SchemaGenerator::subschema_for::<Rotation>),
            answers: &[(200, SchemaGenerator::subschema_for::<SecretKey>)],
            problems: &[404, 408, 409, 413, 422],
        },
    ],
};

const SEGMENTS: &[(&str, &str)] = &[("key", "The key's id.")];

/// Which keys to show.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Filter {
    /// Whose; only an administrator sees others than the own.
    principal: Option<String>,
    /// The `next` of the page before.
    #[schemars(extend("format" = "uuid"))]
    after: Option<String>,
    /// How many at the most: 50 unless told otherwise, and never more than 500.
    limit: Option<u16>,
}

/// A page of keys, in the order in which they were made.
#[derive(Serialize, JsonSchema)]
struct Keys {
    keys: Vec<Key>,
    /// The `after` of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// An API key, without its secret.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Key {
    /// What it is for.
    name: String,
    /// Whom it lets in.
    principal: String,
    /// Which of its user's roles it carries.
    roles: BTreeSet<String>,
    /// What it was granted.
    scopes: BTreeSet<String>,
    #[schemars(with = "String", extend("format" = "date-time"))]
    created: Timestamp,
    /// From when on it lets nobody in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    expires: Option<Timestamp>,
    /// From when on it lets nobody in, since it was revoked or replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    revoked: Option<Timestamp>,
    /// When it was last used, to the minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    used: Option<Timestamp>,
    id: String,
}

/// A key to make.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewKey {
    /// What it is for.
    #[schemars(length(min = 1, max = 100))]
    name: String,
    /// Whom it is to let in, if not the caller.
    principal: Option<String>,
    /// Which of their roles it carries; all of them, unless told otherwise.
    roles: Option<BTreeSet<String>>,
    /// What it is granted: unless told otherwise nothing, or what the caller has, if it is their own.
    scopes: Option<BTreeSet<String>>,
    /// From when on it lets nobody in.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    expires: Option<Timestamp>,
}

/// How a key is replaced.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rotation {
    /// For how long the old one lets in still: 7 days unless told otherwise, and never more than 90; 0 ends it at once.
    #[schemars(range(max = 7_776_000))]
    overlap_seconds: Option<u32>,
}

/// A key that was made.
#[derive(Serialize, JsonSchema)]
pub(crate) struct SecretKey {
    /// What is sent as `Authorization: Bearer …`. It is not shown again.
    pub(crate) secret: String,
    pub(crate) key: Key,
    /// From when on the one in whose place it is lets nobody in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub(crate) old_ends: Option<Timestamp>,
}

async fn list(
    Admitted(caller): Admitted,
    endpoint: web::Data<Endpoint>,
    filter: web::Query<Filter>,
) -> Result<HttpResponse, Problem> {
    let Filter { principal, after, limit } = filter.into_inner();
    let size = PageSize::of(limit);
    let after = after.map(|id| id.parse::<KeyId>()).transpose();
    let after = after.map_err(|error| Problem::new(400, format!("`after`: {error}")))?;
    let of = principal.map(Into::into);
    let found = endpoint.server().callers().keys(&caller, of.as_ref(), after, size.and_one()).await?;
    let (keys, next) = size.cut(found, |key| key.id.to_string());
    encoded(&Keys { keys: keys.into_iter().map(Key::from).collect(), next })
}

async fn create(Sent(caller, body): Sent, endpoint: web::Data<Endpoint>) -> Result<HttpResponse, Problem> {
    let unreadable = |error| Problem::new(422, format!("the body is no key to make: {error}"));
    let NewKey { name, principal, roles, scopes, expires } = serde_json::from_slice(&body).map_err(unreadable)?;
    let new = desk::NewKey { name, principal: principal.map(Into::into), roles, scopes, expires };
    let made = endpoint.server().callers().create_key(&caller, new).await?;
    shown_once(made, None)
}

async fn rotate(
    Sent(caller, body): Sent,
    endpoint: web::Data<Endpoint>,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let unreadable = |error| Problem::new(422, format!("the body is not {{\"overlap_seconds\": 0}}: {error}"));
    let rotation: Rotation =
        if body.is_empty() { Rotation::default() } else { serde_json::from_slice(&body).map_err(unreadable)? };
    let overlap = rotation.overlap_seconds.map(|seconds| Duration::from_secs(seconds.into()));
    let rotated = endpoint.server().callers().rotate_key(&caller, id_of(&id)?, overlap).await?;
    shown_once(rotated.made, Some(rotated.old_ends))
}

async fn revoke(
    Admitted(caller): Admitted,
    endpoint: web::Data<Endpoint>,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    encoded(&Key::from(endpoint.server().callers().revoke_key(&caller, id_of(&id)?).await?))
}

/// The one answer that has a secret in it, which nobody on the way may keep.
fn shown_once(made: MadeKey, old_ends: Option<Timestamp>) -> Result<HttpResponse, Problem> {
    let secret = made.secret.expose().to_owned();
    let mut response = encoded(&SecretKey { secret, key: made.key.into(), old_ends })?;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// What is no id is none of the caller's.
fn id_of(text: &str) -> Result<KeyId, Problem> {
    text.parse().map_err(|_| desk::CallerError::UnknownKey.into())
}

impl From<ApiKey> for Key {
    fn from(key: ApiKey) -> Self {
        let ApiKey { id, principal, name, scopes, roles, created, expires, revoked, used, .. } = key;
        let (id, principal) = (id.to_string(), principal.to_string());
        Self { name, principal, roles, scopes, created, expires, revoked, used, id }
    }
}

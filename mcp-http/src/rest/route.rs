//! Routes that describe themselves: the table that registers them is the one that the OpenAPI document is made of, so the two
//! cannot differ.

use std::future::ready;

use actix_web::http::Method;
use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};
use schemars::{Schema, SchemaGenerator};

use super::Admitted;
use super::problem::Problem;
use super::representation::{negotiate, negotiate_if_possible, negotiate_with_events};

/// Makes a schema: `SchemaGenerator::subschema_for::<T>`. One with `contentMediaType` is of bytes that are no JSON.
pub(crate) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// Routes that belong together.
pub(crate) struct Table {
    /// By this name an app knows where the first of the routes is, and so where all are.
    pub(crate) name: &'static str,
    /// What they are about.
    pub(crate) about: &'static str,
    /// Whether everyone may ask, without credentials and from every page.
    pub(crate) open: bool,
    pub(crate) forms: Forms,
    pub(crate) routes: &'static [Route],
}

/// In which forms a table's routes answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forms {
    /// JSON or XML.
    Two,
    /// These, or a stream of events, of which it says what they are.
    TwoAndEvents(&'static str),
    /// These, or one of their own, so that no `Accept` is refused.
    Any,
}

/// One method of one path.
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    /// Gives an actix route its handler.
    pub(crate) to: fn(actix_web::Route) -> actix_web::Route,
    /// The operation's name in the document.
    pub(crate) id: &'static str,
    pub(crate) about: &'static str,
    /// What each variable segment of the path is.
    pub(crate) segments: &'static [(&'static str, &'static str)],
    /// The query, as an object of its parameters.
    pub(crate) query: Option<SchemaOf>,
    pub(crate) body: Option<SchemaOf>,
    /// The statuses that come with something else than a problem.
    pub(crate) answers: &'static [(u16, SchemaOf)],
    /// The statuses that come with a problem, beside those that every route has.
    pub(crate) problems: &'static [u16],
}

impl Route {
    /// A `GET` of what stands at one place, with nothing to choose.
    pub(crate) const fn get(
        path: &'static str,
        id: &'static str,
        about: &'static str,
        to: fn(actix_web::Route) -> actix_web::Route,
        answers: &'static [(u16, SchemaOf)],
        problems: &'static [u16],
    ) -> Self {
        Self { method: Method::GET, path, to, id, about, segments: &[], query: None, body: None, answers, problems }
    }

    /// Its path with the names of its segments alone.
    pub(crate) fn template(&self) -> String {
        self.path.replace(":.*}", "}")
    }
}

impl Table {
    /// Adds the routes to an app, each in both forms. Another method of a path is answered by 405.
    pub(crate) fn register(&'static self, config: &mut ServiceConfig) {
        for (n, route) in self.routes.iter().enumerate() {
            if self.routes[..n].iter().any(|before| before.path == route.path) {
                continue;
            }
            let of_path = || self.routes.iter().filter(|other| other.path == route.path);
            let mut resource = web::resource(route.path);
            if n == 0 {
                resource = resource.name(self.name);
            }
            for route in of_path() {
                resource = resource.route((route.to)(web::method(route.method.clone())));
            }
            let allowed = of_path().map(|route| route.method.as_str()).collect::<Vec<_>>().join(", ");
            let refuse = web::to(move |admitted: Result<Admitted, Problem>| {
                ready(match admitted {
                    Err(problem) if !self.open => problem,
                    _ => Problem::not_allowed(&allowed),
                })
            });
            let resource = resource.default_service(refuse);
            match self.forms {
                Forms::Two => config.service(resource.wrap(from_fn(negotiate))),
                Forms::TwoAndEvents(_) => config.service(resource.wrap(from_fn(negotiate_with_events))),
                Forms::Any => config.service(resource.wrap(from_fn(negotiate_if_possible))),
            };
        }
    }
}

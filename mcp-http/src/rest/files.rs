//! `/files`: what the caller keeps.

mod download;
mod upload;

use actix_web::http::Method;
use actix_web::{HttpResponse, web};
use mcp_core::Endpoint;
use mcp_core::clock::Timestamp;
use mcp_core::store::files::{File, FileError};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::page::PageSize;
use super::problem::Problem;
use super::route::{Forms, Route, Table};
use super::{Admitted, encoded};

/// The routes.
pub(crate) static TABLE: Table = Table {
    name: "mcp_http::rest::files",
    about: "Files",
    open: false,
    forms: Forms::Any,
    routes: &[
        Route {
            method: Method::GET,
            path: "/files",
            to: |route| route.to(list),
            id: "listFiles",
            about: "The caller's own files, in the order of their names",
            segments: &[],
            query: Some(SchemaGenerator::subschema_for::<Filter>),
            body: None,
            answers: &[(200, SchemaGenerator::subschema_for::<Files>)],
            problems: &[400, 503],
        },
        Route {
            method: Method::DELETE,
            path: PATH,
            to: |route| route.to(remove),
            id: "removeFile",
            about: "Removes one of the caller's own files",
            segments: SEGMENTS,
            query: None,
            body: None,
            answers: &[(200, SchemaGenerator::subschema_for::<Removed>)],
            problems: &[404, 503],
        },
        Route {
            method: Method::GET,
            path: PATH,
            to: |route| route.to(download::read),
            id: "readFile",
            about: "One of the caller's own files, or a part of it (`Range`), or nothing but that it is the same \
                    (`If-None-Match`)",
            segments: SEGMENTS,
            query: None,
            body: None,
            answers: &[(200, bytes), (206, bytes)],
            problems: &[404, 416, 503],
        },
        Route {
            method: Method::PUT,
            path: PATH,
            to: |route| route.to(upload::write),
            id: "writeFile",
            about: "Keeps the body under a name, in the place of what was there; its `Content-Type` is kept as well",
            segments: SEGMENTS,
            query: None,
            body: Some(bytes),
            answers: &[(200, SchemaGenerator::subschema_for::<FileShown>)],
            problems: &[400, 408, 413, 503, 507],
        },
    ],
};

/// A name may have slashes in it, as they are or encoded.
const PATH: &str = "/files/{name:.*}";
const SEGMENTS: &[(&str, &str)] = &[("name", "The file's name.")];

/// The schema of bytes that are no JSON.
fn bytes(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"contentMediaType": "application/octet-stream"})
}

/// Which files to show.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Filter {
    /// Only those whose names begin so.
    prefix: Option<String>,
    /// The `next` of the page before.
    after: Option<String>,
    /// How many at the most: 100 unless told otherwise, and never more than 1000.
    limit: Option<u16>,
}

/// A page of files, in the order of their names.
#[derive(Serialize, JsonSchema)]
struct Files {
    files: Vec<FileShown>,
    /// The `after` of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A file, without its bytes.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "File")]
struct FileShown {
    name: String,
    /// What its writer said that it is.
    content_type: String,
    /// How many bytes it has.
    size: u64,
    /// The same for equal bytes, as long as they are the same tenant's. In quotes it is the file's `ETag`.
    hash: String,
    /// When it was written.
    #[schemars(with = "String", extend("format" = "date-time"))]
    written: Timestamp,
}

/// A file that is no more.
#[derive(Serialize, JsonSchema)]
struct Removed {
    /// The name under which nothing is found any more.
    removed: String,
}

async fn list(
    Admitted(caller): Admitted,
    endpoint: web::Data<Endpoint>,
    filter: web::Query<Filter>,
) -> Result<HttpResponse, Problem> {
    let Filter { prefix, after, limit } = filter.into_inner();
    let size = PageSize::within(limit, 100, 1000);
    let files = endpoint.server().files(&caller)?;
    let found = files.list(&prefix.unwrap_or_default(), after.as_deref(), size.and_one()).await?;
    let (files, next) = size.cut(found, |file| file.name.clone());
    encoded(&Files { files: files.into_iter().map(FileShown::from).collect(), next })
}

async fn remove(
    Admitted(caller): Admitted,
    endpoint: web::Data<Endpoint>,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let removed = name.into_inner();
    if endpoint.server().files(&caller)?.remove(&removed).await? {
        encoded(&Removed { removed })
    } else {
        Err(no_such_file())
    }
}

fn no_such_file() -> Problem {
    Problem::new(404, "you have no file of that name; `GET files` lists those that you have")
}

impl From<File> for FileShown {
    fn from(File { name, content_type, size, hash, written }: File) -> Self {
        Self { name, content_type, size, hash: hash.to_string(), written }
    }
}

impl From<FileError> for Problem {
    fn from(error: FileError) -> Self {
        let detail = error.to_string();
        match error {
            FileError::TooLarge { .. } => Self::new(413, detail),
            FileError::Full { .. } => Self::new(507, detail),
            FileError::TooSlow => Self::new(408, detail),
            FileError::OutOfRange { size } => Self::out_of_range(size),
            FileError::Store(error) => error.into(),
            _ => Self::new(500, detail),
        }
    }
}

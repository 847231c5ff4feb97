//! What a resource says of itself.

use serde::Serialize;

use super::template::UriTemplate;
use crate::content::Annotations;
use crate::policy::{Requirement, requirement_methods};
use crate::protocol::caching::Caching;
use crate::tool::spec::Icon;
use crate::view::{self, Meta, View};

/// Where a resource is, and what it is.
#[derive(Clone, Debug)]
pub struct ResourceSpec {
    pub(crate) wire: WireResource,
    /// The template, or why it is none.
    template: Option<Result<UriTemplate, String>>,
    pub(crate) caching: Caching,
    pub(crate) requirement: Requirement,
}

/// A resource, or a template, as a client sees it (schema, `Resource` and `ResourceTemplate`).
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WireResource {
    #[serde(flatten)]
    place: Place,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mime_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) annotations: Option<Annotations>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) icons: Vec<Icon>,
    #[serde(rename = "_meta", skip_serializing_if = "Option::is_none")]
    pub(super) meta: Option<Meta<View>>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
enum Place {
    Uri(String),
    UriTemplate(String),
}

impl ResourceSpec {
    /// The resource at `uri`, such as `docs://handbook` or `https://example.com/rates.json`.
    pub fn new(uri: impl Into<String>, name: impl Into<String>) -> Self {
        Self::at(Place::Uri(uri.into()), name.into(), None)
    }

    /// All resources whose URIs are as `template` says: see [`UriTemplate`].
    pub fn template(template: impl Into<String>, name: impl Into<String>) -> Self {
        let text = template.into();
        let template = UriTemplate::parse(&text);
        Self::at(Place::UriTemplate(text), name.into(), Some(template))
    }

    fn at(place: Place, name: String, template: Option<Result<UriTemplate, String>>) -> Self {
        let wire = WireResource {
            place,
            name,
            title: None,
            description: None,
            mime_type: None,
            size: None,
            annotations: None,
            icons: Vec::new(),
            meta: None,
        };
        Self { wire, template, caching: Caching::default(), requirement: Requirement::none() }
    }

    /// Its URI, or its template.
    pub fn key(&self) -> &str {
        let (Place::Uri(key) | Place::UriTemplate(key)) = &self.wire.place;
        key
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.wire.name
    }

    /// Its media type.
    pub fn media_type(&self) -> Option<&str> {
        self.wire.mime_type.as_deref()
    }

    /// What it needs of the client that shows it, where it is a view.
    pub(crate) fn view_meta(&self) -> Option<&Meta<View>> {
        self.wire.meta.as_ref()
    }

    /// The template, where it is one.
    pub fn uri_template(&self) -> Option<&UriTemplate> {
        self.template.as_ref().and_then(|template| template.as_ref().ok())
    }

    pub(crate) fn is_template(&self) -> bool {
        self.template.is_some()
    }

    /// Says what is wrong with it.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.wire.name.is_empty() {
            return Err("it has no name".to_owned());
        }
        if let Some(Err(fault)) = &self.template {
            return Err(fault.clone());
        }
        if self.wire.meta.is_some() {
            view::check(self.key())?;
        }
        let scheme = self.key().split_once(':').map_or("", |(scheme, _)| scheme);
        let sound = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        if !scheme.starts_with(|first: char| first.is_ascii_alphabetic()) || !scheme.bytes().all(sound) {
            return Err("it must begin with a scheme, such as `docs:` (RFC 3986)".to_owned());
        }
        Ok(())
    }
}

/// The methods that describe a resource, for all that holds a spec.
macro_rules! resource_methods {
    ([$($generics:tt)*] $type:ty $(, $spec:ident)?) => {
        impl<$($generics)*> $type {
            /// A name for people.
            #[must_use]
            pub fn title(mut self, title: impl Into<String>) -> Self {
                self$(.$spec)?.wire.title = Some(title.into());
                self
            }

            /// What it is, for a model.
            #[must_use]
            pub fn description(mut self, description: impl Into<String>) -> Self {
                self$(.$spec)?.wire.description = Some(description.into());
                self
            }

            /// The media type of what is in it, where that does not say otherwise.
            #[must_use]
            pub fn mime_type(mut self, mime_type: impl Into<String>) -> Self {
                self$(.$spec)?.wire.mime_type = Some(mime_type.into());
                self
            }

            /// It is a page that clients show beside what tools answer, of the type [`view::MEDIA_TYPE`](crate::view::MEDIA_TYPE).
            #[must_use]
            pub fn view(mut self, view: $crate::view::View) -> Self {
                self$(.$spec)?.wire.mime_type = Some($crate::view::MEDIA_TYPE.to_owned());
                self$(.$spec)?.wire.meta = Some($crate::view::Meta { ui: view });
                self
            }

            /// How many bytes it has.
            #[must_use]
            pub fn bytes(mut self, size: u64) -> Self {
                self$(.$spec)?.wire.size = Some(size);
                self
            }

            /// Says for whom it is, and how much it matters.
            #[must_use]
            pub fn annotated(mut self, annotations: $crate::content::Annotations) -> Self {
                self$(.$spec)?.wire.annotations = Some(annotations);
                self
            }

            /// A picture to show beside the name.
            #[must_use]
            pub fn icon(mut self, icon: $crate::tool::spec::Icon) -> Self {
                self$(.$spec)?.wire.icons.push(icon);
                self
            }

            /// For how long, and by whom, what was read may be kept (server/utilities/caching); not at all, where nothing is said.
            #[must_use]
            pub fn caching(mut self, caching: $crate::protocol::caching::Caching) -> Self {
                self$(.$spec)?.caching = caching;
                self
            }
        }
    };
}
pub(crate) use resource_methods;

resource_methods!([] ResourceSpec);
requirement_methods!([] ResourceSpec);

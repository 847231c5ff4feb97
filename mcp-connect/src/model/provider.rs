//! A language model of a provider.

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Uri};
use mcp_core::model::Deltas;
use mcp_core::{LanguageModel, ModelError, ModelRequest};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use super::dialect::{Dialect, cannot, merge};
use super::exchange::{Http, Patience};
use super::kind::ProviderKind;
use super::names::Names;

/// A model that a provider serves, as [`ModelConfig::open`](super::ModelConfig::open) makes it.
pub struct ProviderModel {
    pub(super) name: String,
    pub(super) model: String,
    pub(super) dialect: Box<dyn Dialect>,
    pub(super) address: Uri,
    pub(super) key: Option<SecretString>,
    pub(super) defaults: Defaults,
    pub(super) http: Http,
    pub(super) patience: Patience,
}

/// What holds where a request says nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Defaults {
    pub(super) max_output_tokens: Option<u32>,
    pub(super) temperature: Option<f64>,
    pub(super) extra: Map<String, Value>,
}

impl ProviderModel {
    /// The name of a model of such a provider: what stands in price tables, figures and cassettes.
    pub fn name_of(provider: ProviderKind, model: &str) -> String {
        format!("{provider}::{model}")
    }

    fn encode(&self, request: &ModelRequest, names: &Names) -> Result<Request<Full<Bytes>>, ModelError> {
        let mut body = self.dialect.body(&self.model, request, names)?;
        merge(&mut body, &self.defaults.extra);
        let body = serde_json::to_vec(&body).map_err(|_| cannot("takes no such request"))?;
        let mut encoded = Request::post(self.address.clone()).header(CONTENT_TYPE, "application/json");
        for (name, value) in self.dialect.headers() {
            encoded = encoded.header(*name, *value);
        }
        if let Some(key) = &self.key {
            let (name, value) = self.dialect.key_header(key.expose_secret());
            let mut value = HeaderValue::try_from(value).map_err(|_| bad_key())?;
            value.set_sensitive(true);
            encoded = encoded.header(name, value);
        }
        encoded.body(Full::new(body.into())).map_err(|_| bad_key())
    }
}

fn bad_key() -> ModelError {
    ModelError::Unauthorized { message: "the key holds what no header can carry".to_owned() }
}

#[async_trait]
impl LanguageModel for ProviderModel {
    fn name(&self) -> &str {
        &self.name
    }

    async fn stream(&self, request: &ModelRequest) -> Result<Deltas, ModelError> {
        let names = Names::of(request);
        let encoded = match &self.defaults {
            Defaults { max_output_tokens: None, temperature: None, .. } => self.encode(request, &names)?,
            defaults => {
                let mut request = request.clone();
                request.max_output_tokens = request.max_output_tokens.or(defaults.max_output_tokens);
                request.temperature = request.temperature.or(defaults.temperature);
                self.encode(&request, &names)?
            }
        };
        let key = self.key.as_ref().map(ExposeSecret::expose_secret);
        let (framing, reader) = (self.dialect.framing(), self.dialect.reader(names));
        self.http.send(encoded, key, self.patience, framing, reader).await
    }
}

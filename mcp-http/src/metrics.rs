//! `/metrics`: what is counted, for Prometheus. docs/metrics.md lists it.

mod exposition;
pub(crate) mod http;
pub(crate) mod process;

use std::sync::Arc;

use actix_web::{HttpResponse, web};
use mcp_core::Endpoint;
use mcp_core::measure::{CircuitState, Collector, Sample, SampleKind};

use crate::rest::Identified;
use crate::rest::problem::Problem;
use exposition::{CONTENT_TYPE, Exposition};
use http::HttpMeasures;
use process::Process;

/// What one server and one app count. Nothing of it is global: two of them in one process share only the figures of the process.
///
/// ```
/// use actix_web::{App, web};
/// use mcp_core::{Endpoint, Server};
/// use mcp_http::{Metrics, mount, telemetry};
///
/// # fn main() -> Result<(), mcp_core::BuildError> {
/// let endpoint = Endpoint::new(Server::builder("my-app", "1.0.0").measured().build()?);
/// let metrics = Metrics::new(endpoint.clone());
/// let app = App::new()
///     .wrap(telemetry(&metrics))
///     .configure(metrics.routes())
///     .service(web::scope("/mcp").configure(mount(endpoint)));
/// # let _ = app;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Metrics {
    endpoint: Endpoint,
    http: Arc<HttpMeasures>,
    collectors: Vec<Arc<dyn Collector>>,
}

impl Metrics {
    /// The metrics of `endpoint`'s server, if it is [`measured`](mcp_core::ServerBuilder::measured), and of the requests that
    /// [`telemetry`](crate::telemetry()) follows. Make one, and give its clones to the workers' apps.
    pub fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, http: Arc::default(), collectors: Vec::new() }
    }

    /// Also shows what `collector` counts, such as each of [`Stores::collectors`](mcp_core::Stores).
    #[must_use]
    pub fn collector(mut self, collector: Arc<dyn Collector>) -> Self {
        self.collectors.push(collector);
        self
    }

    /// Serves `GET /metrics` in the text format of Prometheus, to callers with the role [`monitor`](mcp_core::Caller::MONITOR) or
    /// [`operator`](mcp_core::Caller::OPERATOR): what is counted is of all tenants.
    pub fn routes(&self) -> impl FnOnce(&mut web::ServiceConfig) + use<> {
        let metrics = self.clone();
        move |config| {
            let endpoint = web::Data::new(metrics.endpoint.clone());
            let resource = web::resource("/metrics").app_data(endpoint).app_data(web::Data::new(metrics));
            config.service(resource.get(show));
        }
    }

    /// The same for everyone, at an address that nobody else can reach.
    pub fn routes_for_everyone(&self) -> impl FnOnce(&mut web::ServiceConfig) + use<> {
        let metrics = web::Data::new(self.clone());
        move |config| {
            config.service(web::resource("/metrics").app_data(metrics).get(show_to_everyone));
        }
    }

    pub(crate) fn http(&self) -> &Arc<HttpMeasures> {
        &self.http
    }

    fn text(&self) -> String {
        let mut text = Exposition::default();
        self.tools(&mut text);
        self.operations(&mut text);
        self.requests(&mut text);
        let load = self.endpoint.server().load().collect();
        collected(&mut text, load.into_iter().chain(self.collectors.iter().flat_map(|collector| collector.collect())));
        processes(&mut text);
        let server = self.endpoint.server();
        text.family("mcp_build_info", "gauge", "Always 1; the labels say what runs.");
        text.sample("mcp_build_info", &[("server", server.name()), ("version", server.version())], 1);
        text.into_text()
    }

    fn tools(&self, text: &mut Exposition) {
        let tools = self.endpoint.server().measures();
        text.family(
            "mcp_tool_calls_total",
            "counter",
            "Calls that have ended, by how; all but `ok`, `input_required` and `cancelled` are failures, also those that the tool itself told of.",
        );
        for tool in &tools {
            for (outcome, count) in tool.calls {
                text.sample("mcp_tool_calls_total", &[("tool", &tool.tool), ("outcome", outcome.as_str())], count);
            }
        }
        text.family(
            "mcp_tool_replays_total",
            "counter",
            "Calls that were not made, since their key had been sent before: answered as the first (`replayed`), or not in time (`still_running`). They are in none of the other figures of calls.",
        );
        for tool in &tools {
            for (result, count) in [("replayed", tool.keys.replayed), ("still_running", tool.keys.still_running)] {
                text.sample("mcp_tool_replays_total", &[("tool", &tool.tool), ("result", result)], count);
            }
        }
        text.family(
            "mcp_tool_limited_total",
            "counter",
            "Calls that were refused, by the limit that stood in the way; their outcome is `limited`.",
        );
        for tool in &tools {
            for (by, count) in tool.limited {
                text.sample("mcp_tool_limited_total", &[("tool", &tool.tool), ("limit", by.as_str())], count);
            }
        }
        text.family("mcp_tool_retries_total", "counter", "Attempts beyond the first of a call.");
        for tool in &tools {
            text.sample("mcp_tool_retries_total", &[("tool", &tool.tool)], tool.retries);
        }
        text.family(
            "mcp_tool_circuit",
            "gauge",
            "1 for the state of a tool's circuit breaker in this process, 0 for the others; without one it is `closed`.",
        );
        for tool in &tools {
            for state in CircuitState::ALL {
                let labels = [("tool", tool.tool.as_str()), ("state", state.as_str())];
                text.sample("mcp_tool_circuit", &labels, u8::from(tool.circuit == state));
            }
        }
        text.family("mcp_tool_calls_in_flight", "gauge", "Calls that are under way.");
        for tool in &tools {
            text.sample("mcp_tool_calls_in_flight", &[("tool", &tool.tool)], tool.in_flight);
        }
        text.family(
            "mcp_tool_calls_waiting",
            "gauge",
            "Those of them that wait for a place, where only so many calls of a tool run at a time.",
        );
        for tool in &tools {
            text.sample("mcp_tool_calls_waiting", &[("tool", &tool.tool)], tool.waiting);
        }
        text.family(
            "mcp_tool_duration_seconds",
            "histogram",
            "How long calls took, from their begin until their result was there and recorded.",
        );
        for tool in &tools {
            text.histogram("mcp_tool_duration_seconds", &[("tool", &tool.tool)], &tool.durations);
        }
        text.family(
            "mcp_tool_cache_total",
            "counter",
            "Where the results of a cached tool came from: the cache (`hit`), the tool (`miss`), a call that was under way (`shared`).",
        );
        for tool in &tools {
            if let Some(cache) = tool.cache {
                for (from, count) in [("hit", cache.hits), ("miss", cache.misses), ("shared", cache.shared)] {
                    text.sample("mcp_tool_cache_total", &[("tool", &tool.tool), ("result", from)], count);
                }
            }
        }
    }

    fn operations(&self, text: &mut Exposition) {
        text.family(
            "mcp_server_operation_duration_seconds",
            "histogram",
            "How long requests of MCP took, until their answer was there: by method, by the tool that there is, and by what they failed (`cancelled`: the client left), as the spans of traces have it. What comes by REST is not in it, nor is how long a subscription lasts.",
        );
        for of in &self.endpoint.server().operations() {
            // What is empty is not there: so says the format.
            let labels = [
                ("mcp_method_name", of.method),
                ("gen_ai_tool_name", of.tool.as_deref().unwrap_or_default()),
                ("error_type", of.fault.unwrap_or_default()),
            ];
            text.histogram("mcp_server_operation_duration_seconds", &labels, &of.durations);
        }
    }

    fn requests(&self, text: &mut Exposition) {
        let routes = self.http.routes();
        text.family(
            "mcp_http_requests_total",
            "counter",
            "Requests that were answered, by the first digit of the status; `none` where the client left before.",
        );
        for route in &routes {
            for (method, status, count) in route.requests() {
                let labels = [("route", route.pattern()), ("method", method), ("status", status)];
                text.sample("mcp_http_requests_total", &labels, count);
            }
        }
        text.family("mcp_http_requests_in_flight", "gauge", "Requests whose response has not been sent to its end.");
        text.sample("mcp_http_requests_in_flight", &[], self.http.in_flight());
        text.family(
            "mcp_http_request_duration_seconds",
            "histogram",
            "How long requests took, until their response had been sent to its end.",
        );
        for route in &routes {
            text.histogram("mcp_http_request_duration_seconds", &[("route", route.pattern())], &route.durations());
        }
    }
}

/// Shows the samples of one name together, whoever has collected them: so the format wants it.
fn collected(text: &mut Exposition, samples: impl Iterator<Item = Sample>) {
    let mut families: Vec<(&str, Vec<Sample>)> = Vec::new();
    for sample in samples {
        match families.iter_mut().find(|(name, _)| *name == sample.name) {
            Some((_, family)) => family.push(sample),
            None => families.push((sample.name, vec![sample])),
        }
    }
    for (name, family) in families {
        let kind = match family[0].kind {
            SampleKind::Counter => "counter",
            SampleKind::Gauge => "gauge",
        };
        text.family(name, kind, family[0].help);
        for sample in &family {
            let labels: Vec<_> = sample.labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
            text.sample(name, &labels, sample.value);
        }
    }
}

fn processes(text: &mut Exposition) {
    let Some(process) = Process::read() else { return };
    let figures = [
        ("process_cpu_seconds_total", "counter", "Processor time that the process has used.", process.cpu_seconds),
        ("process_resident_memory_bytes", "gauge", "Memory that the process has in use.", process.resident_bytes),
        ("process_open_fds", "gauge", "Files and connections that the process has open.", process.open_files),
        ("process_max_fds", "gauge", "Files and connections that it may have open.", process.max_files),
        ("process_start_time_seconds", "gauge", "When the process began, in seconds since 1970.", process.start_time),
    ];
    for (name, kind, help, value) in figures {
        text.family(name, kind, help);
        text.sample(name, &[], value);
    }
}

async fn show(Identified(caller): Identified, metrics: web::Data<Metrics>) -> Result<HttpResponse, Problem> {
    if caller.may_monitor() {
        return Ok(show_to_everyone(metrics).await);
    }
    Err(Problem::new(403, "metrics take the role `monitor` or `operator`, which the caller does not have"))
}

async fn show_to_everyone(metrics: web::Data<Metrics>) -> HttpResponse {
    HttpResponse::Ok().content_type(CONTENT_TYPE).body(metrics.text())
}

//! The official schemas, against which each message of the server is held.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, LazyLock, Mutex};

use futures_util::StreamExt;
use jsonschema::Validator;
use mcp_core::endpoint::answer::{Answer, Body};
use serde_json::{Value, json};

use crate::support::{MODERN, Request};

/// The revisions, each with its schema.
const FILES: [(&str, &str); 4] = [
    ("2025-03-26", include_str!("../schema/2025-03-26.json")),
    ("2025-06-18", include_str!("../schema/2025-06-18.json")),
    ("2025-11-25", include_str!("../schema/2025-11-25.json")),
    (MODERN, include_str!("../schema/2026-07-28.json")),
];

static SCHEMAS: LazyLock<BTreeMap<&str, Schema>> =
    LazyLock::new(|| FILES.map(|(revision, text)| (revision, Schema::read(text))).into());

/// What has been seen: revision and definition.
static SEEN: Mutex<BTreeSet<(&str, String)>> = Mutex::new(BTreeSet::new());

struct Schema {
    document: Value,
    /// `$defs`, or what was called so before.
    definitions: &'static str,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

impl Schema {
    fn read(text: &str) -> Self {
        let document: Value = serde_json::from_str(text).unwrap();
        let definitions = if document["$defs"].is_object() { "$defs" } else { "definitions" };
        Self { document, definitions, validators: Mutex::default() }
    }

    fn defines(&self, name: &str) -> bool {
        self.document[self.definitions][name].is_object()
    }

    /// The names of all of a union.
    fn union(&self, name: &str) -> BTreeSet<String> {
        let members = self.document[self.definitions][name]["anyOf"].as_array().into_iter().flatten();
        members.map(|member| member["$ref"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()).collect()
    }

    fn validator(&self, name: &str) -> Arc<Validator> {
        let mut validators = self.validators.lock().unwrap();
        let build = || {
            let mut whole =
                json!({"$schema": self.document["$schema"], "$ref": format!("#/{}/{name}", self.definitions)});
            whole[self.definitions] = self.document[self.definitions].clone();
            Arc::new(jsonschema::validator_for(&whole).unwrap())
        };
        validators.entry(name.to_owned()).or_insert_with(build).clone()
    }
}

/// Fails unless `value` is what `revision` defines under this name.
fn hold(revision: &'static str, name: &str, value: &Value, message: &Value) {
    let validator = SCHEMAS[revision].validator(name);
    let faults: Vec<_> = validator.iter_errors(value).map(|fault| fault.to_string()).collect();
    assert!(faults.is_empty(), "{revision}: no {name}: {faults:?} in {message}");
    SEEN.lock().unwrap().insert((revision, name.to_owned()));
}

/// Holds a message of the server against the schema of a revision; `method` is that of the request that it answers, where it is known.
pub(crate) fn check(revision: &'static str, method: Option<&str>, message: &Value) {
    let schema = &SCHEMAS[revision];
    let first = |names: &[&'static str]| *names.iter().find(|name| schema.defines(name)).expect("one is defined");
    if let Some(error) = message.get("error") {
        // Before 2025-11-25 an error had an id, and what could not be read has none that could be given back.
        let id_less = message.get("id").is_none() && revision < "2025-11-25";
        if !id_less {
            hold(revision, first(&["JSONRPCErrorResponse", "JSONRPCError"]), message, message);
        }
        if let Some((name, whole)) =
            error_definition(error["code"].as_i64().unwrap()).filter(|(name, _)| schema.defines(name))
        {
            hold(revision, name, if whole { message } else { error }, message);
        }
    } else if let Some(result) = message.get("result") {
        hold(revision, first(&["JSONRPCResultResponse", "JSONRPCResponse"]), message, message);
        let name = match result["resultType"].as_str() {
            Some("input_required") => Some("InputRequiredResult"),
            // Of an extension.
            Some("task") => None,
            _ => method.and_then(result_definition),
        };
        if let Some(name) = name {
            hold(revision, name, result, message);
        }
        for request in result["inputRequests"].as_object().into_iter().flat_map(serde_json::Map::values) {
            hold(revision, request_definition(request["method"].as_str().unwrap()), request, message);
        }
    } else if message.get("id").is_some() {
        hold(revision, "JSONRPCRequest", message, message);
        hold(revision, request_definition(message["method"].as_str().unwrap()), message, message);
    } else {
        hold(revision, "JSONRPCNotification", message, message);
        if let Some(name) = notification_definition(message["method"].as_str().unwrap()) {
            hold(revision, name, message, message);
        }
    }
}

/// The definition of an error, and whether it is one of the whole message.
fn error_definition(code: i64) -> Option<(&'static str, bool)> {
    Some(match code {
        -32700 => ("ParseError", false),
        -32600 => ("InvalidRequestError", false),
        -32601 => ("MethodNotFoundError", false),
        -32602 => ("InvalidParamsError", false),
        -32603 => ("InternalError", false),
        -32020 => ("HeaderMismatchError", true),
        -32021 => ("MissingRequiredClientCapabilityError", true),
        -32022 => ("UnsupportedProtocolVersionError", true),
        _ => return None,
    })
}

fn result_definition(method: &str) -> Option<&'static str> {
    Some(match method {
        "initialize" => "InitializeResult",
        "server/discover" => "DiscoverResult",
        "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe" => "EmptyResult",
        "tools/list" => "ListToolsResult",
        "tools/call" => "CallToolResult",
        "resources/list" => "ListResourcesResult",
        "resources/templates/list" => "ListResourceTemplatesResult",
        "resources/read" => "ReadResourceResult",
        "prompts/list" => "ListPromptsResult",
        "prompts/get" => "GetPromptResult",
        "completion/complete" => "CompleteResult",
        "subscriptions/listen" => "SubscriptionsListenResult",
        _ => return None,
    })
}

fn request_definition(method: &str) -> &'static str {
    match method {
        "ping" => "PingRequest",
        "sampling/createMessage" => "CreateMessageRequest",
        "elicitation/create" => "ElicitRequest",
        "roots/list" => "ListRootsRequest",
        other => panic!("the server sends no request {other}"),
    }
}

fn notification_definition(method: &str) -> Option<&'static str> {
    Some(match method {
        "notifications/cancelled" => "CancelledNotification",
        "notifications/progress" => "ProgressNotification",
        "notifications/message" => "LoggingMessageNotification",
        "notifications/tools/list_changed" => "ToolListChangedNotification",
        "notifications/prompts/list_changed" => "PromptListChangedNotification",
        "notifications/resources/list_changed" => "ResourceListChangedNotification",
        "notifications/resources/updated" => "ResourceUpdatedNotification",
        "notifications/subscriptions/acknowledged" => "SubscriptionsAcknowledgedNotification",
        // Of an extension.
        "notifications/tasks" => return None,
        other => panic!("the server sends no notification {other}"),
    })
}

/// What is to be expected of the answers to a request.
#[derive(Clone)]
struct Expected {
    revision: &'static str,
    /// The method of each request, by its id as JSON text.
    methods: HashMap<String, String>,
}

impl Expected {
    fn of(request: &Request) -> Self {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
        let messages = body.as_array().cloned().unwrap_or_else(|| vec![body.clone()]);
        let named = |messages: &[Value], pointer: &str| {
            messages.iter().find_map(|message| message.pointer(pointer)?.as_str().map(str::to_owned))
        };
        let header = request.headers.iter().find(|(name, _)| *name == "mcp-protocol-version");
        let header = header.and_then(|(_, value)| String::from_utf8(value.clone()).ok());
        let meta = named(&messages, "/params/_meta/io.modelcontextprotocol~1protocolVersion");
        let method = messages.first().and_then(|message| message["method"].as_str());
        let asked = match method {
            Some("server/discover") => Some(MODERN.to_owned()),
            // Nothing newer is agreed on.
            Some("initialize") => {
                named(&messages, "/params/protocolVersion").map(|asked| asked.min("2025-11-25".to_owned()))
            }
            _ => None,
        };
        let candidates = [asked, meta, header].into_iter().flatten();
        let known = |name: String| FILES.iter().map(|(revision, _)| *revision).find(|revision| *revision == name);
        let newest_of_its_era = |name: &String| if name.as_str() > "2026" { MODERN } else { "2025-11-25" };
        let revision = candidates
            .clone()
            .find_map(known)
            .or_else(|| candidates.clone().next().map(|name| newest_of_its_era(&name)));
        let methods = messages
            .iter()
            .filter_map(|message| Some((message.get("id")?.to_string(), message["method"].as_str()?.to_owned())));
        Self { revision: revision.unwrap_or("2025-03-26"), methods: methods.collect() }
    }

    fn check(&self, message: &Value) {
        let method = message.get("id").and_then(|id| self.methods.get(&id.to_string()));
        check(self.revision, method.map(String::as_str), message);
    }

    fn check_text(&self, text: &[u8]) {
        match serde_json::from_slice(text).expect("an answer is JSON") {
            Value::Array(messages) => messages.iter().for_each(|message| self.check(message)),
            message => self.check(&message),
        }
    }

    fn check_events(&self, frames: &[u8]) {
        let data = frames.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"data: "));
        data.for_each(|message| self.check_text(message));
    }
}

/// Holds each message of an answer against the schema of the revision that the request speaks.
pub(crate) fn held(request: &Request, mut answer: Answer) -> Answer {
    let expected = Expected::of(request);
    answer.body = match answer.body {
        Body::Full(bytes) => {
            match answer.content_type {
                Some("text/event-stream") => expected.check_events(&bytes),
                _ => expected.check_text(&bytes),
            }
            Body::Full(bytes)
        }
        Body::Stream(pieces) => Body::Stream(pieces.inspect(move |piece| expected.check_events(piece)).boxed()),
        Body::Empty => Body::Empty,
    };
    answer
}

/// The messages of a revision that a server may send, and that have not been seen.
pub(crate) fn unseen(revision: &'static str) -> BTreeSet<String> {
    let schema = &SCHEMAS[revision];
    let mut all: BTreeSet<_> = ["ServerResult", "ServerNotification", "ServerRequest", "InputRequest"]
        .iter()
        .flat_map(|union| schema.union(union))
        .collect();
    // Any result is one. Those of the older era that say nothing have a name of their own.
    all.remove("Result");
    all.extend(schema.defines("InitializeResult").then(|| "EmptyResult".to_owned()));
    let errors = [-32700, -32600, -32601, -32602, -32603, -32020, -32021, -32022];
    let errors = errors.into_iter().filter_map(error_definition).map(|(name, _)| name.to_owned());
    all.extend(errors.chain(["JSONRPCErrorResponse".to_owned()]).filter(|name| schema.defines(name)));
    let seen = SEEN.lock().unwrap();
    all.into_iter().filter(|name| !seen.contains(&(revision, name.clone()))).collect()
}

#[test]
fn the_schemas_are_those_that_were_published() {
    use sha2::{Digest, Sha256};
    let sums = include_str!("../schema/README.md");
    for (revision, text) in FILES {
        let sum: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(sums.contains(&format!("| {revision}.json | {sum} |")), "{revision} {sum}");
    }
}

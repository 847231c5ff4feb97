//! What a tool says of itself, and how the server treats its calls.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::redacted::Redacted;
use super::retry::Retry;
use super::schema;
use crate::capability::ClientCapability;
use crate::policy::{Requirement, requirement_methods};
use crate::store::limits::Rate;
use crate::view::{Meta, ToolView};

/// The description of a tool, and the stages that its calls go through.
#[derive(Clone, Debug)]
pub struct ToolSpec {
    pub(crate) wire: WireTool,
    pub(crate) policy: Policy,
    pub(crate) requirement: Requirement,
    /// Whether serde alone checks the arguments of a well-formed call.
    pub(crate) typed: bool,
}

/// A tool as a client sees it (server/tools, "Tool").
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WireTool {
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<String>,
    pub(crate) description: String,
    pub(crate) input_schema: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) output_schema: Option<Value>,
    #[serde(skip_serializing_if = "Annotations::is_empty")]
    pub(crate) annotations: Annotations,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) icons: Vec<Icon>,
    #[serde(rename = "_meta", skip_serializing_if = "Option::is_none")]
    pub(crate) meta: Option<Meta<ToolView>>,
}

/// What a client may believe of a tool that it trusts (server/tools, "ToolAnnotations").
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Annotations {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) read_only_hint: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) destructive_hint: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) idempotent_hint: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) open_world_hint: Option<bool>,
}

impl Annotations {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A picture to show beside a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Icon {
    src: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mime_type: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sizes: Vec<String>,
}

impl Icon {
    /// The picture at `src`: an `https:` or `data:` URL.
    pub fn new(src: impl Into<String>) -> Self {
        Self { src: src.into(), mime_type: None, sizes: Vec::new() }
    }

    /// Its media type, such as `image/png`.
    #[must_use]
    pub fn mime_type(mut self, mime_type: impl Into<String>) -> Self {
        self.mime_type = Some(mime_type.into());
        self
    }

    /// One size that it is good for, such as `48x48` or `any`.
    #[must_use]
    pub fn size(mut self, size: impl Into<String>) -> Self {
        self.sizes.push(size.into());
        self
    }
}

/// Which stages a call goes through; each is free when it is off.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policy {
    pub(crate) read_only: bool,
    pub(crate) repeatable: bool,
    pub(crate) deduplicated: bool,
    pub(crate) timeout: Option<Duration>,
    /// How long a call may take in all that reports its progress.
    pub(crate) in_all: Option<Duration>,
    pub(crate) max_output: Option<usize>,
    pub(crate) cache: Option<CachePolicy>,
    pub(crate) invalidates: Vec<&'static str>,
    pub(crate) asks: Vec<ClientCapability>,
    pub(crate) answered_once: bool,
    pub(crate) task: Option<TaskPolicy>,
    pub(crate) redacted: Redacted,
    pub(crate) rate: Option<Rate>,
    pub(crate) concurrency: Option<Concurrency>,
    pub(crate) retry: Option<Retry>,
    pub(crate) circuit_breaker: Option<CircuitBreaker>,
    pub(crate) output_unchecked: bool,
}

/// How many calls run at a time, and how many wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Concurrency {
    pub(crate) most: usize,
    pub(crate) waiting: usize,
}

/// After how many failures in a row, and for how long, a tool is left alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CircuitBreaker {
    pub(crate) failures: u32,
    pub(crate) pause: Duration,
}

/// How calls become tasks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TaskPolicy {
    /// Whether a client that can follow none is refused.
    pub(crate) required: bool,
    /// Whether a call becomes one only once it says so.
    pub(crate) detaches: bool,
}

impl Policy {
    /// Whether the tool may be run again where nobody knows what it has done.
    pub(crate) fn may_be_repeated(&self) -> bool {
        self.read_only || self.repeatable
    }

    /// How long a call may take in all, where `timeout` is that of the server.
    pub(crate) fn longest(&self, timeout: Duration) -> Duration {
        let timeout = self.timeout.unwrap_or(timeout);
        self.in_all.map_or(timeout, |in_all| in_all.max(timeout))
    }
}

#[derive(Clone, Debug)]
pub(crate) struct CachePolicy {
    pub(crate) lifetime: Duration,
    pub(crate) tag: &'static str,
}

impl ToolSpec {
    /// A tool that takes no arguments and says nothing of its output.
    ///
    /// `name` has 1 to 128 characters of `A–Z a–z 0–9 _ - .`; the server refuses others when it is built.
    pub fn new(name: impl Into<String>, description: impl Into<String>) -> Self {
        Self {
            wire: WireTool {
                name: name.into(),
                title: None,
                description: description.into(),
                input_schema: schema::no_arguments(),
                output_schema: None,
                annotations: Annotations::default(),
                icons: Vec::new(),
                meta: None,
            },
            policy: Policy::default(),
            requirement: Requirement::none(),
            typed: false,
        }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.wire.name
    }

    /// What it does, for a model.
    pub fn description(&self) -> &str {
        &self.wire.description
    }

    /// The JSON Schema of its arguments.
    pub fn input_schema(&self) -> &Map<String, Value> {
        &self.wire.input_schema
    }

    /// The JSON Schema of its structured output.
    pub fn output_schema(&self) -> Option<&Value> {
        self.wire.output_schema.as_ref()
    }

    /// Takes arguments of this type.
    #[must_use]
    pub fn input<T: JsonSchema>(mut self) -> Self {
        self.wire.input_schema = schema::of_input::<T>();
        self
    }

    /// Takes arguments by this JSON Schema (2020-12; its root an object of type `object`).
    #[must_use]
    pub fn input_json(mut self, schema: Map<String, Value>) -> Self {
        self.wire.input_schema = schema;
        self
    }

    /// Gives structured output by this JSON Schema (2020-12). What a call gives is held against it, and is not sent where it does not
    /// fit: then the call has failed inside, and the log says where it does not.
    #[must_use]
    pub fn output_json(mut self, schema: Value) -> Self {
        self.wire.output_schema = Some(schema);
        self
    }

    /// Takes it on trust that output fits its schema, which takes no time: for what was checked elsewhere.
    #[must_use]
    pub fn output_unchecked(mut self) -> Self {
        self.policy.output_unchecked = true;
        self
    }
}

/// The methods that say how a tool's calls are treated, for all that holds a spec.
macro_rules! policy_methods {
    ([$($generics:tt)*] $type:ty $(, $spec:ident)?) => {
        impl<$($generics)*> $type {
            /// A name for people.
            #[must_use]
            pub fn title(mut self, title: impl Into<String>) -> Self {
                self$(.$spec)?.wire.title = Some(title.into());
                self
            }

            /// A picture to show beside the name.
            #[must_use]
            pub fn icon(mut self, icon: $crate::tool::spec::Icon) -> Self {
                self$(.$spec)?.wire.icons.push(icon);
                self
            }

            /// Its results are shown by the view at this URI; see [`view`](crate::view).
            #[must_use]
            pub fn view(mut self, uri: impl Into<String>) -> Self {
                let ui = $crate::view::ToolView { resource_uri: uri.into(), visibility: None };
                self$(.$spec)?.wire.meta = Some($crate::view::Meta { ui });
                self
            }

            /// The same, for a tool that only the view calls, and no model. That is how clients show it, and keeps nobody from calling it.
            #[must_use]
            pub fn of_view(mut self, uri: impl Into<String>) -> Self {
                let ui = $crate::view::ToolView { resource_uri: uri.into(), visibility: Some(["app"]) };
                self$(.$spec)?.wire.meta = Some($crate::view::Meta { ui });
                self
            }

            /// It changes nothing: it may be dropped at any await, and run again. Sets `readOnlyHint`.
            #[must_use]
            pub fn read_only(mut self) -> Self {
                self$(.$spec)?.policy.read_only = true;
                self$(.$spec)?.wire.annotations.read_only_hint = Some(true);
                self
            }

            /// Running it again with the same arguments is harmless. Sets `idempotentHint`. A call that was sent under a key, and
            /// whose server ended in the middle, is run again when it is sent again; without this word it is answered that its
            /// [outcome is unknown](crate::tool::error::KeyError::OutcomeUnknown).
            #[must_use]
            pub fn repeatable(mut self) -> Self {
                self$(.$spec)?.policy.repeatable = true;
                self$(.$spec)?.wire.annotations.idempotent_hint = Some(true);
                self
            }

            /// Its results are kept by key also where another tool calls it. (Where a client sends a key, the result of every tool is
            /// kept.) A tool that was sent under a key, and is run again, finds the answers of the calls that it made before.
            #[must_use]
            pub fn deduplicated(mut self) -> Self {
                self$(.$spec)?.policy.deduplicated = true;
                self
            }

            /// Whether it may destroy something (`destructiveHint`; clients assume that it may).
            #[must_use]
            pub fn destructive(mut self, destructive: bool) -> Self {
                self$(.$spec)?.wire.annotations.destructive_hint = Some(destructive);
                self
            }

            /// Whether it reaches beyond this service (`openWorldHint`; clients assume that it does).
            #[must_use]
            pub fn open_world(mut self, open_world: bool) -> Self {
                self$(.$spec)?.wire.annotations.open_world_hint = Some(open_world);
                self
            }

            /// The answers to what it asks are taken once: however often a request is sent again with them, the tool goes on from there
            /// once, and every time the answer is that of the first (basic/patterns/mrtr, "Security Considerations").
            #[must_use]
            pub fn answered_once(mut self) -> Self {
                self$(.$spec)?.policy.answered_once = true;
                self
            }

            /// It may ask its client this: one that cannot be asked is refused before the tool runs. (A tool that asks without having
            /// said so fails where it asks.)
            #[must_use]
            pub fn asks(mut self, capability: $crate::capability::ClientCapability) -> Self {
                self$(.$spec)?.policy.asks.push(capability);
                self
            }

            /// It may take long: for a client that can follow tasks, a call goes on as one, which survives a restart, and which any
            /// replica tells of. Other clients wait for the result. It is the same function, in the same [`timeout`](Self::timeout): see
            /// docs/tasks.md. (Calls become tasks where [workers](crate::Server::start_workers) were started.)
            #[must_use]
            pub fn task(mut self) -> Self {
                self$(.$spec)?.policy.task.get_or_insert_default();
                self
            }

            /// As [`task`](Self::task), but a call goes on as one only once it [detaches](crate::Context::detach): what it asks before that, it
            /// asks while its client waits, and what does not come to it is answered at once.
            #[must_use]
            pub fn detaches(mut self) -> Self {
                self$(.$spec)?.policy.task.get_or_insert_default().detaches = true;
                self
            }

            /// As [`task`](Self::task), and a client that cannot follow tasks is refused.
            #[must_use]
            pub fn task_required(mut self) -> Self {
                self$(.$spec)?.policy.task.get_or_insert_default().required = true;
                self
            }

            /// What stands in the arguments at this place, a JSON pointer (RFC 6901) such as `/card/number`, is not recorded: `"[redacted]"` is,
            /// in its place. (A call that has become a task, or the work of a run, keeps its arguments until it is removed: it must be gone on
            /// with.)
            #[must_use]
            pub fn redacted(mut self, pointer: impl Into<String>) -> Self {
                self$(.$spec)?.policy.redacted.extend([pointer]);
                self
            }

            /// How long a call may take, in place of the server's limit.
            #[must_use]
            pub fn timeout(mut self, timeout: std::time::Duration) -> Self {
                self$(.$spec)?.policy.timeout = Some(timeout);
                self
            }

            /// Each report of its [progress](crate::Context::progress) gives a call its [`timeout`](Self::timeout) again, whether its client
            /// hears of it or not, until it has taken `in_all`. What it reports counts for the call in which it was made as well.
            #[must_use]
            pub fn timeout_extended_by_progress(mut self, in_all: std::time::Duration) -> Self {
                self$(.$spec)?.policy.in_all = Some(in_all);
                self
            }

            /// How often each caller may call it, on all replicas that share their limits: as many at once as a burst, which come back
            /// evenly. Results from the cache, and answers to a key that was sent before, do not count.
            #[must_use]
            pub fn rate_limit(mut self, rate: $crate::store::limits::Rate) -> Self {
                self$(.$spec)?.policy.rate = Some(rate);
                self
            }

            /// How many calls of it run at a time in this process, and how many more wait, in their order, within their
            /// [`timeout`](Self::timeout). What finds no room is refused at once.
            #[must_use]
            pub fn concurrency(mut self, most: usize, waiting: usize) -> Self {
                self$(.$spec)?.policy.concurrency = Some($crate::tool::spec::Concurrency { most, waiting });
                self
            }

            /// A call for which something was not there ([`Unavailable`](crate::ToolError::Unavailable)) is tried again, within its
            /// [`timeout`](Self::timeout); for a tool that is [`read_only`](Self::read_only) or [`repeatable`](Self::repeatable). It is one
            /// call, counted and recorded once. Where its client was asked something, it is not tried again.
            #[must_use]
            pub fn retry(mut self, retry: $crate::tool::retry::Retry) -> Self {
                self$(.$spec)?.policy.retry = Some(retry);
                self
            }

            /// After so many failures in a row (what it needs was not there, it broke inside, or it took too long), it is not called for
            /// `pause` by this process: calls are refused at once. Then one call finds out whether it is well again.
            #[must_use]
            pub fn circuit_breaker(mut self, failures: u32, pause: std::time::Duration) -> Self {
                self$(.$spec)?.policy.circuit_breaker = Some($crate::tool::spec::CircuitBreaker { failures, pause });
                self
            }

            /// How many bytes its output may have, in place of the server's limit.
            #[must_use]
            pub fn max_output(mut self, bytes: usize) -> Self {
                self$(.$spec)?.policy.max_output = Some(bytes);
                self
            }

            /// A result may be used again for `lifetime`, by the same caller with the same arguments, until a tool that
            /// [`invalidates`](Self::invalidates) `tag` is called by that caller. Callers that ask at once share one run.
            #[must_use]
            pub fn cached(mut self, lifetime: std::time::Duration, tag: &'static str) -> Self {
                self$(.$spec)?.policy.cache = Some($crate::tool::spec::CachePolicy { lifetime, tag });
                self
            }

            /// A call changes what results cached under `tag` were made of.
            #[must_use]
            pub fn invalidates(mut self, tag: &'static str) -> Self {
                self$(.$spec)?.policy.invalidates.push(tag);
                self
            }
        }
    };
}
pub(crate) use policy_methods;

policy_methods!([] ToolSpec);
requirement_methods!([] ToolSpec);

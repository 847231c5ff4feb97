//! A tool as it is offered.

use std::sync::Arc;

use bytes::Bytes;
use jsonschema::Validator;

use super::Tool;
use super::cost::Cost;
use super::header::HeaderArgument;
use super::pipeline::{Meter, Stages};
use super::schema;
use super::spec::{CachePolicy, ToolSpec, WireTool};
use crate::catalog::{self, Offered};
use crate::measure::ToolMeasures;
use crate::policy::Requirement;
use crate::server::operations::Times;
use crate::view;

/// A tool with all that is worked out once, when it is offered.
pub struct OfferedTool {
    tool: Arc<dyn Tool>,
    validator: Validator,
    check: Check,
    header_arguments: Vec<HeaderArgument>,
    wire: Bytes,
    /// The same for clients that know structured output only as an object.
    wire_legacy: Bytes,
    stages: Option<Box<Stages>>,
    pub(crate) meter: Meter,
    /// How long requests of the protocol took that called it.
    pub(crate) operations: Times,
    /// What its calls cost, where the server measures.
    pub(crate) cost: Cost,
}

/// When the schema is held against the arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// Before each call: the schema says more than serde checks, or nothing parses the arguments.
    Always,
    /// Only where they hold an array, which serde would take for an object.
    WhereArrays,
    /// Only to name the faults that serde found.
    Never,
}

/// How long a name is at the most (server/tools, "Tool Names").
const LONGEST_NAME: usize = 128;

impl OfferedTool {
    /// Checks the tool's spec and prepares it.
    ///
    /// # Errors
    /// [`BadTool`], which says what is wrong with the spec.
    pub fn new(tool: Arc<dyn Tool>) -> Result<Self, BadTool> {
        let spec = tool.spec();
        let name = spec.name();
        let bad = |fault: String| BadTool { name: name.to_owned(), fault };
        catalog::check_name(name, LONGEST_NAME).map_err(bad)?;
        let validator =
            schema::compile(spec.input_schema()).map_err(|fault| bad(format!("its input schema: {fault}")))?;
        let header_arguments = HeaderArgument::of_schema(spec.input_schema()).map_err(bad)?;
        let check = match spec.typed {
            true if schema::says_more_than_its_type(spec.input_schema()) => Check::Always,
            true if schema::has_inner_object(spec.input_schema()) => Check::WhereArrays,
            true => Check::Never,
            false => Check::Always,
        };
        if let Some(meta) = &spec.wire.meta {
            view::check(&meta.ui.resource_uri).map_err(bad)?;
        }
        if spec.policy.cache.is_some() && !spec.policy.asks.is_empty() {
            return Err(bad("it asks its client, and its results are cached; leave out one of the two".to_owned()));
        }
        if spec.policy.cache.is_some() && spec.policy.task.is_some_and(|task| task.detaches) {
            return Err(bad("its calls detach, and its results are cached; leave out one of the two".to_owned()));
        }
        let stages = Stages::of(spec).map_err(bad)?;
        let encode =
            |wire: &WireTool| serde_json::to_vec(wire).map(Bytes::from).map_err(|error| bad(error.to_string()));
        let wire = encode(&spec.wire)?;
        let is_object = |schema: &serde_json::Value| schema.get("type").is_some_and(|kind| kind == "object");
        let wire_legacy = match &spec.wire.output_schema {
            Some(schema) if !is_object(schema) => encode(&WireTool { output_schema: None, ..spec.wire.clone() })?,
            _ => wire.clone(),
        };
        Ok(Self {
            validator,
            check,
            header_arguments,
            wire,
            wire_legacy,
            stages,
            meter: Meter::default(),
            operations: Times::default(),
            cost: Cost::default(),
            tool,
        })
    }

    /// What the tool says of itself.
    pub fn spec(&self) -> &ToolSpec {
        self.tool.spec()
    }

    /// What was counted of it.
    pub(crate) fn measures(&self) -> ToolMeasures {
        let measures = self.meter.read(self.spec().name(), self.cache().is_some());
        match self.stages() {
            Some(stages) => ToolMeasures { waiting: stages.waiting(), circuit: stages.circuit(), ..measures },
            None => measures,
        }
    }

    pub(crate) fn tool(&self) -> &Arc<dyn Tool> {
        &self.tool
    }

    pub(crate) fn check(&self) -> Check {
        self.check
    }

    /// The arguments that clients repeat in headers.
    pub(crate) fn header_arguments(&self) -> &[HeaderArgument] {
        &self.header_arguments
    }

    pub(crate) fn validator(&self) -> &Validator {
        &self.validator
    }

    /// What it asked for beside a cache, where that is anything.
    pub(crate) fn stages(&self) -> Option<&Stages> {
        self.stages.as_deref()
    }

    pub(crate) fn cache(&self) -> Option<&CachePolicy> {
        self.spec().policy.cache.as_ref()
    }
}

/// A tool that cannot be offered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tool {name:?} cannot be offered: {fault}")]
pub struct BadTool {
    name: String,
    fault: String,
}

impl Offered for OfferedTool {
    fn key(&self) -> &str {
        self.spec().name()
    }

    fn requirement(&self) -> &Requirement {
        &self.spec().requirement
    }

    fn json(&self) -> &Bytes {
        &self.wire
    }

    fn legacy_json(&self) -> &Bytes {
        &self.wire_legacy
    }
}

impl BadTool {
    pub(crate) fn stands_for_agent(name: &str) -> Self {
        Self { name: name.to_owned(), fault: "names that begin with `agent.` stand for agents".to_owned() }
    }

    pub(crate) fn twice(name: String) -> Self {
        Self { name, fault: "another tool has this name".to_owned() }
    }
}

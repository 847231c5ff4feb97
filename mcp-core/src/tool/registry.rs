//! What is offered: the tools of all sources, found by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use jsonschema::Validator;

use super::Tool;
use super::pipeline::Meter;
use super::schema;
use super::spec::{CachePolicy, ToolSpec, WireTool};
use crate::measure::ToolMeasures;
use crate::nearest::nearest;

/// A tool with all that is worked out once, when it is offered.
pub struct OfferedTool {
    tool: Arc<dyn Tool>,
    validator: Validator,
    check: Check,
    wire: Bytes,
    /// The same for clients that know structured output only as an object.
    pub(crate) wire_legacy: Bytes,
    pub(crate) meter: Meter,
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

impl OfferedTool {
    /// Checks the tool's spec and prepares it.
    ///
    /// # Errors
    /// [`BadTool`], which says what is wrong with the spec.
    pub fn new(tool: Arc<dyn Tool>) -> Result<Self, BadTool> {
        let spec = tool.spec();
        let name = spec.name();
        let bad = |fault: String| BadTool { name: name.to_owned(), fault };
        let sound = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        if name.is_empty() || name.len() > 128 || !name.bytes().all(sound) {
            return Err(bad("a name has 1 to 128 characters of A-Z, a-z, 0-9, _, - and .".to_owned()));
        }
        let validator =
            schema::compile(spec.input_schema()).map_err(|fault| bad(format!("its input schema: {fault}")))?;
        let check = match spec.typed {
            true if schema::says_more_than_its_type(spec.input_schema()) => Check::Always,
            true if schema::has_inner_object(spec.input_schema()) => Check::WhereArrays,
            true => Check::Never,
            false => Check::Always,
        };
        let encode =
            |wire: &WireTool| serde_json::to_vec(wire).map(Bytes::from).map_err(|error| bad(error.to_string()));
        let wire = encode(&spec.wire)?;
        let is_object = |schema: &serde_json::Value| schema.get("type").is_some_and(|kind| kind == "object");
        let wire_legacy = match &spec.wire.output_schema {
            Some(schema) if !is_object(schema) => encode(&WireTool { output_schema: None, ..spec.wire.clone() })?,
            _ => wire.clone(),
        };
        Ok(Self { validator, check, wire, wire_legacy, meter: Meter::default(), tool })
    }

    /// What the tool says of itself.
    pub fn spec(&self) -> &ToolSpec {
        self.tool.spec()
    }

    /// What clients are shown of it, as JSON (server/tools, "Tool").
    pub fn json(&self) -> &Bytes {
        &self.wire
    }

    /// What was counted of it.
    pub(crate) fn measures(&self) -> ToolMeasures {
        self.meter.read(self.spec().name(), self.cache().is_some())
    }

    pub(crate) fn tool(&self) -> &Arc<dyn Tool> {
        &self.tool
    }

    pub(crate) fn check(&self) -> Check {
        self.check
    }

    pub(crate) fn validator(&self) -> &Validator {
        &self.validator
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

/// Where tools come from. A source that reads a database keeps its own picture of it: finding a tool must not wait.
pub trait ToolSource: Send + Sync + 'static {
    /// The tool of that name.
    fn find(&self, name: &str) -> Option<Arc<OfferedTool>>;

    /// All tools, in an order that does not change by itself.
    fn list(&self) -> Vec<Arc<OfferedTool>>;
}

/// The tools that a server was built with, in the order in which they were given.
#[derive(Default)]
pub(crate) struct StaticTools {
    order: Vec<Arc<OfferedTool>>,
    by_name: BTreeMap<String, Arc<OfferedTool>>,
}

impl StaticTools {
    pub(crate) fn add(&mut self, tool: Arc<dyn Tool>) -> Result<(), BadTool> {
        let tool = Arc::new(OfferedTool::new(tool)?);
        let name = tool.spec().name().to_owned();
        if self.by_name.contains_key(&name) {
            return Err(BadTool { name, fault: "another tool has this name".to_owned() });
        }
        self.by_name.insert(name, tool.clone());
        self.order.push(tool);
        Ok(())
    }
}

impl ToolSource for StaticTools {
    fn find(&self, name: &str) -> Option<Arc<OfferedTool>> {
        self.by_name.get(name).cloned()
    }

    fn list(&self) -> Vec<Arc<OfferedTool>> {
        self.order.clone()
    }
}

/// All sources in one; where two have the same name, the first is right.
pub struct Registry {
    sources: Vec<Arc<dyn ToolSource>>,
}

impl Registry {
    pub(crate) fn new(sources: Vec<Arc<dyn ToolSource>>) -> Self {
        Self { sources }
    }

    /// The tool of that name.
    pub fn find(&self, name: &str) -> Option<Arc<OfferedTool>> {
        self.sources.iter().find_map(|source| source.find(name))
    }

    /// At most `limit` tools, beginning behind the one named `after`; and whether more follow. `None` where `after` is no tool.
    pub fn page(&self, after: Option<&str>, limit: usize) -> Option<(Vec<Arc<OfferedTool>>, bool)> {
        let mut all: Vec<Arc<OfferedTool>> = Vec::new();
        for (n, source) in self.sources.iter().enumerate() {
            let shadowed =
                |tool: &OfferedTool| self.sources[..n].iter().any(|before| before.find(tool.spec().name()).is_some());
            all.extend(source.list().into_iter().filter(|tool| !shadowed(tool)));
        }
        let start = match after {
            None => 0,
            Some(name) => all.iter().position(|tool| tool.spec().name() == name)? + 1,
        };
        let more = all.len() - start > limit;
        Some((all.into_iter().skip(start).take(limit).collect(), more))
    }

    /// The name of an offered tool that `name` may have been meant for.
    pub fn nearest(&self, name: &str) -> Option<String> {
        let (all, _) = self.page(None, usize::MAX)?;
        nearest(name, all.iter().map(|tool| tool.spec().name())).map(str::to_owned)
    }
}

//! What a prompt says of itself.

use serde::Serialize;

use crate::policy::{Requirement, requirement_methods};
use crate::tool::spec::Icon;

/// What a prompt is called, and what it takes.
#[derive(Clone, Debug)]
pub struct PromptSpec {
    pub(crate) wire: WirePrompt,
    pub(crate) requirement: Requirement,
}

/// A prompt as a client sees it (schema, `Prompt`).
#[derive(Clone, Debug, Serialize)]
pub(crate) struct WirePrompt {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    description: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    arguments: Vec<PromptArgument>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    icons: Vec<Icon>,
}

/// What a prompt takes: a text under a name (schema, `PromptArgument`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PromptArgument {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    required: bool,
}

impl PromptArgument {
    /// An argument that must be there.
    pub fn required(name: impl Into<String>) -> Self {
        Self { name: name.into(), title: None, description: None, required: true }
    }

    /// An argument that may be left out.
    pub fn optional(name: impl Into<String>) -> Self {
        Self { required: false, ..Self::required(name) }
    }

    /// A name for people.
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// What it is.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it must be there.
    pub fn is_required(&self) -> bool {
        self.required
    }
}

impl PromptSpec {
    /// A prompt that takes nothing.
    pub fn new(name: impl Into<String>, description: impl Into<String>) -> Self {
        let (name, description) = (name.into(), description.into());
        let wire = WirePrompt { name, title: None, description, arguments: Vec::new(), icons: Vec::new() };
        Self { wire, requirement: Requirement::none() }
    }

    /// Takes one more argument.
    #[must_use]
    pub fn argument(mut self, argument: PromptArgument) -> Self {
        self.wire.arguments.push(argument);
        self
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.wire.name
    }

    /// What it is for.
    pub fn description(&self) -> &str {
        &self.wire.description
    }

    /// What it takes, in this order.
    pub fn arguments(&self) -> &[PromptArgument] {
        &self.wire.arguments
    }

    /// Says what is wrong with it.
    pub(super) fn check(&self) -> Result<(), String> {
        let WirePrompt { name, arguments, .. } = &self.wire;
        if name.is_empty() || name.len() > 128 || name.chars().any(char::is_control) {
            return Err("a name has 1 to 128 bytes, and no control characters".to_owned());
        }
        for (n, argument) in arguments.iter().enumerate() {
            if argument.name.is_empty() {
                return Err("an argument has no name".to_owned());
            }
            if arguments[..n].iter().any(|before| before.name == argument.name) {
                return Err(format!("two arguments are called {:?}", argument.name));
            }
        }
        Ok(())
    }
}

/// The methods that describe a prompt, for all that holds a spec.
macro_rules! prompt_methods {
    ([$($generics:tt)*] $type:ty $(, $spec:ident)?) => {
        impl<$($generics)*> $type {
            /// A name for people.
            #[must_use]
            pub fn title(mut self, title: impl Into<String>) -> Self {
                self$(.$spec)?.wire.set_title(title.into());
                self
            }

            /// A picture to show beside the name.
            #[must_use]
            pub fn icon(mut self, icon: $crate::tool::spec::Icon) -> Self {
                self$(.$spec)?.wire.add_icon(icon);
                self
            }
        }
    };
}
pub(crate) use prompt_methods;

impl WirePrompt {
    pub(crate) fn set_title(&mut self, title: String) {
        self.title = Some(title);
    }

    pub(crate) fn add_icon(&mut self, icon: Icon) {
        self.icons.push(icon);
    }
}

prompt_methods!([] PromptSpec);
requirement_methods!([] PromptSpec);

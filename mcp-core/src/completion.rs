//! What an argument may become (server/utilities/completion).

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::context::Context;
use crate::strings::StringArguments;
use crate::tool::error::ToolError;

/// An argument that someone is writing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Completing {
    /// The argument of a prompt, or the variable of a template.
    pub argument: String,
    /// What has been written of it.
    pub value: String,
    /// The arguments that are known already.
    pub known: StringArguments,
}

/// What an argument may become, the best first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completion {
    pub(crate) values: Vec<String>,
    pub(crate) total: Option<u64>,
    pub(crate) has_more: bool,
}

impl Completion {
    /// How many values a client is given at the most.
    pub const MOST: usize = 100;

    /// These. Of more than [`Completion::MOST`] a client is given the first ones, and told how many there are.
    pub fn new(values: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let mut values: Vec<String> = values.into_iter().map(Into::into).collect();
        let total = values.len();
        values.truncate(Self::MOST);
        Self { has_more: total > values.len(), values, total: u64::try_from(total).ok() }
    }

    /// Those of `choices` that begin with what was written, in whatever case.
    pub fn among(choices: impl IntoIterator<Item = impl Into<String>>, asked: &Completing) -> Self {
        let written = asked.value.to_lowercase();
        let choices = choices.into_iter().map(Into::into);
        Self::new(choices.filter(|choice: &String| choice.to_lowercase().starts_with(&written)))
    }

    /// So many there are in all, whatever is given here.
    #[must_use]
    pub fn of_total(mut self, total: u64) -> Self {
        self.has_more = total > self.values.len() as u64;
        self.total = Some(total);
        self
    }
}

type Completer = Arc<dyn Fn(Completing, Context) -> BoxFuture<'static, Result<Completion, ToolError>> + Send + Sync>;

/// What completes the arguments of one prompt or template, by their names.
#[derive(Clone, Default)]
pub(crate) struct Completers(BTreeMap<String, Completer>);

impl Completers {
    pub(crate) fn function<F, Fut>(&mut self, argument: String, function: F)
    where
        F: Fn(Completing, Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Completion, ToolError>> + Send + 'static,
    {
        self.0.insert(argument, Arc::new(move |asked, cx| function(asked, cx).boxed()));
    }

    pub(crate) fn choices(&mut self, argument: String, choices: Vec<String>) {
        let choices: Arc<[String]> = choices.into();
        self.function(argument, move |asked, _| {
            std::future::ready(Ok(Completion::among(choices.iter().map(String::as_str), &asked)))
        });
    }

    pub(crate) async fn complete(&self, asked: Completing, cx: Context) -> Result<Completion, ToolError> {
        match self.0.get(&asked.argument) {
            Some(completer) => completer(asked, cx).await,
            None => Ok(Completion::default()),
        }
    }
}

/// The methods that say how arguments are completed, for all that has `completers`.
macro_rules! completion_methods {
    ([$($generics:tt)*] $type:ty) => {
        impl<$($generics)*> $type {
            /// The argument is one of these, or may be: a client that asks is told those that begin with what was written.
            #[must_use]
            pub fn choices(
                mut self,
                argument: impl Into<String>,
                choices: impl IntoIterator<Item = impl Into<String>>,
            ) -> Self {
                self.completers.choices(argument.into(), choices.into_iter().map(Into::into).collect());
                self
            }

            /// The argument is completed by `function`, which is asked while someone writes.
            #[must_use]
            pub fn completes<C, CFut>(mut self, argument: impl Into<String>, function: C) -> Self
            where
                C: Fn($crate::completion::Completing, $crate::context::Context) -> CFut + Send + Sync + 'static,
                CFut: Future<Output = Result<$crate::completion::Completion, $crate::tool::error::ToolError>> + Send + 'static,
            {
                self.completers.function(argument.into(), function);
                self
            }
        }
    };
}
pub(crate) use completion_methods;

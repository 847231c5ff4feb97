//! What is asked, and how the answer is read.

use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::form;
use super::roots::Root;
use super::sampling::{Sampled, Sampling};
use crate::capability::ClientCapability;

/// A question whose answer is an `A`.
pub struct Question<A> {
    method: &'static str,
    /// The parameters, or why it cannot be asked.
    params: Result<Value, String>,
    pub(super) needs: Vec<ClientCapability>,
    read: fn(Value) -> Reading<A>,
    answer: PhantomData<fn() -> A>,
}

/// What an answer came to.
pub(super) enum Reading<A> {
    Answer(A),
    /// How the user did not answer.
    Declined(&'static str),
    /// It is no answer to this question.
    Unfit,
}

/// A question as it goes over the wire.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    pub(crate) method: &'static str,
    pub(crate) params: Value,
}

/// What a user did with a form (schema, `ElicitResult`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Elicited<T> {
    /// Filled it in.
    Accepted(T),
    /// Refused.
    Declined,
    /// Went away.
    Cancelled,
}

#[derive(Deserialize)]
#[serde(tag = "action", rename_all = "lowercase")]
enum ElicitResult {
    Accept {
        #[serde(default)]
        content: Map<String, Value>,
    },
    Decline,
    Cancel,
}

impl<T: DeserializeOwned + JsonSchema> Question<T> {
    /// Shows a form with a field for each of `T`'s: a text, a number, a truth value, a choice of names, or several of a choice. Doc
    /// comments become descriptions, an `Option` may be left empty. It is no place to ask for secrets.
    pub fn form(message: impl Into<String>) -> Self {
        Self::elicit(message.into(), form::of::<T>(), |value| accepted(elicited(value)))
    }
}

impl<T: DeserializeOwned> Question<T> {
    /// As [`Question::form`], by a schema (schema, `ElicitRequestFormParams`).
    pub fn form_json(message: impl Into<String>, schema: Map<String, Value>) -> Self {
        let schema = form::check(&schema).map(|()| schema);
        Self::elicit(message.into(), schema, |value| accepted(elicited(value)))
    }

    fn elicit(message: String, schema: Result<Map<String, Value>, String>, read: fn(Value) -> Reading<T>) -> Self {
        let params = schema.map(|schema| form::params(&message, &schema));
        Self::new("elicitation/create", params, vec![ClientCapability::Elicitation], read)
    }

    /// A form that was declined is an answer as well.
    #[must_use]
    pub fn or_declined(self) -> Question<Elicited<T>> {
        Question::new(self.method, self.params, self.needs, elicited)
    }
}

impl Question<Value> {
    /// Asks again what was asked elsewhere: a request that shows a form. The answer is given as it came.
    pub(crate) fn asked_before(request: &Value) -> Self {
        let params = Ok(request["params"].clone());
        Self::new("elicitation/create", params, vec![ClientCapability::Elicitation], |value| {
            match ElicitResult::deserialize(&value) {
                Ok(_) => Reading::Answer(value),
                Err(_) => Reading::Unfit,
            }
        })
    }
}

impl Question<()> {
    /// Leads the user to `url`, where something is to be done that must not go through the client, and waits until they say that they
    /// will. That it was done, the tool finds out itself.
    pub fn url(message: impl Into<String>, url: impl Into<String>) -> Self {
        let params = json!({"mode": "url", "message": message.into(), "url": url.into()});
        let read = |value| match elicited::<Map<String, Value>>(value) {
            Reading::Answer(elicited) => accepted(Reading::Answer(match elicited {
                Elicited::Accepted(_) => Elicited::Accepted(()),
                Elicited::Declined => Elicited::Declined,
                Elicited::Cancelled => Elicited::Cancelled,
            })),
            Reading::Declined(how) => Reading::Declined(how),
            Reading::Unfit => Reading::Unfit,
        };
        Self::new("elicitation/create", Ok(params), vec![ClientCapability::ElicitationUrl], read)
    }
}

impl Question<Sampled> {
    /// Asks the client's model.
    pub fn sample(sampling: Sampling) -> Self {
        let needs = sampling.needs();
        let params = serde_json::to_value(sampling).map_err(|error| error.to_string());
        Self::new("sampling/createMessage", params, needs, |value| match serde_json::from_value(value) {
            Ok(sampled) => Reading::Answer(sampled),
            Err(_) => Reading::Unfit,
        })
    }
}

impl Question<Vec<Root>> {
    /// Asks for the folders that the client works in.
    pub fn roots() -> Self {
        #[derive(Deserialize)]
        struct Listed {
            roots: Vec<Root>,
        }
        Self::new("roots/list", Ok(json!({})), vec![ClientCapability::Roots], |value| {
            match serde_json::from_value::<Listed>(value) {
                Ok(listed) => Reading::Answer(listed.roots),
                Err(_) => Reading::Unfit,
            }
        })
    }
}

impl<A> Question<A> {
    fn new(
        method: &'static str,
        params: Result<Value, String>,
        needs: Vec<ClientCapability>,
        read: fn(Value) -> Reading<A>,
    ) -> Self {
        Self { method, params, needs, read, answer: PhantomData }
    }

    pub(super) fn asked(&self) -> Result<Asked, String> {
        self.params.clone().map(|params| Asked { method: self.method, params })
    }

    pub(super) fn read(&self, answer: Value) -> Reading<A> {
        (self.read)(answer)
    }
}

fn elicited<T: DeserializeOwned>(value: Value) -> Reading<Elicited<T>> {
    match serde_json::from_value(value) {
        Ok(ElicitResult::Decline) => Reading::Answer(Elicited::Declined),
        Ok(ElicitResult::Cancel) => Reading::Answer(Elicited::Cancelled),
        Ok(ElicitResult::Accept { content }) => match serde_json::from_value(content.into()) {
            Ok(answer) => Reading::Answer(Elicited::Accepted(answer)),
            Err(_) => Reading::Unfit,
        },
        Err(_) => Reading::Unfit,
    }
}

fn accepted<T>(reading: Reading<Elicited<T>>) -> Reading<T> {
    match reading {
        Reading::Answer(Elicited::Accepted(answer)) => Reading::Answer(answer),
        Reading::Answer(Elicited::Declined) => Reading::Declined("declined"),
        Reading::Answer(Elicited::Cancelled) => Reading::Declined("left"),
        Reading::Declined(how) => Reading::Declined(how),
        Reading::Unfit => Reading::Unfit,
    }
}

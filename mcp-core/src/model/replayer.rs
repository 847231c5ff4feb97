//! A model that says what another one has said.

use std::sync::Mutex;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::iter;
use serde_json::Value;

use super::cassette::Cassette;
use super::error::ModelError;
use super::request::ModelRequest;
use super::{Deltas, LanguageModel};
use crate::memory::lock;

/// Answers each request with the reply that it had when it was recorded: each reply once, those of equal requests in their order.
/// What is not on the cassette is [`ModelError::NotRecorded`], which says where the request differs from the one that was next.
pub struct Replayer {
    cassette: Cassette,
    /// Whether each exchange was told.
    told: Mutex<Vec<bool>>,
}

impl Replayer {
    /// Of this cassette.
    pub fn new(cassette: Cassette) -> Self {
        let told = Mutex::new(vec![false; cassette.exchanges.len()]);
        Self { cassette, told }
    }

    /// How many exchanges were not asked for.
    pub fn left(&self) -> usize {
        lock(&self.told).iter().filter(|told| !**told).count()
    }

    fn not_recorded(&self, request: &ModelRequest, told: &[bool]) -> ModelError {
        let next = self.cassette.exchanges.iter().zip(told).find(|(_, told)| !**told);
        let message = match next {
            None => format!("all {} of its exchanges were asked for", told.len()),
            Some((exchange, _)) => {
                let [asked, next] =
                    [request, &exchange.request].map(|one| serde_json::to_value(one).unwrap_or_default());
                format!(
                    "it differs from the next one at {:?}; record it again",
                    difference(&asked, &next, String::new())
                )
            }
        };
        ModelError::NotRecorded { message }
    }
}

/// Where two values differ first, as a JSON pointer (RFC 6901).
fn difference(one: &Value, other: &Value, at: String) -> String {
    let inner = match (one, other) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let mut keys: Vec<_> = ours.keys().chain(theirs.keys()).collect();
            keys.sort_unstable();
            let differs = keys.into_iter().find(|key| ours.get(*key) != theirs.get(*key));
            differs.map(|key| (key.replace('~', "~0").replace('/', "~1"), ours.get(key), theirs.get(key)))
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            let differs = (0..ours.len().max(theirs.len())).find(|n| ours.get(*n) != theirs.get(*n));
            differs.map(|n| (n.to_string(), ours.get(n), theirs.get(n)))
        }
        _ => None,
    };
    match inner {
        Some((key, Some(ours), Some(theirs))) => difference(ours, theirs, format!("{at}/{key}")),
        Some((key, ..)) => format!("{at}/{key}"),
        None => at,
    }
}

#[async_trait]
impl LanguageModel for Replayer {
    fn name(&self) -> &str {
        &self.cassette.model
    }

    async fn stream(&self, request: &ModelRequest) -> Result<Deltas, ModelError> {
        let mut told = lock(&self.told);
        let fits = |n: &usize| !told[*n] && self.cassette.exchanges[*n].request == *request;
        let place = (0..told.len()).find(fits).ok_or_else(|| self.not_recorded(request, &told))?;
        told[place] = true;
        let exchange = &self.cassette.exchanges[place];
        let deltas: Vec<_> = exchange.deltas.iter().cloned().map(Ok).collect();
        match (&exchange.error, deltas.is_empty()) {
            (Some(error), true) => Err(error.clone()),
            (error, _) => Ok(iter(deltas).chain(iter(error.clone().map(Err))).boxed()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::LanguageModelExt;
    use crate::model::cassette::BadCassette;
    use crate::model::delta::Delta;
    use crate::model::message::Message;
    use crate::model::recorder::Recorder;
    use crate::model::scripted::{ScriptedModel, Turn};

    fn request(text: &str) -> ModelRequest {
        ModelRequest::new([Message::system("Be brief."), Message::user(text)])
    }

    #[tokio::test]
    async fn what_was_recorded_is_told_again_to_the_last_piece() {
        let late = ModelError::RateLimited { message: "slowly".to_owned(), retry_after: None };
        let turns = [
            Turn::new().reasoning("hm").words("One two").call("add", "{}"),
            "again".into(),
            Turn::from("Hel").fail(late.clone()),
            Turn::new().fail(late),
            Turn::from("cut").cut(),
        ];
        let asked = ["a", "a", "b", "c", "d"].map(request);
        let recorder = Recorder::new(ScriptedModel::new(turns));
        let mut heard = Vec::new();
        for request in &asked {
            heard.push(hear(&recorder, request).await);
        }
        let json = recorder.cassette().to_json();
        let replayer = Replayer::new(Cassette::from_json(&json).unwrap());
        assert_eq!(replayer.name(), ScriptedModel::NAME);
        assert_eq!(replayer.left(), 5);
        for n in [3, 0, 1, 4, 2] {
            assert_eq!(hear(&replayer, &asked[n]).await, heard[n], "{n}");
        }
        assert_eq!(replayer.left(), 0);
        let spent = replayer.complete(&asked[0]).await.unwrap_err().to_string();
        assert!(spent.contains("all 5"), "{spent}");
    }

    async fn hear(
        model: &impl LanguageModel,
        request: &ModelRequest,
    ) -> Result<Vec<Result<Delta, ModelError>>, ModelError> {
        Ok(model.stream(request).await?.collect().await)
    }

    #[tokio::test]
    async fn what_is_not_on_it_is_an_error_that_says_where_it_differs() {
        let recorder = Recorder::new(ScriptedModel::new(["yes"]));
        recorder.complete(&request("Is it so?")).await.unwrap();
        let replayer = Replayer::new(recorder.cassette());
        for (asked, place) in [
            (request("Was it so?"), "\"/messages/1/parts/0/text\""),
            (request("Is it so?").temperature(0.0), "\"/temperature\""),
            (ModelRequest::new([Message::system("Be brief.")]), "\"/messages/1\""),
        ] {
            let error = replayer.complete(&asked).await.unwrap_err();
            assert!(matches!(error, ModelError::NotRecorded { .. }));
            assert!(error.to_string().contains(place), "{error}");
        }
        assert_eq!(replayer.left(), 1);
        assert_eq!(replayer.complete(&request("Is it so?")).await.unwrap().message.text(), "yes");
    }

    #[tokio::test]
    async fn a_cassette_is_full_at_some_time_and_is_of_one_version() {
        let recorder = Recorder::new(ScriptedModel::by(|_| "yes".into()));
        for _ in 0..Recorder::<ScriptedModel>::CAPACITY {
            recorder.complete(&request("?")).await.unwrap();
        }
        let full = recorder.complete(&request("?")).await.unwrap_err();
        assert!(full.to_string().contains("full"), "{full}");
        let other = Cassette::new("m").to_json().replace("\"version\": 1", "\"version\": 2");
        assert!(matches!(Cassette::from_json(&other), Err(BadCassette::Version(2))));
        assert!(matches!(Cassette::from_json("{}"), Err(BadCassette::Form(_))));
    }
}

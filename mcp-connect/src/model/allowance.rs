//! How much may be asked of providers, as it is configured.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mcp_core::clock::Clock;
use mcp_core::model::allowance::Allowance;
use mcp_core::model::price::{Money, Prices};
use mcp_core::nearest::named;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::config::{ModelConfig, ModelConfigError};
use super::provider::ProviderModel;

/// How much may be asked of a model by this process: an object, or the name of the model whose allowance it shares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum AllowanceConfig {
    /// So much, of this model and of those that name it, together.
    Own(AllowanceLimits),
    /// What is left to that model, of both together.
    Of(String),
}

/// What is bounded; what is `None` is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct AllowanceLimits {
    /// How many requests are under way at once; others wait for their turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_at_once: Option<u32>,
    /// How many tokens go in and come out in a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u64>,
    /// How much is spent in a day, in millionths of the currency of the prices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub money_per_day: Option<Money>,
}

/// How many requests wait for their turn at the most.
const WAITING: usize = 1_000;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl AllowanceLimits {
    /// What is wrong with it.
    fn fault(&self) -> Option<String> {
        let all = [
            ("requests_at_once", self.requests_at_once.map(u64::from)),
            ("tokens_per_minute", self.tokens_per_minute),
            ("money_per_day", self.money_per_day.map(Money::as_micros)),
        ];
        if let Some((member, _)) = all.iter().find(|(_, most)| *most == Some(0)) {
            return Some(format!(
                "`allowance.{member}` is 0, and must be 1 or more; leave it out, where nothing bounds it"
            ));
        }
        let members = all.map(|(member, _)| member).join(", ");
        all.iter().all(|(_, most)| most.is_none()).then(|| format!("`allowance` bounds nothing; name one of {members}"))
    }

    fn open(&self, clock: &Arc<dyn Clock>, prices: Prices) -> Allowance {
        let mut allowance = Allowance::new(clock.clone());
        if let Some(most) = self.requests_at_once {
            allowance = allowance.calls_at_once(usize::try_from(most).unwrap_or(usize::MAX), WAITING);
        }
        if let Some(most) = self.tokens_per_minute {
            allowance = allowance.tokens_per_minute(most);
        }
        if let Some(most) = self.money_per_day {
            allowance = allowance.money(most, DAY, Arc::new(prices));
        }
        allowance
    }
}

/// The allowances of a configuration, each under the names of all models that take from it.
pub(super) fn allowances<'c>(
    configs: &'c BTreeMap<String, ModelConfig>,
    clock: &Arc<dyn Clock>,
) -> Result<BTreeMap<&'c str, Arc<Allowance>>, ModelConfigError> {
    let mut takers: BTreeMap<&str, (AllowanceLimits, Vec<&str>)> = BTreeMap::new();
    for (name, config) in configs {
        let wrong = |why| ModelConfigError::Wrong { name: name.clone(), why };
        let owner = match &config.allowance {
            None => continue,
            Some(AllowanceConfig::Own(_)) => name,
            Some(AllowanceConfig::Of(owner)) => owner,
        };
        let Some(AllowanceConfig::Own(limits)) = configs.get(owner).and_then(|owner| owner.allowance.as_ref()) else {
            let owners = configs.iter().filter(|(_, other)| matches!(other.allowance, Some(AllowanceConfig::Own(_))));
            let owners = named(owner, owners.map(|(name, _)| name.as_str()));
            return Err(wrong(format!("`allowance` must name a model that has one of its own, and names {owners}")));
        };
        if let Some(fault) = limits.fault().filter(|_| owner == name) {
            return Err(wrong(fault));
        }
        if limits.money_per_day.is_some() && config.price.is_none() {
            return Err(wrong("`allowance` bounds money, and `price` is missing; say what the model costs".to_owned()));
        }
        takers.entry(owner).or_insert_with(|| (*limits, Vec::new())).1.push(name);
    }
    let opened = takers.into_values().flat_map(|(limits, names)| {
        let priced = names.iter().filter_map(|name| Some((&configs[*name], configs[*name].price?)));
        let prices = priced.fold(Prices::default(), |prices, (config, price)| {
            prices.with(ProviderModel::name_of(config.provider, &config.model), price)
        });
        let allowance = Arc::new(limits.open(clock, prices));
        names.into_iter().map(move |name| (name, allowance.clone()))
    });
    Ok(opened.collect())
}

impl<'de> Deserialize<'de> for AllowanceConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = AllowanceConfig;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "an `allowance`: an object such as {\"requests_at_once\": 8}, or the name of a model that has one",
                )
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<AllowanceConfig, E> {
                Ok(AllowanceConfig::Of(name.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<AllowanceConfig, A::Error> {
                AllowanceLimits::deserialize(MapAccessDeserializer::new(map)).map(AllowanceConfig::Own)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use mcp_core::clock::simulated::SimulatedClock;

    use super::*;

    fn read(json: &str) -> Result<BTreeMap<String, ModelConfig>, serde_json::Error> {
        serde_json::from_str(json)
    }

    /// Which models take from the same allowance as which.
    fn shared(json: &str) -> Result<Vec<(String, usize)>, String> {
        let configs = read(json).map_err(|error| error.to_string())?;
        let clock: Arc<dyn Clock> = Arc::new(SimulatedClock::new());
        let allowances = allowances(&configs, &clock).map_err(|error| error.to_string())?;
        let takers = |one: &Arc<Allowance>| allowances.values().filter(|other| Arc::ptr_eq(one, other)).count();
        Ok(allowances.iter().map(|(name, allowance)| ((*name).to_owned(), takers(allowance))).collect())
    }

    fn models(a: &str, b: &str) -> String {
        let model = |name: &str, more: &str| format!(r#""{name}": {{"provider": "ollama", "model": "{name}"{more}}}"#);
        format!("{{{}, {}, {}}}", model("a", a), model("b", b), model("c", ""))
    }

    #[test]
    fn a_model_has_an_allowance_of_its_own_or_that_of_another_or_none() {
        let own = r#", "allowance": {"tokens_per_minute": 9}"#;
        let (of_a, one_each) = (shared(&models(own, r#", "allowance": "a""#)), shared(&models(own, own)));
        let takers = |most| vec![("a".to_owned(), most), ("b".to_owned(), most)];
        assert_eq!((of_a.unwrap(), one_each.unwrap()), (takers(2), takers(1)));
    }

    #[test]
    fn what_is_wrong_is_said_with_how_to_mend_it() {
        let price = r#""price": {"input": 1, "output": 1}"#;
        for (a, b, said) in [
            (r#", "allowance": {}"#, "", "models.a: `allowance` bounds nothing; name one of requests_at_once,"),
            (
                r#", "allowance": {"requests_at_once": 0}"#,
                "",
                "models.a: `allowance.requests_at_once` is 0, and must be 1",
            ),
            (r#", "allowance": {"tokens_per_minute": 0}"#, "", "models.a: `allowance.tokens_per_minute` is 0"),
            (
                r#", "allowance": {"concurrency": 8}"#,
                "",
                "unknown field `concurrency`, expected one of `requests_at_once`",
            ),
            (
                r#", "allowance": 8"#,
                "",
                "expected an `allowance`: an object such as {\"requests_at_once\": 8}, or the name",
            ),
            (
                r#", "allowance": {"requests_at_once": 8}"#,
                r#", "allowance": "c""#,
                "models.b: `allowance` must name a model that has one of its own, and names \"c\", did you mean \"a\"?; there are a",
            ),
            (
                r#", "allowance": "a""#,
                "",
                "models.a: `allowance` must name a model that has one of its own, and names \"a\"; there are none",
            ),
            (
                r#", "allowance": {"money_per_day": 5}"#,
                "",
                "models.a: `allowance` bounds money, and `price` is missing",
            ),
            (
                &format!(r#", "allowance": {{"money_per_day": 5}}, {price}"#),
                r#", "allowance": "a""#,
                "models.b: `allowance` bounds money, and `price` is missing",
            ),
        ] {
            let error = shared(&models(a, b)).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn it_is_written_as_it_was_read() {
        let json = models(r#", "allowance": {"money_per_day": 5}"#, r#", "allowance": "a""#);
        let configs = read(&json).unwrap();
        assert_eq!(read(&serde_json::to_string(&configs).unwrap()).unwrap(), configs);
    }
}

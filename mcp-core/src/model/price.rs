//! What models cost.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::usage::Usage;

/// An amount, in millionths of whichever currency the prices are in. Always whole: sums of it are exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Money(u64);

impl Money {
    /// So many millionths.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// So many millionths.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Both together; the most that there is, where that is too much to be told.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// What a model costs: each for a million tokens, in [`Money`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// What is asked.
    pub input: Money,
    /// What is asked and was kept by the provider; as the rest, where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input: Option<Money>,
    /// What is asked and begins to be kept; as the rest, where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<Money>,
    /// What is answered.
    pub output: Money,
}

impl Price {
    /// What this costs, rounded up to a millionth.
    pub fn cost(&self, usage: &Usage) -> Money {
        let cached = usage.cached_input_tokens.min(usage.input_tokens);
        let written = usage.cache_write_tokens.min(usage.input_tokens - cached);
        let of = |tokens: u64, price: Money| u128::from(tokens) * u128::from(price.0);
        let micros = [
            of(usage.input_tokens - cached - written, self.input),
            of(cached, self.cached_input.unwrap_or(self.input)),
            of(written, self.cache_write.unwrap_or(self.input)),
            of(usage.output_tokens, self.output),
        ];
        let sum = micros.into_iter().fold(0_u128, u128::saturating_add);
        Money(u64::try_from(sum.div_ceil(1_000_000)).unwrap_or(u64::MAX))
    }
}

/// Prices by the names of models ([`LanguageModel::name`](super::LanguageModel::name)).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Prices(BTreeMap<String, Price>);

impl Prices {
    /// The same, with the price of one more model.
    #[must_use]
    pub fn with(mut self, model: impl Into<String>, price: Price) -> Self {
        self.0.insert(model.into(), price);
        self
    }

    /// The price of a model, where it is known.
    pub fn of(&self, model: &str) -> Option<&Price> {
        self.0.get(model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRICE: Price = Price {
        input: Money::from_micros(3_000_000),
        cached_input: Some(Money::from_micros(300_000)),
        cache_write: Some(Money::from_micros(3_750_000)),
        output: Money::from_micros(15_000_000),
    };

    #[test]
    fn each_kind_of_token_has_its_price_and_the_sum_is_rounded_up_once() {
        let usage = |input_tokens, cached_input_tokens, cache_write_tokens, output_tokens| Usage {
            input_tokens,
            cached_input_tokens,
            cache_write_tokens,
            output_tokens,
            reasoning_tokens: 0,
        };
        for (used, micros) in [
            (usage(0, 0, 0, 0), 0),
            (usage(1_000, 0, 0, 100), 4_500),
            (usage(1_000, 900, 0, 0), 570),
            (usage(1_000, 900, 100, 0), 645),
            // 0.3 and 3.75 of a millionth each.
            (usage(1, 1, 0, 0), 1),
            (usage(2, 1, 1, 0), 5),
            // More is said to be cached than was asked.
            (usage(1, 7, 7, 0), 1),
            (usage(u64::MAX, 0, 0, u64::MAX), u64::MAX),
        ] {
            assert_eq!(PRICE.cost(&used), Money::from_micros(micros), "{used:?}");
        }
        let plain = Price { cached_input: None, cache_write: None, ..PRICE };
        assert_eq!(plain.cost(&usage(3, 1, 1, 0)), Money::from_micros(9));
    }

    #[test]
    fn prices_are_read_as_they_are_configured() {
        let prices: Prices = serde_json::from_str(r#"{"openai::m": {"input": 3000000, "output": 15000000}}"#).unwrap();
        assert_eq!(prices.of("openai::m").map(|price| price.output), Some(Money::from_micros(15_000_000)));
        assert_eq!(prices.of("m"), None);
        assert!(serde_json::from_str::<Prices>(r#"{"m": {"input": 1, "output": 1, "caced_input": 1}}"#).is_err());
        assert_eq!(Money::from_micros(1_234_567).to_string(), "1.234567");
    }
}

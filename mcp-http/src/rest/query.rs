//! What is asked for behind the `?` of a URL.

use std::fmt::Display;
use std::str::FromStr;

use super::problem::Problem;

/// The value of the parameter `name`, where it is there: 400 where it is none.
pub(super) fn parse<T: FromStr<Err: Display>>(name: &str, text: Option<String>) -> Result<Option<T>, Problem> {
    let parsed = text.map(|text| text.parse::<T>()).transpose();
    parsed.map_err(|error| Problem::new(400, format!("`{name}`: {error}")))
}

//! What is read of an answer that says no, whoever gives it.

use std::time::Duration;

use mcp_core::clock::Timestamp;

/// How many characters are told of what the other side said.
const LONGEST: usize = 500;

/// A text that may be told.
pub(crate) fn short(text: &str, key: Option<&str>) -> String {
    let text = match key.filter(|key| !key.is_empty()) {
        Some(key) => text.replace(key, "…"),
        None => text.to_owned(),
    };
    match text.trim().char_indices().nth(LONGEST) {
        None => text.trim().to_owned(),
        Some((end, _)) => format!("{}…", &text.trim()[..end]),
    }
}

/// How long to wait, by the headers that say it (RFC 9110, section 10.2.3; and the one that says it in milliseconds).
pub(crate) fn retry_after(header: impl Fn(&str) -> Option<String>, now: Timestamp) -> Option<Duration> {
    if let Some(millis) = header("retry-after-ms").and_then(|text| text.trim().parse().ok()) {
        return Some(Duration::from_millis(millis));
    }
    let text = header("retry-after")?;
    let seconds: Option<f64> = text.trim().parse().ok();
    match seconds.map(Duration::try_from_secs_f64) {
        Some(wait) => wait.ok(),
        None => {
            let date = jiff::fmt::rfc2822::parse(text.trim()).ok()?;
            Some(now.until(Timestamp::from_micros(date.timestamp().as_microsecond())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_says_when_to_come_back_in_three_ways() {
        let now: Timestamp = "2026-07-28T12:00:00Z".parse().unwrap();
        let wait = |name: &'static str, value: &'static str| {
            retry_after(move |asked| (asked == name).then(|| value.to_owned()), now)
        };
        assert_eq!(wait("retry-after", "7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("retry-after", "0.5"), Some(Duration::from_millis(500)));
        assert_eq!(wait("retry-after-ms", "1500"), Some(Duration::from_millis(1_500)));
        assert_eq!(wait("retry-after", "Tue, 28 Jul 2026 12:01:00 GMT"), Some(Duration::from_secs(60)));
        assert_eq!(wait("retry-after", "Tue, 28 Jul 2026 11:00:00 GMT"), Some(Duration::ZERO));
        for nonsense in ["", "soon", "-1", "1e300", "NaN"] {
            assert_eq!(wait("retry-after", nonsense), None, "{nonsense}");
        }
    }
}

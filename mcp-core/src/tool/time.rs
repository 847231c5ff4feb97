//! `time.now`: what time it is, anywhere.

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Tool;
use super::error::ToolError;
use super::function::tool_fn;
use crate::context::Context;

/// Where to look at the clock.
#[derive(Deserialize, JsonSchema)]
struct Where {
    /// A time zone of the IANA database, such as `Europe/Lisbon`; `UTC` if left out.
    zone: Option<String>,
}

/// What the clock shows.
#[derive(Serialize, JsonSchema)]
struct Now {
    /// Date, time and offset by RFC 3339.
    time: String,
    /// The time zone.
    zone: String,
    /// The day of the week.
    weekday: String,
    /// Seconds since 1970-01-01T00:00:00Z.
    unix_seconds: i64,
}

/// The tool `time.now`, over the server's clock.
pub fn now() -> impl Tool {
    tool_fn("time.now", "The current date and time, in any time zone.", look)
        .title("Current time")
        .read_only()
        .open_world(false)
}

async fn look(place: Where, cx: Context) -> Result<Now, ToolError> {
    let name = place.zone.as_deref().unwrap_or("UTC");
    let zone = TimeZone::get(name).map_err(|_| {
        ToolError::failed(format!(
            "there is no time zone {name:?}; use a name of the IANA database, such as Europe/Lisbon"
        ))
    })?;
    let now = jiff::Timestamp::from_microsecond(cx.clock().now().as_micros())?.to_zoned(zone);
    Ok(Now {
        time: now.strftime("%Y-%m-%dT%H:%M:%S%.6f%:z").to_string(),
        zone: name.to_owned(),
        weekday: now.strftime("%A").to_string(),
        unix_seconds: now.timestamp().as_second(),
    })
}

//! `time.now`, on a clock that stands still.

use std::time::Duration;

use mcp_core::tool::time;
use serde_json::json;

use crate::support::House;

#[tokio::test]
async fn the_time_is_told_in_any_zone() {
    let house = House::new(|builder| builder.tool(time::now()));
    house.clock.advance(Duration::from_micros(90 * 60 * 1_000_000 + 5));
    for (arguments, time, zone, weekday) in [
        (json!({}), "2026-01-01T01:30:00.000005+00:00", "UTC", "Thursday"),
        (json!({"zone": "America/New_York"}), "2025-12-31T20:30:00.000005-05:00", "America/New_York", "Wednesday"),
        (json!({"zone": "Asia/Kathmandu"}), "2026-01-01T07:15:00.000005+05:45", "Asia/Kathmandu", "Thursday"),
    ] {
        let result = house.call("time.now", arguments).await;
        let expected = json!({"time": time, "zone": zone, "weekday": weekday, "unix_seconds": 1_767_231_000});
        assert_eq!(result["structuredContent"], expected);
    }
}

#[tokio::test]
async fn a_zone_that_nobody_knows_is_an_error_with_a_mend() {
    let house = House::new(|builder| builder.tool(time::now()));
    for zone in ["Mars/Olympus", "", "../etc/passwd"] {
        let result = house.call("time.now", json!({"zone": zone})).await;
        let text = result["content"][0]["text"].as_str().unwrap();
        assert!(text.ends_with("use a name of the IANA database, such as Europe/Lisbon"), "{text}");
        assert_eq!(result["isError"], true);
    }
}

//! A tool that uses a processor for 2 ms, however many others do.

use std::hint::black_box;
use std::time::{Duration, Instant};

use mcp_core::{Tool, ToolError, tool_with};
use schemars::JsonSchema;
use serde::Deserialize;

pub(crate) const NAME: &str = "burn";

const COST: Duration = Duration::from_millis(2);

#[derive(Deserialize, JsonSchema)]
struct Nothing {}

/// How many turns take as long on a processor that does nothing else.
pub(crate) fn turns() -> u64 {
    const MANY: u64 = 2_000_000;
    let fastest = (0..20)
        .map(|_| {
            let begun = Instant::now();
            burn(MANY);
            begun.elapsed()
        })
        .min();
    let nanos = fastest.unwrap_or(COST).as_nanos().max(1);
    u64::try_from(u128::from(MANY) * COST.as_nanos() / nanos).unwrap_or(MANY)
}

fn burn(turns: u64) {
    let mut state = 1_u64;
    for n in 0..turns {
        state = black_box(state.rotate_left(5) ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    black_box(state);
}

pub(crate) fn tool(turns: u64) -> impl Tool {
    async fn run(turns: u64, _: Nothing) -> Result<String, ToolError> {
        burn(turns);
        Ok("burnt".to_owned())
    }
    tool_with(NAME, "Uses a processor for 2 ms.", turns, run)
}

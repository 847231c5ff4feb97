//! A server that is asked for five times of what it can do: `scripts/overload` says how to run it.

mod asked;
mod burn;
mod house;
mod trial;

use std::process::ExitCode;
use std::time::Duration;

use trial::{overload, say};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let result = match words[..] {
        [house::WORD] => house::serve().map(|()| true),
        [] => overload(Duration::from_secs(30), &[], true),
        ["--short"] => overload(Duration::from_secs(4), &[], false),
        ["--sabotage", "no-limit"] => overload(Duration::from_secs(10), &[("MAX_WAIT", "60m")], true),
        _ => Err("scripts/overload [--short | --sabotage no-limit]".into()),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("overload: {error}"));
            ExitCode::from(2)
        }
    }
}

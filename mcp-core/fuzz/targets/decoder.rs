//! The decoder, held against serde_json. The whole input is the body.
//!
//! Sabotaged, we take a vertical tab for white space.
#![no_main]

use std::borrow::Cow;

use libfuzzer_sys::fuzz_target;
use mcp_core::judge;
use mcp_core_fuzz::sabotaged;

fuzz_target!(|body: &[u8]| {
    let mut ours = Cow::Borrowed(body);
    if sabotaged() {
        ours = body.iter().map(|byte| if *byte == 0x0b { b' ' } else { *byte }).collect();
    }
    judge::read(&ours, body);
    judge::decode(&ours, body);
});

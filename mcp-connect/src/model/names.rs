//! What tools are called where a provider does not allow their own names.

use std::collections::HashMap;

use mcp_core::ModelRequest;

use super::structured;

/// Names of tools, there and back. A name that every provider allows stays as it is; another one gets one that is like it, and that
/// no other tool has. A tool is called the same in each request of a conversation, also where it is no longer offered.
pub(super) struct Names {
    there: HashMap<String, String>,
    back: HashMap<String, String>,
}

/// How long a name may be.
const LONGEST: usize = 64;

impl Names {
    pub(super) fn of(request: &ModelRequest) -> Self {
        let mut names = Self { there: HashMap::new(), back: HashMap::new() };
        let (allowed, others): (Vec<_>, Vec<_>) = request.tools.iter().partition(|tool| is_allowed(&tool.name));
        for tool in allowed.into_iter().chain(others) {
            names.add(&tool.name);
        }
        names
    }

    fn add(&mut self, name: &str) {
        if self.there.contains_key(name) {
            return;
        }
        let mut turn = 0;
        let mut there = replaced(name, turn);
        while self.back.contains_key(&there) {
            turn += 1;
            there = replaced(name, turn);
        }
        self.back.insert(there.clone(), name.to_owned());
        self.there.insert(name.to_owned(), there);
    }

    /// What the provider is told.
    pub(super) fn there(&self, name: &str) -> String {
        self.there.get(name).cloned().unwrap_or_else(|| replaced(name, 0))
    }

    /// Which tool that is; one that was not offered has the name that it was called by.
    pub(super) fn back(&self, name: &str) -> String {
        self.back.get(name).map_or_else(|| name.to_owned(), Clone::clone)
    }
}

/// What all of the providers allow, letters, digits, `-` and `_`, and no digit or `-` in front; and what has no other meaning.
fn is_allowed(name: &str) -> bool {
    let begins_well = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    begins_well && name.len() <= LONGEST && name.bytes().all(is_plain) && name != structured::NAME
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// A name that is allowed. What had to change is told apart by a number made of the whole name.
fn replaced(name: &str, turn: u32) -> String {
    if turn == 0 && is_allowed(name) {
        return name.to_owned();
    }
    let mut there: String =
        name.chars().map(|one| if one.is_ascii() && is_plain(one as u8) { one } else { '_' }).collect();
    if !there.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') {
        there.insert(0, '_');
    }
    let number = format!("_{:08x}", digest(name, turn));
    there.truncate(LONGEST - number.len());
    there + &number
}

/// FNV-1a, folded: the same in every version, on every machine.
fn digest(name: &str, turn: u32) -> u32 {
    let bytes = name.bytes().chain(turn.to_le_bytes());
    let hash = bytes
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    (hash >> 32) as u32 ^ hash as u32
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use mcp_core::model::request::ToolDefinition;

    use super::*;

    fn names(tools: &[&str]) -> Names {
        let tool = |name: &&str| ToolDefinition {
            name: (*name).to_owned(),
            description: String::new(),
            input_schema: serde_json::Map::new(),
        };
        Names::of(&ModelRequest::default().tools(tools.iter().map(tool).collect::<Vec<_>>()))
    }

    #[test]
    fn names_go_there_and_come_back_and_none_is_another_ones() {
        let long = "a".repeat(200);
        let (one, other) = (format!("{long}1"), format!("{long}2"));
        let taken = replaced("agent.x", 0);
        let tools = [
            "agent.x",
            "agent_x",
            "agent/x",
            "agent x",
            "agent-x",
            "ägent",
            "7up",
            "-dash",
            "",
            "工具",
            "工县",
            &one,
            &other,
            &taken,
            structured::NAME,
        ];
        let names = names(&tools);
        let there: HashSet<_> = tools.iter().map(|name| names.there(name)).collect();
        assert_eq!(there.len(), tools.len(), "{there:?}");
        for name in tools {
            assert!(is_allowed(&names.there(name)), "{:?}", names.there(name));
            assert_eq!(names.back(&names.there(name)), name);
        }
        for name in ["agent_x", "agent-x", &taken] {
            assert_eq!(names.there(name), name, "what is allowed stays as it is");
        }
    }

    #[test]
    fn a_tool_is_called_the_same_in_each_request_also_where_it_is_not_offered() {
        let same =
            [names(&["agent.x"]), names(&["b", "agent.x", "agent_x"]), names(&[])].map(|names| names.there("agent.x"));
        assert_eq!(same, [&*same[0]; 3]);
        assert_eq!(same[0], "agent_x_c33d82cf");
        assert_eq!(names(&["a"]).back("unknown"), "unknown");
    }
}

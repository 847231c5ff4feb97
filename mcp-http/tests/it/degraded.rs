//! docs/degraded.md keeps its word: each of its lines names a test, and each test that it names is there.

use std::collections::BTreeSet;
use std::path::Path;

const CONTRACT: &str = include_str!("../../../docs/degraded.md");

/// The names of all tests in the files below a folder.
fn tests(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let mut is_test = false;
            for line in std::fs::read_to_string(path).unwrap().lines().map(str::trim) {
                let name = line.strip_prefix("fn ").or_else(|| line.strip_prefix("async fn "));
                match name.and_then(|line| line.split_once("()")) {
                    Some((name, _)) if is_test => drop(found.insert(name.to_owned())),
                    _ => {}
                }
                is_test = line.starts_with("#[test]")
                    || line.starts_with("#[tokio::test")
                    || (is_test && line.starts_with("#["));
            }
        }
    }
}

/// What looks like the name of a test: words in a row, in the font of code.
fn names(text: &str) -> Vec<&str> {
    let code = text.split('`').skip(1).step_by(2);
    code.filter(|code| code.matches('_').count() >= 3 && code.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        .collect()
}

#[test]
fn each_line_about_what_is_gone_names_a_test_and_each_test_is_there() {
    let mut found = BTreeSet::new();
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for package in ["mcp-core", "mcp-store", "mcp-http"] {
        for folder in ["src", "tests"] {
            tests(&workspace.join(package).join(folder), &mut found);
        }
    }
    let rows = CONTRACT.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| what happens"));
    let mut lines = 0;
    for row in rows {
        assert!(!names(row.trim_end_matches('|').rsplit('|').next().unwrap()).is_empty(), "no test: {row}");
        lines += 1;
    }
    assert!(lines > 20, "the contract has only {lines} lines");
    for name in names(CONTRACT) {
        assert!(found.contains(name), "docs/degraded.md names {name}, and there is no such test");
    }
}

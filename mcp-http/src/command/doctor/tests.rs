use std::collections::BTreeSet;

use super::*;

const DOCS: &str = include_str!("../../../../docs/doctor.md");

/// The first cell of each row of the table under a heading.
fn cells(heading: &str, cell: usize) -> Vec<&'static str> {
    let (_, rest) = DOCS.split_once(heading).unwrap();
    let rows = rest.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    rows.take_while(|line| line.starts_with('|')).map(|row| row.split('|').nth(cell + 1).unwrap().trim()).collect()
}

#[test]
fn the_docs_say_what_each_check_looks_at() {
    let named: Vec<_> = cells("## What it looks at", 0).iter().map(|name| name.trim_matches('`')).collect();
    let known: Vec<_> = [CONFIGURATION].into_iter().chain(CHECKS.iter().map(|(name, _)| *name)).collect();
    assert_eq!(named, known);
}

#[test]
fn each_item_of_the_checklist_has_a_check_and_each_check_is_there() {
    let items = cells("## The deployment checklist", 0);
    assert_eq!(items.len(), 20, "{items:?}");
    let known: BTreeSet<_> = [CONFIGURATION].into_iter().chain(CHECKS.iter().map(|(name, _)| *name)).collect();
    for (item, checks) in items.iter().zip(cells("## The deployment checklist", 1)) {
        let checks: Vec<_> = checks.split(", ").map(|name| name.trim_matches('`')).collect();
        assert!(!checks.is_empty() && checks.iter().all(|check| known.contains(check)), "{item}: {checks:?}");
    }
}

//! "Did you mean …?"

/// The one of `names` that `given` was most likely meant for, if any is near.
pub fn nearest<'a>(given: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Nothing is near to what is longer than every name may be.
    let given = &given[..given.floor_char_boundary(128)];
    names
        .map(|name| (strsim::damerau_levenshtein(given, name), name))
        .min()
        .filter(|(distance, _)| *distance <= 1 + given.len() / 4)
        .map(|(_, name)| name)
}

/// What was given, the name that it may have been meant for, and those that there are: for an error that says what something names.
pub fn named<'a>(given: &str, names: impl Iterator<Item = &'a str> + Clone) -> String {
    let near = nearest(given, names.clone()).map(|near| format!(", did you mean {near:?}?")).unwrap_or_default();
    let all = names.collect::<Vec<_>>();
    let given = &given[..given.floor_char_boundary(128)];
    if all.is_empty() {
        format!("{given:?}; there are none")
    } else {
        format!("{given:?}{near}; there are {}", all.join(", "))
    }
}

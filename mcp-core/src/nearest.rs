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

//! How every store cuts texts into words.

/// The words of a text as search knows them: runs of letters and digits, in lower case. Every store cuts and folds by this
/// function, so that a search finds the same everywhere.
pub fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

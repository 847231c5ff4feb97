//! What [`Notes`](crate::store::notes::Notes) promises.

use super::{Fresh, tenant};
use crate::caller::{Principal, Tenant};
use crate::store::notes::Note;

/// One named test for each promise of [`Notes`](crate::store::notes::Notes), on stores from `$fresh`: an async function or
/// closure without arguments that gives a [`Fresh`].
#[macro_export]
macro_rules! notes_contract {
    ($fresh:expr) => {
        $crate::contract_tests! {
            notes, $fresh,
            a_written_note_is_read_back,
            writing_again_replaces,
            callers_are_apart,
            search_finds_whole_words_in_any_case,
            search_shows_the_newest_first,
            notes_are_listed_in_the_order_of_their_names,
        }
    };
}

fn ada() -> Principal {
    Principal::from("ada")
}

async fn write(fresh: &Fresh, name: &str, text: &str) -> Note {
    fresh.stores.notes.write(&tenant(), &ada(), name, text).await.expect("a note is written")
}

async fn read(fresh: &Fresh, name: &str) -> Option<Note> {
    fresh.stores.notes.read(&tenant(), &ada(), name).await.expect("a note is read")
}

async fn search(fresh: &Fresh, query: &str) -> Vec<Note> {
    fresh.stores.notes.search(&tenant(), &ada(), query, 100).await.expect("notes are searched")
}

async fn found(fresh: &Fresh, query: &str) -> Vec<String> {
    search(fresh, query).await.into_iter().map(|note| note.name).collect()
}

/// To the last byte, with the time at which it was written.
pub async fn a_written_note_is_read_back(fresh: &Fresh) {
    let long = "word ".repeat(20_000);
    for (name, text) in
        [("plain", "A text."), ("", ""), ("it's \"odd\" %_\\", "a\0b\r\n\u{feff} e\u{301} 🦀"), ("long", &long)]
    {
        let written = write(fresh, name, text).await;
        assert_eq!((written.name.as_str(), written.text.as_str()), (name, text));
        assert_eq!(read(fresh, name).await, Some(written));
    }
    assert_eq!(read(fresh, "Plain").await, None, "a name is not folded");
}

/// A name has one text, and only that is found.
pub async fn writing_again_replaces(fresh: &Fresh) {
    write(fresh, "list", "apples").await;
    fresh.pass(std::time::Duration::from_secs(1));
    let second = write(fresh, "list", "pears").await;
    assert_eq!(read(fresh, "list").await, Some(second.clone()));
    assert_eq!(search(fresh, "pears").await, [second]);
    assert_eq!(found(fresh, "apples").await, [""; 0]);
    assert_eq!(found(fresh, "list").await, ["list"]);
}

/// Neither another principal's nor another tenant's notes are read, found or replaced.
pub async fn callers_are_apart(fresh: &Fresh) {
    // Some of them are equal once their two names are put together.
    let callers = [("a", "b"), ("a", "c"), ("b", "a"), ("ab", ""), ("", "ab"), ("a b", "c"), ("a", "b c"), ("A", "b")];
    let callers = callers.map(|(tenant, owner)| (Tenant::from(tenant), Principal::from(owner)));
    for (tenant, owner) in &callers {
        let text = format!("shared {tenant}:{owner}");
        fresh.stores.notes.write(tenant, owner, "same", &text).await.expect("a note is written");
    }
    for (tenant, owner) in &callers {
        let text = format!("shared {tenant}:{owner}");
        let read = fresh.stores.notes.read(tenant, owner, "same").await.expect("a note is read");
        assert_eq!(read.map(|note| note.text).as_ref(), Some(&text));
        let found = fresh.stores.notes.search(tenant, owner, "shared", 100).await.expect("notes are searched");
        assert_eq!(found.iter().map(|note| &note.text).collect::<Vec<_>>(), [&text]);
    }
    let (tenant, owner) = (Tenant::from("a"), Principal::from("nobody"));
    assert_eq!(fresh.stores.notes.read(&tenant, &owner, "same").await.expect("a note is read"), None);
    assert_eq!(fresh.stores.notes.search(&tenant, &owner, "shared", 100).await.expect("notes are searched"), []);
}

/// A note is found if its name or text holds every word of the query; a query without words finds nothing.
pub async fn search_finds_whole_words_in_any_case(fresh: &Fresh) {
    write(fresh, "recipe", "Zwiebeln; Öl, ÄPFEL (3 kg) and crème-brûlée.").await;
    write(fresh, "Straße 7", "ΟΔΟΣ, Истина und 東京 2026").await;
    write(fresh, "code", "foo_bar AND NOT \"near\" OR x* col:val -minus ^caret {a b} 'q'").await;
    let long = "a".repeat(40_000);
    write(fresh, "long", &format!("{long}b")).await;
    for (query, expected) in [
        ("zwiebeln", vec!["recipe"]),
        ("ÖL äpfel", vec!["recipe"]),
        ("kg, RECIPE!", vec!["recipe"]),
        ("brûlée crème", vec!["recipe"]),
        ("3", vec!["recipe"]),
        // Half a word, a word without its accents, and one word of two that is missing find nothing.
        ("zwiebel", vec![]),
        ("brulee", vec![]),
        ("ol", vec![]),
        ("zwiebeln tokyo", vec![]),
        ("strasse", vec![]),
        ("STRASSE", vec![]),
        ("straße истина", vec!["Straße 7"]),
        ("οδος", vec!["Straße 7"]),
        ("東京", vec!["Straße 7"]),
        ("東", vec![]),
        // A query is words and no language.
        ("foo bar", vec!["code"]),
        ("not near", vec!["code"]),
        ("zwiebeln OR near", vec![]),
        ("zwie*", vec![]),
        ("col:val", vec!["code"]),
        ("code NOT near", vec!["code"]),
        ("\"a b\"", vec!["code"]),
        ("'q' caret", vec!["code"]),
        ("a a a", vec!["code"]),
        ("minus -q", vec!["code"]),
        // However long a word is.
        (&format!("{long}B"), vec!["long"]),
        (&format!("{long}c"), vec![]),
        (&long, vec![]),
        // No words at all.
        ("", vec![]),
        (" \t\n", vec![]),
        ("\"* -^ (", vec![]),
        ("\0", vec![]),
    ] {
        let shown: String = query.chars().take(40).collect();
        assert_eq!(found(fresh, query).await, expected, "{shown:?}");
    }
    let many: Vec<_> = (0..2_000).map(|n| n.to_string()).collect();
    write(fresh, "many", &many.join(" ")).await;
    assert_eq!(found(fresh, &many.join(", ")).await, ["many"], "a query may have many words");
}

/// By the time of writing, in the order of writing where that is the same; at most `limit`.
pub async fn search_shows_the_newest_first(fresh: &Fresh) {
    for name in ["first", "second", "third"] {
        write(fresh, name, "word").await;
    }
    assert_eq!(found(fresh, "word").await, ["third", "second", "first"]);
    fresh.pass(std::time::Duration::from_secs(1));
    write(fresh, "second", "word, again").await;
    assert_eq!(found(fresh, "word").await, ["second", "third", "first"]);
    for (limit, expected) in [(0, &[][..]), (1, &["second"]), (2, &["second", "third"])] {
        let notes = fresh.stores.notes.search(&tenant(), &ada(), "word", limit).await.expect("notes are searched");
        assert_eq!(notes.iter().map(|note| note.name.as_str()).collect::<Vec<_>>(), expected);
    }
}

/// By their bytes; all that come after the given one, at most `limit`.
pub async fn notes_are_listed_in_the_order_of_their_names(fresh: &Fresh) {
    for name in ["b", "é", "a b", "B", "a", "🦀", "ab", ""] {
        write(fresh, name, &format!("about {name}")).await;
    }
    let other = Principal::from("another");
    fresh.stores.notes.write(&tenant(), &other, "c", "of another").await.expect("a note is written");
    let list = async |after: Option<&str>, limit| {
        let page = fresh.stores.notes.list(&tenant(), &ada(), after, limit).await.expect("notes are listed");
        assert!(page.iter().all(|note| note.text == format!("about {}", note.name)), "{page:?}");
        page.into_iter().map(|note| note.name).collect::<Vec<_>>()
    };
    let all = ["", "B", "a", "a b", "ab", "b", "é", "🦀"];
    assert_eq!(list(None, 100).await, all);
    assert_eq!(list(None, 3).await, all[..3]);
    assert_eq!(list(Some("a"), 2).await, ["a b", "ab"]);
    assert_eq!(list(Some("aa"), 100).await, ["ab", "b", "é", "🦀"], "it need not be there");
    assert_eq!(list(Some("🦀"), 100).await, [""; 0]);
    assert_eq!(list(None, 0).await, [""; 0]);
}

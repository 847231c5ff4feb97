//! What [`Files`] promises.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::blobs::{broke, broken_after, leave_after, pieces, stream_of, whole};
use super::{Fresh, tenant};
use crate::caller::{Principal, Tenant};
use crate::store::StoreError;
use crate::store::files::{Caps, File, FileError, Files, LONGEST_NAME, LONGEST_TYPE, OVERHEAD, SEARCHED, Span};

/// One named test for each promise of [`Files`](crate::store::files::Files), on stores from `$fresh`, whose caps are [`CAPS`]: an async
/// function or closure without arguments that gives a [`Fresh`].
#[macro_export]
macro_rules! files_contract {
    ($fresh:expr) => {
        $crate::contract_tests! {
            files, $fresh,
            a_written_file_is_read_back,
            writing_again_replaces,
            what_is_cut_off_changes_nothing,
            a_span_is_part_of_the_file,
            callers_are_apart,
            equal_bytes_have_an_equal_hash,
            a_removed_file_is_gone,
            a_file_is_no_larger_than_may_be,
            an_owner_has_a_limited_room,
            a_name_is_short,
            a_list_is_in_the_order_of_names,
            search_finds_whole_words_in_any_case,
            search_shows_the_newest_first,
        }
    };
}

/// The caps with which stores are made for this suite.
pub const CAPS: Caps = Caps { file: 200_000, owner: 500_000 };

const TEXT: &str = "text/plain";
const OTHER: &str = "application/octet-stream";

fn files(fresh: &Fresh) -> &Arc<dyn Files> {
    fresh.stores.files.as_ref().expect("there are files")
}

fn ada() -> Principal {
    Principal::from("ada")
}

async fn try_write(fresh: &Fresh, name: &str, content_type: &str, bytes: &[u8]) -> Result<File, FileError> {
    let bytes = stream_of(&[Bytes::copy_from_slice(bytes)]);
    files(fresh).write(&tenant(), &ada(), name, content_type, bytes).await
}

async fn write(fresh: &Fresh, name: &str, bytes: impl AsRef<[u8]>) -> File {
    try_write(fresh, name, TEXT, bytes.as_ref()).await.expect("a file is written")
}

async fn read_by(fresh: &Fresh, tenant: &Tenant, owner: &Principal, name: &str) -> Option<(File, Vec<u8>)> {
    let open = files(fresh).read(tenant, owner, name, None).await.expect("files can be read")?;
    assert_eq!(open.range, 0..open.file.size);
    Some((open.file, whole(open.bytes).await))
}

async fn read(fresh: &Fresh, name: &str) -> Option<(File, Vec<u8>)> {
    read_by(fresh, &tenant(), &ada(), name).await
}

async fn find(fresh: &Fresh, name: &str) -> Option<File> {
    files(fresh).find(&tenant(), &ada(), name).await.expect("files can be found")
}

async fn remove(fresh: &Fresh, name: &str) -> bool {
    files(fresh).remove(&tenant(), &ada(), name).await.expect("files can be removed")
}

async fn list(fresh: &Fresh, prefix: &str, after: Option<&str>, limit: u16) -> Vec<File> {
    files(fresh).list(&tenant(), &ada(), prefix, after, limit).await.expect("files can be listed")
}

async fn names(fresh: &Fresh) -> Vec<String> {
    list(fresh, "", None, u16::MAX).await.into_iter().map(|file| file.name).collect()
}

async fn search(fresh: &Fresh, query: &str) -> Vec<File> {
    files(fresh).search(&tenant(), &ada(), query, 100).await.expect("files can be searched")
}

async fn found(fresh: &Fresh, query: &str) -> Vec<String> {
    search(fresh, query).await.into_iter().map(|file| file.name).collect()
}

/// To the last byte, with its type.
pub async fn a_written_file_is_read_back(fresh: &Fresh) {
    for (name, content_type, sizes) in [
        ("empty", "", vec![]),
        ("a/b c/ä🦀.txt", TEXT, vec![1]),
        ("it's \"odd\" %_\\\0\u{1}", "text/x; charset=\"q\"", vec![0, 70_000, 3]),
        (&"n".repeat(LONGEST_NAME), OTHER, vec![100_000, 0, 100_000]),
    ] {
        let pieces = pieces(sizes);
        let bytes = pieces.concat();
        let written = files(fresh).write(&tenant(), &ada(), name, content_type, stream_of(&pieces)).await;
        let written = written.expect("a file is written");
        assert_eq!((&*written.name, &*written.content_type, written.size), (name, content_type, bytes.len() as u64));
        assert_eq!(find(fresh, name).await.as_ref(), Some(&written));
        let (file, found) = read(fresh, name).await.expect("it is there");
        assert_eq!(file, written);
        assert!(found == bytes, "{name}");
        assert!(remove(fresh, name).await);
    }
    assert!(read(fresh, "none").await.is_none() && find(fresh, "none").await.is_none());
    write(fresh, "plain", "").await;
    assert!(read(fresh, "Plain").await.is_none(), "a name is not folded");
}

/// A name has one file; whoever had begun to read the one before it reads that to its end.
pub async fn writing_again_replaces(fresh: &Fresh) {
    let old = pieces([150_000]);
    write(fresh, "list", "apples").await;
    files(fresh).write(&tenant(), &ada(), "list", TEXT, stream_of(&old)).await.expect("a file is written");
    let begun = files(fresh).read(&tenant(), &ada(), "list", None).await.expect("files can be read");
    fresh.pass(Duration::from_secs(1));
    let second = try_write(fresh, "list", OTHER, b"pears").await.expect("a file is written");
    assert!(whole(begun.expect("it is there").bytes).await == old[0], "the old one, whole");
    assert_eq!(read(fresh, "list").await, Some((second.clone(), b"pears".to_vec())));
    assert_eq!(list(fresh, "", None, 10).await, std::slice::from_ref(&second));
    assert_eq!(found(fresh, "apples").await, [""; 0]);
    assert_eq!(found(fresh, "pears").await, [""; 0], "it is no text any more");
    assert_eq!(search(fresh, "list").await, [second]);
    let again = write(fresh, "list", "apples").await;
    assert_eq!(search(fresh, "apples").await, [again]);
}

/// Whether its stream ends by an error or nobody waits for it any more.
pub async fn what_is_cut_off_changes_nothing(fresh: &Fresh) {
    let pieces = pieces([90_000, 1]);
    let before = write(fresh, "kept", "as it was").await;
    for name in ["kept", "new"] {
        let error = files(fresh).write(&tenant(), &ada(), name, TEXT, broken_after(&pieces)).await;
        assert!(matches!(&error, Err(FileError::Store(error)) if broke(error)), "{error:?}");
        leave_after(&pieces, async |bytes| files(fresh).write(&tenant(), &ada(), name, TEXT, bytes).await).await;
    }
    assert_eq!(read(fresh, "kept").await, Some((before, b"as it was".to_vec())));
    assert_eq!(names(fresh).await, ["kept"]);
}

/// Exactly the bytes that were asked for, of which there must be one; or it is refused.
pub async fn a_span_is_part_of_the_file(fresh: &Fresh) {
    let bytes = pieces([100_000]).concat();
    let written = write(fresh, "long", &bytes).await;
    write(fresh, "empty", "").await;
    let read = async |name: &str, span| files(fresh).read(&tenant(), &ada(), name, Some(span)).await;
    for (span, range) in [
        (Span::Since(0), 0..100_000),
        (Span::Since(99_999), 99_999..100_000),
        (Span::Between(0, 0), 0..1),
        (Span::Between(65_530, 65_540), 65_530..65_541),
        (Span::Between(10, u64::MAX), 10..100_000),
        (Span::Last(5), 99_995..100_000),
        (Span::Last(u64::MAX), 0..100_000),
    ] {
        let open = read("long", span).await.expect("files can be read").expect("it is there");
        assert_eq!((&open.file, &open.range), (&written, &(range.start as u64..range.end as u64)), "{span:?}");
        assert!(whole(open.bytes).await == bytes[range], "{span:?}");
    }
    for (name, size, span) in [
        ("long", 100_000, Span::Since(100_000)),
        ("long", 100_000, Span::Between(100_000, 100_001)),
        ("long", 100_000, Span::Between(2, 1)),
        ("long", 100_000, Span::Last(0)),
        ("empty", 0, Span::Since(0)),
        ("empty", 0, Span::Last(1)),
    ] {
        match read(name, span).await {
            Err(FileError::OutOfRange { size: told }) => assert_eq!(told, size, "{span:?}"),
            other => panic!("{name}, {span:?}: {:?}", other.map(|open| open.map(|open| open.range))),
        }
    }
    assert!(read("none", Span::Since(0)).await.expect("files can be read").is_none());
}

/// Neither another principal's nor another tenant's files are read, listed, found, replaced or removed, and they take no room.
pub async fn callers_are_apart(fresh: &Fresh) {
    // Some of them are equal once their two names are put together.
    let callers = [("a", "b"), ("a", "c"), ("b", "a"), ("ab", ""), ("", "ab"), ("a:b", "c"), ("a", "b:c"), ("A", "b")];
    let callers = callers.map(|(tenant, owner)| (Tenant::from(tenant), Principal::from(owner)));
    let files = files(fresh);
    // More than half of an owner's room, with a second one of them.
    let text = |tenant: &Tenant, owner: &Principal| format!("shared {tenant}:{owner}{}", " ".repeat(199_000));
    let half = |bytes: &str| stream_of(&[Bytes::copy_from_slice(bytes.as_bytes())]);
    for (tenant, owner) in &callers {
        for name in ["same", "also"] {
            let bytes = half(&text(tenant, owner));
            files.write(tenant, owner, name, TEXT, bytes).await.expect("each has room of their own");
        }
        assert!(files.remove(tenant, owner, "also").await.expect("files can be removed"), "{tenant}:{owner}");
    }
    for (tenant, owner) in &callers {
        let (file, bytes) = read_by(fresh, tenant, owner, "same").await.expect("it is there");
        assert!(bytes == text(tenant, owner).as_bytes(), "{tenant}:{owner}");
        let found = files.find(tenant, owner, "same").await.expect("files can be found");
        let listed = files.list(tenant, owner, "", None, 100).await.expect("files can be listed");
        let searched = files.search(tenant, owner, "shared", 100).await.expect("files can be searched");
        assert_eq!((found.as_ref(), &listed, &searched), (Some(&file), &vec![file.clone()], &vec![file.clone()]));
    }
    let (tenant, nobody) = (Tenant::from("a"), Principal::from("nobody"));
    assert!(read_by(fresh, &tenant, &nobody, "same").await.is_none());
    assert_eq!(files.find(&tenant, &nobody, "same").await.expect("files can be found"), None);
    assert_eq!(files.list(&tenant, &nobody, "", None, 100).await.expect("files can be listed"), []);
    assert_eq!(files.search(&tenant, &nobody, "shared", 100).await.expect("files can be searched"), []);
    assert!(!files.remove(&tenant, &nobody, "same").await.expect("files can be removed"));
    let (tenant, owner) = &callers[0];
    assert!(files.remove(tenant, owner, "same").await.expect("files can be removed"));
    for (tenant, owner) in &callers[1..] {
        assert!(read_by(fresh, tenant, owner, "same").await.is_some(), "{tenant}:{owner}");
    }
}

/// Those of one tenant; other bytes, and those of another tenant, have another one.
pub async fn equal_bytes_have_an_equal_hash(fresh: &Fresh) {
    let bytes = pieces([1_000, 2_000]);
    let write_by = async |tenant: &str, owner: &str, name: &str, pieces: &[Bytes]| {
        let (tenant, owner) = (Tenant::from(tenant), Principal::from(owner));
        files(fresh).write(&tenant, &owner, name, TEXT, stream_of(pieces)).await.expect("a file is written").hash
    };
    let hash = write_by("a", "ada", "one", &bytes).await;
    assert_eq!(write_by("a", "ada", "two", &[Bytes::from(bytes.concat())]).await, hash, "however they come");
    assert_eq!(write_by("a", "bob", "one", &bytes).await, hash);
    let mut others = BTreeSet::from([hash]);
    let tail = [&bytes.concat()[..2_999], b"?"].concat();
    for (tenant, pieces) in
        [("b", &bytes[..]), ("", &bytes), ("a", &[Bytes::from(tail)]), ("a", &bytes[..1]), ("a", &[]), ("b", &[])]
    {
        assert!(others.insert(write_by(tenant, "ada", "other", pieces).await), "{tenant}: a hash of other bytes");
    }
}

/// Its owner's others stay, also those with the same bytes.
pub async fn a_removed_file_is_gone(fresh: &Fresh) {
    let bytes = pieces([50_000]).concat();
    for name in ["one", "two", "three"] {
        write(fresh, name, &bytes).await;
    }
    assert!(!remove(fresh, "none").await);
    assert!(remove(fresh, "one").await);
    assert!(!remove(fresh, "one").await, "it was removed before");
    assert!(read(fresh, "one").await.is_none() && find(fresh, "one").await.is_none());
    assert_eq!(found(fresh, "one").await, [""; 0]);
    assert_eq!(names(fresh).await, ["three", "two"]);
    assert_eq!(read(fresh, "two").await.map(|(_, bytes)| bytes).as_ref(), Some(&bytes));
    assert!(remove(fresh, "two").await && remove(fresh, "three").await);
    write(fresh, "four", &bytes).await;
    assert_eq!(
        read(fresh, "four").await.map(|(_, bytes)| bytes),
        Some(bytes),
        "after all that had these bytes are gone"
    );
}

/// Than [`Caps::file`].
pub async fn a_file_is_no_larger_than_may_be(fresh: &Fresh) {
    assert_eq!(files(fresh).caps(), CAPS);
    let most = pieces([100_000, 100_000]);
    files(fresh).write(&tenant(), &ada(), "most", OTHER, stream_of(&most)).await.expect("it is not too large");
    for name in ["most", "new"] {
        // Nothing is asked for that would not be kept.
        let more = [&most[..], &[Bytes::from_static(b"1")]].concat();
        let error = files(fresh).write(&tenant(), &ada(), name, OTHER, broken_after(&more)).await;
        assert!(matches!(error, Err(FileError::TooLarge { limit: 200_000 })), "{error:?}");
    }
    assert_eq!(names(fresh).await, ["most"]);
    assert!(read(fresh, "most").await.is_some_and(|(_, bytes)| bytes == most.concat()), "it is as it was");
}

/// [`Caps::owner`], of which each file takes its size and [`OVERHEAD`]; what is replaced or removed makes room.
pub async fn an_owner_has_a_limited_room(fresh: &Fresh) {
    let zeros = |size: u64| vec![0; usize::try_from(size).expect("it is small")];
    let rest = CAPS.owner - 2 * CAPS.file - 3 * OVERHEAD;
    for (name, size) in [("one", CAPS.file), ("two", CAPS.file), ("three", rest)] {
        write(fresh, name, zeros(size)).await;
    }
    let full = async |name: &str, size: u64| {
        let error = try_write(fresh, name, TEXT, &zeros(size)).await;
        assert!(matches!(error, Err(FileError::Full { limit }) if limit == CAPS.owner), "{name}: {error:?}");
    };
    full("four", 0).await;
    full("three", rest + 1).await;
    assert_eq!(find(fresh, "three").await.map(|file| file.size), Some(rest), "it is as it was");
    for _ in 0..3 {
        write(fresh, "one", zeros(CAPS.file)).await;
    }
    // What is replaced by less, or removed, makes room for as much.
    write(fresh, "one", zeros(CAPS.file - 10 - OVERHEAD)).await;
    full("four", 11).await;
    write(fresh, "four", zeros(10)).await;
    full("five", 0).await;
    assert!(remove(fresh, "four").await && remove(fresh, "two").await);
    write(fresh, "two", zeros(CAPS.file)).await;
    write(fresh, "four", zeros(10)).await;
    full("five", 0).await;
}

/// One of no bytes or of more than [`LONGEST_NAME`] is refused, and so is a type of more than [`LONGEST_TYPE`].
pub async fn a_name_is_short(fresh: &Fresh) {
    let (name, content_type) = ("ä".repeat(LONGEST_NAME / 2), "t".repeat(LONGEST_TYPE));
    try_write(fresh, &name, &content_type, b"").await.expect("both are as long as may be");
    let (long_name, long_type) = (format!("{name}a"), format!("{content_type}t"));
    for (name, content_type) in [("", TEXT), (&*long_name, TEXT), ("name", &*long_type)] {
        let refused = try_write(fresh, name, content_type, b"").await;
        assert!(matches!(refused, Err(FileError::Store(StoreError::Refused { .. }))), "{refused:?}");
    }
    assert_eq!(names(fresh).await, [name]);
}

/// By their bytes; all that begin with the prefix and come after the given one, at most `limit`.
pub async fn a_list_is_in_the_order_of_names(fresh: &Fresh) {
    assert_eq!(names(fresh).await, [""; 0]);
    let all = ["A", "a", "a/1", "a/10", "a/2", "a\u{10ffff}", "b", "\u{e9}", "\u{1f980}"];
    for n in [4, 1, 7, 0, 8, 2, 6, 3, 5] {
        write(fresh, all[n], "text").await;
    }
    for (prefix, after, limit, expected) in [
        ("", None, 100, &all[..]),
        ("", None, 0, &[]),
        ("", None, 3, &all[..3]),
        ("", Some("a/1"), 100, &all[3..]),
        ("", Some("a/11"), 2, &all[4..6]),
        ("", Some("\u{10ffff}"), 100, &[]),
        ("a/", None, 100, &all[2..5]),
        ("a/", Some("a/1"), 1, &all[3..4]),
        ("a/", Some("A"), 100, &all[2..5]),
        ("a/", Some("b"), 100, &[]),
        ("a\u{10ffff}", None, 100, &all[5..6]),
        ("%", None, 100, &[]),
        ("c", None, 100, &[]),
    ] {
        let listed = list(fresh, prefix, after, limit).await;
        let names: Vec<_> = listed.iter().map(|file| &*file.name).collect();
        assert_eq!(names, expected, "{prefix:?} after {after:?}, {limit}");
        for file in listed {
            assert_eq!(find(fresh, &file.name).await, Some(file));
        }
    }
}

/// A file is found if its name, or the first [`SEARCHED`] bytes of a text, hold every word of the query.
pub async fn search_finds_whole_words_in_any_case(fresh: &Fresh) {
    write(fresh, "recipes/Äpfel.txt", "Zwiebeln; Öl (3 kg) and crème-brûlée. Straße").await;
    write(fresh, "code", "foo_bar AND NOT \"near\" OR x* col:val").await;
    try_write(fresh, "Photo 7.png", "image/png", b"zwiebeln near").await.expect("a file is written");
    try_write(fresh, "data.json", "application/json; charset=utf-8", b"{\"key\": \"ZWIEBELN\"}")
        .await
        .expect("it is written");
    try_write(fresh, "latin", TEXT, b"caf\xe9 zwiebel").await.expect("a file is written");
    let long = format!("first {} last", "word ".repeat(SEARCHED / 5));
    write(fresh, "long", &long).await;
    for (query, expected) in [
        ("zwiebeln", vec!["data.json", "recipes/Äpfel.txt"]),
        ("ÄPFEL öl", vec!["recipes/Äpfel.txt"]),
        ("TXT 3, kg!", vec!["recipes/Äpfel.txt"]),
        ("brûlée recipes", vec!["recipes/Äpfel.txt"]),
        ("apfel", vec![]),
        ("strasse", vec![]),
        ("recipe", vec![]),
        ("foo bar", vec!["code"]),
        ("zwiebeln OR near", vec![]),
        ("col:val \"near\" -not", vec!["code"]),
        ("photo 7", vec!["Photo 7.png"]),
        ("near png", vec![]),
        ("caf", vec!["latin"]),
        ("zwiebel", vec![]),
        ("first word", vec!["long"]),
        ("last", vec![]),
        ("", vec![]),
        ("\"* -^ (\0", vec![]),
    ] {
        assert_eq!(found(fresh, query).await, expected, "{query:?}");
    }
}

/// By the time of writing, in the order of writing where that is the same; at most `limit`.
pub async fn search_shows_the_newest_first(fresh: &Fresh) {
    for name in ["first", "second", "third"] {
        write(fresh, name, "word").await;
    }
    assert_eq!(found(fresh, "word").await, ["third", "second", "first"]);
    fresh.pass(Duration::from_secs(1));
    write(fresh, "second", "word, again").await;
    assert_eq!(found(fresh, "word").await, ["second", "third", "first"]);
    for (limit, expected) in [(0, &[][..]), (1, &["second"]), (2, &["second", "third"])] {
        let files = files(fresh).search(&tenant(), &ada(), "word", limit).await.expect("files can be searched");
        assert_eq!(files.iter().map(|file| &*file.name).collect::<Vec<_>>(), expected);
    }
}

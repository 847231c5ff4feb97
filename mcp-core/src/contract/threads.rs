//! What [`Threads`](crate::store::threads::Threads) promises.

use futures_util::future::join_all;

use super::{Fresh, tenant};
use crate::caller::{Principal, Tenant};
use crate::clock::Timestamp;
use crate::store::threads::{Message, MessageId, Place, Placed, Thread, ThreadId};

/// One named test for each promise of [`Threads`](crate::store::threads::Threads), on stores from `$fresh`: an async function or
/// closure without arguments that gives a [`Fresh`].
#[macro_export]
macro_rules! threads_contract {
    ($fresh:expr) => {
        $crate::contract_tests! {
            threads, $fresh,
            an_appended_message_is_read_back,
            messages_stay_in_the_order_of_appending,
            the_latest_come_first,
            the_same_id_twice_is_one_thread_and_one_message,
            threads_are_listed_newest_first,
            a_removed_thread_is_gone,
            nothing_is_appended_to_a_thread_that_is_not_there,
            callers_are_apart,
            search_finds_whole_words_in_any_case,
            search_shows_the_newest_first,
        }
    };
}

fn ada() -> Principal {
    Principal::from("ada")
}

fn id(bits: u128) -> ThreadId {
    ThreadId::from_u128(bits)
}

pub(super) fn thread(bits: u128) -> Thread {
    let created = Timestamp::from_micros(1_767_225_600_000_000);
    Thread { id: id(bits), title: format!("thread {bits}"), created }
}

fn message(bits: u128, text: &str) -> Message {
    let at = Timestamp::from_micros(1_767_225_600_000_000);
    Message { id: MessageId::from_u128(bits), role: "user".to_owned(), text: text.to_owned(), at }
}

async fn create(fresh: &Fresh, thread: &Thread) {
    fresh.stores.threads.create(&tenant(), &ada(), thread).await.expect("a thread is begun");
}

async fn append(fresh: &Fresh, thread: ThreadId, message: &Message) -> bool {
    fresh.stores.threads.append(&tenant(), &ada(), thread, message).await.expect("a message is appended")
}

async fn list(fresh: &Fresh, before: Option<ThreadId>, limit: u16) -> Vec<Thread> {
    fresh.stores.threads.list(&tenant(), &ada(), before, limit).await.expect("threads are listed")
}

async fn placed(fresh: &Fresh, thread: ThreadId, after: Option<Place>, limit: u16) -> Vec<Placed> {
    let read = fresh.stores.threads.messages(&tenant(), &ada(), thread, after, limit).await;
    read.expect("messages are read")
}

async fn messages(fresh: &Fresh, thread: ThreadId) -> Vec<Message> {
    placed(fresh, thread, None, u16::MAX).await.into_iter().map(|placed| placed.message).collect()
}

async fn search(fresh: &Fresh, query: &str, before: Option<Place>, limit: u16) -> Vec<Placed> {
    let found = fresh.stores.threads.search(&tenant(), &ada(), query, before, limit).await;
    found.expect("messages are searched")
}

async fn found(fresh: &Fresh, query: &str) -> Vec<u128> {
    search(fresh, query, None, 100).await.iter().map(|placed| placed.message.id.as_u128()).collect()
}

/// To the last byte, and from then on.
pub async fn an_appended_message_is_read_back(fresh: &Fresh) {
    let odd = "it's \"odd\" %_\\ a\0b\r\n\u{1}0\u{feff} e\u{301} 🦀";
    let first = Thread { title: odd.to_owned(), created: Timestamp::from_micros(-1), ..thread(u128::MAX) };
    create(fresh, &first).await;
    assert_eq!(list(fresh, None, 10).await, std::slice::from_ref(&first));
    let mut expected = Vec::new();
    for (n, (role, text)) in (0..).zip([("user", "A text."), ("", ""), (odd, odd), ("tool", &"word ".repeat(20_000))]) {
        let at = Timestamp::from_micros(n - 1);
        let id = MessageId::from_u128(u128::MAX - u128::from(n.cast_unsigned()));
        let message = Message { id, role: role.to_owned(), text: text.to_owned(), at };
        assert!(append(fresh, first.id, &message).await);
        expected.push(message);
        assert_eq!(messages(fresh, first.id).await, expected);
    }
    assert!(placed(fresh, first.id, None, 10).await.iter().all(|placed| placed.thread == first.id));
}

/// Each has a greater place than all that were there, whatever its id; so have those that come at the same time.
pub async fn messages_stay_in_the_order_of_appending(fresh: &Fresh) {
    create(fresh, &thread(1)).await;
    create(fresh, &thread(2)).await;
    for bits in [5, 3, 9, 1 << 127, 0, 7] {
        append(fresh, id(1), &message(bits, "")).await;
        append(fresh, id(2), &message(bits, "")).await;
    }
    let shown: Vec<_> = messages(fresh, id(1)).await.iter().map(|message| message.id.as_u128()).collect();
    assert_eq!(shown, [5, 3, 9, 1 << 127, 0, 7]);
    join_all((100..120).map(|bits| async move { append(fresh, id(1), &message(bits, "")).await })).await;
    append(fresh, id(1), &message(120, "")).await;

    let all = placed(fresh, id(1), None, u16::MAX).await;
    assert_eq!(all.len(), 27);
    assert!(all.is_sorted_by(|older, newer| older.place < newer.place), "{all:?}");
    assert_eq!(all.last().map(|placed| placed.message.id.as_u128()), Some(120));
    let mut shown = Vec::<Placed>::new();
    loop {
        let page = placed(fresh, id(1), shown.last().map(|placed| placed.place), 5).await;
        assert!(page.len() <= 5, "{page:?}");
        if page.is_empty() {
            break;
        }
        shown.extend(page);
        assert!(shown.len() <= all.len(), "{shown:?}");
    }
    assert_eq!(shown, all, "a page at a time");
    assert_eq!(placed(fresh, id(1), None, 0).await, []);
}

/// Before a place those that are nearest to it, in falling order, a page at a time; of no other thread.
pub async fn the_latest_come_first(fresh: &Fresh) {
    create(fresh, &thread(1)).await;
    create(fresh, &thread(2)).await;
    for bits in [5, 3, 9, 1 << 127, 0, 7] {
        append(fresh, id(1), &message(bits, "")).await;
        append(fresh, id(2), &message(bits + 1, "")).await;
    }
    let latest = async |thread, before, limit| {
        let read = fresh.stores.threads.latest(&tenant(), &ada(), thread, before, limit).await;
        read.expect("messages are read")
    };
    let mut expected = placed(fresh, id(1), None, 10).await;
    expected.reverse();
    let mut shown = Vec::<Placed>::new();
    loop {
        let page = latest(id(1), shown.last().map(|placed| placed.place), 4).await;
        assert!(page.len() <= 4, "{page:?}");
        if page.is_empty() {
            break;
        }
        shown.extend(page);
        assert!(shown.len() <= expected.len(), "{shown:?}");
    }
    assert_eq!(shown, expected);
    assert_eq!(latest(id(1), Some(u64::MAX), 1).await, expected[..1]);
    assert_eq!((latest(id(1), None, 0).await, latest(id(3), None, 9).await), (vec![], vec![]));
}

/// What was sent and has no answer can be sent again; what is there stays as it is.
pub async fn the_same_id_twice_is_one_thread_and_one_message(fresh: &Fresh) {
    create(fresh, &thread(1)).await;
    append(fresh, id(1), &message(1, "first")).await;
    append(fresh, id(1), &message(2, "second")).await;
    create(fresh, &Thread { title: "another".to_owned(), ..thread(1) }).await;
    assert!(append(fresh, id(1), &message(1, "another")).await, "it is there");
    assert_eq!(list(fresh, None, 10).await, [thread(1)]);
    assert_eq!(messages(fresh, id(1)).await, [message(1, "first"), message(2, "second")]);
    assert_eq!(found(fresh, "another").await, [0; 0]);
    assert_eq!(found(fresh, "first").await, [1]);

    create(fresh, &thread(2)).await;
    append(fresh, id(2), &message(1, "its own")).await;
    assert_eq!(messages(fresh, id(2)).await, [message(1, "its own")]);
    assert_eq!(messages(fresh, id(1)).await.len(), 2);
}

/// In falling order of their ids, a page at a time, whatever is begun meanwhile.
pub async fn threads_are_listed_newest_first(fresh: &Fresh) {
    // The first and the last bytes differ, so that comparing the wrong way round is noticed.
    let mut ids = [2 << 120 | 1, 1 << 120 | 2, 5, 1 << 127, 256, 255, 0];
    for bits in ids {
        create(fresh, &thread(bits)).await;
    }
    ids.sort_unstable_by(|one, other| other.cmp(one));
    let mut shown = Vec::<Thread>::new();
    loop {
        let page = list(fresh, shown.last().map(|thread| thread.id), 3).await;
        assert!(page.len() <= 3, "{page:?}");
        if page.is_empty() {
            break;
        }
        shown.extend(page);
        assert!(shown.len() <= ids.len(), "{shown:?}");
        create(fresh, &thread(u128::MAX - shown.len() as u128)).await;
    }
    assert_eq!(shown, ids.map(thread));
    assert_eq!(list(fresh, None, 0).await, []);
}

/// With its messages, which no search finds; its owner's others stay.
pub async fn a_removed_thread_is_gone(fresh: &Fresh) {
    for bits in [1, 2] {
        create(fresh, &thread(bits)).await;
        append(fresh, id(bits), &message(bits, "word")).await;
    }
    let remove = async || fresh.stores.threads.remove(&tenant(), &ada(), id(1)).await.expect("it can be removed");
    assert!(remove().await);
    assert!(!remove().await, "it is gone");
    assert_eq!(list(fresh, None, 10).await, [thread(2)]);
    assert_eq!(messages(fresh, id(1)).await, []);
    assert_eq!(messages(fresh, id(2)).await, [message(2, "word")]);
    assert_eq!(found(fresh, "word").await, [2]);
    create(fresh, &thread(1)).await;
    assert_eq!(messages(fresh, id(1)).await, [], "nor is it there under the same id");
    append(fresh, id(1), &message(3, "new")).await;
    assert_eq!((found(fresh, "word").await, found(fresh, "new").await), (vec![2], vec![3]));
}

/// And whoever asks is told.
pub async fn nothing_is_appended_to_a_thread_that_is_not_there(fresh: &Fresh) {
    create(fresh, &thread(1)).await;
    assert!(!append(fresh, id(2), &message(1, "lost")).await);
    create(fresh, &thread(2)).await;
    assert_eq!(messages(fresh, id(2)).await, []);
    assert_eq!(found(fresh, "lost").await, [0; 0]);
}

/// Neither another principal's nor another tenant's, not even under ids that both have.
pub async fn callers_are_apart(fresh: &Fresh) {
    let threads = &fresh.stores.threads;
    // Some of them are equal once their two names are put together.
    let callers = [("a", "b"), ("a", "c"), ("b", "a"), ("ab", ""), ("", "ab"), ("a b", "c"), ("a", "b c"), ("A", "b")];
    let callers = callers.map(|(tenant, owner)| (Tenant::from(tenant), Principal::from(owner)));
    let said = |tenant: &Tenant, owner: &Principal| message(1, &format!("shared {tenant}:{owner}"));
    let titled = |tenant: &Tenant, owner: &Principal| Thread { title: format!("{tenant}:{owner}"), ..thread(1) };
    for (tenant, owner) in &callers {
        threads.create(tenant, owner, &titled(tenant, owner)).await.expect("a thread is begun");
        let appended = threads.append(tenant, owner, id(1), &said(tenant, owner)).await.expect("it is appended");
        assert!(appended, "{tenant}:{owner}");
    }
    for (tenant, owner) in &callers {
        let expected = said(tenant, owner);
        let listed = threads.list(tenant, owner, None, 10).await.expect("threads are listed");
        assert_eq!(listed, [titled(tenant, owner)]);
        let read = threads.messages(tenant, owner, id(1), None, 10).await.expect("messages are read");
        assert_eq!(read.iter().map(|placed| &placed.message).collect::<Vec<_>>(), [&expected]);
        let latest = threads.latest(tenant, owner, id(1), None, 10).await.expect("messages are read");
        assert_eq!(latest, read);
        let found = threads.search(tenant, owner, "shared", None, 10).await.expect("messages are searched");
        assert_eq!(found, read);
    }
    let (a, nobody) = (Tenant::from("a"), Principal::from("nobody"));
    assert!(!threads.append(&a, &nobody, id(1), &message(2, "shared")).await.expect("it can be asked"));
    assert!(!threads.remove(&a, &nobody, id(1)).await.expect("it can be asked"));
    assert_eq!(threads.messages(&a, &nobody, id(1), None, 10).await.expect("messages are read"), []);
    assert_eq!(threads.list(&a, &nobody, None, 10).await.expect("threads are listed"), []);
    assert_eq!(threads.search(&a, &nobody, "shared", None, 10).await.expect("messages are searched"), []);
    let (tenant, owner) = &callers[0];
    assert!(threads.remove(tenant, owner, id(1)).await.expect("it is removed"));
    for (tenant, owner) in &callers[1..] {
        let read = threads.messages(tenant, owner, id(1), None, 10).await.expect("messages are read");
        assert_eq!(read.len(), 1, "{tenant}:{owner}");
    }
}

/// A message is found if its text holds every word of the query; a query without words finds nothing.
pub async fn search_finds_whole_words_in_any_case(fresh: &Fresh) {
    create(fresh, &thread(1)).await;
    let long = "a".repeat(40_000);
    let texts = [
        "Zwiebeln; Öl, ÄPFEL (3 kg) and crème-brûlée.",
        "ΟΔΟΣ, Истина und 東京 Straße 2026",
        "foo_bar AND NOT \"near\" OR x* col:val -minus 'q'",
        &format!("{long}b"),
    ];
    for (bits, text) in (1..).zip(texts) {
        append(fresh, id(1), &message(bits, text)).await;
    }
    for (query, expected) in [
        ("zwiebeln", vec![1]),
        ("ÖL äpfel", vec![1]),
        ("brûlée crème 3", vec![1]),
        ("zwiebel", vec![]),
        ("brulee", vec![]),
        ("zwiebeln tokyo", vec![]),
        ("STRASSE", vec![]),
        ("straße истина οδος", vec![2]),
        ("東京", vec![2]),
        ("東", vec![]),
        ("near not", vec![3]),
        ("zwiebeln OR near", vec![]),
        ("zwie*", vec![]),
        ("col:val -minus \"q\"", vec![3]),
        (&format!("{long}B"), vec![4]),
        (&format!("{long}c"), vec![]),
        ("user", vec![]),
        ("thread", vec![]),
        ("", vec![]),
        ("\"* -^ (", vec![]),
        ("\0", vec![]),
    ] {
        let shown: String = query.chars().take(40).collect();
        assert_eq!(found(fresh, query).await, expected, "{shown:?}");
    }
}

/// By their places, whatever their threads; a page at a time.
pub async fn search_shows_the_newest_first(fresh: &Fresh) {
    create(fresh, &thread(2)).await;
    create(fresh, &thread(1)).await;
    for bits in 1..=9 {
        append(fresh, id(1 + bits % 2), &message(100 - bits, if bits == 5 { "other" } else { "word" })).await;
    }
    let newest_first = [91, 92, 93, 94, 96, 97, 98, 99];
    assert_eq!(found(fresh, "word").await, newest_first);
    let mut shown = Vec::<Placed>::new();
    loop {
        let page = search(fresh, "word", shown.last().map(|placed| placed.place), 3).await;
        assert!(page.len() <= 3, "{page:?}");
        if page.is_empty() {
            break;
        }
        shown.extend(page);
        assert!(shown.len() <= newest_first.len(), "{shown:?}");
    }
    assert_eq!(shown.iter().map(|placed| placed.message.id.as_u128()).collect::<Vec<_>>(), newest_first);
    assert!(shown.iter().all(|placed| placed.thread == id(1 + (100 - placed.message.id.as_u128()) % 2)));
    assert_eq!(search(fresh, "word", None, 0).await, []);
}

//! Switched on and off, and keys that are replaced.

use mcp_core::store::ledger::Entry;
use mcp_store::renew_content;

use super::*;

/// How many rows are not as the settings say, or were not.
async fn renew(place: &Place, only_counts: bool) -> u64 {
    renew_content(&place.config(), only_counts).await.unwrap().iter().map(|table| table.rows).sum()
}

#[tokio::test]
async fn it_is_switched_on_and_off_while_everything_stays_readable() {
    for mut place in [Place::sqlite(), Place::postgres()] {
        place.encrypt = false;
        let (before, after) = (Everything::of("before"), Everything::of("after"));
        before.write(&place.open().await).await;
        place.encrypt = true;
        let stores = place.open().await;
        after.write(&stores).await;
        for everything in [&before, &after] {
            everything.is_kept(&stores).await;
        }
        assert!(stores.audit.verify().await.unwrap().is_whole());
        drop(stores);

        let left = renew(&place, true).await;
        assert!(left >= 10, "{left}");
        assert_eq!(renew(&place, true).await, left, "to count changes nothing");
        assert_eq!(renew(&place, false).await, left);
        assert_eq!(renew(&place, true).await, 0);
        let stores = place.open().await;
        for everything in [&before, &after] {
            everything.is_kept(&stores).await;
        }
        assert!(stores.audit.verify().await.unwrap().is_whole());
        drop(stores);
        // Old blobs are swept when they are old enough, and digests of what was recorded before stay in its links.
        let database = std::fs::read(place.folder.path().join("data/mcp.db")).unwrap_or_default();
        let found = database.windows(everything::MARKER.len()).any(|window| window == everything::MARKER.as_bytes());
        assert!(!found, "the file was written anew");

        place.encrypt = false;
        assert!(renew(&place, false).await > left);
        assert_eq!(renew(&place, true).await, 0);
        let stores = place.open().await;
        for everything in [&before, &after] {
            everything.is_kept(&stores).await;
        }
        let found = stores.notes.search(&after.tenant, &after.owner, everything::MARKER, 9).await.unwrap();
        assert_eq!(found.len(), 1, "it is found again");
        assert!(stores.audit.verify().await.unwrap().is_whole());
    }
}

/// The blob that the record of a call is in, once it was moved there.
async fn blob_of_call(place: &Place) -> String {
    let database = Database::connect(&place.url).await.unwrap();
    let select = "SELECT blob FROM mcp_calls WHERE blob IS NOT NULL";
    let select = Statement::from_string(database.get_database_backend(), select);
    // It is done at the first look after the start, or a minute later.
    let begun = std::time::Instant::now();
    loop {
        if let Some(row) = database.query_one_raw(select.clone()).await.unwrap() {
            database.close().await.unwrap();
            return row.try_get("", "blob").unwrap();
        }
        assert!(begun.elapsed() < Duration::from_secs(300), "it is not moved");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_in_a_blob_is_sealed_there_and_under_a_new_key_again() {
    for mut place in [Place::sqlite(), Place::postgres()] {
        place.encrypt = false;
        let (tenant, mut call) = (Tenant::from("a"), Everything::of("a").call());
        call.result = everything::MARKER.repeat(10_000).into();
        let id = call.id;
        place.open().await.ledger.commit(vec![Entry::Call(call.clone())]).await.unwrap();
        let stores = place.open().await;
        let holds = async |place: &Place| {
            let name = blob_of_call(place).await;
            let bytes = std::fs::read(place.folder.path().join("files").join(&name[..2]).join(&name)).unwrap();
            let part = everything::MARKER.as_bytes();
            (name, bytes.windows(part.len()).any(|window| window == part))
        };
        let (plain, is_plain) = holds(&place).await;
        assert!(is_plain, "it can be found, where it is there");
        drop(stores);

        let mut names = vec![plain];
        for (encrypt, secrets) in [(true, vec![OLD]), (true, vec![NEW, OLD]), (false, vec![NEW])] {
            (place.encrypt, place.secrets) = (encrypt, secrets);
            // Whoever serves seals the other keys of the house under the newest.
            drop(place.open().await);
            assert_eq!((renew(&place, true).await, renew(&place, false).await, renew(&place, true).await), (1, 1, 0));
            let (name, is_plain) = holds(&place).await;
            assert!(is_plain != encrypt && !names.contains(&name), "{name}");
            names.push(name);
            // Without the keys that were there before.
            place.secrets.truncate(1);
            let stores = place.open().await;
            assert_eq!(stores.history.call(&tenant, id).await.unwrap().as_ref(), Some(&call));
            assert!(stores.audit.verify().await.unwrap().is_whole());
        }
    }
}

#[tokio::test]
async fn a_new_key_seals_and_the_old_one_opens_until_all_is_sealed_anew() {
    for mut place in [Place::sqlite(), Place::postgres()] {
        let (before, after) = (Everything::of("before"), Everything::of("after"));
        let first = place.open().await;
        before.write(&first).await;
        place.secrets = vec![OLD, NEW];
        let second = place.open().await;
        assert_eq!(renew(&place, true).await, 0, "the newest is still the same");
        place.secrets = vec![NEW, OLD];
        let third = place.open().await;
        after.write(&third).await;
        // Also by those who had started before there was the new key.
        for stores in [&first, &second, &third] {
            before.is_kept(stores).await;
        }
        after.is_kept(&second).await;
        let left = renew(&place, true).await;
        assert!(left >= 10, "{left}");
        assert_eq!(renew(&place, false).await, left);
        assert_eq!(renew(&place, true).await, 0);
        place.secrets = vec![NEW];
        let last = place.open().await;
        for everything in [&before, &after] {
            everything.is_kept(&last).await;
        }
        assert!(last.audit.verify().await.unwrap().is_whole());
    }
}

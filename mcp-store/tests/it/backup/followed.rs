//! How far it is, as whoever looks sees it.

use mcp_store::{Step, Unit, migrate, renew_content};

use super::*;

fn step(config: &StoreConfig) -> Step {
    config.progress.step().expect("something was begun")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_looks_sees_how_far_a_backup_and_the_way_back_are() {
    for filled in Filled::both().await {
        let manifest = filled.backup("one").await;
        let bytes = manifest.files.iter().map(|file| file.bytes).sum();
        let last = step(&filled.config);
        assert_eq!((last.name, last.unit), ("bringing it to the disk", Unit::Bytes));
        assert_eq!((last.done, last.all), (bytes, Some(bytes)));

        // There is something in its place, which is found once all of the backup was looked at.
        restore(&filled.config, &filled.place("one")).await.unwrap_err();
        let last = step(&filled.config);
        assert_eq!((last.name, last.done, last.all), ("looking through the backup", bytes, Some(bytes)));

        let empty = filled.empty("empty");
        restore(&empty, &filled.place("one")).await.unwrap();
        assert_eq!((step(&empty).name, step(&empty).unit), ("restoring the database", Unit::Bytes));
        verify(&filled.config, &filled.place("one")).await.unwrap();
        assert_eq!(step(&filled.config).name, "comparing what came back");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_looks_sees_how_many_migrations_are_done_and_how_many_rows() {
    let folder = TempDir::new().unwrap();
    for url in [super::super::url(&folder), PostgresServer::shared().database()] {
        let config = config(&url);
        let done = migrate(&config).await.unwrap().len() as u64;
        let last = step(&config);
        assert_eq!((last.unit, last.done, last.all), (Unit::Migrations, done, Some(done)));
        assert!(done > 15);
    }
    for filled in Filled::both().await {
        renew_content(&filled.config, false).await.unwrap();
        let last = step(&filled.config);
        assert_eq!((last.name, last.unit), ("looking through what is kept", Unit::Rows));
        assert!(last.done > 3 && last.all == Some(last.done), "{last:?}");
    }
}

//! Keys are made once, and outlive the secrets.

use futures_util::future::join_all;
use tempfile::TempDir;

use super::*;
use crate::sql::sqlite::SqliteFile;
use crate::sql::{postgres, tests};

const OLD: [u8; 32] = [1; 32];
const NEW: [u8; 32] = [2; 32];

async fn load(database: &Database, secrets: &[[u8; 32]], purpose: Purpose) -> Result<HouseKey, OpenError> {
    HouseKey::load(database, secrets, purpose).await.map(|key| key.expect("there are secrets"))
}

/// The error's text, which a person reads.
async fn refusal(database: &Database, secrets: &[[u8; 32]]) -> String {
    let text = load(database, secrets, Purpose::Files).await.err().expect("it is refused").to_string();
    assert!(!text.contains('\n'), "{text}");
    text
}

#[tokio::test]
async fn a_key_outlives_the_secrets_that_seal_it() {
    let (_folder, sqlite) = tests::database().await;
    for database in [sqlite, postgres::tests::database(2).await] {
        let first = load(&database, &[OLD], Purpose::Files).await.unwrap();
        let audit = load(&database, &[OLD], Purpose::Audit).await.unwrap();
        assert_ne!(first.bytes(), audit.bytes());
        assert_ne!(first.id(), audit.id());
        let sealer = |secret: [u8; 32]| Sealer::of(&secret).id().to_owned();
        let ids = async || KeyId::all(database.readers()).await.unwrap();
        let id = |key: &HouseKey, secret| KeyId {
            purpose: key.purpose.as_str().to_owned(),
            id: key.id().to_owned(),
            sealer: sealer(secret),
        };
        assert_eq!(ids().await, [id(&audit, OLD), id(&first, OLD)]);
        // A new one that is not used yet, then one that is, then one alone.
        for (secrets, newest) in [(&[OLD, NEW][..], OLD), (&[NEW, OLD], NEW), (&[NEW], NEW)] {
            let key = load(&database, secrets, Purpose::Files).await.unwrap();
            assert_eq!((key.bytes(), key.id()), (first.bytes(), first.id()));
            assert_eq!(ids().await, [id(&audit, OLD), id(&first, newest)]);
        }
        let refused = refusal(&database, &[OLD, [3; 32]]).await;
        for part in ["SECRET_KEYS", "files", first.id(), &sealer(NEW), &sealer(OLD), &sealer([3; 32])] {
            assert!(refused.contains(part), "{part}: {refused}");
        }
        assert!(HouseKey::load(&database, &[], Purpose::Files).await.unwrap().is_none(), "no secrets, no keys");
    }
}

#[tokio::test]
async fn a_key_that_was_changed_is_not_used() {
    let (_folder, database) = tests::database().await;
    for purpose in Purpose::ALL {
        load(&database, &[OLD], purpose).await.unwrap();
    }
    for change in [
        "sealed = (SELECT sealed FROM mcp_keys WHERE purpose = 'audit')",
        "id = 'another'",
        "sealed = x''",
        "format = 2",
    ] {
        database.run("UPDATE mcp_keys SET sealed = sealed").await.unwrap();
        database.run("CREATE TEMP TABLE before AS SELECT * FROM mcp_keys").await.unwrap();
        database.run(&format!("UPDATE mcp_keys SET {change} WHERE purpose = 'files'")).await.unwrap();
        let refused = refusal(&database, &[OLD]).await;
        assert!(refused.contains("files"), "{change}: {refused}");
        database
            .run("DELETE FROM mcp_keys; INSERT INTO mcp_keys SELECT * FROM before; DROP TABLE before")
            .await
            .unwrap();
        load(&database, &[OLD], Purpose::Files).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_replicas_that_start_at_once_have_the_same_keys() {
    let folder = TempDir::new().unwrap();
    let file = SqliteFile::parse(&format!("sqlite:{}/mcp.db", folder.path().display())).unwrap();
    file.migrate(&crate::Progress::default()).await.unwrap();
    let mut sqlite = Vec::new();
    for _ in 0..5 {
        sqlite.push(file.connect().await.unwrap());
    }
    let pool = postgres::tests::database(10).await;
    for databases in [sqlite, vec![pool; 5]] {
        // Then all of them seal it anew, at once as well.
        for secrets in [&[OLD][..], &[NEW, OLD]] {
            let loads = databases.iter().map(|database| load(database, secrets, Purpose::Files));
            let keys: Vec<_> = join_all(loads).await.into_iter().map(Result::unwrap).collect();
            assert!(keys.iter().all(|key| key.bytes() == keys[0].bytes() && key.id() == keys[0].id()));
        }
        assert_eq!(KeyId::all(databases[0].readers()).await.unwrap().len(), 1);
    }
}

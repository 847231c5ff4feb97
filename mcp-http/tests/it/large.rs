//! Records that are too large for their rows.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use mcp_store::test_servers::PostgresServer;
use serde_json::json;

use crate::outages::SECRET_KEYS;
use crate::served::{Served, binary, text, until};

/// The blobs in the folder of a server.
fn blobs(folder: &Path) -> BTreeSet<PathBuf> {
    let shelves = std::fs::read_dir(folder.join("files")).unwrap().map(|shelf| shelf.unwrap().path());
    let files = shelves.flat_map(|shelf| std::fs::read_dir(shelf).unwrap()).map(|file| file.unwrap().path());
    files.filter(|path| path.extension().is_none()).collect()
}

#[test]
fn a_large_result_goes_to_a_blob_and_reads_the_same() {
    let postgres = PostgresServer::shared().database();
    let files = ("FILES_URL", "file:files");
    for settings in [&[files][..], &[files, ("DATABASE_URL", postgres.as_str()), ("SECRET_KEYS", SECRET_KEYS)]] {
        let server = Served::start(settings);
        let large = "\u{e4}\"\\ ".repeat(10 * 1024);
        assert_eq!(server.send("PUT", "/api/v1/files/large", &[("content-type", "text/plain")], &large).status, 200);
        let read = json!({"name": "large", "length": 65_536}).to_string();
        assert_eq!(server.post("/api/v1/tools/files.read/call", &read).status, 200);
        assert_eq!(server.post("/api/v1/tools/time.now/call", "{}").status, 200);
        let shown = server.get("/api/v1/calls").body;
        assert_eq!(shown["calls"][1]["result"]["structuredContent"]["text"], large);
        let of_the_file = blobs(server.folder());

        let (_, _, folder) = server.stop();
        let server = Served::start_in(folder, settings);
        let of_the_call = || &blobs(server.folder()) - &of_the_file;
        until("its result is in a blob", || of_the_call().len() == 1);
        let blob = of_the_call().pop_first().unwrap();
        let aside = server.folder().join("aside");
        std::fs::rename(&blob, &aside).unwrap();
        until("it is read there", || server.get("/api/v1/calls").status != 200);
        let verify = || binary(server.folder(), settings).args(["audit", "verify"]).output().unwrap();
        assert_eq!(verify().status.code(), Some(6), "{}", text(&verify().stdout));
        std::fs::rename(&aside, &blob).unwrap();
        assert_eq!(server.get("/api/v1/calls").body, shown);
        let verified = verify();
        assert_eq!(verified.status.code(), Some(0), "{}{}", text(&verified.stdout), text(&verified.stderr));
    }
}

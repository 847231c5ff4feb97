//! The bundled server whose machine loses its power a moment after its first start.

use mcp_store::test_servers::PowerCut;
use tempfile::TempDir;

use crate::served::{Served, binary};

#[test]
fn what_was_acknowledged_and_the_key_that_seals_survive_a_power_cut() {
    let (folder, left) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let power_cut = PowerCut::of(folder.path());
    let mut command = binary(folder.path(), &[("PORT", "0")]);
    power_cut.befalls(&mut command);
    let server = Served::run(command, folder);
    let written = server.post("/api/v1/tools/notes.write/call", r#"{"name": "a", "text": "remember me"}"#);
    assert_eq!(written.status, 200, "{written:?}");
    let folder = server.kill();
    power_cut.leave(&left.path().join("left"));

    let key = |path: &std::path::Path| std::fs::read(path.join("data/secret.key")).unwrap();
    assert_eq!(key(&left.path().join("left")), key(folder.path()));
    let server = Served::start_in(left, &[("DATABASE_URL", "sqlite:./left/data/mcp.db?mode=rw")]);
    let note = server.post("/api/v1/tools/notes.read/call", r#"{"name": "a"}"#).body;
    assert_eq!(note["structuredContent"]["text"], "remember me", "{note}");
    assert_eq!(server.get("/api/v1/calls?tool=notes.write").body["calls"].as_array().unwrap().len(), 1);
}

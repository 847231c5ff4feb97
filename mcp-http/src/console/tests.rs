use std::collections::BTreeSet;
use std::path::Path;

use actix_web::App;
use actix_web::test::{TestRequest, call_service, init_service, read_body_json};
use mcp_core::Server;
use mcp_core::caller::KeyOrLoopback;
use mcp_core::caller::browsers::Browsers;

use super::*;

/// How many bytes all of it has at the most.
const LARGEST: usize = 150 * 1024;

/// The files below a folder that pages are made of.
fn files(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if ["html", "js", "css", "svg"].iter().any(|end| path.extension().is_some_and(|it| it == *end)) {
            found.insert(std::fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn each_file_is_served_and_all_of_them_are_small() {
    let mut found = BTreeSet::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/console"), &mut found);
    let served: BTreeSet<String> = ASSETS.iter().map(|asset| asset.text.to_owned()).collect();
    assert!(found == served, "a file of src/console is not among those that are served");
    let bytes: usize = ASSETS.iter().map(|asset| asset.text.len()).sum();
    assert!(bytes < LARGEST, "the console has {bytes} bytes");
}

#[test]
fn what_a_page_imports_is_served() {
    let known: BTreeSet<&str> = ASSETS.iter().map(|asset| asset.path).collect();
    for asset in ASSETS.iter().filter(|asset| asset.path.ends_with(".js")) {
        let imports =
            asset.text.lines().filter(|line| line.starts_with("import ")).filter_map(|line| line.split('"').nth(1));
        for import in imports {
            let (mut folder, mut rest) = (asset.path.rsplit_once('/').unwrap().0, import);
            rest = rest.strip_prefix("./").unwrap_or(rest);
            while let Some(above) = rest.strip_prefix("../") {
                (folder, rest) = (folder.rsplit_once('/').unwrap().0, above);
            }
            let path = format!("{folder}/{rest}");
            assert!(known.contains(path.as_str()), "{} imports {import}", asset.path);
        }
    }
}

#[actix_web::test]
async fn an_embedder_mounts_it_beside_rest_under_any_prefix() {
    let server = Server::builder("house", "1").build().unwrap();
    let access = KeyOrLoopback::loopback_only().or_key("the key of a browser").everyone_needs_it();
    let endpoint = Endpoint::new(server).authenticate(access);
    let api = web::scope("/api/v1").configure(crate::rest(endpoint.clone()));
    let ops = web::scope("/ops").configure(console(endpoint)).service(api);
    let app = init_service(App::new().service(ops)).await;
    let ask = |request: TestRequest| request.insert_header((Browsers::HEADER, "console")).to_request();
    let page = call_service(&app, ask(TestRequest::get().uri("/ops/console"))).await;
    assert_eq!(page.status(), 200);
    let begin = TestRequest::post().uri("/ops/console/session").set_payload(r#"{"key": "the key of a browser"}"#);
    let begun = call_service(&app, ask(begin)).await;
    assert_eq!(begun.status(), 204);
    let cookie = begun.headers().get("set-cookie").unwrap().to_str().unwrap().split(';').next().unwrap().to_owned();
    let shown =
        call_service(&app, ask(TestRequest::get().uri("/ops/api/v1/system").insert_header(("cookie", cookie)))).await;
    assert_eq!(shown.status(), 200);
    let system: serde_json::Value = read_body_json(shown).await;
    assert_eq!(
        (&system["name"], &system["mcp"], &system["parts"]),
        (&"house".into(), &serde_json::Value::Null, &serde_json::json!([]))
    );
}

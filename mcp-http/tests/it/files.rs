//! Files over REST: written, read in part, listed and removed by their owner.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::process::Command;

use mcp_store::test_servers::{Fault, FaultProxy, PostgresServer, S3Server};
use serde_json::{Value, json};

use crate::openapi::Document;
use crate::outages::SECRET_KEYS;
use crate::served::{Reply, Served, binary, text, until};

/// The names in a list.
fn names(list: &Reply) -> Vec<&str> {
    list.body["files"].as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap()).collect()
}

fn put(server: &Served, name: &str, bytes: &str) -> Reply {
    server.send("PUT", &format!("/api/v1/files/{name}"), &[("content-type", "text/plain")], bytes)
}

#[test]
fn a_file_is_written_read_listed_and_removed() {
    let server = Served::start(&[]);
    let document = Document::of(&server);
    let holds = |method, path, reply: &Reply| document.holds(method, path, reply);
    let (files, file) = ("/api/v1/files", "/api/v1/files/{name}");
    for name in ["notes/a.txt", "notes%2Fb%20c.txt", "z"] {
        let written = put(&server, name, "hello, file");
        assert_eq!((written.status, &written.body["size"]), (200, &json!(11)), "{name}: {}", written.body);
        holds("PUT", file, &written);
    }
    let read = server.get("/api/v1/files/notes/b%20c.txt");
    assert_eq!((read.status, &*read.content_type, &read.body), (200, "text/plain", &json!("hello, file")));
    for (header, value) in [
        ("content-length", "11"),
        ("accept-ranges", "bytes"),
        ("x-content-type-options", "nosniff"),
        ("content-disposition", "attachment"),
        ("content-security-policy", "sandbox"),
        ("cache-control", "private, no-cache"),
    ] {
        assert_eq!(read.header(header), Some(value), "{header}");
    }

    let list = server.get("/api/v1/files");
    assert_eq!(names(&list), ["notes/a.txt", "notes/b c.txt", "z"]);
    holds("GET", files, &list);
    let page = server.get("/api/v1/files?prefix=notes/&limit=1");
    assert_eq!((names(&page), &page.body["next"]), (vec!["notes/a.txt"], &json!("notes/a.txt")));
    let last = server.get("/api/v1/files?prefix=notes/&limit=1&after=notes/a.txt");
    assert_eq!((names(&last), &last.body["next"]), (vec!["notes/b c.txt"], &Value::Null));
    let xml = server.get_with("/api/v1/files?limit=1", &[("accept", "application/xml")]);
    assert!(xml.body.as_str().unwrap().contains("<name>notes/a.txt</name>"), "{}", xml.body);

    let removed = server.send("DELETE", "/api/v1/files/notes/a.txt", &[], "");
    assert_eq!((removed.status, &removed.body), (200, &json!({"removed": "notes/a.txt"})));
    holds("DELETE", file, &removed);
    for (method, name) in [("DELETE", "notes/a.txt"), ("GET", "notes/a.txt"), ("GET", "Z")] {
        let gone = server.send(method, &format!("/api/v1/files/{name}"), &[], "");
        assert_eq!(gone.status, 404, "{method} {name}: {}", gone.body);
        holds(method, file, &gone);
    }
    for (name, content_type) in [("", "text/plain"), (&*"n".repeat(1025), "text/plain"), ("n", &*"t".repeat(256))] {
        let refused = server.send("PUT", &format!("/api/v1/files/{name}"), &[("content-type", content_type)], "bytes");
        assert_eq!(refused.status, 400, "{name}: {}", refused.body);
    }
    server.stop();
}

#[test]
fn a_part_is_read_and_what_is_known_is_not_sent_again() {
    let server = Served::start(&[]);
    put(&server, "alphabet", "abcdefghijklmnopqrstuvwxyz");
    let path = "/api/v1/files/alphabet";
    let whole = server.get(path);
    let tag = whole.header("etag").unwrap().to_owned();
    for (range, part, content_range) in [
        ("bytes=0-3", "abcd", "bytes 0-3/26"),
        ("bytes=24-99", "yz", "bytes 24-25/26"),
        ("bytes=25-", "z", "bytes 25-25/26"),
        ("bytes=-2", "yz", "bytes 24-25/26"),
    ] {
        for headers in [&[("range", range)][..], &[("range", range), ("if-range", &tag)]] {
            let read = server.get_with(path, headers);
            assert_eq!((read.status, &read.body), (206, &json!(part)), "{range}");
            assert_eq!(read.header("content-range"), Some(content_range));
            assert_eq!(read.header("etag"), Some(&*tag));
        }
    }
    // Several ranges, what is no range, and a range of another file are answered by the whole.
    for headers in [
        &[("range", "bytes=0-1,3-4")][..],
        &[("range", "pages=1-2")],
        &[("range", "bytes=0-3"), ("if-range", "\"another\"")],
        &[("if-none-match", "\"another\"")],
        &[("accept", "image/png")],
    ] {
        let read = server.get_with(path, headers);
        assert_eq!((read.status, &read.body), (200, &whole.body), "{headers:?}");
    }
    let beyond = server.get_with(path, &[("range", "bytes=26-")]);
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some("bytes */26")), "{}", beyond.body);
    Document::of(&server).holds("GET", "/api/v1/files/{name}", &beyond);
    for known in [&*tag, "*", &format!("\"another\", W/{tag}")] {
        let same = server.get_with(path, &[("if-none-match", known)]);
        assert_eq!((same.status, &same.body, same.header("etag")), (304, &json!(""), Some(&*tag)), "{known}");
    }
    let another = put(&server, "alphabet", "abc").body;
    assert_eq!(
        server.get_with(path, &[("if-none-match", &tag)]).header("etag"),
        Some(&*format!("{:?}", another["hash"].as_str().unwrap()))
    );
    server.stop();
}

#[test]
fn what_is_too_large_or_finds_no_room_is_refused_and_changes_nothing() {
    let server = Served::start(&[("MAX_FILE", "100KiB"), ("FILES_QUOTA", "150KiB")]);
    let document = Document::of(&server);
    let bytes = |kib: usize| "x".repeat(kib * 1024);
    assert_eq!(put(&server, "first", &bytes(100)).status, 200);
    let too_large = put(&server, "first", &bytes(101));
    assert_eq!(too_large.status, 413, "{}", too_large.body);
    document.holds("PUT", "/api/v1/files/{name}", &too_large);
    let full = put(&server, "second", &bytes(49));
    assert_eq!(full.status, 507, "{}", full.body);
    document.holds("PUT", "/api/v1/files/{name}", &full);
    assert_eq!(put(&server, "second", &bytes(48)).status, 200);
    // One that does not say how large it is.
    let mut stream = connect(&server, "PUT /api/v1/files/third", "transfer-encoding: chunked\r\n");
    let chunk = format!("{:x}\r\n{}\r\n", 1024 * 64, bytes(64));
    let answer = {
        // The server may close before all is sent.
        let _ = stream.write_all(chunk.repeat(2).as_bytes());
        read_answer(stream)
    };
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert_eq!(names(&server.get("/api/v1/files")), ["first", "second"]);
    assert_eq!(server.get("/api/v1/files/first").header("content-length"), Some("102400"));
    server.stop();
}

/// A request with this head, on a connection of its own, without its end.
fn connect(server: &Served, line: &str, headers: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    write!(stream, "{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n").unwrap();
    stream
}

fn read_answer(mut stream: TcpStream) -> String {
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    // The head is enough: a connection on which not all was sent may stay for a while.
    while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => break,
            Ok(count) => answer.extend_from_slice(&piece[..count]),
        }
    }
    text(&answer)
}

#[test]
fn a_body_that_stops_coming_leaves_nothing() {
    let server = Served::start(&[("BODY_TIMEOUT", "500ms")]);
    let mut slow = connect(&server, "PUT /api/v1/files/slow", "content-length: 1000\r\n");
    slow.write_all(b"not all of it").unwrap();
    let answer = read_answer(slow);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    let mut left = connect(&server, "PUT /api/v1/files/left", "content-length: 1000\r\n");
    left.write_all(b"not all of it").unwrap();
    left.shutdown(Shutdown::Both).unwrap();
    assert_eq!(put(&server, "whole", "all of it").status, 200);
    assert_eq!(names(&server.get("/api/v1/files")), ["whole"]);
    // Nor is anything left on the disk.
    until("one file is left", || files_in(&server.folder().join("data/files")) == 1);
    server.stop();
}

fn files_in(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { files_in(&path) } else { 1 }).sum()
}

#[test]
fn a_large_file_goes_through_in_little_memory() {
    const MIB: usize = 1024 * 1024;
    let server = Served::start(&[("MAX_FILE", "256MiB")]);
    let memory = || server.metric("process_resident_memory_bytes").unwrap();
    put(&server, "small", "to have done it once");
    let before = memory();
    let mut upload = connect(&server, "PUT /api/v1/files/large", &format!("content-length: {}\r\n", 200 * MIB));
    let piece = vec![7; MIB];
    for _ in 0..200 {
        upload.write_all(&piece).unwrap();
    }
    let answer = read_answer(upload);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let mut download = connect(&server, "GET /api/v1/files/large", "");
    let mut read = 0;
    let mut buffer = vec![0; MIB];
    loop {
        match download.read(&mut buffer).unwrap() {
            0 => break,
            count => read += count,
        }
    }
    assert!(read > 200 * MIB, "{read}");
    let grown = memory().saturating_sub(before);
    assert!(grown < 64 * MIB, "{} MiB more for 200 MiB twice", grown / MIB);
    server.stop();
}

#[test]
fn only_its_owner_has_a_file() {
    let server = Served::start(&[("API_KEY", "0123456789abcdef")]);
    put(&server, "mine", "a secret");
    let key = [("authorization", "Bearer 0123456789abcdef")];
    for (method, status) in [("GET", 404), ("DELETE", 404)] {
        assert_eq!(server.send(method, "/api/v1/files/mine", &key, "").status, status, "{method}");
    }
    assert_eq!(names(&server.get_with("/api/v1/files", &key)), [""; 0]);
    assert_eq!(server.send("PUT", "/api/v1/files/mine", &key, "another's").status, 200);
    assert_eq!(server.get("/api/v1/files/mine").body, "a secret");
    let wrong = [("authorization", "Bearer wrong-wrong-wrong")];
    assert_eq!(server.send("PUT", "/api/v1/files/mine", &wrong, "nobody's").status, 401);
    server.stop();
}

#[test]
fn what_was_written_is_there_after_a_restart_and_a_change_of_the_keys() {
    let server = Served::start(&[]);
    put(&server, "kept", "still here");
    let (_, _, folder) = server.stop();
    let old = std::fs::read_to_string(folder.path().join("data/secret.key")).unwrap();
    let both = format!("{SECRET_KEYS},{}", old.trim());
    let server = Served::start_in(folder, &[("SECRET_KEYS", &both)]);
    assert_eq!(server.get("/api/v1/files/kept").body, "still here");
    // The same bytes are known to be the same.
    assert_eq!(put(&server, "also", "still here").body["hash"], server.get("/api/v1/files").body["files"][1]["hash"]);
    until("one blob", || files_in(&server.folder().join("data/files")) == 1);
    server.stop();
}

#[test]
fn on_postgres_files_are_kept_where_files_url_says_and_nowhere_else() {
    let url = PostgresServer::shared().database();
    let settings = [("DATABASE_URL", &*url), ("SECRET_KEYS", SECRET_KEYS)];
    let server = Served::start(&settings);
    let off = put(&server, "one", "bytes");
    assert_eq!(off.status, 503, "{}", off.body);
    assert_eq!(server.post("/api/v1/tools/files.list/call", "{}").status, 404);
    server.stop();
    let server = Served::start(&[settings[0], settings[1], ("FILES_URL", "file:./kept/here")]);
    assert_eq!(put(&server, "one", "bytes").status, 200);
    assert_eq!(server.get("/api/v1/files/one").body, "bytes");
    assert_eq!(files_in(&server.folder().join("kept/here")), 1);
    let listed = server.post("/api/v1/tools/files.list/call", "{}").body;
    assert_eq!(listed["structuredContent"]["files"][0]["name"], "one", "{listed}");
    server.stop();
}

#[test]
fn in_a_bucket_files_are_kept_and_while_it_is_away_none_is_said_to_be_gone() {
    let bucket = S3Server::shared();
    let (proxy, place) = (FaultProxy::to(bucket.port()), bucket.place());
    let (endpoint, variables) = (proxy.url(bucket.url()), bucket.variables());
    let mut settings = vec![("FILES_URL", &*place)];
    settings.extend(variables.iter().map(|(name, value)| match &**name {
        "AWS_ENDPOINT_URL" => ("AWS_ENDPOINT_URL", &*endpoint),
        name => (name, &**value),
    }));
    let server = Served::start(&settings);
    assert_eq!(put(&server, "one", "bytes").status, 200);
    assert!(!server.folder().join("data/files").exists());

    proxy.set(Fault::Close);
    for away in [server.get("/api/v1/files/one"), put(&server, "two", "others")] {
        assert_eq!((away.status, away.header("retry-after")), (503, Some("1")), "{}", away.body);
    }
    assert_eq!(server.get("/api/v1/files").body["files"][0]["name"], "one", "what is in the database is told");
    let is = |state: &str, word: &str| {
        let health = server.get("/health");
        health.status == 200 && health.body["checks"]["blobs"]["state"] == state && health.body["status"] == word
    };
    until("health tells that it is away, and that calls go on", || is("down", "degraded"));
    proxy.set(Fault::Nothing);
    until("health tells that it is there again", || is("up", "ok"));
    assert_eq!(server.get("/api/v1/files/one").body, "bytes");
    assert_eq!(server.get("/api/v1/files/two").status, 404);
    server.stop();

    let missing = [("FILES_URL", "s3://no-such-bucket"), settings[1], settings[2], settings[3], settings[4]];
    let refused = binary(tempfile::tempdir().unwrap().path(), &missing).output().unwrap();
    assert_eq!(refused.status.code(), Some(3));
    assert!(text(&refused.stderr).contains("FILES_URL (from the environment): cannot use the bucket no-such-bucket"));
}

/// The lines of docs/files.md, as they stand there.
#[test]
fn the_lines_of_the_documentation_run() {
    let server = Served::start(&[]);
    let documentation = include_str!("../../../docs/files.md");
    let lines = documentation.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    let script = format!("set -e\n{}", lines.replace("http://127.0.0.1:8000", &server.url));
    std::fs::write(server.folder().join("report.pdf"), "%PDF-1.7 a report").unwrap();
    let ran = Command::new("sh").args(["-c", &script]).current_dir(server.folder()).output().unwrap();
    let said = text(&ran.stdout);
    assert!(ran.status.success(), "{said}{}", text(&ran.stderr));
    for part in ["\"size\":17", "%PDF-1.7", "\"name\":\"2026/report.pdf\"", "\"removed\":\"2026/report.pdf\""] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
    server.stop();
}

//! Runs what README.md says: starts each example, sends what its `curl` line sends, and compares the answer.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const README: &str = include_str!("../README.md");

macro_rules! examples {
    ($($(#[$attribute:meta])* $name:ident,)*) => {
        $($(#[$attribute])* #[test] fn $name() { try_out(stringify!($name)); })*

        /// The names of all examples that have a test here.
        const EXAMPLES: &[&str] = &[$(stringify!($name)),*];
    };
}

examples! {
    agent_by_hand,
    #[cfg(feature = "bundled")]
    approval,
    embed_actix,
    #[cfg(feature = "bundled")]
    everything,
    first_tool,
    hello,
    host_axum,
    #[cfg(feature = "bundled")]
    own_server,
    progress,
    #[cfg(feature = "bundled")]
    research_team,
    #[cfg(feature = "bundled")]
    run,
    session,
    tool_by_hand,
}

#[test]
fn each_file_is_in_the_readme_and_here() {
    let files = fs::read_dir(env!("CARGO_MANIFEST_DIR")).expect("the package has a folder");
    let paths = files.map(|file| file.expect("a file of the package").path());
    let mut names: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("lib.rs"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort_unstable();
    assert_eq!(names, EXAMPLES);
    for name in names {
        assert!(README.contains(&format!("| `{name}.rs` |")), "{name} has no row in the table");
    }
}

/// Starts an example, and goes through what its section of the README says.
fn try_out(name: &str) {
    let section = README.split("\n### ").find_map(|section| section.strip_prefix(&format!("{name}\n")));
    let section = section.unwrap_or_else(|| panic!("README.md has no section {name}"));
    let commands = block(section, "sh");
    assert!(commands.contains(&format!("cargo run -p examples --example {name}\n")), "{commands}");
    let answer = ["json", "text"].map(|kind| block(section, kind)).concat();

    let example = Example::start(name);
    let curl = commands.lines().find(|line| line.starts_with("curl ")).expect("there is a curl line");
    let answered = example.send(curl);
    assert!(is_like(answered.trim(), answer.trim()), "{answered}");
}

/// Whether an answer is what the README shows, where `…` stands for what is another each time.
fn is_like(answered: &str, shown: &str) -> bool {
    match shown.split_once('…') {
        None => answered == shown,
        Some((begins, ends)) => {
            answered.len() > shown.len() && answered.starts_with(begins) && answered.ends_with(ends)
        }
    }
}

/// The first fenced block of that kind, or nothing.
fn block(section: &str, kind: &str) -> String {
    let mut parts = section.split("```");
    let found = parts.find_map(|part| part.strip_prefix(&format!("{kind}\n")));
    found.unwrap_or_default().to_owned()
}

/// An example that runs, in a folder of its own.
struct Example {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Example {
    fn start(name: &str) -> Self {
        let own = std::env::current_exe().expect("this test has a file");
        let program =
            own.parent().and_then(Path::parent).expect("it lies in target/*/deps").join("examples").join(name);
        assert!(program.exists(), "{} is missing: build it by `cargo build -p examples --examples`", program.display());
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        drop(listener);
        let mut command = Command::new(program);
        command.env("PORT", port.to_string()).current_dir(&folder).stdout(Stdio::null());
        let process = command.spawn().expect("it can be started");
        Self { process, port, _folder: folder }
    }

    /// Sends what a `curl` line sends, and gives the body of the answer.
    fn send(mut self, curl: &str) -> String {
        let (mut head, mut body, mut headers) = (String::new(), String::new(), String::new());
        let mut words = words(curl).into_iter().skip(1);
        while let Some(word) = words.next() {
            match &*word {
                "-N" | "-s" => {}
                "-H" => headers += &format!("{}\r\n", words.next().expect("-H has a value")),
                "-d" => body = words.next().expect("-d has a value"),
                url => {
                    let (host, path) = url.strip_prefix("http://").and_then(|url| url.split_once('/')).expect("a URL");
                    assert_eq!(host, "127.0.0.1:8000");
                    head = format!("/{path} HTTP/1.0\r\nHost: {host}\r\n");
                }
            }
        }
        let verb = if body.is_empty() { "GET" } else { "POST" };
        let request = format!("{verb} {head}{headers}Content-Length: {}\r\n\r\n{body}", body.len());
        let mut connection = self.connect();
        connection.write_all(request.as_bytes()).expect("the example reads");
        let mut response = String::new();
        connection.read_to_string(&mut response).expect("the example answers");
        let (head, body) = response.split_once("\r\n\r\n").expect("a response has a head");
        assert!(head.contains(" 200 OK"), "{response}");
        body.to_owned()
    }

    /// Waits until the example listens.
    fn connect(&mut self) -> TcpStream {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Ok(connection) = TcpStream::connect(("127.0.0.1", self.port)) {
                return connection;
            }
            let ended = self.process.try_wait().expect("it was started here");
            assert_eq!(ended, None, "the example has ended");
            assert!(Instant::now() < deadline, "the example does not listen on PORT");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Splits a line as a shell does that knows single quotes only.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (n, part) in line.split('\'').enumerate() {
        match n % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

//! TLS, with real clients.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mcp_store::test_servers::Authority;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::served::{Served, binary, text};
use crate::stop::wait_until;

/// Starts a server with a certificate of `authority`.
fn start(authority: &Authority, settings: &[(&str, &str)]) -> Served {
    let folder = tempfile::tempdir().unwrap();
    authority.vouch("localhost", folder.path());
    Served::start_in(folder, &[settings, &[("TLS_CERT", "server.pem"), ("TLS_KEY", "server.key")]].concat())
}

/// The status and the headers of an answer, to a client that trusts `authority` alone.
fn get(server: &Served, authority: &Authority) -> Result<(u16, Option<String>), ureq::Error> {
    let authority = Certificate::from_pem(&std::fs::read(authority.file()).unwrap()).unwrap();
    let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&[authority])).build();
    let agent = ureq::Agent::config_builder().tls_config(tls).build().new_agent();
    let url = server.url.replace("http://127.0.0.1", "https://localhost");
    let answer = agent.get(format!("{url}/health/live")).call()?;
    let strictly = answer.headers().get("strict-transport-security");
    Ok((answer.status().as_u16(), strictly.map(|value| value.to_str().unwrap().to_owned())))
}

fn connect(server: &Served) -> TcpStream {
    let tcp = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    tcp.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    tcp
}

/// What a client of this version, which offers these protocols, agrees upon with the server.
fn agree(
    server: &Served,
    authority: &Authority,
    version: &'static SupportedProtocolVersion,
    protocols: &[&str],
) -> std::io::Result<Option<Vec<u8>>> {
    let mut trusted = RootCertStore::empty();
    trusted.add(CertificateDer::from_pem_file(authority.file()).unwrap()).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let client = client.with_protocol_versions(&[version]).unwrap().with_root_certificates(trusted);
    let mut client = client.with_no_client_auth();
    client.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = StreamOwned::new(ClientConnection::new(Arc::new(client), name).unwrap(), connect(server));
    stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    assert_eq!(&answer, b"HTTP/1.1 200");
    Ok(stream.conn.alpn_protocol().map(<[u8]>::to_vec))
}

#[test]
fn it_is_spoken_in_both_versions_and_for_one_protocol() {
    let authority = Authority::new();
    let server = start(&authority, &[]);
    assert!(server.said[0].starts_with("listening  https://"), "{:?}", server.said);
    assert_eq!(get(&server, &authority).unwrap(), (200, Some("max-age=31536000".to_owned())));
    assert!(get(&server, &Authority::new()).is_err(), "whoever trusts another is not taken in");
    for version in [&TLS12, &TLS13] {
        assert_eq!(agree(&server, &authority, version, &["h2", "http/1.1"]).unwrap().unwrap(), b"http/1.1");
        assert_eq!(agree(&server, &authority, version, &[]).unwrap(), None);
        assert!(agree(&server, &authority, version, &["h2"]).is_err());
    }
}

#[test]
fn browsers_are_not_told_to_come_by_tls_alone_where_that_is_not_wanted() {
    let authority = Authority::new();
    let server = start(&authority, &[("HSTS", "0")]);
    assert_eq!(get(&server, &authority).unwrap(), (200, None));
    assert_eq!(Served::start(&[]).get("/health/live").header("strict-transport-security"), None);
}

#[test]
fn whoever_speaks_without_it_is_told_and_whoever_says_nothing_is_not_waited_for() {
    let authority = Authority::new();
    let server = start(&authority, &[]);
    let mut plain = connect(&server);
    plain.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    plain.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.ends_with("use https://..."), "{answer}");
    assert_eq!(get(&server, &authority).unwrap().0, 200);
    let server = start(&authority, &[("HEAD_TIMEOUT", "500ms")]);
    for begin in [&b""[..], &[22, 3]] {
        let mut silent = connect(&server);
        let _ = silent.write_all(begin);
        let read = silent.read(&mut [0; 16]);
        let closed = read.as_ref().map_or_else(|error| error.kind() == ErrorKind::ConnectionReset, |read| *read == 0);
        assert!(closed, "{read:?}");
    }
}

#[test]
fn a_new_certificate_is_shown_without_a_restart() {
    let (one, other) = (Authority::new(), Authority::new());
    let server = start(&one, &[]);
    assert!(get(&server, &one).is_ok() && get(&server, &other).is_err());
    other.vouch("localhost", server.folder());
    server.send_signal("-HUP");
    wait_until(|| get(&server, &other).is_ok());
    assert!(get(&server, &one).is_err());
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let authority = Authority::new();
    authority.vouch("localhost", folder.path());
    authority.vouch("localhost", other.path());
    let foreign = other.path().join("server.key");
    let foreign = foreign.to_str().unwrap();
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);
    let cases: &[Case<'_>] = &[
        (&[("TLS_CERT", "server.pem")], "TLS_KEY", "the key of TLS_CERT"),
        (&[("TLS_KEY", "server.key")], "TLS_CERT", "the certificate of TLS_KEY"),
        (&[("TLS_CERT", "none.pem"), ("TLS_KEY", "server.key")], "TLS_CERT", "none.pem cannot be read"),
        (&[("TLS_CERT", "server.key"), ("TLS_KEY", "server.key")], "TLS_CERT", "expected a PEM file"),
        (&[("TLS_CERT", "server.pem"), ("TLS_KEY", "server.pem")], "TLS_KEY", "expected a PEM file"),
        (&[("TLS_CERT", "server.pem"), ("TLS_KEY", foreign)], "TLS_KEY", "not the key of the certificate"),
    ];
    for (settings, key, words) in cases {
        let said = refusal(folder.path(), settings);
        assert!(said.contains(*key) && said.contains(*words), "{settings:?}: {said}");
    }
}

fn refusal(folder: &Path, settings: &[(&str, &str)]) -> String {
    let ended = binary(folder, settings).env("PORT", "0").output().unwrap();
    let said = text(&ended.stderr);
    assert_eq!((ended.status.code(), said.lines().count()), (Some(3), 1), "{said}");
    said
}

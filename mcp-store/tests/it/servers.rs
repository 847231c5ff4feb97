//! The servers that tests start.

use std::io::{Read, Write};
use std::net::TcpStream;

use mcp_store::test_servers::{PostgresServer, RedisServer};

#[test]
fn a_postgres_keeps_its_data_through_what_befalls_it() {
    let server = PostgresServer::start();
    assert_eq!(server.database(), server.url("test_0"));
    server.query("test_0", "CREATE TABLE kept (n int)");
    server.query("test_0", "INSERT INTO kept VALUES (1)");
    server.stop();
    server.restart();
    server.query("test_0", "INSERT INTO kept VALUES (2)");
    server.kill();
    server.restart();
    server.freeze();
    server.thaw();
    assert_eq!(server.query("test_0", "SELECT sum(n), count(*) FROM kept"), "3|2");
}

#[test]
fn a_redis_keeps_its_data_through_what_befalls_it() {
    let server = RedisServer::start();
    assert_eq!(tell(&server, "SET kept 1"), "+OK");
    server.stop();
    server.restart();
    server.freeze();
    server.thaw();
    assert_eq!(tell(&server, "INCR kept"), ":2");
    server.kill();
    server.restart_empty();
    assert_eq!(tell(&server, "EXISTS kept"), ":0");
}

#[test]
fn a_server_ends_with_whoever_started_it_even_if_it_is_frozen() {
    let (postgres, redis) = (PostgresServer::start(), RedisServer::start());
    let ports = [postgres.port(), redis.port()];
    postgres.freeze();
    drop((postgres, redis));
    for port in ports {
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "something still listens on {port}");
    }
}

/// Sends one command and gives the first line of the answer.
fn tell(server: &RedisServer, command: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

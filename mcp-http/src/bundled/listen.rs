//! The socket of the bundled server. What actix-web leaves open is closed here: how many connections one address has, how long a head
//! may take that is not the first of its connection, how long an answer may wait for a client that does not read; and TLS.

mod connection;
mod door;
mod patience;
mod tls;

use std::fmt;
use std::io;
use std::net::{TcpListener, ToSocketAddrs};
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, Request, Response};
use actix_service::{IntoServiceFactory, ServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{AppConfig, Server};
use actix_web::rt::net::TcpStream;

use socket2::{Domain, Socket, Type};

use crate::config::Config;
use connection::Connection;
pub(super) use door::Door;
pub(super) use tls::Tls;

/// Listens at all addresses that the host has, of which one must be free.
pub(super) fn bind(config: &Config) -> io::Result<Vec<TcpListener>> {
    let addresses = (config.host.as_str(), config.port).to_socket_addrs()?;
    let (mut sockets, mut failed) = (Vec::new(), None);
    for address in addresses {
        let bound = (|| {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
            #[cfg(not(windows))]
            socket.set_reuse_address(true)?;
            socket.bind(&address.into())?;
            socket.listen(WAITING)?;
            Ok(TcpListener::from(socket))
        })();
        match bound {
            Ok(socket) => sockets.push(socket),
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        Some(error) if sockets.is_empty() => Err(error),
        _ => Ok(sockets),
    }
}

/// How many connections wait to be taken.
const WAITING: i32 = 1024;

/// Serves an app to whoever comes through `door`, by HTTP/1.1.
pub(super) fn serve<F, I, S, B>(config: &Config, sockets: Vec<TcpListener>, door: Door, app: F) -> io::Result<Server>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig, InitError: fmt::Debug, Service: 'static, Future: 'static> + 'static,
    S::Error: Into<Response<BoxBody>>,
    S::Response: Into<Response<B>>,
    S::Service: actix_service::Service<Request, Future: 'static>,
    B: MessageBody + 'static,
{
    let mut builder = Server::build()
        .workers(config.workers)
        // It is the door that counts.
        .max_concurrent_connections(config.max_connections.saturating_mul(2))
        .disable_signals()
        .shutdown_timeout(config.stop_timeout.as_secs().max(1));
    let stopping = builder.graceful_shutdown_signal();
    let (head_timeout, keep_alive) = (config.head_timeout, config.keep_alive);
    let factory = move || {
        let (door, stopping) = (door.clone(), stopping.clone());
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .client_request_timeout(head_timeout)
            .keep_alive(keep_alive)
            .client_disconnect_timeout(LAST_WORDS)
            .h1_allow_half_closed(false)
            .on_connect_ext(|connection: &Connection, data| {
                data.insert(connection.occupied());
            })
            .h1(map_config(app(), |()| AppConfig::default()));
        fn_service(move |tcp: TcpStream| {
            let door = door.clone();
            async move { door.open(tcp).await.map_err(DispatchError::Io) }
        })
        .and_then(http)
    };
    for socket in sockets {
        builder = builder.listen("mcp-http", socket, factory.clone())?;
    }
    Ok(builder.run())
}

/// How long a connection that ends may take over its last bytes.
const LAST_WORDS: Duration = Duration::from_secs(1);

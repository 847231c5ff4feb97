//! Requests, by the clock: they come whether those before were answered or not, and each is late from the moment it was due.

use std::cell::RefCell;
use std::error::Error;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use crate::Figures;
use crate::burn;
use crate::house::House;

/// So many a second, for so long.
pub(crate) struct Load {
    pub(crate) rate: f64,
    pub(crate) extent: Duration,
    pub(crate) tool: &'static str,
}

/// How many connections there are at the most.
const MOST: usize = 8_000;
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

type Outcome<T> = Result<T, Box<dyn Error>>;

/// What all requests of a load share.
struct Shared {
    house: std::net::SocketAddr,
    request: Vec<u8>,
    idle: RefCell<Vec<TcpStream>>,
    under_way: RefCell<usize>,
    figures: RefCell<Figures>,
}

impl Load {
    pub(crate) async fn run(&self, house: &House) -> Outcome<Figures> {
        let shared = Rc::new(Shared::new(house, call(self.tool)));
        let local = LocalSet::new();
        let begun = Instant::now();
        local
            .run_until(async {
                let mut sent = 0_u64;
                while begun.elapsed() < self.extent {
                    let due = (begun.elapsed().as_secs_f64() * self.rate) as u64;
                    for n in sent..due {
                        let at = begun + Duration::from_secs_f64(n as f64 / self.rate);
                        tokio::task::spawn_local(shared.clone().send(at));
                    }
                    sent = due;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                while *shared.under_way.borrow() > 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            })
            .await;
        drop(local);
        Ok(shared.figures.take().sort(self.extent))
    }
}

/// As many at once, each after the other.
pub(crate) async fn at_once(house: &House, clients: usize, extent: Duration) -> Outcome<Figures> {
    let shared = Rc::new(Shared::new(house, call(burn::NAME)));
    let begun = Instant::now();
    let clients = (0..clients).map(|_| async {
        while begun.elapsed() < extent {
            shared.clone().send(Instant::now()).await;
        }
    });
    futures_util::future::join_all(clients).await;
    let figures = shared.figures.take().sort(begun.elapsed());
    if figures.others() > 0 || figures.accepted() == 0 {
        return Err(format!("without overload: {}", figures.show()).into());
    }
    Ok(figures)
}

/// Asks for the health ten times a second.
pub(crate) async fn health(house: &House, extent: Duration) -> Outcome<Figures> {
    let mut figures = Figures::default();
    for path in ["/health/live", "/health/ready"].into_iter().cycle() {
        if figures.extent >= extent {
            break;
        }
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        let (begun, mut connection) = (Instant::now(), None);
        let ended = exchange(house.address, &mut connection, request.as_bytes()).await;
        figures.count(ended, begun.elapsed());
        figures.extent += Duration::from_millis(100);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(figures.sort(extent))
}

/// How long it takes until calls are accepted, and answered this fast, ten in a row.
pub(crate) async fn recovery(house: &House, fast: Duration) -> Outcome<Duration> {
    let (begun, request) = (Instant::now(), call(burn::NAME));
    let (mut connection, mut since, mut row) = (None, Duration::ZERO, 0);
    while row < 10 {
        let asked = Instant::now();
        if exchange(house.address, &mut connection, &request).await == Ok(200) && asked.elapsed() < fast {
            row += 1;
        } else {
            (row, since) = (0, begun.elapsed());
        }
        if begun.elapsed() > Duration::from_secs(30) {
            return Err("it does not become as before".into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(since)
}

impl Shared {
    fn new(house: &House, request: Vec<u8>) -> Self {
        Self {
            house: house.address,
            request,
            idle: RefCell::default(),
            under_way: RefCell::default(),
            figures: RefCell::default(),
        }
    }

    async fn send(self: Rc<Self>, at: Instant) {
        if *self.under_way.borrow() >= MOST {
            self.figures.borrow_mut().count(Err("too many are under way".to_owned()), at.elapsed());
            return;
        }
        *self.under_way.borrow_mut() += 1;
        let mut connection = self.idle.borrow_mut().pop();
        let ended = exchange(self.house, &mut connection, &self.request).await;
        self.idle.borrow_mut().extend(connection);
        *self.under_way.borrow_mut() -= 1;
        self.figures.borrow_mut().count(ended, at.elapsed());
    }
}

/// Sends a request, and reads the answer; the connection is kept if it can be used again.
async fn exchange(
    house: std::net::SocketAddr,
    connection: &mut Option<TcpStream>,
    request: &[u8],
) -> Result<u16, String> {
    let answer = async {
        let mut stream = match connection.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(house).await?;
                stream.set_nodelay(true)?;
                stream
            }
        };
        stream.write_all(request).await?;
        let (status, keeps) = read(&mut stream).await?;
        if keeps {
            *connection = Some(stream);
        }
        Ok::<_, std::io::Error>(status)
    };
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(answer) => answer.map_err(|error| error.kind().to_string()),
        Err(_) => Err("no answer".to_owned()),
    }
}

/// Reads an answer whose length is told: its status, and whether the connection stays open.
async fn read(stream: &mut TcpStream) -> std::io::Result<(u16, bool)> {
    let (mut bytes, mut head) = (Vec::with_capacity(2_048), None);
    loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if head.is_none()
            && let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n")
        {
            let text = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let status = text.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            head = Some((end + 4 + length.unwrap_or(0), status, !text.contains("connection: close")));
        }
        if let Some((whole, status, keeps)) = head
            && bytes.len() >= whole
        {
            return Ok((status, keeps));
        }
    }
}

/// A call of the modern era.
fn call(tool: &str) -> Vec<u8> {
    let meta =
        r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
    let params = format!(r#"{{"name":"{tool}","arguments":{{}},"_meta":{meta}}}"#);
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
    let heads =
        "accept: application/json, text/event-stream\r\ncontent-type: application/json\r\nmcp-method: tools/call";
    format!(
        "POST /mcp HTTP/1.1\r\nhost: localhost\r\nmcp-protocol-version: 2026-07-28\r\n{heads}\r\nmcp-name: {tool}\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

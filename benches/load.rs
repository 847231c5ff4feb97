//! Requests to a server, each on a connection of its own for as long as it takes: by the clock, or one after the other.

mod exchange;
mod figures;

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::task::LocalSet;

pub use exchange::exchange;
pub use figures::Figures;

/// So many requests a second, for so long. They are sent whether those before were answered or not, and each is late from the moment at
/// which it was due.
#[derive(Clone, Copy, Debug)]
pub struct OpenLoop {
    /// Where the server is.
    pub server: SocketAddr,
    /// How many a second.
    pub rate: f64,
    /// How long.
    pub extent: Duration,
}

/// How many requests are under way at the most; one more is not sent, and counted as what went wrong.
const MOST: usize = 8_000;

/// What all requests of a load share.
struct Shared {
    server: SocketAddr,
    idle: RefCell<Vec<TcpStream>>,
    under_way: Cell<usize>,
    figures: RefCell<Figures>,
}

impl OpenLoop {
    /// Sends what `request` makes of the number of each request. Besides what came of them it gives how long after the last was sent all
    /// were answered.
    ///
    /// Not cancel safe: what is under way is given up.
    pub async fn run(&self, request: impl Fn(u64) -> Vec<u8>) -> (Figures, Duration) {
        let shared = Shared::new(self.server);
        let begun = Instant::now();
        let local = LocalSet::new();
        local
            .run_until(async {
                let mut sent = 0;
                while begun.elapsed() < self.extent {
                    let due = (begun.elapsed().as_secs_f64() * self.rate) as u64;
                    for number in sent..due {
                        let at = begun + Duration::from_secs_f64(number as f64 / self.rate);
                        tokio::task::spawn_local(shared.clone().send(request(number), at));
                    }
                    sent = due;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                while shared.under_way.get() > 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            })
            .await;
        let took = begun.elapsed();
        (shared.figures.take().over(took), took.saturating_sub(self.extent))
    }
}

/// Sends a request again and again for so long, by as many clients at once, each of which waits for its answers.
///
/// Not cancel safe: what is under way is given up.
pub async fn closed_loop(server: SocketAddr, clients: usize, extent: Duration, request: &[u8]) -> Figures {
    let shared = Shared::new(server);
    let begun = Instant::now();
    let clients = (0..clients).map(|_| async {
        while begun.elapsed() < extent {
            shared.clone().send(request.to_vec(), Instant::now()).await;
        }
    });
    futures_util::future::join_all(clients).await;
    shared.figures.take().over(begun.elapsed())
}

impl Shared {
    fn new(server: SocketAddr) -> Rc<Self> {
        Rc::new(Self { server, idle: RefCell::default(), under_way: Cell::default(), figures: RefCell::default() })
    }

    async fn send(self: Rc<Self>, request: Vec<u8>, at: Instant) {
        let ended = if self.under_way.get() < MOST {
            self.under_way.set(self.under_way.get() + 1);
            let mut connection = self.idle.borrow_mut().pop();
            let ended = exchange(self.server, &mut connection, &request).await;
            self.idle.borrow_mut().extend(connection);
            self.under_way.set(self.under_way.get() - 1);
            ended
        } else {
            Err(io::Error::other("too many are under way"))
        };
        self.figures.borrow_mut().count(ended, at.elapsed());
    }
}

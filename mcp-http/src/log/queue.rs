//! Lines on their way to whoever reads them. Nobody who logs waits for that: a reader that hangs must not stop the server.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TryRecvError, TrySendError};
use std::thread;
use std::time::{Duration, Instant};

/// Takes lines for a thread that writes them.
pub(super) struct Queue {
    entries: SyncSender<Entry>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    /// How many bytes wait.
    waiting: AtomicUsize,
    /// How many lines nobody has been told of that were dropped, or could not be written.
    dropped: AtomicU64,
}

enum Entry {
    Line(Vec<u8>),
    /// Tells that all before it is written.
    Flush(SyncSender<()>),
}

/// How many lines may wait.
const LINES: usize = 4_096;
/// How many bytes they may have together.
const BYTES: usize = 4 * 1024 * 1024;
/// How long the last lines may take.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often it is said, at the most, that lines cannot be written.
const PAUSE: Duration = Duration::from_secs(60);
/// How often it is looked whether there is room.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

impl Queue {
    /// Writes what comes to `out`, on a thread of its own, until it is dropped; `log` is what people call it.
    ///
    /// # Errors
    /// Where the thread cannot be started.
    pub(super) fn start(log: &'static str, out: impl Write + Send + 'static) -> io::Result<Self> {
        let (entries, lines) = mpsc::sync_channel(LINES);
        let counts = Arc::new(Counts::default());
        let known = counts.clone();
        thread::Builder::new().name("log".to_owned()).spawn(move || write(log, &lines, &known, out))?;
        Ok(Self { entries, counts })
    }

    /// Waits until what has come is written, but not for ever.
    pub(super) fn flush(&self) {
        let (written, done) = mpsc::sync_channel(1);
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            match self.entries.try_send(Entry::Flush(written.clone())) {
                Err(TrySendError::Full(_)) => thread::sleep(LOOK_AGAIN),
                Ok(()) => {
                    let _ = done.recv_timeout(PATIENCE);
                    return;
                }
                Err(TrySendError::Disconnected(_)) => return,
            }
        }
    }

    /// Takes a whole line.
    pub(super) fn push(&self, line: &[u8]) {
        let before = self.counts.waiting.fetch_add(line.len(), Ordering::Relaxed);
        if before + line.len() > BYTES || self.entries.try_send(Entry::Line(line.to_vec())).is_err() {
            self.counts.waiting.fetch_sub(line.len(), Ordering::Relaxed);
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn write(log: &'static str, entries: &Receiver<Entry>, counts: &Counts, mut out: impl Write) {
    // Whether the last line could not be written, and when that was told.
    let mut is_failing = false;
    let mut told: Option<Instant> = None;
    loop {
        let entry = match entries.try_recv() {
            Ok(entry) => entry,
            Err(TryRecvError::Disconnected) => return,
            Err(TryRecvError::Empty) => {
                // What is said here comes back as a line; while none can be written, it would be one more that is left out.
                let dropped = if is_failing { 0 } else { counts.dropped.swap(0, Ordering::Relaxed) };
                if dropped > 0 {
                    tracing::warn!(
                        log,
                        lines = dropped,
                        "lines were left out: the log could not be written, or not as fast as they came"
                    );
                    continue;
                }
                match entries.recv() {
                    Ok(entry) => entry,
                    Err(_) => return,
                }
            }
        };
        match entry {
            Entry::Line(line) => {
                let written = out.write_all(&line).and_then(|()| out.flush());
                is_failing = written.is_err();
                if let Err(error) = written {
                    counts.dropped.fetch_add(1, Ordering::Relaxed);
                    // Another log may be read.
                    if told.is_none_or(|told| told.elapsed() >= PAUSE) {
                        told = Some(Instant::now());
                        tracing::error!(log, %error, "the log cannot be written: the server goes on without it");
                    }
                }
                counts.waiting.fetch_sub(line.len(), Ordering::Relaxed);
            }
            Entry::Flush(written) => {
                let _ = written.try_send(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::AtomicBool;

    use super::*;

    /// Writes nothing while it is held.
    #[derive(Clone, Default)]
    struct Reader(Arc<Mutex<Vec<u8>>>);

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_logged_is_written_in_its_order() {
        let reader = Reader::default();
        let queue = Queue::start("test", reader.clone()).unwrap();
        for line in ["a\n", "b\n", "c\n"] {
            queue.push(line.as_bytes());
        }
        while queue.counts.waiting.load(Ordering::Relaxed) > 0 {
            thread::sleep(LOOK_AGAIN);
        }
        queue.flush();
        assert_eq!(*reader.0.lock().unwrap(), b"a\nb\nc\n");
    }

    /// Takes nothing while it is full.
    #[derive(Clone, Default)]
    struct Disk {
        is_full: Arc<AtomicBool>,
        reader: Reader,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.is_full.load(Ordering::Relaxed) {
                true => Err(io::ErrorKind::StorageFull.into()),
                false => self.reader.write(bytes),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_disk_that_is_full_is_told_of_once_and_what_it_has_cost_when_there_is_room() {
        let disk = Disk::default();
        let queue = Queue::start("disk", disk.clone()).unwrap();
        disk.is_full.store(true, Ordering::Relaxed);
        for _ in 0..3 {
            queue.push(b"lost\n");
        }
        queue.flush();
        assert_eq!(queue.counts.dropped.load(Ordering::Relaxed), 3);
        disk.is_full.store(false, Ordering::Relaxed);
        queue.push(b"kept\n");
        queue.flush();
        while queue.counts.dropped.load(Ordering::Relaxed) > 0 {
            thread::sleep(LOOK_AGAIN);
        }
        assert_eq!(*disk.reader.0.lock().unwrap(), b"kept\n");
    }

    #[test]
    fn nobody_waits_for_a_reader_that_hangs_and_what_waits_is_bounded() {
        let reader = Reader::default();
        let queue = Queue::start("test", reader.clone()).unwrap();
        let held = reader.0.lock().unwrap();
        for _ in 0..2 * LINES {
            queue.push(b"line\n");
        }
        let large = vec![b'x'; BYTES + 1];
        queue.push(&large);
        assert!(queue.counts.dropped.load(Ordering::Relaxed) >= LINES as u64);
        assert!(queue.counts.waiting.load(Ordering::Relaxed) <= BYTES);
        drop(held);
        // One may have been taken before the reader was held.
        let written = || reader.0.lock().unwrap().len() / 5;
        while queue.counts.waiting.load(Ordering::Relaxed) > 0 {
            thread::sleep(LOOK_AGAIN);
        }
        assert!((LINES..=LINES + 1).contains(&written()), "{}", written());
    }
}

//! Lines on their way to whoever reads them. Nobody who logs waits for that: a reader that hangs must not stop the server.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TryRecvError, TrySendError};
use std::thread;
use std::time::{Duration, Instant};

/// Takes lines for a thread that writes them. Cheap to clone; clones are the same.
#[derive(Clone)]
pub(super) struct Queue {
    entries: SyncSender<Entry>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    /// How many bytes wait.
    waiting: AtomicUsize,
    /// How many lines nobody has been told of that were dropped.
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
/// How often it is looked whether there is room.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

impl Queue {
    /// Writes what comes to `out`, on a thread of its own, as long as there is a clone.
    ///
    /// # Errors
    /// Where the thread cannot be started.
    pub(super) fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (entries, lines) = mpsc::sync_channel(LINES);
        let counts = Arc::new(Counts::default());
        let known = counts.clone();
        thread::Builder::new().name("log".to_owned()).spawn(move || write(&lines, &known, out))?;
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

    fn push(&self, line: &[u8]) {
        let before = self.counts.waiting.fetch_add(line.len(), Ordering::Relaxed);
        if before + line.len() > BYTES || self.entries.try_send(Entry::Line(line.to_vec())).is_err() {
            self.counts.waiting.fetch_sub(line.len(), Ordering::Relaxed);
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Write for Queue {
    /// Takes a whole line: whoever formats one writes it at once.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write(entries: &Receiver<Entry>, counts: &Counts, mut out: impl Write) {
    loop {
        let entry = match entries.try_recv() {
            Ok(entry) => entry,
            Err(TryRecvError::Disconnected) => return,
            Err(TryRecvError::Empty) => {
                let dropped = counts.dropped.swap(0, Ordering::Relaxed);
                if dropped > 0 {
                    // This comes back as a line.
                    tracing::warn!(lines = dropped, "lines were left out here: whoever reads the log is too slow");
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
                // Where nobody reads any more, there is nobody to tell.
                let _ = out.write_all(&line).and_then(|()| out.flush());
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
        let mut queue = Queue::start(reader.clone()).unwrap();
        for line in ["a\n", "b\n", "c\n"] {
            queue.write_all(line.as_bytes()).unwrap();
        }
        while queue.counts.waiting.load(Ordering::Relaxed) > 0 {
            thread::sleep(LOOK_AGAIN);
        }
        Queue::flush(&queue);
        assert_eq!(*reader.0.lock().unwrap(), b"a\nb\nc\n");
    }

    #[test]
    fn nobody_waits_for_a_reader_that_hangs_and_what_waits_is_bounded() {
        let reader = Reader::default();
        let mut queue = Queue::start(reader.clone()).unwrap();
        let held = reader.0.lock().unwrap();
        for _ in 0..2 * LINES {
            queue.write_all(b"line\n").unwrap();
        }
        let large = vec![b'x'; BYTES + 1];
        queue.write_all(&large).unwrap();
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

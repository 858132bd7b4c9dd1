//! A thread that writes, and the bounded queue before it.

use crate::{Error, Event, EventBody, Result};
use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
        mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    },
    thread::JoinHandle,
};

/// Events that may wait.
const CAPACITY: usize = 64 * 1024;
/// Bytes of output that may wait in them: its lines may be long, and a full queue of those would be a gigabyte.
const OUTPUT: usize = 16 << 20;

/// What is done with events on the writing thread.
pub(super) trait Write: Send + 'static {
    fn event(&mut self, event: &Event) -> io::Result<()>;
    /// Nothing more waits for now.
    fn flush(&mut self) -> io::Result<()>;
}

pub(super) struct Queue {
    sender: Option<SyncSender<Event>>,
    dropped: Arc<AtomicU64>,
    /// Bytes of output that wait.
    output: Arc<AtomicUsize>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("dropped", &self.dropped()).finish_non_exhaustive()
    }
}

impl Queue {
    pub(super) fn new(write: impl Write) -> Result<Self> {
        Self::with_capacity(write, CAPACITY)
    }
    pub(super) fn with_capacity(write: impl Write, capacity: usize) -> Result<Self> {
        let (sender, receiver) = sync_channel(capacity);
        let (dropped, output) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicUsize::new(0)));
        let (lost, waiting) = (Arc::clone(&dropped), Arc::clone(&output));
        let thread = std::thread::Builder::new()
            .name("event-sink".into())
            .spawn(move || work(write, &receiver, &lost, &waiting))
            .map_err(|e| Error::io("start", "the thread of an event sink", e))?;
        Ok(Self { sender: Some(sender), dropped, output, thread: Some(thread) })
    }

    /// Hands over an event, or counts it as dropped: when the queue is full, and when writing has failed.
    pub(super) fn push(&self, event: &Event) {
        let bytes = output_bytes(event);
        // Counted before it is sent, so that the writer never takes off what was not put on.
        let fits = self.output.fetch_add(bytes, SeqCst) + bytes <= OUTPUT;
        let taken = fits && self.sender.as_ref().is_some_and(|sender| sender.try_send(event.clone()).is_ok());
        if !taken {
            self.output.fetch_sub(bytes, SeqCst);
            self.dropped.fetch_add(1, SeqCst);
        }
    }
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(SeqCst)
    }

    /// Writes what waits, and returns what became of all of it.
    pub(super) fn finish(&mut self) -> io::Result<u64> {
        self.sender = None;
        let Some(thread) = self.thread.take() else { return Ok(self.dropped()) };
        thread.join().map_err(|_| io::Error::other("the thread of an event sink panicked"))??;
        Ok(self.dropped())
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // Who wants to know calls `finish`; a sink ignores its own failures.
        let _ = self.finish();
    }
}

/// What an event adds to the bytes of output that wait. All other events are small.
fn output_bytes(event: &Event) -> usize {
    if let EventBody::Output { text, .. } = &event.body { text.len() } else { 0 }
}

/// Writes until the queue is closed. After a failure nothing more is taken, so that what comes is counted as dropped.
fn work(mut write: impl Write, events: &Receiver<Event>, dropped: &AtomicU64, waiting: &AtomicUsize) -> io::Result<()> {
    let mut said = 0;
    let mut next = events.recv().ok();
    while let Some(event) = next {
        write.event(&event)?;
        waiting.fetch_sub(output_bytes(&event), SeqCst);
        let lost = dropped.load(SeqCst);
        if lost > said {
            write.event(&gap(&event, lost - said))?;
            said = lost;
        }
        next = match events.try_recv() {
            Ok(event) => Some(event),
            Err(TryRecvError::Disconnected) => None,
            Err(TryRecvError::Empty) => {
                write.flush()?;
                events.recv().ok()
            }
        };
    }
    write.flush()
}

/// Stands near the place where events are missing.
fn gap(near: &Event, lost: u64) -> Event {
    let text = format!("{lost} events were not written: they came faster than they could be");
    Event { body: EventBody::Warning { text }, ..near.clone() }
}

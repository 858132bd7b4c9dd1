//! Events as JSON, one a line.

use super::queue::{Queue, Write};
use crate::{Error, Event, EventSink, Result};
use std::io;

/// Writes every event as one line of JSON.
///
/// Events wait in a bounded queue for a thread that writes them. When the writer is too slow, events are dropped, counted,
/// and a `warning` event in the output says how many. Dropping the sink writes what waits.
#[derive(Debug)]
pub struct JsonLines(Queue);

struct Lines<W: io::Write>(io::BufWriter<W>);

impl<W: io::Write + Send + 'static> Write for Lines<W> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        write_json(&mut self.0, event)
    }
    fn flush(&mut self) -> io::Result<()> {
        io::Write::flush(&mut self.0)
    }
}

pub(super) fn write_json(to: &mut impl io::Write, event: &Event) -> io::Result<()> {
    serde_json::to_writer(&mut *to, event)?;
    to.write_all(b"\n")
}

impl JsonLines {
    /// Writes to `writer`, buffered; flushed whenever nothing waits.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn new(writer: impl io::Write + Send + 'static) -> Result<Self> {
        Queue::new(Lines(io::BufWriter::new(writer))).map(Self)
    }
    /// How many events were not written so far.
    pub fn dropped(&self) -> u64 {
        self.0.dropped()
    }
    /// Writes what waits, and tells how many events were not written. Dropping does the same, without a word.
    ///
    /// # Errors
    /// The first error of the writer; nothing was written after it.
    pub fn finish(mut self) -> Result<u64> {
        self.0.finish().map_err(|e| Error::io("write", "the event log", e))
    }
}

impl EventSink for JsonLines {
    fn emit(&self, event: &Event) {
        self.0.push(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EventBody, Stream, Timestamp};
    use std::sync::{Arc, Mutex, mpsc};

    fn event(n: u64) -> Event {
        let body = EventBody::Output { stream: Stream::Stdout, text: format!("line {n}") };
        Event { at: Timestamp::from_millis(n), run: "run-1".into(), stage: "provision/shell".into(), body }
    }

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines(shared: &Shared) -> Vec<Event> {
        let text = String::from_utf8(shared.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn every_event_is_a_line_and_comes_back() {
        let shared = Shared::default();
        let sink = JsonLines::new(shared.clone()).unwrap();
        let events: Vec<Event> = (0..1000).map(event).collect();
        events.iter().for_each(|event| sink.emit(event));
        drop(sink);
        assert_eq!(lines(&shared), events);
        let first = String::from_utf8(shared.0.lock().unwrap().clone()).unwrap();
        insta::assert_snapshot!(first.lines().next().unwrap(), @r#"{"at":0,"run":"run-1","stage":"provision/shell","event":"output","stream":"stdout","text":"line 0"}"#);
    }

    /// Waits before each write until it may.
    struct Gated(mpsc::Receiver<()>, Shared);

    impl Write for Gated {
        fn event(&mut self, event: &Event) -> io::Result<()> {
            let _ = self.0.recv(); // the gate is left open in the end
            write_json(&mut self.1, event)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_slow_writer_drops_events_and_says_so() {
        let (gate, shared) = (mpsc::channel(), Shared::default());
        let sink = JsonLines(Queue::with_capacity(Gated(gate.1, shared.clone()), 2).unwrap());
        // One may be with the writer, two wait; all others are dropped, and nothing blocks.
        (0..10).map(event).for_each(|event| sink.emit(&event));
        let dropped = sink.dropped();
        assert!((7..=8).contains(&dropped), "{dropped}");
        drop(gate.0);
        assert_eq!(sink.finish().unwrap(), dropped);
        let written = lines(&shared);
        let warnings: Vec<String> = written
            .iter()
            .filter_map(|event| if let EventBody::Warning { text } = &event.body { Some(text.clone()) } else { None })
            .collect();
        assert_eq!(warnings, [format!("{dropped} events were not written: they came faster than they could be")]);
        assert_eq!(written.len() as u64, 10 - dropped + 1);
    }

    #[test]
    fn long_lines_fill_the_queue_before_they_fill_the_memory() {
        let (gate, shared) = (mpsc::channel(), Shared::default());
        let sink = JsonLines(Queue::with_capacity(Gated(gate.1, shared.clone()), 1000).unwrap());
        let long = Event { body: EventBody::Output { stream: Stream::Stdout, text: "x".repeat(1 << 20) }, ..event(0) };
        (0..100).for_each(|_| sink.emit(&long));
        // What is no output has its place nevertheless.
        sink.emit(&Event { body: EventBody::StageStarted, ..event(0) });
        let dropped = sink.dropped();
        assert_eq!(dropped, 84, "16 MiB may wait");
        drop(gate.0);
        assert_eq!(sink.finish().unwrap(), dropped);
        assert_eq!(lines(&shared).last().unwrap().body, EventBody::StageStarted);
    }

    struct Full;

    impl io::Write for Full {
        fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_writer_that_fails_stops_nothing_and_is_told_at_the_end() {
        let sink = JsonLines::new(Full).unwrap();
        (0..100).map(event).for_each(|event| sink.emit(&event));
        let error = sink.finish().unwrap_err();
        insta::assert_snapshot!(error, @"cannot write the event log: no storage space");
        assert_eq!(error.kind(), crate::ErrorKind::StorageFull);
    }
}

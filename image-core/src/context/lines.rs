//! Output of a command, cut into lines for the events.

use super::Context;
use crate::Stream;

/// A longer line is passed on in pieces, so that a program that never ends its lines holds no memory.
const LONGEST: usize = 16 * 1024;

/// Collects what a command prints and passes it on line by line; what is left when it goes out of scope is a line too.
#[derive(Debug)]
pub struct OutputLines {
    cx: Context,
    stream: Stream,
    partial: Vec<u8>,
}

impl OutputLines {
    /// Lines of one stream.
    pub fn new(cx: &Context, stream: Stream) -> Self {
        Self { cx: cx.clone(), stream, partial: vec![] }
    }
    /// Takes a piece, of any length.
    pub fn push(&mut self, piece: &[u8]) {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(part);
            if part.ends_with(b"\n") || self.partial.len() >= LONGEST {
                self.flush();
            }
        }
    }
    fn flush(&mut self) {
        if !self.partial.is_empty() {
            self.cx.output(self.stream, &String::from_utf8_lossy(&self.partial));
            self.partial.clear();
        }
    }
}

impl Drop for OutputLines {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Event, EventBody, EventSink, MemoryStore};
    use std::sync::{Arc, Mutex};

    #[derive(Debug, Default)]
    struct Texts(Mutex<Vec<String>>);

    impl EventSink for Texts {
        fn emit(&self, event: &Event) {
            if let EventBody::Output { text, .. } = &event.body {
                self.0.lock().unwrap().push(text.clone());
            }
        }
    }

    #[tokio::test]
    async fn pieces_become_lines_and_memory_stays_bounded() {
        let texts = Arc::new(Texts::default());
        let cx = Context::builder(MemoryStore::default()).sink(Arc::clone(&texts)).open().await.unwrap();
        let mut lines = OutputLines::new(&cx, Stream::Stdout);
        for piece in ["a", "b\nc", "\n\nlast"] {
            lines.push(piece.as_bytes());
        }
        drop(lines);
        assert_eq!(*texts.0.lock().unwrap(), ["ab", "c", "", "last"]);
        let mut endless = OutputLines::new(&cx, Stream::Stderr);
        for _ in 0..1000 {
            endless.push(&[b'x'; 100]);
        }
        assert!(endless.partial.len() < LONGEST);
    }
}

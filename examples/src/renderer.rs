//! A thread that renders events, so that a run never waits for a terminal.

use image_core::Event;
use std::{
    sync::mpsc::{Sender, channel},
    thread,
    time::Duration,
};

/// Renders events in their order.
pub(crate) trait Render: Send + 'static {
    /// An event.
    fn event(&mut self, event: &Event);
    /// Time passes.
    fn tick(&mut self) {}
}

enum Message {
    // Much larger than the other one otherwise.
    Event(Box<Event>),
    Flush(Sender<()>),
}

/// Between two ticks.
const TICK: Duration = Duration::from_millis(100);

/// The thread. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Renderer(Sender<Message>);

impl Renderer {
    pub(crate) fn new(mut render: impl Render) -> Self {
        let (sender, receiver) = channel();
        thread::spawn(move || {
            use std::sync::mpsc::RecvTimeoutError::{Disconnected, Timeout};
            loop {
                match receiver.recv_timeout(TICK) {
                    Ok(Message::Event(event)) => render.event(&event),
                    Ok(Message::Flush(done)) => drop(done),
                    Err(Timeout) => render.tick(),
                    Err(Disconnected) => return,
                }
            }
        });
        Self(sender)
    }
    /// Passes an event on. When the thread is gone there is nobody left to tell.
    pub(crate) fn send(&self, event: &Event) {
        let _ = self.0.send(Message::Event(Box::new(event.clone())));
    }
    /// Waits until everything so far is rendered.
    pub(crate) fn flush(&self) {
        let (done, wait) = channel::<()>();
        if self.0.send(Message::Flush(done)).is_ok() {
            let _ = wait.recv(); // the end of the channel is the answer
        }
    }
}

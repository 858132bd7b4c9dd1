//! Buffers of one block each, used again: however large the disk, this is all that is held of it.

use super::blocks::BLOCK;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// How many buffers there are: 12 MiB. One is held from the disk to the network and not until the reply, so that far more
/// requests than this are in flight.
const BUFFERS: usize = 24;

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Debug, Default)]
struct State {
    made: usize,
    free: Vec<Vec<u8>>,
}

/// A fixed number of buffers, made when they are first needed. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pool(Arc<Shared>);

impl Pool {
    /// A buffer with whatever was in it last. Blocks until one is free.
    pub(crate) fn take(&self) -> Buffer {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(bytes) = state.free.pop() {
                return Buffer { bytes, pool: self.clone() };
            }
            if state.made < BUFFERS {
                state.made += 1;
                return Buffer { bytes: vec![0; BLOCK], pool: self.clone() };
            }
            state = self.0.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A buffer of one block. It goes back to its pool when it is dropped.
#[derive(Debug)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    pool: Pool,
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl AsMut<[u8]> for Buffer {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.pool.0.state.lock().unwrap_or_else(PoisonError::into_inner).free.push(bytes);
        self.pool.0.returned.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_buffers_are_made_than_there_may_be() {
        let pool = Pool::default();
        let held: Vec<Buffer> = (0..BUFFERS).map(|_| pool.take()).collect();
        let waiting = std::thread::spawn({
            let pool = pool.clone();
            move || pool.take().as_ref().len()
        });
        drop(held);
        assert_eq!(waiting.join().unwrap(), BLOCK);
        assert_eq!(pool.0.state.lock().unwrap().made, BUFFERS);
    }
}

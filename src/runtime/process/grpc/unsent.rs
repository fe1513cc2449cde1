//! Requests that the plugin has not yet taken: calls that were given up stand in the connection's queue until then, with all
//! they carry, so that a plugin which does not read would make the host collect them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

/// Requests that may stand in the queue. Further calls wait, until their deadline.
const MAX_REQUESTS: usize = 4 * 1024;

/// Bytes that they may have together; a longer request goes alone.
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// The queue of one connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Unsent(Arc<Queue>);

#[derive(Debug, Default)]
struct Queue {
    held: Mutex<Held>,
    /// Calls that wait for room.
    waiting: AtomicUsize,
    taken: Notify,
}

#[derive(Debug, Clone, Copy, Default)]
struct Held {
    requests: usize,
    bytes: usize,
}

/// A request in the queue: the connection drops it when it has written it, or will not.
struct Request {
    bytes: Bytes,
    queue: Arc<Queue>,
}

impl Unsent {
    /// Puts a request into the queue, once there is room for it.
    pub(super) async fn add(&self, bytes: Bytes) -> Bytes {
        if !self.0.add(bytes.len()) {
            self.0.wait(bytes.len()).await;
        }
        Bytes::from_owner(Request { bytes, queue: Arc::clone(&self.0) })
    }
}

impl Queue {
    fn add(&self, bytes: usize) -> bool {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = held.bytes.saturating_add(bytes);
        let has_room = held.requests < MAX_REQUESTS && (held.bytes == 0 || sum <= MAX_BYTES);
        if has_room {
            *held = Held { requests: held.requests + 1, bytes: sum };
        }
        has_room
    }

    async fn wait(&self, bytes: usize) {
        let _waiting = Waiting::new(&self.waiting);
        loop {
            let mut taken = std::pin::pin!(self.taken.notified());
            taken.as_mut().enable();
            if self.add(bytes) {
                return;
            }
            taken.await;
        }
    }
}

/// Counts who waits, also when the call is given up.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::SeqCst);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl AsRef<[u8]> for Request {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let mut held = self.queue.held.lock().unwrap_or_else(PoisonError::into_inner);
        *held = Held { requests: held.requests - 1, bytes: held.bytes - self.bytes.len() };
        drop(held);
        if self.queue.waiting.load(Ordering::SeqCst) > 0 {
            self.queue.taken.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_wait_until_others_were_taken() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let queue = Unsent::default();
            let mut first = vec![queue.add(Bytes::from(vec![1; 2 * MAX_BYTES])).await];
            assert_eq!(first[0].len(), 2 * MAX_BYTES);
            for few in [vec![0; 1], Vec::new()] {
                let waiting = tokio::spawn({
                    let queue = queue.clone();
                    async move { queue.add(few.into()).await }
                });
                while queue.0.waiting.load(Ordering::SeqCst) == 0 {
                    tokio::task::yield_now().await;
                }
                // A clone is what the connection may still hold.
                let kept = first[0].clone();
                first.clear();
                assert!(!waiting.is_finished());
                drop(kept);
                first.push(waiting.await.unwrap());
                for _ in 1..MAX_REQUESTS {
                    first.push(queue.add(Bytes::new()).await);
                }
            }
            drop(first);
            assert_eq!(queue.0.held.lock().unwrap().requests, 0);
        });
    }
}

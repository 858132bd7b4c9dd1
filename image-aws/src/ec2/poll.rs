//! One look at EC2 for all that wait: however many builds wait in a region, it is asked once a second.

use image_core::{Error, ErrorKind, Result, async_trait};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until},
};

/// Between two looks. The bucket of a filtered Describe call holds 100 and refills by 20 a second, so that this leaves
/// nearly all of it to others: <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html>.
const INTERVAL: Duration = Duration::from_secs(1);
/// Between two looks while EC2 asks to slow down.
const LONGEST_INTERVAL: Duration = Duration::from_secs(32);

/// A call that describes many things of one kind.
#[async_trait]
pub(crate) trait Describe: fmt::Debug + Send + Sync + 'static {
    type Item: Send + Sync;
    /// What is there, by id. An id that is missing is no error: reads lag behind.
    async fn describe(&self, ids: &[String]) -> Result<BTreeMap<String, Arc<Self::Item>>>;
}

type Seen<T> = Result<Option<Arc<T>>>;

/// Collects the ids that are waited for, and asks for all of them at once.
#[derive(Debug)]
pub(crate) struct Poller<D: Describe> {
    call: D,
    state: Mutex<State<D::Item>>,
}

struct State<T> {
    waiting: BTreeMap<String, Vec<oneshot::Sender<Seen<T>>>>,
    running: bool,
    next: Option<Instant>,
    interval: Duration,
}

impl<T> fmt::Debug for State<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting: Vec<_> = self.waiting.keys().collect();
        f.debug_struct("State").field("waiting", &waiting).field("interval", &self.interval).finish_non_exhaustive()
    }
}

impl<D: Describe> Poller<D> {
    pub(crate) fn new(call: D) -> Arc<Self> {
        let state = State { waiting: BTreeMap::new(), running: false, next: None, interval: INTERVAL };
        Arc::new(Self { call, state: Mutex::new(state) })
    }

    /// What the next look sees of a thing; `None` when it is not in the answer.
    ///
    /// # Errors
    /// The call's own, the same for all that wait.
    pub(crate) async fn look(self: &Arc<Self>, id: &str) -> Seen<D::Item> {
        let seen = self.look_all(&[id.to_owned()]).await?;
        Ok(seen.into_iter().next().flatten())
    }

    /// What one and the same look sees of several things.
    ///
    /// # Errors
    /// As [`look`](Self::look).
    pub(crate) async fn look_all(self: &Arc<Self>, ids: &[String]) -> Result<Vec<Option<Arc<D::Item>>>> {
        let mut seen = vec![];
        for answer in self.ask(ids.iter().map(String::as_str)) {
            seen.push(answer.await.map_err(|_| Error::bug("the look at EC2 ended without an answer"))??);
        }
        Ok(seen)
    }

    /// Puts ids on the list of the next look.
    fn ask<'a>(self: &Arc<Self>, ids: impl IntoIterator<Item = &'a str>) -> Vec<oneshot::Receiver<Seen<D::Item>>> {
        let mut answers = vec![];
        let mut state = self.lock();
        for id in ids {
            let (sender, receiver) = oneshot::channel();
            state.waiting.entry(id.to_owned()).or_default().push(sender);
            answers.push(receiver);
        }
        let start = !answers.is_empty() && !std::mem::replace(&mut state.running, true);
        drop(state);
        if start {
            tokio::spawn(Rounds(Arc::clone(self)).run());
        }
        answers
    }

    fn lock(&self) -> MutexGuard<'_, State<D::Item>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task that looks, for as long as somebody waits.
struct Rounds<D: Describe>(Arc<Poller<D>>);

impl<D: Describe> Rounds<D> {
    async fn run(self) {
        loop {
            let next = self.0.lock().next;
            if let Some(next) = next {
                sleep_until(next).await;
            }
            let batch = {
                let mut state = self.0.lock();
                let mut batch = std::mem::take(&mut state.waiting);
                batch.retain(|_, senders| {
                    senders.retain(|sender| !sender.is_closed());
                    !senders.is_empty()
                });
                if batch.is_empty() {
                    state.running = false;
                    return;
                }
                batch
            };
            let ids: Vec<String> = batch.keys().cloned().collect();
            let answer = self.0.call.describe(&ids).await;
            {
                let mut state = self.0.lock();
                let throttled = answer.as_ref().is_err_and(|e| e.kind() == ErrorKind::RateLimited);
                // Up at once and down step by step, so that a limit is found and not oscillated about.
                state.interval = if throttled { state.interval * 2 } else { state.interval * 3 / 4 };
                state.interval = state.interval.clamp(INTERVAL, LONGEST_INTERVAL);
                state.next = Some(Instant::now() + state.interval);
            }
            for (id, senders) in batch {
                for sender in senders {
                    let seen = match &answer {
                        Ok(found) => Ok(found.get(&id).cloned()),
                        Err(e) => Err(Error::new(e.kind(), e.chain()).with_retryable(e.is_retryable())),
                    };
                    // Whoever has gone meanwhile does not want to know.
                    let _ = sender.send(seen);
                }
            }
        }
    }
}

impl<D: Describe> Drop for Rounds<D> {
    /// The task may also end by a panic or with its runtime; then nobody may wait for it any longer.
    fn drop(&mut self) {
        let mut state = self.0.lock();
        if state.running {
            state.running = false;
            state.waiting.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default)]
    struct Calls {
        made: Mutex<Vec<(Instant, Vec<String>)>>,
        throttled: Mutex<u32>,
    }

    #[async_trait]
    impl Describe for Arc<Calls> {
        type Item = String;
        async fn describe(&self, ids: &[String]) -> Result<BTreeMap<String, Arc<String>>> {
            self.made.lock().unwrap().push((Instant::now(), ids.to_vec()));
            let mut throttled = self.throttled.lock().unwrap();
            if *throttled > 0 {
                *throttled -= 1;
                return Err(Error::new(ErrorKind::RateLimited, "RequestLimitExceeded"));
            }
            Ok(ids.iter().filter(|id| *id != "late").map(|id| (id.clone(), Arc::new(id.clone()))).collect())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn many_waiters_are_one_call_a_second() {
        let calls = Arc::new(Calls::default());
        let poller = Poller::new(Arc::clone(&calls));
        let began = Instant::now();
        let mut looks = tokio::task::JoinSet::new();
        for n in 0..300 {
            let poller = Arc::clone(&poller);
            looks.spawn(async move {
                for _ in 0..3 {
                    assert_eq!(*poller.look(&format!("i-{n:03}")).await.unwrap().unwrap(), format!("i-{n:03}"));
                }
            });
        }
        looks.join_all().await;
        let made = calls.made.lock().unwrap();
        assert!(made.len() <= 4, "{} calls", made.len());
        assert!(made.windows(2).all(|two| two[1].0 - two[0].0 >= INTERVAL));
        assert!(began.elapsed() <= Duration::from_secs(4));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_in_the_answer_is_not_an_error() {
        let poller = Poller::new(Arc::new(Calls::default()));
        assert!(poller.look("late").await.unwrap().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn throttling_slows_it_down_and_success_speeds_it_up_again() {
        let calls = Arc::new(Calls::default());
        *calls.throttled.lock().unwrap() = 3;
        let poller = Poller::new(Arc::clone(&calls));
        let mut limited = 0;
        for _ in 0..12 {
            match poller.look("i-1").await {
                Err(e) => {
                    assert!(e.is_retryable() && e.kind() == ErrorKind::RateLimited);
                    limited += 1;
                }
                Ok(seen) => assert!(seen.is_some()),
            }
        }
        assert_eq!(limited, 3);
        let made = calls.made.lock().unwrap();
        let gaps: Vec<u64> = made.windows(2).map(|two| (two[1].0 - two[0].0).as_secs()).collect();
        assert_eq!(gaps[..3], [2, 4, 8]);
        assert_eq!(gaps.last(), Some(&1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiter_that_is_dropped_holds_nobody_up() {
        let calls = Arc::new(Calls::default());
        let poller = Poller::new(Arc::clone(&calls));
        poller.look("i-1").await.unwrap();
        let dropped = {
            let poller = Arc::clone(&poller);
            tokio::spawn(async move { poller.look("i-2").await })
        };
        tokio::task::yield_now().await;
        dropped.abort();
        assert!(poller.look("i-3").await.unwrap().is_some());
        let asked: Vec<String> = calls.made.lock().unwrap().iter().flat_map(|(_, ids)| ids.clone()).collect();
        assert_eq!(asked, ["i-1", "i-3"]);
    }

    #[derive(Debug)]
    struct Panics;

    #[async_trait]
    impl Describe for Panics {
        type Item = ();
        async fn describe(&self, _ids: &[String]) -> Result<BTreeMap<String, Arc<()>>> {
            panic!("a bug")
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_ends_every_wait_and_the_next_look_starts_anew() {
        let poller = Poller::new(Panics);
        for _ in 0..2 {
            assert_eq!(poller.look("i-1").await.unwrap_err().kind(), ErrorKind::Internal);
        }
    }
}

//! Work in many places at once: a few at a time, and one report of all that failed.

use crate::Place;
use image_core::{Error, ErrorKind, Result};
use std::{collections::BTreeMap, pin::Pin, sync::Arc};
use tokio::{sync::Semaphore, task::JoinSet};

/// Work in a place.
pub(crate) type Job<T> = (Place, Pin<Box<dyn Future<Output = Result<T>> + Send>>);

/// What becomes of the others when one fails.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Others {
    /// They are seen to their end.
    Finish,
    /// They are given up, for what they wait for is not wanted any more.
    GiveUp,
}

/// Does all jobs, `at_once` of them at a time, and returns what they gave in their order.
///
/// # Errors
/// One error that names every place that failed, and how; of the kind of the first.
pub(crate) async fn all<T: Send + 'static>(
    what: &str,
    at_once: usize,
    others: Others,
    jobs: Vec<Job<T>>,
) -> Result<Vec<T>> {
    let total = jobs.len();
    let turns = Arc::new(Semaphore::new(at_once.max(1)));
    let (mut tasks, mut places) = (JoinSet::new(), BTreeMap::new());
    for (n, (place, job)) in jobs.into_iter().enumerate() {
        places.insert(n, place);
        let turns = Arc::clone(&turns);
        tasks.spawn(async move {
            let turn = turns.acquire_owned().await;
            let done = job.await;
            drop(turn);
            (n, done)
        });
    }
    let (mut done, mut failed) = (BTreeMap::new(), vec![]);
    while let Some(ended) = tasks.join_next().await {
        match ended {
            Ok((n, Ok(value))) => drop(done.insert(n, value)),
            Ok((n, Err(e))) => failed.push((places.get(&n).cloned(), e)),
            Err(e) if e.is_cancelled() => {}
            Err(e) => failed.push((None, e.into())),
        }
        if !failed.is_empty() && others == Others::GiveUp {
            tasks.abort_all();
        }
    }
    match failed.is_empty() {
        true => Ok(done.into_values().collect()),
        false => Err(report(what, total, done.len(), failed)),
    }
}

fn report(what: &str, total: usize, done: usize, failed: Vec<(Option<Place>, Error)>) -> Error {
    let given_up = total - done - failed.len();
    let cancelled = failed.iter().all(|(_, e)| e.kind() == ErrorKind::Cancelled);
    let kind = failed.iter().map(|(_, e)| e.kind()).find(|kind| cancelled || *kind != ErrorKind::Cancelled);
    let retryable = failed.iter().all(|(_, e)| e.is_retryable());
    let mut message = format!("{what} failed in {} of {total} places", failed.len());
    if given_up > 0 {
        message = format!("{message} ({given_up} more were given up)");
    }
    for (n, (place, error)) in failed.iter().enumerate() {
        let place = place.as_ref().map_or_else(|| "a place".into(), ToString::to_string);
        message = format!("{message}{} {place}: {}", if n == 0 { ":" } else { ";" }, error.chain());
    }
    Error::new(kind.unwrap_or(ErrorKind::Internal), message).with_retryable(retryable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::sleep;

    fn job(region: &str, seconds: u64, result: Result<u64>) -> Job<u64> {
        let place = Place::new("111122223333", region).unwrap();
        let job = async move {
            sleep(Duration::from_secs(seconds)).await;
            result
        };
        (place, Box::pin(job))
    }

    fn jobs() -> Vec<Job<u64>> {
        let fail = |kind| Err(Error::new(kind, "no"));
        vec![
            job("us-east-1", 9, Ok(1)),
            job("us-west-2", 2, fail(ErrorKind::QuotaExceeded)),
            job("eu-west-1", 1, Ok(3)),
            job("eu-west-2", 3, fail(ErrorKind::Unavailable)),
        ]
    }

    #[tokio::test(start_paused = true)]
    async fn results_are_in_the_order_of_the_jobs() {
        let jobs = vec![job("us-east-1", 3, Ok(1)), job("us-west-2", 1, Ok(2)), job("eu-west-1", 2, Ok(3))];
        assert_eq!(all("copying", 2, Others::Finish, jobs).await.unwrap(), [1, 2, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn every_failure_is_reported() {
        let error = all("copying", 4, Others::Finish, jobs()).await.unwrap_err();
        insta::assert_snapshot!(error, @"copying failed in 2 of 4 places: 111122223333/us-west-2: no; 111122223333/eu-west-2: no");
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::QuotaExceeded, false));
    }

    #[tokio::test(start_paused = true)]
    async fn others_are_given_up_where_that_is_asked_for() {
        let error = all("waiting", 4, Others::GiveUp, jobs()).await.unwrap_err();
        insta::assert_snapshot!(error, @"waiting failed in 1 of 4 places (2 more were given up): 111122223333/us-west-2: no");
    }
}

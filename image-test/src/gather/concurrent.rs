//! Many things at once, but not all of them.

use crate::facts::Fact;
use std::{collections::BTreeMap, future::Future, panic::resume_unwind};
use tokio::task::{JoinError, JoinSet};

/// Finds out about each key with at most `limit` under way. When dropped, what is under way is dropped too.
pub(super) async fn each<T, R, F>(
    jobs: impl IntoIterator<Item = (String, T)>,
    limit: usize,
    find_out: impl Fn(T) -> F,
) -> BTreeMap<String, Fact<R>>
where
    R: Send + 'static,
    F: Future<Output = Fact<R>> + Send + 'static,
{
    let mut under_way = JoinSet::new();
    let mut found = BTreeMap::new();
    for (key, job) in jobs {
        if under_way.len() >= limit {
            found.extend(under_way.join_next().await.and_then(finished));
        }
        let work = find_out(job);
        under_way.spawn(async move { (key, work.await) });
    }
    while let Some(done) = under_way.join_next().await {
        found.extend(finished(done));
    }
    found
}

/// What a task found; its panic is ours. Nobody but ourselves cancels tasks, and only by being dropped.
pub(super) fn finished<T>(done: Result<T, JoinError>) -> Option<T> {
    done.map_err(|error| error.try_into_panic().map(|panic| resume_unwind(panic))).ok()
}

//! Approval has a key of its own: what is unchanged and fresh is not tested again.

use crate::support::{calls, later, pipeline};
use image_conformance::fake::{FakeCloud, FakeValidator};
use image_core::{MemoryStore, Pipeline, Ready, ScanPolicy, SeverityLimit};
use std::{sync::Arc, time::Duration};

const HOUR: Duration = Duration::from_secs(3600);

/// Runs a pipeline, and then another one so much later: images captured and instances started by the second.
async fn second(after: Duration, change: impl FnOnce(Pipeline<Ready>) -> Pipeline<Ready>) -> (usize, usize, u64) {
    let (cloud, store) = (FakeCloud::default(), MemoryStore::default());
    pipeline(&cloud).run(&later(&store, "run-0", Duration::ZERO).await).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let count = || (calls(&cloud, "create image").len(), calls(&cloud, "create instance").len());
    let before = count();
    let cx = later(&store, "run-1", after).await;
    let outcome = change(pipeline(&cloud)).run(&cx).await.unwrap();
    let reports = (outcome.report.run.as_str(), outcome.report.record.run.as_str());
    let approved_by = outcome.report.approved_by_run.as_deref();
    assert_eq!(reports, ("run-1", approved_by.unwrap_or("run-1")), "who reports, and who built and tested");
    let after = count();
    (after.0 - before.0, after.1 - before.1, outcome.report.mutations)
}

#[tokio::test(start_paused = true)]
async fn nothing_changed_makes_no_mutating_call() {
    assert_eq!(second(HOUR, |same| same).await, (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_stale_approval_tests_again_without_building() {
    assert_eq!(second(25 * HOUR, |old| old).await, (0, 1, 1), "too old");
    let validator = |p: Pipeline<Ready>| p.validator(FakeValidator::passing().version(2));
    assert_eq!(second(HOUR, validator).await, (0, 1, 1), "another validator");
    let policy = |p: Pipeline<Ready>| p.policy(|policy| policy.scan = Arc::new(SeverityLimit::CRITICAL));
    assert_ne!(SeverityLimit::CRITICAL.describe(), SeverityLimit::HIGH.describe());
    assert_eq!(second(HOUR, policy).await, (0, 1, 1), "another policy");
    let age = |p: Pipeline<Ready>| p.policy(|policy| policy.approval_max_age = HOUR / 2);
    assert_eq!(second(HOUR, age).await, (0, 1, 1), "a shorter maximum age");
}

//! Failure policies, deadlines, hooks.

use crate::support::{Events, calls, context, pipeline};
use image_conformance::fake::{FakeCloud, FakeScanner};
use image_core::{
    Context, Error, ErrorKind, FailurePolicy, MemoryStore, Result, State, Step, StepHook, StepKind, async_trait,
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::{Instant, sleep};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn quarantine_keeps_a_refused_image_for_a_while_and_never_approves_it() {
    let (cloud, store) = (FakeCloud::default(), MemoryStore::default());
    let cx = context(&store).await;
    let refused = pipeline(&cloud).without_boot_validation("test").on_failure(FailurePolicy::Quarantine(3 * HOUR));
    let error = refused.scanner(OnlyImages).run(&cx).await.unwrap_err();
    assert!(!error.committed && error.leftovers.is_empty(), "{error:?}");
    let items = cloud.items();
    let item = items.values().next().unwrap();
    assert_eq!((items.len(), item.state()), (1, Some(State::Quarantined)), "{items:?}");
    let lives = item.expires_at().unwrap().since(cx.now());
    assert!(lives > HOUR && lives <= 3 * HOUR, "{lives:?}");
    sleep(Duration::from_secs(60)).await;
    let cx = crate::support::later(&store, "again", HOUR).await;
    let plan = pipeline(&cloud).plan(&cx).await.unwrap();
    assert!(matches!(plan.layers[0].action, image_core::LayerAction::Build), "quarantined images are not reused");
}

/// Refuses every image, and cannot look at machines: so the image exists when it is refused.
#[derive(Debug)]
struct OnlyImages;

#[async_trait]
impl image_core::Scanner for OnlyImages {
    fn id(&self) -> &str {
        "only-images"
    }
    fn supports(&self, target: &image_core::ScanTarget<'_>) -> bool {
        matches!(target, image_core::ScanTarget::Image(_))
    }
    async fn scan(&self, cx: &Context, target: image_core::ScanTarget<'_>) -> Result<image_core::ScanReport> {
        FakeScanner::covering(0).scan(cx, target).await
    }
}

#[tokio::test(start_paused = true)]
async fn pause_waits_with_everything_in_place_until_resumed_or_cancelled() {
    for cancel in [false, true] {
        let (cloud, events) = (FakeCloud::default(), Events::default());
        let cx = Context::builder(MemoryStore::default()).sink(events.clone()).open().await.unwrap();
        let failing = pipeline(&cloud).scanner(FakeScanner::covering(0)).on_failure(FailurePolicy::Pause);
        let handle = failing.start(&cx);
        let canceller = handle.canceller();
        sleep(HOUR).await;
        assert_eq!(cloud.ids().len(), 2, "the key and the instance are still there: {:?}", cloud.ids());
        assert!(events.json().contains("fake ssh instance-2"), "it says how to get a shell");
        if cancel {
            canceller.cancel();
        } else {
            canceller.resume();
        }
        let error = handle.wait().await.unwrap_err();
        let kind = if cancel { ErrorKind::Cancelled } else { ErrorKind::PolicyViolation };
        assert_eq!((error.cause.kind(), cloud.ids().len(), error.leftovers.is_empty()), (kind, 0, true));
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_past_its_deadline_unwinds() {
    #[derive(Debug)]
    struct Stalls;
    #[async_trait]
    impl StepHook for Stalls {
        async fn before(&self, _: &Context, _: &Step<'_>) -> Result<()> {
            std::future::pending().await
        }
    }
    let (cloud, began) = (FakeCloud::default(), Instant::now());
    let cx = Context::builder(MemoryStore::default()).timeout(HOUR).open().await.unwrap();
    let error = pipeline(&cloud).hook(Stalls).run(&cx).await.unwrap_err();
    assert_eq!((error.cause.kind(), error.exit_code(), cloud.ids().len()), (ErrorKind::TimedOut, 1, 0), "{error}");
    assert!(began.elapsed() >= HOUR && began.elapsed() < HOUR + HOUR / 4 && error.leftovers.is_empty());
}

/// Fails the first so many attempts of provisioners, asks for retries, and writes down what it sees.
#[derive(Clone, Debug)]
struct Flaky {
    fails: u32,
    retries: bool,
    seen: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl StepHook for Flaky {
    async fn before(&self, _: &Context, step: &Step<'_>) -> Result<()> {
        let mut seen = self.seen.lock().unwrap();
        let before = seen.iter().filter(|line| line.starts_with("before")).count() as u32;
        if step.kind == StepKind::Provision {
            seen.push(format!("before {}", step.id));
            if before < self.fails {
                return Err(Error::new(ErrorKind::Unavailable, "mirror down"));
            }
        }
        Ok(())
    }
    async fn after(&self, _: &Context, step: &Step<'_>, error: Option<&Error>) -> Result<()> {
        if step.kind == StepKind::Provision {
            self.seen.lock().unwrap().push(format!("after {} {}", step.id, error.is_none()));
        }
        Ok(())
    }
    async fn should_retry(&self, _: &Context, _: &Step<'_>, attempt: u32, error: &Error) -> Option<Duration> {
        (self.retries && error.is_retryable() && attempt < 3).then_some(Duration::from_secs(5))
    }
}

#[tokio::test(start_paused = true)]
async fn hooks_run_around_every_step_and_decide_on_retries() {
    let before = "before shell";
    for (fails, retries, ok, want) in [
        (0, false, true, vec![before, "after shell true"]),
        (1, false, false, vec![before, "after shell false"]),
        (2, true, true, vec![before, before, before, "after shell true"]),
        (9, true, false, vec![before, before, before, "after shell false"]),
    ] {
        let (cloud, seen) = (FakeCloud::default(), Arc::default());
        let hook = Flaky { fails, retries, seen: Arc::clone(&seen) };
        let result = pipeline(&cloud).hook(hook).run(&context(&MemoryStore::default()).await).await;
        assert_eq!((result.is_ok(), &*seen.lock().unwrap()), (ok, &want.iter().map(|s| (*s).to_owned()).collect()));
        assert_eq!(calls(&cloud, "instance-2 exec install").len(), usize::from(ok));
    }
}

//! A build on AWS that is killed, cancelled or cut off at any moment leaves what its journal kept, and nothing else.
//!
//! A whole pipeline runs over real SDK clients and sockets against a simulated cloud that outlives it: build, checks before
//! and after a boot, copies in two regions and two accounts, permissions, pointers. Then somebody else recovers the run,
//! and what is in the cloud is compared with the journal: images with their snapshots, who may use them, what points to
//! them, and that nothing else exists. A second recovery must change nothing.
//!
//! `cargo test -p image-aws` tries samples. Every moment is tried, and the rows of the table in `docs/benchmarks.md`
//! printed, by
//!
//! ```text
//! LEAKS=all cargo test -p image-aws --test leaks -- --nocapture
//! ```

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by a panic, and prints its figures")]

mod books;
mod process;
mod site;
mod tally;
mod wire;

use books::{compare, recovered, things};
use image_aws::tag;
use image_core::{
    Context, ErrorKind, Event, EventBody, EventSink, Faults, JournalStore as _, MemoryStore, ReapOutcome, RunError,
    reap,
};
use image_sim::{Effect, Rule};
use process::{Death, Order};
use site::{RUN, Site, mutates};
use std::{collections::BTreeMap, time::Duration};
use tally::{Found, runtime, sampled, tally};
use tokio::sync::mpsc;

#[test]
#[ignore = "the other tests run it in a process of its own"]
fn build_in_a_process() {
    process::obey();
}

/// How many journal entries and requests a run has that nothing disturbs.
fn size_of_a_run() -> (u64, u64) {
    runtime().block_on(async {
        let site = Site::new().await;
        assert!(!site.order().obeyed().await);
        let requests = site.calls().len();
        let found = compare(&site).await;
        assert!(found.committed && found.beyond.is_empty() && found.missing.is_empty(), "{found:?}");
        let entries = site.store().entries(RUN).await.unwrap().len();
        (entries.try_into().unwrap(), requests.try_into().unwrap())
    })
}

async fn dies(death: Death) -> Found {
    let site = Site::new().await;
    let died = Order { death: Some(death), ..site.order() }.obeyed().await;
    let mut found = recovered(&site).await;
    found.wrong.extend((!died).then(|| "the run came to its end before".to_owned()));
    found
}

#[test]
fn killed_after_a_journal_entry() {
    let (entries, _) = size_of_a_run();
    let moments = sampled(1..=entries, 6);
    tally("SIGKILL after a journal entry", &moments, async |n| dies(Death::Entry(*n)).await);
}

#[test]
fn killed_after_a_request() {
    let (_, requests) = size_of_a_run();
    let moments = sampled(1..=requests, 12);
    tally("SIGKILL after a request, its reply unread", &moments, async |n| dies(Death::Reply(*n)).await);
}

/// Runs here, to the end.
async fn run(site: &Site, unwind_for: Duration) -> Result<(), RunError> {
    let settings = Context::builder(site.store()).run_id(RUN).unwind_for(unwind_for);
    let cx = settings.open().await.unwrap();
    site.pipeline().run(&cx).await.map(drop)
}

const AN_HOUR: Duration = Duration::from_secs(3600);

/// A call that changes something: where, which, and how many like it come before.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Mutation {
    account: String,
    region: String,
    action: String,
    before: u32,
}

impl Mutation {
    fn befallen(&self, effect: Effect) -> Rule {
        Rule::new(effect).account(&self.account).region(&self.region).action(&self.action).after(self.before)
    }
}

/// Every call of a run that changes something.
fn mutations() -> Vec<Mutation> {
    let calls = runtime().block_on(async {
        let site = Site::new().await;
        run(&site, AN_HOUR).await.unwrap();
        site.calls()
    });
    let mut seen = BTreeMap::new();
    let mut mutations = vec![];
    for call in calls {
        let place = (call.account.clone(), call.region.clone(), call.action.clone());
        let before = seen.entry(place).or_insert(0);
        if mutates(&call) {
            let (account, region, action) = (call.account, call.region, call.action);
            mutations.push(Mutation { account, region, action, before: *before });
        }
        *before += 1;
    }
    mutations
}

#[test]
fn a_reply_is_lost() {
    let moments = sampled(mutations(), 3);
    tally("a lost reply", &moments, async |lost| {
        let site = Site::new().await;
        site.simulator.inject(lost.befallen(Effect::ReplyLost).times(1));
        let ended = run(&site, AN_HOUR).await;
        let mut found = recovered(&site).await;
        if let Err(e) = ended {
            found.wrong.push(format!("one lost reply ended the run: {}", e.cause.chain()));
        }
        found
    });
}

#[test]
fn every_reply_is_lost_from_a_moment_on() {
    let moments = sampled(mutations(), 4);
    tally("all replies of an action lost from a moment on", &moments, async |lost| {
        let site = Site::new().await;
        site.simulator.inject(lost.befallen(Effect::ReplyLost));
        // It fails, or leaves something to recover, or neither where all that was lost was a deletion's reply.
        let _ = run(&site, AN_HOUR).await;
        site.simulator.clear_faults();
        recovered(&site).await
    });
}

/// Tells which stages begin.
#[derive(Debug)]
struct Stages(mpsc::UnboundedSender<String>);

impl EventSink for Stages {
    fn emit(&self, event: &Event) {
        if event.body == EventBody::StageStarted {
            // Nobody listens any more where the run is cancelled already.
            let _ = self.0.send(event.stage.to_string());
        }
    }
}

/// Runs here, and is cancelled when a stage begins. Gives the stages that began.
async fn cancelled_at(site: &Site, stage: Option<&str>) -> Vec<String> {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let cx = Context::builder(site.store()).run_id(RUN).sink(Stages(sender)).open().await.unwrap();
    let run = site.pipeline().start(&cx);
    drop(cx);
    let canceller = run.canceller();
    // It ends when nothing of the run is left that could say anything, and the journal is free.
    let watch = async {
        let mut begun = vec![];
        while let Some(began) = receiver.recv().await {
            if stage == Some(&began) {
                canceller.cancel();
            }
            begun.push(began);
        }
        begun
    };
    let (ended, begun) = tokio::join!(run.wait(), watch);
    match ended {
        Err(e) if e.cause.kind() == ErrorKind::Cancelled && stage.is_some() => assert!(e.leftovers.is_empty(), "{e}"),
        // Too late to stop is a success.
        ended => drop(ended.unwrap()),
    }
    begun
}

#[test]
fn cancelled_at_a_stage() {
    let stages = runtime().block_on(async { cancelled_at(&Site::new().await, None).await });
    tally("a cancel as a stage begins", &sampled(stages, 3), async |stage| {
        let site = Site::new().await;
        cancelled_at(&site, Some(stage)).await;
        // The run has cleaned up by itself.
        let mut found = compare(&site).await;
        found.wrong.extend(recovered(&site).await.wrong);
        found
    });
}

/// Reaps a few times: what is new is not seen at once, a security group goes once its instance has, a copy once it is seen
/// again that it has gone. Gives what could not be deleted in the end.
async fn reap_all(site: &Site, ahead: Duration) -> Vec<String> {
    let settings = Context::builder(MemoryStore::default()).faults(Faults::clock_ahead(ahead));
    let cx = settings.open().await.unwrap();
    let undoers = site.pipeline().undoers();
    let mut failed = vec![];
    for _ in 0..6 {
        failed.clear();
        for (scope, undoer) in undoers.iter() {
            for one in reap(&cx, undoer, scope, true).await.unwrap() {
                if one.outcome != ReapOutcome::Gone {
                    failed.push(format!("{}: {:?}", one.resource, one.outcome));
                }
            }
        }
    }
    failed
}

#[test]
fn reaped_without_a_journal() {
    let (entries, _) = size_of_a_run();
    tally("SIGKILL after a journal entry, the journal lost, reap", &sampled(1..=entries, 8), async |n| {
        let site = Site::new().await;
        assert!(Order { death: Some(Death::Entry(*n)), ..site.order() }.obeyed().await);
        site.lose_journal();
        let before = things(&site);
        let mut wrong = reap_all(&site, Duration::ZERO).await;
        if things(&site) != before {
            wrong.push("something was reaped before its expiry".into());
        }
        wrong.extend(reap_all(&site, 48 * AN_HOUR).await);
        // All that is left to go by is on the things themselves.
        let stays = |tags: &BTreeMap<String, String>| tags.get(tag::STATE).is_some_and(|state| state == "kept");
        let (kept, beyond): (Vec<_>, Vec<_>) = things(&site).into_iter().partition(|thing| stays(&thing.tags));
        let was_kept = |thing: &&image_sim::ResourceState| stays(&thing.tags);
        let missing = before.iter().filter(was_kept).filter(|thing| !kept.contains(thing));
        let missing = missing.map(|thing| format!("{thing:?}")).collect();
        let beyond = beyond.iter().map(|thing| format!("{thing:?}")).collect();
        Found { committed: !kept.is_empty(), beyond, missing, wrong }
    });
}

#[test]
fn terminations_are_throttled_for_ever() {
    tally("`TerminateInstances` throttled for ever", &[()], async |()| {
        let site = Site::new().await;
        site.simulator.inject(Rule::new(Effect::Throttle).action("TerminateInstances"));
        let began = tokio::time::Instant::now();
        let left = match run(&site, Duration::from_secs(60)).await {
            Ok(()) => vec![],
            Err(e) => e.leftovers.stuck.iter().map(|stuck| stuck.resource.kind.name.clone()).collect(),
        };
        assert!(began.elapsed() < AN_HOUR, "the run took {:?}", began.elapsed());
        assert!(left.contains(&"instance".to_owned()), "{left:?}");
        assert!(things(&site).iter().any(|thing| thing.kind == "instance"));
        // The last attempt, which the deadline left behind, ends too; the run's journal is free then.
        tokio::time::sleep(Duration::from_secs(600)).await;
        site.simulator.clear_faults();
        recovered(&site).await
    });
}

//! Cases over whole runs, for builders, importers and distributors alike.

use crate::{
    CaseResult, Failure, Fresh, Rig,
    books::{Books, Seen, ensure_left_is_kept},
    failure::ensure,
    harness::{Crash, Events, RUN, Ran, run, run_photographed},
};
use image_core::{
    Context, ErrorClass, Event, EventBody, FaultSide, Faults, LayerAction, MemoryStore, Plan, ReapOutcome, Recovered,
    Undoers, reap, recover,
};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// Longer than a run, its unwind and the margin of an expiry; shorter than a layer lives.
const PAST_EXPIRY: Duration = Duration::from_secs(26 * 3600);

async fn clean(fresh: Fresh<'_>) -> Result<Ran, Failure> {
    let ran = run(fresh, Faults::default()).await?;
    match &ran.result {
        Ok(_) => Ok(ran),
        Err(e) => Err(Failure::new("clean run", format!("it failed: {}", e.cause.chain()))),
    }
}

async fn recovered(store: &MemoryStore, undoers: Undoers, moment: &str) -> Result<Recovered, Failure> {
    recover(Arc::new(store.clone()), RUN, undoers).await.map_err(Failure::at(moment))
}

async fn context(rig: &dyn Rig, faults: Faults) -> Result<(Context, Events), Failure> {
    let events = Events::default();
    let settings = Context::builder(MemoryStore::default()).sink(events.clone()).faults(faults);
    let cx = settings.open().await.map_err(Failure::at("a fresh journal"))?;
    cx.register(rig.pipeline().undoers()).map_err(Failure::at("a fresh context"))?;
    Ok((cx, events))
}

/// A run without faults succeeds, and what is left equals exactly what the journal kept.
pub async fn clean_run_leaves_what_it_kept(fresh: Fresh<'_>) -> CaseResult {
    let ran = clean(fresh).await?;
    let Ok(outcome) = &ran.result else { return Ok(0) };
    ensure(outcome.leftovers.is_empty(), "clean run", || format!("leftovers {:?}", outcome.leftovers))?;
    ensure(ran.creates > 0, "clean run", || "nothing was created or changed through the context".into())?;
    ensure_left_is_kept(&*ran.rig, &ran.before, &ran.text, "clean run")?;
    let images: BTreeSet<&str> = outcome.images.iter().map(|image| image.id.as_str()).collect();
    let live = ran.rig.live();
    let known = images.iter().find(|id| !live.contains(**id));
    ensure(known.is_none(), "clean run", || format!("image {known:?} is not alive: its id must be its resource's"))?;
    Ok(ran.creates)
}

/// Every create and change fails before the call, after it and by a panic; everything is undone, twice.
pub async fn every_fault_unwinds(fresh: Fresh<'_>) -> CaseResult {
    let creates = clean(fresh).await?.creates;
    let mut tried = 0;
    for n in fresh().limits().pick(creates) {
        for side in [FaultSide::Before, FaultSide::After, FaultSide::Panic] {
            let ran = run(fresh, Faults::at_create(n, side).undo_twice()).await?;
            let moment = format!("create {n} {side:?}");
            let Err(error) = &ran.result else { return Err(Failure::new(moment, "the fault was swallowed")) };
            ensure(error.leftovers.is_empty(), &moment, || format!("leftovers {:?}", error.leftovers))?;
            ensure_left_is_kept(&*ran.rig, &ran.before, &ran.text, &moment)?;
            let chain = error.cause.chain();
            ensure(chain.contains("injected"), &moment, || format!("the cause was replaced by: {chain}"))?;
            tried += 1;
        }
    }
    Ok(tried)
}

/// The run is cancelled, and its stages dropped, at poll 1 to N; the number of polls is what this returns.
pub async fn every_poll_unwinds(fresh: Fresh<'_>) -> CaseResult {
    let polls = clean(fresh).await?.polls;
    let picked = fresh().limits().pick(polls);
    for n in &picked {
        let ran = run(fresh, Faults::cancel_at_poll(*n)).await?;
        let moment = format!("cancel at poll {n}");
        let leftovers = match &ran.result {
            Ok(outcome) => &outcome.leftovers,
            Err(error) => {
                ensure(error.cause.class() == ErrorClass::Cancelled, &moment, || error.cause.chain())?;
                &error.leftovers
            }
        };
        ensure(leftovers.is_empty(), &moment, || format!("leftovers {leftovers:?}"))?;
        ensure_left_is_kept(&*ran.rig, &ran.before, &ran.text, &moment)?;
    }
    Ok(picked.len() as u64)
}

/// The handle of the run is dropped at many moments of it; the unwind goes on without anybody.
pub async fn dropped_handle_unwinds(fresh: Fresh<'_>) -> CaseResult {
    let (took, limits) = (clean(fresh).await?.took, fresh().limits());
    let picked = limits.pick(32);
    for n in &picked {
        let (rig, store) = (fresh(), MemoryStore::default());
        let (before, moment) = (Seen::of(&*rig), format!("dropped after {n}/32 of the run"));
        let cx = Context::builder(store.clone()).run_id(RUN).open().await.map_err(Failure::at(&moment))?;
        let handle = rig.pipeline().start(&cx);
        drop(cx);
        tokio::time::sleep(took * u32::try_from(*n).unwrap_or(u32::MAX) / 32).await;
        drop(handle);
        let mut looks = 0;
        while image_core::JournalStore::claim(&store, RUN).await.is_err() {
            looks += 1; // the claim ends with the unwind
            ensure(looks < 20_000, &moment, || "the unwind did not end".into())?;
            tokio::time::sleep(limits.settle / 100).await;
        }
        tokio::time::sleep(limits.settle).await;
        ensure_left_is_kept(&*rig, &before, &store.text(RUN), &moment)?;
    }
    Ok(picked.len() as u64)
}

/// Calls a check on the world after a death at every moment of a run whose books are as wanted: `runs` says with which
/// faults. A check says whether it had something to try; where none of them had, the case proves nothing and fails.
async fn each_crash<'a, F, Fut>(
    fresh: Fresh<'a>,
    runs: &[Faults],
    wanted: impl Fn(&Books) -> bool + Send,
    mut check: F,
) -> CaseResult
where
    F: FnMut(Crash, String) -> Fut,
    Fut: Future<Output = Result<bool, Failure>>,
{
    let (mut looked, mut tried) = (0, 0);
    for faults in runs {
        let ran = run_photographed(fresh, faults.clone()).await?;
        let moments = ran.moments(&wanted)?;
        for n in ran.rig.limits().pick(moments.len() as u64) {
            let Some(n) = usize::try_from(n).ok().and_then(|n| moments.get(n - 1)) else { continue };
            let (side, entry) = (if n % 2 == 0 { "before" } else { "after" }, n / 2 + 1);
            let moment = format!("crash {side} entry {entry}, faults {:?}", faults.at_create);
            looked += 1;
            let Some(crash) = ran.crash(fresh, *n).await? else { continue };
            tried += u64::from(check(crash, moment).await?);
        }
    }
    ensure(looked == 0 || tried > 0, "every crash", || format!("{looked} moments, and nothing to try at any of them"))?;
    Ok(tried)
}

/// Recovery from every truncation of the journal, whole and torn, of a clean run and of runs that were unwinding. Then
/// the same recovery again.
pub async fn every_crash_recovers(fresh: Fresh<'_>) -> CaseResult {
    let creates = clean(fresh).await?.creates;
    let unwinding =
        [Faults::at_create(creates.div_ceil(2), FaultSide::After), Faults::at_create(creates, FaultSide::Panic)];
    let mut torn = 0;
    let mut recover_from = |crash: Crash, moment: String| {
        torn += u64::from(crash.torn.is_some());
        async move {
            let Crash { rig, before, text, torn } = crash;
            // The whole one last, on the world itself: a copy is not to be had everywhere.
            if let (Some(torn), Some(copy)) = (torn.clone(), rig.snapshot()) {
                recover_twice(&*copy, &before, &torn, &format!("{moment}, torn")).await?;
            }
            let last = if rig.snapshot().is_some() { text } else { torn.unwrap_or(text) };
            recover_twice(&*rig, &before, &last, &moment).await.map(|()| true)
        }
    };
    let whole = each_crash(fresh, &[Faults::default()], |_| true, &mut recover_from).await?;
    let unwinding = each_crash(fresh, &unwinding, |_| true, &mut recover_from).await?;
    Ok(whole + unwinding + torn)
}

async fn recover_twice(rig: &dyn Rig, before: &Seen, text: &str, moment: &str) -> Result<(), Failure> {
    let store = MemoryStore::with_text(RUN, text);
    for attempt in ["", ", again"] {
        let moment = format!("{moment}{attempt}");
        let done = recovered(&store, rig.pipeline().undoers(), &moment).await?;
        ensure(done.leftovers.is_empty(), &moment, || format!("leftovers {:?}", done.leftovers))?;
        ensure_left_is_kept(rig, before, &store.text(RUN), &moment)?;
    }
    let (was, is) = (Books::read(text)?.is_final(), Books::read(&store.text(RUN))?.is_final());
    ensure(was == is, moment, || format!("committed before the crash: {was}, after recovery: {is}"))
}

/// With credentials of another account, or with nobody who knows the owner, everything open is stuck and nothing is
/// touched; the right undoers then finish.
pub async fn foreign_scope_is_refused(fresh: Fresh<'_>) -> CaseResult {
    let faults = [Faults::default()];
    let tried = each_crash(
        fresh,
        &faults,
        |books| !books.open.is_empty(),
        |crash, moment| async move {
            let Crash { rig, before, text, .. } = crash;
            if Books::read(&text)?.open.is_empty() {
                return Ok(false);
            }
            let (store, seen) = (MemoryStore::with_text(RUN, text), Seen::of(&*rig));
            for (who, undoers) in [("another account", rig.foreign()), ("nobody", Undoers::new())] {
                let moment = format!("{moment}, recovered by {who}");
                let done = recovered(&store, undoers, &moment).await?;
                ensure(!done.leftovers.is_empty(), &moment, || {
                    format!("what is open was called gone from another account: {:?}", seen.live)
                })?;
                seen.ensure_same(&*rig, &moment, "a foreign backend was touched")?;
            }
            recover_twice(&*rig, &before, &store.text(RUN), &format!("{moment}, then by us")).await.map(|()| true)
        },
    );
    let tried = tried.await?;
    ensure(tried > 0, "every crash", || "nothing was ever open".into())?;
    Ok(tried)
}

/// A value that somebody else changed since is theirs: undo leaves it alone. Tried where the pipeline changes a value and
/// [`Rig::overwrite`] is provided.
pub async fn others_changes_are_left_alone(fresh: Fresh<'_>) -> CaseResult {
    let ran = clean(fresh).await?;
    let kept = Books::read(&ran.text)?.kept;
    let changed = kept.into_iter().find_map(|(resource, _)| Some((resource.id?, resource.change?.after)));
    if !changed.is_some_and(|(id, value)| ran.rig.overwrite(&id, value)) {
        return Ok(0);
    }
    let changes = |books: &Books| books.open.values().any(|resource| resource.change.is_some());
    each_crash(fresh, &[Faults::default()], changes, |crash, moment| async move {
        let Crash { rig, text, .. } = crash;
        let values = rig.values();
        let mut ours = Books::read(&text)?.open.into_values().filter_map(|resource| {
            let (id, change) = (resource.id?, resource.change?);
            // It is not ours before the call is made.
            (values.get(&id) == Some(&change.after)).then_some(id)
        });
        let theirs = json!("changed by somebody else");
        // Not everything can be written here.
        let Some(id) = ours.find(|id| rig.overwrite(id, theirs.clone())) else { return Ok(false) };
        let done = recovered(&MemoryStore::with_text(RUN, text), rig.pipeline().undoers(), &moment).await?;
        ensure(done.leftovers.is_empty(), &moment, || format!("leftovers {:?}", done.leftovers))?;
        let now = rig.values().get(&id).cloned();
        ensure(now == Some(theirs), &moment, || format!("somebody else's value of {id} became {now:?}"))?;
        Ok(true)
    })
    .await
}

/// The journal is lost: reap takes every temporary thing of a dead run past its expiry, and nothing that was kept.
pub async fn reap_spares_what_is_kept(fresh: Fresh<'_>) -> CaseResult {
    // Who knows that a commit has begun, has the journal.
    let lost = |books: &Books| books.committing.is_none();
    each_crash(fresh, &[Faults::default()], lost, |crash, moment| async move {
        let Crash { rig, before, text, .. } = crash;
        let books = Books::read(&text)?;
        if !lost(&books) {
            return Ok(false);
        }
        let seen = Seen::of(&*rig);
        sweep(&*rig, Duration::ZERO, &moment).await?;
        ensure(rig.live() == seen.live, &moment, || format!("reaped before its expiry, left {:?}", rig.live()))?;
        sweep(&*rig, PAST_EXPIRY, &moment).await?;
        let mut kept = books.expected(&before);
        kept.values = rig.values(); // changes carry no tags
        kept.ensure_same(&*rig, format!("{moment}, reaped"), "what is left is not what was kept")?;
        Ok(true)
    })
    .await
}

/// Reaps until nothing more is found, as a nightly job would.
async fn sweep(rig: &dyn Rig, clock_ahead: Duration, moment: &str) -> Result<(), Failure> {
    for _ in 0..10 {
        tokio::time::sleep(rig.limits().settle / 2).await;
        let (cx, _) = context(rig, Faults::clock_ahead(clock_ahead)).await?;
        let mut found = 0;
        for (scope, undoer) in rig.pipeline().undoers().iter() {
            let reaped = reap(&cx, &**undoer, scope, true).await.map_err(Failure::at(moment))?;
            found += reaped.len();
            for one in reaped {
                if let ReapOutcome::Failed(why) = one.outcome {
                    return Err(Failure::new(moment, format!("reap of {} failed: {why}", one.resource)));
                }
            }
        }
        if found == 0 {
            return Ok(());
        }
    }
    Ok(())
}

/// A second run with nothing changed reuses the image and its approval, and makes no mutating call. Where a plugin of the
/// pipeline declares no fingerprint there is nothing to try.
pub async fn unchanged_rerun_mutates_nothing(fresh: Fresh<'_>) -> CaseResult {
    let ran = clean(fresh).await?;
    // On a paused clock the first run took hours of which the system clock, that a run asks once, knows nothing.
    let later = Faults::clock_ahead(ran.took + ran.rig.limits().settle);
    let settings = Context::builder(ran.store.clone()).run_id("run-2").faults(later);
    let cx = settings.open().await.map_err(Failure::at("second run"))?;
    let pipeline = ran.rig.pipeline();
    let plan = pipeline.plan(&cx).await.map_err(Failure::at("second plan"))?;
    let Some(last) = plan.layers.last().filter(|layer| layer.fingerprint.is_some()) else { return Ok(0) };
    ensure(matches!(last.action, LayerAction::Reuse(_)), "second plan", || format!("it builds again: {plan}"))?;
    if plan.approved_by_run.is_none() {
        return Ok(0); // a judge that declares nothing judges again
    }
    let seen = Seen::of(&*ran.rig);
    let outcome = pipeline.run(&cx).await.map_err(|e| Failure::new("second run", e.cause.chain()))?;
    let mutations = outcome.report.mutations;
    ensure(mutations == 0, "second run", || format!("{mutations} mutating calls with nothing changed"))?;
    tokio::time::sleep(ran.rig.limits().settle).await;
    seen.ensure_same(&*ran.rig, "second run", "it changed the backend")?;
    Ok(1)
}

/// Checking, looking up and planning leave the backend as it is, and give the same plan every time.
pub async fn planning_has_no_side_effects(fresh: Fresh<'_>) -> CaseResult {
    let finished = clean(fresh).await?.rig;
    for (moment, rig) in [("plan on a fresh backend", fresh()), ("plan after a run", finished)] {
        let seen = Seen::of(&*rig);
        let (cx, _) = context(&*rig, Faults::default()).await?;
        let mut plans: Vec<Plan> = vec![];
        for _ in 0..2 {
            plans.push(rig.pipeline().plan(&cx).await.map_err(Failure::at(moment))?);
        }
        ensure(plans[0] == plans[1], moment, || format!("two plans differ:\n{}\n{}", plans[0], plans[1]))?;
        ensure(cx.creates() == 0, moment, || format!("{} creates or changes", cx.creates()))?;
        tokio::time::sleep(rig.limits().settle).await;
        seen.ensure_same(&*rig, moment, "it changed the backend")?;
    }
    Ok(2)
}

/// Whatever a dead run left behind, a later plan reuses only what was committed.
pub async fn lookup_finds_only_what_is_committed(fresh: Fresh<'_>) -> CaseResult {
    each_crash(
        fresh,
        &[Faults::default()],
        |_| true,
        |crash, moment| async move {
            let Crash { rig, text, .. } = crash;
            tokio::time::sleep(rig.limits().settle).await;
            let (cx, _) = context(&*rig, Faults::default()).await?;
            let plan = rig.pipeline().plan(&cx).await.map_err(Failure::at(&moment))?;
            let committed = Books::read(&text)?.committed();
            let reused = plan.layers.iter().filter_map(|layer| match &layer.action {
                LayerAction::Reuse(id) => Some(id.trim_start_matches("in ")),
                _ => None,
            });
            for id in reused {
                ensure(committed.contains(id), &moment, || format!("{id} is reused, but was never committed"))?;
            }
            Ok(true)
        },
    )
    .await
}

/// Settings that cannot work are refused as user input, before anything is created.
pub async fn bad_settings_are_refused(fresh: Fresh<'_>) -> CaseResult {
    let (rig, mut tried) = (fresh(), 0);
    let seen = Seen::of(&*rig);
    for (n, pipeline) in rig.refused().into_iter().enumerate() {
        let moment = format!("refused pipeline {}", n + 1);
        let cx = Context::builder(MemoryStore::default()).open().await.map_err(Failure::at(&moment))?;
        let Err(error) = pipeline.run(&cx).await else { return Err(Failure::new(moment, "it was accepted")) };
        let (class, chain) = (error.cause.class(), error.cause.chain());
        ensure(class == ErrorClass::UserInput, &moment, || format!("class {class:?} instead of UserInput: {chain}"))?;
        ensure(cx.creates() == 0, &moment, || format!("refused only after {} creates", cx.creates()))?;
        seen.ensure_same(&*rig, moment, "it changed the backend")?;
        tried += 1;
    }
    Ok(tried)
}

/// The events of clean, failed and cancelled runs are well formed, and no secret shows anywhere.
pub async fn events_are_well_formed(fresh: Fresh<'_>) -> CaseResult {
    let (creates, polls) = {
        let ran = clean(fresh).await?;
        well_formed(&ran, "clean run")?;
        (ran.creates, ran.polls)
    };
    let mut tried = 1;
    for n in fresh().limits().pick(creates) {
        for side in [FaultSide::After, FaultSide::Panic] {
            let ran = run(fresh, Faults::at_create(n, side)).await?;
            well_formed(&ran, &format!("create {n} {side:?}"))?;
            tried += 1;
        }
    }
    for n in fresh().limits().pick(polls) {
        let ran = run(fresh, Faults::cancel_at_poll(n)).await?;
        well_formed(&ran, &format!("cancel at poll {n}"))?;
        tried += 1;
    }
    Ok(tried)
}

fn well_formed(ran: &Ran, moment: &str) -> Result<(), Failure> {
    let events = &ran.events;
    let ends = |body: &EventBody| matches!(body, EventBody::RunStarted | EventBody::RunFinished { .. });
    let framed = matches!(events.first(), Some(Event { body: EventBody::RunStarted, .. }))
        && matches!(events.last(), Some(Event { body: EventBody::RunFinished { .. }, .. }))
        && events.iter().filter(|event| ends(&event.body)).count() == 2;
    ensure(framed, moment, || "events do not begin with RunStarted and end with RunFinished".into())?;
    ensure(events.iter().all(|event| event.run == RUN), moment, || "an event of another run".into())?;
    let mut open = BTreeMap::<&str, i64>::new();
    for event in events {
        match event.body {
            EventBody::StageStarted => *open.entry(&event.stage).or_default() += 1,
            EventBody::StageFinished { .. } => *open.entry(&event.stage).or_default() -= 1,
            _ => {}
        }
        let early = open.iter().find(|(_, n)| **n < 0);
        ensure(early.is_none(), moment, || format!("stage {early:?} ended before it began"))?;
    }
    let unpaired = open.iter().find(|(_, n)| **n != 0);
    ensure(unpaired.is_none(), moment, || format!("stage {unpaired:?} never ended"))?;
    no_secret_shows(ran, moment)
}

fn no_secret_shows(ran: &Ran, moment: &str) -> Result<(), Failure> {
    let (report, error) = match &ran.result {
        Ok(outcome) => (serde_json::to_string(&outcome.report), String::new()),
        Err(error) => (serde_json::to_string(&error.report), format!("{} {:?}", error.cause.chain(), error.cause)),
    };
    let events = serde_json::to_string(&ran.events).map_err(|e| Failure::new(moment, e.to_string()))?;
    let report = report.map_err(|e| Failure::new(moment, e.to_string()))?;
    for (place, text) in
        [("an event", &events), ("the journal", &ran.text), ("the report", &report), ("the error", &error)]
    {
        let shown = ran.rig.secrets().iter().any(|secret| text.contains(secret.as_str()));
        ensure(!shown, moment, || format!("a secret shows in {place}"))?;
    }
    Ok(())
}

/// The pipeline imports, every imported image is booted and validated, and no import changes the disk it was made of.
pub async fn every_import_is_tested(fresh: Fresh<'_>) -> CaseResult {
    let ran = clean(fresh).await?;
    let Ok(outcome) = &ran.result else { return Ok(0) };
    let record = &outcome.report.record;
    ensure(record.images.len() > 1, "clean run", || "the rig's pipeline has no importer".into())?;
    for found in &record.images {
        let moment = format!("image {}", found.image);
        ensure(!found.booted.is_empty() || !record.opted_out.is_empty(), moment, || "it was never booted".into())?;
    }
    Ok(record.images.len() as u64 - 1)
}

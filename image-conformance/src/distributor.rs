//! Cases of distributors alone, beside those over whole runs.

use crate::{CaseResult, Failure, Rig, books::Seen, failure::ensure};
use image_core::{
    ApprovedImage, Captured, Context, Distributor, ErrorClass, Guard, Image, Keep, MemoryStore, Undo, Undoers,
};
use std::{collections::BTreeSet, sync::Arc};

/// A [`Rig`] with a distributor, and an image for it.
pub trait DistributorRig: Rig {
    /// The distributor, on this backend.
    fn distributor(&self) -> Arc<dyn Distributor>;
    /// An image of this backend that may be distributed; made and kept before it is asked for, and the same every time.
    fn image(&self) -> Image;
    /// Changes the content of a copy behind the distributor's back.
    fn corrupt(&self, copy: &Image);
}

/// Makes a fresh backend.
pub type FreshDistributor<'a> = &'a (dyn Fn() -> Arc<dyn DistributorRig> + Send + Sync);

struct Distributed {
    rig: Arc<dyn DistributorRig>,
    distributor: Arc<dyn Distributor>,
    cx: Context,
    approved: ApprovedImage,
    before: Seen,
    copies: Vec<Image>,
    guards: Vec<Guard>,
}

async fn open(distributor: &Arc<dyn Distributor>) -> Result<Context, Failure> {
    let cx = Context::builder(MemoryStore::default()).open().await.map_err(Failure::at("a fresh journal"))?;
    let undo = Arc::clone(distributor) as Arc<dyn Undo>;
    cx.register(Undoers::new().with(undo)).map_err(Failure::at("a fresh context"))?;
    Ok(cx)
}

async fn distributed(fresh: FreshDistributor<'_>) -> Result<Distributed, Failure> {
    let rig = fresh();
    let distributor = rig.distributor();
    let approved = ApprovedImage::dangerous_unreviewed(rig.image(), "conformance test");
    let before = Seen { live: rig.live(), values: rig.values() };
    let cx = open(&distributor).await?;
    distributor.check(&cx).await.map_err(Failure::at("check"))?;
    let captured = distributor.distribute(&cx, &approved).await.map_err(Failure::at("distribute"))?;
    tokio::time::sleep(rig.limits().settle).await;
    let (copies, guards): (Vec<Image>, Vec<Vec<Guard>>) =
        captured.into_iter().map(|Captured { image, guards, .. }| (image, guards)).unzip();
    let guards = guards.into_iter().flatten().collect();
    Ok(Distributed { rig, distributor, cx, approved, before, copies, guards })
}

/// Copies are made through the context, and nobody is pointed at them by `distribute` or `verify`.
pub async fn copies_are_journaled_and_not_published(fresh: FreshDistributor<'_>) -> CaseResult {
    let Distributed { rig, distributor, cx, approved, before, copies, guards } = distributed(fresh).await?;
    ensure(!copies.is_empty(), "distribute", || "no copy".into())?;
    let changed: BTreeSet<&str> =
        guards.iter().filter(|guard| guard.resource().change.is_some()).map(Guard::id).collect();
    let moved = rig
        .values()
        .into_iter()
        .find(|(id, value)| before.values.get(id).is_some_and(|old| old != value) && !changed.contains(id.as_str()));
    ensure(moved.is_none(), "distribute", || format!("it moved {moved:?}: pointers move in publish, by a change"))?;
    let journaled: BTreeSet<&str> = guards.iter().map(Guard::id).collect();
    let live = rig.live();
    let loose = live.difference(&before.live).find(|id| !journaled.contains(id.as_str()));
    ensure(loose.is_none(), "distribute", || format!("{loose:?} was not created through the context"))?;
    let (seen, creates) = (Seen { live, values: rig.values() }, cx.creates());
    distributor.verify(&cx, &approved, &copies).await.map_err(Failure::at("verify"))?;
    ensure(cx.creates() == creates, "verify", || "it created or changed something".into())?;
    let now = Seen { live: rig.live(), values: rig.values() };
    ensure(now == seen, "verify", || "it changed the backend".into())?;
    Ok(copies.len() as u64)
}

/// A copy whose content is another one is found out.
pub async fn verify_detects_a_corrupted_copy(fresh: FreshDistributor<'_>) -> CaseResult {
    let wanted = distributed(fresh).await?.copies.len();
    for n in 0..wanted {
        let Distributed { rig, distributor, cx, approved, copies, .. } = distributed(fresh).await?;
        let moment = format!("copy {} corrupted", n + 1);
        rig.corrupt(&copies[n]);
        let Err(error) = distributor.verify(&cx, &approved, &copies).await else {
            return Err(Failure::new(moment, "verify accepted it"));
        };
        let bad = matches!(error.class(), ErrorClass::Bug | ErrorClass::Cancelled | ErrorClass::Retryable);
        ensure(!bad, moment, || format!("class {:?}: {}", error.class(), error.chain()))?;
    }
    Ok(wanted as u64)
}

/// A later run finds the copies of an earlier one, and makes no second.
pub async fn rerun_makes_no_second_copy(fresh: FreshDistributor<'_>) -> CaseResult {
    let Distributed { rig, distributor, cx, approved, copies, guards, .. } = distributed(fresh).await?;
    for guard in guards.iter().filter(|guard| guard.resource().change.is_none()) {
        distributor.keep(&cx, guard.resource(), &Keep::FOREVER).await.map_err(Failure::at("keep"))?;
    }
    tokio::time::sleep(rig.limits().settle).await;
    let (live, cx) = (rig.live(), open(&distributor).await?);
    let again = distributor.distribute(&cx, &approved).await.map_err(Failure::at("rerun"))?;
    let more: Vec<String> = rig.live().difference(&live).cloned().collect();
    ensure(more.is_empty() && cx.creates() == 0, "rerun", || format!("a second copy of what was there: {more:?}"))?;
    let guarded = again.iter().any(|captured| !captured.guards.is_empty());
    ensure(!guarded, "rerun", || "a copy of an earlier run came with a guard: a failure would delete it".into())?;
    let ids = |images: Vec<&Image>| images.into_iter().map(|image| image.id.clone()).collect::<BTreeSet<_>>();
    let (first, second) = (ids(copies.iter().collect()), ids(again.iter().map(|captured| &captured.image).collect()));
    ensure(first == second, "rerun", || format!("copies were {first:?} and are {second:?}"))?;
    Ok(1)
}

/// Publishing moves pointers by changes alone, moves none twice, and all of it can be taken back.
pub async fn publish_moves_pointers_only_by_changes(fresh: FreshDistributor<'_>) -> CaseResult {
    let Distributed { rig, distributor, cx, copies, .. } = distributed(fresh).await?;
    let before = Seen { live: rig.live(), values: rig.values() };
    let guards = distributor.publish(&cx, &copies).await.map_err(Failure::at("publish"))?;
    let after = rig.values();
    ensure(rig.live() == before.live, "publish", || "it created or deleted something".into())?;
    let by_change = |id: &String, value: &serde_json::Value| {
        let change = guards.iter().find(|guard| guard.id() == id).and_then(|guard| guard.resource().change.as_ref());
        change.is_some_and(|change| change.after == *value)
    };
    let loose = after.iter().find(|(id, value)| before.values.get(*id) != Some(*value) && !by_change(id, value));
    ensure(loose.is_none(), "publish", || format!("{loose:?} was changed past the context"))?;
    let creates = cx.creates();
    let again = distributor.publish(&cx, &copies).await.map_err(Failure::at("publish again"))?;
    ensure(again.is_empty() && cx.creates() == creates, "publish again", || {
        "it moved a pointer that stood right".into()
    })?;
    let moved = guards.len() as u64;
    for guard in guards.into_iter().rev() {
        guard.release().await.map_err(Failure::at("taking a pointer back"))?;
    }
    ensure(rig.values() == before.values, "taking pointers back", || format!("values are {:?}", rig.values()))?;
    Ok(moved)
}

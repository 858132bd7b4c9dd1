//! What goes wrong with EC2 in particular, and what a build asks of it.

use crate::{
    cloud::{ACCOUNT, BASE_IMAGE, Cloud, Fault, REGION, SUBNETS},
    rig::{Scripted, builder, pipeline, place, source},
    wire::{InMemory, Params, Refusal, show},
};
use base64::Engine as _;
use image_aws::{
    ec2::{AmiBuilder, Ec2},
    tag,
};
use image_conformance::Answer;
use image_core::{
    BuildSpec, Builder, Context, ErrorKind, Kind, Layer, MemoryStore, Outcome, Pipeline, Query, Resource, RunError,
    Undo, Undoers, Undone, recover,
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

async fn context() -> Context {
    Context::builder(MemoryStore::default()).open().await.unwrap()
}

async fn run(builder: AmiBuilder) -> Result<Outcome, RunError> {
    let cx = context().await;
    pipeline(builder).run(&cx).await
}

fn throttled() -> Fault {
    let message = "Request limit exceeded.".to_owned();
    Fault::Refuse(Refusal { status: 503, code: "RequestLimitExceeded".into(), message })
}

/// What is left when a build of [`pipeline`] has succeeded: the image of its last layer, and the layer below.
fn assert_two_images(cloud: &Cloud, moment: &str) {
    let live = cloud.live();
    assert!(live.len() == 2 && live.iter().all(|id| id.starts_with("ami-")), "{moment}: {live:?}");
}

#[tokio::test(start_paused = true)]
async fn a_build_asks_for_what_its_settings_say() {
    let cloud = Cloud::new(ACCOUNT);
    let cx = Context::builder(MemoryStore::default()).run_id("run-1").open().await.unwrap();
    let outcome = pipeline(builder(&cloud)).run(&cx).await.unwrap();
    assert_eq!(outcome.images.len(), 1);
    let calls = |action: &str| -> Vec<Params> {
        cloud.calls(action).into_iter().filter(|call| !call.contains_key("DryRun")).collect()
    };
    let clean = |call: &Params| {
        let mut call = call.clone();
        let tags = ["golden-image:token", "golden-image:expires", "golden-image:fingerprint"];
        let keys: Vec<String> =
            call.iter().filter(|(_, v)| tags.contains(&v.as_str())).map(|(k, _)| k.clone()).collect();
        for key in keys {
            call.insert(key.replace(".Key", ".Value"), "…".into());
        }
        for (key, value) in &mut call {
            let token = value.len().checked_sub(36).filter(|_| key.ends_with("Name"));
            if let ("GroupName" | "Name", Some(at)) = (key.as_str(), token) {
                value.replace_range(at.., "TOKEN");
            }
        }
        show(&call)
    };
    insta::assert_snapshot!("run_instances", clean(&calls("RunInstances")[0]));
    insta::assert_snapshot!("run_instances_of_the_next_layer", clean(&calls("RunInstances")[1]));
    insta::assert_snapshot!("run_instances_to_test", clean(&calls("RunInstances")[2]));
    insta::assert_snapshot!("create_security_group", clean(&calls("CreateSecurityGroup")[0]));
    insta::assert_snapshot!("create_image_of_a_layer", clean(&calls("CreateImage")[0]));
    insta::assert_snapshot!("create_image", clean(&calls("CreateImage")[1]));
    let user_data = |n: usize| {
        let bytes = base64::prelude::BASE64_STANDARD.decode(&calls("RunInstances")[n]["UserData"]).unwrap();
        String::from_utf8(bytes).unwrap()
    };
    assert!((0..3).all(|n| user_data(n).contains("shutdown -h now")), "every instance ends itself");
    assert!(user_data(0).contains("packages: [jq]") && !user_data(2).contains("packages"), "only builds are set up");
    let (image, thing) = cloud.of_kind("image").into_iter().next_back().unwrap();
    assert_eq!((image.as_str(), thing.fact("Imds")), (outcome.images[0].id.as_str(), "v2.0"));
}

#[tokio::test(start_paused = true)]
async fn an_image_and_its_snapshots_are_kept_together() {
    let cloud = Cloud::new(ACCOUNT);
    let outcome = run(builder(&cloud)).await.unwrap();
    let image = &outcome.images[0];
    assert_eq!(image.parts.keys().collect::<Vec<_>>(), ["/dev/sdf", "/dev/xvda"]);
    for id in image.parts.values().chain([&image.id]) {
        let tags = cloud.thing(id).unwrap().tags;
        assert_eq!(tags.get(tag::STATE).map(String::as_str), Some("kept"), "{id}");
        assert!(!tags.contains_key(tag::EXPIRES), "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_is_made_up_for() {
    for action in ["RunInstances", "CreateSecurityGroup", "CreateImage"] {
        let cloud = Cloud::new(ACCOUNT);
        cloud.fault(action, 1, Fault::LoseReply);
        run(builder(&cloud)).await.unwrap_or_else(|e| panic!("{action}: {}", e.cause.chain()));
        assert_two_images(&cloud, action);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_created_without_any_reply_is_found_and_undone() {
    for action in ["RunInstances", "CreateSecurityGroup", "CreateImage"] {
        let cloud = Cloud::new(ACCOUNT);
        cloud.fault(action, 5, Fault::LoseReply);
        let error = run(builder(&cloud)).await.unwrap_err();
        assert_eq!(error.cause.kind(), ErrorKind::Unavailable, "{action}: {}", error.cause.chain());
        assert!(error.leftovers.is_empty(), "{action}: {:?}", error.leftovers);
        assert_eq!(cloud.live(), BTreeSet::new(), "{action}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_after_a_lost_reply_proves_nothing() {
    let cloud = Cloud::new(ACCOUNT);
    cloud.fault("RunInstances", 1, Fault::LoseReply);
    cloud.fault("RunInstances", 4, throttled());
    let error = run(builder(&cloud)).await.unwrap_err();
    assert_eq!(error.cause.kind(), ErrorKind::RateLimited);
    assert_eq!(cloud.live(), BTreeSet::new());
    assert_eq!(cloud.of_kind("instance").len(), 1, "it was there, and has ended");
}

#[tokio::test(start_paused = true)]
async fn candidates_are_tried_in_order_each_with_a_token_of_its_own() {
    let cloud = Cloud::new(ACCOUNT);
    cloud.no_capacity("m7i.large");
    cloud.no_capacity(&format!("m6i.large {}", SUBNETS[0]));
    run(builder(&cloud)).await.unwrap();
    let calls = cloud.calls("RunInstances");
    let tried = calls.iter().filter(|call| !call.contains_key("DryRun"));
    let tried: Vec<(String, String)> = tried
        .map(|call| {
            (format!("{} {}", call["InstanceType"], call["NetworkInterface.1.SubnetId"]), call["ClientToken"].clone())
        })
        .collect();
    let places: Vec<&str> = tried.iter().map(|(place, _)| place.as_str()).take(4).collect();
    let [a, b] = SUBNETS;
    let expected = [("m7i.large", a), ("m7i.large", b), ("m6i.large", a), ("m6i.large", b)];
    assert_eq!(places, expected.map(|(kind, subnet)| format!("{kind} {subnet}")));
    assert_eq!(tried.iter().map(|(_, token)| token).collect::<BTreeSet<_>>().len(), tried.len());
    assert_two_images(&cloud, "after the fallback");
}

#[tokio::test(start_paused = true)]
async fn without_any_capacity_every_candidate_is_named_and_nothing_is_left() {
    let cloud = Cloud::new(ACCOUNT);
    ["m7i.large", "m6i.large"].iter().for_each(|kind| cloud.no_capacity(kind));
    let error = run(builder(&cloud)).await.unwrap_err();
    assert_eq!(error.cause.kind(), ErrorKind::QuotaExceeded);
    let message = error.cause.chain();
    for kind in ["m7i.large", "m6i.large"] {
        assert!(SUBNETS.iter().all(|subnet| message.contains(&format!("{kind} in {subnet}"))), "{message}");
    }
    assert!(message.contains("InsufficientInstanceCapacity"), "{message}");
    assert_eq!(cloud.live(), BTreeSet::new());
}

#[tokio::test(start_paused = true)]
async fn throttling_slows_a_build_down_and_does_not_end_it() {
    for action in ["DescribeInstances", "DescribeImages", "RunInstances", "CreateImage", "StopInstances", "CreateTags"]
    {
        let cloud = Cloud::new(ACCOUNT);
        let times = if action.starts_with("Describe") { 9 } else { 2 };
        cloud.fault(action, 0, throttled());
        let cx = context().await;
        let running = pipeline(builder(&cloud)).start(&cx);
        // Not the checks, which are asked once each and refused in the ordinary way.
        while cloud.of_kind("instance").is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        cloud.fault(action, times, throttled());
        running.wait().await.unwrap_or_else(|e| panic!("{action}: {}", e.cause.chain()));
        assert_two_images(&cloud, action);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cleanup_that_is_throttled_for_ever_ends_and_a_later_recovery_finishes_it() {
    let cloud = Cloud::new(ACCOUNT);
    cloud.fault("CreateImage", 1, Fault::FailImage);
    cloud.fault("TerminateInstances", u32::MAX, throttled());
    let store = MemoryStore::default();
    let cx = Context::builder(store.clone()).run_id("run-1").unwind_for(Duration::from_secs(60));
    let error = pipeline(builder(&cloud)).run(&cx.open().await.unwrap()).await.unwrap_err();
    let stuck: Vec<&str> = error.leftovers.stuck.iter().map(|stuck| stuck.resource.kind.name.as_str()).collect();
    assert_eq!(stuck, ["instance", "security-group"]);
    // The last attempt, which the deadline left behind, ends too; the run's journal is free then.
    tokio::time::sleep(Duration::from_secs(600)).await;

    let healed = cloud.copy();
    healed.clear_faults();
    let undoers = Undoers::new().with(Arc::new(builder(&healed)));
    let recovered = recover(Arc::new(store), "run-1", undoers).await.unwrap();
    assert!(recovered.leftovers.is_empty(), "{:?}", recovered.leftovers);
    assert_eq!(healed.live(), BTreeSet::new());
}

#[tokio::test(start_paused = true)]
async fn an_image_that_fails_says_why_and_goes_with_its_snapshots() {
    let cloud = Cloud::new(ACCOUNT);
    cloud.fault("CreateImage", 1, Fault::FailImage);
    let error = run(builder(&cloud)).await.unwrap_err();
    let message = error.cause.chain();
    assert!(message.contains("is failed: Client.InternalError: the key is disabled"), "{message}");
    assert!(error.leftovers.is_empty(), "{:?}", error.leftovers);
    assert_eq!(cloud.live(), BTreeSet::new());
}

/// A kept image of a build, as a journal would name it.
async fn kept(cloud: &Cloud) -> Resource {
    let outcome = run(builder(cloud)).await.unwrap();
    let id = outcome.images[0].id.clone();
    let token = cloud.thing(&id).unwrap().tags[tag::TOKEN].clone();
    let kind = Kind::new("image", Duration::from_secs(60), Duration::ZERO);
    Resource::found("aws.ami", place().scope(), kind, REGION, token, id)
}

#[tokio::test(start_paused = true)]
async fn nothing_is_deleted_that_is_kept_or_not_ours() {
    let cloud = Cloud::new(ACCOUNT);
    let resource = kept(&cloud).await;
    let id = resource.id.clone().unwrap();
    let (builder, before) = (builder(&cloud), cloud.live());
    let cx = context().await;
    assert_eq!(builder.undo(&cx, &resource).await.unwrap_err().kind(), ErrorKind::Conflict);
    let mut foreign = resource.clone();
    foreign.token = "another".into();
    cloud.tag(&id, tag::STATE, Some("temporary"));
    assert_eq!(builder.undo(&cx, &foreign).await.unwrap_err().kind(), ErrorKind::PermissionDenied);
    // Its snapshots are still kept.
    assert_eq!(builder.undo(&cx, &resource).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(cloud.live(), before);
}

#[tokio::test(start_paused = true)]
async fn undoing_an_image_takes_its_snapshots_and_may_be_repeated() {
    let cloud = Cloud::new(ACCOUNT);
    let resource = kept(&cloud).await;
    let token = &resource.token;
    let ours: Vec<String> = ["image", "snapshot"]
        .into_iter()
        .flat_map(|kind| cloud.of_kind(kind))
        .filter(|(_, thing)| thing.tags.get(tag::TOKEN) == Some(token))
        .map(|(id, _)| id)
        .collect();
    assert_eq!(ours.len(), 3);
    ours.iter().for_each(|id| cloud.tag(id, tag::STATE, Some("temporary")));
    let (builder, cx) = (builder(&cloud), context().await);
    assert_eq!(builder.undo(&cx, &resource).await.unwrap(), Undone::Gone);
    assert!(ours.iter().all(|id| cloud.thing(id).is_none()));
    assert_eq!(builder.undo(&cx, &resource).await.unwrap(), Undone::Absent);
}

#[tokio::test(start_paused = true)]
async fn all_that_carries_our_tags_is_found_on_however_many_pages() {
    let cloud = Cloud::new(ACCOUNT);
    kept(&cloud).await;
    // Of the layer only a snapshot is left, as if its image had been deregistered by hand.
    let layer = cloud
        .of_kind("image")
        .into_iter()
        .find(|(_, image)| image.tags.get(tag::STATE).is_some_and(|state| state == "layer"));
    let (layer, _) = layer.unwrap();
    cloud.remove(&layer);
    let (builder, cx) = (builder(&cloud), context().await);
    let query = Query::expired(place().scope(), cx.now().after(Duration::from_secs(400 * 24 * 3600)));
    let found = builder.find(&cx, &query).await.unwrap();
    let kinds: Vec<&str> = found.iter().map(|found| found.resource.kind.name.as_str()).collect();
    // What is kept has no expiry.
    assert_eq!(kinds, ["snapshot", "snapshot"]);
    for found in &found {
        let undone = builder.undo(&cx, &found.resource).await.unwrap();
        assert!(matches!(undone, Undone::Gone | Undone::Absent), "{undone:?}");
    }
    assert_eq!(cloud.live().len(), 1, "the kept image");
}

#[tokio::test(start_paused = true)]
async fn many_builds_wait_by_one_call_a_second() {
    let cloud = Cloud::new(ACCOUNT);
    let ec2 = Ec2::new(InMemory(cloud.clone()));
    let began = tokio::time::Instant::now();
    let builds: Vec<_> = (0..20)
        .map(|n| {
            let builder = AmiBuilder::new(&ec2, place(), source(), Scripted(Answer::Succeeds));
            let builder = builder.candidate("m7i.large", SUBNETS[0]);
            let build = Pipeline::new(format!("web-{n}")).builder(builder).layer(Layer::new("base"));
            let build = build.without_boot_validation("the wait is the test").without_scan("the wait is the test");
            tokio::spawn(async move { build.run(&context().await).await.map(|outcome| outcome.images.len()) })
        })
        .collect();
    for build in builds {
        assert_eq!(build.await.unwrap().map_err(|e| e.cause.chain()), Ok(1));
    }
    let seconds = began.elapsed().as_secs();
    let looks = |action: &str| {
        let polls = |call: &&Params| call.get("Filter.1.Name").is_some_and(|name| name.ends_with("-id"));
        cloud.calls(action).iter().filter(polls).map(|call| call.get("NextToken").is_none() as u64).sum::<u64>()
    };
    // The undo of each of the 20 instances and groups looks by an id of its own, a few times.
    assert!(looks("DescribeImages") <= seconds + 20, "{} looks in {seconds} s", looks("DescribeImages"));
    assert!(looks("DescribeSnapshots") <= seconds + 20);
}

#[tokio::test(start_paused = true)]
async fn a_check_changes_nothing_and_pins_the_newest_source() {
    let cloud = Cloud::new(ACCOUNT);
    let cx = context().await;
    let before = cloud.live();
    let builder = builder(&cloud);
    let checked = builder.check(&cx, &BuildSpec::new("web")).await.unwrap();
    assert_eq!(checked.source.pinned, BASE_IMAGE);
    let mutating = cloud.calls("").into_iter().filter(|call| {
        let reads = ["Describe", "Get"].iter().any(|verb| call["Action"].starts_with(verb));
        !reads && call.get("DryRun").map(String::as_str) != Some("true")
    });
    assert_eq!(mutating.count(), 0);
    assert_eq!(cloud.live(), before);

    let denied = Refusal { status: 403, code: "UnauthorizedOperation".into(), message: "no".into() };
    cloud.deny("RunInstances", denied);
    let error = builder.check(&cx, &BuildSpec::new("web")).await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::PermissionDenied, Some("ec2:RunInstances")));
}

#[tokio::test(start_paused = true)]
async fn a_spot_instance_is_not_stopped() {
    let cloud = Cloud::new(ACCOUNT);
    run(builder(&cloud).spot(Some("0.05"))).await.unwrap();
    assert!(cloud.calls("StopInstances").is_empty());
    assert!(cloud.calls("CreateImage").iter().all(|call| call["NoReboot"] == "false"));
    let launch = &cloud.calls("RunInstances")[0];
    assert_eq!(launch["InstanceMarketOptions.MarketType"], "spot");
    assert_eq!(launch["InstanceMarketOptions.SpotOptions.MaxPrice"], "0.05");
    assert_two_images(&cloud, "spot");
}

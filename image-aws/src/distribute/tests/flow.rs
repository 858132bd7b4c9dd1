//! What the kit does not ask: names, tags, lost replies, failing regions, others' changes, permissions for the calls.

use super::{
    FAR, HOME, OTHER,
    cloud::{Cloud, Fault, SOURCE},
    rig::{full, image},
    wire::Provider,
};
use crate::{
    Place,
    distribute::{AmiDistributor, Target},
    ec2::Ec2,
};
use image_core::{
    ApprovedImage, Captured, Context, Distributor, Error, ErrorKind, Guard, Image, Keep, MemoryStore, Query, Resource,
    Result, Undo, Undoers, Undone,
};
use serde_json::json;
use std::{collections::BTreeSet, sync::Arc, time::Duration};

fn place(text: &str) -> Place {
    text.parse().unwrap()
}

pub(super) fn new(cloud: &Cloud) -> AmiDistributor {
    AmiDistributor::new(&Ec2::new(Provider { cloud: cloud.clone(), reaches: None }), place(HOME))
}

pub(super) async fn context(distributor: &AmiDistributor) -> Context {
    let cx = Context::builder(MemoryStore::default()).open().await.unwrap();
    cx.register(Undoers::new().with(Arc::new(distributor.clone()))).unwrap();
    cx
}

pub(super) fn approved() -> ApprovedImage {
    ApprovedImage::dangerous_unreviewed(image(), "a test")
}

/// All of a run up to its commit.
pub(super) async fn distribute(cx: &Context, distributor: &AmiDistributor) -> Result<(Vec<Image>, Vec<Guard>)> {
    distributor.check(cx).await?;
    let captured = distributor.distribute(cx, &approved()).await?;
    let (images, guards): (Vec<_>, Vec<_>) =
        captured.into_iter().map(|Captured { image, guards, .. }| (image, guards)).unzip();
    distributor.verify(cx, &approved(), &images).await?;
    Ok((images, guards.into_iter().flatten().collect()))
}

pub(super) async fn keep(cx: &Context, distributor: &AmiDistributor, guards: &[Guard]) {
    for guard in guards {
        distributor.keep(cx, guard.resource(), &Keep::FOREVER).await.unwrap();
    }
}

fn calls(cloud: &Cloud, action: &str) -> Vec<Place> {
    cloud.lock().calls.iter().filter(|(_, name)| name == action).map(|(place, _)| place.clone()).collect()
}

/// Undoes until it is proven: what the core does, without its books.
async fn undo(cx: &Context, distributor: &AmiDistributor, resource: &Resource) {
    for _ in 0..100 {
        if let Undone::Absent | Undone::Gone = distributor.undo(cx, resource).await.unwrap() {
            return;
        }
        cx.sleep(Duration::from_secs(2)).await.unwrap();
    }
    panic!("{resource} is never gone");
}

#[tokio::test(start_paused = true)]
async fn copies_say_what_they_are_and_are_private_until_published() {
    let cloud = Cloud::with_image(false);
    let distributor = full(&cloud, None);
    let cx = context(&distributor).await;
    let (images, guards) = distribute(&cx, &distributor).await.unwrap();
    assert_eq!((images.len(), guards.len()), (3, 2), "the first target is where the image is");
    assert_eq!(images[0].id, SOURCE);
    {
        let mut state = cloud.lock();
        let source = state.home(&place(HOME)).images[SOURCE].clone();
        assert!(source.launch.is_empty(), "shared only while it was copied");
        let far = state.home(&place(FAR));
        let copy = &far.images[&images[1].id];
        assert_eq!(copy.name, "unreviewed-0123456789abcdef0");
        assert!(copy.launch.is_empty() && copy.deprecation.is_none() && !copy.protected);
        for tags in [&copy.tags, &far.snapshots[&images[1].parts["/dev/sdf"]].tags] {
            let tag = |key: &str| tags.get(key).map(String::as_str);
            assert_eq!(tag("golden-image:source"), Some("111122223333/us-east-1/ami-0123456789abcdef0"));
            assert_eq!((tag("golden-image:state"), tag("team")), (Some("temporary"), Some("base")));
            assert_eq!(tag("golden-image:token"), Some(guards[0].resource().token.as_str()));
            assert!(tag("golden-image:expires").is_some());
        }
    }
    assert_eq!(images[1].digest, image().digest);
    let published = distributor.publish(&cx, &images).await.unwrap();
    let mut ids: Vec<_> = published.iter().map(|guard| guard.id().replace(&images[1].id, "COPY")).collect();
    ids.retain(|id| !id.starts_with("snap-"));
    insta::assert_snapshot!(ids.join("\n"), @r"
    ami-0123456789abcdef0/launch-permission
    COPY/deprecation
    COPY/deregistration-protection
    COPY/launch-permission
    /golden/new
    /golden/old
    /golden/other
    ");
    let mut state = cloud.lock();
    let far = state.home(&place(FAR)).clone();
    assert_eq!(far.parameters["/golden/old"].value, images[1].id);
    assert_eq!(far.images[&images[1].id].launch.len(), 3);
    let snapshot = &far.snapshots[&images[1].parts["/dev/xvda"]];
    assert_eq!(snapshot.volume, BTreeSet::from(["account:777788889999".to_owned()]));
    assert_eq!(snapshot.fast, BTreeSet::from(["eu-west-1a".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_rerun_finds_what_was_kept_and_changes_nothing() {
    let cloud = Cloud::with_image(false);
    let distributor = full(&cloud, None);
    let cx = context(&distributor).await;
    let (images, guards) = distribute(&cx, &distributor).await.unwrap();
    keep(&cx, &distributor, &guards).await;
    let _published = distributor.publish(&cx, &images).await.unwrap();
    cx.sleep(Duration::from_secs(3600)).await.unwrap();

    let cx = context(&distributor).await;
    let (again, guards) = distribute(&cx, &distributor).await.unwrap();
    assert_eq!(again, images);
    assert!(guards.is_empty() && distributor.publish(&cx, &again).await.unwrap().is_empty());
    assert_eq!((cx.creates(), calls(&cloud, "ModifyImageAttribute").len()), (0, 4));

    // Under another key it is another copy; the name is taken by the one that is there.
    let rekeyed = new(&cloud).target(Target::new(place(FAR)).kms_key("other"));
    let error = distribute(&context(&rekeyed).await, &rekeyed).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_makes_one_copy() {
    let cloud = Cloud::with_image(false);
    cloud.fault("eu-west-1", "CopyImage", Fault::Lost, 2);
    let distributor = AmiDistributor { targets: vec![Target::new(place(FAR))], ..full(&cloud, None) };
    let cx = context(&distributor).await;
    let captured = distributor.distribute(&cx, &approved()).await.unwrap();
    assert_eq!(calls(&cloud, "CopyImage").len(), 3);
    assert_eq!(cloud.lock().home(&place(FAR)).images.len(), 1);
    assert_eq!(captured[0].guards.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_after_a_lost_reply_is_unclear_and_found_by_its_token() {
    let cloud = Cloud::with_image(false);
    cloud.fault("eu-west-1", "CopyImage", Fault::Lost, 1);
    cloud.fault("eu-west-1", "CopyImage", Fault::Refused("UnauthorizedOperation", 403), 1);
    let store = MemoryStore::default();
    let distributor = AmiDistributor { targets: vec![Target::new(place(FAR))], ..full(&cloud, None) };
    {
        let cx = Context::builder(store.clone()).run_id("run-1").open().await.unwrap();
        cx.register(Undoers::new().with(Arc::new(distributor.clone()))).unwrap();
        let error = distributor.distribute(&cx, &approved()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    }
    assert_eq!(cloud.lock().home(&place(FAR)).images.len(), 1);
    let undoers = Undoers::new().with(Arc::new(distributor));
    let recovered = image_core::recover(Arc::new(store), "run-1", undoers).await.unwrap();
    assert!(recovered.leftovers.is_empty());
    let mut state = cloud.lock();
    assert!(state.home(&place(FAR)).images.is_empty() && state.home(&place(FAR)).snapshots.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_failing_region_is_reported_with_all_others_and_everything_is_undone() {
    let cloud = Cloud::with_image(false);
    cloud.fault("eu-west-1", "CopyImage", Fault::Refused("UnauthorizedOperation", 403), 1);
    cloud.fault("us-west-2", "CopyImage", Fault::Refused("ResourceLimitExceeded", 400), 1);
    let distributor = full(&cloud, None).target(Target::new(place("111122223333/us-east-2")));
    let store = MemoryStore::default();
    {
        let cx = Context::builder(store.clone()).run_id("run-1").open().await.unwrap();
        cx.register(Undoers::new().with(Arc::new(distributor.clone()))).unwrap();
        let error = distributor.distribute(&cx, &approved()).await.unwrap_err().to_string();
        for part in ["copying failed in 2 of 4 places", FAR, OTHER, "UnauthorizedOperation", "ResourceLimitExceeded"] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
    let undoers = Undoers::new().with(Arc::new(distributor));
    assert!(image_core::recover(Arc::new(store), "run-1", undoers).await.unwrap().leftovers.is_empty());
    let state = cloud.lock();
    let images: usize = state.homes.values().map(|home| home.images.len()).sum();
    assert_eq!(images, 1, "the source alone");
    assert!(state.homes.values().flat_map(|home| home.images.values()).all(|ami| ami.launch.is_empty()));
    assert!(state.homes.values().flat_map(|home| home.snapshots.values()).all(|snap| snap.volume.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_fails_ends_the_wait_for_the_others() {
    let cloud = Cloud::with_image(false);
    cloud.lock().failing.insert("eu-west-1".into());
    let distributor = full(&cloud, None);
    let error = distribute(&context(&distributor).await, &distributor).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, false));
    assert!(error.to_string().contains("the key is not accessible"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn undoing_spares_what_is_kept_and_what_is_not_ours() {
    let cloud = Cloud::with_image(false);
    let distributor = AmiDistributor { targets: vec![Target::new(place(FAR))], ..full(&cloud, None) };
    let cx = context(&distributor).await;
    let (images, guards) = distribute(&cx, &distributor).await.unwrap();
    let resource = guards[0].resource();

    keep(&cx, &distributor, &guards).await;
    keep(&cx, &distributor, &guards).await;
    assert_eq!(distributor.undo(&cx, resource).await.unwrap_err().kind(), ErrorKind::Conflict);
    let query = Query::expired(resource.scope.clone(), cx.now().after(Duration::from_secs(1_000_000)));
    assert!(distributor.find(&cx, &query).await.unwrap().is_empty());

    let untag = |key: &str| {
        let mut state = cloud.lock();
        let home = state.home(&place(FAR));
        home.images.values_mut().for_each(|ami| drop(ami.tags.remove(key)));
        home.snapshots.values_mut().for_each(|snap| drop(snap.tags.remove(key)));
    };
    untag("golden-image:state");
    let token = cloud.lock().home(&place(FAR)).images[&images[0].id].tags["golden-image:token"].clone();
    untag("golden-image:token");
    assert_eq!(distributor.undo(&cx, resource).await.unwrap_err().kind(), ErrorKind::PermissionDenied);

    {
        let mut state = cloud.lock();
        let ami = state.home(&place(FAR)).images.values_mut().next().unwrap();
        ami.tags.insert("golden-image:token".into(), token);
    }
    undo(&cx, &distributor, resource).await;
    undo(&cx, &distributor, resource).await;
    assert!(cloud.lock().home(&place(FAR)).images.is_empty());
}

#[tokio::test(start_paused = true)]
async fn taking_back_leaves_what_others_gave() {
    let cloud = Cloud::with_image(false);
    let target = Target::new(place(HOME)).share_with_account("777788889999").parameter("/golden/old");
    let distributor = new(&cloud).target(target);
    let cx = context(&distributor).await;
    let guards = distributor.publish(&cx, &[image()]).await.unwrap();
    {
        let mut state = cloud.lock();
        let home = state.home(&place(HOME));
        home.images.get_mut(SOURCE).unwrap().launch.insert("account:999999999999".into());
        home.parameters.get_mut("/golden/old").unwrap().value = "ami-theirs".into();
    }
    for guard in guards.into_iter().rev() {
        let (cx, resource) = (&cx, guard.resource().clone());
        guard.release().await.unwrap();
        let again = distributor.restore(cx, &resource).await.unwrap();
        assert!(matches!(again, Undone::Absent | Undone::Superseded), "{again:?}");
    }
    let mut state = cloud.lock();
    let home = state.home(&place(HOME));
    assert_eq!(home.images[SOURCE].launch, BTreeSet::from(["account:999999999999".to_owned()]));
    assert_eq!(home.parameters["/golden/old"].value, "ami-theirs");
}

#[tokio::test(start_paused = true)]
async fn a_parameter_counts_only_once_it_is_read_back() {
    let cloud = Cloud::with_image(false);
    let distributor = new(&cloud).target(Target::new(place(HOME)).parameter("/golden/old").parameter("/golden/new"));
    let cx = context(&distributor).await;
    let mut bad = image();
    bad.id = "ami-bad".into();
    let error = distributor.publish(&cx, &[bad]).await.unwrap_err();
    assert!(error.to_string().contains("after 120 s"), "{error}");

    let guards = distributor.publish(&cx, &[image()]).await.unwrap();
    let ids: Vec<_> = guards.iter().map(Guard::id).collect();
    assert_eq!(ids, ["/golden/new", "/golden/old"]);
    let before = |n: usize| guards[n].resource().change.as_ref().unwrap().before.clone();
    assert_eq!((before(0), before(1)), (json!(null), json!("ami-last-week")));
}

#[tokio::test(start_paused = true)]
async fn a_parameter_that_somebody_else_made_meanwhile_is_left_alone() {
    let cloud = Cloud::with_image(false);
    cloud.fault("us-east-1", "PutParameter", Fault::Refused("InternalServerError", 500), 1);
    let distributor = new(&cloud).target(Target::new(place(HOME)).parameter("/golden/new"));
    let cx = context(&distributor).await;
    let theirs = || {
        let mut state = cloud.lock();
        let parameters = &mut state.home(&place(HOME)).parameters;
        let other = parameters["/golden/old"].clone();
        parameters.insert("/golden/new".into(), other.clone());
        other.value
    };
    let images = [image()];
    let (published, value) = tokio::join!(distributor.publish(&cx, &images), async {
        // Between the call that failed and the next one.
        tokio::time::sleep(Duration::from_millis(200)).await;
        theirs()
    });
    assert_eq!(published.unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(cloud.lock().home(&place(HOME)).parameters["/golden/new"].value, value);
}

#[tokio::test(start_paused = true)]
async fn a_launch_template_gets_one_version_based_on_the_default() {
    let cloud = Cloud::with_image(false);
    cloud.fault("us-east-1", "CreateLaunchTemplateVersion", Fault::Lost, 1);
    let distributor = new(&cloud).target(Target::new(place(HOME)).launch_template("web"));
    let cx = context(&distributor).await;
    let guards = distributor.publish(&cx, &[image()]).await.unwrap();
    assert_eq!(guards.iter().map(Guard::id).collect::<Vec<_>>(), ["lt-1/4", "lt-1/default-version"]);
    let template = cloud.lock().home(&place(HOME)).templates["lt-1"].clone();
    assert_eq!((template.default, template.versions.len()), (4, 2));
    assert_eq!((template.versions[&4].0.as_str(), template.versions[&4].2), (SOURCE, 3));
    assert!(distributor.publish(&cx, &[image()]).await.unwrap().is_empty());
    for guard in guards.into_iter().rev() {
        guard.release().await.unwrap();
    }
    let template = cloud.lock().home(&place(HOME)).templates["lt-1"].clone();
    assert_eq!((template.default, template.versions.len()), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn every_difference_of_a_copy_is_named() {
    let cloud = Cloud::with_image(false);
    let target = Target::new(place(FAR)).kms_key("own").tag("team", "base");
    let distributor = AmiDistributor { targets: vec![target], ..full(&cloud, None) };
    let cx = context(&distributor).await;
    let (images, guards) = distribute(&cx, &distributor).await.unwrap();
    {
        let mut state = cloud.lock();
        let home = state.home(&place(FAR));
        let ami = home.images.get_mut(&images[0].id).unwrap();
        ami.architecture = "arm64".into();
        ami.name = "another".into();
        ami.tags.insert("team".into(), "another".into());
        ami.launch.insert("all".into());
        let snap = home.snapshots.get_mut(&images[0].parts["/dev/sdf"]).unwrap();
        (snap.gib, snap.encrypted) = (7, false);
        let snap = home.snapshots.get_mut(&images[0].parts["/dev/xvda"]).unwrap();
        snap.tags.remove("golden-image:token");
        snap.key = Some("arn:aws:kms:eu-west-1:111122223333:key/x".into());
    }
    let error = distributor.verify(&cx, &approved(), &images).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PolicyViolation);
    let text = error.to_string().replace(&images[0].id, "COPY").replace(&guards[0].resource().token, "TOKEN");
    insta::assert_snapshot!(text.replace("; ", "\n").replace(&format!("{FAR} "), ""), @r"
    copies of ami-0123456789abcdef0 are not what they must be: COPY: architecture is arm64 and must be x86_64
    COPY: it is public
    COPY: name is another and must be unreviewed-0123456789abcdef0
    COPY: tag team is another and must be base
    COPY: /dev/xvda tag golden-image:token is not set and must be TOKEN
    COPY: /dev/sdf size in GiB is 7 and must be 9
    COPY: /dev/sdf is not encrypted
    COPY: /dev/xvda is encrypted with arn:aws:kms:eu-west-1:111122223333:key/x and not with own
    ");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_shared_is_refused_before_anything_is_made() {
    let share = || Target::new(place(FAR)).share_with_account("777788889999");
    let refused = |error: Error, field: &str| {
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(field), "{field}: {error}");
    };
    let encrypted = Cloud::with_image(true);
    for (target, field) in
        [(share(), "sharing is"), (Target::new(place(FAR)).dangerously_public(), "dangerously_public is")]
    {
        let distributor = new(&encrypted).target(target);
        refused(distribute(&context(&distributor).await, &distributor).await.unwrap_err(), field);
    }
    let by_default = Cloud::with_image(false);
    by_default.lock().home(&place(FAR)).encrypts = true;
    let distributor = new(&by_default).target(share());
    refused(distributor.check(&context(&distributor).await).await.unwrap_err(), "encrypts by default");
    assert!(calls(&encrypted, "CopyImage").len() == 2, "dry runs");

    let keyed = new(&encrypted).target(share().kms_key("own"));
    distribute(&context(&keyed).await, &keyed).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_image_of_another_place_and_credentials_of_another_account_are_refused() {
    let cloud = Cloud::with_image(false);
    let distributor = full(&cloud, None);
    let cx = context(&distributor).await;
    let mut elsewhere = image();
    elsewhere.location = "eu-west-1".into();
    let approved = ApprovedImage::dangerous_unreviewed(elsewhere, "a test");
    assert_eq!(distributor.distribute(&cx, &approved).await.unwrap_err().kind(), ErrorKind::InvalidInput);

    let foreign = full(&cloud, Some("999999999999"));
    let error = foreign.check(&context(&foreign).await).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.to_string().contains("reach aws/999999999999, not aws/111122223333"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn two_images_cannot_have_one_pointer() {
    let cloud = Cloud::with_image(false);
    let distributor = new(&cloud).target(Target::new(place(HOME)).parameter("/golden/old"));
    let cx = context(&distributor).await;
    let error = distributor.publish(&cx, &[image(), image()]).await.unwrap_err();
    assert_eq!((error.kind(), cx.creates()), (ErrorKind::Conflict, 0));
}

//! Whole distributions, and what goes wrong with them.

use crate::rig::{FAR, HOME, OTHER, RUN, Rig, place};
use aws_sdk_ec2::types::{ImageAttributeName, SnapshotAttributeName};
use image_aws::distribute::{AmiDistributor, Protection, Target};
use image_core::{Context, Distributor, ErrorKind, Faults, Undoers, recover_with};
use image_sim::{Effect, Rule};
use std::{sync::Arc, time::Duration};

const ORGANIZATION: &str = "arn:aws:organizations::123456789012:organization/o-123example";
const UNIT: &str = "arn:aws:organizations::123456789012:ou/o-123example/ou-1234-5example";
const FRIEND: &str = "777788889999";

/// Every setting, over three places and two accounts.
fn full(rig: &Rig) -> AmiDistributor {
    rig.distributor()
        .target(Target::new(place(HOME)).share_with_account(FRIEND).parameter("/golden/web"))
        .target(
            Target::new(place(FAR))
                .kms_key("alias/golden")
                .tag("team", "base")
                .copy_within(Duration::from_secs(15 * 60))
                .share_with_account(FRIEND)
                .share_with_organization(ORGANIZATION)
                .share_with_unit(UNIT)
                .share_snapshots()
                .deprecate_after(Duration::from_secs(30 * 24 * 3600))
                .protect(Protection::WithCooldown)
                .fast_restore("eu-west-1a")
                .parameter("/golden/web")
                .launch_template("web"),
        )
        .target(Target::new(place(OTHER)).kms_key("alias/theirs").parameter("/golden/web"))
}

fn error(code: &str) -> Effect {
    Effect::Error { code: code.into(), message: "no".into(), status: 400 }
}

/// Undoes what a run has left, as a recovery after the settle window does.
async fn undo(rig: &Rig, distributor: AmiDistributor) {
    let settings = Context::builder(rig.store.clone()).faults(Faults::clock_ahead(Duration::from_secs(600)));
    let undoers = Undoers::new().with(Arc::new(distributor));
    let done = recover_with(settings, Arc::new(rig.store.clone()), RUN, undoers).await.unwrap();
    assert!(done.leftovers.is_empty(), "{:?}", done.leftovers);
}

#[tokio::test]
async fn an_image_reaches_its_places_and_a_rerun_changes_nothing() {
    let rig = Rig::new().await;
    rig.add_template(FAR, "web").await;
    rig.point_parameter(FAR, "/golden/web").await;
    let distributor = full(&rig);
    let cx = rig.context(RUN, &distributor).await;
    let (images, guards) = rig.distribute(&cx, &distributor).await.unwrap();
    assert_eq!((images.len(), guards.len()), (3, 2));
    assert_eq!(images[0].id, rig.image().id, "the image itself serves where it is");

    let ec2 = rig.ec2(FAR).await;
    let permissions = async |id: &str| {
        let call = ec2.describe_image_attribute().image_id(id).attribute(ImageAttributeName::LaunchPermission);
        call.send().await.unwrap().launch_permissions().to_vec()
    };
    assert!(permissions(&images[1].id).await.is_empty(), "nobody sees a copy before the commit");
    rig.keep(&cx, &distributor, &guards).await;
    let published = distributor.publish(&cx, &images).await.unwrap();
    assert!(!published.is_empty());

    let snapshot = images[1].parts.values().next().unwrap();
    let shown = ec2.describe_snapshots().snapshot_ids(snapshot).send().await.unwrap();
    assert!(shown.snapshots()[0].kms_key_id().unwrap().ends_with("alias/golden"));
    let call = ec2.describe_snapshot_attribute().snapshot_id(snapshot);
    let shared = call.attribute(SnapshotAttributeName::CreateVolumePermission).send().await.unwrap();
    assert_eq!(shared.create_volume_permissions()[0].user_id(), Some(FRIEND));
    let allowed = permissions(&images[1].id).await;
    assert!(allowed.iter().any(|one| one.user_id() == Some(FRIEND)));
    assert!(allowed.iter().any(|one| one.organization_arn() == Some(ORGANIZATION)));
    assert!(allowed.iter().any(|one| one.organizational_unit_arn() == Some(UNIT)));
    assert!(allowed.iter().all(|one| one.group().is_none()), "public only where that is asked for");
    let shown = ec2.describe_images().image_ids(&images[1].id).send().await.unwrap();
    let image = &shown.images()[0];
    assert!(image.deprecation_time().is_some());
    assert_eq!(image.deregistration_protection(), Some("enabled-with-cooldown"));
    assert!(image.tags().iter().any(|tag| tag.key() == Some("team") && tag.value() == Some("base")));
    for (at, image) in [HOME, FAR, OTHER].into_iter().zip(&images) {
        assert_eq!(rig.parameter(at, "/golden/web").await.as_ref(), Some(&image.id), "{at}");
    }
    assert_eq!(rig.template(FAR, "web").await, (2, vec![2, 1]));

    let before = rig.simulator.calls().len();
    let cx = rig.context("run-2", &distributor).await;
    let (again, guards) = rig.distribute(&cx, &distributor).await.unwrap();
    assert_eq!((again.clone(), guards.len()), (images, 0));
    assert!(distributor.publish(&cx, &again).await.unwrap().is_empty());
    assert_eq!(rig.mutations(before), Vec::<String>::new());
}

#[tokio::test]
async fn lost_replies_make_one_copy() {
    let rig = Rig::new().await;
    // The first call is the dry run of the check.
    rig.simulator.inject(Rule::new(Effect::ReplyLost).action("CopyImage").after(1).times(1));
    rig.simulator.inject(Rule::new(Effect::ErrorAfter { status: 503 }).action("CopyImage").after(2).times(1));
    let distributor = rig.distributor().target(Target::new(place(FAR)));
    let cx = rig.context(RUN, &distributor).await;
    let (images, guards) = rig.distribute(&cx, &distributor).await.unwrap();
    assert_eq!(rig.made("image"), [("eu-west-1".to_owned(), images[0].id.clone())]);
    assert_eq!((rig.made("snapshot").len(), guards.len()), (1, 1));
}

#[tokio::test]
async fn a_new_pointer_whose_reply_was_lost_is_ours() {
    let rig = Rig::new().await;
    let distributor = rig.distributor().target(Target::new(place(HOME)).parameter("/golden/web"));
    let cx = rig.context(RUN, &distributor).await;
    let (images, _) = rig.distribute(&cx, &distributor).await.unwrap();
    rig.simulator.inject(Rule::new(Effect::ReplyLost).action("PutParameter").times(1));
    assert_eq!(distributor.publish(&cx, &images).await.unwrap().len(), 1);
    assert_eq!(rig.parameter(HOME, "/golden/web").await, Some(rig.image().id));
}

#[tokio::test]
async fn one_region_of_three_fails_and_everything_is_undone() {
    let rig = Rig::new().await;
    // The first call is the dry run of the check.
    rig.simulator.inject(Rule::new(error("ResourceLimitExceeded")).action("CopyImage").region("us-west-2").after(1));
    let distributor = rig
        .distributor()
        .target(Target::new(place(FAR)))
        .target(Target::new(place(OTHER)))
        .target(Target::new(place("111122223333/eu-central-1")));
    {
        let cx = rig.context(RUN, &distributor).await;
        let error = rig.distribute(&cx, &distributor).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
        let text = error.to_string();
        assert!(text.contains("copying failed in 1 of 3 places: 444455556666/us-west-2"), "{text}");
        assert_eq!(rig.made("image").len(), 2, "the others were made");
    }
    undo(&rig, distributor).await;
    assert_eq!((rig.made("image"), rig.made("snapshot")), (vec![], vec![]));
    let call = rig.ec2(HOME).await.describe_image_attribute().image_id(rig.image().id);
    let lent = call.attribute(ImageAttributeName::LaunchPermission).send().await.unwrap();
    assert!(lent.launch_permissions().is_empty(), "it was lent for the copy");
}

#[tokio::test]
async fn pointers_are_rolled_back_where_one_cannot_move() {
    let rig = Rig::new().await;
    rig.add_template(FAR, "web").await;
    let old = rig.point_parameter(FAR, "/golden/web").await;
    let distributor = rig
        .distributor()
        .target(Target::new(place(HOME)).parameter("/golden/new"))
        .target(Target::new(place(FAR)).parameter("/golden/web").launch_template("web"));
    {
        let cx = rig.context("copies", &distributor).await;
        let (images, guards) = rig.distribute(&cx, &distributor).await.unwrap();
        rig.keep(&cx, &distributor, &guards).await;
        let cx = rig.context(RUN, &distributor).await;
        rig.simulator.inject(Rule::new(error("InvalidParameterValue")).action("ModifyLaunchTemplate"));
        let error = distributor.publish(&cx, &images).await.unwrap_err();
        assert!(error.to_string().contains("moving pointers failed in 1 of 2 places"), "{error}");
        assert_eq!(rig.parameter(FAR, "/golden/web").await.as_ref(), Some(&images[1].id));
        assert_eq!(rig.template(FAR, "web").await, (1, vec![2, 1]));
    }
    rig.simulator.clear_faults();
    undo(&rig, distributor).await;
    assert_eq!(rig.parameter(FAR, "/golden/web").await, Some(old));
    assert_eq!(rig.parameter(HOME, "/golden/new").await, None);
    assert_eq!(rig.template(FAR, "web").await, (1, vec![1]));
}

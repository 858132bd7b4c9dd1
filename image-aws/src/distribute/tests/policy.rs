//! The policy against the calls that are really made.

use super::{
    FAR, HOME,
    cloud::Cloud,
    flow::{context, distribute, keep, new},
    rig::full,
};
use crate::distribute::{AmiDistributor, Target, iam_policy};
use image_core::{Distributor, Keep, State, Undo};
use serde_json::Value;
use std::{collections::BTreeSet, time::Duration};

/// Every setting of a distributor.
fn all_settings(cloud: &Cloud) -> AmiDistributor {
    let mut distributor = full(cloud, None);
    distributor.targets[1] = distributor.targets[1].clone().launch_template("web").parameter("/golden/new");
    distributor
}

fn actions(policy: &Value) -> BTreeSet<String> {
    let statements = policy["Statement"].as_array().unwrap().iter();
    let actions = statements.flat_map(|statement| statement["Action"].as_array().unwrap());
    actions.map(|action| action.as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_policy_is_what_the_settings_need() {
    let cloud = Cloud::default();
    let distributor = all_settings(&cloud);
    insta::assert_json_snapshot!("source", iam_policy(&distributor, "111122223333"));
    insta::assert_json_snapshot!("other", iam_policy(&distributor, "444455556666"));
    let in_place = Target::new(HOME.parse().unwrap()).deprecate_after(Duration::from_secs(3600));
    let plain = new(&cloud).target(in_place).target(Target::new(FAR.parse().unwrap()).launch_template("lt-1"));
    insta::assert_json_snapshot!("plain", iam_policy(&plain, "111122223333"));
}

#[test]
fn statements_have_their_own_names_and_nothing_that_deletes_is_allowed_on_what_is_kept() {
    let cloud = Cloud::default();
    let keyed = all_settings(&cloud).target(Target::new("111122223333/us-west-1".parse().unwrap()).kms_key("alias/a"));
    let policy = iam_policy(&keyed, "111122223333");
    let (mut names, mut deleting) = (BTreeSet::new(), 0);
    for statement in policy["Statement"].as_array().unwrap() {
        assert!(names.insert(statement["Sid"].as_str().unwrap()), "{statement}");
        let deletes = |action: &Value| ["ec2:DeleteSnapshot", "ec2:DeregisterImage"].iter().any(|name| action == name);
        if statement["Action"].as_array().unwrap().iter().any(deletes) {
            deleting += 1;
            assert_eq!(statement["Condition"]["Null"]["aws:ResourceTag/golden-image:token"], "false");
            assert_eq!(statement["Condition"]["StringNotEquals"]["aws:ResourceTag/golden-image:state"], "kept");
        }
    }
    assert_eq!(deleting, 1);
}

/// Whatever a run and its undo call is in the policy, and what is in the policy is called.
#[tokio::test(start_paused = true)]
async fn the_policy_is_what_is_called() {
    let cloud = Cloud::with_image(false);
    let distributor = all_settings(&cloud);
    let cx = context(&distributor).await;
    let (images, guards) = distribute(&cx, &distributor).await.unwrap();
    for guard in distributor.publish(&cx, &images).await.unwrap().into_iter().rev() {
        guard.release().await.unwrap();
    }
    let kept = Keep::until(State::Quarantined, cx.now());
    distributor.keep(&cx, guards[0].resource(), &kept).await.unwrap();
    keep(&cx, &distributor, &guards[1..]).await;
    for guard in guards.into_iter().take(1) {
        guard.release().await.unwrap();
    }
    for account in ["111122223333", "444455556666"] {
        let allowed = actions(&iam_policy(&distributor, account));
        let called: BTreeSet<String> = (cloud.lock().calls.iter())
            .filter(|(place, action)| place.account == account && action != "GetCallerIdentity")
            .map(|(_, action)| format!("{}:{action}", if action.contains("Parameter") { "ssm" } else { "ec2" }))
            .collect();
        let refused: Vec<_> = called.difference(&allowed).collect();
        assert!(refused.is_empty(), "{account}: {refused:?}");
        if account == "111122223333" {
            let unused = allowed.difference(&called).filter(|action| !action.starts_with("kms:"));
            let reason = "one copy was not kept for good, and the other is of the other account";
            assert_eq!(unused.collect::<Vec<_>>(), ["ec2:DeleteTags"], "{reason}");
        }
    }
}

//! The policy against the calls that are really made.

use super::{
    cloud::Cloud,
    flow::{context, distribute, keep},
    rig::full,
};
use image_core::{Distributor, Keep, State, Undo};
use std::collections::BTreeSet;

/// Whatever a run and its undo call is in the policy, and what is in the policy is called.
#[tokio::test(start_paused = true)]
async fn the_policy_is_what_is_called() {
    let cloud = Cloud::with_image(false);
    let mut distributor = full(&cloud, None);
    distributor.targets[1] = distributor.targets[1].clone().launch_template("web").parameter("/golden/new");
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
        let allowed = distributor.iam_actions(account);
        let called: BTreeSet<String> = (cloud.lock().calls.iter())
            .filter(|(place, action)| place.account == account && action != "GetCallerIdentity")
            .map(
                |(_, action)| {
                    if action.contains("Parameter") { format!("ssm:{action}") } else { format!("ec2:{action}") }
                },
            )
            .collect();
        let refused: Vec<_> = called.iter().filter(|action| !allowed.contains(action.as_str())).collect();
        assert!(refused.is_empty(), "{account}: {refused:?}");
        if account == "111122223333" {
            let unused: Vec<_> =
                allowed.iter().filter(|action| !action.starts_with("kms:") && !called.contains(**action)).collect();
            assert_eq!(
                unused,
                [&"ec2:DeleteTags"],
                "one copy was not kept for good, and the other is of the other account"
            );
        }
    }
}

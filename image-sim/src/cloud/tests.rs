//! The way of a call: signatures, faults, throttling, the log and the simulator's own endpoint.

use crate::testing::Rig;
use crate::{Clock, Effect, Rule, Simulator};

#[tokio::test]
async fn only_known_keys_get_in() {
    let rig = Rig::with(Simulator::builder().account("111122223333").account("444455556666")).await;
    assert_eq!(rig.call_as("test", "us-east-1", "DescribeRegions", &[]).await.status, 200);
    assert_eq!(rig.call_as("444455556666", "us-east-1", "DescribeRegions", &[]).await.status, 200);
    let refused = rig.call_as("nobody", "us-east-1", "DescribeRegions", &[]).await;
    assert_eq!((refused.status, refused.text("Code").as_str()), (401, "AuthFailure"));
    let elsewhere = rig.call_as("test", "mars-1", "DescribeRegions", &[]).await;
    assert_eq!(elsewhere.text("Code"), "InvalidRegion");
    let accounts: Vec<_> = rig.simulator.calls().into_iter().map(|call| call.account).collect();
    assert_eq!(accounts, ["111122223333", "444455556666", "", "111122223333"]);
}

#[tokio::test]
async fn faults_befall_the_calls_they_name() {
    let rig = Rig::start().await;
    for (effect, status) in [
        (Effect::Throttle, 503),
        (Effect::ServerError { status: 500 }, 500),
        (Effect::ErrorAfter { status: 500 }, 500),
        (Effect::ReplyLost, 0),
        (Effect::ConnectionReset, 0),
        (Effect::Delay { millis: 1 }, 200),
        (Effect::Error { code: "Odd".to_owned(), message: String::new(), status: 418 }, 418),
    ] {
        rig.simulator.inject(Rule::new(effect.clone()).action("DescribeRegions").times(1));
        assert_eq!(rig.call("DescribeRegions", &[]).await.status, status, "{effect:?}");
        assert_eq!(rig.call("DescribeRegions", &[]).await.status, 200, "after {effect:?}");
    }
}

#[tokio::test]
async fn a_region_can_be_down_alone() {
    let rig = Rig::start().await;
    rig.simulator.inject(Rule::new(Effect::ServerError { status: 503 }).region("eu-west-1"));
    assert_eq!(rig.call_as("test", "eu-west-1", "DescribeRegions", &[]).await.status, 503);
    assert_eq!(rig.call_as("test", "us-east-1", "DescribeRegions", &[]).await.status, 200);
}

#[tokio::test]
async fn the_log_tells_lost_replies_from_lost_calls() {
    let rig = Rig::start().await;
    rig.simulator.inject(Rule::new(Effect::ReplyLost).times(1));
    rig.simulator.inject(Rule::new(Effect::ConnectionReset).times(1));
    rig.call("DescribeRegions", &[("RegionName.1", "us-east-1")]).await;
    rig.call("DescribeRegions", &[]).await;
    let calls = rig.simulator.calls();
    assert_eq!((calls[0].status, calls[0].answered), (200, false));
    assert_eq!((calls[1].status, calls[1].answered), (0, false));
    assert_eq!(calls[0].parameters["RegionName.1"], "us-east-1");
    assert_eq!(calls[0].principal, "arn:aws:iam::111122223333:user/test");
}

#[tokio::test]
async fn buckets_run_dry_only_when_asked_to() {
    for (throttling, expected) in [(false, 120), (true, 100)] {
        let rig = Rig::with(Simulator::builder().throttling(throttling).clock(Clock::manual())).await;
        let mut let_in = 0;
        for _ in 0..120 {
            let_in += usize::from(rig.call("DescribeRegions", &[]).await.status == 200);
        }
        assert_eq!(let_in, expected);
    }
}

#[tokio::test]
async fn the_simulator_has_an_endpoint_of_its_own() {
    let rig = Rig::with(Simulator::builder().clock(Clock::manual())).await;
    let admin = async |method: &str, path: &str, body: &str| {
        rig.send("test", "us-east-1", "ec2", method, path, &[], body.as_bytes().to_vec()).await
    };
    assert_eq!(admin("GET", "/_sim/health", "").await.status, 200);
    assert_eq!(admin("POST", "/_sim/faults", r#"{"times": 1, "effect": "throttle"}"#).await.status, 200);
    assert_eq!(rig.call("DescribeRegions", &[]).await.status, 503);
    assert_eq!(admin("POST", "/_sim/faults", r#"[{"effect": "throttle"}]"#).await.status, 200);
    assert_eq!(admin("DELETE", "/_sim/faults", "").await.status, 200);
    assert_eq!(rig.call("DescribeRegions", &[]).await.status, 200);
    assert!(admin("GET", "/_sim/calls", "").await.has("RequestLimitExceeded"));
    assert_eq!(admin("GET", "/_sim/state", "").await.status, 200);
    let before = rig.simulator.clock().now();
    assert_eq!(admin("POST", "/_sim/clock", r#"{"advance_seconds": 60}"#).await.status, 200);
    assert_eq!(rig.simulator.clock().now().duration_since(before).as_secs(), 60);
    assert_eq!(admin("POST", "/_sim/faults", r#"{"effect": "gremlins"}"#).await.status, 400);
    assert_eq!(admin("GET", "/_sim/nothing", "").await.status, 404);
}

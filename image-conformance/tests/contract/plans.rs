//! What a plan says.

use crate::support::context;
use image_conformance::fake::FakeCloud;
use image_core::MemoryStore;

#[tokio::test(start_paused = true)]
async fn a_plan_reads_well() {
    let (cloud, store) = (FakeCloud::default(), MemoryStore::default());
    let plan = cloud.full_pipeline().without_scan("no data yet").plan(&context(&store).await).await.unwrap();
    // Fingerprints change with every version of the library.
    let fingerprints: Vec<String> = plan.layers.iter().map(|layer| layer.fingerprint.clone().unwrap().into()).collect();
    let stable = |text: String| {
        let full = fingerprints.iter().fold(text, |text, digits| text.replace(digits, "<fingerprint>"));
        fingerprints.iter().fold(full, |text, digits| text.replace(&digits[..12], "<short>"))
    };
    insta::assert_snapshot!("plan_for_people", stable(plan.to_string()));
    insta::assert_snapshot!("plan_as_json", stable(serde_json::to_string_pretty(&plan).unwrap()));
    assert!(cloud.calls().is_empty());
}

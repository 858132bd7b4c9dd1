//! What a plan says.

use crate::support::context;
use image_conformance::fake::FakeCloud;
use image_core::MemoryStore;

#[tokio::test(start_paused = true)]
async fn a_plan_reads_well() {
    let (cloud, store) = (FakeCloud::default(), MemoryStore::default());
    let plan = cloud.full_pipeline().without_scan("no data yet").plan(&context(&store).await).await.unwrap();
    insta::assert_snapshot!(plan);
    insta::assert_json_snapshot!(plan);
    assert!(cloud.calls().is_empty());
}

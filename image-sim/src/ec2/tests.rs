//! Actions over the wire, as a pipeline uses them.

mod bodies;
mod errors;
mod flow;
mod images;
mod network;

use crate::testing::Rig;

/// A rig with the ids that most tests need.
struct Bench {
    rig: Rig,
    /// Amazon Linux for x86_64.
    image: String,
    /// A private subnet in the first zone.
    subnet: String,
}

impl Bench {
    async fn new() -> Self {
        Self::with(crate::Simulator::builder()).await
    }

    async fn with(builder: crate::Builder) -> Self {
        let rig = Rig::with(builder).await;
        let images = rig
            .ok(
                "DescribeImages",
                &[("Owner.1", "amazon"), ("Filter.1.Name", "name"), ("Filter.1.Value.1", "al2023-ami-*-x86_64")],
            )
            .await;
        let subnets = rig
            .ok(
                "DescribeSubnets",
                &[
                    ("Filter.1.Name", "tag:Name"),
                    ("Filter.1.Value.1", "private-*"),
                    ("Filter.2.Name", "availability-zone"),
                    ("Filter.2.Value.1", "us-east-1a"),
                ],
            )
            .await;
        Self { image: images.text("imageId"), subnet: subnets.text("subnetId"), rig }
    }

    /// The parameters of a launch that works.
    fn launch(&self) -> Vec<(&str, &str)> {
        vec![
            ("ImageId", &self.image),
            ("InstanceType", "t3.micro"),
            ("SubnetId", &self.subnet),
            ("MinCount", "1"),
            ("MaxCount", "1"),
        ]
    }

    /// Launches with these parameters besides and gives the instance's id.
    async fn run(&self, more: &[(&str, &str)]) -> String {
        let parameters = [self.launch().as_slice(), more].concat();
        self.rig.ok("RunInstances", &parameters).await.text("instanceId")
    }

    async fn state(&self, id: &str) -> String {
        let described = self.rig.ok("DescribeInstances", &[("InstanceId.1", id)]).await;
        let state = described.text("instanceState");
        state.split("<name>").nth(1).unwrap().trim_end_matches("</name>").to_owned()
    }

    /// What exists besides what was there from the start: kinds, sorted.
    fn leftovers(&self) -> Vec<String> {
        let state = self.rig.simulator.state();
        state.into_iter().filter(|resource| !resource.seeded).map(|resource| resource.kind).collect()
    }
}

//! A simulated cloud, the journal of a run in it, and the pipeline that runs.

use crate::{
    process::Order,
    wire::{SOCKETS, Wire},
};
use aws_sdk_ssm::types::ParameterType;
use image_aws::{
    ClientProvider as _, Place,
    distribute::{AmiDistributor, Target},
    ec2::{AmiBuilder, AmiSource, Connect, Ec2},
};
use image_conformance::{
    Answer, ScriptedMachine,
    fake::{FakeProvisioner, FakeValidator},
};
use image_core::{
    Capabilities, Context, FileStore, JournalStore, Layer, Machine, MachineInfo, Pipeline, Platform, Ready, Recovered,
    Result, async_trait, recover,
};
use image_sim::{EventualConsistency, SeedImage, Simulator};
use std::{path::PathBuf, sync::Arc};

/// Who builds.
pub(crate) const ACCOUNT: &str = "111122223333";
/// Who is given a copy of its own.
const CUSTOMER: &str = "444455556666";
/// Who may use every copy.
const FRIEND: &str = "777788889999";
pub(crate) const HOME: &str = "111122223333/us-east-1";
pub(crate) const FAR: &str = "111122223333/eu-west-1";
pub(crate) const OTHER: &str = "444455556666/us-west-2";
/// What points to the newest image in every place.
pub(crate) const POINTER: &str = "/golden/web";
/// The only run of a site.
pub(crate) const RUN: &str = "run-1";

/// What is new is not seen at once.
const LAG: EventualConsistency = EventualConsistency::reads(2);

/// The images that a run keeps, and the values: who may launch each and copy its snapshot, and what points to it.
pub(crate) const IMAGES: usize = 3;
pub(crate) const CHANGES: usize = 3 * IMAGES;

pub(crate) fn place(text: &str) -> Place {
    text.parse().unwrap()
}

/// The image that exists in every region.
fn seed() -> SeedImage {
    let mut seed = SeedImage::new("base", ACCOUNT, "x86_64");
    seed.public = false;
    seed
}

/// One layer, checked before and after a boot; a copy in another region, one in another region of another account.
pub(crate) fn pipeline(wire: Wire, subnet: &str) -> Pipeline<Ready> {
    let ec2 = Ec2::new(wire);
    let source = AmiSource::id(seed().id(&place(HOME).region));
    let builder = AmiBuilder::new(&ec2, place(HOME), source, Reached).candidate("m7i.large", subnet);
    let mut distributor = AmiDistributor::new(&ec2, place(HOME));
    for at in [HOME, FAR, OTHER] {
        let target = Target::new(place(at)).share_with_account(FRIEND).share_snapshots().parameter(POINTER);
        distributor = distributor.target(target);
    }
    Pipeline::new("web")
        // Only what is encrypted by no key of the account's own can be shared.
        .builder(builder.without_encryption())
        .layer(Layer::new("base").provision(FakeProvisioner::new("packages", "apt-get upgrade")))
        .validator(FakeValidator::passing())
        .without_scan("there is no scanner in this test")
        .distributor(distributor)
}

/// Reaches every instance at once, by a machine that does nothing.
#[derive(Clone, Copy, Debug)]
struct Reached;

#[async_trait]
impl Connect for Reached {
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }
    async fn connect(&self, _: &Context, _: &Place, instance: &str, platform: &Platform) -> Result<Arc<dyn Machine>> {
        let info = MachineInfo::new(instance, platform.clone(), true);
        Ok(Arc::new(ScriptedMachine::new(Answer::Succeeds).with_info(info)))
    }
}

/// A simulated cloud and a directory of journals.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) simulator: Simulator,
    directory: tempfile::TempDir,
    /// Calls of the test's own.
    setup: usize,
}

impl Site {
    /// In one of the places something points to the image of last week.
    pub(crate) async fn new() -> Self {
        let builder = Simulator::builder().account(ACCOUNT).account(CUSTOMER).image(seed()).consistency(LAG);
        let simulator = SOCKETS.spawn(builder.start()).await.unwrap().unwrap();
        let mut site = Self { simulator, directory: tempfile::tempdir().unwrap(), setup: 0 };
        let call = site.ssm(FAR).await.put_parameter().name(POINTER).value(Self::old_image());
        call.data_type("aws:ec2:image").r#type(ParameterType::String).send().await.unwrap();
        site.setup = site.simulator.calls().len();
        site
    }
    /// What the pointer in [`FAR`] names from the start.
    pub(crate) fn old_image() -> String {
        seed().id(&place(FAR).region)
    }
    pub(crate) fn wire(&self) -> Wire {
        Wire::new(self.simulator.endpoint())
    }
    pub(crate) async fn ec2(&self, at: &str) -> aws_sdk_ec2::Client {
        aws_sdk_ec2::Client::new(&self.wire().config(&place(at)).await.unwrap())
    }
    pub(crate) async fn ssm(&self, at: &str) -> aws_sdk_ssm::Client {
        aws_sdk_ssm::Client::new(&self.wire().config(&place(at)).await.unwrap())
    }
    fn subnet(&self) -> String {
        self.simulator.private_subnets(ACCOUNT, &place(HOME).region).swap_remove(0)
    }
    pub(crate) fn pipeline(&self) -> Pipeline<Ready> {
        pipeline(self.wire(), &self.subnet())
    }
    fn journals(&self) -> PathBuf {
        self.directory.path().join("journals")
    }
    pub(crate) fn store(&self) -> FileStore {
        FileStore::open(self.journals()).unwrap()
    }
    pub(crate) fn lose_journal(&self) {
        std::fs::remove_dir_all(self.journals()).unwrap();
    }
    /// A build in a process of its own.
    pub(crate) fn order(&self) -> Order {
        let (endpoint, subnet) = (self.simulator.endpoint().to_owned(), self.subnet());
        Order { endpoint, subnet, journals: self.journals(), death: None }
    }
    /// As another process recovers the run: with clients of its own, and the journal from its files.
    pub(crate) async fn recover(&self) -> Result<Recovered> {
        let store: Arc<dyn JournalStore> = Arc::new(self.store());
        recover(store, RUN, self.pipeline().undoers()).await
    }
    /// The calls of runs and recoveries.
    pub(crate) fn calls(&self) -> Vec<image_sim::CallRecord> {
        self.simulator.calls().split_off(self.setup)
    }
}

/// Whether a call changes something, or may have.
pub(crate) fn mutates(call: &image_sim::CallRecord) -> bool {
    let reads = ["Describe", "Get", "List"].iter().any(|verb| call.action.starts_with(verb));
    !reads && call.error.as_deref() != Some("DryRunOperation")
}

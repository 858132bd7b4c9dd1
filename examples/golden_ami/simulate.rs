//! A cloud on this machine: its instances are sandboxes, so that commands really run, and a captured image has what they
//! wrote.

use crate::options::Options;
use examples::say;
use image_aws::FromEnv;
use image_core::{Architecture, Error, ErrorKind, Result, Secret};
use image_local::{
    debian::{Suite, bootstrap, pin},
    sandbox::{Network, Privilege},
};
use image_sim::{
    Sandboxes, SeedImage, Simulator, Timings,
    iam::{Policy, Principal, UnusedAction},
};
use std::{fs, path::Path};

/// Who builds, and who is given the images.
const ACCOUNT: &str = "111122223333";
/// The access key of the first account, and its secret.
const KEY: &str = "test";
const FRIEND: &str = "444455556666";
const PROFILE: &str = "image-builder";
const SUITE: &str = "bookworm";
/// What takes minutes at AWS takes seconds here.
const SPEED: f64 = 0.03;

/// A simulated cloud with an image of Debian in it.
#[derive(Debug)]
pub(crate) struct Cloud {
    simulator: Simulator,
    sandboxes: Sandboxes,
}

impl Cloud {
    /// Starts it, and makes the options fit it. The first time, the packages of the source image are fetched.
    pub(crate) async fn start(options: &mut Options) -> Result<Self> {
        let base = options.directory.join("base.tar");
        if !base.exists() {
            make_base(&options.directory, &base).await?;
        }
        let trees = options.directory.join("instances");
        let sandboxes = Sandboxes::new(&trees, Network::Host).await?;
        // A simulated cloud ends with its process: what an earlier one had is gone, and its journals speak of nothing.
        sandboxes.remove().await?;
        options.directory = options.directory.join("simulated");
        forget(&options.directory.join("journals"))?;
        let archive = fs::File::open(&base).map_err(|e| Error::io("open", &base, e))?;
        let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };
        let source =
            SeedImage::new(format!("debian-{SUITE}"), ACCOUNT, architecture).content(sandboxes.tree(archive).await?);
        options.source = source.id(&options.region);
        options.account = ACCOUNT.into();
        options.share_with = vec![FRIEND.into()];
        options.instance_profile = PROFILE.into();
        if architecture == "arm64" {
            options.instance_types = vec!["t4g.small".into()];
        }
        let regions = std::iter::once(&options.region).chain(&options.copy_to);
        let cloud = regions.fold(Simulator::builder(), |cloud, region| cloud.region(region));
        let cloud = cloud.account(ACCOUNT).account(FRIEND).image(source).bodies(sandboxes.clone());
        let simulator = cloud.timings(Timings::realistic().scaled(SPEED)).start().await;
        let simulator =
            simulator.map_err(|e| Error::new(ErrorKind::Unavailable, "cannot listen on loopback").with_source(e))?;
        options.subnets = simulator.private_subnets(ACCOUNT, &options.region);
        say(&format!("a simulated cloud listens at {}", simulator.endpoint()));
        Ok(Self { simulator, sandboxes })
    }

    /// Clients of the cloud.
    pub(crate) fn provider(&self) -> FromEnv {
        FromEnv::new().endpoint(self.simulator.endpoint()).access_key(KEY, Secret::new(KEY))
    }

    /// From now on denies what a policy does not allow.
    pub(crate) fn enforce(&self, name: &str, policy: &serde_json::Value) -> Result<()> {
        let refused = |e: String| Error::new(ErrorKind::InvalidInput, format!("the policy {name} cannot be used: {e}"));
        let policy = Policy::from_json(policy).map_err(|e| refused(e.to_string()))?;
        let principal = Principal::AccessKey(KEY.into());
        self.simulator.attach_policy(&principal, name, policy).map_err(|e| refused(e.to_string()))
    }

    /// Calls that the policy denied, each with its resource, and actions that it allows and nobody needed.
    pub(crate) fn policy_in_use(&self) -> (Vec<String>, Vec<String>) {
        let denied = self.simulator.denied_calls();
        let denied = denied.iter().map(|call| format!("{} on {}", call.action, call.resource)).collect();
        let unused = self.simulator.unused_actions();
        let why = |simulated| if simulated { "" } else { " (not simulated)" };
        let line =
            |action: &UnusedAction| format!("{} of {}{}", action.action, action.statement, why(action.simulated));
        (denied, unused.iter().map(line).collect())
    }

    /// What is in the cloud that was not there from the start.
    pub(crate) fn left(&self) -> Vec<String> {
        let ours = self.simulator.state().into_iter().filter(|thing| !thing.seeded && thing.state != "terminated");
        ours.map(|thing| format!("{} {} in {} {}", thing.kind, thing.id, thing.region, thing.state)).collect()
    }

    /// How many calls each service got.
    pub(crate) fn calls(&self) -> usize {
        self.simulator.calls().len()
    }

    /// Removes what the instances were.
    pub(crate) async fn end(self) -> Result<()> {
        drop(self.simulator);
        Ok(self.sandboxes.remove().await?)
    }
}

fn forget(journals: &Path) -> Result<()> {
    match fs::remove_dir_all(journals) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", journals, e)),
        _ => Ok(()),
    }
}

/// The root file system of a small Debian, as the simulated source image has it.
async fn make_base(directory: &Path, base: &Path) -> Result<()> {
    say("the source image of the simulation is made; this happens once");
    let architecture = match Architecture::host() {
        Some(Architecture::Aarch64) => "arm64",
        _ => "amd64",
    };
    let suite = Suite::new(SUITE, architecture)?;
    let pinned = pin(&suite).await?;
    let work = directory.join("bootstrap");
    fs::create_dir_all(&work).map_err(|e| Error::io("create", &work, e))?;
    let part = tempfile::NamedTempFile::new_in(directory).map_err(|e| Error::io("create a file in", directory, e))?;
    let (file, part) = part.into_parts();
    let privilege = Privilege::probe().await?;
    bootstrap(&suite, Some(&pinned), privilege, &work, file, &mut |_| {}, std::future::pending()).await?;
    part.persist(base).map_err(|e| Error::io("write", base, e.error))
}

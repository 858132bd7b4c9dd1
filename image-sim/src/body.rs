//! What an instance is: the seam behind which commands really run, or nothing does.
//!
//! EC2 owns states and times; a body owns content and commands. Volumes and snapshots carry [`Content`], so an image that
//! is captured holds what was provisioned.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

/// What a volume or a snapshot holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Content {
    /// Zeroes.
    #[default]
    Empty,
    /// A file system as a directory of the host, which nobody changes any more.
    Tree(PathBuf),
    /// Raw blocks.
    Blocks(Arc<Blocks>),
}

/// The blocks of a disk that were written, as the EBS direct APIs number them: blocks of 512 KiB. One that is absent was
/// never written and reads as zeroes.
///
/// They are in a file that has no name, so that it ends with the process.
#[derive(Debug)]
pub struct Blocks {
    disk: Arc<File>,
    digests: BTreeMap<u32, [u8; 32]>,
}

impl Blocks {
    /// The blocks with these digests of a disk.
    pub(crate) const fn new(disk: Arc<File>, digests: BTreeMap<u32, [u8; 32]>) -> Self {
        Self { disk, digests }
    }

    /// The raw disk, as long as the volume, sparse where nothing was written.
    pub fn disk(&self) -> &File {
        &self.disk
    }

    /// SHA-256 of each block that was written, by its index.
    pub const fn digests(&self) -> &BTreeMap<u32, [u8; 32]> {
        &self.digests
    }
}

impl PartialEq for Blocks {
    fn eq(&self, other: &Self) -> bool {
        self.digests == other.digests
    }
}

impl Eq for Blocks {}

/// An instance that is to start, for the first time or again.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Start {
    /// `i-…`
    pub instance_id: String,
    /// The account that owns it.
    pub account: String,
    /// Where it runs.
    pub region: String,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// User data, decoded.
    pub user_data: Option<Bytes>,
    /// The name or ARN of the instance profile.
    pub instance_profile: Option<String>,
    /// What each attached volume holds, by device name.
    pub devices: BTreeMap<String, Content>,
    /// Which of the devices is the root.
    pub root_device: String,
}

/// A command that runs on an instance.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Exec {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Added to the environment.
    pub env: BTreeMap<String, String>,
    /// What the command reads.
    pub stdin: Bytes,
    /// After this it is killed with all that it started.
    pub timeout: Duration,
}

impl Exec {
    /// A shell script, run by `/bin/sh`, for at most an hour: how SSM's `AWS-RunShellScript` runs commands.
    pub fn shell(script: impl Into<String>) -> Self {
        Self {
            argv: vec!["/bin/sh".to_owned(), "-c".to_owned(), script.into()],
            env: BTreeMap::new(),
            stdin: Bytes::new(),
            timeout: Duration::from_secs(3600),
        }
    }

    /// With another time limit.
    #[must_use]
    pub const fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }
}

/// How a command ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExecOutput {
    /// The exit code; 128 plus the number of the signal that ended it.
    pub exit: i32,
    /// What it wrote.
    pub stdout: Vec<u8>,
    /// What it wrote as errors.
    pub stderr: Vec<u8>,
    /// Whether it was killed at its time limit.
    pub timed_out: bool,
}

impl ExecOutput {
    /// A command that ended with `exit` and wrote this.
    pub const fn new(exit: i32, stdout: Vec<u8>, stderr: Vec<u8>) -> Self {
        Self { exit, stdout, stderr, timed_out: false }
    }

    /// A command that was killed at its time limit.
    #[must_use]
    pub const fn timed_out(mut self) -> Self {
        self.timed_out = true;
        self
    }
}

/// Why a body could not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct BodyError {
    /// For people; it becomes the instance's state reason.
    pub message: String,
}

impl BodyError {
    /// An error with this text.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

/// Makes the bodies of instances.
#[async_trait]
pub trait Bodies: Debug + Send + Sync + 'static {
    /// Boots an instance. It is `pending` until this returns and the configured time has passed; on an error it is
    /// terminated with the error as its state reason.
    async fn start(&self, start: Start) -> Result<Arc<dyn Body>, BodyError>;
}

/// What one running instance is.
#[async_trait]
pub trait Body: Debug + Send + Sync + 'static {
    /// Runs a command. One that fails is a value; an error means that it could not be run.
    async fn exec(&self, command: Exec) -> Result<ExecOutput, BodyError>;

    /// What the volumes hold now, by device name, while the instance goes on. The content must not change afterwards.
    async fn capture(&self) -> Result<BTreeMap<String, Content>, BodyError>;

    /// Shuts down in order and gives what the volumes hold, by device name. A stopped body is not used again.
    async fn stop(&self) -> Result<BTreeMap<String, Content>, BodyError>;

    /// Ends at once; what the volumes held is lost. May be called when it is stopped already.
    async fn terminate(&self);

    /// Reboots; commands that run are lost.
    async fn reboot(&self) -> Result<(), BodyError>;

    /// Returns when the instance shut itself down, as after `shutdown -h now`; EC2 then stops or terminates it by its
    /// shutdown behaviour. Never returns when it does not.
    async fn shut_down(&self) {
        std::future::pending().await
    }
}

/// Bodies that run nothing: content goes through, and no command can be run.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Hollow;

#[derive(Debug)]
struct HollowBody {
    devices: BTreeMap<String, Content>,
}

#[async_trait]
impl Bodies for Hollow {
    async fn start(&self, start: Start) -> Result<Arc<dyn Body>, BodyError> {
        Ok(Arc::new(HollowBody { devices: start.devices }))
    }
}

#[async_trait]
impl Body for HollowBody {
    async fn exec(&self, _command: Exec) -> Result<ExecOutput, BodyError> {
        Err(BodyError::new("this instance runs nothing: the simulator was started without bodies"))
    }

    async fn capture(&self) -> Result<BTreeMap<String, Content>, BodyError> {
        Ok(self.devices.clone())
    }

    async fn stop(&self) -> Result<BTreeMap<String, Content>, BodyError> {
        Ok(self.devices.clone())
    }

    async fn terminate(&self) {}

    async fn reboot(&self) -> Result<(), BodyError> {
        Ok(())
    }
}

//! Instances that really run commands: each is a sandbox of `image-local` over a root file system of its own.
//!
//! A simulated boot starts no kernel and no services; nothing outlives the command that started it. What commands do to
//! files is real, and a captured image has it.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use image_local::sandbox::{
    Exit, Input, Network, Output, Privilege, Program, Request, Sandbox, SandboxError, extract, pack, remove_tree,
};

use crate::body::{Bodies, Body, BodyError, Content, Exec, ExecOutput, Start};

/// Output beyond this is drained: more than any service passes on.
const OUTPUT_LIMIT: usize = 1 << 20;

/// Makes a sandbox of every instance. The root volume of what it boots must hold a [`Content::Tree`].
#[derive(Clone, Debug)]
pub struct Sandboxes {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    directory: PathBuf,
    network: Network,
    privilege: Privilege,
    next: AtomicU64,
}

impl Sandboxes {
    /// Keeps root file systems below `directory`, which the caller removes in the end with [`Sandboxes::remove`].
    ///
    /// # Errors
    /// When this machine has no namespaces, or the tools are missing.
    pub async fn new(directory: &Path, network: Network) -> Result<Self, SandboxError> {
        let privilege = Privilege::probe().await?;
        let shared = Shared { directory: directory.to_owned(), network, privilege, next: AtomicU64::new(0) };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// A tree that images can be seeded with, unpacked from a plain tar.
    ///
    /// # Errors
    /// When the archive is none, or cannot be unpacked here.
    pub async fn tree(&self, archive: impl std::io::Read + Send + 'static) -> Result<Content, SandboxError> {
        let path = self.shared.fresh("tree").map_err(|e| SandboxError::Archive {
            action: "make a directory for",
            path: self.shared.directory.clone(),
            message: e.to_string(),
        })?;
        extract(self.shared.privilege, archive, &path).await?;
        Ok(Content::Tree(path))
    }

    /// Removes every tree, whoever owns what is in it.
    ///
    /// # Errors
    /// With what could not be removed.
    pub async fn remove(&self) -> Result<(), SandboxError> {
        remove_tree(self.shared.privilege, &self.shared.directory).await
    }
}

impl Shared {
    fn fresh(&self, kind: &str) -> std::io::Result<PathBuf> {
        let path = self.directory.join(format!("{kind}-{}", self.next.fetch_add(1, Ordering::Relaxed)));
        std::fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// A copy of a tree, with owners, modes and links.
    async fn copy(&self, from: &Path, kind: &str) -> Result<PathBuf, BodyError> {
        let to = self.fresh(kind).map_err(failed)?;
        let archive = pack(self.privilege, from).await.map_err(failed)?;
        extract(self.privilege, archive.reader().map_err(failed)?, &to).await.map_err(failed)?;
        archive.finish().await.map_err(failed)?;
        Ok(to)
    }
}

#[async_trait]
impl Bodies for Sandboxes {
    async fn start(&self, start: Start) -> Result<Arc<dyn Body>, BodyError> {
        let Start { mut devices, root_device, instance_id, .. } = start;
        let Some(Content::Tree(tree)) = devices.remove(&root_device) else {
            return Err(BodyError::new(format!(
                "{root_device} of {instance_id} holds no file system that a sandbox runs"
            )));
        };
        let rootfs = self.shared.copy(&tree, "instance").await?;
        let work = self.shared.fresh("work").map_err(failed)?;
        let sandbox = Sandbox::new(&rootfs, &work, self.shared.network, self.shared.privilege).map_err(failed)?;
        Ok(Arc::new(Sandboxed { shared: Arc::clone(&self.shared), sandbox, rootfs, work, root_device, devices }))
    }
}

#[derive(Debug)]
struct Sandboxed {
    shared: Arc<Shared>,
    sandbox: Sandbox,
    rootfs: PathBuf,
    work: PathBuf,
    root_device: String,
    /// The other volumes: nothing mounts them.
    devices: BTreeMap<String, Content>,
}

impl Sandboxed {
    fn holding(&self, root: PathBuf) -> BTreeMap<String, Content> {
        let mut devices = self.devices.clone();
        devices.insert(self.root_device.clone(), Content::Tree(root));
        devices
    }
}

#[async_trait]
impl Body for Sandboxed {
    async fn exec(&self, command: Exec) -> Result<ExecOutput, BodyError> {
        let Exec { argv, env, stdin, timeout, .. } = command;
        // A script is handed over as a file: the kernel limits what an argument can hold to 128 KiB.
        let program = match argv.as_slice() {
            [shell, flag, script] if shell == "/bin/sh" && flag == "-c" => {
                Program::Script { content: script.clone().into_bytes(), arguments: vec![] }
            }
            _ => Program::Argv(argv),
        };
        let mut request = Request::new(program);
        request.env = env;
        request.stdin = Input::Bytes(stdin.to_vec());
        request.timeout = Some(timeout);
        request.output = Output::Limit(OUTPUT_LIMIT);
        let finished = match self.sandbox.run(request, &mut |_, _| {}, std::future::pending()).await {
            Ok(finished) => finished,
            Err(SandboxError::TimedOut { .. }) => return Ok(ExecOutput::new(-1, vec![], vec![]).timed_out()),
            Err(error) => return Err(failed(error)),
        };
        let code = match finished.exit {
            Exit::Code(code) => code,
            Exit::Signal(signal) => 128 + signal,
        };
        Ok(ExecOutput::new(code, finished.stdout, finished.stderr))
    }

    async fn capture(&self) -> Result<BTreeMap<String, Content>, BodyError> {
        Ok(self.holding(self.shared.copy(&self.rootfs, "tree").await?))
    }

    async fn stop(&self) -> Result<BTreeMap<String, Content>, BodyError> {
        Ok(self.holding(self.rootfs.clone()))
    }

    async fn terminate(&self) {
        // What cannot be removed now goes with the directory of all.
        for path in [&self.rootfs, &self.work] {
            let _removed = remove_tree(self.shared.privilege, path).await;
        }
    }

    async fn reboot(&self) -> Result<(), BodyError> {
        Err(BodyError::new("a sandbox has no kernel of its own to boot"))
    }
}

fn failed(error: impl std::fmt::Display) -> BodyError {
    BodyError::new(error.to_string())
}

// A builder of images that are entries of a map, for the example in the crate's documentation, which includes this file.

use image_core::*;
use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

const OWNER: &str = "memory";

/// Makes images in memory; what it holds are their tokens, and those of machines.
#[derive(Clone, Debug, Default)]
pub struct MemoryBuilder(Arc<Mutex<BTreeSet<String>>>);

impl MemoryBuilder {
    async fn make(&self, cx: &Context, what: &str) -> Result<Guard> {
        let (things, kind) = (Arc::clone(&self.0), Kind::new(what, Duration::from_secs(1), Duration::ZERO));
        let create = |request: CreateRequest| async move {
            things.lock().unwrap_or_else(PoisonError::into_inner).insert(request.token.clone());
            Ok(Created::new(request.token))
        };
        cx.create(OWNER, &Scope::new(OWNER), kind, "here", create).await
    }
    async fn machine(&self, cx: &Context) -> Result<Launched> {
        let guard = self.make(cx, "machine").await?;
        let machine = MemoryMachine(MachineInfo::new(guard.id(), platform(), true));
        Ok(Launched::new(Arc::new(machine), Handle::new(()), vec![guard]))
    }
}

fn platform() -> Platform {
    Platform::linux(Architecture::X86_64, BootMode::Uefi)
}

#[async_trait]
impl Undo for MemoryBuilder {
    fn owner(&self) -> &str {
        OWNER
    }
    fn scopes(&self) -> Vec<Scope> {
        vec![Scope::new(OWNER)]
    }
    async fn identity(&self, _: &Context, configured: &Scope) -> Result<Scope> {
        Ok(configured.clone())
    }
    async fn undo(&self, _: &Context, created: &Resource) -> Result<Undone> {
        let there = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&created.token);
        Ok(if there { Undone::Gone } else { Undone::Absent })
    }
    async fn restore(&self, _: &Context, changed: &Resource) -> Result<Undone> {
        Err(Error::bug(format!("nothing is ever changed, but {changed} is to be restored")))
    }
    async fn keep(&self, _: &Context, _: &Resource, _: &Keep) -> Result<()> {
        Ok(())
    }
    async fn find(&self, _: &Context, _: &Query) -> Result<Vec<Found>> {
        Ok(vec![])
    }
}

#[async_trait]
impl Builder for MemoryBuilder {
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.boot = true;
        capabilities
    }
    async fn check(&self, _: &Context, _: &BuildSpec) -> Result<Checked> {
        Ok(Checked::new(Source::new("empty", "empty-1"), platform(), None, "here", Handle::new(())))
    }
    async fn lookup(&self, _: &Context, _: &Checked, _: &Fingerprint) -> Result<Option<Cached>> {
        Ok(None)
    }
    async fn launch(&self, cx: &Context, _: Launch<'_>) -> Result<Launched> {
        self.machine(cx).await
    }
    async fn capture(&self, cx: &Context, _: Handle, _: Capture<'_>) -> Result<Captured> {
        let guard = self.make(cx, "image").await?;
        let image = Image::new(ImageKind::Machine, OWNER, Scope::new(OWNER), "here", guard.id(), platform());
        let digest = ContentDigest::Raw { sha256: sha256(guard.id()) };
        Ok(Captured::new(image.with_digest(digest), vec![guard]))
    }
    async fn boot(&self, cx: &Context, _: &Image) -> Result<Launched> {
        self.machine(cx).await
    }
}

/// Every command succeeds on it.
#[derive(Debug)]
struct MemoryMachine(MachineInfo);

#[async_trait]
impl Machine for MemoryMachine {
    fn info(&self) -> &MachineInfo {
        &self.0
    }
    async fn exec(&self, _: &Context, _: Command) -> Result<ExecOutput> {
        Ok(ExecOutput::new(Exit::Code(0), vec![], vec![]))
    }
    async fn upload(&self, _: &Context, _: Upload) -> Result<()> {
        Ok(())
    }
    async fn download(&self, _: &Context, source: &str, _: &Path) -> Result<()> {
        Err(Error::new(ErrorKind::NotFound, format!("{source} is not there: the machine has no files")))
    }
    async fn reboot(&self, _: &Context) -> Result<()> {
        Err(Error::new(ErrorKind::Unsupported, "a machine in memory cannot be restarted"))
    }
}

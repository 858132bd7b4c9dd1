//! A builder that creates nothing, in the usual number of steps.

use image_core::{
    Architecture, BootMode, BuildSpec, Builder, Cached, Capabilities, Capture, Captured, Checked, Command, Context,
    Created, ExecOutput, Exit, Fingerprint, Found, Guard, Handle, Image, ImageKind, Keep, Kind, Launch, Launched,
    Layer, Machine, MachineInfo, Pipeline, Platform, Provisioner, Query, Ready, Resource, Result, Scope, Source, Undo,
    Undone, Upload, async_trait,
};
use std::{path::Path, sync::Arc, time::Duration};

const OWNER: &str = "noop";

/// A builder that creates nothing: so many creates for a machine, one for its image.
#[derive(Clone, Debug)]
pub struct Noop {
    creates: usize,
    fail: bool,
}

impl Noop {
    /// Makes a machine by so many creates, and an image by one more.
    pub fn new(creates: usize) -> Self {
        Self { creates, fail: false }
    }
    /// Fails every provisioner, so that the run unwinds.
    #[must_use]
    pub fn failing(mut self) -> Self {
        self.fail = true;
        self
    }
}

/// A pipeline of one layer with one provisioner, its image not booted and not scanned.
pub fn pipeline(name: &str, builder: Noop) -> Pipeline<Ready> {
    let provisioner = Nothing { name: name.to_owned(), fail: builder.fail };
    Pipeline::new(name)
        .builder(builder)
        .layer(Layer::new("only").provision(provisioner))
        .without_boot_validation("there is nothing to boot")
        .without_scan("there is nothing to scan")
}

fn scope() -> Scope {
    Scope::new("nowhere")
}

fn platform() -> Platform {
    Platform::linux(Architecture::X86_64, BootMode::None)
}

#[async_trait]
impl Undo for Noop {
    fn owner(&self) -> &str {
        OWNER
    }
    fn scopes(&self) -> Vec<Scope> {
        vec![scope()]
    }
    async fn identity(&self, _cx: &Context, configured: &Scope) -> Result<Scope> {
        Ok(configured.clone())
    }
    async fn undo(&self, _cx: &Context, _created: &Resource) -> Result<Undone> {
        Ok(Undone::Gone)
    }
    async fn restore(&self, _cx: &Context, _changed: &Resource) -> Result<Undone> {
        Ok(Undone::Gone)
    }
    async fn keep(&self, _cx: &Context, _created: &Resource, _keep: &Keep) -> Result<()> {
        Ok(())
    }
    async fn find(&self, _cx: &Context, _query: &Query) -> Result<Vec<Found>> {
        Ok(vec![])
    }
}

async fn create(cx: &Context, kind: &str) -> Result<Guard> {
    let kind = Kind::new(kind, Duration::from_secs(10), Duration::ZERO);
    cx.create(OWNER, &scope(), kind, "nowhere", |request| async move { Ok(Created::new(request.token)) }).await
}

#[async_trait]
impl Builder for Noop {
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }
    async fn check(&self, _cx: &Context, _spec: &BuildSpec) -> Result<Checked> {
        let fingerprint = Fingerprint::of(OWNER, "")?;
        Ok(Checked::new(Source::new("none", "none"), platform(), Some(fingerprint), "nowhere", Handle::new(())))
    }
    async fn lookup(&self, _cx: &Context, _checked: &Checked, _wanted: &Fingerprint) -> Result<Option<Cached>> {
        Ok(None)
    }
    async fn launch(&self, cx: &Context, _launch: Launch<'_>) -> Result<Launched> {
        let mut guards = vec![];
        for _ in 0..self.creates {
            guards.push(create(cx, "part").await?);
        }
        let machine = Arc::new(Inert(MachineInfo::new("inert", platform(), false)));
        Ok(Launched::new(machine, Handle::new(()), guards))
    }
    async fn capture(&self, cx: &Context, _handle: Handle, _capture: Capture<'_>) -> Result<Captured> {
        let guard = create(cx, "image").await?;
        let image = Image::new(ImageKind::Machine, OWNER, scope(), "nowhere", guard.id(), platform());
        Ok(Captured::new(image, vec![guard]))
    }
    async fn boot(&self, _cx: &Context, _image: &Image) -> Result<Launched> {
        Err(image_core::Error::new(image_core::ErrorKind::Unsupported, "there is nothing to boot"))
    }
}

#[derive(Debug)]
struct Nothing {
    name: String,
    fail: bool,
}

#[async_trait]
impl Provisioner for Nothing {
    fn id(&self) -> &str {
        "nothing"
    }
    async fn fingerprint(&self, _cx: &Context) -> Result<Option<Fingerprint>> {
        Fingerprint::of("nothing", &self.name).map(Some)
    }
    async fn provision(&self, _cx: &Context, _machine: &dyn Machine) -> Result<()> {
        if self.fail { Err(image_core::Error::bug("asked to fail")) } else { Ok(()) }
    }
}

#[derive(Debug)]
struct Inert(MachineInfo);

#[async_trait]
impl Machine for Inert {
    fn info(&self) -> &MachineInfo {
        &self.0
    }
    async fn exec(&self, _cx: &Context, _command: Command) -> Result<ExecOutput> {
        Ok(ExecOutput::new(Exit::Code(0), vec![], vec![]))
    }
    async fn upload(&self, _cx: &Context, _upload: Upload) -> Result<()> {
        Ok(())
    }
    async fn download(&self, _cx: &Context, _source: &str, _destination: &Path) -> Result<()> {
        Ok(())
    }
    async fn reboot(&self, _cx: &Context) -> Result<()> {
        Ok(())
    }
}

//! The builder: from a source to a sandbox, from a sandbox to a disk, from a disk to a guest.

mod capture;
mod settings;
mod undo;
mod vm;

pub(crate) use capture::digest;
pub use settings::BootVia;

use crate::{
    disk,
    machine::SandboxMachine,
    qemu::{self, Firmware, agent},
    sandbox::{self, Privilege, Sandbox},
    source::{Base, Source, unpack_layer},
    tagged::{self, Tags},
};
use image_core::{
    Architecture, BootMode, BuildSpec, Builder, Cached, Capabilities, Capture, Captured, Checked, Context, CreateError,
    Created, Error, ErrorKind, Fingerprint, Guard, Handle, Image, ImageKind, Kind, Launch, Launched, MachineInfo,
    Network, Platform, Result, Role, Scope, State, async_trait, quote,
};
use settings::Settings;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

pub(crate) const OWNER: &str = "local";
/// What a kept image or layer is.
const IMAGE: &str = "image.json";

/// The kinds of resources, which are directories of the builder's own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    /// A captured layer or image.
    Images,
    /// A guest that runs, with its overlay.
    Vms,
    /// A root file system that is being provisioned.
    Work,
}

impl Place {
    const ALL: [Self; 3] = [Self::Images, Self::Vms, Self::Work];

    fn directory(self) -> &'static str {
        match self {
            Self::Images => "images",
            Self::Vms => "vms",
            Self::Work => "work",
        }
    }
    /// The kind's name in journals. It never changes.
    fn kind(self) -> Kind {
        let name = match self {
            Self::Images => "image",
            Self::Vms => "vm",
            Self::Work => "work",
        };
        // Making a directory takes no time, and a file system shows at once what was done to it.
        Kind::new(name, Duration::from_secs(60), Duration::ZERO).ends_with_process()
    }
    fn of(kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|place| place.kind().name == kind)
    }
}

/// Builds images in a directory of this machine, without an account: a root file system is provisioned in a sandbox,
/// becomes a bootable disk, and the disk is booted in QEMU.
///
/// Everything lies below one directory: `work/` and `vms/` while a run lasts, `images/` with layers and images. Clones
/// share it, and so do other processes.
#[derive(Clone, Debug)]
pub struct LocalBuilder {
    root: PathBuf,
    scope: Scope,
    source: Source,
    settings: Settings,
}

/// What `check` found, for the calls after it.
#[derive(Debug)]
struct Plan {
    base: Base,
    privilege: Privilege,
}

/// What `launch` made, for `capture`.
#[derive(Debug)]
struct Build {
    rootfs: PathBuf,
    privilege: Privilege,
}

impl LocalBuilder {
    /// A builder of images from a source, in a directory that is created where it does not exist, for the architecture of
    /// this machine.
    ///
    /// # Errors
    /// The I/O error of the directory; `Conflict` when it is a directory of another kind; `Unsupported` on an architecture
    /// that is not known.
    pub fn open(root: impl Into<PathBuf>, source: Source) -> Result<Self> {
        let root = root.into();
        tagged::make_private(&root)?;
        let root = root.canonicalize().map_err(|e| Error::io("open", &root, e))?;
        for place in Place::ALL {
            tagged::make_private(&root.join(place.directory()))?;
        }
        let unknown = || Error::new(ErrorKind::Unsupported, format!("cannot build on {}", std::env::consts::ARCH));
        let architecture = Architecture::host().ok_or_else(unknown)?;
        let scope = Scope::new(tagged::scope_id(&root, OWNER)?);
        Ok(Self { root, scope, source, settings: Settings::new(architecture) })
    }
    /// Its directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn place(&self, place: Place) -> PathBuf {
        self.root.join(place.directory())
    }
    fn location(&self) -> String {
        self.root.display().to_string()
    }
    fn directory_of(&self, image: &Image) -> PathBuf {
        self.place(Place::Images).join(&image.id)
    }
    fn platform(&self) -> Platform {
        let boot = if self.settings.bootable { BootMode::Uefi } else { BootMode::None };
        Platform::linux(self.settings.architecture, boot)
    }

    /// Makes a directory of ours through the journal; it is filled afterwards, so that a cancel can stop that.
    async fn make(&self, cx: &Context, place: Place, own: Tags) -> Result<(Guard, PathBuf)> {
        let parent = self.place(place);
        let create = move |request: image_core::CreateRequest| async move {
            let token = request.token.clone();
            let tags = own.over(request.tags);
            let made = tokio::task::spawn_blocking(move || tagged::create(&parent, &request.token, &tags));
            made.await.map_err(|e| CreateError::Unclear(e.into()))??;
            Ok(Created::new(token))
        };
        let guard = cx.create(OWNER, &self.scope, place.kind(), &self.location(), create).await?;
        let path = self.place(place).join(guard.id());
        Ok((guard, path))
    }

    /// Everything that a later call needs and that can be missing is looked for here.
    async fn check_tools(&self) -> Result<Privilege> {
        self.settings.check()?;
        let privilege = Privilege::probe().await?;
        if self.settings.boot_images {
            let architecture = qemu_architecture(self.settings.architecture)?;
            qemu::require(architecture)?;
            agent::find_busybox()?;
            Firmware::find(architecture)?;
        }
        tagged::probe(&self.root)?;
        Ok(privilege)
    }

    async fn base(&self, spec: &BuildSpec) -> Result<Base> {
        let Some(image) = &spec.source else {
            return self.source.resolve(self.settings.architecture, self.settings.epoch).await;
        };
        if image.provider != OWNER || image.scope != self.scope {
            let message = format!("{image} is not an image of {}", self.root.display());
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let directory = self.directory_of(image);
        if read_image(&directory)?.as_ref() != Some(image) {
            return Err(Error::new(ErrorKind::NotFound, format!("{image} is not there any more")));
        }
        Ok(Base::Image { image: image.clone(), directory })
    }
}

/// The image in a directory; `None` while it is not complete.
fn read_image(directory: &Path) -> Result<Option<Image>> {
    let file = directory.join(IMAGE);
    match std::fs::read(&file) {
        Ok(text) => serde_json::from_slice(&text)
            .map(Some)
            .map_err(|e| Error::new(ErrorKind::Conflict, format!("{} cannot be read", file.display())).with_source(e)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("read", &file, e)),
    }
}

#[async_trait]
impl Builder for LocalBuilder {
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.boot = self.settings.boot_images;
        capabilities.secrets = true;
        capabilities.live_output = true;
        capabilities.kills_group = true;
        capabilities.offline = true;
        capabilities
    }

    async fn check(&self, cx: &Context, spec: &BuildSpec) -> Result<Checked> {
        if let Some(architecture) = spec.architecture.filter(|wanted| *wanted != self.settings.architecture) {
            let accepted = format!("{}: a sandbox runs commands of its own machine", self.settings.architecture);
            return Err(Error::invalid("architecture", architecture, accepted));
        }
        let privilege = self.check_tools().await?;
        let base = cx.race(self.base(spec)).await?;
        let source = base.describe()?;
        let fingerprint = Fingerprint::of(OWNER, &(self.settings.fingerprint(), base.settings()))?;
        let plan = Handle::new(Plan { base, privilege });
        Ok(Checked::new(source, self.platform(), Some(fingerprint), self.location(), plan))
    }

    async fn lookup(&self, cx: &Context, _checked: &Checked, fingerprint: &Fingerprint) -> Result<Option<Cached>> {
        for found in tagged::list(&self.place(Place::Images))? {
            let role = match found.tags.state() {
                State::Kept => Role::Image,
                State::Layer => Role::Layer,
                _ => continue,
            };
            let expired = found.tags.expires_at().is_some_and(|at| at < cx.now());
            if found.tags.get("fingerprint") != Some(fingerprint.as_str()) || expired {
                continue;
            }
            if let Some(image) = read_image(&found.path)? {
                return Ok(Some(Cached::new(image, role)));
            }
        }
        Ok(None)
    }

    async fn launch(&self, cx: &Context, launch: Launch<'_>) -> Result<Launched> {
        let Plan { base, privilege } = launch.checked.plan.get::<Plan>()?;
        let (guard, work) = self.make(cx, Place::Work, Tags::default().with("layer", launch.layer)).await?;
        let rootfs = work.join("rootfs");
        make_rootfs(&rootfs)?;
        match launch.parent {
            Some(image) => unpack_layer(cx, *privilege, &self.directory_of(image), &rootfs).await?,
            None => base.unpack(cx, *privilege, &work.join("source"), &rootfs).await?,
        }
        let network = match launch.network {
            Network::Offline => sandbox::Network::None,
            _ => sandbox::Network::Host,
        };
        let sandbox = Sandbox::new(&rootfs, &work.join("sandbox"), network, *privilege)?;
        let shell =
            format!("unshare --mount --pid --fork --mount-proc chroot {} /bin/sh", quote(&rootfs.to_string_lossy()));
        let info = MachineInfo::new(guard.id(), self.platform(), false).with_shell(shell);
        let machine = std::sync::Arc::new(SandboxMachine::new(info, sandbox));
        let handle = Handle::new(Build { rootfs, privilege: *privilege });
        Ok(Launched::new(machine, handle, vec![guard]))
    }

    async fn capture(&self, cx: &Context, handle: Handle, capture: Capture<'_>) -> Result<Captured> {
        self.capture_build(cx, handle.get::<Build>()?, capture).await
    }

    async fn boot(&self, cx: &Context, image: &Image) -> Result<Launched> {
        self.boot_image(cx, image).await
    }
}

/// The root of an image is everybody's to read, whatever our umask.
fn make_rootfs(rootfs: &Path) -> Result<()> {
    std::fs::create_dir(rootfs)
        .and_then(|()| std::fs::set_permissions(rootfs, std::os::unix::fs::PermissionsExt::from_mode(0o755)))
        .map_err(|e| Error::io("create", rootfs, e))
}

fn disk_architecture(architecture: Architecture) -> Result<disk::Architecture> {
    match architecture {
        Architecture::Aarch64 => Ok(disk::Architecture::Aarch64),
        Architecture::X86_64 => Ok(disk::Architecture::X86_64),
        other => Err(Error::invalid("architecture", other, "aarch64, x86_64")),
    }
}

fn qemu_architecture(architecture: Architecture) -> Result<qemu::Architecture> {
    match architecture {
        Architecture::Aarch64 => Ok(qemu::Architecture::Aarch64),
        Architecture::X86_64 => Ok(qemu::Architecture::X86_64),
        other => Err(Error::invalid("architecture", other, "aarch64, x86_64")),
    }
}

fn new_image(builder: &LocalBuilder, kind: ImageKind, id: &str) -> Image {
    Image::new(kind, OWNER, builder.scope.clone(), builder.location(), id, builder.platform())
}

//! Booting a captured disk in QEMU, on an overlay that is thrown away.

use super::{BootVia, LocalBuilder, Place, qemu_architecture};
use crate::{
    disk::{self, EspEdit},
    machine::GuestMachine,
    qemu::{self, Accelerator, Boot, BootSpec, Firmware, agent},
    tagged::Tags,
};
use image_core::{Context, Error, ErrorKind, Handle, Image, Launched, MachineInfo, OutputLines, Result, Stream};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// Until commands work. Emulation on a busy machine is slow; a guest that cannot boot is recognised by its console.
const READY_WITHIN: Duration = Duration::from_secs(600);
/// Until the init system has started what it wants to start, well or not.
const SETTLED_WITHIN: Duration = Duration::from_secs(600);

/// Waits for systemd where the init system is systemd. Commands work before it has begun, so its socket is waited for
/// first. What failed to start is for validators to say.
const SETTLE: &str = "case $(readlink -f /sbin/init) in */systemd) ;; *) exit 0 ;; esac\n\
                      until [ -S /run/systemd/private ]; do sleep 0.2; done\n\
                      systemctl is-system-running --wait || true";

impl LocalBuilder {
    pub(super) async fn boot_image(&self, cx: &Context, image: &Image) -> Result<Launched> {
        let raw = image.parts.get("raw").map(PathBuf::from);
        let raw = raw.ok_or_else(|| Error::new(ErrorKind::Unsupported, format!("{image} has no raw disk to boot")))?;
        let (guard, directory) = self.make(cx, Place::Vms, Tags::default().with("image", &image.id)).await?;
        let spec = self.boot_spec(guard.id(), &raw, &directory).await?;
        let accelerator = spec.accelerator;
        let mut console = OutputLines::new(cx, Stream::Console);
        let guest = qemu::start(&spec, move |piece| console.push(piece)).await?;
        cx.progress(0, None, format!("booting by {accelerator:?}"));
        let within = cx.with_timeout(READY_WITHIN);
        cx.race(async { Ok(guest.ready(within.deadline()).await?) }).await?;
        let mut settle = qemu::Request::new(SETTLE);
        settle.timeout = SETTLED_WITHIN;
        let settled = cx.race(async { Ok(guest.run(&settle).await?) }).await?;
        let state = String::from_utf8_lossy(&settled.stdout).trim().to_owned();
        cx.message(format!("booted{}{state}", if state.is_empty() { "" } else { ": systemd is " }));
        let info = MachineInfo::new(guard.id(), image.platform.clone(), true);
        Ok(Launched::new(Arc::new(GuestMachine::new(info, guest)), Handle::new(()), vec![guard]))
    }

    async fn boot_spec(&self, token: &str, raw: &Path, directory: &Path) -> Result<BootSpec> {
        let architecture = qemu_architecture(self.settings.architecture)?;
        // Also without it in the boot: what shows whether KVM works is the firmware.
        let firmware = Firmware::find(architecture)?;
        let accelerator = Accelerator::detect(architecture, &firmware).await;
        let overlay = directory.join("overlay.qcow2");
        let (raw, work, via) = (raw.to_owned(), directory.to_owned(), self.settings.boot_via);
        let (memory, disk) = (self.settings.memory, overlay.clone());
        let prepare = move || -> Result<Boot> {
            let size = std::fs::metadata(&raw).map_err(|e| Error::io("read", &raw, e))?.len();
            match via {
                BootVia::Firmware => {
                    let initrd = agent::initrd(&agent::find_busybox()?, memory)?;
                    let options = agent::kernel_parameters(&disk::boot_files(&raw)?.options, architecture);
                    let edit = EspEdit::default().with_first_initrd(initrd).with_options(options);
                    let patches = disk::esp_patches(&raw, &edit)?;
                    disk::qcow2::overlay(&raw, disk::qcow2::BackingFormat::Raw, size, &patches, &disk)?;
                    Ok(Boot::Firmware(firmware))
                }
                BootVia::Kernel => {
                    let files = disk::boot_files(&raw)?;
                    let (kernel, initrd) = (work.join("image-kernel"), work.join("image-initrd"));
                    std::fs::write(&kernel, &files.kernel).map_err(|e| Error::io("write", &kernel, e))?;
                    std::fs::write(&initrd, &files.initrd).map_err(|e| Error::io("write", &initrd, e))?;
                    disk::qcow2::overlay(&raw, disk::qcow2::BackingFormat::Raw, size, &[], &disk)?;
                    Ok(Boot::Kernel { kernel, initrd, parameters: files.options })
                }
            }
        };
        let boot = tokio::task::spawn_blocking(prepare).await??;
        let mut spec = BootSpec::new(overlay, boot, directory, accelerator);
        spec.token = token.to_owned();
        (spec.memory, spec.cpus) = (self.settings.memory, self.settings.cpus);
        Ok(spec)
    }
}

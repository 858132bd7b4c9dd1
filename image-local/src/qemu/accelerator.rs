//! How guest code runs.

use std::time::Duration;

use tokio::sync::OnceCell;

use super::{Architecture, Firmware, QemuError, hypervisor};

/// How long firmware may take to its first word under hardware acceleration. It needs about a second.
const PATIENCE: Duration = Duration::from_secs(10);

/// How guest code runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Accelerator {
    /// By the processor, through Linux' KVM.
    Kvm,
    /// By translation in QEMU: always works, and is some ten times slower.
    Tcg,
}

impl Accelerator {
    /// KVM for guests of the host's architecture where it works, TCG otherwise.
    ///
    /// That `/dev/kvm` opens and makes virtual machines is no proof: nested virtualization may fail at the first
    /// instruction that has to be emulated. So the firmware is started under KVM once per process, on a machine
    /// without disks, until it writes to its console.
    pub async fn detect(architecture: Architecture, firmware: &Firmware) -> Self {
        static KVM: OnceCell<bool> = OnceCell::const_new();
        if architecture != Architecture::host() || !cfg!(target_os = "linux") {
            return Self::Tcg;
        }
        // Whatever keeps KVM from working, TCG is the answer.
        if *KVM.get_or_init(|| async { works(Self::Kvm, architecture, firmware).await.unwrap_or(false) }).await {
            Self::Kvm
        } else {
            Self::Tcg
        }
    }
}

/// Whether firmware speaks under this accelerator.
async fn works(accelerator: Accelerator, architecture: Architecture, firmware: &Firmware) -> Result<bool, QemuError> {
    if accelerator == Accelerator::Kvm && !std::path::Path::new("/dev/kvm").exists() {
        return Ok(false);
    }
    let mut arguments = hypervisor::machine(architecture, accelerator, Some(&read_only(firmware)))?;
    arguments.extend(["-m", "256M"].map(Into::into));
    let program = format!("qemu-system-{}", architecture.name());
    let (spoken, mut heard) = tokio::sync::mpsc::channel(1);
    let (hypervisor, _agent) = hypervisor::launch(program.as_ref(), arguments, move |_| {
        // Full after the first word, which is all that counts.
        spoken.try_send(()).ok();
    })
    .await
    .map_err(QemuError::io(format!("start {program}")))?;
    let mut life = hypervisor.life.subscribe();
    let works = tokio::select! {
        word = heard.recv() => word.is_some(),
        _ = life.wait_for(|life| life.ended.is_some()) => false,
        () = tokio::time::sleep(PATIENCE) => false,
    };
    drop(hypervisor);
    Ok(works)
}

/// Firmware that needs no variables to speak: its code is enough.
fn read_only(firmware: &Firmware) -> Firmware {
    match firmware {
        Firmware::Combined(_) => firmware.clone(),
        Firmware::Split { code, .. } => Firmware::Combined(code.clone()),
    }
}

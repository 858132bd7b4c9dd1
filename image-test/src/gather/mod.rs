//! Finding facts out: of this machine, or of a root file system that does not run.

mod accounts;
mod concurrent;
mod files;
mod kernel;
mod live;
mod network;
mod packages;
mod process;
mod root;
mod rootfs;
mod running;
mod services;
mod settings;
mod units;

use crate::facts::{
    PackageManager,
    parse::{InitSystem, Release},
};
use root::Root;
use std::num::NonZeroUsize;

pub use live::live;
pub use rootfs::rootfs;

const MOST: NonZeroUsize = NonZeroUsize::new(50).unwrap();

/// How facts are found out.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The package manager; that of the distribution unless set. One of which a system has neither the command nor the
    /// database has no packages there.
    pub package_manager: Option<PackageManager>,
    /// The largest contents of a file, output of a command or body of a response in bytes; what is larger is unknown. 16 MiB
    /// unless changed. Digests have no limit.
    pub limit: u64,
    /// Most commands, names, addresses and requests of each kind that are under way at once. 50 unless changed, as in
    /// goss: most of what a check calls waits for something.
    pub max_concurrent: NonZeroUsize,
}

impl Default for Options {
    fn default() -> Self {
        Self { package_manager: None, limit: 16 << 20, max_concurrent: MOST }
    }
}

/// A system below its root, and what manages it.
#[derive(Debug)]
struct System {
    root: Root,
    init: InitSystem,
    manager: Option<PackageManager>,
}

impl System {
    fn new(root: Root, options: &Options) -> Self {
        let release = Release {
            lsb_release: root.read("/etc/lsb-release").ok(),
            redhat_release: root.exists("/etc/redhat-release") || root.exists("/etc/system-release"),
            alpine_release: root.exists("/etc/alpine-release"),
            arch_release: root.exists("/etc/arch-release"),
            debian_version: root.read("/etc/debian_version").ok(),
        };
        let has_command = |name: &str| has_command(&root, name);
        let init = release.init_system(has_command);
        let manager = options.package_manager.or_else(|| release.package_manager(has_command));
        Self { root, init, manager }
    }
}

/// Whether there is a command, where those of a system are.
fn has_command(root: &Root, name: &str) -> bool {
    const COMMANDS: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    COMMANDS.iter().any(|directory| root.exists(&format!("{directory}/{name}")))
}

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
    /// The package manager; that of the distribution unless set.
    pub package_manager: Option<PackageManager>,
    /// The largest contents of a file, output of a command or body of a response in bytes; what is larger is unknown. 16 MiB
    /// unless changed. Digests have no limit.
    pub limit: u64,
    /// Most commands, names, addresses and requests of each kind that are under way at once. Commands are also no more than
    /// there are processors. 50 unless changed, as in goss.
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
        let has_command = |name: &str| COMMANDS.iter().any(|directory| root.exists(&format!("{directory}/{name}")));
        let init = release.init_system(has_command);
        let manager = options.package_manager.or_else(|| release.package_manager(has_command));
        Self { root, init, manager }
    }
}

/// Where commands are.
const COMMANDS: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

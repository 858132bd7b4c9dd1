//! What the kernel says a process used (Linux).

use serde::{Deserialize, Serialize};
use std::{fs, io, path::Path};

/// Clock ticks in `/proc/<pid>/stat`: `USER_HZ`, which is 100 on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// What this process has used so far.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Usage {
    /// Seconds of CPU, user and system, of all threads.
    pub cpu: f64,
    /// Highest resident set size, in KiB.
    pub peak_rss_kib: u64,
}

impl Usage {
    /// Asks the kernel.
    ///
    /// # Errors
    /// The I/O error of `/proc`, or `InvalidData`.
    pub fn of_this_process() -> io::Result<Self> {
        let cpu = seconds(Path::new("/proc/self"), 11)?;
        Ok(Self { cpu, peak_rss_kib: field(&fs::read_to_string("/proc/self/status")?, "VmHWM:")? })
    }
}

/// Seconds of CPU, user and system, of the children of this process that have ended, and of theirs.
///
/// # Errors
/// The I/O error of `/proc`, or `InvalidData`.
pub fn cpu_of_children() -> io::Result<f64> {
    seconds(Path::new("/proc/self"), 13)
}

/// What the descendants of a process have in memory now, in KiB, pages that are shared counted in parts. One that ends
/// meanwhile counts as nothing.
pub fn pss_of_children(pid: u32) -> u64 {
    let own = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok();
    let own = own.and_then(|text| field(&text, "Pss:").ok()).unwrap_or_default();
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let children = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let children: Vec<u32> =
        children.flat_map(|text| text.split(' ').flat_map(str::parse).collect::<Vec<_>>()).collect();
    own + children.into_iter().map(pss_of_children).sum::<u64>()
}

/// The sum of two neighbouring fields of `stat`, counted from the one after the command's name.
fn seconds(process: &Path, first: usize) -> io::Result<f64> {
    let stat = fs::read_to_string(process.join("stat"))?;
    let (_, fields) = stat.rsplit_once(") ").ok_or(io::ErrorKind::InvalidData)?;
    let ticks = fields.split(' ').skip(first).take(2).map(|field| field.parse::<u32>().map_err(io::Error::other));
    Ok(f64::from(ticks.sum::<io::Result<u32>>()?) / TICKS_PER_SECOND)
}

fn field(text: &str, name: &str) -> io::Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).ok_or(io::ErrorKind::InvalidData)?;
    line.trim().trim_end_matches(" kB").parse().map_err(io::Error::other)
}

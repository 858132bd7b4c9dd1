//! Independent programs: what the tests compare with, and what a person would check an image with.

use crate::{failure::Failure, run};
use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

/// A program and what it judges.
const PEERS: [(&str, &str); 20] = [
    ("mmdebstrap", "root file systems of packages"),
    ("busybox", "the guest's side of a boot"),
    ("qemu-system-x86_64", "boots"),
    ("qemu-img", "qcow2 images"),
    ("e2fsck", "ext4 file systems"),
    ("debugfs", "ext4 file systems"),
    ("fsck.vfat", "EFI partitions"),
    ("sfdisk", "partition tables"),
    ("sha256sum", "digests"),
    ("tar", "archives"),
    ("packer", "the same work"),
    ("moto_server", "calls to EC2"),
    ("gcloud", "calls to Compute Engine"),
    ("sshd", "connections"),
    ("goss", "checks"),
    ("cosign", "signatures"),
    ("syft", "bills of materials"),
    ("grype", "vulnerabilities"),
    ("trivy", "vulnerabilities"),
    ("docker-registry", "OCI images"),
];

/// The goss whose outcomes ours must have.
const GOSS: &str = "0.4.10";

/// Builds those that no distribution has, and prints which of them are installed.
pub(crate) fn print() -> Result<(), Failure> {
    if built_goss().is_none() {
        if run::find("go").is_some() {
            eprintln!("xtask: building goss {GOSS}");
            build_goss()?;
        } else {
            eprintln!(
                "xtask: goss {GOSS} is not there: install Go 1.25 or later (https://go.dev/dl), then call this again"
            );
        }
    }
    for (name, judges) in PEERS {
        let place = find(name).map_or_else(|| "not installed".to_owned(), |path| path.display().to_string());
        println!("{name:<20} {judges:<34} {place}");
    }
    Ok(())
}

/// Where a peer is: one that was built here, or one of the system.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    built_goss().filter(|_| name == "goss").or_else(|| run::find(name))
}

/// The `PATH` with the peers that were built here in front.
pub(crate) fn path() -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let built = built_goss().and_then(|goss| goss.parent().map(Path::to_owned));
    // Only a path that `split_paths` has taken apart is joined, and one that has no separator in it.
    std::env::join_paths(built.into_iter().chain(std::env::split_paths(&path))).unwrap_or(path)
}

fn built_goss() -> Option<PathBuf> {
    let goss = cache()?.join(format!("goss-{GOSS}/bin/goss"));
    goss.is_file().then_some(goss)
}

/// Where the peers are built: not in the checkout, which is thrown away more often.
fn cache() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))?;
    Some(cache.join("golden-image/peers"))
}

/// Builds goss as a dependency of an empty module: `go install` would also ask for the list of all versions, which not
/// every mirror has. Without cgo, as its releases are built: a static program that runs in any root file system.
fn build_goss() -> Result<(), Failure> {
    let cache = cache().ok_or_else(|| Failure::usage("there is no HOME to build goss in"))?;
    let place = cache.join(format!("goss-{GOSS}"));
    let failed = |e: std::io::Error| Failure::new(format!("{}: {e}", place.display()));
    fs::create_dir_all(place.join("bin")).map_err(failed)?;
    let module = format!("module peers\n\ngo 1.25\n\nrequire github.com/goss-org/goss v{GOSS}\n");
    fs::write(place.join("go.mod"), module).map_err(failed)?;
    let unfinished = place.join("bin/goss.part");
    run::program("go")
        .directory(&place)
        .env("CGO_ENABLED", "0")
        .args(["build", "-mod=mod", "-trimpath", "-ldflags"])
        .args([format!("-s -w -X github.com/goss-org/goss/util.Version={GOSS}")])
        .args([OsString::from("-o"), unfinished.clone().into()])
        .args(["github.com/goss-org/goss/cmd/goss"])
        .run()?;
    fs::rename(unfinished, place.join("bin/goss")).map_err(failed)
}

//! Independent programs: what the tests compare with, and what a person would check an image with.

use crate::run;

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

/// Prints which of them are installed.
pub(crate) fn print() {
    for (name, judges) in PEERS {
        let place = run::find(name).map_or_else(|| "not installed".to_owned(), |path| path.display().to_string());
        println!("{name:<20} {judges:<34} {place}");
    }
}

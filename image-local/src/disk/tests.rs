//! Whole disks judged by sfdisk, fsck.vfat and e2fsck.

use std::os::unix::fs::FileExt;

use tempfile::NamedTempFile;

use super::testing::{TestTar, empty_image, open, tool, tool_output};
use super::*;

const MIB: u64 = 1 << 20;

/// A root file system with all that booting needs, though none of it runs.
fn rootfs() -> TestTar {
    let mut tar = TestTar::default();
    for version in ["6.1.0-9-amd64", "6.1.0-49-amd64"] {
        tar.file(&format!("./boot/vmlinuz-{version}"), 0o600, format!("kernel {version}").repeat(9000).as_bytes());
        tar.file(&format!("./boot/initrd.img-{version}"), 0o600, format!("initrd {version}").repeat(70_000).as_bytes());
    }
    tar.file("./usr/lib/systemd/boot/efi/systemd-bootx64.efi", 0o644, &b"loader".repeat(10_000));
    tar.symlink("./vmlinuz", "boot/vmlinuz-6.1.0-9-amd64");
    tar
}

fn spec() -> DiskSpec {
    DiskSpec::new(Architecture::X86_64, 200 * MIB, *b"seed").with_esp_bytes(48 * MIB).with_timestamp(1_700_000_000)
}

fn disk(tar: &TestTar, spec: &DiskSpec) -> (NamedTempFile, DiskReport) {
    let image = empty_image(0);
    let report = assemble(&tar.finish()[..], spec, image.as_file()).unwrap();
    (image, report)
}

/// Copies a partition into a file of its own, for tools that know no offsets.
fn partition(image: &NamedTempFile, number: usize) -> NamedTempFile {
    let len = image.as_file().metadata().unwrap().len();
    let partition = &gpt::read(image.as_file(), len).unwrap()[number];
    let mut content = vec![0; partition.len as usize];
    image.as_file().read_exact_at(&mut content, partition.start).unwrap();
    let copy = empty_image(0);
    std::fs::write(copy.path(), content).unwrap();
    copy
}

#[test]
fn disk_is_valid_for_tools_and_boots_the_newest_kernel() {
    for esp_mebibytes in [8, 20, 36, 48, 90, 300] {
        let mut spec = spec().with_esp_bytes(esp_mebibytes * MIB);
        spec.size_bytes += esp_mebibytes * MIB;
        let (image, report) = disk(&rootfs(), &spec);
        assert_eq!(report.kernel_version.as_deref(), Some("6.1.0-49-amd64"));
        assert_eq!(report.kernel_options, format!("root=PARTUUID={} rw console=tty0 console=ttyS0", report.root_id));
        let files = boot_files(image.path()).unwrap();
        assert_eq!(files.options, report.kernel_options);
        assert_eq!(files.kernel, "kernel 6.1.0-49-amd64".repeat(9000).as_bytes());
        assert_eq!(files.initrd, "initrd 6.1.0-49-amd64".repeat(70_000).as_bytes());
        let Some(verdict) = tool_output("sfdisk", &["--verify", image.path().to_str().unwrap()]) else { return };
        assert!(verdict.contains("No errors detected"), "{verdict}");
        let (esp, root) = (partition(&image, 0), partition(&image, 1));
        tool_output("fsck.vfat", &["-n", esp.path().to_str().unwrap()]);
        tool_output("e2fsck", &["-fn", root.path().to_str().unwrap()]);
    }
}

#[test]
fn same_input_gives_the_same_disk_and_another_seed_other_identities() {
    let (one, report) = disk(&rootfs(), &spec());
    let (two, _) = disk(&rootfs(), &spec());
    assert!(std::fs::read(one.path()).unwrap() == std::fs::read(two.path()).unwrap(), "the disks differ");
    let mut other = spec();
    other.seed = b"other".to_vec();
    let (_, different) = disk(&rootfs(), &other);
    assert_ne!((report.disk_id, report.root_id), (different.disk_id, different.root_id));
    assert_ne!(report.filesystem_id, different.filesystem_id);
}

#[test]
fn output_that_held_something_is_overwritten_whole() {
    let (image, _) = disk(&rootfs(), &spec());
    let stale = empty_image(0);
    std::fs::write(stale.path(), vec![0xAA; 300 * MIB as usize]).unwrap();
    assemble(&rootfs().finish()[..], &spec(), &open(stale.path())).unwrap();
    assert!(std::fs::read(image.path()).unwrap() == std::fs::read(stale.path()).unwrap(), "the disks differ");
}

#[test]
fn disk_without_boot_loader_needs_no_kernel() {
    let mut tar = TestTar::default();
    tar.file("etc/hostname", 0o644, b"image\n");
    let (image, report) = disk(&tar, &spec().with_boot(Boot::None));
    assert_eq!((report.esp_id, report.kernel_version), (None, None));
    let root = partition(&image, 0);
    tool_output("e2fsck", &["-fn", root.path().to_str().unwrap()]);
    assert!(matches!(boot_files(image.path()), Err(EspError::Invalid { .. })));
}

#[test]
fn what_is_missing_is_named_with_its_package() {
    let fails = |tar: &TestTar| {
        let image = empty_image(0);
        let error = assemble(&tar.finish()[..], &spec(), image.as_file()).unwrap_err();
        assert_eq!(image.as_file().metadata().unwrap().len(), 0);
        let DiskError::Esp(error) = error else { panic!("{error}") };
        error.to_string()
    };
    let mut tar = TestTar::default();
    let message = fails(&tar);
    assert!(message.contains("boot/vmlinuz-*") && message.contains("linux-image-amd64"), "{message}");
    tar.file("boot/vmlinuz-6.1", 0o600, b"kernel");
    let message = fails(&tar);
    assert!(message.contains("boot/initrd.img-6.1") && message.contains("initramfs-tools"), "{message}");
    tar.file("boot/initrd.img-6.1", 0o600, b"initrd");
    let message = fails(&tar);
    assert!(message.contains("systemd-bootx64.efi") && message.contains("systemd-boot-efi"), "{message}");
}

#[test]
fn kernels_behind_links_count() {
    let mut tar = TestTar::default();
    tar.file("usr/lib/modules/6.12/vmlinuz", 0o600, b"kernel").symlink("boot/vmlinuz", "/usr/lib/modules/6.12/vmlinuz");
    tar.file("boot/initramfs-6.12.img", 0o600, b"initrd");
    tar.file("usr/lib/systemd/boot/efi/systemd-bootx64.efi", 0o644, b"loader");
    // Six bytes are padded to eight: what follows an initrd must start at a multiple of four.
    let (image, report) = disk(&tar, &spec());
    assert_eq!(report.kernel_version.as_deref(), Some("6.12"));
    let files = boot_files(image.path()).unwrap();
    assert_eq!((&files.kernel[..], &files.initrd[..]), (&b"kernel"[..], &b"initrd\0\0"[..]));
}

#[test]
fn wrong_sizes_are_typed_errors() {
    let image = empty_image(0);
    let archive = rootfs().finish();
    let fails = |spec: &DiskSpec| assemble(&archive[..], spec, image.as_file()).unwrap_err();
    let mut odd = spec();
    odd.size_bytes += 1;
    assert!(matches!(fails(&odd), DiskError::InvalidSpec { field: "size_bytes", .. }));
    assert!(matches!(fails(&spec().with_esp_bytes(MIB)), DiskError::InvalidSpec { field: "esp_bytes", .. }));
    assert!(matches!(fails(&spec().with_kernel_options("a\nb")), DiskError::InvalidSpec { .. }));
    assert!(matches!(fails(&spec().with_label("a label of many bytes")), DiskError::Ext4(_)));

    let content = ext4::measure(&archive[..]).unwrap();
    let minimum = minimum_size(&content, &spec()).unwrap();
    for size in [0, 512, 10 * MIB, 52 * MIB] {
        let mut small = spec();
        small.size_bytes = size;
        let DiskError::TooSmall { needed, given } = fails(&small) else { panic!("not too small") };
        assert_eq!(given, size);
        assert!(needed > given && needed <= minimum + 8 * MIB, "{needed} {minimum}");
    }
    let mut fitting = spec();
    fitting.size_bytes = minimum;
    let (image, _) = disk(&rootfs(), &fitting);
    let root = partition(&image, 1);
    tool_output("e2fsck", &["-fn", root.path().to_str().unwrap()]);
}

#[test]
fn too_small_a_system_partition_says_how_large_it_must_be() {
    let mut tar = rootfs();
    tar.file("boot/initrd.img-6.1.0-49-amd64", 0o600, &vec![7; 30 * MIB as usize]);
    let image = empty_image(0);
    let error = assemble(&tar.finish()[..], &spec().with_esp_bytes(20 * MIB), image.as_file()).unwrap_err();
    let DiskError::Esp(EspError::TooSmall { needed, .. }) = error else { panic!("{error}") };
    let (image, _) = disk(&tar, &spec().with_esp_bytes(needed));
    assert_eq!(boot_files(image.path()).unwrap().initrd.len(), 30 * MIB as usize);
}

#[test]
fn edit_of_the_system_partition_is_a_set_of_patches() {
    let (image, _) = disk(&rootfs(), &spec());
    let before = std::fs::read(image.path()).unwrap();
    let extra: Vec<u8> = (0..300_004u32).map(|at| at as u8).collect();
    let edit = EspEdit::default().with_first_initrd(extra.clone()).with_options("agent=1 quiet");
    let patches = esp_patches(image.path(), &edit).unwrap();
    assert!(before == std::fs::read(image.path()).unwrap(), "the disk changed");
    let changed: usize = patches.iter().map(|(_, data)| data.len()).sum();
    assert!(changed < 400_000, "{changed} bytes");
    for (at, data) in &patches {
        image.as_file().write_all_at(data, *at).unwrap();
    }
    let files = boot_files(image.path()).unwrap();
    assert_eq!(files.options, "agent=1 quiet");
    assert!(files.initrd.starts_with(&extra) && files.initrd[extra.len()..].windows(6).any(|w| w == b"initrd"));
    let esp = partition(&image, 0);
    if let Some(output) = tool("fsck.vfat", &["-n", esp.path().to_str().unwrap()]) {
        assert!(output.status.success(), "{output:?}");
    }
    let large = EspEdit::default().with_first_initrd(vec![1; 60 * MIB as usize]);
    assert!(matches!(esp_patches(image.path(), &large), Err(EspError::TooSmall { .. })));
    assert!(esp_patches(image.path(), &EspEdit::default().with_options("a\nb")).is_err());
}

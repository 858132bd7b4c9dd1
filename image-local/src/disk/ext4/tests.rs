//! File systems judged by e2fsprogs.

use std::path::Path;

use proptest::prelude::*;
use tar::EntryType;
use tempfile::NamedTempFile;

use super::*;
use crate::disk::testing::{TestTar, empty_image, tool, tool_output};

const MIB: u64 = 1 << 20;

fn options() -> Options {
    Options::new(Uuid::from_bytes([7; 16]), Uuid::from_bytes([9; 16])).with_label("root").with_timestamp(1_600_000_000)
}

fn image_of(archive: &[u8], len: u64) -> NamedTempFile {
    let image = empty_image(len);
    format(archive, image.as_file(), 0, len, &options()).unwrap();
    image
}

fn check(image: &Path) -> Option<()> {
    tool_output("e2fsck", &["-fn", image.to_str().unwrap()]).map(drop)
}

fn debugfs(image: &NamedTempFile, request: &str) -> Option<String> {
    tool_output("debugfs", &["-R", request, image.path().to_str().unwrap()])
}

/// Asserts that what debugfs answers contains each of the words.
fn assert_answer(image: &NamedTempFile, request: &str, words: &[&str]) {
    let Some(answer) = debugfs(image, request) else { return };
    for word in words {
        assert!(answer.contains(word), "{request}: {word:?} is not in\n{answer}");
    }
}

/// Bytes that never repeat, so that a swapped block shows.
fn pattern(len: usize) -> Vec<u8> {
    (0..len.div_ceil(8) as u64)
        .flat_map(|at| (at.wrapping_mul(0x9E37_79B9_7F4A_7C15)).to_le_bytes())
        .take(len)
        .collect()
}

#[test]
fn empty_archive_is_a_clean_file_system_of_any_size() {
    for mebibytes in [8, 17, 127, 128, 129, 130, 150, 400, 1024, 2100, 5000, 20_000] {
        let image = image_of(&TestTar::default().finish(), mebibytes * MIB);
        check(image.path());
    }
}

#[test]
fn every_kind_of_member_is_kept_with_its_attributes() {
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, b'\n', 0, 0, 0, 0, 0, 0, 0];
    let acl = [&2u32.to_le_bytes()[..], &[1, 0, 6, 0], &[255; 4], &[2, 0, 4, 0], &1000u32.to_le_bytes()].concat();
    let acl = [&acl[..], &[4, 0, 4, 0], &[255; 4], &[16, 0, 4, 0], &[255; 4], &[32, 0, 4, 0], &[255; 4]].concat();
    let long = "n".repeat(255);
    let far = "t".repeat(1000);
    let mut tar = TestTar::default();
    tar.directory("./", 0o750).directory("./tmp/", 0o1777).file("usr/bin/sudo", 0o4755, b"root");
    tar.pax(&[("SCHILY.xattr.security.capability", &capability), ("mtime", b"1700000001.25")]);
    tar.file("usr/bin/ping", 0o755, b"ping");
    tar.pax(&[("uid", b"100000"), ("gid", b"3000000000"), ("SCHILY.xattr.user.large", &[b'x'; 3000])]);
    tar.file("home/owned", 0o640, b"");
    tar.pax(&[("SCHILY.xattr.system.posix_acl_access", &acl)]).file("acl", 0o644, b"acl");
    tar.symlink("short", "usr/bin").symlink("long", &far).hard_link("usr/bin/sudoedit", "usr/bin/sudo");
    tar.device("dev/console", EntryType::Char, 5, 1).device("dev/vd", EntryType::Block, 259, 300);
    tar.member(TestTar::header(EntryType::Fifo, 0o600, 0), b"fifo", b"", b"");
    tar.file(&format!("{long}/{long}"), 0o644, b"long");
    let image = image_of(&tar.finish(), 64 * MIB);
    check(image.path());
    assert_answer(&image, "stat /", &["Mode:  0750"]);
    assert_answer(&image, "stat /tmp", &["Mode:  01777", "Links: 2"]);
    assert_answer(&image, "stat /usr/bin/sudoedit", &["Mode:  04755", "Links: 2", "Size: 4", "mtime: 0x6553f100"]);
    assert_answer(&image, "stat /usr/bin/ping", &["security.capability (20)", "mtime: 0x6553f101:3b9aca00"]);
    assert_answer(&image, "ea_get -x /usr/bin/ping security.capability", &["01 00 00 02 00 04 00 00", "0a 00 00 00"]);
    assert_answer(&image, "stat /home/owned", &["User: 100000   Group: -1294967296", "user.large (3000)"]);
    assert_answer(&image, "stat /home", &["Mode:  0755", "User:     0", "Links: 2"]);
    assert_answer(&image, "stat /acl", &["system.posix_acl_access"]);
    assert_answer(&image, "stat /short", &["Fast link dest: \"usr/bin\""]);
    assert_answer(&image, "stat /long", &["Size: 1000"]);
    assert_answer(&image, "stat /dev/console", &["Type: character special", "05:01"]);
    assert_answer(&image, "stat /dev/vd", &["Type: block special", "259:300"]);
    assert_answer(&image, "stat /fifo", &["Type: FIFO"]);
    assert_answer(&image, &format!("cat /{long}/{long}"), &["long"]);
    assert_answer(&image, "ls -l /lost+found", &["..", "40700"]);
}

#[test]
fn large_and_many_files_are_read_back_whole() {
    let large = pattern(200 * MIB as usize + 123);
    let mut tar = TestTar::default();
    for number in 0..30_000 {
        tar.file(&format!("many/file-{number:05}"), 0o644, format!("{number}").as_bytes());
    }
    tar.file("large", 0o644, &large).directory(&"deep/".repeat(60), 0o755).file("zeros", 0o600, &vec![0; 5 << 20]);
    let image = image_of(&tar.finish(), 600 * MIB);
    check(image.path());
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("large");
    if debugfs(&image, &format!("dump /large {}", out.display())).is_some() {
        assert!(std::fs::read(&out).unwrap() == large, "the large file differs");
        let listing = debugfs(&image, "ls -p /many").unwrap();
        assert_eq!(listing.lines().filter(|line| line.contains("/file-")).count(), 30_000);
    }
    assert_answer(&image, "cat /many/file-29999", &["29999"]);
}

#[test]
fn replaced_members_leave_neither_blocks_nor_content_behind() {
    let mut tar = TestTar::default();
    // Every other file goes again, so that the last one lies in many pieces.
    for number in 0..2000 {
        tar.file(&format!("piece-{number}"), 0o644, &b"SECRET".repeat(700));
    }
    for number in (0..2000).step_by(2) {
        tar.file(&format!("piece-{number}"), 0o644, b"");
    }
    let content = pattern(1500 * 4096);
    tar.file("pieces", 0o644, &content).file("whole", 0o644, b"SECRET-OLD").symlink("whole", "pieces");
    tar.directory("dir", 0o755).file("dir", 0o644, b"no longer a directory").directory("dir", 0o700);
    let image = image_of(&tar.finish(), 64 * MIB);
    check(image.path());
    assert_answer(&image, "stat /dir", &["Type: directory", "Mode:  0700"]);
    assert!(!memchr_find(&std::fs::read(image.path()).unwrap(), b"SECRET-OLD"));
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("pieces");
    if debugfs(&image, &format!("dump /pieces {}", out.display())).is_some() {
        assert!(std::fs::read(&out).unwrap() == content, "the file in pieces differs");
        let extents = debugfs(&image, "ex /pieces").unwrap();
        assert!(extents.lines().count() > 340, "{extents}");
    }
}

fn memchr_find(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn files_are_read_back_through_symlinks_of_the_tree() {
    let mut tar = TestTar::default();
    tar.file("boot/vmlinuz-6.1", 0o644, b"kernel").symlink("vmlinuz", "/boot/../boot/vmlinuz-6.1");
    tar.symlink("lib", "usr/lib")
        .directory("usr/lib", 0o755)
        .file("lib/module", 0o644, b"module")
        .symlink("loop", "loop");
    let (image, len) = (empty_image(32 * MIB), 32 * MIB);
    let archive = tar.finish();
    let filesystem = format(&archive[..], image.as_file(), 0, len, &options()).unwrap();
    assert_eq!(filesystem.read("vmlinuz").unwrap().unwrap(), b"kernel");
    assert_eq!(filesystem.read("usr/lib/module").unwrap().unwrap(), b"module");
    assert_eq!(filesystem.names("/boot"), ["vmlinuz-6.1"]);
    assert_eq!(filesystem.read("loop").unwrap(), None);
    assert_eq!(filesystem.read("boot").unwrap(), None);
    check(image.path());
}

#[test]
fn hostile_and_damaged_archives_are_refused() {
    let refusal = |tar: &TestTar| {
        let image = empty_image(32 * MIB);
        format(&tar.finish()[..], image.as_file(), 0, 32 * MIB, &options()).unwrap_err().to_string()
    };
    let check = |build: &dyn Fn(&mut TestTar), expected: &str| {
        let mut tar = TestTar::default();
        build(&mut tar);
        let message = refusal(&tar);
        assert!(message.contains(expected), "{message:?} does not contain {expected:?}");
    };
    check(
        &|tar| {
            tar.file("/etc/passwd", 0o644, b"");
        },
        "is absolute",
    );
    check(
        &|tar| {
            tar.file("a/../../b", 0o644, b"");
        },
        "has a `..` component",
    );
    check(
        &|tar| {
            tar.hard_link("a", "../b");
        },
        "has a `..` component",
    );
    check(
        &|tar| {
            tar.hard_link("a", "b");
        },
        "which no earlier member is",
    );
    check(
        &|tar| {
            tar.directory("b", 0o755).hard_link("a", "b");
        },
        "which is a directory",
    );
    check(
        &|tar| {
            tar.file("a", 0o644, b"").file("a/b", 0o644, b"");
        },
        "is no directory",
    );
    check(
        &|tar| {
            tar.file("a/b", 0o644, b"").file("a", 0o644, b"");
        },
        "not empty",
    );
    check(
        &|tar| {
            tar.file(&"n".repeat(256), 0o644, b"");
        },
        "longer than 255 bytes",
    );
    check(
        &|tar| {
            tar.device("d", EntryType::Char, 4096, 0);
        },
        "device 4096:0",
    );
    check(
        &|tar| {
            tar.symlink("s", &"t".repeat(4096));
        },
        "4095",
    );
    check(
        &|tar| {
            tar.pax(&[("SCHILY.xattr.user.x", &[0; 5000])]).file("x", 0o644, b"");
        },
        "the limit is 4064",
    );
    check(
        &|tar| {
            tar.pax(&[("SCHILY.xattr.odd", b"")]).file("x", 0o644, b"");
        },
        "name spaces",
    );
    check(
        &|tar| {
            tar.pax(&[("SCHILY.acl.access", b"user::rw-")]).file("x", 0o644, b"");
        },
        "SCHILY.acl.access is not supported",
    );
    check(
        &|tar| {
            tar.extension(b'x', b"7 a=b");
        },
        "malformed",
    );
    check(
        &|tar| {
            tar.member(TestTar::header(EntryType::GNUSparse, 0o644, 0), b"s", b"", b"");
        },
        "sparse",
    );

    let mut tar = TestTar::default();
    tar.file("a", 0o644, &[1; 5000]);
    let damaged = |archive: &[u8]| {
        let image = empty_image(32 * MIB);
        format(archive, image.as_file(), 0, 32 * MIB, &options()).unwrap_err().to_string()
    };
    assert!(damaged(&tar.unfinished()[..3000]).contains("cut off"));
    assert!(damaged(tar.unfinished()).contains("cut off"));
    let mut flipped = tar.finish();
    flipped[100] ^= 1;
    assert!(damaged(&flipped).contains("checksum"));
}

#[test]
fn too_small_a_region_says_which_size_is_enough() {
    let mut tar = TestTar::default();
    for number in 0..3000 {
        tar.file(&format!("d{}/f{number}", number % 7), 0o644, &pattern(number * 7));
    }
    tar.file("large", 0o644, &pattern(90 << 20));
    let archive = tar.finish();
    let minimum = measure(&archive[..]).unwrap().minimum_size().unwrap();
    for given in [9 * MIB, 64 * MIB, minimum - MIB] {
        let image = empty_image(given);
        let error = format(&archive[..], image.as_file(), 0, given, &options()).unwrap_err();
        let Ext4Error::TooSmall { needed, given: said } = error else { panic!("{error}") };
        assert_eq!(said, given);
        assert!(needed > given && needed <= minimum + 8 * MIB, "{needed} for {given}, minimum {minimum}");
        check(image_of(&archive, needed).path());
    }
    check(image_of(&archive, minimum).path());
}

#[test]
fn too_few_inodes_are_too_small_a_region() {
    let mut tar = TestTar::default();
    for number in 0..4000 {
        tar.file(&format!("f{number}"), 0o644, b"");
    }
    let archive = tar.finish();
    let image = empty_image(16 * MIB);
    let error = format(&archive[..], image.as_file(), 0, 16 * MIB, &options()).unwrap_err();
    let Ext4Error::TooSmall { needed, .. } = error else { panic!("{error}") };
    check(image_of(&archive, needed).path());
}

#[test]
fn same_input_gives_the_same_bits() {
    let mut tar = TestTar::default();
    tar.file("etc/a", 0o644, &pattern(100_000)).directory("var", 0o755).symlink("s", "etc/a");
    let (one, two) = (image_of(&tar.finish(), 100 * MIB), image_of(&tar.finish(), 100 * MIB));
    assert!(std::fs::read(one.path()).unwrap() == std::fs::read(two.path()).unwrap(), "the images differ");
}

#[test]
fn file_system_can_grow() {
    let mut tar = TestTar::default();
    tar.file("etc/a", 0o644, &pattern(1 << 20));
    for (from, to) in [(100, 3000), (600, 9000), (8, 200)] {
        let image = image_of(&tar.finish()[..], if from == 8 { 16 * MIB } else { from * MIB });
        image.as_file().set_len(to * MIB).unwrap();
        let path = image.path().to_str().unwrap();
        // resize2fs wants a check first, of its own kind: -f without -n.
        let Some(output) = tool("e2fsck", &["-fp", path]) else { return };
        assert!(output.status.success(), "{output:?}");
        let Some(output) = tool("resize2fs", &[path]) else { return };
        assert!(output.status.success(), "{output:?}");
        check(image.path());
        assert_answer(&image, "stat /etc/a", &["Size: 1048576"]);
    }
}

#[test]
fn thousands_of_subdirectories_have_the_link_count_of_many() {
    let mut tar = TestTar::default();
    for number in 0..65_100 {
        tar.directory(&format!("d/{number}"), 0o755);
    }
    let image = image_of(&tar.finish(), 1400 * MIB);
    check(image.path());
    assert_answer(&image, "stat /d", &["Links: 1 "]);
}

#[derive(Clone, Debug)]
enum Change {
    Directory(u8, u8),
    File(u8, u8, usize),
    HardLink(u8, u8),
    Symlink(u8, usize),
    Xattr(u8, usize),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (0..6u8, 0..6u8).prop_map(|(parent, name)| Change::Directory(parent, name)),
        (0..6u8, any::<u8>(), 0..60_000usize).prop_map(|(parent, name, size)| Change::File(parent, name, size)),
        (any::<u8>(), any::<u8>()).prop_map(|(name, target)| Change::HardLink(name, target)),
        (any::<u8>(), 1..300usize).prop_map(|(name, length)| Change::Symlink(name, length)),
        (any::<u8>(), 0..3500usize).prop_map(|(name, size)| Change::Xattr(name, size)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_small_tree_is_clean_or_refused(changes in prop::collection::vec(change(), 0..150)) {
        let mut tar = TestTar::default();
        for change in changes {
            match change {
                Change::Directory(parent, name) => tar.directory(&format!("d{parent}/d{name}"), 0o755),
                Change::File(parent, name, size) => tar.file(&format!("d{parent}/f{name}"), 0o644, &pattern(size)),
                Change::HardLink(name, target) => {
                    tar.file(&format!("t{target}"), 0o600, b"target").hard_link(&format!("l{name}"), &format!("t{target}"))
                }
                Change::Symlink(name, length) => tar.symlink(&format!("s{name}"), &"x".repeat(length)),
                Change::Xattr(name, size) => {
                    let record = (&*format!("SCHILY.xattr.user.a{name}"), &pattern(size)[..]);
                    tar.pax(&[record, ("SCHILY.xattr.security.b", b"small")]).file(&format!("x{name}"), 0o644, b"x")
                }
            };
        }
        let image = empty_image(40 * MIB);
        let archive = tar.finish();
        match format(&archive[..], image.as_file(), 0, 40 * MIB, &options()) {
            Ok(_) => drop(check(image.path())),
            Err(error) => prop_assert!(matches!(error, Ext4Error::Member { .. }), "{error}"),
        }
    }
}

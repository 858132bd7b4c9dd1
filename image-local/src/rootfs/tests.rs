//! Normalising honest trees, checked against GNU tar, and hostile ones.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;

use super::tar::testing::{Builder, Raw};
use super::*;

fn run(archive: &[u8], options: &NormalizeOptions) -> Result<(Manifest, Vec<u8>), RootfsError> {
    let mut output = Vec::new();
    let manifest = normalize(archive, &mut output, options)?;
    assert_eq!((manifest.digest, manifest.size), (Digest::of(&output), output.len() as u64));
    Ok((manifest, output))
}

fn refused(archive: Builder, expected: &str) {
    refused_with(archive, &NormalizeOptions::default(), expected);
}

fn refused_with(archive: Builder, options: &NormalizeOptions, expected: &str) {
    match run(&archive.directory("usr").finish(), options) {
        Ok((manifest, _)) => panic!("accepted {:?}, expected {expected}", manifest.entries.keys()),
        Err(error) => assert!(error.to_string().contains(expected), "{error}, expected {expected}"),
    }
}

fn accepted(archive: Builder, options: &NormalizeOptions) -> Manifest {
    let (manifest, output) = run(&archive.directory("usr").finish(), options).unwrap();
    assert_eq!(run(&output, options).unwrap().1, output, "normalising twice changes nothing");
    manifest
}

fn path(text: &str) -> RootfsPath {
    text.parse().unwrap()
}

fn names(manifest: &Manifest) -> Vec<String> {
    manifest.entries.keys().map(ToString::to_string).collect()
}

#[test]
fn entries_below_links_are_refused() {
    let link = || Builder::default().symlink("a", "/etc");
    refused(link().file("a/passwd", b"x"), "entry a/passwd lies below a, which is a symbolic link");
    refused(link().file("a/b/c/d", b"x"), "lies below a, which is a symbolic link");
    refused(link().directory("./a//x/"), "lies below a, which is a symbolic link");
    refused(link().hard_link("b", "a").file("b/x", b"x"), "lies below b, which is a symbolic link");
    refused(link().directory("a"), "entry a occurs twice");
    refused(Builder::default().file("a/x", b"").symlink("a", "/etc"), "entry a is not a directory");
    refused(Builder::default().directory("a").symlink("a", "/etc"), "entry a occurs twice");
    refused(Builder::default().file("f", b"").file("f/x", b""), "entry f/x lies below f, which is not a directory");
    refused(Builder::default().symlink("a", "a").file("a/a", b""), "symbolic link");
    let options = NormalizeOptions { exclude: vec![Exclude::Exact(path("a"))], ..NormalizeOptions::default() };
    refused_with(link().file("a/passwd", b"x"), &options, "lies below a, which is a symbolic link");
    refused_with(link().file("a", b"x"), &options, "entry a occurs twice");
    accepted(link().symlink("b", "../../../etc").symlink("c", "c"), &NormalizeOptions::default());
}

#[test]
fn hard_links_need_an_earlier_entry() {
    let file = || Builder::default().file("f", b"x");
    refused(Builder::default().hard_link("l", "etc/shadow"), "etc/shadow is no earlier entry");
    refused(Builder::default().hard_link("l", "l"), "no earlier entry");
    refused(Builder::default().hard_link("l", "f").file("f", b""), "no earlier entry");
    refused(Builder::default().directory("d").hard_link("l", "d"), "is a directory");
    refused(file().hard_link("f", "f"), "occurs twice");
    let options = NormalizeOptions { exclude: vec![Exclude::Exact(path("f"))], ..NormalizeOptions::default() };
    refused_with(file().hard_link("l", "f"), &options, "is excluded");
    let shared = Raw::new(b'1', "m").link("l").field(100, b"0004777\0");
    let manifest = accepted(file().hard_link("l", "./f").raw(shared), &NormalizeOptions::default());
    let entry = &manifest.entries[&path("m")];
    assert_eq!((&entry.kind, entry.mode), (&Kind::HardLink { target: path("f") }, 0o644));
}

#[test]
fn devices_and_sockets() {
    let null =
        |name: &str| Builder::default().raw(Raw::new(b'3', name).field(329, b"0000001\0").field(337, b"0000003\0"));
    let drop = NormalizeOptions { device: OnDevice::Drop, ..NormalizeOptions::default() };
    refused(null("etc/null"), "entry etc/null is a device node");
    refused(null("dev"), "entry dev is a device node");
    refused(null("dev/null").file("dev/null/x", b""), "lies below dev/null");
    let socket = Raw::new(b'0', "run/s").field(100, b"0140755\0");
    let archive = null("dev/null").hard_link("dev/zero", "dev/null").raw(socket).raw(Raw::new(b'6', "run/fifo"));
    assert_eq!(names(&accepted(archive, &NormalizeOptions::default())), [".", "run", "run/fifo", "usr"]);
    assert_eq!(names(&accepted(null("etc/null"), &drop)), [".", "usr"]);
}

#[test]
fn repeated_and_implied_directories() {
    let manifest = accepted(
        Builder::default().file("a/b/c", b"").directory("a").directory("a"),
        &NormalizeOptions::with_max_mtime(50),
    );
    assert_eq!(names(&manifest), [".", "a", "a/b", "a/b/c", "usr"]);
    assert_eq!((manifest.entries[&path("a/b")].mode, manifest.entries[&path("a")].mtime), (0o755, 50));
    refused(Builder::default().file("a", b"x").file("./a", b"x"), "occurs twice");
    let other = Raw::new(b'5', "a").field(100, b"0004777\0");
    refused(Builder::default().directory("a").raw(other), "occurs twice");
}

#[test]
fn volatile_records_go_and_the_rest_stays() {
    let records: &[(&str, &[u8])] = &[
        ("atime", b"1.5"),
        ("ctime", b"9"),
        ("uname", b"me"),
        ("gname", b"us"),
        ("SCHILY.dev", b"1"),
        ("mtime", b"7.9"),
        ("SCHILY.xattr.security.capability", b"\x01\0\0\x02\n=\xff"),
        ("SCHILY.xattr.user.empty", b""),
        ("uid", b"4294967294"),
    ];
    let named = Raw::new(b'0', "etc/x").field(265, b"user").field(297, b"group").body(b"x");
    let (manifest, output) =
        run(&Builder::default().pax(records).raw(named).finish(), &NormalizeOptions::default()).unwrap();
    let entry = &manifest.entries[&path("etc/x")];
    assert_eq!((entry.uid, entry.mtime, entry.xattrs.is_some()), (4_294_967_294, 7, true));
    let text = String::from_utf8_lossy(&output);
    assert!(text.contains("SCHILY.xattr.security.capability=") && text.contains("SCHILY.xattr.user.empty=\n"));
    assert!(
        !["atime", "ctime", "uname", "gname", "user\0", "group\0", "SCHILY.dev"]
            .iter()
            .any(|volatile| text.contains(volatile))
    );
    assert_eq!(run(&output, &NormalizeOptions::default()).unwrap(), (manifest, output));

    let acl = || Builder::default().pax(&[("SCHILY.acl.access", b"user::rw-")]).file("x", b"");
    refused(acl(), "entry x: record SCHILY.acl.access is not supported");
    accepted(
        acl(),
        &NormalizeOptions { unsupported_metadata: OnUnsupportedMetadata::Drop, ..NormalizeOptions::default() },
    );
}

#[test]
fn times_are_clamped_from_above_only() {
    let at = |mtime: &[u8]| Builder::default().pax(&[("mtime", mtime)]).file("x", b"");
    for (given, expected) in [(&b"1000"[..], 500), (b"500.9", 500), (b"3", 3), (b"-7.5", -8), (b"99999999999999", 500)]
    {
        assert_eq!(accepted(at(given), &NormalizeOptions::with_max_mtime(500)).entries[&path("x")].mtime, expected);
    }
    assert_eq!(
        accepted(at(b"99999999999999"), &NormalizeOptions::default()).entries[&path("x")].mtime,
        99_999_999_999_999
    );
}

#[test]
fn excluded_paths_are_left_out() {
    let archive = Builder::default()
        .directory("var")
        .directory("var/cache")
        .file("var/cache/a", b"")
        .file("var/b", b"")
        .file("c/d", b"");
    let exclude = vec![Exclude::Below(path("var/cache")), Exclude::Exact(path("var/b")), Exclude::Tree(path("c"))];
    let options = NormalizeOptions { exclude, ..NormalizeOptions::default() };
    assert_eq!(names(&accepted(archive, &options)), [".", "usr", "var", "var/cache"]);
}

#[test]
fn only_root_filesystems_are_accepted() {
    let run = |archive: Builder| run(&archive.finish(), &NormalizeOptions::default()).unwrap_err().to_string();
    assert!(run(Builder::default()).contains("found nothing"));
    assert!(
        run(Builder::default().file("image/etc/x", b"").file("manifest.json", b""))
            .ends_with("found image, manifest.json")
    );
    assert!(run(Builder::default().file("etc", b"").symlink("usr", "x")).contains("not a root filesystem"));
}

#[test]
fn limits_hold() {
    let many = (0..100).fold(Builder::default(), |archive, number| archive.file(&format!("f{number}"), b"1234"));
    for (limits, expected) in [
        (Limits { max_entries: 99, ..Limits::default() }, "limit max_entries of 99"),
        (Limits { max_content: 399, ..Limits::default() }, "limit max_content of 399"),
        (Limits { max_metadata: 100, ..Limits::default() }, "limit max_metadata of 100"),
    ] {
        refused_with(many.clone(), &NormalizeOptions { limits, ..NormalizeOptions::default() }, expected);
    }
    let deep = Builder::default().pax(&[("path", &b"d/".repeat(200))]).directory("x");
    let limits = Limits { max_entries: 100, ..Limits::default() };
    refused_with(deep, &NormalizeOptions { limits, ..NormalizeOptions::default() }, "max_entries");
    refused(Builder::default().raw(Raw::new(b'0', "x").field(124, b"77777777777\0")), "malformed archive");
    let huge = Raw::new(b'0', "x").field(124, &[0x80, 0, 0, 0, 0x7f, 0, 0, 0, 0, 0, 0, 0]);
    refused(Builder::default().raw(huge), "max_content");
}

#[test]
fn manifests_round_trip_and_compare() {
    let base = || Builder::default().directory("d").symlink("l", "x\\\n").raw(Raw::new(b'6', "p"));
    let old = accepted(base().file("f", b"one").file("gone", b"").hard_link("h", "f"), &NormalizeOptions::default());
    let json = serde_json::to_string(&old).unwrap();
    assert_eq!(serde_json::from_str::<Manifest>(&json).unwrap(), old);
    assert!(serde_json::from_str::<Manifest>(&json.replacen("\"version\":1", "\"version\":2", 1)).is_err());

    let touched = Raw::new(b'5', "d").field(100, b"0000755\0").field(136, b"00000000145\0");
    let new = Builder::default()
        .raw(touched)
        .file("l", b"")
        .raw(Raw::new(b'6', "p").field(100, b"0000600\0").field(108, b"7\0"));
    let new = accepted(new.file("f", b"two").file("new", b""), &NormalizeOptions::default());
    let changes = Manifest::diff(&old, &new);
    let expected = r#"[{"path":"d","change":"modified","aspects":["mtime"]},{"path":"f","change":"modified","aspects":["content"]},{"path":"gone","change":"removed"},{"path":"h","change":"removed"},{"path":"l","change":"modified","aspects":["kind"]},{"path":"new","change":"added"},{"path":"p","change":"modified","aspects":["mode","owner"]}]"#;
    assert_eq!(serde_json::to_string(&changes).unwrap(), expected);
    assert_eq!(serde_json::from_str::<Vec<PathChange>>(expected).unwrap(), changes);
    assert_eq!(changes.iter().filter(|change| change.is_mtime_only()).count(), 1);
    assert_eq!(Manifest::diff(&new, &new), []);
}

/// Runs GNU tar; `false` where it is missing.
fn gnu_tar(arguments: &[&str]) -> bool {
    let version = Command::new("tar").arg("--version").output();
    if !version.is_ok_and(|output| output.stdout.starts_with(b"tar (GNU tar)")) {
        println!("SKIPPED: GNU tar is missing");
        return false;
    }
    let output = Command::new("tar").args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    true
}

type Seen = (u32, u32, u32, i64, u64, Vec<u8>, u64);

/// Everything of a tree that an archive can hold but extended attributes.
fn scan(root: &Path) -> BTreeMap<String, Seen> {
    let mut seen = BTreeMap::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(path) = open.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let content = if meta.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            Vec::new()
        } else if meta.is_symlink() {
            fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
        } else {
            fs::read(&path).unwrap()
        };
        let (links, size) = if meta.is_dir() { (0, 0) } else { (meta.nlink(), meta.len()) };
        let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        seen.insert(name, (meta.mode(), meta.uid(), meta.gid(), meta.mtime(), links, content, size));
    }
    seen
}

#[test]
fn gnu_tar_extracts_the_same_tree() {
    let work = tempfile::tempdir().unwrap();
    let (source, target) = (work.path().join("source"), work.path().join("target"));
    let long = "long-".repeat(40);
    fs::create_dir_all(source.join("etc").join(&long).join(&long)).unwrap();
    fs::create_dir(&target).unwrap();
    fs::write(source.join("etc/sudo"), [7; 70_000]).unwrap();
    fs::set_permissions(source.join("etc/sudo"), fs::Permissions::from_mode(0o4711)).unwrap();
    fs::write(source.join("etc").join(&long).join(&long).join("Főtanúsítvány \\x2d.crt"), "x").unwrap();
    fs::hard_link(source.join("etc/sudo"), source.join("etc").join(&long).join("sudoedit")).unwrap();
    symlink("/nowhere/../x", source.join("etc/dangling")).unwrap();
    symlink(format!("{long}/{long}"), source.join("lib")).unwrap();
    // Only root may give files away, and not every filesystem has extended attributes.
    let _ = std::os::unix::fs::chown(source.join("etc"), Some(3_000_000), Some(42));
    let has_xattr =
        Command::new("setfattr").args(["-n", "user.note", "-v", "a=b"]).arg(source.join("etc/sudo")).status();
    let has_xattr = has_xattr.is_ok_and(|status| status.success());
    let (input, output) = (work.path().join("in.tar"), work.path().join("out.tar"));
    let text = |path: &Path| path.to_str().unwrap().to_owned();

    for format in ["gnu", "pax", "posix"] {
        let format = format!("--format={format}");
        let mut arguments = vec!["--sort=name", "--numeric-owner"];
        if format != "--format=gnu" {
            arguments.extend(["--xattrs", "--xattrs-include=*"]);
        }
        let (from, to) = (text(&source), text(&input));
        arguments.extend([&format, "-C", &from, "-cf", &to, "."]);
        if !gnu_tar(&arguments) {
            return;
        }
        let manifest =
            normalize(archive::open(&input).unwrap(), fs::File::create(&output).unwrap(), &NormalizeOptions::default())
                .unwrap();
        assert_eq!(manifest.entries.len(), 9);
        fs::remove_dir_all(&target).unwrap();
        fs::create_dir(&target).unwrap();
        gnu_tar(&[
            "--numeric-owner",
            "--xattrs",
            "--xattrs-include=*",
            "-p",
            "-C",
            &text(&target),
            "-xf",
            &text(&output),
        ]);
        assert_eq!(scan(&source), scan(&target), "{format}");
        if has_xattr && format != "--format=gnu" {
            let value = Command::new("getfattr")
                .args(["--only-values", "-n", "user.note"])
                .arg(target.join("etc/sudo"))
                .output();
            assert_eq!(value.unwrap().stdout, b"a=b");
        }
    }
}

prop_compose! {
    fn name()(parts in prop::collection::vec("[a-c]{1,2}|[é\\\\ ]|x{120}", 1..4)) -> String { parts.join("/") }
}

/// Type, name, link target, content, mode and time.
type Drawn = (u8, String, String, Vec<u8>, u32, i64);

/// One arbitrary entry; many of them make a tree, or an archive that must be refused.
fn entry() -> impl Strategy<Value = Drawn> {
    let content = prop::collection::vec(any::<u8>(), 0..1500);
    (prop::sample::select(b"0000512636".to_vec()), name(), name(), content, 0..0o10_000_u32, any::<i64>())
}

fn archive((mut archive, entries): (Builder, Vec<Drawn>)) -> Vec<u8> {
    for (flag, name, target, content, mode, mtime) in entries {
        let mtime = mtime.to_string();
        let raw = Raw::new(flag, "short").field(100, format!("{mode:07o}\0").as_bytes());
        archive =
            archive.pax(&[("path", name.as_bytes()), ("linkpath", target.as_bytes()), ("mtime", mtime.as_bytes())]);
        archive = archive.raw(if flag == b'0' { raw.body(&content) } else { raw });
    }
    archive.finish()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn normalising_twice_changes_nothing(entries in prop::collection::vec(entry(), 0..12), clamp in any::<Option<i64>>()) {
        let options = NormalizeOptions { max_mtime: clamp, device: OnDevice::Drop, ..NormalizeOptions::default() };
        if let Ok((manifest, once)) = run(&archive((Builder::default().directory("etc"), entries)), &options) {
            prop_assert_eq!(run(&once, &options).unwrap(), (manifest, once));
        }
    }

    #[test]
    fn damage_is_an_error_or_harmless(entries in prop::collection::vec(entry(), 1..6), flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8_u8), 1..4)) {
        let mut bytes = archive((Builder::default().directory("etc"), entries));
        for (at, bit) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        // Content has no checksum in tar; what is still accepted must at least be a fixed point.
        if let Ok((manifest, once)) = run(&bytes, &NormalizeOptions::default()) {
            prop_assert_eq!(run(&once, &NormalizeOptions::default()).unwrap(), (manifest, once));
        }
    }

    #[test]
    fn noise_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
        prop_assert!(run(&bytes, &NormalizeOptions::default()).is_err());
    }
}

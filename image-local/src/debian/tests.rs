use std::future::pending;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::error::recognise;
use super::*;
use crate::sandbox::{Exit, Network, Privilege, Request, Sandbox, extract, remove_tree};

#[test]
fn an_unknown_suite_names_those_that_are_known() {
    let error = Suite::new("bokworm", "amd64").unwrap_err();
    assert!(matches!(error, DebianError::UnknownSuite { .. }));
    let text = error.to_string();
    assert!(text.contains("\"bokworm\"") && text.contains("bookworm, trixie") && text.contains("noble"), "{text}");
}

#[test]
fn sources_have_updates_and_security_updates() {
    let check = |name: &str, architecture: &str, expected: &[&str]| {
        let mut suite = Suite::new(name, architecture).unwrap();
        suite.mirrors = Mirrors::public(suite.distribution, architecture);
        assert_eq!(suite.lines(), expected, "{name}");
    };
    let debian = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://";
    check("sid", "amd64", &[&format!("{debian}deb.debian.org/debian sid main")]);
    check(
        "trixie",
        "arm64",
        &[
            &format!("{debian}deb.debian.org/debian trixie main"),
            &format!("{debian}deb.debian.org/debian trixie-updates main"),
            &format!("{debian}security.debian.org/debian-security trixie-security main"),
        ],
    );
    let ubuntu = "deb [signed-by=/usr/share/keyrings/ubuntu-archive-keyring.gpg] http://";
    check(
        "noble",
        "amd64",
        &[
            &format!("{ubuntu}archive.ubuntu.com/ubuntu noble main universe"),
            &format!("{ubuntu}archive.ubuntu.com/ubuntu noble-updates main universe"),
            &format!("{ubuntu}security.ubuntu.com/ubuntu noble-security main universe"),
        ],
    );
}

#[test]
fn values_cannot_become_options_or_lines() {
    let good = Suite::new("bookworm", "amd64").unwrap();
    let refused = |change: fn(&mut Suite)| {
        let mut suite = good.clone();
        change(&mut suite);
        let error = suite.check().unwrap_err();
        assert!(matches!(error, DebianError::Value { .. }), "{error}");
    };
    good.check().unwrap();
    refused(|suite| suite.packages.push("vim,emacs".into()));
    refused(|suite| suite.packages.push("--hook=x".into()));
    refused(|suite| suite.components.push("main\ndeb".into()));
    refused(|suite| suite.variant = "x y".into());
    refused(|suite| suite.architecture = String::new());
    refused(|suite| suite.mirrors.archive = "http://x [trusted=yes]".into());
    refused(|suite| suite.mirrors.security = "deb http://x".into());
    refused(|suite| suite.proxy = Some("proxy:3128".into()));
}

#[test]
fn bootable_systems_have_the_stub_where_it_is_a_package() {
    let packages =
        |name: &str, architecture: &str| bootable_packages(&Suite::new(name, architecture).unwrap()).join(" ");
    assert!(packages("bookworm", "arm64").starts_with("linux-image-cloud-arm64 systemd-boot-efi "));
    assert!(packages("bookworm", "riscv64").starts_with("linux-image-riscv64 "));
    assert!(packages("noble", "amd64").starts_with("linux-image-virtual systemd-boot-efi "));
    assert!(!packages("jammy", "amd64").contains("systemd-boot-efi"));
}

#[test]
fn reasons_are_recognised() {
    let recognise = |line: &str| {
        let log =
            ["I: running apt-get update...".to_owned(), line.to_owned(), "E: mmdebstrap failed to run".to_owned()];
        recognise("bookworm", "http://m.example", Path::new("/work"), &log).map(|error| error.to_string())
    };
    for (line, expected) in [
        (
            "E: Failed to fetch http://m.example/dists/x/InRelease  Could not connect to 127.0.0.1:9 (127.0.0.1). - \
             connect (111: Connection refused)",
            "mirror http://m.example of bookworm cannot be reached",
        ),
        ("  Could not resolve 'm.example'", "mirror http://m.example of bookworm cannot be reached"),
        ("  404  Not Found [IP: 192.0.2.1 80]", "mirror http://m.example does not have suite bookworm"),
        (
            "E: The repository 'http://m.example x Release' does not have a Release file.",
            "mirror http://m.example does",
        ),
        ("E: The repository 'http://m.example x InRelease' is not signed.", "suite bookworm cannot be verified"),
        ("E: Unable to locate package vmi", "suite bookworm has no package vmi"),
        ("tar: x: Wrote only 512 bytes: No space left on device", "no space is left in /work"),
        (
            "index is not the pinned one: m_InRelease",
            "the mirror of bookworm has moved since it was pinned: m_InRelease",
        ),
    ] {
        let text = recognise(line).unwrap_or_default();
        assert!(text.starts_with(expected), "{line}: {text}");
    }
    assert_eq!(recognise("E: something else"), None);
}

/// What can be read while and after it is written.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct Fixture {
    dir: tempfile::TempDir,
    suite: Suite,
    privilege: Privilege,
}

impl Fixture {
    /// The suite of this host, from its mirrors.
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut suite = Suite::new("bookworm", "amd64").unwrap();
        suite.epoch = 1_700_000_000;
        Self { dir, suite, privilege: Privilege::probe().await.unwrap() }
    }

    async fn bootstrap(&self, pinned: Option<&Pinned>) -> Result<Vec<u8>, DebianError> {
        let work = self.dir.path().join("bootstrap");
        let out = Shared::default();
        let mut on_line = |line: &str| println!("{line}");
        let out = bootstrap(&self.suite, pinned, self.privilege, &work, out, &mut on_line, pending()).await;
        assert_eq!(std::fs::read_dir(&work).map_or(0, Iterator::count), 0, "the work directory is not empty");
        out.map(|out| std::mem::take(&mut *out.0.lock().unwrap()))
    }
}

#[tokio::test]
#[ignore = "needs a mirror of Debian, and minutes; `cargo xtask ci --full` runs it"]
async fn a_pinned_suite_becomes_a_root_filesystem_that_installs_packages() {
    let fixture = Fixture::new().await;
    let pinned = pin(&fixture.suite).await.unwrap();
    assert_eq!(pinned.releases.len(), 3);
    let tar = fixture.bootstrap(Some(&pinned)).await.unwrap();
    assert!(fixture.bootstrap(Some(&pinned)).await.unwrap() == tar, "the tar is not reproducible");

    let (rootfs, work) = (fixture.dir.path().join("rootfs"), fixture.dir.path().join("work"));
    std::fs::create_dir(&rootfs).unwrap();
    extract(fixture.privilege, std::io::Cursor::new(tar), &rootfs).await.unwrap();
    for file in ["etc/resolv.conf", "etc/hostname", "usr/sbin/policy-rc.d"] {
        assert!(rootfs.join(file).symlink_metadata().is_err(), "{file}");
    }
    let sandbox = Sandbox::new(&rootfs, &work, Network::Host, fixture.privilege).unwrap();
    let script = "#!/bin/bash\nset -eux\nexport DEBIAN_FRONTEND=noninteractive\napt-get update\n\
                  apt-get install -y --no-install-recommends cron openssh-server sudo\n\
                  chown 33:7 /srv\nstat -c '%u:%g' /srv /usr/bin/sudo\nsudo -u nobody id\n! grep -x -e cron -e sshd /proc/[0-9]*/comm\n";
    let on_output = &mut |_, bytes: &[u8]| print!("{}", String::from_utf8_lossy(bytes));
    let finished = sandbox.run(Request::script(script), on_output, pending()).await.unwrap();
    assert_eq!(finished.exit, Exit::Code(0));
    let stdout = String::from_utf8_lossy(&finished.stdout).into_owned();
    assert!(stdout.contains("33:7\n0:0\nuid=65534"), "{stdout}");
    for file in ["etc/resolv.conf", "usr/sbin/policy-rc.d"] {
        assert!(rootfs.join(file).symlink_metadata().is_err(), "{file}");
    }
    remove_tree(fixture.privilege, &rootfs).await.unwrap();
    remove_tree(fixture.privilege, &work).await.unwrap();
}

#[tokio::test]
#[ignore = "needs a mirror of Debian, and a minute; `cargo xtask ci --full` runs it"]
async fn failures_have_their_reason_and_leave_nothing() {
    let mut fixture = Fixture::new().await;
    let good = fixture.suite.clone();
    let mut pinned = pin(&good).await.unwrap();
    for release in &mut pinned.releases {
        release.sha256 = "0".repeat(64);
    }
    let error = fixture.bootstrap(Some(&pinned)).await.unwrap_err();
    assert!(matches!(error, DebianError::MirrorMoved { .. }), "{error}");

    fixture.suite.packages = vec!["no-such-package".into()];
    let error = fixture.bootstrap(None).await.unwrap_err();
    assert!(matches!(&error, DebianError::UnknownPackage { package, .. } if package == "no-such-package"), "{error}");

    fixture.suite = good.clone();
    fixture.suite.mirrors.archive = "http://127.0.0.1:9/debian".into();
    let error = fixture.bootstrap(None).await.unwrap_err();
    assert!(matches!(error, DebianError::MirrorUnreachable { .. }), "{error}");
    let error = pin(&fixture.suite).await.unwrap_err();
    assert!(matches!(error, DebianError::MirrorUnreachable { .. }), "{error}");

    fixture.suite.mirrors.archive = format!("{}/nothing", good.mirrors.archive);
    let error = fixture.bootstrap(None).await.unwrap_err();
    assert!(matches!(error, DebianError::NotOnMirror { .. }), "{error}");
    let error = pin(&fixture.suite).await.unwrap_err();
    assert!(matches!(error, DebianError::NotOnMirror { .. }), "{error}");
}

#[tokio::test]
#[ignore = "needs a mirror of Debian; `cargo xtask ci --full` runs it"]
async fn cancelling_leaves_nothing() {
    let fixture = Fixture::new().await;
    let (started, wait) = tokio::sync::oneshot::channel();
    let mut started = Some(started);
    let mut on_line = |line: &str| {
        if line.contains("downloading packages") {
            started.take().unwrap().send(()).unwrap();
        }
    };
    let cancel = async { wait.await.unwrap() };
    let work = fixture.dir.path().join("work");
    let error = bootstrap(&fixture.suite, None, fixture.privilege, &work, Vec::new(), &mut on_line, cancel).await;
    assert!(matches!(error, Err(DebianError::Cancelled { .. })), "{error:?}");
    let token = fixture.dir.path().to_str().unwrap();
    assert!(crate::process::find(token).unwrap().is_empty());
    assert!(!std::fs::read_to_string("/proc/self/mountinfo").unwrap().contains(token));
    assert_eq!(std::fs::read_dir(&work).unwrap().count(), 0);
}

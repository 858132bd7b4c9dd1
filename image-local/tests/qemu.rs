//! Guests that really boot. Skipped loudly without QEMU, firmware, or what the fixture is made of.

#![expect(clippy::print_stderr, clippy::unwrap_used, reason = "helpers of tests, and a skipped test says so")]

#[path = "support/disk.rs"]
mod disk;
mod support;

use std::path::{Path, PathBuf};
use std::time::Duration;

use image_local::process;
use image_local::qemu::{
    Accelerator, Architecture, Boot, BootFailure, BootSpec, Finished, Firmware, Guest, QemuError, Request, agent, start,
};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

/// More than the slowest boot under translation on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// The hypervisors of a test, with its files.
struct Machine {
    directory: tempfile::TempDir,
    fixture: &'static Path,
    disk: PathBuf,
}

impl Machine {
    fn new(agent: Option<&[u8]>) -> Option<Self> {
        let fixture = support::fixture()?;
        let missing = std::process::Command::new("qemu-system-x86_64").arg("--version").output().is_err();
        if missing {
            eprintln!("SKIPPED: qemu-system-x86_64 is missing");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let disk = disk::build(fixture, directory.path(), agent)?;
        Some(Self { directory, fixture, disk })
    }

    fn spec(&self, boot: Boot) -> BootSpec {
        let work = tempfile::tempdir_in(self.directory.path()).unwrap().keep();
        let mut spec = BootSpec::new(disk::overlay(&self.disk, &work), boot, work, Accelerator::Tcg);
        spec.memory = 512;
        spec
    }

    fn kernel(&self, parameters: &str) -> Boot {
        Boot::Kernel {
            kernel: self.fixture.join("vmlinuz"),
            initrd: self.fixture.join("initrd.img"),
            parameters: parameters.to_owned(),
        }
    }

    /// A guest that is ready, booted without firmware.
    async fn boot(&self) -> Guest {
        let spec = self.spec(self.kernel(&format!("root=PARTUUID={}", disk::ROOT)));
        let guest = start(&spec, |_| {}).await.unwrap();
        ready(&guest).await;
        guest
    }
}

/// A machine, or the end of the test.
macro_rules! machine {
    () => {
        match Machine::new(None) {
            Some(machine) => machine,
            None => return,
        }
    };
}

async fn ready(guest: &Guest) {
    guest.ready(Instant::now() + PATIENCE).await.unwrap_or_else(|error| panic!("{error}"));
}

async fn sh(guest: &Guest, script: &str) -> Finished {
    guest.run(&Request::new(script)).await.unwrap()
}

async fn output(guest: &Guest, script: &str) -> String {
    let finished = sh(guest, script).await;
    assert_eq!(finished.exit, 0, "{script}: {}", String::from_utf8_lossy(&finished.stderr));
    assert!(!finished.truncated, "{script}");
    String::from_utf8(finished.stdout).unwrap().trim().to_owned()
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn firmware_boots_the_disk_and_reboots_it() {
    let Ok(firmware) = Firmware::find(Architecture::X86_64) else {
        eprintln!("SKIPPED: no UEFI firmware");
        return;
    };
    let agent = agent::initrd(&agent::find_busybox().unwrap(), 512).unwrap();
    let Some(machine) = Machine::new(Some(&agent)) else { return };
    let mut spec = machine.spec(Boot::Firmware(firmware.clone()));
    spec.accelerator = Accelerator::detect(Architecture::X86_64, &firmware).await;
    let guest = start(&spec, |_| {}).await.unwrap();
    ready(&guest).await;
    assert_eq!(output(&guest, "[ -d /sys/firmware/efi ] && cat /proc/1/comm").await, "init");

    let boot = output(&guest, "cat /proc/sys/kernel/random/boot_id; echo kept >/root/file; sync").await;
    guest.reboot(Instant::now() + PATIENCE).await.unwrap();
    assert_ne!(output(&guest, "cat /proc/sys/kernel/random/boot_id").await, boot);
    assert_eq!(output(&guest, "cat /root/file").await, "kept");
    guest.shutdown(Instant::now() + PATIENCE).await.unwrap();
    assert!(process::find(&spec.token).unwrap().is_empty());
}

#[tokio::test]
async fn commands_run_in_the_image_with_a_clean_environment() {
    let machine = machine!();
    let guest = machine.boot().await;

    for exit in [0, 1, 7, 255] {
        assert_eq!(sh(&guest, &format!("exit {exit}")).await.exit, exit);
    }
    assert_eq!(sh(&guest, "kill -9 $$").await.exit, 137);
    let both = sh(&guest, "#!/bin/sh\necho out; echo err >&2").await;
    assert_eq!((both.stdout.as_slice(), both.stderr.as_slice()), (b"out\n".as_slice(), b"err\n".as_slice()));

    let mut request = Request::new("env | sort; pwd; umask; id; ls /proc/self/fd; grep SigIgn /proc/self/status; cat");
    request.env.push(("GREETING".into(), "it's\n$HOME".into()));
    request.secrets.push(("TOKEN".into(), "hunter2".into()));
    request.cwd = Some("/tmp".into());
    request.stdin = b"input\n".to_vec();
    let finished = guest.run(&request).await.unwrap();
    let expected = "$HOME\nGREETING=it's\nHOME=/root\nLOGNAME=root\n\
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nPWD=/tmp\nSHLVL=1\nTOKEN=hunter2\nUSER=root\n\
        /tmp\n0022\nuid=0(root) gid=0(root)\n0\n1\n2\n3\nSigIgn:\t0000000000000000\ninput\n";
    assert_eq!(String::from_utf8(finished.stdout).unwrap(), expected);
    assert!(!output(&guest, "cat /proc/cmdline").await.contains("hunter2"));

    request = Request::new("id; echo $HOME $USER; echo late >/dev/stdout; cat /dev/stdin; exit 3");
    request.user = Some("user".into());
    request.stdin = b"mine\n".to_vec();
    let finished = guest.run(&request).await.unwrap();
    assert_eq!(finished.exit, 3, "{finished:?}");
    let expected = "uid=1000(user) gid=1000(user) groups=1000(user),1001(extra)\n/home/user user\nlate\nmine\n";
    assert_eq!(String::from_utf8(finished.stdout).unwrap(), expected);
    request.cwd = Some("/nowhere".into());
    assert_eq!(guest.run(&request).await.unwrap().exit, 126);

    // Nothing of the agent can be seen from the image.
    assert_eq!(output(&guest, "grep -c agent /proc/mounts || true; ls -d /agent* 2>/dev/null || true").await, "0");
    assert_eq!(output(&guest, "find / -xdev -newer /proc/1 -type f ! -path '/etc/*' ! -path '/proc/*'").await, "");
}

#[tokio::test]
async fn output_is_whole_or_marked_and_never_fills_the_guest() {
    let machine = machine!();
    let guest = machine.boot().await;

    let mut request =
        Request::new("dd if=/dev/urandom of=/tmp/20 bs=1M count=20 2>/dev/null; cat /tmp/20; sha256sum </tmp/20 >&2");
    request.limit = 32 * 1024 * 1024;
    let finished = guest.run(&request).await.unwrap();
    assert_eq!(finished.stdout.len(), 20 * 1024 * 1024);
    assert!(String::from_utf8_lossy(&finished.stderr).starts_with(&digest(&finished.stdout)));
    assert!(!finished.truncated);

    let mut request = Request::new("dd if=/dev/zero bs=1M count=1024 2>/dev/null; echo done >&2; exit 5");
    request.limit = 1_000_001;
    let finished = guest.run(&request).await.unwrap();
    assert_eq!(
        (finished.exit, finished.stdout.len(), finished.stderr.as_slice()),
        (5, 1_000_001, b"done\n".as_slice())
    );
    assert!(finished.truncated);

    // At the limit nothing is missing, one byte later something is.
    for (length, truncated) in [(511, false), (512, false), (513, true), (1024, true), (1025, true)] {
        let mut request = Request::new(format!("dd if=/dev/zero bs={length} count=1 2>/dev/null"));
        request.limit = 512;
        let finished = guest.run(&request).await.unwrap();
        assert_eq!((finished.stdout.len(), finished.truncated), (length.min(512), truncated), "{length}");
    }

    // What is left running does not hold the result back, and what was written is there.
    let finished = sh(&guest, "sleep 1000 & echo started; echo $! >/tmp/pid").await;
    assert_eq!((finished.exit, finished.stdout.as_slice(), finished.truncated), (0, b"started\n".as_slice(), true));
    assert_eq!(sh(&guest, "kill $(cat /tmp/pid)").await.exit, 0);
}

#[tokio::test]
async fn commands_that_outlive_their_time_or_caller_are_killed() {
    let machine = machine!();
    let guest = machine.boot().await;

    let mut request = Request::new("echo begun; (trap '' TERM INT HUP; sleep 987) & sleep 987");
    request.timeout = Duration::from_secs(3);
    match guest.run(&request).await {
        Err(QemuError::TimedOut { output, .. }) => assert_eq!(output.stdout, b"begun\n"),
        other => panic!("{other:?}"),
    }
    assert_eq!(output(&guest, SLEEPING).await, "");

    // The caller leaves once the command has shown on the console that it runs.
    request.timeout = PATIENCE;
    request.script = "echo begun >/dev/console; sleep 987".into();
    tokio::select! {
        finished = guest.run(&request) => panic!("{finished:?}"),
        () = until(|| guest.console().contains("begun")) => {}
    }
    assert_eq!(output(&guest, SLEEPING).await, "");
    // A future that is dropped before its turn never runs.
    let (slow, other) = (Request::new("sleep 1"), Request::new("touch /tmp/never"));
    let waiting = guest.run(&other);
    tokio::select! {
        biased;
        done = guest.run(&slow) => assert_eq!(done.unwrap().exit, 0),
        never = waiting => panic!("{never:?}"),
    }
    assert_eq!(sh(&guest, "[ -e /tmp/never ]").await.exit, 1);
}

/// Names every `sleep` that runs. One that is dead and not yet collected by the image's init does not.
const SLEEPING: &str = r"grep -l '^[0-9]* (sleep) [^ZX]' /proc/[0-9]*/stat 2>/dev/null; true";

async fn until(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "nothing happened within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn files_arrive_whole() {
    let machine = machine!();
    let guest = machine.boot().await;
    let seed: Vec<u8> = (0..=255).collect();
    for size in [0, 5, 4 * 1024 * 1024, 20 * 1024 * 1024 + 3] {
        let contents: Vec<u8> = seed.iter().cycle().take(size).copied().collect();
        let size = size as u64;
        let path = "/home/user/it's $a file";
        assert_eq!(guest.upload(&mut contents.as_slice(), path, 0o640, Some("user:extra")).await.unwrap(), size);
        let stat = output(&guest, "stat -c '%a %U %G %s' /home/user/*; cat /home/user/it* | sha256sum").await;
        assert_eq!(stat, format!("640 user extra {size}\n{}  -", digest(&contents)));
        let mut back = Vec::new();
        assert_eq!(guest.download(path, &mut back).await.unwrap(), size);
        assert_eq!(digest(&back), digest(&contents));
    }
    for path in ["/nowhere/file", "/tmp"] {
        let error = guest.upload(&mut b"x".as_slice(), path, 0o600, None).await.unwrap_err();
        assert!(matches!(error, QemuError::Transfer { operation: "upload", .. }), "{error}");
        let error = guest.download(path, &mut Vec::new()).await.unwrap_err();
        assert!(matches!(error, QemuError::Transfer { operation: "download", .. }), "{error}");
    }
    for path in ["relative", "/tmp/", "/tmp/.."] {
        let error = guest.upload(&mut b"x".as_slice(), path, 0o600, None).await.unwrap_err();
        assert!(matches!(error, QemuError::InvalidRequest { field: "destination", .. }), "{error}");
    }
    let error = guest.upload(&mut b"x".as_slice(), "/tmp/x", 0o600, Some("nobody-here")).await.unwrap_err();
    assert!(matches!(error, QemuError::Transfer { .. }), "{error}");
    assert_eq!(output(&guest, "ls -A /tmp").await, "");
}

#[tokio::test]
async fn a_guest_lost_during_a_command_is_told_from_a_result() {
    let machine = machine!();
    let long = Request::new("echo begun >/dev/console; sleep 987");
    let lost = |result: Result<Finished, QemuError>| match result {
        Err(QemuError::Lost { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };

    let off = Request::new("poweroff; sleep 987");
    let reset = Request::new("echo b >/proc/sysrq-trigger; sleep 987");
    let panic = Request::new("echo c >/proc/sysrq-trigger; sleep 987");
    let (one, two) = tokio::join!(machine.boot(), machine.boot());

    // One reboots without being asked, and can be used again; then it powers off.
    let reason = lost(one.run(&reset).await);
    assert!(reason.contains("rebooted"), "{reason}");
    assert!(matches!(one.run(&off).await, Err(QemuError::NotYetReady)));
    ready(&one).await;
    let reason = lost(one.run(&off).await);
    assert!(reason.contains("QEMU ended with exit status: 0"), "{reason}");
    assert!(matches!(one.run(&long).await, Err(QemuError::ChannelBroken { .. })));
    assert!(matches!(one.ready(Instant::now() + PATIENCE).await, Err(QemuError::ChannelBroken { .. })));

    // The other panics.
    let reason = lost(two.run(&panic).await);
    assert!(reason.contains("panicked"), "{reason}");
    assert!(two.console().contains("sysrq triggered crash"), "{}", two.console());
    two.kill().await;
}

#[tokio::test]
async fn a_killed_hypervisor_is_reported_at_once() {
    let machine = machine!();
    let spec = machine.spec(machine.kernel(&format!("root=PARTUUID={}", disk::ROOT)));
    let guest = start(&spec, |_| {}).await.unwrap();
    ready(&guest).await;
    let long = Request::new("echo begun >/dev/console; sleep 987");
    let (result, killed) = tokio::join!(guest.run(&long), async {
        until(|| guest.console().contains("begun")).await;
        process::kill_all(&spec.token, PATIENCE).await.unwrap()
    });
    assert_eq!(killed, 1);
    match result {
        Err(QemuError::Lost { reason, .. }) => assert!(reason.contains("signal: 9"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_boot_that_fails_ends_the_wait() {
    let machine = machine!();
    let failure = async |boot: Boot| {
        let guest = start(&machine.spec(boot), |_| {}).await.unwrap();
        match guest.ready(Instant::now() + PATIENCE).await {
            Err(error @ QemuError::BootFailed { .. }) => error,
            other => panic!("{other:?}"),
        }
    };
    let error = failure(machine.kernel("root=PARTUUID=00000000-0000-0000-0000-000000000000")).await;
    assert!(matches!(error, QemuError::BootFailed { reason: BootFailure::KernelPanic, .. }), "{error}");
    assert!(error.to_string().contains("Attempted to kill init"), "{error}");

    // An initrd without /init: any archive will do.
    let empty = machine.directory.path().join("empty.img");
    std::fs::write(&empty, image_local::qemu::cpio::Archive::new().finish()).unwrap();
    let boot = Boot::Kernel { kernel: machine.fixture.join("vmlinuz"), initrd: empty, parameters: String::new() };
    let error = failure(boot).await;
    assert!(error.to_string().contains("the initrd has no executable /init"), "{error}");

    // A disk that no firmware can start.
    let Ok(firmware) = Firmware::find(Architecture::X86_64) else { return };
    let blank = machine.directory.path().join("blank.raw");
    std::fs::File::create(&blank).unwrap().set_len(16 * 1024 * 1024).unwrap();
    let mut spec = machine.spec(Boot::Firmware(firmware));
    spec.disk = disk::overlay(&blank, &spec.work);
    let guest = start(&spec, |_| {}).await.unwrap();
    let error = guest.ready(Instant::now() + PATIENCE).await.unwrap_err();
    assert!(matches!(error, QemuError::BootFailed { reason: BootFailure::NothingToBoot, .. }), "{error}");
}

#[tokio::test]
async fn a_hypervisor_that_is_missing_or_refuses_says_why() {
    let machine = machine!();
    let mut spec = machine.spec(machine.kernel(""));
    spec.qemu = Some("qemu-system-nowhere".into());
    let guest = start(&spec, |_| {}).await.unwrap();
    let error = guest.ready(Instant::now() + PATIENCE).await.unwrap_err();
    assert!(matches!(error, QemuError::Tool { package: "qemu-system-x86", .. }), "{error}");

    let mut spec = machine.spec(machine.kernel(""));
    spec.disk = machine.disk.clone();
    let guest = start(&spec, |_| {}).await.unwrap();
    let error = guest.ready(Instant::now() + PATIENCE).await.unwrap_err();
    assert!(error.to_string().contains("not in qcow2 format"), "{error}");
    assert!(matches!(error, QemuError::Exited { .. }), "{error}");
}

#[tokio::test]
#[ignore = "the process in `nothing_survives_a_killed_process`, which starts it"]
async fn process_that_is_killed() {
    let Some(token) = std::env::var_os("QEMU_TEST_TOKEN") else { return };
    let machine = machine!();
    let mut spec = machine.spec(machine.kernel(&format!("root=PARTUUID={}", disk::ROOT)));
    spec.token = token.into_string().unwrap();
    let guest = start(&spec, |_| {}).await.unwrap();
    ready(&guest).await;
    guest.run(&Request::new("sleep 987")).await.unwrap();
}

#[tokio::test]
async fn nothing_survives_a_killed_process() {
    let machine = machine!();
    let token = format!("golden-image-test-{}", uuid::Uuid::new_v4());
    let mut parent = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "process_that_is_killed", "--ignored"])
        .env("QEMU_TEST_TOKEN", &token)
        .env("TMPDIR", machine.directory.path())
        .stdout(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    until(|| !process::find(&token).unwrap().is_empty()).await;
    parent.kill().await.unwrap();
    until(|| process::find(&token).unwrap().is_empty()).await;
}

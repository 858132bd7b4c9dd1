use std::future::pending;
use std::io::Cursor;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::time::Duration;

use super::*;
use crate::process;

const BUSYBOX: &str = "/bin/busybox";
const APPLETS: &str = "sh cat ls id env head hostname mkdir chmod chown mv rm sleep stat test touch tail yes \
                       mount umount mknod pwd sha256sum wc setsid printf ip grep";

/// A root filesystem of busybox alone, and a directory to work in.
struct Fixture {
    dir: tempfile::TempDir,
    privilege: Privilege,
}

impl Fixture {
    async fn new() -> Option<Self> {
        if !Path::new(BUSYBOX).exists() {
            eprintln!("SKIPPED: no {BUSYBOX} (package busybox-static)");
            return None;
        }
        let privilege = match Privilege::probe().await {
            Ok(privilege) => privilege,
            Err(error) => {
                eprintln!("SKIPPED: {error}");
                return None;
            }
        };
        let dir = tempfile::tempdir().unwrap();
        let fixture = Self { dir, privilege };
        let root = fixture.rootfs();
        for name in ["bin", "etc", "usr/sbin", "root"] {
            std::fs::create_dir_all(root.join(name)).unwrap();
        }
        std::fs::copy(BUSYBOX, root.join("bin/busybox")).unwrap();
        for applet in APPLETS.split_whitespace() {
            symlink("busybox", root.join("bin").join(applet)).unwrap();
        }
        std::fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n")
            .unwrap();
        std::fs::write(root.join("etc/group"), "root:x:0:\napp:x:1000:\nadm:x:4:app\n").unwrap();
        Some(fixture)
    }

    fn rootfs(&self) -> PathBuf {
        self.dir.path().join("rootfs")
    }

    fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    fn sandbox(&self, network: Network) -> Sandbox {
        Sandbox::new(&self.rootfs(), &self.work(), network, self.privilege).unwrap()
    }

    /// Every path of the root filesystem.
    fn listing(&self) -> Vec<PathBuf> {
        fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
                found.push(entry.path());
                if entry.file_type().unwrap().is_dir() {
                    walk(&entry.path(), found);
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.rootfs(), &mut found);
        found.sort();
        found
    }

    /// The command line of process 1 of a sandbox shows the path.
    fn processes(&self) -> Vec<u32> {
        process::find(self.dir.path().to_str().unwrap()).unwrap()
    }

    async fn close(self) {
        assert!(self.processes().is_empty(), "processes are left");
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(self.dir.path().to_str().unwrap()), "mounts are left: {mounts}");
        remove_tree(self.privilege, &self.rootfs()).await.unwrap();
        remove_tree(self.privilege, &self.work()).await.unwrap();
        self.dir.close().unwrap();
    }
}

/// Tells once.
fn tell(started: &mut Option<tokio::sync::oneshot::Sender<()>>) {
    if let Some(started) = started.take() {
        started.send(()).unwrap();
    }
}

async fn run(sandbox: &Sandbox, request: Request) -> Finished {
    sandbox.run(request, &mut |_, _| {}, pending()).await.unwrap()
}

async fn sh(sandbox: &Sandbox, script: &str) -> String {
    let finished = run(sandbox, Request::script(script)).await;
    let stderr = String::from_utf8_lossy(&finished.stderr).into_owned();
    assert_eq!(finished.exit, Exit::Code(0), "{script}: {stderr}");
    String::from_utf8(finished.stdout).unwrap() + &stderr
}

#[tokio::test]
async fn exits_are_values() {
    let Some(fixture) = Fixture::new().await else { return };
    let sandbox = fixture.sandbox(Network::None);
    for (script, exit) in [
        ("exit 0", Exit::Code(0)),
        ("exit 7", Exit::Code(7)),
        ("exit 137", Exit::Code(137)),
        ("kill -9 $$", Exit::Signal(9)),
        ("kill -TERM $$", Exit::Signal(15)),
        ("#!/bin/no/such/interpreter\n", Exit::Code(127)),
        ("#!/bin/cat\n", Exit::Code(0)),
    ] {
        assert_eq!(run(&sandbox, Request::script(script)).await.exit, exit, "{script}");
    }
    assert_eq!(run(&sandbox, Request::argv(["no-such-program"])).await.exit, Exit::Code(127));
    let finished = run(&sandbox, Request::argv(["printf", "%s|", "a b", "$x", "--"])).await;
    assert_eq!(finished.stdout, b"a b|$x|--|");
    drop(sandbox);
    fixture.close().await;
}

#[tokio::test]
async fn the_environment_is_clean() {
    let Some(fixture) = Fixture::new().await else { return };
    let sandbox = fixture.sandbox(Network::None);
    let names = |text: &str| {
        let mut names: Vec<_> = text.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
        names.sort_unstable();
        names.join(" ")
    };
    let stdout = run(&sandbox, Request::argv(["env"])).await.stdout;
    let text = String::from_utf8(stdout).unwrap();
    assert!(text.contains("HOME=/root\n") && text.contains("LANG=C.UTF-8\n"), "{text}");
    assert_eq!(names(&text), "HOME LANG PATH PWD TERM");

    let mut request = Request::argv(["env"]);
    request.env =
        [("SECRET", "a\nb"), ("LD_PRELOAD", "/x.so"), ("HOME", "/h")].map(|(k, v)| (k.into(), v.into())).into();
    request.cwd = "/usr/sbin".into();
    let finished = run(&sandbox, request).await;
    let text = String::from_utf8(finished.stdout).unwrap();
    for expected in ["SECRET=a\nb\n", "LD_PRELOAD=/x.so\n", "HOME=/h\n", "PWD=/usr/sbin\n"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert_eq!(finished.stderr, b"");
    drop(sandbox);
    fixture.close().await;
}

#[tokio::test]
async fn a_large_script_runs_beside_its_input() {
    let Some(fixture) = Fixture::new().await else { return };
    let sandbox = fixture.sandbox(Network::None);
    let mut content = b"cat\n".to_vec();
    content.extend(b"# a line of a long script\n".repeat(160_000));
    content.extend(b"echo end $1; test -O $0");
    let mut request = Request::new(Program::Script { content, arguments: vec!["x y".into()] });
    request.stdin = Input::Bytes(b"input ".to_vec());
    request.user = Some("app".into());
    let finished = run(&sandbox, request).await;
    assert_eq!((finished.exit, finished.stdout.as_slice()), (Exit::Code(0), &b"input end x y\n"[..]));
    drop(sandbox);
    fixture.close().await;
}

#[tokio::test]
async fn users_are_those_of_the_root_filesystem() {
    let Some(fixture) = Fixture::new().await else { return };
    let sandbox = fixture.sandbox(Network::None);
    for (user, expected) in [
        (None, "0:0:0:/root"),
        (Some("app"), "1000:1000:1000 4:/home/app"),
        (Some("1000"), "1000:1000:1000 4:/home/app"),
        (Some("4242"), "4242:4242:4242:/"),
    ] {
        let mut request = Request::script("echo $(id -u):$(id -g):$(id -G):$HOME");
        request.user = user.map(str::to_owned);
        let finished = run(&sandbox, request).await;
        assert_eq!(String::from_utf8(finished.stdout).unwrap().trim(), expected);
    }
    let mut request = Request::argv(["id"]);
    request.user = Some("nobody".into());
    let error = sandbox.run(request, &mut |_, _| {}, pending()).await.unwrap_err();
    assert!(matches!(error, SandboxError::UnknownUser { .. }), "{error}");
    drop(sandbox);
    fixture.close().await;
}

#[tokio::test]
async fn the_host_is_out_of_reach() {
    let Some(fixture) = Fixture::new().await else { return };
    let sandbox = fixture.sandbox(Network::None);
    assert_eq!(
        sh(&sandbox, "hostname; umask; ls /sys/class/net 2>/dev/null | grep -v lo; pwd").await,
        "build\n0022\n/\n"
    );
    for forbidden in [
        "mount -t tmpfs x /tmp",
        "umount -l /",
        "umount -l /proc/sys",
        "ls /proc/1/root/",
        "mknod /tmp/disk b 254 0",
        "echo 1 >/proc/sys/vm/drop_caches",
        "echo b >/proc/sysrq-trigger",
        "mkdir /sys/x",
        "hostname other",
        "cat /dev/tty",
        "chmod 0 /proc/1/environ",
    ] {
        let finished = run(&sandbox, Request::script(forbidden)).await;
        assert_ne!(finished.exit, Exit::Code(0), "{forbidden}");
    }
    // The way out of a mere chroot.
    let outside = fixture.dir.path().display();
    sh(&sandbox, &format!("mkdir /tmp/in; busybox chroot /tmp/in true; cd /; cd ..; [ ! -e {outside}/rootfs ]")).await;
    sh(&sandbox, "echo x >/dev/null; head -c 3 /dev/urandom | wc -c; touch /dev/shm/x; ls /dev/fd/0 /dev/pts/ptmx")
        .await;
    let visible = sh(&sandbox, "cd /proc; for p in [0-9]*; do echo $p; done").await;
    assert!(visible.lines().count() <= 5, "{visible}");
    drop(sandbox);
    fixture.close().await;
}

#[tokio::test]
async fn the_root_filesystem_keeps_nothing_of_ours() {
    let Some(fixture) = Fixture::new().await else { return };
    let before = fixture.listing();
    let sandbox = fixture.sandbox(Network::Host);
    let resolver = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    assert_eq!(sh(&sandbox, "cat /etc/resolv.conf").await, resolver);
    sh(&sandbox, "/usr/sbin/policy-rc.d ssh start; [ $? = 101 ] && echo kept >/tmp/a && echo kept >/run/b").await;
    assert_eq!(sh(&sandbox, "cat /tmp/a /run/b").await, "kept\nkept\n");
    assert_eq!(fixture.listing(), before);

    // As a process that was killed leaves it.
    symlink("/run/build/resolv.conf", fixture.rootfs().join("etc/resolv.conf")).unwrap();
    assert_eq!(sh(&sandbox, "cat /etc/resolv.conf").await, resolver);
    assert_eq!(fixture.listing(), before);

    // As systemd-resolved leaves it, and as an image with a file of its own has it.
    let path = fixture.rootfs().join("etc/resolv.conf");
    symlink("../run/systemd/resolve/stub-resolv.conf", &path).unwrap();
    assert_eq!(sh(&sandbox, "cat /etc/resolv.conf").await, resolver);
    assert_eq!(std::fs::read_link(&path).unwrap(), Path::new("../run/systemd/resolve/stub-resolv.conf"));
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "own").unwrap();
    assert_eq!(sh(&sandbox, "cat /etc/resolv.conf").await, resolver);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "own");

    // A file that a package puts in place of ours stays.
    std::fs::remove_file(&path).unwrap();
    sh(&sandbox, "rm /etc/resolv.conf; echo package >/etc/resolv.conf").await;
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "package\n");
    drop(sandbox);
    fixture.close().await;
}

#[tokio::test]
async fn a_link_below_run_cannot_write_to_the_host() {
    let Some(fixture) = Fixture::new().await else { return };
    let sandbox = fixture.sandbox(Network::Host);
    let victim = fixture.dir.path().join("victim");
    std::fs::create_dir(&victim).unwrap();
    sh(&sandbox, &format!("rm -rf /run/build; ln() {{ busybox ln \"$@\"; }}; ln -s {} /run/build", victim.display()))
        .await;
    let error = sandbox.run(Request::argv(["id"]), &mut |_, _| {}, pending()).await.unwrap_err();
    assert!(matches!(error, SandboxError::MountPoint { .. }), "{error}");
    assert_eq!(std::fs::read_dir(&victim).unwrap().count(), 0);
    drop(sandbox);
    fixture.close().await;
}

#[tokio::test]
async fn output_beyond_the_limit_is_drained() {
    let Some(fixture) = Fixture::new().await else { return };
    let sandbox = fixture.sandbox(Network::None);
    let mut request = Request::script("yes | head -c 67108864; echo problem >&2; exit 3");
    request.output = Output::Limit(1000);
    let mut seen = 0;
    let finished = sandbox
        .run(request, &mut |stream, bytes| seen += if stream == Stream::Stdout { bytes.len() } else { 0 }, pending())
        .await
        .unwrap();
    assert_eq!((finished.exit, finished.stdout.len(), seen), (Exit::Code(3), 1000, 64 << 20));
    assert_eq!((finished.stderr.as_slice(), finished.truncated), (&b"problem\n"[..], true));

    let mut request = Request::script("head -c 1000 /dev/zero");
    request.output = Output::Limit(1000);
    assert!(!run(&sandbox, request).await.truncated);

    let mut request = Request::script("echo out; echo err >&2");
    request.output = Output::File(fixture.dir.path().join("out"));
    assert_eq!(run(&sandbox, request).await.stderr, b"err\n");
    assert_eq!(std::fs::read(fixture.dir.path().join("out")).unwrap(), b"out\n");
    drop(sandbox);
    fixture.close().await;
}

#[tokio::test]
async fn a_daemon_does_not_hold_the_call() {
    let Some(fixture) = Fixture::new().await else { return };
    let sandbox = fixture.sandbox(Network::None);
    assert_eq!(sh(&sandbox, "setsid sleep 1000 & echo started").await, "started\n");
    drop(sandbox);
    fixture.close().await;
}

#[tokio::test]
async fn timeout_and_cancel_kill_everything() {
    let Some(fixture) = Fixture::new().await else { return };
    let sandbox = fixture.sandbox(Network::None);
    let mut request = Request::script("setsid sleep 1000 & sleep 1000");
    request.timeout = Some(Duration::from_millis(300));
    let error = sandbox.run(request, &mut |_, _| {}, pending()).await.unwrap_err();
    assert!(matches!(error, SandboxError::TimedOut { after } if after == Duration::from_millis(300)), "{error}");
    assert!(fixture.processes().is_empty());

    let (started, wait) = tokio::sync::oneshot::channel();
    let mut started = Some(started);
    let cancel = async { drop(wait.await) };
    let error =
        sandbox.run(Request::script("echo; sleep 1000"), &mut |_, _| tell(&mut started), cancel).await.unwrap_err();
    assert!(matches!(error, SandboxError::Cancelled), "{error}");
    drop(sandbox);
    fixture.close().await;
}

#[tokio::test]
async fn dropping_the_future_kills_everything() {
    let Some(fixture) = Fixture::new().await else { return };
    let before = fixture.listing();
    let sandbox = fixture.sandbox(Network::Host);
    let (started, mut wait) = tokio::sync::mpsc::unbounded_channel();
    let mut on_output = |_: Stream, _: &[u8]| started.send(()).unwrap();
    {
        let running = sandbox.run(Request::script("echo; sleep 1000"), &mut on_output, pending());
        tokio::select! {
            _ = running => panic!("the command ended"),
            _ = wait.recv() => {}
        }
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while !fixture.processes().is_empty() {
        assert!(Instant::now() < deadline, "processes are left: {:?}", fixture.processes());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(sh(&sandbox, "echo again").await, "again\n");
    assert_eq!(fixture.listing(), before);
    drop(sandbox);
    fixture.close().await;
}

#[tokio::test]
async fn a_sandbox_killed_from_outside_is_lost() {
    let Some(fixture) = Fixture::new().await else { return };
    let sandbox = fixture.sandbox(Network::None);
    let token = fixture.dir.path().to_str().unwrap().to_owned();
    let (started, wait) = tokio::sync::oneshot::channel();
    let mut started = Some(started);
    let mut on_output = |_: Stream, _: &[u8]| tell(&mut started);
    let running = sandbox.run(Request::script("echo; sleep 1000"), &mut on_output, pending());
    let kill = async {
        wait.await.unwrap();
        process::kill_all(&token, Duration::from_secs(20)).await.unwrap()
    };
    let (result, killed) = tokio::join!(running, kill);
    assert!(matches!(result, Err(SandboxError::Lost)), "{result:?}");
    assert!(killed > 0);
    drop(sandbox);
    fixture.close().await;
}

#[tokio::test]
#[ignore = "the parent in `nothing_survives_a_killed_parent`, which starts it"]
async fn parent_that_is_killed() {
    let Some(dir) = std::env::var_os("SANDBOX_TEST_DIR") else { return };
    let dir = Path::new(&dir);
    let privilege = Privilege::probe().await.unwrap();
    let sandbox = Sandbox::new(&dir.join("rootfs"), &dir.join("work"), Network::None, privilege).unwrap();
    let marker = std::env::var_os("SANDBOX_TEST_MARKER").unwrap().into_string().unwrap();
    let request = Request::script(format!("touch {marker}; setsid tail -f {marker} & tail -f {marker}"));
    sandbox.run(request, &mut |_, _| {}, pending()).await.unwrap();
}

#[tokio::test]
async fn nothing_survives_a_killed_parent() {
    let Some(fixture) = Fixture::new().await else { return };
    let marker = format!("/tmp/{}", uuid::Uuid::new_v4());
    let mut parent = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sandbox::tests::parent_that_is_killed", "--ignored"])
        .env("SANDBOX_TEST_DIR", fixture.dir.path())
        .env("SANDBOX_TEST_MARKER", &marker)
        .stdout(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while process::find(&marker).unwrap().len() < 2 {
        assert!(Instant::now() < deadline, "the command does not start");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    parent.kill().await.unwrap();
    while !fixture.processes().is_empty() || !process::find(&marker).unwrap().is_empty() {
        assert!(Instant::now() < deadline, "processes are left");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    fixture.close().await;
}

#[tokio::test]
async fn files_are_copied_in_and_out() {
    let Some(fixture) = Fixture::new().await else { return };
    let sandbox = fixture.sandbox(Network::None);
    let (source, target) = (fixture.dir.path().join("source"), fixture.dir.path().join("target"));
    let content: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
    std::fs::write(&source, &content).unwrap();
    let owner = Owner { uid: 1000, gid: 4 };
    sandbox.copy_in(&source, "/root/-a b", 0o4750, owner, pending()).await.unwrap();
    assert_eq!(sh(&sandbox, "stat -c '%u %g %a' '/root/-a b'").await, "1000 4 4750\n");
    sandbox.copy_out("/root/-a b", &target, pending()).await.unwrap();
    assert!(std::fs::read(&target).unwrap() == content);

    // The link leads to a file of the host, which is not there inside.
    symlink(&source, fixture.rootfs().join("root/link")).unwrap();
    let error = sandbox.copy_out("/root/link", &target, pending()).await.unwrap_err();
    assert!(matches!(error, SandboxError::Copy { .. }), "{error}");
    sandbox.copy_in(&target, "/root/link", 0o600, Owner::ROOT, pending()).await.unwrap();
    assert!(std::fs::read(&source).unwrap() == content);
    for path in ["/no/dir/x", "/etc"] {
        let error = sandbox.copy_in(&source, path, 0o600, owner, pending()).await.unwrap_err();
        assert!(matches!(error, SandboxError::Copy { .. }), "{error}");
    }
    assert!(sandbox.copy_in(&source, "relative", 0o600, owner, pending()).await.is_err());
    drop(sandbox);
    fixture.close().await;
}

#[tokio::test]
async fn archives_keep_owners_and_are_reproducible() {
    let Some(fixture) = Fixture::new().await else { return };
    let sandbox = fixture.sandbox(Network::None);
    sh(&sandbox, "mkdir /srv; echo x >/srv/file; chown 33:44 /srv/file; chmod 2755 /srv; chmod 0600 /srv/file").await;
    let privilege = fixture.privilege;
    let packed = |from: PathBuf| async move {
        let archive = pack(privilege, &from).await.unwrap();
        let mut reader = archive.reader().unwrap();
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut reader, &mut bytes).map(|_| bytes)
        });
        let bytes = read.await.unwrap().unwrap();
        archive.finish().await.unwrap();
        bytes
    };
    let first = packed(fixture.rootfs()).await;
    let copy = fixture.dir.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755)).unwrap();
    extract(fixture.privilege, Cursor::new(first.clone()), &copy).await.unwrap();
    assert!(packed(copy.clone()).await == first);
    let other = Sandbox::new(&copy, &fixture.work(), Network::None, fixture.privilege).unwrap();
    assert_eq!(sh(&other, "stat -c '%u %g %a' /srv/file /srv").await, "33 44 600\n0 0 2755\n");

    let error = extract(fixture.privilege, Cursor::new(vec![1; 4096]), &copy).await.unwrap_err();
    assert!(matches!(error, SandboxError::Archive { .. }), "{error}");
    let archive = pack(fixture.privilege, Path::new("/no/such/directory")).await.unwrap();
    assert!(archive.finish().await.is_err());
    remove_tree(fixture.privilege, &copy).await.unwrap();
    assert!(!copy.exists());
    remove_tree(fixture.privilege, &copy).await.unwrap();
    drop((sandbox, other));
    fixture.close().await;
}

#[tokio::test]
async fn impossible_requests_are_refused() {
    let Some(fixture) = Fixture::new().await else { return };
    let sandbox = fixture.sandbox(Network::None);
    let mut relative = Request::argv(["id"]);
    relative.cwd = "tmp".into();
    let mut variable = Request::argv(["id"]);
    variable.env = [("A=B".to_owned(), String::new())].into();
    for request in [Request::argv([""; 0]), Request::argv(["a\0b"]), Request::script(""), relative, variable] {
        let error = sandbox.run(request, &mut |_, _| {}, pending()).await.unwrap_err();
        assert!(matches!(error, SandboxError::Request { .. }), "{error}");
    }
    let error = Sandbox::new(&fixture.rootfs(), &fixture.rootfs().join("x"), Network::None, fixture.privilege);
    assert!(matches!(error, Err(SandboxError::Nested { .. })));
    std::fs::remove_dir(fixture.rootfs().join("x")).unwrap();
    assert_eq!(std::fs::metadata(fixture.work().join("tmp")).unwrap().mode() & 0o7777, 0o1777);

    let error = {
        std::fs::remove_dir_all(fixture.work().join("dev")).unwrap();
        sandbox.run(Request::argv(["id"]), &mut |_, _| {}, pending()).await.unwrap_err()
    };
    assert!(matches!(error, SandboxError::Setup { .. }), "{error}");
    drop(sandbox);
    fixture.close().await;
}

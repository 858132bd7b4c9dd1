use super::*;
use crate::facts::{FileFacts, FileWanted, PackageManager, Text};
use std::{
    fs::{self, File},
    os::unix::{ffi::OsStrExt, fs::symlink},
    path::PathBuf,
};

struct Fixture(tempfile::TempDir);

impl Fixture {
    fn new(files: &[(&str, &str)]) -> Self {
        let fixture = Self(tempfile::tempdir().unwrap());
        for (path, text) in files {
            fs::create_dir_all(fixture.path(path).parent().unwrap()).unwrap();
            fs::write(fixture.path(path), text).unwrap();
        }
        fixture
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn look(&self, wanted: &Wanted) -> Facts {
        rootfs(self.0.path(), wanted, &Options::default()).unwrap()
    }

    fn file(&self, path: &str, file: FileWanted) -> Fact<Option<FileFacts>> {
        let mut wanted = Wanted::default();
        wanted.files.insert(path.into(), file);
        self.look(&wanted).files.remove(path).unwrap()
    }

    #[track_caller]
    fn known(&self, path: &str, file: FileWanted) -> FileFacts {
        match self.file(path, file) {
            Fact::Known(Some(facts)) => facts,
            other => panic!("{path}: {other:?}"),
        }
    }
}

const NOTHING: FileWanted = FileWanted { contents: false, md5: false, sha256: false, sha512: false };
const CONTENTS: FileWanted = FileWanted { contents: true, ..NOTHING };
const ALL: FileWanted = FileWanted { contents: true, md5: true, sha256: true, sha512: true };

fn own_ids() -> (u32, u32) {
    (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw())
}

#[test]
fn names_of_owners_are_those_of_the_root() {
    let (uid, gid) = own_ids();
    let passwd = format!("builder:x:{uid}:{gid}::/home/builder:/bin/sh\n");
    let fixture = Fixture::new(&[("etc/passwd", &passwd), ("home/builder/note", "text")]);
    let facts = fixture.known("/etc/passwd", NOTHING);
    assert_eq!((facts.uid, facts.owner), (uid, Fact::Known("builder".into())));
    assert_eq!(facts.group, Fact::Unknown(format!("no group has the id {gid}")));
    assert_eq!((facts.filetype.as_str(), facts.size), ("file", passwd.len() as u64));
    assert_eq!((facts.contents, facts.md5, facts.sha256, facts.sha512), (None, None, None, None));
    for path in ["~builder/note", "home/./x/../builder/note", "/../home/builder/note"] {
        assert_eq!(fixture.known(path, CONTENTS).contents, Some(Fact::Known("text".into())), "{path}");
    }
    assert_eq!(fixture.file("~nobody/note", NOTHING), Fact::Unknown("~nobody/note: no such user".into()));
}

#[test]
fn one_pass_gives_contents_and_digests() {
    let fixture = Fixture::new(&[("abc", "abc")]);
    symlink("/abc", fixture.path("link")).unwrap();
    for path in ["/abc", "/link"] {
        let facts = fixture.known(path, ALL);
        assert_eq!(facts.contents, Some(Fact::Known("abc".into())));
        // The examples of RFC 1321 and FIPS 180-2.
        assert_eq!(facts.md5, Some(Fact::Known("900150983cd24fb0d6963f7d28e17f72".into())));
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(facts.sha256, Some(Fact::Known(sha256.into())));
        let Some(Fact::Known(sha512)) = facts.sha512 else { panic!("no SHA-512") };
        assert!(sha512.starts_with("ddaf35a193617abacc417349ae20413112e6fa4e89a97ea2") && sha512.len() == 128);
    }
    assert_eq!(fixture.known("/link", NOTHING).linked_to.as_deref(), Some("/abc"));
}

#[test]
fn what_is_not_there_is_known_and_what_cannot_be_read_is_not() {
    let fixture = Fixture::new(&[("file", "x")]);
    symlink("/none", fixture.path("dangling")).unwrap();
    symlink("loop", fixture.path("loop")).unwrap();
    fs::create_dir(fixture.path("directory")).unwrap();
    let fifo = fixture.path("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    assert_eq!(fixture.file("/none", ALL), Fact::Known(None));
    assert_eq!(fixture.file("/file/below", ALL), Fact::Known(None));
    let mut wanted = Wanted::default();
    wanted.files.extend(["/none/below", "/file/below", "/file"].map(|path| (path.into(), NOTHING)));
    assert_eq!(fixture.look(&wanted).below_files, ["/file/below".to_owned()].into(), "nothing can be below a file");
    for (path, filetype, why) in [
        ("/dangling", "symlink", "No such file"),
        ("/loop", "symlink", "symbolic link"),
        ("/directory", "directory", "is a directory"),
        ("/fifo", "pipe", "only regular files are read"),
    ] {
        let facts = fixture.known(path, ALL);
        assert_eq!(facts.filetype, filetype);
        let Some(Fact::Unknown(contents)) = facts.contents else { panic!("{path} has contents") };
        assert!(contents.contains(why), "{contents}");
        for digest in [facts.md5, facts.sha256, facts.sha512] {
            assert_eq!(digest, Some(Fact::Unknown(contents.clone())), "{path}");
        }
    }
}

#[test]
fn links_do_not_lead_out() {
    let fixture = Fixture::new(&[("etc/motd", "inside")]);
    let outside = tempfile::NamedTempFile::new().unwrap();
    fs::write(outside.path(), "outside").unwrap();
    symlink(outside.path(), fixture.path("absolute")).unwrap();
    symlink("../../../../../../etc/motd", fixture.path("etc/up")).unwrap();
    let facts = fixture.known("/absolute", CONTENTS);
    assert!(matches!(facts.contents, Some(Fact::Unknown(_))), "{facts:?}");
    assert_eq!(fixture.known("/etc/up", CONTENTS).contents, Some(Fact::Known("inside".into())));
}

#[test]
fn large_contents_are_unknown_but_have_digests() {
    let fixture = Fixture::new(&[]);
    File::create(fixture.path("sparse")).unwrap().set_len((16 << 20) + 1).unwrap();
    File::create(fixture.path("fits")).unwrap().set_len(16 << 20).unwrap();
    File::create(fixture.path("huge")).unwrap().set_len(1 << 40).unwrap();
    let facts = fixture.known("/sparse", FileWanted { md5: true, ..CONTENTS });
    let why = "/sparse: is larger than the limit of 16777216 bytes";
    assert_eq!(facts.contents, Some(Fact::Unknown(why.into())));
    assert!(matches!(facts.md5, Some(Fact::Known(_))));
    let Some(Fact::Known(contents)) = fixture.known("/fits", CONTENTS).contents else { panic!("no contents") };
    assert_eq!(contents.bytes().len(), 16 << 20);
    let facts = fixture.known("/huge", CONTENTS);
    assert!(matches!(facts.contents, Some(Fact::Unknown(_))), "a terabyte is not read");
    assert_eq!(facts.size, 1 << 40);
}

#[test]
fn any_bytes_are_taken() {
    let fixture = Fixture::new(&[]);
    fs::write(fixture.path("bytes"), [0xff, 0, b'a']).unwrap();
    fs::write(fixture.0.path().join(std::ffi::OsStr::from_bytes(b"name-\xff")), "x").unwrap();
    symlink(std::ffi::OsStr::from_bytes(b"to-\xff"), fixture.path("link")).unwrap();
    let expected = Text::from(vec![0xff, 0, b'a']);
    assert_eq!(fixture.known("/bytes", CONTENTS).contents, Some(Fact::Known(expected)));
    assert_eq!(fixture.known("/link", NOTHING).linked_to.as_deref(), Some("to-\u{fffd}"));
    // As a directory of drop-ins too.
    let units = fixture.path("etc/systemd/system");
    fs::create_dir_all(&units).unwrap();
    fs::write(units.join(std::ffi::OsStr::from_bytes(b"\xff.service")), "x").unwrap();
    let mut wanted = Wanted::default();
    wanted.services.insert("none".into());
    assert_eq!(fixture.look(&wanted).services["none"].enabled, Fact::Known(false));
}

#[test]
fn accounts_come_from_the_root() {
    let garbage = "\0\u{1}:::::\n::::::\nada:x:1000:1000::/home/ada:/bin/sh\nx:y\n";
    let fixture = Fixture::new(&[("etc/passwd", garbage), ("etc/group", "ada:x:1000:\nadm:x:4:ada\n")]);
    let wanted = Wanted {
        users: ["ada", "root"].map(Into::into).into(),
        groups: ["adm", "root"].map(Into::into).into(),
        ..Wanted::default()
    };
    let facts = fixture.look(&wanted);
    let Fact::Known(Some(ada)) = &facts.users["ada"] else { panic!("no ada") };
    assert_eq!(ada.groups, ["ada", "adm"]);
    assert_eq!(facts.users["root"], Fact::Known(None));
    assert!(matches!(&facts.groups["adm"], Fact::Known(Some(group)) if group.gid == 4));
    assert_eq!(facts.groups["root"], Fact::Known(None));
    // Without the files there is nobody.
    assert_eq!(Fixture::new(&[]).look(&wanted).users["ada"], Fact::Known(None));
}

fn packages_of(files: &[(&str, &str)], options: &Options) -> Fact<Vec<String>> {
    let mut wanted = Wanted::default();
    wanted.packages.insert("tool".into());
    let fixture = Fixture::new(files);
    rootfs(fixture.0.path(), &wanted, options).unwrap().packages.remove("tool").unwrap()
}

#[test]
fn packages_come_from_the_database_of_the_distribution() {
    let stanza = "Package: tool\nStatus: install ok installed\nVersion: 1-2\n";
    let dpkg = ("var/lib/dpkg/status", stanza);
    let apk = ("lib/apk/db/installed", "P:tool\nV:3-r4\n\n");
    let pacman = ("var/lib/pacman/local/tool-5-6/desc", "%NAME%\ntool\n\n%VERSION%\n5-6\n");
    let versions = |versions: &[&str]| Fact::Known(versions.iter().map(|version| (*version).into()).collect());
    let found = |files: &[(&str, &str)]| packages_of(files, &Options::default());
    assert_eq!(found(&[("etc/debian_version", "12.1"), dpkg, apk]), versions(&["1-2"]));
    assert_eq!(found(&[("etc/alpine-release", "3"), dpkg, apk]), versions(&["3-r4"]));
    let database = ("var/lib/pacman/local/ALPM_DB_VERSION", "9\n");
    assert_eq!(found(&[("etc/arch-release", ""), database, pacman]), versions(&["5-6"]));
    assert_eq!(found(&[pacman]), versions(&["5-6"]), "by its database alone");
    assert_eq!(found(&[("etc/debian_version", "12.1"), ("var/lib/dpkg/status", "")]), versions(&[]));
    let distroless = [
        ("etc/debian_version", "12.1"),
        ("var/lib/dpkg/status.d/tool", "Package: tool\nVersion: 7\n"),
        ("var/lib/dpkg/status.d/tool.md5sums", "00  usr/bin/tool\n"),
    ];
    assert_eq!(found(&distroless), versions(&["7"]));
    let chosen = Options { package_manager: Some(PackageManager::Apk), ..Options::default() };
    assert_eq!(packages_of(&[("etc/debian_version", "12.1"), dpkg, apk], &chosen), versions(&["3-r4"]));
    // Neither the command nor the database of a package manager.
    for files in [&[("etc/debian_version", "12.1")][..], &[], &[("etc/redhat-release", "")]] {
        assert_eq!(found(files), versions(&[]), "{files:?}");
    }
    for files in [
        &[("etc/debian_version", "12.1"), ("usr/bin/dpkg", "")][..],
        &[("etc/alpine-release", "3"), ("sbin/apk", "")],
        &[("etc/redhat-release", ""), ("usr/bin/rpm", "")],
        &[("var/lib/rpm/rpmdb.sqlite", "")],
    ] {
        assert!(matches!(found(files), Fact::Unknown(_)), "{files:?}");
    }
}

#[test]
fn services_of_each_init_system_are_told_from_files() {
    #[track_caller]
    fn check(files: &[(&str, &str)], enabled: &[&str], runlevels: &[&str]) {
        let wanted = Wanted { services: ["one", "two", "../one"].map(Into::into).into(), ..Wanted::default() };
        let facts = Fixture::new(files).look(&wanted);
        let found =
            ["one", "two", "../one"].into_iter().filter(|name| facts.services[*name].enabled == Fact::Known(true));
        assert_eq!(found.collect::<Vec<_>>(), enabled);
        let levels: Vec<String> = runlevels.iter().map(|level| (*level).into()).collect();
        assert_eq!(facts.services["one"].runlevels, Fact::Known(levels));
        assert!(matches!(facts.services["one"].running, Fact::NotApplicable(_)));
    }
    let links =
        [("etc/rc2.d/S10one", ""), ("etc/rc5.d/S10one", ""), ("etc/rcS.d/S10two", ""), ("etc/rc3.d/K10two", "")];
    check(&links, &["one"], &["2", "5"]);
    check(&[("etc/rc5.d/S1one", ""), ("etc/rc5.d/S100one", ""), ("etc/rc5.d/S10two", "")], &["two"], &[]);
    let openrc = [("etc/alpine-release", ""), ("etc/runlevels/boot/one", ""), ("etc/runlevels/default/one", "")];
    check(&openrc, &["one"], &["boot", "default"]);
    let ubuntu = ("etc/lsb-release", "DISTRIB_ID=Ubuntu");
    check(&[ubuntu, ("etc/init/one.conf", "  start on boot\n"), ("etc/rc2.d/S10two", "")], &["one", "two"], &[]);
    let overridden = [ubuntu, ("etc/init/one.conf", "start on boot\n"), ("etc/init/one.override", "x\nmanual\n")];
    check(&overridden, &[], &[]);
    let systemctl = ("usr/bin/systemctl", "");
    let unit = ("etc/systemd/system/one.service", "[Service]\n");
    check(&[systemctl, unit, links[0], links[1]], &["one"], &[]);
    // A script without a unit counts where it starts at boot.
    check(&[systemctl, ("etc/init.d/one", ""), ("etc/init.d/two", ""), links[0], links[2]], &["two"], &[]);
    let jessie = ("etc/debian_version", "8.11\n");
    check(&[systemctl, jessie, ("etc/init.d/one", ""), links[0]], &["one"], &[]);
}

#[test]
fn names_of_services_are_patterns_of_links() {
    let sysv = [("etc/rc2.d/S10running", ""), ("etc/rc5.d/S99runner", ""), ("etc/rc5.d/K99other", "")];
    let openrc = [("etc/alpine-release", ""), ("etc/runlevels/2/running", ""), ("etc/runlevels/5/runner", "")];
    let wanted = Wanted {
        services: ["run*", "runn[e-i]?*", "r?nner", "*ther", "[run"].map(Into::into).into(),
        ..Wanted::default()
    };
    for files in [&sysv, &openrc] {
        let facts = Fixture::new(files).look(&wanted);
        let levels = |name: &str| match &facts.services[name].runlevels {
            Fact::Known(levels) => levels.join(" "),
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(["run*", "runn[e-i]?*", "r?nner", "*ther"].map(levels), ["2 5", "2 5", "5", ""]);
        assert_eq!(facts.services["run*"].enabled, Fact::Known(true));
        assert_eq!(facts.services["*ther"].enabled, Fact::Known(false));
        let why = "[run: a `[` or `\\` in the pattern has no end";
        assert_eq!(facts.services["[run"].enabled, Fact::Unknown(why.into()));
    }
}

#[test]
fn kernel_parameters_are_what_configuration_sets() {
    let files = [
        ("usr/lib/sysctl.d/10-a.conf", "kernel.a = 1\nkernel.b=1\nkernel.c=1\n"),
        ("usr/lib/sysctl.d/20-hidden.conf", "kernel.hidden=1\n"),
        ("etc/sysctl.d/20-hidden.conf", "kernel.b=2\n"),
        ("run/sysctl.d/15-c.conf", "kernel.c=2\n"),
        ("etc/sysctl.d/not-read", "kernel.a=9\n"),
        ("etc/sysctl.conf", "kernel.d=3\n"),
    ];
    let wanted = Wanted {
        kernel_params: ["kernel.a", "kernel.b", "kernel.c", "kernel.d", "kernel.hidden"].map(Into::into).into(),
        ..Wanted::default()
    };
    let values = |fixture: &Fixture| {
        let facts = fixture.look(&wanted);
        let value = |fact: &Fact<Option<String>>| match fact {
            Fact::Known(value) => value.clone().unwrap(),
            Fact::NotApplicable(_) => "-".into(),
            Fact::Unknown(why) => panic!("{why}"),
        };
        facts.kernel_params.values().map(value).collect::<Vec<_>>()
    };
    let fixture = Fixture::new(&files);
    assert_eq!(values(&fixture), ["1", "2", "2", "3", "-"], "the older tool reads sysctl.conf");
    fs::create_dir_all(fixture.path("usr/bin")).unwrap();
    fs::write(fixture.path("usr/bin/systemctl"), "").unwrap();
    assert_eq!(values(&fixture), ["1", "2", "2", "-", "-"], "systemd does not");
    symlink("../sysctl.conf", fixture.path("etc/sysctl.d/99-sysctl.conf")).unwrap();
    symlink("/dev/null", fixture.path("etc/sysctl.d/10-a.conf")).unwrap();
    assert_eq!(values(&fixture), ["-", "2", "2", "3", "-"], "linked in, and hidden");
}

#[test]
fn mounts_come_from_the_table() {
    let fixture = Fixture::new(&[("etc/fstab", "UUID=1 / ext4 defaults 0 1\ntmpfs /tmp tmpfs nosuid\n")]);
    let wanted = Wanted { mounts: [("/tmp".into(), true), ("/proc".into(), false)].into(), ..Wanted::default() };
    let facts = fixture.look(&wanted);
    let Fact::Known(Some(tmp)) = &facts.mounts["/tmp"] else { panic!("{facts:?}") };
    assert_eq!((tmp.source.as_str(), tmp.filesystem.as_str()), ("tmpfs", "tmpfs"));
    assert_eq!(tmp.opts, ["rw", "nosuid", "relatime"]);
    assert!(matches!((&tmp.usage, &tmp.vfs_opts), (Some(Fact::NotApplicable(_)), Fact::NotApplicable(_))));
    assert!(matches!(facts.mounts["/proc"], Fact::NotApplicable(_)));
}

#[test]
fn what_only_lives_is_not_applicable() {
    let mut wanted = Wanted::default();
    wanted.ports.insert("tcp:80".into());
    wanted.processes.insert("sshd".into());
    wanted.interfaces.insert("lo".into());
    let facts = Fixture::new(&[]).look(&wanted);
    assert!(matches!(facts.ports["tcp:80"], Fact::NotApplicable(_)));
    let why = "processes are only where a system runs, and this is a root file system";
    assert_eq!(facts.processes["sshd"], Fact::NotApplicable(why.into()));
    assert!(matches!(facts.interfaces["lo"], Fact::NotApplicable(_)));
    assert_eq!(facts.format, crate::facts::FORMAT_VERSION);
}

#[test]
fn a_root_that_is_none_is_an_error() {
    let fixture = Fixture::new(&[("file", "")]);
    for path in ["none", "file"] {
        assert!(rootfs(&fixture.path(path), &Wanted::default(), &Options::default()).is_err(), "{path}");
    }
}

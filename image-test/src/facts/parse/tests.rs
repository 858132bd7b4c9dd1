use super::{
    accounts::{Group, Passwd, group, passwd},
    net::Socket,
    release::Distro,
    *,
};
use crate::facts::PackageManager;
use proptest::prelude::*;

fn user(name: &str, uid: u32, gid: u32, home: &str, shell: &str) -> Passwd {
    Passwd { name: name.into(), uid, gid, home: home.into(), shell: shell.into() }
}

#[test]
fn passwd_skips_what_the_c_library_skips() {
    let text = b"root:x:0:0:root:/root:/bin/bash\n# note:x:1:1::/:/bin/sh\n\n  web:x:33:33:a b:/var/www:\n+nis:x:5:5::/:/bin/sh\n\
        short:x:1:1::/\nword:x:one:1::/:/bin/sh\nbig:x:4294967296:1::/:/bin/sh\n:x:1:1::/:/x\n\xff\xfe:x:7:7::/:/bin/sh\n\
        odd:x:8:8::/:/bin/sh:more";
    let expected = [
        user("root", 0, 0, "/root", "/bin/bash"),
        user("web", 33, 33, "/var/www", ""),
        user("\u{fffd}\u{fffd}", 7, 7, "/", "/bin/sh"),
        user("odd", 8, 8, "/", "/bin/sh:more"),
    ];
    assert_eq!(passwd(text), expected);
}

#[test]
fn group_reads_members() {
    let text = b"root:x:0:\nadm:x:4:syslog,ada\nbad:x:y:\nshort:x:1\n-nis:x:2:\n";
    let group_of = |name: &str, gid, members: &[&str]| Group {
        name: name.into(),
        gid,
        members: members.iter().map(|member| (*member).into()).collect(),
    };
    assert_eq!(group(text), [group_of("root", 0, &[]), group_of("adm", 4, &["syslog", "ada"])]);
}

#[test]
fn a_user_is_in_the_primary_group_and_in_those_that_list_it() {
    let accounts = Accounts::new(
        b"ada:x:1000:1000::/home/ada:/bin/sh\nada:x:1:1::/:/no\nalias:x:1000:5::/:/bin/sh\n",
        b"zoo:x:7:ada\nada:x:1000:ada\nadm:x:4:bob,ada\nother:x:1000:\nfew:x:9:adam\nadm:x:44:\n",
    );
    let ada = accounts.user("ada").unwrap();
    assert_eq!((ada.uid, ada.gid, ada.home.as_str(), ada.shell.as_str()), (1000, 1000, "/home/ada", "/bin/sh"));
    assert_eq!(ada.groups, ["ada", "adm", "other", "zoo"]);
    assert!(accounts.user("alias").unwrap().groups.is_empty(), "group 5 has no name");
    assert_eq!(accounts.user("bob"), None, "a member is no user");
    assert_eq!(accounts.group("adm").unwrap().gid, 4, "the first line counts");
    assert_eq!((accounts.user_name(1000), accounts.group_name(1000)), (Some("ada"), Some("ada")));
    assert_eq!((accounts.user_name(2), accounts.group_name(2), accounts.home("bob")), (None, None, None));
}

#[track_caller]
fn check_packages(packages: &Packages, expected: &[(&str, &[&str])]) {
    let packages: Vec<_> =
        packages.iter().map(|(name, versions)| (&**name, versions.iter().map(|v| &**v).collect::<Vec<_>>())).collect();
    let expected: Vec<_> = expected.iter().map(|(name, versions)| (*name, versions.to_vec())).collect();
    assert_eq!(packages, expected);
}

#[test]
fn dpkg_counts_installed_and_held_packages_of_each_architecture() {
    let text =
        b"Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nMulti-Arch: same\nVersion: 2.36-9\n\
        Description: text\n Version: 9\n .\n Package: x\n\n\
        Package: libc6\nstatus: install ok installed\nArchitecture: i386\nVersion: 2.36-9\n\n\
        Package: held\nStatus: hold ok installed\nVersion: 1:2-3\n\n\n\
        Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n\
        Package: half\nStatus: install ok half-configured\nVersion: 1\n\n\
        Package: without-status\nVersion: 1\n\n\
        Package: last\nStatus: install ok installed\nVersion: 4";
    check_packages(
        &dpkg_status(text),
        &[
            ("held", &["1:2-3"]),
            ("last", &["4"]),
            ("libc6", &["2.36-9", "2.36-9"]),
            ("libc6:amd64", &["2.36-9"]),
            ("libc6:i386", &["2.36-9"]),
        ],
    );
}

#[test]
fn a_file_of_status_d_says_installed_by_being_there() {
    check_packages(
        &dpkg_status_d(b"Package: base-files\nVersion: 12\nArchitecture: all\n"),
        &[("base-files", &["12"]), ("base-files:all", &["12"])],
    );
    check_packages(&dpkg_status_d(b"Package: a\nVersion: 1\nStatus: deinstall ok config-files\n"), &[]);
}

#[test]
fn dpkg_query_is_read_like_the_status_file() {
    check_packages(
        &dpkg_query(
            b"bash\tamd64\tinstall ok installed\t5.2\ngone\tall\tdeinstall ok config-files\t1\nmessage\nh\t\thold ok installed\t2\n",
        ),
        &[("bash", &["5.2"]), ("bash:amd64", &["5.2"]), ("h", &["2"])],
    );
}

#[test]
fn apk_and_pacman_are_read() {
    check_packages(
        &apk_installed(b"C:Q1x=\nP:musl\nV:1.2.4-r2\nA:x86_64\nF:lib\nR:V\n\nP:no-version\n\nP:busybox\nV:1.36-r5"),
        &[("busybox", &["1.36-r5"]), ("musl", &["1.2.4-r2"])],
    );
    let desc = b"%NAME%\nlinux\n\n%VERSION%\n1:6.6-1\n\n%BASE%\nlinux\n";
    assert_eq!(pacman_desc(desc), Some(("linux".into(), "1:6.6-1".into())));
    assert_eq!(pacman_desc(b"%NAME%\n\n%VERSION%\n1"), None);
}

#[test]
fn packages_of_rpm_have_all_their_labels() {
    check_packages(
        &rpm_query(b"bind\taarch64\t32:9.16-1\npackage foo is not installed\ngpg-pubkey\t(none)\t8d81-1\n"),
        &[
            ("bind", &["32:9.16-1"]),
            ("bind-32:9.16", &["32:9.16-1"]),
            ("bind-32:9.16-1", &["32:9.16-1"]),
            ("bind-32:9.16-1.aarch64", &["32:9.16-1"]),
            ("bind-32:9.16.aarch64", &["32:9.16-1"]),
            ("bind-9.16", &["32:9.16-1"]),
            ("bind-9.16-1", &["32:9.16-1"]),
            ("bind-9.16-1.aarch64", &["32:9.16-1"]),
            ("bind-9.16.aarch64", &["32:9.16-1"]),
            ("bind.aarch64", &["32:9.16-1"]),
            ("gpg-pubkey", &["8d81-1"]),
            ("gpg-pubkey-8d81", &["8d81-1"]),
            ("gpg-pubkey-8d81-1", &["8d81-1"]),
        ],
    );
    // As `rpm -q kernel kernel-5.14-1 glibc glibc.i686` answers.
    let packages = rpm_query(
        b"kernel\tx86_64\t5.14-1\nkernel\tx86_64\t5.14-2\nkernel\tx86_64\t5.14-1\n\
          glibc\tx86_64\t2.34-1\nglibc\ti686\t2.34-1\nglibc\ti686\t2.34-1\n",
    );
    for (label, expected) in [
        ("kernel", &["5.14-1", "5.14-2"][..]),
        ("kernel-5.14", &["5.14-1", "5.14-2"]),
        ("kernel-5.14-1", &["5.14-1"]),
        ("kernel-5.14-2.x86_64", &["5.14-2"]),
        ("glibc", &["2.34-1", "2.34-1"]),
        ("glibc.i686", &["2.34-1"]),
    ] {
        assert_eq!(packages[label], expected, "{label}");
    }
    assert!(!packages.contains_key("kernel-5.14-3") && !packages.contains_key("kernel-5"));
}

#[test]
fn sockets_are_printed_as_goss_does() {
    let table = |local: &str, state: &str| {
        format!("  sl  local_address rem_address   st\n   0: {local} 00000000:0000 {state} 00000000:00000000\n\n")
    };
    let cases = [
        ("0100007F:0016", ByteOrder::Little, Some(("127.0.0.1", 22))),
        ("7F000001:0016", ByteOrder::Big, Some(("127.0.0.1", 22))),
        ("00000000:FFFF", ByteOrder::Little, Some(("0.0.0.0", 65535))),
        ("00000000000000000000000000000000:0050", ByteOrder::Little, Some(("::", 80))),
        ("00000000000000000000000001000000:0050", ByteOrder::Little, Some(("::1", 80))),
        ("0000000000000000FFFF00000100007F:0050", ByteOrder::Little, Some(("127.0.0.1", 80))),
        ("000080FE00000000FF005450AB12CDFE:0050", ByteOrder::Little, Some(("FE80::5054:FF:FECD:12AB", 80))),
        ("FE80000000000000505400FFFECD12AB:0050", ByteOrder::Big, Some(("FE80::5054:FF:FECD:12AB", 80))),
        ("00000000000000000000000004030201:0050", ByteOrder::Little, Some(("::102:304", 80))),
        ("0100007F", ByteOrder::Little, None),
        ("0100007:0016", ByteOrder::Little, None),
        ("0100007F:10000", ByteOrder::Little, None),
        ("ééé:0016", ByteOrder::Little, None),
        ("0100007é:0016", ByteOrder::Little, None),
    ];
    for (local, order, expected) in cases {
        let expected: Vec<_> = expected.into_iter().map(|(ip, port)| Socket { ip: String::from(ip), port }).collect();
        assert_eq!(sockets(table(local, "0A").as_bytes(), true, order), expected, "{local}");
        assert_eq!(sockets(table(local, "07").as_bytes(), false, order), expected, "{local}");
        assert_eq!(sockets(table(local, "01").as_bytes(), true, order), [], "{local}");
    }
}

#[test]
fn mountinfo_has_any_number_of_optional_fields() {
    let text = b"21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro\n\
        22 21 0:5 / /mnt/a\\040b\\134c ro,nosuid,ro - nfs4 srv:/x\\040y rw,context=\"system_u:c0,c1\",vers=4\n\
        23 21 0:6 / /x rw master:1 propagate_from:2 unbindable - tmpfs tmpfs rw\n\
        24 21 0:7 / /x ro - ramfs over rw\n25 21 0:8 / /cut rw - tmpfs\nbroken line\n\
        26 21 0:9 / /od\\77x\\400 rw - tmpfs none rw,\n";
    let mounts = mountinfo(text);
    assert_eq!(mounts.keys().collect::<Vec<_>>(), ["/", "/mnt/a b\\c", "/od\\77x\\400", "/x"]);
    let nfs = &mounts["/mnt/a b\\c"];
    assert_eq!((nfs.source.as_str(), nfs.filesystem.as_str()), ("srv:/x y", "nfs4"));
    assert_eq!(nfs.opts, ["ro", "nosuid"]);
    assert_eq!(
        nfs.vfs_opts,
        crate::Fact::Known(vec!["rw".into(), "context=\"system_u:c0,c1\"".into(), "vers=4".into()])
    );
    assert_eq!(mounts["/x"].filesystem, "tmpfs", "the first mount counts");
    assert_eq!(mounts["/od\\77x\\400"].vfs_opts, crate::Fact::Known(vec!["rw".into()]));
}

#[test]
fn fstab_has_what_is_mounted_at_boot() {
    let text = b"# comment\nUUID=1 / ext4 errors=remount-ro 0 1\ntmpfs\t/tmp/ tmpfs defaults,nodev,nosuid,noexec,size=1G\n\
        /dev/sdb none swap sw 0 0\n/dev/sdc /media/x iso9660 ro,user,noauto 0 0\nsrv:/a /a\\040b nfs users,exec,noatime\n\
        short /x\n/dev/sdd /plain ext4\n";
    let mounts = fstab(text);
    let shown: Vec<_> = mounts.iter().map(|(path, m)| (path.as_str(), &*m.source, m.opts.join(","))).collect();
    let expected = [
        ("/", "UUID=1", "rw,relatime"),
        ("/a b", "srv:/a", "rw,nosuid,nodev,noatime"),
        ("/plain", "/dev/sdd", "rw,relatime"),
        ("/tmp", "tmpfs", "rw,nosuid,nodev,noexec,relatime"),
    ];
    assert_eq!(shown, expected.map(|(path, source, opts)| (path, source, opts.into())));
}

#[test]
fn a_command_name_ends_at_the_first_parenthesis() {
    for (stat, expected) in [
        (&b"1 (systemd) S 0 1"[..], Some("systemd")),
        (b"7 (a b) S", Some("a b")),
        (b"7 ((sd-pam)) S", Some("(sd-pam")),
        (b"7 () S", Some("")),
        (b"7 (cut", None),
        (b"", None),
    ] {
        assert_eq!(comm(stat).as_deref(), expected);
    }
}

#[test]
fn distributions_are_told_as_goss_does() {
    let release = |change: &dyn Fn(&mut Release)| {
        let mut release = Release::default();
        change(&mut release);
        release
    };
    let none = |_: &str| false;
    let systemctl = |command: &str| command == "systemctl";
    let cases = [
        (
            release(&|r| {
                r.lsb_release = Some(b"DISTRIB_ID=Ubuntu\n".to_vec());
                r.debian_version = Some(b"bookworm/sid\n".to_vec());
            }),
            Some(Distro::Ubuntu),
            Some(PackageManager::Dpkg),
            InitSystem::Upstart,
            InitSystem::Systemd,
        ),
        (
            release(&|r| r.redhat_release = true),
            Some(Distro::RedHat),
            Some(PackageManager::Rpm),
            InitSystem::SystemV,
            InitSystem::Systemd,
        ),
        (
            release(&|r| r.alpine_release = true),
            Some(Distro::Alpine),
            Some(PackageManager::Apk),
            InitSystem::OpenRc,
            InitSystem::Systemd,
        ),
        (
            release(&|r| r.arch_release = true),
            Some(Distro::Arch),
            Some(PackageManager::Pacman),
            InitSystem::Systemd,
            InitSystem::Systemd,
        ),
        (
            release(&|r| r.debian_version = Some(b"8.11\n".to_vec())),
            Some(Distro::Debian),
            Some(PackageManager::Dpkg),
            InitSystem::SystemV,
            InitSystem::SystemdLegacy,
        ),
        (
            release(&|r| r.debian_version = Some(b"12.5\n".to_vec())),
            Some(Distro::Debian),
            Some(PackageManager::Dpkg),
            InitSystem::SystemV,
            InitSystem::Systemd,
        ),
        (Release::default(), None, None, InitSystem::SystemV, InitSystem::Systemd),
    ];
    for (release, distro, manager, without, with) in cases {
        assert_eq!(release.distro(), distro);
        assert_eq!(release.package_manager(none), manager);
        assert_eq!((release.init_system(none), release.init_system(systemctl)), (without, with), "{distro:?}");
    }
    assert_eq!(Release::default().package_manager(|command| command != "dpkg"), Some(PackageManager::Rpm));
}

#[test]
fn package_managers_have_names() {
    for manager in [PackageManager::Apk, PackageManager::Dpkg, PackageManager::Pacman, PackageManager::Rpm] {
        assert_eq!(manager.name().parse(), Ok(manager));
    }
    assert_eq!("deb".parse(), Ok(PackageManager::Dpkg));
    assert_eq!(
        "yum".parse::<PackageManager>().unwrap_err().to_string(),
        "package manager `yum` is not known; accepted are apk, dpkg, pacman and rpm"
    );
}

#[test]
fn later_sysctl_settings_win_and_patterns_give_way() {
    let mut settings = SysctlSettings::default();
    settings
        .add(b"# c\n; c\nnet.ipv4.ip_forward = 0\nnet.ipv4.conf.*.rp_filter=2\nkernel.core_pattern = |/x %p=1\nword\n");
    settings.add(
        b"-net/ipv4/ip_forward=1\n-net.ipv4.conf.lo.rp_filter\nnet.ipv4.conf.all.rp_filter = 1\n\
          net.ipv4.conf.eth0/1.forwarding=1\nnet/ipv4/conf/eth0.2/forwarding=3\nkernel.empty =\n",
    );
    for (name, value) in [
        ("net.ipv4.ip_forward", Some("1")),
        ("net.ipv4.conf.all.rp_filter", Some("1")),
        ("net.ipv4.conf.eth0.rp_filter", Some("2")),
        ("net.ipv4.conf.lo.rp_filter", None),
        ("net.ipv4.conf.a.b.rp_filter", None),
        ("kernel.core_pattern", Some("|/x %p=1")),
        ("kernel.empty", Some("")),
        ("kernel.other", None),
    ] {
        assert_eq!(settings.value(&sysctl_path(name)), value, "{name}");
    }
    assert_eq!(settings.value("net/ipv4/conf/eth0.1/forwarding"), Some("1"));
    assert_eq!(settings.value("net/ipv4/conf/eth0.2/forwarding"), Some("3"));
}

#[test]
fn states_are_enabled_as_the_exit_code_says() {
    for state in ["enabled", "enabled-runtime\n", "static", "alias", "indirect", "generated", "transient"] {
        assert!(is_enabled(state), "{state}");
    }
    for state in ["disabled", "masked", "masked-runtime", "linked", "linked-runtime", "bad", "not-found", ""] {
        assert!(!is_enabled(state), "{state}");
    }
}

#[test]
fn systemctl_show_has_a_block_a_unit() {
    let text = b"Id=ssh.service\nNames=sshd.service ssh.service\nActiveState=active\nUnitFileState=enabled\n\n\
        Id=x.service\nNames=x.service\nActiveState=inactive\nUnitFileState=\n";
    let units = systemctl_show(text);
    assert_eq!(units.len(), 2);
    assert_eq!((units[0].id.as_str(), units[0].unit_file_state.as_str()), ("ssh.service", "enabled"));
    assert_eq!(units[0].names, ["sshd.service", "ssh.service"]);
    assert_eq!(units.iter().map(UnitStatus::is_active).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn install_sections_say_what_enabling_does() {
    let text = b"[Unit]\nWantedBy=no\nAlias=no.service\n[Install]\n# Also=c\nAlias=a.service b.service\n\
        WantedBy =\nAlso= x.socket\n[Service]\nWantedBy=no\n";
    let mut install = install_section(text);
    assert_eq!(
        install,
        Install { aliases: vec!["a.service".into(), "b.service".into()], has_dependents: false, has_also: true }
    );
    assert!(install.has_rules());
    install.extend(install_section(b"[Install]\nRequiredBy=x.target\n"));
    assert!(install.has_dependents);
    assert!(!install_section(b"[Install]\nDefaultInstance=1\n").has_rules());
}

proptest! {
    /// Text that is near to something is read further than noise.
    #[test]
    fn no_reader_panics(noise in proptest::collection::vec(any::<u8>(), 0..300), near in "[a-z0-9A-F:\\\\ /.,=%*?\\[\\]\"()\n\té-]{0,300}") {
        for text in [&noise[..], near.as_bytes()] {
            let accounts = Accounts::new(text, text);
            accounts.user("a");
            for packages in [dpkg_status(text), dpkg_status_d(text), dpkg_query(text), apk_installed(text), rpm_query(text)] {
                prop_assert!(packages.values().all(|versions| !versions.is_empty()));
            }
            pacman_desc(text);
            for order in [ByteOrder::Little, ByteOrder::Big] {
                sockets(text, true, order);
                sockets(text, false, order);
            }
            mountinfo(text);
            fstab(text);
            comm(text);
            let mut settings = SysctlSettings::default();
            settings.add(text);
            settings.value("a/b");
            systemctl_show(text);
            install_section(text);
            Release { lsb_release: Some(text.to_vec()), debian_version: Some(text.to_vec()), ..Release::default() }
                .init_system(|_| true);
        }
    }
}

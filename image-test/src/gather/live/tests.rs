use super::*;
use crate::facts::{CommandResult, FileWanted};
use std::{collections::BTreeSet, fs, process::Command, time::Duration};

async fn look(wanted: &Wanted) -> Facts {
    live(wanted, &Options::default()).await
}

/// What a tool prints, or none where it is not here.
fn output(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output();
    if output.is_err() {
        eprintln!("SKIPPED: {program} is not here to compare with");
    }
    output.ok().map(|output| String::from_utf8(output.stdout).unwrap())
}

#[tokio::test]
async fn files_are_as_stat_and_sha256sum_say() {
    let paths = ["/etc/passwd", "/etc", "/dev/null", "/proc/self", "/proc/version", "/bin/sh", "/tmp"];
    let mut wanted = Wanted::default();
    for path in paths {
        wanted.files.insert(path.into(), FileWanted { contents: true, sha256: true, ..FileWanted::default() });
    }
    let facts = look(&wanted).await;
    for path in paths {
        let Fact::Known(Some(file)) = &facts.files[path] else { panic!("{path}: {:?}", facts.files[path]) };
        let Some(stat) = output("stat", &["-c", "%a %u %g %U %G", path]) else { return };
        let name = |name: &Fact<String>| match name {
            Fact::Known(name) => name.clone(),
            _ => "UNKNOWN".into(),
        };
        let ours = format!("{:o} {} {} {} {}", file.mode, file.uid, file.gid, name(&file.owner), name(&file.group));
        assert_eq!(ours, stat.trim(), "{path}");
    }
    let digest = |path: &str| match &facts.files[path] {
        Fact::Known(Some(file)) => file.sha256.clone(),
        other => panic!("{path}: {other:?}"),
    };
    for path in ["/etc/passwd", "/bin/sh", "/proc/version"] {
        let Some(sum) = output("sha256sum", &[path]) else { return };
        assert_eq!(digest(path), Some(Fact::Known(sum.split(' ').next().unwrap().into())), "{path}");
    }
    for path in ["/etc", "/dev/null"] {
        assert!(matches!(digest(path), Some(Fact::Unknown(_))), "{path}");
    }
}

#[tokio::test]
async fn users_and_groups_are_as_id_and_getent_say() {
    let names = |path: &str| {
        let text = fs::read_to_string(path).unwrap();
        text.lines().map(|line| line.split(':').next().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    let wanted = Wanted { users: names("/etc/passwd"), groups: names("/etc/group"), ..Wanted::default() };
    let facts = look(&wanted).await;
    for name in &wanted.users {
        let Fact::Known(Some(user)) = &facts.users[name] else { panic!("{name}") };
        let (Some(groups), Some(line)) = (output("id", &["-Gn", name]), output("getent", &["passwd", name])) else {
            return;
        };
        let mut groups: Vec<_> = groups.split_whitespace().collect();
        groups.sort_unstable();
        assert_eq!(user.groups, groups, "{name}");
        let fields: Vec<_> = line.trim_end().split(':').collect();
        let (uid, gid) = (user.uid.to_string(), user.gid.to_string());
        assert_eq!([&*uid, &*gid, &*user.home, &*user.shell], [fields[2], fields[3], fields[5], fields[6]], "{name}");
    }
    for name in &wanted.groups {
        let Fact::Known(Some(group)) = &facts.groups[name] else { panic!("{name}") };
        let Some(line) = output("getent", &["group", name]) else { return };
        assert_eq!(line.split(':').nth(2), Some(&*group.gid.to_string()), "{name}");
    }
}

#[tokio::test]
async fn packages_are_as_dpkg_query_says() {
    let Some(listed) = output("dpkg-query", &["-W", "-f", "${Package} ${Status} ${Version}\n"]) else { return };
    let mut wanted = Wanted::default();
    wanted.packages.extend(listed.lines().map(|line| line.split(' ').next().unwrap().to_owned()));
    wanted.packages.insert("no-such-package".into());
    let facts = live(&wanted, &Options { package_manager: Some(PackageManager::Dpkg), ..Options::default() }).await;
    assert_eq!(facts.packages["no-such-package"], Fact::Known(vec![]));
    for name in &wanted.packages {
        let of_name = listed.lines().filter_map(|line| line.strip_prefix(&format!("{name} ")));
        let installed = of_name.filter_map(|rest| {
            rest.strip_prefix("install ok installed ").or_else(|| rest.strip_prefix("hold ok installed "))
        });
        assert_eq!(facts.packages[name], Fact::Known(installed.map(Into::into).collect()), "{name}");
    }
}

#[tokio::test]
async fn the_kernel_is_asked() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let udp_port = udp.local_addr().unwrap().port();
    let comm = fs::read_to_string("/proc/self/comm").unwrap().trim_end().to_owned();
    let (tcp_key, tcp6_key, udp_key) = (format!("tcp:{port}"), format!("tcp6:{port}"), format!("udp:{udp_port}"));
    let wanted = Wanted {
        ports: [&tcp_key, &tcp6_key, &udp_key, &"sctp:1".to_owned()].map(Clone::clone).into(),
        processes: [comm.clone(), "no-such-process".into()].into(),
        kernel_params: ["kernel.ostype", "kernel.no_such", "kernel"].map(Into::into).into(),
        mounts: [("/proc".into(), true), ("/no/such/mount".into(), true)].into(),
        interfaces: ["lo", "no-such-if", "../lo"].map(Into::into).into(),
        ..Wanted::default()
    };
    let facts = look(&wanted).await;

    let loopback = || Fact::Known(BTreeSet::from(["127.0.0.1".to_owned()]));
    assert_eq!((&facts.ports[&tcp_key], &facts.ports[&udp_key]), (&loopback(), &loopback()));
    assert_eq!(facts.ports[&tcp6_key], Fact::Known(BTreeSet::new()));
    assert!(matches!(facts.ports["sctp:1"], Fact::Unknown(_)));
    if comm.contains(['(', ')']) {
        eprintln!("SKIPPED: the name of this process, {comm}, cannot be looked for");
    } else {
        assert_eq!(facts.processes[&comm], Fact::Known(true));
    }
    assert_eq!(facts.processes["no-such-process"], Fact::Known(false));
    assert_eq!(facts.kernel_params["kernel.ostype"], Fact::Known(Some("Linux".into())));
    assert_eq!(facts.kernel_params["kernel.no_such"], Fact::Known(None));
    assert!(matches!(facts.kernel_params["kernel"], Fact::Unknown(_)), "a directory");
    let Fact::Known(Some(proc)) = &facts.mounts["/proc"] else { panic!("{:?}", facts.mounts) };
    assert_eq!((proc.filesystem.as_str(), &proc.usage), ("proc", &Some(Fact::Known(None))), "it has no blocks");
    assert_eq!(facts.mounts["/no/such/mount"], Fact::Known(None));
    let Fact::Known(Some(lo)) = &facts.interfaces["lo"] else { panic!("{:?}", facts.interfaces) };
    assert!(lo.addrs.contains(&"127.0.0.1/8".to_owned()), "{lo:?}");
    assert_eq!(Some(lo.mtu.to_string()), fs::read_to_string("/sys/class/net/lo/mtu").ok().map(|mtu| mtu.trim().into()));
    assert_eq!((&facts.interfaces["no-such-if"], &facts.interfaces["../lo"]), (&Fact::Known(None), &Fact::Known(None)));
}

#[tokio::test]
async fn usage_is_as_df_says() {
    let mounts = fs::read("/proc/self/mountinfo").map(|text| crate::facts::parse::mountinfo(&text)).unwrap();
    let wanted =
        Wanted { mounts: mounts.keys().map(|mountpoint| (mountpoint.clone(), true)).collect(), ..Wanted::default() };
    let facts = look(&wanted).await;
    for mountpoint in mounts.keys() {
        let Some(shown) = output("stat", &["-f", "-c", "%b %f", mountpoint]) else { return };
        let mut numbers = shown.split_whitespace().map(|number| number.parse::<f64>().unwrap());
        let (Some(blocks), Some(free)) = (numbers.next(), numbers.next()) else { continue };
        let Fact::Known(Some(mount)) = &facts.mounts[mountpoint] else { panic!("{mountpoint}") };
        match &mount.usage {
            // Others write at the same time.
            Some(Fact::Known(Some(usage))) => {
                assert!((f64::from(*usage) - (1.0 - free / blocks) * 100.0).abs() <= 2.0, "{mountpoint}: {usage}");
            }
            Some(Fact::Known(None)) => assert_eq!(blocks, 0.0, "{mountpoint}"),
            other => panic!("{mountpoint}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn services_are_as_systemctl_says() {
    let Some(listed) = output("systemctl", &["list-unit-files", "--no-legend", "--root=/"]) else { return };
    let mut wanted = Wanted::default();
    wanted.services.extend(listed.lines().filter_map(|line| Some(line.split_whitespace().next()?.to_owned())));
    wanted.services.extend(["no-such-service", "../x"].map(Into::into));
    let facts = look(&wanted).await;
    assert_eq!(facts.services["../x"].enabled, Fact::Known(false));
    // One that systemd lists is asked for by itself: the slow part of this test.
    for name in wanted.services.iter().filter(|name| !name.contains('/')).step_by(10) {
        for (what, ours) in
            [("is-enabled", &facts.services[name].enabled), ("is-active", &facts.services[name].running)]
        {
            let status = Command::new("systemctl").args(["-q", what, name]).status().unwrap();
            assert_eq!(ours, &Fact::Known(status.success()), "{what} {name}");
        }
    }
}

#[tokio::test]
async fn commands_run_at_once_and_in_time() {
    let mut wanted = Wanted::default();
    let second = Duration::from_secs(60);
    for (key, exec, timeout) in [
        ("says", "echo out; echo err >&2; exit 2", second),
        ("hangs", "sleep 1000", Duration::from_millis(200)),
        ("floods", "yes", second),
    ] {
        wanted.commands.insert(key.into(), CommandWanted { exec: exec.into(), timeout });
    }
    let facts = look(&wanted).await;
    let said = CommandResult::Exited { status: 2, stdout: "out\n".into(), stderr: "err\n".into() };
    assert_eq!(facts.commands["says"], Fact::Known(said));
    assert_eq!(facts.commands["hangs"], Fact::Known(CommandResult::TimedOut));
    let why = "stdout is larger than the limit of 16777216 bytes";
    assert_eq!(facts.commands["floods"], Fact::Unknown(why.into()));
}

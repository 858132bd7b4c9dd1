//! The script in every shell of this host, with its own tools and with those of BusyBox alone.

use super::*;

/// Every shell there is; BusyBox with a directory that holds nothing but its applets.
pub(super) fn shells() -> Vec<(Host, Option<tempfile::TempDir>)> {
    let mut shells = vec![];
    for shell in ["/bin/sh", "/bin/dash", "/bin/bash", "/bin/mksh"] {
        if Path::new(shell).exists() {
            shells.push((Host::with(&[shell]), None));
        } else {
            eprintln!("SKIPPED with {shell}: it is missing");
        }
    }
    if let Some(applets) = applets(&[]) {
        let path = Some(applets.path().display().to_string());
        shells.push((Host { path, ..Host::with(&["/bin/busybox", "sh"]) }, Some(applets)));
    }
    shells
}

/// A directory with the applets of BusyBox, less some.
pub(super) fn applets(without: &[&str]) -> Option<tempfile::TempDir> {
    let Ok(list) = std::process::Command::new("/bin/busybox").arg("--list").output() else {
        eprintln!("SKIPPED with BusyBox: /bin/busybox is missing");
        return None;
    };
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
    for applet in String::from_utf8(list.stdout).unwrap().lines().filter(|applet| !without.contains(applet)) {
        symlink("/bin/busybox", directory.path().join(applet)).unwrap();
    }
    Some(directory)
}

/// The user's shell beside the host's tools: what BusyBox has not is not compared.
fn comparable(mut facts: Facts, has_tools: bool) -> Facts {
    if !has_tools {
        facts.packages.clear();
        facts.services.clear();
    }
    if let Some(Fact::Known(CommandResult::Exited { stderr, .. })) = facts.commands.get_mut("syntax") {
        assert!(!stderr.bytes().is_empty());
        *stderr = Text::default();
    }
    for fact in facts.kernel_params.values_mut().filter(|fact| matches!(fact, Fact::Unknown(_))) {
        *fact = Fact::Unknown(String::new());
    }
    for fact in facts.files.values_mut().filter(|fact| matches!(fact, Fact::Unknown(_))) {
        *fact = Fact::Unknown(String::new());
    }
    facts
}

#[tokio::test]
async fn all_shells_tell_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let wanted = everything(directory.path());
    let mut first: Option<Facts> = None;
    for (host, applets) in shells() {
        let found = facts(&host, &wanted).await;
        assert_eq!(host.round_trips(), 1, "{host:?}");
        let first = first.get_or_insert_with(|| found.clone());
        let has_tools = applets.is_none();
        assert_eq!(comparable(found, has_tools), comparable(first.clone(), has_tools), "{host:?}");
    }
}

#[tokio::test]
async fn facts_are_those_of_independent_tools() {
    let directory = tempfile::tempdir().unwrap();
    let wanted = everything(directory.path());
    let facts = facts(&Host::new(), &wanted).await;
    let path = |name: &str| directory.path().join(name).display().to_string();
    let file = |name: &str| match &facts.files[&path(name)] {
        Fact::Known(Some(file)) => file.clone(),
        other => panic!("{name}: {other:?}"),
    };
    let plain = file("plain");
    assert_eq!((plain.mode, plain.size, plain.filetype.as_str()), (0o640, 5, "file"));
    assert_eq!(plain.contents, Some(Fact::Known("text\n".into())));
    assert_eq!(plain.md5, Some(Fact::Known("e1cbb0c3879af8347246f12c559a86b5".into())));
    assert_eq!(plain.sha256, Some(Fact::Known(image_core::sha256("text\n"))));
    assert_eq!(file("binary").contents, Some(Fact::Known(vec![0, 255, b'\n', 0].into())));
    assert_eq!(file("it's \"odd\"\n$(name)").size, 0);
    assert_eq!(file("-rf").size, 1);
    assert_eq!(file("link").linked_to.as_deref(), Some("somewhere\n"));
    assert_eq!(file("link/").filetype, "symlink");
    assert!(matches!(file("closed/inside").contents, Some(Fact::Unknown(_))));
    assert_eq!(facts.files[&path("none")], Fact::Known(None));
    assert_eq!(facts.files[&path("plain/none")], Fact::Known(None));
    assert_eq!(facts.files["~root/none"], Fact::Known(None));
    for unknown in ["~nobody-here/x", "a\0b"] {
        assert!(matches!(facts.files[unknown], Fact::Unknown(_)), "{unknown:?}: {:?}", facts.files[unknown]);
    }
    assert_eq!(facts.below_files, BTreeSet::from([directory.path().join("plain/none").display().to_string()]));
    let exited = |status, stdout: &str, stderr: &str| {
        Fact::Known(CommandResult::Exited { status, stdout: stdout.into(), stderr: stderr.into() })
    };
    assert_eq!(facts.commands["both"], exited(3, "a\n\n", "b\0c"));
    assert_eq!(facts.commands["markers"], exited(0, "end 1\nstat 0 3\n=ab\nt", ""));
    assert_eq!(facts.commands["input"], exited(0, "", ""));
    #[expect(clippy::disallowed_methods, reason = "the script must leave what this process was started with")]
    let locale = std::env::var("LC_ALL").unwrap_or_else(|_| "none".into());
    assert_eq!(facts.commands["quotes"], exited(0, &format!("it's sh 0 $x {locale}\n"), ""));
    let Fact::Known(Some(root)) = &facts.users["root"] else { panic!("{:?}", facts.users) };
    assert_eq!((root.uid, root.gid, root.home.as_str()), (0, 0, "/root"));
    assert!(root.groups.contains(&"root".to_owned()));
    for name in ["nobody-here", "x*", "a:b"] {
        assert_eq!(facts.users[name], Fact::Known(None));
    }
    assert_eq!(facts.groups["r.ot"], Fact::Known(None));
    let sys = |path: &str| std::fs::read_to_string(format!("/proc/sys/{path}")).unwrap().trim().to_owned();
    assert_eq!(facts.kernel_params["kernel.ostype"], Fact::Known(Some(sys("kernel/ostype"))));
    let range = sys("net/ipv4/ip_local_port_range");
    assert_eq!(facts.kernel_params["net.ipv4.ip_local_port_range"], Fact::Known(Some(range)));
    assert_eq!(facts.kernel_params["no.such"], Fact::Known(None));
    let Fact::Known(Some(proc)) = &facts.mounts["/proc"] else { panic!("{:?}", facts.mounts) };
    assert_eq!((proc.filesystem.as_str(), &proc.usage), ("proc", &Some(Fact::Known(None))));
    assert_eq!(facts.mounts["/no such"], Fact::Known(None));
    assert_eq!(facts.ports["tcp:1"], Fact::Known(BTreeSet::new()));
    assert!(matches!(facts.ports["tcp:x"], Fact::Unknown(_)));
    assert_eq!(facts.interfaces["none0"], Fact::Known(None));
    assert_eq!(facts.processes["nothing-here"], Fact::Known(false));
    assert_eq!(facts.services["a/b"].enabled, Fact::Known(false));
    if Path::new("/usr/bin/dpkg-query").exists() {
        let version = std::process::Command::new("dpkg-query").args(["-W", "-f", "${Version}", "dpkg"]).output();
        let version = String::from_utf8(version.unwrap().stdout).unwrap();
        assert_eq!(facts.packages["dpkg"], Fact::Known(vec![version]));
        assert_eq!(facts.packages["nothing-here"], Fact::Known(vec![]));
        assert!(matches!(facts.packages["-x"], Fact::Unknown(_)));
    } else {
        eprintln!("SKIPPED for packages: dpkg-query is missing");
    }
}

#[tokio::test]
async fn what_may_not_be_looked_at_is_unknown() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let wanted = everything(directory.path());
    let program = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/bin/sh"];
    let able = std::process::Command::new(program[0]).args(&program[1..]).args(["-c", "true"]).output();
    if !able.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: setpriv cannot change the user here");
        return;
    }
    let facts = facts(&Host::with(&program), &wanted).await;
    let path = |name: &str| directory.path().join(name).display().to_string();
    let inside = &facts.files[&path("closed/inside")];
    assert!(matches!(inside, Fact::Unknown(why) if why.contains("Permission denied")), "{inside:?}");
    let Fact::Known(Some(plain)) = &facts.files[&path("plain")] else { panic!("{:?}", facts.files) };
    assert_eq!(plain.size, 5);
    assert!(matches!(plain.contents, Some(Fact::Unknown(_))), "{plain:?}");
    assert!(matches!(plain.sha256, Some(Fact::Unknown(_))), "{plain:?}");
    assert_eq!(facts.files[&path("none")], Fact::Known(None));
}

#[tokio::test]
async fn without_a_tool_only_its_facts_are_unknown() {
    let directory = tempfile::tempdir().unwrap();
    let wanted = everything(directory.path());
    // The host's shell looks tools up; that of BusyBox may have its applets built in.
    for without in [&["gzip"][..], &["base64"], &["base64", "gzip", "sha256sum"], &["setsid"]] {
        let Some(applets) = applets(without) else { return };
        if !applets.path().join("cksum").exists() {
            // Some builds of BusyBox have none.
            symlink("/usr/bin/cksum", applets.path().join("cksum")).unwrap();
        }
        let path = Some(applets.path().display().to_string());
        let found = facts(&Host { path, ..Host::new() }, &wanted).await;
        let Fact::Known(Some(plain)) = &found.files[&directory.path().join("plain").display().to_string()] else {
            panic!("{without:?}: {:?}", found.files)
        };
        assert_eq!(matches!(plain.sha256, Some(Fact::Known(_))), !without.contains(&"sha256sum"), "{plain:?}");
        assert_eq!(plain.contents, Some(Fact::Known("text\n".into())), "{without:?}");
    }
    let Some(bare) = applets(&["sha256sum", "cksum"]) else { return };
    let host = Host { path: Some(bare.path().display().to_string()), ..Host::new() };
    let error = gather(&context().await, &host, &wanted, &ProbeOptions::default()).await.unwrap_err();
    assert!(error.to_string().contains("no sha256sum, openssl or cksum"), "{error}");
    let Some(applets) = applets(&["od", "stat", "cat"]) else { return };
    let path = Some(applets.path().display().to_string());
    let found = facts(&Host { path, ..Host::new() }, &wanted).await;
    let unknown = |fact: &Fact<_>| matches!(fact, Fact::Unknown(why) if why.contains("there is no"));
    assert!(found.commands.values().all(unknown), "{:?}", found.commands);
    assert!(found.files.values().all(|fact| matches!(fact, Fact::Unknown(_))), "{:?}", found.files);
    assert_eq!(found.groups["nobody-here"], Fact::Known(None));
}

/// Ids of processes whose command line has the mark.
fn marked(mark: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let has_mark = |path: &std::path::PathBuf| {
        std::fs::read(path.join("cmdline")).is_ok_and(|line| line.windows(mark.len()).any(|w| w == mark.as_bytes()))
    };
    processes.filter(has_mark).map(|path| path.display().to_string()).collect()
}

#[tokio::test]
async fn commands_are_bounded_and_leave_nothing() {
    for (host, _applets) in shells() {
        let mark = format!("86{}", uuid::Uuid::new_v4().as_u128() % 1_000_000_000);
        let mut wanted = Wanted::default();
        wanted.commands.insert("hangs".into(), command(format!("sleep {mark}"), 300));
        wanted
            .commands
            .insert("ignores".into(), command(format!("trap '' TERM INT HUP; sleep {mark}; sleep {mark}"), 300));
        // It keeps the output open, so that this is not over before it is.
        wanted.commands.insert("background".into(), command(format!("sleep {mark} & echo started"), 300));
        wanted.commands.insert("daemon".into(), command(format!("sleep {mark} >/dev/null 2>&1 & echo started"), 9000));
        wanted.commands.insert("large".into(), command("head -c 100000000 /dev/zero; echo done >&2", 60000));
        wanted.commands.insert("kills".into(), command("kill -9 0", 9000));
        wanted.commands.insert("ends".into(), command("exit 7", 9000));
        let facts = facts(&host, &wanted).await;
        for name in ["hangs", "ignores", "background"] {
            assert_eq!(facts.commands[name], Fact::Known(CommandResult::TimedOut), "{host:?} {name}");
        }
        let started = CommandResult::Exited { status: 0, stdout: "started\n".into(), stderr: Text::default() };
        assert_eq!(facts.commands["daemon"], Fact::Known(started), "{host:?}");
        assert!(matches!(&facts.commands["large"], Fact::Unknown(why) if why.contains("more than")), "{host:?}");
        let status = |name: &str| match &facts.commands[name] {
            Fact::Known(CommandResult::Exited { status, .. }) => *status,
            other => panic!("{host:?}: {other:?}"),
        };
        assert_eq!((status("kills"), status("ends")), (137, 7), "{host:?}");
        assert_eq!(marked(&mark), Vec::<String>::new(), "{host:?}");
    }
}

#[tokio::test]
async fn commands_are_bounded_without_setsid() {
    let Some(applets) = applets(&["setsid"]) else { return };
    let host = Host { path: Some(applets.path().display().to_string()), ..Host::new() };
    let mark = format!("87{}", uuid::Uuid::new_v4().as_u128() % 1_000_000_000);
    let mut wanted = Wanted::default();
    wanted.commands.insert("hangs".into(), command(format!("sleep {mark}; sleep {mark}"), 300));
    wanted.commands.insert("daemon".into(), command("sleep 20 & echo started", 300));
    wanted.commands.insert("ends".into(), command("exit 7", 9000));
    let facts = facts(&host, &wanted).await;
    assert_eq!(facts.commands["hangs"], Fact::Known(CommandResult::TimedOut));
    assert_eq!(facts.commands["daemon"], Fact::Known(CommandResult::TimedOut));
    let ended = CommandResult::Exited { status: 7, stdout: Text::default(), stderr: Text::default() };
    assert_eq!(facts.commands["ends"], Fact::Known(ended));
    assert_eq!(marked(&mark), Vec::<String>::new());
}

/// A daemon in a session of its own is out of reach, and yet does not hold the probe.
#[tokio::test]
async fn a_daemon_that_keeps_the_output_open_does_not_hold_the_probe() {
    for (host, _applets) in shells() {
        let mut wanted = Wanted::default();
        wanted.commands.insert("daemon".into(), command("setsid sleep 20 & echo started", 300));
        let started = std::time::Instant::now();
        let facts = facts(&host, &wanted).await;
        assert_eq!(facts.commands["daemon"], Fact::Known(CommandResult::TimedOut), "{host:?}");
        assert!(started.elapsed() < Duration::from_secs(15), "the probe waited for the daemon of {host:?}");
    }
}

#[tokio::test]
async fn sockets_are_told() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let open = listener.local_addr().unwrap().port();
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    for (host, _applets) in shells() {
        let mut wanted = Wanted::default();
        wanted.ports.extend([format!("tcp:{open}"), format!("tcp6:{open}")]);
        for (key, address) in [("open", format!("127.0.0.1:{open}")), ("closed", format!("tcp://127.0.0.1:{closed}"))] {
            let timeout = Duration::from_secs(2);
            wanted.addrs.insert(key.into(), AddrWanted { address, timeout, local_address: None });
        }
        let facts = facts(&host, &wanted).await;
        assert_eq!(facts.ports[&format!("tcp:{open}")], Fact::Known(BTreeSet::from(["127.0.0.1".into()])), "{host:?}");
        assert_eq!(facts.ports[&format!("tcp6:{open}")], Fact::Known(BTreeSet::new()), "{host:?}");
        assert_eq!(facts.addrs["open"], Fact::Known(true), "{host:?}");
        assert_eq!(facts.addrs["closed"], Fact::Known(false), "{host:?}");
    }
}

/// Nothing that both know is told differently by the gatherer that runs on the machine.
#[tokio::test]
async fn the_probe_agrees_with_the_local_gatherer() {
    fn compare<T: PartialEq + std::fmt::Debug>(
        probed: &std::collections::BTreeMap<String, Fact<T>>,
        live: &std::collections::BTreeMap<String, Fact<T>>,
    ) {
        assert!(probed.keys().eq(live.keys()));
        for (key, fact) in probed {
            if let (Fact::Known(probed), Fact::Known(live)) = (fact, &live[key]) {
                assert_eq!(probed, live, "{key:?}");
            }
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let mut wanted = everything(directory.path());
    // What a shell's version says of a syntax error is its own, and why contents are unknown is in the tool's words.
    wanted.commands.remove("syntax");
    // The two have other working directories.
    wanted.files.retain(|path, _| path.starts_with(['/', '~']));
    let reads_alike = |path: &String| {
        !path.ends_with(['/', '~']) && !["inside", "link", "/etc"].iter().any(|end| path.ends_with(end))
    };
    wanted.files.iter_mut().filter(|(path, _)| !reads_alike(path)).for_each(|(_, file)| *file = FileWanted::default());
    let probed = facts(&Host::new(), &wanted).await;
    let live = crate::gather::live(&wanted, &crate::gather::Options::default()).await;
    compare(&probed.commands, &live.commands);
    compare(&probed.files, &live.files);
    assert_eq!(probed.below_files, live.below_files);
    compare(&probed.dns, &live.dns);
    compare(&probed.groups, &live.groups);
    compare(&probed.interfaces, &live.interfaces);
    compare(&probed.kernel_params, &live.kernel_params);
    compare(&probed.mounts, &live.mounts);
    compare(&probed.packages, &live.packages);
    compare(&probed.ports, &live.ports);
    compare(&probed.processes, &live.processes);
    compare(&probed.users, &live.users);
    for (name, service) in &probed.services {
        if let (Fact::Known(probed), Fact::Known(live)) = (&service.enabled, &live.services[name].enabled) {
            assert_eq!(probed, live, "{name}");
        }
    }
}

/// A server that answers one request and tells what was asked.
fn serve() -> (u16, std::thread::JoinHandle<String>) {
    use std::io::{BufRead, BufReader, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = move || {
        let (mut stream, _) = listener.accept().unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let request: Vec<String> = lines.map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
        let answer = "HTTP/1.1 404 Not Found\r\nx-thing: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\ngone\n";
        stream.write_all(answer.as_bytes()).unwrap();
        request.join("\n")
    };
    (port, std::thread::spawn(server))
}

#[tokio::test]
async fn requests_are_made_with_curl() {
    if !Path::new("/usr/bin/curl").exists() {
        eprintln!("SKIPPED: curl is missing");
        return;
    }
    let (port, server) = serve();
    let mut request = crate::HttpRequest::new(format!("http://127.0.0.1:{port}/a b[1]").replace(' ', "%20"));
    request.headers.push("X-Odd: it's \"a\\b\"".into());
    (request.username, request.password) = (Some("me".into()), Some("'\"$(id)".into()));
    let mut wanted = Wanted::default();
    wanted.http.insert("page".into(), request);
    let script = Script::compile(&wanted, &Nonce::random(), &ProbeOptions::default()).unwrap();
    assert!(!script.plain().contains("$(id)"), "a password is in the script");
    wanted.commands.insert("environment".into(), command("env | grep -c CREDENTIALS", 9000));
    let facts = facts(&Host::new(), &wanted).await;
    let Fact::Known(response) = &facts.http["page"] else { panic!("{:?}", facts.http) };
    assert_eq!((response.status, &response.body), (404, &Text::from("gone\n")));
    assert_eq!(response.headers, Text::from("Connection: close\nContent-Length: 5\nX-Thing: a"));
    let Fact::Known(CommandResult::Exited { stdout, .. }) = &facts.commands["environment"] else { panic!("{facts:?}") };
    assert_eq!(stdout, &Text::from("0\n"));
    let request = server.join().unwrap();
    assert!(request.starts_with("GET /a%20b[1] HTTP/1.1"), "{request}");
    assert!(request.contains("X-Odd: it's \"a\\b\""), "{request}");
    // printf %s 'me:'\''"$(id)' | base64
    assert!(request.contains("Authorization: Basic bWU6JyIkKGlkKQ=="), "{request}");
}

/// The tools of BusyBox, and GNU wget in place of its own.
#[tokio::test]
async fn requests_are_made_with_wget_where_there_is_no_curl() {
    let Some(applets) = applets(&["wget", "curl"]) else { return };
    let path = Some(applets.path().display().to_string());
    let host = Host { path, ..Host::new() };
    let mut wanted = Wanted::default();
    let mut add = |key: &str, request: crate::HttpRequest| wanted.http.insert(key.into(), request);
    let mut with_password = crate::HttpRequest::new("http://127.0.0.1:1/");
    with_password.password = Some("pw".into());
    add("password", with_password);
    let why = |facts: &Facts, key: &str| match &facts.http[key] {
        Fact::Unknown(why) => why.clone(),
        other => panic!("{other:?}"),
    };
    let (port, server) = serve();
    let mut request = crate::HttpRequest::new(format!("http://127.0.0.1:{port}/a[1]"));
    request.headers.push("X-Odd: it's \"a\\b\"".into());
    add("page", request);
    let found = facts(&host, &wanted).await;
    assert_eq!(why(&found, "page"), "there is no curl, and no GNU wget");
    assert_eq!(why(&found, "password"), "there is no curl, and wget would show the credentials");
    let wget = std::process::Command::new("/usr/bin/wget").arg("--version").output();
    if !wget.is_ok_and(|output| output.stdout.starts_with(b"GNU Wget")) {
        eprintln!("SKIPPED: GNU wget is missing");
        drop(std::net::TcpStream::connect(("127.0.0.1", port)));
        return;
    }
    symlink("/usr/bin/wget", applets.path().join("wget")).unwrap();
    let found = facts(&host, &wanted).await;
    let Fact::Known(response) = &found.http["page"] else { panic!("{:?}", found.http) };
    assert_eq!((response.status, &response.body), (404, &Text::from("gone\n")));
    assert_eq!(response.headers, Text::from("Connection: close\nContent-Length: 5\nX-Thing: a"));
    let request = server.join().unwrap();
    assert!(request.starts_with("GET /a") && request.contains("X-Odd: it's \"a\\b\""), "{request}");
    assert!(request.contains("User-Agent: image-test/"), "{request}");
}

#[tokio::test]
async fn a_name_that_no_database_has_is_not_resolvable() {
    if !Path::new("/usr/bin/getent").exists() {
        eprintln!("SKIPPED: getent is missing");
        return;
    }
    let mut wanted = Wanted::default();
    let dns = |resolve: &str| DnsWanted { resolve: resolve.into(), server: None, timeout: Duration::from_secs(60) };
    // Never in any database, and answered without a look at the network.
    wanted.dns.insert("none".into(), dns("nothing.invalid"));
    wanted.dns.insert("localhost".into(), dns("localhost"));
    let facts = facts(&Host::new(), &wanted).await;
    let Fact::Known(none) = &facts.dns["none"] else { panic!("{:?}", facts.dns) };
    assert!(!none.resolvable && none.addrs.is_empty(), "{none:?}");
    assert!(matches!(&facts.dns["localhost"], Fact::Known(found) if found.resolvable), "{:?}", facts.dns);
}

use super::*;
use crate::{
    Fact, HttpRequest, Kind, Retry, Text, Value as Untyped,
    facts::{
        CommandResult, FileFacts, GroupFacts, InterfaceFacts, MountFacts, Resolution, Response, ServiceFacts, UserFacts,
    },
};
use Attribute::*;
use Compat::{Fixed, Goss};
use image_core::Verdict;
use std::collections::BTreeSet;

fn strings(items: &[&str]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

fn set(items: &[&str]) -> Fact<BTreeSet<String>> {
    Fact::Known(items.iter().map(ToString::to_string).collect())
}

fn passwd() -> FileFacts {
    FileFacts {
        filetype: "file".into(),
        mode: 0o644,
        size: 12,
        uid: 0,
        owner: Fact::Known("root".into()),
        gid: 42,
        group: Fact::Known("shadow".into()),
        linked_to: None,
        contents: Some(Fact::Known("root:x:0:0\n".into())),
        md5: Some(Fact::Known("m".into())),
        sha256: Some(Fact::Known("s2".into())),
        sha512: Some(Fact::Known("s5".into())),
    }
}

fn mounted(usage: Option<u8>) -> MountFacts {
    MountFacts {
        opts: strings(&["rw", "relatime"]),
        vfs_opts: Fact::Known(strings(&["rw", "errors=remount-ro"])),
        source: "/dev/vda1".into(),
        filesystem: "ext4".into(),
        usage: Some(Fact::Known(usage)),
    }
}

/// A small system with one thing of each kind.
fn system() -> Facts {
    let mut facts = Facts::default();
    facts.addrs.insert("up:1".into(), Fact::Known(true));
    let exited = CommandResult::Exited { status: 3, stdout: "out\n".into(), stderr: "err\n".into() };
    facts.commands.insert("run".into(), Fact::Known(exited));
    facts.commands.insert("slow".into(), Fact::Known(CommandResult::TimedOut));
    let found = Resolution { resolvable: true, addrs: strings(&["127.0.0.1", "::1"]) };
    facts.dns.insert("localhost".into(), Fact::Known(found));
    facts.files.insert("/etc/passwd".into(), Fact::Known(Some(passwd())));
    let link = FileFacts { filetype: "symlink".into(), linked_to: Some("passwd".into()), ..passwd() };
    facts.files.insert("/link".into(), Fact::Known(Some(link)));
    let directory = FileFacts { filetype: "directory".into(), contents: None, ..passwd() };
    facts.files.insert("/etc".into(), Fact::Known(Some(directory)));
    let nameless = Fact::Unknown("no user has the id".into());
    let orphan = FileFacts { uid: 1234, gid: 1234, owner: nameless.clone(), group: nameless, ..passwd() };
    facts.files.insert("/orphan".into(), Fact::Known(Some(orphan)));
    facts.files.insert("/none".into(), Fact::Known(None));
    facts.files.insert("/etc/passwd/below".into(), Fact::Known(None));
    facts.below_files.insert("/etc/passwd/below".into());
    facts.files.insert("/hidden".into(), Fact::Unknown("permission denied".into()));
    facts.groups.insert("shadow".into(), Fact::Known(Some(GroupFacts { gid: 42 })));
    let response = Response { status: 200, headers: "Server: x".into(), body: "hello".into() };
    facts.http.insert("http://up/".into(), Fact::Known(response));
    for (url, connection) in
        [("http://closes/", "close"), ("http://lists/", "x, Close"), ("http://stays/", "keep-alive")]
    {
        let headers = Text::from(format!("Connection: {connection}\nServer: x").as_str());
        facts.http.insert(url.into(), Fact::Known(Response { status: 200, headers, body: "".into() }));
    }
    let interface = InterfaceFacts { addrs: strings(&["127.0.0.1/8"]), mtu: 65536 };
    facts.interfaces.insert("lo".into(), Fact::Known(Some(interface)));
    facts.kernel_params.insert("kernel.ostype".into(), Fact::Known(Some("Linux".into())));
    facts.kernel_params.insert("kernel.none".into(), Fact::Known(None));
    facts.mounts.insert("/".into(), Fact::Known(Some(mounted(Some(40)))));
    facts.mounts.insert("/proc".into(), Fact::Known(Some(mounted(None))));
    facts.mounts.insert("/none".into(), Fact::Known(None));
    facts.packages.insert("bash".into(), Fact::Known(strings(&["5.2-1"])));
    facts.packages.insert("none".into(), Fact::Known(vec![]));
    for (port, addresses) in [("tcp:80", set(&["10.0.0.1"])), ("tcp6:80", set(&["FE80::1"]))] {
        facts.ports.insert(port.into(), addresses);
    }
    for (port, addresses) in [("tcp:22", set(&[])), ("tcp6:22", set(&["::"]))] {
        facts.ports.insert(port.into(), addresses);
    }
    for (port, addresses) in [("tcp:21", set(&[])), ("tcp6:21", set(&["127.0.0.1"]))] {
        facts.ports.insert(port.into(), addresses);
    }
    facts.ports.insert("udp:53".into(), set(&["127.0.0.1"]));
    facts.ports.insert("udp6:53".into(), Fact::Unknown("cannot be read".into()));
    facts.processes.insert("init".into(), Fact::Known(true));
    let service = ServiceFacts {
        enabled: Fact::Known(true),
        running: Fact::NotApplicable("it does not run".into()),
        runlevels: Fact::Known(strings(&["default"])),
    };
    facts.services.insert("cron".into(), service);
    let user =
        UserFacts { uid: 0, gid: 0, home: "/root".into(), groups: strings(&["adm", "root"]), shell: "/bin/sh".into() };
    facts.users.insert("root".into(), Fact::Known(Some(user)));
    facts
}

fn target(kind: Kind, name: &str) -> Target {
    let name = name.to_owned();
    match kind {
        Kind::Addr => Target::Addr { address: name, timeout: None, local_address: None },
        Kind::Command => Target::Command { exec: name, timeout: None, retry: Retry::default() },
        Kind::Dns => Target::Dns { resolve: name, server: None, timeout: None, retry: Retry::default() },
        Kind::File => Target::File(name),
        Kind::Group => Target::Group(name),
        Kind::Http => Target::Http(Box::new(HttpRequest::new(name))),
        Kind::Interface => Target::Interface(name),
        Kind::KernelParam => Target::KernelParam(name),
        Kind::Matching => Target::Matching { content: name.into(), as_reader: false },
        Kind::Mount => Target::Mount { mountpoint: name, timeout: None },
        Kind::Package => Target::Package { name, retry: Retry::default() },
        Kind::Port => Target::Port(name),
        Kind::Process => Target::Process(name),
        Kind::Registry => Target::Registry(name),
        Kind::Service => Target::Service(name),
        Kind::User => Target::User(name),
    }
}

/// A resource that expects its first attribute to be true, and one more.
fn resource(kind: Kind, name: &str, attribute: Attribute, matcher: impl Into<Matcher>) -> Resource {
    let mut resource = Resource::new(name, target(kind, name));
    if let Some(first) = kind.attributes().first().filter(|_| kind.requires_first() && kind != Kind::Service) {
        resource.expect(*first, if kind == Kind::Http { Matcher::from(200) } else { true.into() });
    }
    resource.expect(attribute, matcher);
    resource
}

/// What comes of the last expectation of a resource.
fn last(resource: &Resource, compat: Compat) -> Finding {
    evaluate_resource(resource, &system(), compat).pop().unwrap().finding
}

fn verdict(kind: Kind, name: &str, attribute: Attribute, matcher: impl Into<Matcher>, compat: Compat) -> Verdict {
    last(&resource(kind, name, attribute, matcher), compat).verdict()
}

#[test]
fn every_attribute_holds_and_fails() {
    use Kind::*;
    let list = |items: &[&str]| Matcher::from(strings(items));
    let rows: Vec<(Kind, &str, Attribute, Matcher, Matcher)> = vec![
        (Addr, "up:1", Reachable, true.into(), false.into()),
        (Command, "run", ExitStatus, 3.into(), 0.into()),
        (Command, "run", Stdout, "out\n".into(), "out".into()),
        (Command, "run", Stderr, Matcher::HavePatterns(strings(&["err"])), Matcher::HavePatterns(strings(&["!err"]))),
        (Dns, "localhost", Resolvable, true.into(), false.into()),
        (Dns, "localhost", Addrs, list(&["::1"]), list(&["::2"])),
        (File, "/etc/passwd", Exists, true.into(), false.into()),
        (File, "/etc/passwd", Mode, "0644".into(), "644".into()),
        (File, "/etc/passwd", Owner, "root".into(), "0".into()),
        (File, "/etc/passwd", Uid, 0.into(), 1.into()),
        (File, "/etc/passwd", Attribute::Group, "shadow".into(), "root".into()),
        (File, "/etc/passwd", Gid, 42.into(), 0.into()),
        (File, "/link", LinkedTo, "passwd".into(), "/etc/passwd".into()),
        (File, "/etc/passwd", Filetype, "file".into(), "symlink".into()),
        (File, "/etc/passwd", Contains, Matcher::HavePatterns(strings(&["root"])), "root".into()),
        (File, "/etc/passwd", Contents, Matcher::HavePatterns(strings(&["/^root/"])), "root".into()),
        (File, "/etc/passwd", Size, 12.into(), 13.into()),
        (File, "/etc/passwd", Md5, "m".into(), "M".into()),
        (File, "/etc/passwd", Sha256, "s2".into(), "s5".into()),
        (File, "/etc/passwd", Sha512, "s5".into(), "s2".into()),
        (Group, "shadow", Exists, true.into(), false.into()),
        (Group, "shadow", Gid, 42.into(), 0.into()),
        (Http, "http://up/", Status, 200.into(), 404.into()),
        (Http, "http://up/", Headers, "Server: x".into(), "".into()),
        (Http, "http://up/", Body, "hello".into(), "".into()),
        (Interface, "lo", Exists, true.into(), false.into()),
        (Interface, "lo", Addrs, list(&["127.0.0.1/8"]), list(&["127.0.0.1"])),
        (Interface, "lo", Mtu, 65536.into(), 1500.into()),
        (KernelParam, "kernel.ostype", Value, "Linux".into(), "Plan 9".into()),
        (Matching, "text", Matches, "text".into(), "other".into()),
        (Mount, "/", Exists, true.into(), false.into()),
        (Mount, "/", Opts, list(&["relatime"]), list(&["noexec"])),
        (Mount, "/", VfsOpts, list(&["errors=remount-ro"]), list(&["relatime"])),
        (Mount, "/", Source, "/dev/vda1".into(), "vda1".into()),
        (Mount, "/", Filesystem, "ext4".into(), "xfs".into()),
        (Mount, "/", Usage, 40.into(), 41.into()),
        (Package, "bash", Installed, true.into(), false.into()),
        (Package, "bash", Versions, list(&["5.2-1"]), list(&["5.2"])),
        (Port, "80", Listening, true.into(), false.into()),
        (Port, "tcp:80", Ip, list(&["10.0.0.1"]), list(&["FE80::1"])),
        (Port, "tcp6:80", Ip, list(&["FE80::1"]), list(&["10.0.0.1"])),
        (Port, "udp:53", Listening, true.into(), false.into()),
        (Process, "init", Running, true.into(), false.into()),
        (Service, "cron", Enabled, true.into(), false.into()),
        (Service, "cron", Runlevels, list(&["default"]), list(&["boot"])),
        (Service, "/path", Running, false.into(), true.into()),
        (User, "root", Exists, true.into(), false.into()),
        (User, "root", Uid, 0.into(), 1.into()),
        (User, "root", Gid, 0.into(), 1.into()),
        (User, "root", Home, "/root".into(), "/".into()),
        (User, "root", Groups, list(&["root"]), list(&["wheel"])),
        (User, "root", Shell, "/bin/sh".into(), "/bin/bash".into()),
    ];
    for (kind, name, attribute, holds, fails) in &rows {
        for compat in [Goss, Fixed] {
            let found = last(&resource(*kind, name, *attribute, holds.clone()), compat);
            assert_eq!(found.verdict(), Verdict::Pass, "{compat:?} {kind} {name} {attribute} {holds:?}: {found:?}");
            let found = last(&resource(*kind, name, *attribute, fails.clone()), compat);
            assert!(matches!(found, Finding::Fail(_)), "{compat:?} {kind} {name} {attribute} {fails:?}: {found:?}");
        }
    }
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Registry) {
        for attribute in kind.attributes() {
            let tested = rows.iter().any(|(k, _, a, ..)| (k, a) == (&kind, attribute));
            assert!(tested, "{kind} {attribute} has no row");
        }
    }
}

#[test]
fn quirks_differ_and_are_never_a_wrong_pass() {
    use Kind::*;
    use Verdict::{Fail, NotApplicable, Pass, Unknown};
    for (kind, name, attribute, matcher, goss, fixed) in [
        (Mount, "/none", Exists, Matcher::from(false), Fail, Pass),
        (Mount, "/none", Exists, true.into(), Fail, Fail),
        (Mount, "/proc", Usage, 0.into(), Fail, Pass),
        (Mount, "/proc", Usage, i64::MIN.into(), Pass, Fail),
        (Port, "22", Listening, true.into(), Fail, Pass),
        (Port, "22", Listening, false.into(), Pass, Fail),
        (Port, "21", Listening, true.into(), Fail, Pass),
        (Port, "udp:53", Listening, true.into(), Pass, Pass),
        (File, "/etc/passwd/below", Exists, false.into(), Fail, Pass),
        (File, "/etc/passwd/below", Exists, true.into(), Fail, Fail),
        (Http, "http://closes/", Headers, "Connection: close\nServer: x".into(), Fail, Pass),
        (Http, "http://closes/", Headers, "Server: x".into(), Pass, Fail),
        (Http, "http://closes/", Headers, Matcher::HavePatterns(strings(&["!Connection"])), Pass, Fail),
        (Http, "http://lists/", Headers, "Server: x".into(), Pass, Fail),
        (Http, "http://stays/", Headers, Matcher::HavePatterns(strings(&["Connection"])), Pass, Pass),
        (File, "/orphan", Owner, "1234".into(), Fail, Pass),
        (File, "/orphan", Owner, "root".into(), Fail, Unknown),
        (File, "/orphan", Owner, Matcher::Not(Box::new("root".into())), Fail, Unknown),
        (File, "/orphan", Attribute::Group, 1234.into(), Fail, Pass),
        (Command, "slow", ExitStatus, 0.into(), Fail, Unknown),
        (Command, "slow", Stdout, "".into(), Fail, Unknown),
        (File, "/hidden", Exists, false.into(), Fail, Unknown),
        (File, "/forgotten", Exists, false.into(), Fail, Unknown),
        (Service, "cron", Running, true.into(), Fail, NotApplicable),
        (Registry, r"HKLM\x::y", Exists, false.into(), Fail, NotApplicable),
    ] {
        assert_eq!(verdict(kind, name, attribute, matcher.clone(), Goss), goss, "goss: {kind} {name} {matcher:?}");
        assert_eq!(verdict(kind, name, attribute, matcher.clone(), Fixed), fixed, "fixed: {kind} {name} {matcher:?}");
    }
}

#[test]
fn what_cannot_be_compared_fails_everywhere() {
    use Kind::*;
    for (kind, name, attribute) in [
        (File, "/etc", Contents),
        (File, "/etc/passwd", LinkedTo),
        (KernelParam, "kernel.none", Value),
        (File, "/etc/passwd", Mtu),
    ] {
        let mut resource = Resource::new(name, target(kind, name));
        if kind == File {
            resource.expect(Exists, true);
        }
        resource.expectations.push(Expectation::new(attribute, Matcher::Not(Box::new("x".into()))));
        for compat in [Goss, Fixed] {
            let outcomes = evaluate_resource(&resource, &system(), compat);
            // Evaluation asks only for attributes of the type.
            let expected = if attribute == Mtu { Verdict::Pass } else { Verdict::Fail };
            assert_eq!(outcomes.last().unwrap().verdict(), expected, "{compat:?} {kind} {name} {attribute}");
        }
    }
}

fn verdicts(resource: &Resource, compat: Compat) -> Vec<Verdict> {
    evaluate_resource(resource, &system(), compat).iter().map(Outcome::verdict).collect()
}

#[test]
fn a_failed_first_attribute_skips_the_others() {
    use Verdict::{Fail, NotApplicable, Pass, Skip, Unknown};
    let file = |name, exists: bool| {
        let mut file = resource(Kind::File, name, Mode, "0644");
        file.expect(Exists, exists);
        file
    };
    for compat in [Goss, Fixed] {
        assert_eq!(verdicts(&file("/etc/passwd", true), compat), [Pass, Pass]);
        assert_eq!(verdicts(&file("/etc/passwd", false), compat), [Fail, Skip]);
        assert_eq!(verdicts(&file("/none", true), compat), [Fail, Skip]);
        assert_eq!(verdicts(&file("/none", false), compat), [Pass, Skip], "it is rightly not there");
        let mut command = resource(Kind::Command, "run", Stdout, "out\n");
        command.expect(ExitStatus, 0);
        assert_eq!(verdicts(&command, compat), [Fail, Pass], "commands have no chain");
    }
    assert_eq!(verdicts(&file("/hidden", true), Goss), [Fail, Skip]);
    assert_eq!(verdicts(&file("/hidden", true), Fixed), [Unknown, Unknown]);
    let mut service = resource(Kind::Service, "cron", Running, true);
    service.expect(Enabled, false);
    assert_eq!(verdicts(&service, Goss), [Fail, Fail]);
    assert_eq!(verdicts(&service, Fixed), [Fail, NotApplicable]);
}

#[test]
fn a_missing_first_attribute_is_an_error_unless_skipped() {
    let mut file = Resource::new("/etc/passwd", Target::File("/etc/passwd".into()));
    file.expect(Mode, "0644");
    for compat in [Goss, Fixed] {
        let outcomes = evaluate_resource(&file, &system(), compat);
        assert_eq!(outcomes[0].finding.reason(), Some("Syntax Error: Missing required attribute"));
        assert_eq!(outcomes[1].finding, Finding::Skip);
    }
    file.skip = true;
    assert_eq!(verdicts(&file, Goss), [Verdict::Skip; 2]);
    assert_eq!(verdicts(&Resource::new("cron", Target::Service("cron".into())), Goss), []);
}

#[test]
fn an_empty_list_on_text_asserts_nothing() {
    for matcher in [Matcher::Has(vec![]), Matcher::HavePatterns(vec![])] {
        let mut file = resource(Kind::File, "/etc/passwd", Contents, matcher.clone());
        file.expect(Mode, "0644");
        assert_eq!(verdicts(&file, Goss).len(), 2, "{matcher:?}");
    }
    assert_eq!(verdict(Kind::Service, "cron", Runlevels, Matcher::Has(vec![]), Goss), Verdict::Pass);
}

#[test]
fn outcomes_carry_what_reports_show() {
    let mut file = Resource::new("users", Target::File("/etc/passwd".into()));
    file.title = Some("The users".into());
    file.expect(Exists, true);
    file.expect(LinkedTo, "x");
    let mut suite = Suite::new();
    suite.insert(file);
    suite.insert(resource(Kind::Command, "run", ExitStatus, 3));
    let outcomes = evaluate(&suite, &system(), Fixed);
    let shown: Vec<_> = outcomes.iter().map(|o| (o.kind.name(), &*o.id, o.attribute.report_name())).collect();
    assert_eq!(
        shown,
        [
            ("Command", "run", "exit-status"),
            ("File", "users: /etc/passwd", "exists"),
            ("File", "users: /etc/passwd", "linkedto")
        ]
    );
    assert_eq!(outcomes[2].check_id(), "file users: linked-to");
    assert_eq!(outcomes[2].title.as_deref(), Some("The users"));
    let found = outcomes[0].finding.matched().unwrap();
    assert_eq!((&found.actual, &found.expected), (&Untyped::from(3), &Untyped::from(3)));
}

#[test]
fn content_of_a_matching_resource_is_taken_as_a_value_or_as_text() {
    let matching = |content: Untyped, as_reader, matcher: Matcher| {
        let mut resource = Resource::new("m", Target::Matching { content, as_reader });
        resource.expect(Matches, matcher);
        last(&resource, Fixed).verdict()
    };
    let patterns = |list: &[&str]| Matcher::HavePatterns(strings(list));
    assert_eq!(matching(7.into(), false, 7.into()), Verdict::Pass);
    assert_eq!(matching("a\nb".into(), true, patterns(&["/^b$/", "!c"])), Verdict::Pass);
    assert_eq!(matching(strings(&["a", "b"]).into(), true, "[a b]".into()), Verdict::Pass);
}

#[test]
fn contents_need_not_be_utf8() {
    let mut facts = system();
    let contents = Some(Fact::Known(Text::from(b"\xff\xfe\nroot\n".to_vec())));
    let binary = FileFacts { contents, ..passwd() };
    facts.files.insert("/bin".into(), Fact::Known(Some(binary)));
    let file = resource(Kind::File, "/bin", Contents, Matcher::HavePatterns(strings(&["root"])));
    assert_eq!(evaluate_resource(&file, &facts, Fixed)[1].verdict(), Verdict::Pass);
}

use super::*;
use crate::{
    Compat, evaluate,
    facts::{FileFacts, GroupFacts, ServiceFacts, UserFacts},
};
use image_core::Verdict;

fn file() -> FileFacts {
    FileFacts {
        filetype: "symlink".into(),
        mode: 0o777,
        size: 1,
        uid: 0,
        owner: Fact::Known("root".into()),
        gid: 0,
        group: Fact::Unknown("no group has the id".into()),
        linked_to: Some("x".into()),
        contents: None,
        md5: None,
        sha256: None,
        sha512: None,
    }
}

fn system() -> Facts {
    let mut facts = Facts::default();
    facts.addrs.insert("tcp://a:1".into(), Fact::Known(false));
    let result = CommandResult::Exited { status: 1, stdout: "  a\n\n!b\n/c\n".into(), stderr: "".into() };
    facts.commands.insert("run".into(), Fact::Known(result));
    facts.files.insert("/link".into(), Fact::Known(Some(file())));
    facts.files.insert("/none".into(), Fact::Known(None));
    facts.groups.insert("nginx".into(), Fact::Known(Some(GroupFacts { gid: 9 })));
    facts.kernel_params.insert("a.b".into(), Fact::Known(None));
    facts.kernel_params.insert("kernel.ostype".into(), Fact::Known(Some("Linux".into())));
    facts.packages.insert("nginx".into(), Fact::Known(vec!["1.2".into()]));
    facts.packages.insert("none".into(), Fact::Known(vec![]));
    facts.ports.insert("tcp:80".into(), Fact::Known(["0.0.0.0".to_owned()].into()));
    facts.ports.insert("tcp:81".into(), Fact::Known([].into()));
    facts.ports.insert("tcp6:80".into(), Fact::Known([].into()));
    facts.ports.insert("tcp6:81".into(), Fact::Known(["::".to_owned()].into()));
    facts.processes.insert("nginx".into(), Fact::Known(false));
    let service = ServiceFacts {
        enabled: Fact::Known(true),
        running: Fact::NotApplicable("nothing runs here".into()),
        runlevels: Fact::Known(vec![]),
    };
    facts.services.insert("nginx".into(), service);
    let user = UserFacts { uid: 9, gid: 9, home: "/".into(), groups: vec!["nginx".into()], shell: "/bin/sh".into() };
    facts.users.insert("nginx".into(), Fact::Known(Some(user)));
    facts
}

fn expected(suite: &Suite) -> String {
    let mut text = String::new();
    for resource in suite.resources() {
        let attributes: Vec<_> = resource.expectations.iter().map(|e| e.attribute.name()).collect();
        text += &format!("{} {}: {}\n", resource.kind().section(), resource.key, attributes.join(" "));
    }
    text
}

#[test]
fn what_was_found_is_expected_and_passes() {
    let baseline = suite_from_facts(&system(), &[], Compat::Fixed);
    insta::assert_snapshot!(expected(&baseline.suite), @r"
    addr tcp://a:1: reachable
    command run: exit-status stdout stderr
    file /link: exists mode owner linked-to filetype
    file /none: exists
    group nginx: exists gid
    kernel-param kernel.ostype: value
    package nginx: installed versions
    package none: installed
    port tcp6:80: listening ip
    port tcp6:81: listening ip
    port tcp:80: listening ip
    port tcp:81: listening ip
    process nginx: running
    service nginx: enabled
    user nginx: exists uid gid home groups shell
    ");
    insta::assert_snapshot!(baseline.left_out.join("\n"), @r"
    kernel-param a.b: there is none
    file /link: group: no group has the id
    service nginx: running: nothing runs here
    ");
    for compat in [Compat::Goss, Compat::Fixed] {
        for outcome in evaluate(&suite_from_facts(&system(), &[], compat).suite, &system(), compat) {
            let verdict = outcome.verdict();
            assert!(matches!(verdict, Verdict::Pass | Verdict::Skip), "{compat:?} {}: {outcome:?}", outcome.check_id());
        }
    }
}

#[test]
fn a_port_listens_as_it_will_be_checked() {
    for (compat, listens) in [(Compat::Goss, false), (Compat::Fixed, true)] {
        let suite = suite_from_facts(&system(), &[], compat).suite;
        let port = suite.get(Kind::Port, "tcp:81").unwrap();
        assert_eq!(port.expectation(Listening), Some(&listens.into()), "{compat:?}");
    }
}

#[test]
fn excluded_attributes_are_left_out_but_never_the_first() {
    let suite = suite_from_facts(&system(), &["*id", "owner", "ex*"], Compat::Fixed).suite;
    let user = suite.get(Kind::User, "nginx").unwrap();
    assert!(user.expectation(Uid).is_none() && user.expectation(Gid).is_none() && user.expectation(Home).is_some());
    let link = suite.get(Kind::File, "/link").unwrap();
    assert!(link.expectation(Exists).is_some() && link.expectation(Owner).is_none());
}

#[test]
fn names_become_keys_as_goss_writes_them() {
    for (kind, name, key) in [
        (Kind::Port, "80", "tcp:80"),
        (Kind::Port, "udp:53", "udp:53"),
        (Kind::Addr, "host:80", "tcp://host:80"),
        (Kind::Addr, "udp://host:80", "udp://host:80"),
        (Kind::File, "/x", "/x"),
    ] {
        let resource = resource(kind, name).unwrap();
        assert_eq!((resource.key.as_str(), resource.target.name()), (key, Some(key)));
    }
    assert_eq!(resource(Kind::Matching, "x"), None);
}

#[test]
fn autoadd_looks_everywhere_and_keeps_what_is_there() {
    assert_eq!(expected(&candidates("nginx")).lines().count(), 6, "a name without a slash is no file");
    assert!(candidates("/x").get(Kind::File, "/x").is_some());
    let found = present(&suite_from_facts(&system(), &[], Compat::Fixed).suite);
    insta::assert_snapshot!(expected(&found), @r"
    file /link: exists mode owner linked-to filetype
    group nginx: exists gid
    package nginx: installed versions
    port tcp6:81: listening ip
    port tcp:80: listening ip
    port tcp:81: listening ip
    service nginx: enabled
    user nginx: exists uid gid home groups shell
    ");
}

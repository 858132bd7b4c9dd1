//! What becomes of answers that few machines give.

use super::*;
use crate::{
    facts::Resolution,
    probe::{decode, frame::Frame},
};

/// The facts of these records: kind, index and payload, in the order of the script.
fn told(wanted: &Wanted, records: &[(&str, usize, &str)]) -> Facts {
    let mut body: String =
        records.iter().map(|(kind, index, payload)| format!("{kind} {index} {}\n{payload}\n", payload.len())).collect();
    body.push_str(&format!("end {}", records.len()));
    let nonce = Nonce::of(7);
    let digest = image_core::sha256(format!("{}\n{body}", nonce.as_str()));
    let answer = format!("image-test-probe/1 {} plain {} sha256:{digest} -\n{body}", nonce.as_str(), body.len());
    let frame = Frame::parse(answer.as_bytes(), &nonce).unwrap();
    decode::open(&frame, frame.payload, wanted, &nonce, &ProbeOptions::default()).unwrap()
}

#[test]
fn packages_are_told_by_every_label_and_none_without_a_manager() {
    let names = ["bash", "glibc.i686", "kernel-5.14-1", "none"];
    let wanted = Wanted { packages: names.map(Into::into).into(), ..Wanted::default() };
    let listing =
        "=rpm\nbash\tx86_64\t5.1-1\nglibc\ti686\t2.34-1\nkernel\tx86_64\t5.14-1\npackage none is not installed\n";
    let facts = told(&wanted, &[("packages", 0, listing)]);
    let versions = |version: &str| Fact::Known(vec![version.to_owned()]);
    let expected = [versions("5.1-1"), versions("2.34-1"), versions("5.14-1"), Fact::Known(vec![])];
    assert_eq!(names.map(|name| facts.packages[name].clone()), expected);
    let facts = told(&wanted, &[("packages", 0, "=none\n")]);
    assert!(facts.packages.values().all(|fact| *fact == Fact::Known(vec![])), "{facts:?}");
}

#[test]
fn patterns_of_services_are_told_of_links_alone() {
    let wanted = Wanted { services: ["run*", "run.*|x"].map(Into::into).into(), ..Wanted::default() };
    let facts = told(&wanted, &[("unit", 0, "=sysv no 2 5"), ("unit", 1, "=sysv no")]);
    assert_eq!(facts.services["run*"].enabled, Fact::Known(true));
    assert_eq!(facts.services["run*"].runlevels, Fact::Known(vec!["2".into(), "5".into()]));
    assert!(matches!(facts.services["run.*|x"].enabled, Fact::Unknown(_)));
    let unit = "Id=no.service\nNames=no.service\nActiveState=inactive\nUnitFileState=\n";
    let facts = told(&wanted, &[("units", 0, &format!("={unit}\n{unit}"))]);
    assert!(matches!(&facts.services["run*"].running, Fact::Unknown(why) if why.contains("is a pattern")), "{facts:?}");
}

#[test]
fn names_have_all_addresses_of_the_hosts_file_where_it_comes_first() {
    let mut wanted = Wanted::default();
    let dns = DnsWanted { resolve: "A:Static.test".into(), server: None, timeout: Duration::from_secs(1) };
    wanted.dns.insert("name".into(), dns);
    let lines = "192.0.2.7 static.test\n::1 other.static.test\n192.0.2.8 x static.test # y";
    let of = |sources: &str| {
        let hosts = format!("={sources}\n{lines}");
        told(&wanted, &[("hosts", 0, &hosts), ("resolve", 0, "!there is no getent")]).dns["name"].clone()
    };
    let addrs = vec!["192.0.2.7".into(), "192.0.2.8".into()];
    let expected = Fact::Known(Resolution { resolvable: true, addrs });
    assert_eq!((of(""), of("hosts: files dns")), (expected.clone(), expected));
    assert_eq!(of("hosts: dns files"), Fact::Unknown("there is no getent".into()));
}

#[test]
fn what_is_below_a_file_is_told_from_what_is_missing() {
    let mut wanted = Wanted::default();
    wanted.files.extend(["/a/b", "/c"].map(|path| (path.into(), FileWanted::default())));
    let (below, missing) =
        ("!stat: cannot stat '/a/b': Not a directory", "!stat: cannot stat '/c': No such file or directory");
    let facts = told(&wanted, &[("stat", 0, below), ("stat", 1, missing)]);
    assert_eq!((&facts.files["/a/b"], &facts.files["/c"]), (&Fact::Known(None), &Fact::Known(None)));
    assert_eq!(facts.below_files, BTreeSet::from(["/a/b".into()]));
}

#[test]
fn shells_know_the_services_that_we_know() {
    let file = std::fs::read("/etc/services").unwrap_or_default();
    let functions = include_str!("../sh/net.sh");
    for (host, applets) in shells::shells() {
        for service in ["http", "www", "ssh", "domain", "22", "no-such-service", "ttp", "#"] {
            let known = crate::facts::parse::port(&[], "tcp", service).map(|port| port.to_string());
            let script = format!("{functions}\nout() {{ printf %s \"$1\"; }}\nport \"$1\" \"$2\"\nout \"$number\"");
            let mut shell = std::process::Command::new(&host.program[0]);
            shell.args(&host.program[1..]).args(["-c", &script, "sh", service, &known.unwrap_or_default()]);
            if let Some(path) = &host.path {
                shell.env("PATH", path);
            }
            let output = shell.output().unwrap();
            let expected = crate::facts::parse::port(&file, "tcp", service).map(|port| port.to_string());
            let expected = expected.unwrap_or_else(|| service.to_owned());
            assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{host:?}: {service}: {output:?}");
        }
        drop(applets);
    }
}

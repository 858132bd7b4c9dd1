use super::*;
use crate::{
    Attribute, Fact, Facts, Matcher, Resource, Suite, Target, evaluate, facts::FileFacts, facts::ServiceFacts,
};

fn file(mode: u32, contents: &str) -> Fact<Option<FileFacts>> {
    Fact::Known(Some(FileFacts {
        filetype: "file".into(),
        mode,
        size: 3,
        uid: 0,
        owner: Fact::Known("root".into()),
        gid: 0,
        group: Fact::Known("root".into()),
        linked_to: None,
        contents: Some(Fact::Known(contents.into())),
        md5: None,
        sha256: None,
        sha512: None,
    }))
}

/// One outcome of each verdict, with a title, free data, special characters, and a text that differs.
fn outcomes(compat: Compat) -> Vec<Outcome> {
    let mut facts = Facts::default();
    facts.files.insert("/etc/motd".into(), file(0o600, "one\ntwo <2>\n"));
    facts.files.insert("/etc/none".into(), Fact::Known(None));
    facts.files.insert("/etc/hidden".into(), Fact::Unknown("permission denied".into()));
    facts.packages.insert("bash".into(), Fact::Known(vec!["5.2".into()]));
    let service = ServiceFacts {
        enabled: Fact::Known(true),
        running: Fact::NotApplicable("nothing runs here".into()),
        runlevels: Fact::Known(vec![]),
    };
    facts.services.insert("cron".into(), service);

    let mut suite = Suite::new();
    let mut motd = Resource::new("/etc/motd", Target::File("/etc/motd".into()));
    motd.title = Some("The \"message\" & more".into());
    motd.meta = [("severity".to_owned(), 7.into()), ("tags".to_owned(), vec!["a", "b"].into())].into();
    motd.expect(Attribute::Exists, true);
    motd.expect(Attribute::Mode, "0644");
    motd.expect(Attribute::Contents, "one\n2\n");
    suite.insert(motd);
    let mut none = Resource::new("a label", Target::File("/etc/none".into()));
    none.expect(Attribute::Exists, true);
    none.expect(Attribute::Owner, "root");
    suite.insert(none);
    let mut hidden = Resource::new("/etc/hidden", Target::File("/etc/hidden".into()));
    hidden.expect(Attribute::Exists, false);
    suite.insert(hidden);
    let mut bash = Resource::new("bash", Target::Package { name: "bash".into(), retry: crate::Retry::default() });
    bash.expect(Attribute::Installed, true);
    bash.expect(Attribute::Versions, Matcher::ConsistOf(vec!["5.1".into()]));
    suite.insert(bash);
    let mut cron = Resource::new("cron", Target::Service("cron".into()));
    cron.expect(Attribute::Enabled, true);
    cron.expect(Attribute::Running, true);
    suite.insert(cron);
    evaluate(&suite, &facts, compat)
}

fn report(format: Format, outcomes: &[Outcome], options: &Options) -> (String, u8) {
    let run = Run::new(outcomes, Timestamp::from_millis(1_700_000_000_000), Duration::from_millis(1234));
    let mut text = vec![];
    let code = write(format, &run, options, &mut text).unwrap();
    (String::from_utf8(text).unwrap(), code)
}

#[test]
fn every_format_shows_every_verdict() {
    for compat in [Compat::Fixed, Compat::Goss] {
        let options = Options { compat, pretty: true, perfdata: true, verbose: true, ..Options::default() };
        for format in Format::ALL {
            let (text, code) = report(format, &outcomes(compat), &options);
            insta::assert_snapshot!(format!("{format}_{compat:?}"), format!("{text}exit code {code}"));
        }
    }
}

#[test]
fn options_change_what_they_say() {
    let all = outcomes(Compat::Goss);
    let plain = Options { compat: Compat::Goss, ..Options::default() };
    let colored = report(Format::Rspecish, &all, &Options { color: true, ..plain }).0;
    assert!(colored.starts_with("\x1b[31mF\x1b[0m"), "{colored:?}");
    assert!(colored.contains("\x1b[33mFile: a label: /etc/none: owner: skipped\x1b[0m"), "{colored:?}");
    for format in [Format::Json, Format::Junit, Format::Structured] {
        let colored = report(format, &all, &Options { color: true, ..plain }).0;
        assert_eq!(colored, report(format, &all, &plain).0, "{format} is for machines");
    }
    assert_eq!(report(Format::Json, &all, &plain).0.lines().count(), 1);
    let nagios = report(Format::Nagios, &all, &plain).0;
    assert_eq!(nagios, "GOSS CRITICAL - Count: 10, Failed: 6, Skipped: 1, Duration: 1.234s\n");
    let sorted = report(Format::Tap, &all, &Options { sort: true, ..plain }).0;
    assert!(sorted.lines().nth(1).unwrap().contains("/etc/hidden"), "{sorted}");
}

#[test]
fn a_report_of_passes_exits_with_0() {
    let passed: Vec<_> = outcomes(Compat::Fixed).into_iter().filter(|o| o.verdict() == Verdict::Pass).collect();
    for format in Format::ALL {
        assert_eq!(report(format, &passed, &Options::default()).1, 0, "{format}");
        assert_eq!(report(format, &[], &Options::default()).1, 0, "{format}");
    }
}

#[test]
fn an_unknown_is_a_failure_of_its_own() {
    let unknown: Vec<_> = outcomes(Compat::Fixed).into_iter().filter(|o| o.verdict() == Verdict::Unknown).collect();
    assert_eq!(unknown.len(), 1);
    for format in Format::ALL {
        let expected = if format == Format::Nagios { 2 } else { 1 };
        assert_eq!(report(format, &unknown, &Options::default()).1, expected, "{format}");
    }
}

#[test]
fn names_are_those_of_the_command_line() {
    for format in Format::ALL {
        assert_eq!(format.name().parse(), Ok(format));
    }
    insta::assert_snapshot!("yaml".parse::<Format>().unwrap_err(), @"bad output format: yaml: accepted are documentation, json, junit, nagios, prometheus, rspecish, silent, structured, tap");
    let mut options = Options::default();
    for name in ["exclude_raw", "perfdata", "pretty", "sort", "verbose"] {
        options.enable(name).unwrap();
    }
    assert!(options.exclude_raw && options.perfdata && options.pretty && options.sort && options.verbose);
    insta::assert_snapshot!(options.enable("loud").unwrap_err(), @"bad output option: loud: accepted are exclude_raw, perfdata, pretty, sort, verbose");
}

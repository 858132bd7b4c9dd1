use super::{flags::duration, *};

fn args(line: &str, env: &[(&str, &str)]) -> Result<Args, String> {
    let look = |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string());
    parse(line.split_whitespace(), look)
}

fn validate(line: &str, env: &[(&str, &str)]) -> Validate {
    match args(line, env).unwrap().command {
        Command::Validate(validate) => validate,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn goss_command_lines_are_understood() {
    let line = "-g x.yaml --vars a.yaml,b.yaml --vars c.yaml --vars-inline {} --package dpkg -L DEBUG v -f json \
                -o pretty,sort --no-color -r 1m30s -s 500ms --max-concurrent 5";
    let parsed = args(line, &[("GOSS_FILE", "y.yaml"), ("GOSS_VARS", "z")]).unwrap();
    assert_eq!((parsed.gossfile.as_str(), parsed.vars.join(" ")), ("x.yaml", "a.yaml b.yaml c.yaml".into()));
    assert_eq!((parsed.package.as_deref(), parsed.vars_inline.as_deref()), (Some("dpkg"), Some("{}")));
    let validate = validate(line, &[]);
    assert_eq!((validate.format, validate.options.pretty, validate.options.sort), (Format::Json, true, true));
    assert_eq!(validate.color, Some(false));
    assert_eq!((validate.retry_timeout.as_secs(), validate.sleep.as_millis()), (90, 500));
}

#[test]
fn the_environment_stands_in_for_flags() {
    let env = [
        ("GOSS_FILE", "e.yaml"),
        ("GOSS_VARS", "a,b"),
        ("GOSS_FMT", "tap"),
        ("GOSS_FMT_OPTIONS", "sort"),
        ("GOSS_SLEEP", "2s"),
        ("GOSS_RETRY_TIMEOUT", "1h"),
        ("GOSS_COLOR", "true"),
    ];
    let parsed = args("validate", &env).unwrap();
    assert_eq!((parsed.gossfile.as_str(), parsed.vars.len()), ("e.yaml", 2));
    let found = validate("validate", &env);
    assert_eq!((found.format, found.options.sort, found.color), (Format::Tap, true, Some(true)));
    assert_eq!((found.sleep.as_secs(), found.retry_timeout.as_secs()), (2, 3600));
    assert_eq!(validate("validate --no-color -f silent", &env).color, Some(false));
    assert_eq!(args("v", &[]).unwrap().gossfile, "./goss.yaml");
}

#[test]
fn what_is_wrong_is_named() {
    for (line, message) in [
        ("validate -f yaml", "bad output format: yaml"),
        ("validate -o loud", "bad output option: loud"),
        ("validate -r 5", "5: accepted is a time"),
        ("validate --bogus", "--bogus: there is no such flag"),
        ("validate extra", "extra: the command takes no such argument"),
        ("check", "check: there is no such command"),
        ("add file", "add: needs a type and at least one key"),
        ("diff one", "diff: needs two snapshots"),
        ("--compat old v", "--compat: old: accepted are"),
        ("--root / --facts x v", "--root and --facts"),
    ] {
        let error = args(line, &[]).unwrap_err();
        assert!(error.contains(message), "{line}: {error}");
    }
}

#[test]
fn durations_are_those_of_go() {
    for (text, millis) in [("0", Some(0)), ("1.5s", Some(1500)), ("1h2m3s4ms", Some(3_723_004)), ("100us", Some(0))] {
        assert_eq!(duration(text).map(|d| d.as_millis()), millis, "{text}");
    }
    for wrong in ["5", "s", "1d", "-1s", "", "1.2.3s"] {
        assert_eq!(duration(wrong), None, "{wrong}");
    }
}

#[test]
fn a_letter_is_what_the_command_takes_it_for() {
    let line = "add http -k -r -u me -p pw -x http://proxy -H A:b --timeout 3s --exclude-attr status http://x/";
    let line = line.split(' ').map(|word| if word == "A:b" { "A: b" } else { word });
    let Command::Add { kind, keys, settings } = parse(line, |_| None).unwrap().command else { panic!() };
    assert_eq!((kind.as_str(), keys), ("http", vec!["http://x/".to_owned()]));
    let expected = Settings {
        exclude: vec!["status".into()],
        timeout: Some(Duration::from_secs(3)),
        server: None,
        insecure: true,
        no_follow_redirects: true,
        username: Some("me".into()),
        password: Some("pw".into()),
        proxy: Some("http://proxy".into()),
        headers: vec!["A: b".into()],
    };
    assert_eq!(*settings, expected);
    assert_eq!(validate("validate -r 1s --max-concurrent 3", &[]).max_concurrent, NonZeroUsize::new(3));
}

#[test]
fn flags_of_other_commands_are_refused() {
    for line in [
        "render -f json",
        "add file -f json /x",
        "add file --timeout 1s /x",
        "add addr --server 1.1.1.1 x:1",
        "add dns -k x",
        "validate --timeout 1s",
        "validate --exclude-attr x",
        "autoadd --exclude-attr x y",
        "snapshot -d",
        "add http -s 1s http://x/",
    ] {
        let error = args(line, &[]).unwrap_err();
        assert!(error.contains("takes no such flag"), "{line}: {error}");
    }
    for (line, message) in [
        ("add addr --timeout 5 x:1", "5: accepted is a time"),
        ("validate --max-concurrent 0", "--max-concurrent: 0: accepted"),
        ("-L loud validate", "--log-level: loud: accepted are"),
    ] {
        let error = args(line, &[]).unwrap_err();
        assert!(error.contains(message), "{line}: {error}");
    }
}

#[test]
fn a_package_manager_that_is_not_known_is_that_of_the_distribution() {
    for (line, expected) in [
        ("v", None),
        ("--package rpm v", Some(PackageManager::Rpm)),
        ("--package yum v", None),
        ("--package deb v", Some(PackageManager::Dpkg)),
        ("--package deb --compat goss v", None),
        ("--package apk --compat goss v", Some(PackageManager::Apk)),
    ] {
        assert_eq!(args(line, &[]).unwrap().package_manager(), expected, "{line}");
    }
}

//! What is said of gossfiles that are wrong, or look wrong.

use super::*;

fn load(text: &str, compat: Compat) -> String {
    match Loader::new().compat(compat).load_str(text, "goss.yaml", "/nonexistent") {
        Ok(loaded) => loaded.lints.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
        Err(error) => format!("FAULT {error}"),
    }
}

/// Each text with what is said of it.
fn report(texts: &[&str], compat: Compat) -> String {
    texts
        .iter()
        .fold(String::new(), |report, text| format!("{report}{}\n=> {}\n\n", text.trim_end(), load(text, compat)))
}

#[test]
fn faults() {
    let report = report(
        &[
            "",
            "file: [a]\n",
            "text",
            "file:\n  /etc/passwd:\n",
            "file:\n  /etc/passwd:\n    exists: true\n    moed: \"0644\"\n",
            "command:\n  x:\n    exit-status: 0\n    timeout: 5s\n",
            "command:\n  x: {exit-status: 0, timeout: -5}\n",
            "command:\n  x: {exit-status: 0, retry_delay: soon}\n",
            "command:\n  x: {exit-status: zero}\n",
            "file:\n  x: {exists: true, skip: maybe}\n",
            "file:\n  x: {exists: true, title: [a]}\n",
            "file:\n  x: {exists: true, meta: a}\n",
            "http:\n  x: {status: 200, request-headers: \"A: b\"}\n",
            "file:\n  x:\n    mode: \"0644\"\n",
            "file:\n  x:\n    exists: true\n    owner: {bogus: 1}\n",
            "command:\n  x:\n    exit-status: 0\n    stdout:\n      - a\n      - 1\n",
            "file:\n  x: {exists: true}\n  x: {exists: false}\n",
            "file:\n  x: {exists: true\n",
            "gossfile:\n  nope.yaml: {}\n",
            "gossfile:\n  \"[\": {}\n",
            "gossfile:\n  a.yaml: {path: b.yaml}\n",
        ],
        Compat::Fixed,
    );
    insta::assert_snapshot!(report);
}

#[test]
fn lints() {
    let report = report(
        &[
            "file:\n  x:\n    exists: true\n    mode: 0644\n",
            "file:\n  x: {exists: true, mode: {or: [\"0644\", 0600]}}\n",
            "file:\n  x: {exists: yes}\n",
            "file:\n  x: {exists: true, contents: []}\n",
            "service:\n  x: {running: true, runlevels: []}\n",
            "file:\n  x: {exists: true, contains: [a]}\n",
            "dns:\n  x: {resolveable: true}\n",
            "command:\n  x: {exit-status: \"0\"}\n",
            "file:\n  x: {exists: true, size: {ge: 0}}\n",
            "file:\n  x: {exists: true, size: {lt: 0}}\n",
            "file:\n  x: {exists: true, owner: {and: []}}\n",
            "file:\n  x: {exists: true, owner: {or: []}}\n",
            "file:\n  x: {exists: true, owner: {not: {or: []}}}\n",
            "user:\n  x: {exists: true, groups: {contain-elements: []}}\n",
            "package:\n  x: {installed: true, versions: 2024-01-01}\n",
            "fiel:\n  x: {exists: true}\nfile:\n  x: {exists: true}\n",
            "other: 1\nfile:\n  x: {exists: true}\n",
            "x-other: 1\n.other: 2\nused: {a: &a {exists: true}}\nfile:\n  x: *a\n",
            "unused: &a {exists: true}\nfile:\n  x: {exists: true}\n",
            "file:\n  x: {exists: true}\ngroup:\n",
            "file:\n  x: {exists: true}\n---\nfile:\n  y: {exists: true}\n",
        ],
        Compat::Fixed,
    );
    insta::assert_snapshot!(report);
}

#[test]
fn goss_leaves_to_fail_what_we_refuse() {
    for (text, kind, attribute) in [
        ("file: {x: {mode: \"0644\"}}", Kind::File, Attribute::Exists),
        ("file: {x: {exists: true, owner: {bogus: 1}}}", Kind::File, Attribute::Owner),
        ("command: {x: {exit-status: 0, stdout: [1]}}", Kind::Command, Attribute::Stdout),
        ("command: {x: {exit-status: zero}}", Kind::Command, Attribute::ExitStatus),
        ("package: {x: {installed: true, versions: 2024-01-01}}", Kind::Package, Attribute::Versions),
    ] {
        let loaded = Loader::new().compat(Compat::Goss).load_str(text, "goss.yaml", ".").unwrap();
        let matcher = loaded.suite.get(kind, "x").unwrap().expectation(attribute);
        assert!(matches!(matcher, Some(Matcher::Invalid(_))), "{text}: {matcher:?}");
    }
    assert_eq!(load("flie: {x: 1}\nfile: {x: {exists: true}}", Compat::Goss), "");
}

#[test]
fn includes_tell_how_they_were_reached() {
    let directory = tempfile::tempdir().unwrap();
    let said = |text: &str| {
        write_case(text, directory.path());
        let said = match Loader::new().load(directory.path().join("goss.yaml")) {
            Ok(loaded) => loaded.lints.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
            Err(error) => error.to_string(),
        };
        said.replace(&format!("{}/", directory.path().display()), "")
    };
    let broken =
        "gossfile:\n  a.yaml: {}\n--- a.yaml\ngossfile:\n  d/b.yaml: {}\n--- d/b.yaml\nfile:\n  x: {exist: true}\n";
    assert_eq!(
        said(broken),
        "d/b.yaml:2:7: unknown attribute `exist` of File `x`, did you mean `exists`?; accepted: contains, contents, \
         exists, filetype, gid, group, linked-to, md5, meta, mode, owner, path, sha256, sha512, size, skip, title, uid, \
         included from a.yaml:2:3, included from goss.yaml:2:3"
    );
    assert_eq!(
        said("gossfile:\n  a.yaml: {}\n--- a.yaml\ngossfile:\n  goss.yaml: {}\n"),
        "a.yaml:2:3: `goss.yaml` includes itself, included from goss.yaml:2:3"
    );
    assert_eq!(
        said("gossfile:\n  a.yaml: {}\nfile:\n  x: {exists: true}\n--- a.yaml\nfile:\n  x: {exists: false}\n"),
        "a.yaml:2:3: warning: File `x` replaces one that was read before [overwritten] (see goss.yaml:4:3)"
    );
}

#[test]
fn deep_and_many_includes_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| std::fs::write(directory.path().join(name), text).unwrap();
    for level in 0..60 {
        write(&format!("{level}.yaml"), format!("gossfile: {{{}.yaml: {{}}}}\n", level + 1));
    }
    write("60.yaml", "file: {x: {exists: true}}\n".into());
    let fault = |name: &str| {
        let error = Loader::new().load(directory.path().join(name)).unwrap_err();
        assert!(error.to_string().len() < 10_000);
        error.fault().to_string()
    };
    // Goss reads 49 files, and refuses the fiftieth.
    assert_eq!(fault("11.yaml"), "more than 49 files that include each other");
    assert!(Loader::new().load(directory.path().join("12.yaml")).is_ok());

    for level in 0..12 {
        let next = level + 1;
        write(
            &format!("b{level}.yaml"),
            format!("gossfile: {{x: {{file: b{next}.yaml}}, y: {{file: b{next}.yaml}}}}\n"),
        );
    }
    write("b12.yaml", "file: {x: {exists: true}}\n".into());
    assert_eq!(fault("b0.yaml"), "more than 1000 files");
    let limits = Limits { file_bytes: 10, ..Limits::default() };
    let error = Loader::new().limits(limits).load(directory.path().join("b12.yaml")).unwrap_err();
    assert!(matches!(error.fault(), Fault::Limit { most: 10, .. }));
}

#[test]
fn strict_loaders_refuse_lints() {
    let strict = |text: &str| Loader::new().strict(true).load_str(text, "goss.yaml", ".");
    assert!(strict("file: {x: {exists: true, contents: []}}").is_ok());
    let error = strict("file: {x: {exists: yes}}").unwrap_err();
    assert!(matches!(error.fault(), Fault::Lints { lints } if lints.len() == 1));
    let error = image_core::Error::from(error);
    assert_eq!(error.kind(), image_core::ErrorKind::InvalidInput);
}

#[test]
fn retries_are_read() {
    use std::time::Duration;
    for (text, count, millis) in [
        ("retry_count: 3", 3, 0),
        ("retry_count: -3", 0, 0),
        ("retry_count: 1, retry_delay: 250", 1, 250),
        ("retry_count: 1, retry_delay: \"250\"", 1, 250),
        ("retry_count: 1, retry_delay: 1m30s", 1, 90_000),
        ("retry_count: 1, retry_delay: -1s", 1, 0),
        ("retry_count: 1, retry_delay: ~", 1, 0),
    ] {
        let text = format!("package: {{x: {{installed: true, {text}}}}}");
        let loaded = Loader::new().load_str(&text, "goss.yaml", ".").unwrap();
        let retry = loaded.suite.get(Kind::Package, "x").unwrap().target.retry();
        assert_eq!((retry.count, retry.delay), (count, Duration::from_millis(millis)), "{text}");
    }
}

#[test]
fn files_of_other_names_are_refused() {
    let fault = Loader::new().load("goss.txt").unwrap_err();
    assert!(matches!(fault.fault(), Fault::UnknownExtension { .. }));
    let fault = Loader::new().load("/nonexistent/goss.yaml").unwrap_err();
    assert!(matches!(fault.fault(), Fault::Read { .. }));
}

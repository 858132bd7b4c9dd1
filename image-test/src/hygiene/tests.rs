use super::*;
use crate::{
    Compat, Fact, Facts, Kind, Wanted, evaluate,
    facts::{CommandResult, FileFacts},
};
use image_core::Verdict;

const STAGES: [ValidationStage; 3] = [ValidationStage::Boot, ValidationStage::Build, ValidationStage::Rootfs];

fn file_facts(filetype: &str, mode: u32, contents: &str) -> FileFacts {
    FileFacts {
        filetype: filetype.into(),
        mode,
        size: contents.len() as u64,
        uid: 0,
        owner: Fact::Known("root".into()),
        gid: 0,
        group: Fact::Known("root".into()),
        linked_to: None,
        contents: Some(Fact::Known(contents.into())),
        md5: None,
        sha256: None,
        sha512: None,
    }
}

/// A system on which nothing that a suite asks for is there, but the directories that each has.
fn clean(suite: &Suite) -> Facts {
    let (wanted, mut facts) = (Wanted::of(suite), Facts::default());
    for path in wanted.files.keys() {
        facts.files.insert(path.clone(), Fact::Known(None));
    }
    for path in ["/tmp", "/var/tmp"] {
        facts.files.insert(path.into(), Fact::Known(Some(file_facts("directory", 0o1777, ""))));
    }
    for name in wanted.users {
        facts.users.insert(name, Fact::Known(None));
    }
    for key in wanted.commands.into_keys() {
        let result = CommandResult::Exited { status: 0, stdout: "".into(), stderr: "".into() };
        facts.commands.insert(key, Fact::Known(result));
    }
    facts
}

fn failures(suite: &Suite, facts: &Facts) -> Vec<String> {
    let outcomes = evaluate(suite, facts, Compat::Fixed);
    let failed = outcomes.iter().filter(|o| !matches!(o.verdict(), Verdict::Pass | Verdict::Skip));
    failed.map(|outcome| outcome.check_id()).collect()
}

#[test]
fn a_clean_system_passes_every_stage() {
    for suite in STAGES.map(at).into_iter().chain([sealed(), booted()]) {
        assert_eq!(failures(&suite, &clean(&suite)), [""; 0]);
    }
}

#[test]
fn each_trace_fails_the_stages_it_is_wrong_at() {
    use ValidationStage::{Boot, Build, Rootfs};
    for (path, facts, wrong_at) in [
        ("/etc/shadow", file_facts("file", 0o644, "root:*:1::::::\n"), &[Boot, Build, Rootfs][..]),
        ("/etc/shadow", file_facts("file", 0o640, "bob::1::::::\n"), &[Boot, Build, Rootfs]),
        ("/etc/shadow", file_facts("file", 0o640, "bob:!:1::::::\n"), &[]),
        ("/tmp", file_facts("directory", 0o777, ""), &[Boot, Build, Rootfs]),
        ("/etc/ssh/ssh_host_rsa_key", file_facts("file", 0o600, "key"), &[Rootfs]),
        ("/etc/machine-id", file_facts("file", 0o444, ""), &[Boot]),
        ("/etc/machine-id", file_facts("file", 0o444, "uninitialized\n"), &[Boot]),
        ("/etc/machine-id", file_facts("file", 0o444, "0123456789abcdef0123456789abcdef\n"), &[Rootfs]),
        ("/root/.bash_history", file_facts("file", 0o600, "ls\n"), &[Boot, Rootfs]),
        ("/root/.bash_history", file_facts("symlink", 0o777, ""), &[]),
        ("/root/.netrc", file_facts("file", 0o600, ""), &[Boot, Rootfs]),
        ("/root/.ssh/authorized_keys", file_facts("file", 0o600, "# none\n\n"), &[]),
        ("/root/.ssh/authorized_keys", file_facts("file", 0o600, "ssh-rsa AAAA\n"), &[Rootfs]),
        ("/etc/environment", file_facts("file", 0o644, "HTTPS_PROXY=x\n"), &[Boot, Rootfs]),
        ("/etc/environment", file_facts("file", 0o644, "# http_proxy=x\nPATH=/bin\n"), &[]),
        ("/var/log/wtmp", file_facts("file", 0o664, "x"), &[Rootfs]),
        ("/var/lib/cloud/instance", file_facts("symlink", 0o777, ""), &[Rootfs]),
    ] {
        for stage in STAGES {
            let suite = at(stage);
            let mut system = clean(&suite);
            system.files.insert(path.into(), Fact::Known(Some(facts.clone())));
            let found = failures(&suite, &system);
            assert_eq!(!found.is_empty(), wrong_at.contains(&stage), "{path} {facts:?} at {stage}: {found:?}");
        }
    }
}

#[test]
fn what_a_command_prints_is_wrong() {
    let suite = sealed();
    let mut system = clean(&suite);
    let found = CommandResult::Exited { status: 0, stdout: "/tmp/x\n".into(), stderr: "".into() };
    system.commands.insert("nothing temporary".into(), Fact::Known(found));
    assert_eq!(failures(&suite, &system), ["command nothing temporary: stdout"]);
}

#[test]
fn no_list_has_a_path_twice() {
    let all = at(ValidationStage::Rootfs);
    let files = all.resources().filter(|resource| resource.kind() == Kind::File).count();
    let labels = 3; // of resources that look at lines of files
    let lists = lists::MODES.len() + lists::LEFT_BEHIND.len() + lists::MADE_AT_BOOT.len() + lists::HISTORIES.len();
    assert_eq!(files, lists + lists::LOGINS.len() + lists::LOGS.len() + 2 + 2 + labels);
}

/// The scripts say nothing where there is nothing to say, and run in the shell of this host.
#[test]
fn scripts_run() {
    for resource in sealed().resources().chain(always().resources()) {
        let Target::Command { exec, .. } = &resource.target else { continue };
        let checked = std::process::Command::new("sh").args(["-n", "-c", exec]).status().unwrap();
        assert!(checked.success(), "{}", resource.key);
    }
}

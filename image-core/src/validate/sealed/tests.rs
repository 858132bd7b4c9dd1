use super::*;
use crate::{
    Secret,
    host_machine::{HostMachine, context},
};
use std::{collections::BTreeMap, fs, path::Path};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAITemporaryTemporaryTemporary build@host";

/// A machine whose root file system is a directory of this host.
fn machine(inner: HostMachine, files: &[(&str, &str)]) -> HostMachine {
    let root = inner.path("fs");
    fs::create_dir(&root).unwrap();
    write(&root, &[("usr/lib/systemd/systemd", ""), ("proc/stat", "cpu 1\nbtime 9000000000\n")]);
    write(&root, files);
    let quoted = format!("root={}", quote(&root.display().to_string()));
    inner.redirect("root=''", quoted).redirect("\nsync\n", "\n")
}

fn write(root: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
        fs::write(root.join(name), text).unwrap();
    }
}

fn verdicts(report: &Report) -> BTreeMap<&str, Verdict> {
    report.checks.iter().map(|check| (check.id.as_str(), check.verdict)).collect()
}

const CLEAN: &[(&str, &str)] = &[("etc/machine-id", "ffffffffffffffffffffffffffffffff\n")];
const DIRTY: &[(&str, &str)] = &[
    ("etc/machine-id", "uninitialized\n"),
    ("root/.bash_history", "x"),
    ("root/.ansible/x", "x"),
    ("home/a b/.ssh/authorized_keys", KEY),
    ("var/lib/apt/lists/x_Packages", "x"),
    ("var/cache/apt/archives/x.deb", "x"),
    ("etc/udev/rules.d/70-persistent-net.rules", "x"),
    ("etc/environment", "http_proxy=http://u:hunter22@proxy:3128\n"),
    ("opt/agent", "x"),
];

fn proof() -> Sealed {
    let seal = Seal::new().temporary_key(KEY).also_remove("/opt/agent");
    Sealed::by(&seal.proxy(Secret::new("http://u:hunter22@proxy:3128")))
}

#[tokio::test]
async fn a_clean_boot_passes_and_says_what_it_did_not_ask() {
    for inner in HostMachine::all() {
        let (machine, (cx, _)) = (machine(inner, CLEAN), context().await);
        let report = proof().validate(&cx, Subject::Booted(&machine)).await.unwrap();
        report.require().unwrap();
        let (verdicts, not) = (verdicts(&report), Verdict::NotApplicable);
        for asked in ["histories", "authorized keys", "package caches", "proxies", "machine id", "removed"] {
            assert_eq!(verdicts[format!("sealed: {asked}").as_str()], Verdict::Pass, "{asked}");
        }
        for made in ["ssh host keys", "cloud init", "random seed"] {
            assert_eq!(verdicts[format!("sealed: {made}").as_str()], not, "{made}");
        }
        assert_eq!(verdicts["identity: not the build machine's"], not);
    }
}

#[tokio::test]
async fn residue_on_a_boot_fails_by_name() {
    for inner in HostMachine::all() {
        let (machine, (cx, events)) = (machine(inner, DIRTY), context().await);
        let report = proof().validate(&cx, Subject::Booted(&machine)).await.unwrap();
        let failed: Vec<String> = report
            .checks
            .iter()
            .filter(|check| check.verdict == Verdict::Fail)
            .map(|check| format!("{}: {}", check.id, check.message.replace(&machine.at("fs"), "")))
            .collect();
        insta::allow_duplicates! {
            insta::assert_debug_snapshot!(failed, @r#"
            [
                "sealed: build traces: /root/.ansible",
                "sealed: histories: /root/.bash_history",
                "sealed: machine id: the booted machine has the id `uninitialized`",
                "sealed: package caches: /var/lib/apt/lists/x_Packages /var/cache/apt/archives/x.deb",
                "sealed: udev rules: /etc/udev/rules.d/70-persistent-net.rules",
                "sealed: authorized keys: /home/a b/.ssh/authorized_keys",
                "sealed: proxies: /etc/environment",
                "sealed: removed: /opt/agent",
            ]
            "#);
        }
        let shown = format!("{report:?}{}", events.text());
        assert!(!shown.contains("hunter22"));
    }
}

#[tokio::test]
async fn files_that_the_boot_made_are_no_residue() {
    let (machine, (cx, _)) = (machine(HostMachine::new(), CLEAN), context().await);
    write(&machine.path("fs"), &[("var/lib/apt/lists/x", "x"), ("proc/stat", "btime 1000\n")]);
    let caches = async || {
        let report = Sealed::new().validate(&cx, Subject::Booted(&machine)).await.unwrap();
        verdicts(&report)["sealed: package caches"]
    };
    assert_eq!(caches().await, Verdict::Pass);
    fs::remove_file(machine.path("fs/proc/stat")).unwrap();
    assert_eq!(caches().await, Verdict::Fail, "an unknown boot time excuses nothing");
}

#[tokio::test]
async fn the_identity_of_the_build_machine_must_not_come_back() {
    let (cx, _) = context().await;
    let key = "ssh-ed25519 AAAAhost root@build\n";
    let files = [("etc/machine-id", "0123456789abcdef0123456789abcdef\n"), ("etc/ssh/ssh_host_ed25519_key.pub", key)];
    let build = machine(HostMachine::new(), &files);
    let sealed = Sealed::new();
    let report = sealed.validate(&cx, Subject::BuildMachine(&build)).await.unwrap();
    report.require().unwrap();
    assert_eq!(verdicts(&report), BTreeMap::from([("sealed: prerequisites", Verdict::Pass)]));

    let other_key = ("etc/ssh/ssh_host_ed25519_key.pub", "ssh-ed25519 AAAAother root@x\n");
    let identity = async |sealed: Sealed, files: &[(&str, &str)]| {
        let booted = machine(HostMachine::new(), files);
        let report = sealed.validate(&cx, Subject::Booted(&booted)).await.unwrap();
        report.checks.last().map(|check| (check.verdict, check.message.clone())).unwrap()
    };
    assert_eq!(identity(sealed.clone(), &[CLEAN[0], other_key]).await, (Verdict::Pass, String::new()));
    let same_id = identity(sealed.clone(), &[files[0], other_key]).await;
    assert_eq!(same_id, (Verdict::Fail, "its machine-id is the build machine's".into()));
    let same_key = identity(sealed.clone(), &[CLEAN[0], files[1]]).await;
    assert_eq!(same_key, (Verdict::Fail, "its ssh host key is the build machine's".into()));
    let kept = Sealed { seal: Seal::new().keep_ssh_host_keys(), ..sealed };
    assert_eq!(identity(kept, &[CLEAN[0], files[1]]).await.0, Verdict::Pass);
}

#[tokio::test]
async fn a_build_machine_is_proved_in_full_where_it_was_sealed() {
    for inner in HostMachine::all() {
        let (cx, _) = context().await;
        let mut files = DIRTY.to_vec();
        files.extend([
            ("etc/ssh/ssh_host_rsa_key", "x"),
            ("var/lib/cloud/instance/x", "x"),
            ("var/lib/cloud/seed/x", "kept"),
            ("var/lib/systemd/random-seed", "x"),
            ("var/lib/dhcp/a.leases", "x"),
        ]);
        let machine = machine(inner, &files);
        let proof = proof().after_seal();
        let report = proof.validate(&cx, Subject::BuildMachine(&machine)).await.unwrap();
        assert_eq!(report.count(Verdict::Fail), report.checks.len(), "{report:?}");
        proof.seal.provision(&cx, &machine).await.unwrap();
        let report = proof.validate(&cx, Subject::BuildMachine(&machine)).await.unwrap();
        assert_eq!(report.count(Verdict::Pass), report.checks.len(), "{report:?}");
        assert_eq!(report.checks.len(), PROVED.len() + 3);
    }
}

#[tokio::test]
async fn keys_of_others_pass_only_where_allowed() {
    let (cx, _) = context().await;
    let keys = async |proof: Sealed, key: &str| {
        let machine = machine(HostMachine::new(), &[CLEAN[0], ("root/.ssh/authorized_keys", key)]);
        let report = proof.validate(&cx, Subject::Booted(&machine)).await.unwrap();
        verdicts(&report)["sealed: authorized keys"]
    };
    let other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKept ops@example";
    assert_eq!(keys(proof(), other).await, Verdict::Fail);
    assert_eq!(keys(proof(), "# none\n").await, Verdict::Pass);
    assert_eq!(keys(proof().allow_authorized_keys(), other).await, Verdict::Pass);
    assert_eq!(keys(proof().allow_authorized_keys(), KEY).await, Verdict::Fail);
    assert_eq!(keys(Sealed::new().allow_authorized_keys(), KEY).await, Verdict::Pass);
}

#[tokio::test]
async fn silence_is_unknown_and_a_broken_shell_an_error() {
    let (cx, _) = context().await;
    let silent = machine(HostMachine::new(), CLEAN).redirect("printf 'check", ": 'check");
    let report = Sealed::new().validate(&cx, Subject::Booted(&silent)).await.unwrap();
    assert_eq!(report.count(Verdict::Pass), 0);
    assert!(report.count(Verdict::Unknown) > 0 && report.require().is_err());
    let broken = machine(HostMachine::new(), CLEAN).redirect("identities\n", "exit 9\n");
    let error = Sealed::new().validate(&cx, Subject::Booted(&broken)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CommandFailed);
    let rootfs = Sealed::new().validate(&cx, Subject::Rootfs(Path::new("/"))).await.unwrap();
    assert!(rootfs.require().is_err());
}

#[tokio::test]
async fn the_fingerprint_is_what_is_proved() {
    let (cx, _) = context().await;
    let print = async |sealed: Sealed| sealed.fingerprint(&cx).await.unwrap().unwrap();
    let base = print(Sealed::new()).await;
    assert_eq!(print(Sealed::by(&Seal::new().temporary_key(KEY))).await, base);
    for other in
        [Sealed::by(&Seal::new().keep_logs()), Sealed::new().allow_authorized_keys(), Sealed::new().after_seal()]
    {
        assert_ne!(print(other).await, base);
    }
}

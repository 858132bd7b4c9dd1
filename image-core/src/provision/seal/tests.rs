use super::*;
use crate::{
    ErrorKind,
    host_machine::{HostMachine, context},
};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAITemporaryTemporaryTemporary build@host";
const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKeptKeptKeptKeptKeptKeptKept ops@example";

/// Files as a build leaves them; a path that ends with `/` is a directory.
const LEFT_BEHIND: &[(&str, &str)] = &[
    ("etc/ssh/ssh_host_ed25519_key", "k"),
    ("etc/ssh/ssh_host_ed25519_key.pub", "k"),
    ("etc/ssh/sshd_config", "kept"),
    ("etc/machine-id", "0123456789abcdef0123456789abcdef\n"),
    ("var/lib/dbus/machine-id", "0123456789abcdef0123456789abcdef\n"),
    ("usr/lib/systemd/systemd", ""),
    ("usr/bin/cloud-init", ""),
    ("var/lib/cloud/instances/i-1/boot-finished", ""),
    ("var/lib/cloud/seed/nocloud/user-data", "kept"),
    ("etc/netplan/50-cloud-init.yaml", "x"),
    ("etc/netplan/60-mine.yaml", "kept"),
    ("var/lib/systemd/random-seed", "x"),
    ("root/.bash_history", "x"),
    ("home/dev user/.ash_history", "x"),
    ("srv/app/.python_history", "x"),
    ("root/.ansible/tmp/x", "x"),
    ("root/.ssh/authorized_keys", ""),
    ("home/dev user/.ssh/authorized_keys", ""),
    ("tmp/.hidden/a b", "x"),
    ("tmp/x", "x"),
    ("var/tmp/y/z", "x"),
    ("var/log/syslog", "lines"),
    ("var/log/syslog.1", "lines"),
    ("var/log/apt/history.log", "lines"),
    ("var/log/old.gz", "x"),
    ("var/log/journal/0123/system.journal", "x"),
    ("var/lib/apt/lists/deb.example_Packages", "x"),
    ("var/lib/apt/lists/partial/", ""),
    ("var/cache/apt/pkgcache.bin", "x"),
    ("var/cache/apt/archives/a.deb", "x"),
    ("var/cache/apt/archives/lock", ""),
    ("var/cache/apk/APKINDEX.tar.gz", "x"),
    ("var/cache/dnf/x/y", "x"),
    ("var/lib/dhcp/dhclient.eth0.leases", "x"),
    ("etc/udev/rules.d/70-persistent-net.rules", "x"),
    ("etc/hostname", "build-1\n"),
    ("etc/environment", "http_proxy=http://user:hunter22@proxy:3128\n"),
    ("etc/apt/apt.conf.d/01proxy", "Acquire::http::Proxy \"http://user:hunter22@proxy:3128/\";\n"),
    ("etc/profile.d/mixed.sh", "export EDITOR=vi\nexport http_proxy=http://user:hunter22@proxy:3128\n"),
    ("opt/agent/state", "x"),
];

/// A machine whose root file system, for the script, is a directory of this host.
pub(crate) fn fake_root(machine: HostMachine, files: &[(&str, &str)]) -> HostMachine {
    let root = machine.path("root fs");
    fs::create_dir(&root).unwrap();
    for (name, text) in files {
        let path = root.join(name);
        if name.ends_with('/') {
            fs::create_dir_all(path).unwrap();
            continue;
        }
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let quoted = format!("root={}", quote(&root.display().to_string()));
    machine.redirect("root=''", quoted).redirect("\nsync\n", "\n")
}

fn built(machine: HostMachine) -> HostMachine {
    let machine = fake_root(machine, LEFT_BEHIND);
    let root = machine.path("root fs");
    fs::write(root.join("root/.ssh/authorized_keys"), format!("{KEY}\n{OTHER}\n")).unwrap();
    fs::write(root.join("home/dev user/.ssh/authorized_keys"), format!("{KEY}\n")).unwrap();
    fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\napp:x:9:9::/srv/app:/bin/sh\nno:x:8:8::/:/x\n")
        .unwrap();
    fs::set_permissions(root.join("etc/machine-id"), fs::Permissions::from_mode(0o444)).unwrap();
    symlink("/dev/null", root.join("home/dev user/.bash_history")).unwrap();
    machine
}

/// Everything below a directory, by path.
fn contents(dir: &Path) -> BTreeMap<String, String> {
    fn walk(dir: &Path, base: &Path, all: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            let name = entry.strip_prefix(base).unwrap().display().to_string();
            let kind = fs::symlink_metadata(&entry).unwrap().file_type();
            if kind.is_dir() {
                all.insert(format!("{name}/"), String::new());
                walk(&entry, base, all);
            } else if kind.is_symlink() {
                all.insert(name, format!("-> {}", fs::read_link(&entry).unwrap().display()));
            } else {
                all.insert(name, fs::read_to_string(&entry).unwrap());
            }
        }
    }
    let mut all = BTreeMap::new();
    walk(dir, dir, &mut all);
    all
}

fn whole() -> Seal {
    let seal = Seal::new().temporary_key(KEY).proxy(Secret::new("http://user:hunter22@proxy:3128/"));
    seal.reset_hostname().also_remove("/opt/agent")
}

#[tokio::test]
async fn what_a_build_leaves_behind_goes_and_the_rest_stays() {
    for machine in HostMachine::all() {
        let (machine, (cx, events)) = (built(machine), context().await);
        whole().provision(&cx, &machine).await.unwrap();
        let sealed = contents(&machine.path("root fs"));
        let expected: BTreeMap<String, String> = [
            ("etc/ssh/sshd_config", "kept"),
            ("etc/machine-id", ""),
            ("var/lib/dbus/machine-id", "-> /etc/machine-id"),
            ("usr/lib/systemd/systemd", ""),
            ("usr/bin/cloud-init", ""),
            ("var/lib/cloud/seed/nocloud/user-data", "kept"),
            ("etc/netplan/60-mine.yaml", "kept"),
            ("etc/passwd", "root:x:0:0::/root:/bin/sh\napp:x:9:9::/srv/app:/bin/sh\nno:x:8:8::/:/x\n"),
            ("home/dev user/.bash_history", "-> /dev/null"),
            ("root/.ssh/authorized_keys", &format!("{OTHER}\n")),
            ("var/log/syslog", ""),
            ("var/log/apt/history.log", ""),
            ("var/cache/apt/archives/lock", ""),
            ("etc/hostname", "localhost\n"),
            ("etc/environment", ""),
            ("etc/profile.d/mixed.sh", "export EDITOR=vi\n"),
        ]
        .map(|(name, text)| (name.to_owned(), text.to_owned()))
        .into();
        let files = sealed.clone().into_iter().filter(|(name, _)| !name.ends_with('/')).collect::<BTreeMap<_, _>>();
        assert_eq!(files, expected);
        for kept in ["tmp/", "var/tmp/", "var/log/apt/", "var/log/journal/", "var/lib/apt/lists/", "var/lib/cloud/"] {
            assert!(sealed.contains_key(kept), "{kept}");
        }
        let mode = fs::metadata(machine.path("root fs/etc/machine-id")).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o444);
        assert!(!events.text().contains("hunter22"));
        assert_eq!(events.warnings(), Vec::<String>::new());

        whole().provision(&cx, &machine).await.unwrap();
        assert_eq!(contents(&machine.path("root fs")), sealed, "sealing twice is sealing once");
    }
}

#[tokio::test]
async fn every_part_can_be_turned_off() {
    type Keep = fn(Seal) -> Seal;
    let parts: [(Keep, &str); 11] = [
        (Seal::keep_build_traces, "root/.ansible/tmp/x"),
        (Seal::keep_cloud_init_state, "var/lib/cloud/instances/i-1/boot-finished"),
        (Seal::keep_dhcp_leases, "var/lib/dhcp/dhclient.eth0.leases"),
        (Seal::keep_histories, "root/.bash_history"),
        (Seal::keep_logs, "var/log/syslog.1"),
        (Seal::keep_machine_id, "var/lib/dbus/machine-id"),
        (Seal::keep_package_caches, "var/cache/apk/APKINDEX.tar.gz"),
        (Seal::keep_random_seed, "var/lib/systemd/random-seed"),
        (Seal::keep_ssh_host_keys, "etc/ssh/ssh_host_ed25519_key"),
        (Seal::keep_tmp, "tmp/.hidden/a b"),
        (Seal::keep_udev_rules, "etc/udev/rules.d/70-persistent-net.rules"),
    ];
    assert_eq!(parts.len(), PARTS.len());
    let (cx, _) = context().await;
    let default = Seal::new().fingerprint(&cx).await.unwrap();
    for (keep, file) in parts {
        let (machine, (cx, _)) = (built(HostMachine::new()), context().await);
        let before = contents(&machine.path("root fs"));
        assert_ne!(keep(Seal::new()).fingerprint(&cx).await.unwrap(), default, "{file}");
        keep(Seal::new()).provision(&cx, &machine).await.unwrap();
        let after = contents(&machine.path("root fs"));
        assert_eq!(after.get(file), before.get(file), "{file}");
        for (_, other) in parts.iter().filter(|(_, other)| *other != file) {
            assert_ne!(after.get(*other), before.get(*other), "{other} while keeping {file}");
        }
    }
}

#[tokio::test]
async fn a_system_that_has_none_of_it_is_sealed_too() {
    for machine in HostMachine::all() {
        let (machine, (cx, _)) = (fake_root(machine, &[("etc/machine-id", "x"), ("bin/sh", "")]), context().await);
        whole().every_authorized_key().provision(&cx, &machine).await.unwrap();
        let files: Vec<String> = contents(&machine.path("root fs")).into_keys().collect();
        assert_eq!(files, ["bin/", "bin/sh", "etc/"], "without systemd there is no empty machine-id");
    }
}

#[tokio::test]
async fn links_do_not_lead_out_of_the_emptied_directories() {
    for machine in HostMachine::all() {
        let (machine, (cx, _)) =
            (fake_root(machine, &[("var/log/", ""), ("tmp/", ""), ("home/", "")]), context().await);
        let outside = machine.path("outside");
        fs::create_dir_all(outside.join("dir")).unwrap();
        fs::write(outside.join("dir/file"), "kept").unwrap();
        for link in ["tmp/link", "var/log/link", "var/tmp", "var/cache"] {
            symlink(outside.join("dir"), machine.path("root fs").join(link)).unwrap();
        }
        symlink(outside.join("dir/file"), machine.path("root fs/var/log/file")).unwrap();
        Seal::new().provision(&cx, &machine).await.unwrap();
        assert_eq!(machine.read("outside/dir/file"), "kept");
        assert!(fs::symlink_metadata(machine.path("root fs/tmp/link")).is_err());
    }
}

#[tokio::test]
async fn sshd_that_nobody_gives_keys_is_a_warning() {
    let (machine, (cx, events)) = (fake_root(HostMachine::new(), &[("usr/sbin/sshd", "")]), context().await);
    Seal::new().provision(&cx, &machine).await.unwrap();
    assert_eq!(events.warnings(), ["the image has sshd, and nothing that makes its host keys at the first boot"]);
}

#[tokio::test]
async fn a_missing_tool_is_named() {
    let machine = fake_root(HostMachine::new(), &[]).redirect("command -v \"$tool\"", "[ $tool != grep ]");
    let (cx, _) = context().await;
    let error = Seal::new().provision(&cx, &machine).await.unwrap_err();
    insta::assert_snapshot!(error, @"provisioner seal ended with exit code 69: the seal needs grep, which is missing");
}

#[tokio::test]
async fn inputs_are_checked_and_not_in_the_fingerprint() {
    let (cx, _) = context().await;
    let print = async |seal: Seal| seal.fingerprint(&cx).await;
    let same = Seal::new().temporary_key(KEY).proxy(Secret::new("proxy:3128"));
    assert_eq!(print(same.clone()).await.unwrap(), print(Seal::new()).await.unwrap());
    assert_eq!(same.requirements(), Requirements::NONE);
    assert_eq!(whole().requirements(), Requirements::SECRETS);
    for (seal, says) in [
        (Seal::new().temporary_key("-----BEGIN"), "temporary_key of the seal is `-----BEGIN`"),
        (Seal::new().proxy(Secret::new("a b c d")), "proxy of the seal is `***`"),
        (Seal::new().proxy(Secret::new("")), "proxy of the seal is `***`"),
        (Seal::new().also_remove("/"), "also_remove of the seal is `/`"),
        (Seal::new().also_remove("//."), "also_remove"),
        (Seal::new().also_remove("/a/../.."), "also_remove"),
        (Seal::new().also_remove("tmp"), "also_remove"),
    ] {
        let error = print(seal).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().starts_with(says), "{error}");
    }
}

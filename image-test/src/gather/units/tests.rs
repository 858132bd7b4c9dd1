use super::*;
use crate::facts::parse::is_enabled;
use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

const PLAIN: &str = "[Unit]\nDescription=x\n[Service]\nExecStart=/bin/true\n";

/// A root with a unit for each state, and what each is.
fn fixture(root: &Path) -> Vec<(&'static str, &'static str)> {
    let write = |path: &str, text: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let link = |target: &str, path: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    };
    let wanted = format!("{PLAIN}[Install]\nWantedBy=multi-user.target\n");
    let unit = |name: &str, text: &str| write(&format!("usr/lib/systemd/system/{name}"), text);
    for name in ["enabled", "required", "runtime", "disabled", "masked", "emptied", "overridden"] {
        unit(&format!("{name}.service"), &wanted);
    }
    link("/usr/lib/systemd/system/enabled.service", "etc/systemd/system/multi-user.target.wants/enabled.service");
    link("/nowhere/required.service", "etc/systemd/system/x.target.requires/required.service");
    link("/usr/lib/systemd/system/runtime.service", "run/systemd/system/multi-user.target.wants/runtime.service");
    link("/dev/null", "etc/systemd/system/masked.service");
    write("etc/systemd/system/emptied.service", "");
    write("etc/systemd/system/overridden.service", PLAIN);
    unit("static.service", PLAIN);
    link("../static.service", "usr/lib/systemd/system/multi-user.target.wants/static.service");
    unit("also.service", &format!("{PLAIN}[Install]\nAlso=also.socket\n"));
    unit("also.socket", "[Socket]\nListenStream=/run/x\n[Install]\nWantedBy=sockets.target\n");
    // An alias of a package, one that enabling made, and one that somebody else made.
    link("static.service", "usr/lib/systemd/system/nick.service");
    unit("manager.service", &format!("{PLAIN}[Install]\nAlias=display.service\n"));
    link("/usr/lib/systemd/system/manager.service", "etc/systemd/system/display.service");
    unit("other-manager.service", &format!("{PLAIN}[Install]\nAlias=display.service\n"));
    unit("renamed.service", &wanted);
    link("/usr/lib/systemd/system/renamed.service", "etc/systemd/system/my-name.service");
    unit("tty@.service", &format!("{PLAIN}[Install]\nWantedBy=getty.target\nDefaultInstance=tty1\n"));
    link("/usr/lib/systemd/system/tty@.service", "etc/systemd/system/getty.target.wants/tty@tty1.service");
    link("tty@.service", "usr/lib/systemd/system/auto@.service");
    unit("pulled@.service", PLAIN);
    link("../pulled@.service", "usr/lib/systemd/system/getty.target.wants/pulled@a.service");
    write("opt/linked.service", &wanted);
    link("/opt/linked.service", "etc/systemd/system/linked.service");
    link("loop-b.service", "etc/systemd/system/loop-a.service");
    link("loop-a.service", "etc/systemd/system/loop-b.service");
    link("/opt/none.service", "etc/systemd/system/dangling.service");
    unit("dropped.service", PLAIN);
    write("etc/systemd/system/dropped.service.d/install.conf", "[Install]\nWantedBy=x.target\n");
    vec![
        ("enabled.service", "enabled"),
        ("required.service", "enabled"),
        ("runtime.service", "enabled-runtime"),
        ("disabled.service", "disabled"),
        ("masked.service", "masked"),
        ("emptied.service", "masked"),
        ("overridden.service", "static"),
        ("static.service", "static"),
        ("also.service", "indirect"),
        ("also.socket", "disabled"),
        ("nick.service", "alias"),
        ("manager.service", "enabled"),
        ("display.service", "alias"),
        ("other-manager.service", "disabled"),
        ("renamed.service", "indirect"),
        ("my-name.service", "alias"),
        ("tty@.service", "enabled"),
        ("tty@tty1.service", "enabled"),
        ("tty@tty2.service", "disabled"),
        ("auto@.service", "alias"),
        ("auto@tty1.service", "enabled"),
        ("auto@tty2.service", "disabled"),
        ("pulled@a.service", "static"),
        ("pulled@b.service", "static"),
        ("linked.service", "linked"),
        ("loop-a.service", "not-found"),
        ("dangling.service", "not-found"),
        ("dropped.service", "disabled"),
        ("none.service", "not-found"),
        ("x@y@z", "not-found"),
    ]
}

#[test]
fn states_are_told_from_files() {
    let directory = tempfile::tempdir().unwrap();
    let expected = fixture(directory.path());
    let root = Root::open(directory.path()).unwrap();
    let units = Units::new(&root).unwrap();
    for (name, state) in expected {
        assert_eq!(units.state(name), Ok(state), "{name}");
    }
    assert!(units.has_native("tty@tty9.service") && !units.has_native("none.service"));
}

#[test]
fn systemd_agrees_on_each_unit() {
    let directory = tempfile::tempdir().unwrap();
    let expected = fixture(directory.path());
    let root = Root::open(directory.path()).unwrap();
    let units = Units::new(&root).unwrap();
    for (name, _) in expected {
        let is_enabled_by =
            Command::new("systemctl").arg("--root").arg(directory.path()).args(["is-enabled", name]).output();
        let Ok(output) = is_enabled_by else {
            eprintln!("SKIPPED: systemctl is not here to compare with");
            return;
        };
        let ours = units.state(name).unwrap();
        assert_eq!(is_enabled(ours), output.status.success(), "{name} is {ours}, systemctl says {output:?}");
    }
}

/// Units of generators are known to a running system only.
#[test]
fn systemd_agrees_on_the_units_of_this_machine() {
    let listed = Command::new("systemctl").args(["list-unit-files", "--no-legend", "--root=/"]).output();
    let Ok(listed) = listed else {
        eprintln!("SKIPPED: systemctl is not here to compare with");
        return;
    };
    let units = Units::new(&Root::Own).unwrap();
    for line in String::from_utf8_lossy(&listed.stdout).lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some(name), Some(state)) = (words.next(), words.next()) else { continue };
        assert_eq!(is_enabled(units.state(name).unwrap()), is_enabled(state), "{name} is {state}");
    }
}

#[test]
fn names_are_made_whole() {
    for (name, whole) in [("ssh", "ssh.service"), ("ssh.socket", "ssh.socket"), ("a.b", "a.b.service")] {
        assert_eq!(unit_name(name), whole);
    }
    assert_eq!(template_of("a@b.c.service").as_deref(), Some("a@.service"));
    assert_eq!((template_of("a@.service"), template_of("a.service"), template_of("a@b")), (None, None, None));
    assert_eq!(instantiated("b@.service", "a@x.service"), "b@x.service");
}

//! Installing packages by apt-get, as little as possible and as late as possible.

use crate::{failure::Failure, run};
use std::fmt;

/// Packages that are built together and only fit together: an installed one decides the version of the others.
const TOGETHER: [&[&str]; 1] = [&[
    "qemu-system-x86",
    "qemu-system-arm",
    "qemu-system-common",
    "qemu-system-data",
    "qemu-utils",
    "qemu-block-extra",
    "qemu-guest-agent",
]];

/// The machine's apt; a fake one in tests.
trait Apt {
    /// Whether these arguments of `apt-get install` could be carried out; what apt says otherwise.
    fn simulate(&mut self, packages: &[String]) -> Result<(), String>;
    fn update(&mut self) -> Result<(), Failure>;
    fn install(&mut self, packages: &[String]) -> Result<(), Failure>;
    fn installed_version(&mut self, package: &str) -> Option<String>;
    /// All versions that the sources offer, best first.
    fn offered_versions(&mut self, package: &str) -> Vec<String>;
    fn privilege(&self) -> Privilege;
}

/// By which right packages can be installed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Privilege {
    None,
    Root,
    Sudo,
}

impl Privilege {
    fn probe() -> Self {
        let uid = run::program("id").args(["-u"]).stdout().unwrap_or_default();
        if uid.trim() == "0" {
            return Self::Root;
        }
        // Never ask for a password: whoever calls us may not be there.
        let sudo = run::find("sudo").and_then(|_| run::program("sudo").args(["-n", "true"]).output().ok());
        if sudo.is_some_and(|output| output.status.success()) { Self::Sudo } else { Self::None }
    }
}

/// Installs packages, or says in one line what to run.
pub(crate) fn install(packages: &[&str]) -> Result<(), Failure> {
    install_with(&mut System { privilege: Privilege::probe() }, packages)
}

fn install_with(apt: &mut impl Apt, packages: &[&str]) -> Result<(), Failure> {
    let wanted: Vec<String> = packages.iter().map(|package| (*package).to_owned()).collect();
    let may_install = apt.privilege() != Privilege::None;
    let Some(chosen) = resolve(apt, &wanted).or_else(|| {
        // The lists may be missing, as on a fresh container, or old.
        let updated = may_install && apt.update().is_ok();
        updated.then(|| resolve(apt, &wanted)).flatten()
    }) else {
        return Err(refused(apt, &wanted));
    };
    if !may_install {
        return Err(Failure::usage(format!("run this once, then call again:\n\n  {}", Line(&chosen))));
    }
    apt.install(&chosen).or_else(|_| {
        // A package that the mirror has replaced since the lists were fetched.
        apt.update()?;
        apt.install(&chosen)
    })
}

/// What to ask apt for: the packages as they are, or with the versions of what is installed beside them.
fn resolve(apt: &mut impl Apt, wanted: &[String]) -> Option<Vec<String>> {
    if apt.simulate(wanted).is_ok() {
        return Some(wanted.to_vec());
    }
    let (bound, family) = wanted.iter().find_map(|package| {
        let family = TOGETHER.into_iter().find(|family| family.contains(&package.as_str()))?;
        Some((package.clone(), family))
    })?;
    let mut versions: Vec<String> = family.iter().filter_map(|other| apt.installed_version(other)).collect();
    versions.extend(apt.offered_versions(&bound));
    let mut tried = vec![];
    for version in versions {
        if tried.contains(&version) {
            continue;
        }
        let pin = |package: &String| {
            if family.contains(&package.as_str()) { format!("{package}={version}") } else { package.clone() }
        };
        let pinned: Vec<String> = wanted.iter().map(pin).collect();
        if apt.simulate(&pinned).is_ok() {
            return Some(pinned);
        }
        tried.push(version);
    }
    None
}

fn refused(apt: &mut impl Apt, wanted: &[String]) -> Failure {
    let said = apt.simulate(wanted).err().unwrap_or_default();
    let what = if apt.privilege() == Privilege::None {
        format!("run this once, then call again:\n\n  sudo apt-get update && {}", Line(wanted))
    } else {
        "packages of another suite are probably installed that these do not fit to: add that suite to apt's sources, or \
         remove them, and call again"
            .to_owned()
    };
    Failure::usage(format!("apt-get cannot install {}:\n{said}\n\n{what}", wanted.join(" ")))
}

/// The line that a person runs.
struct Line<'a>(&'a [String]);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sudo apt-get install -y --no-install-recommends {}", self.0.join(" "))
    }
}

struct System {
    privilege: Privilege,
}

impl System {
    fn apt_get(&self, args: &[&str]) -> run::Program {
        // A machine that has just started installs its updates first.
        let own = ["-o", "DPkg::Lock::Timeout=300"];
        match self.privilege {
            Privilege::Sudo => {
                run::program("sudo").args(["-n", "DEBIAN_FRONTEND=noninteractive", "apt-get"]).args(own).args(args)
            }
            _ => run::program("apt-get").env("DEBIAN_FRONTEND", "noninteractive").args(own).args(args),
        }
    }
}

impl Apt for System {
    fn simulate(&mut self, packages: &[String]) -> Result<(), String> {
        // Nobody needs a right for that.
        let simulation = run::program("apt-get").env("LC_ALL", "C");
        let args = ["install", "--simulate", "--yes", "--no-install-recommends"];
        match simulation.args(args).args(packages).output() {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => {
                let all = [output.stdout, output.stderr].concat();
                let text = String::from_utf8_lossy(&all).into_owned();
                let lines: Vec<&str> =
                    text.lines().filter(|line| line.starts_with("E:") || line.contains(" : ")).collect();
                Err(lines.join("\n"))
            }
            Err(failure) => Err(failure.message().to_owned()),
        }
    }
    fn update(&mut self) -> Result<(), Failure> {
        eprintln!("xtask: fetching package lists");
        self.apt_get(&["update", "--quiet"]).run()
    }
    fn install(&mut self, packages: &[String]) -> Result<(), Failure> {
        eprintln!("xtask: installing {}", packages.join(" "));
        self.apt_get(&["install", "--yes", "--quiet", "--no-install-recommends"]).args(packages).run()
    }
    fn installed_version(&mut self, package: &str) -> Option<String> {
        let query =
            run::program("dpkg-query").args(["-W", "-f=${db:Status-Status} ${Version}", package]).stdout().ok()?;
        query.strip_prefix("installed ").map(str::to_owned)
    }
    fn offered_versions(&mut self, package: &str) -> Vec<String> {
        let table = run::program("apt-cache").args(["madison", package]).stdout().unwrap_or_default();
        table.lines().filter_map(|line| line.split('|').nth(1)).map(|version| version.trim().to_owned()).collect()
    }
    fn privilege(&self) -> Privilege {
        self.privilege
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Accepts only what is listed, and lists more after an update.
    struct Fake {
        accepts: Vec<&'static str>,
        after_update: Vec<&'static str>,
        installed: BTreeMap<&'static str, &'static str>,
        offered: Vec<&'static str>,
        privilege: Privilege,
        did: Vec<String>,
        failing_installs: usize,
    }

    impl Fake {
        fn new(accepts: &[&'static str]) -> Self {
            Self {
                accepts: accepts.to_vec(),
                after_update: vec![],
                installed: BTreeMap::new(),
                offered: vec![],
                privilege: Privilege::Root,
                did: vec![],
                failing_installs: 0,
            }
        }
        fn install(mut self, packages: &[&str]) -> (Result<(), String>, Vec<String>) {
            let result = install_with(&mut self, packages).map_err(|failure| failure.message().to_owned());
            (result, self.did)
        }
    }

    impl Apt for Fake {
        fn simulate(&mut self, packages: &[String]) -> Result<(), String> {
            let line = packages.join(" ");
            if self.accepts.contains(&line.as_str()) { Ok(()) } else { Err(format!("E: no {line}")) }
        }
        fn update(&mut self) -> Result<(), Failure> {
            self.did.push("update".into());
            self.accepts.append(&mut self.after_update);
            Ok(())
        }
        fn install(&mut self, packages: &[String]) -> Result<(), Failure> {
            self.did.push(packages.join(" "));
            let fails = self.failing_installs > 0;
            self.failing_installs = self.failing_installs.saturating_sub(1);
            if fails { Err(Failure::silent(100)) } else { Ok(()) }
        }
        fn installed_version(&mut self, package: &str) -> Option<String> {
            self.installed.get(package).map(|version| (*version).to_owned())
        }
        fn offered_versions(&mut self, _package: &str) -> Vec<String> {
            self.offered.iter().map(|version| (*version).to_owned()).collect()
        }
        fn privilege(&self) -> Privilege {
            self.privilege
        }
    }

    #[test]
    fn lists_are_fetched_only_when_they_are_needed() {
        assert_eq!(Fake::new(&["ovmf"]).install(&["ovmf"]), (Ok(()), vec!["ovmf".into()]));
        let stale = Fake { after_update: vec!["ovmf"], ..Fake::new(&[]) };
        assert_eq!(stale.install(&["ovmf"]), (Ok(()), vec!["update".into(), "ovmf".into()]));
        let replaced = Fake { failing_installs: 1, ..Fake::new(&["ovmf"]) };
        assert_eq!(replaced.install(&["ovmf"]), (Ok(()), vec!["ovmf".into(), "update".into(), "ovmf".into()]));
    }

    #[test]
    fn packages_of_another_suite_decide_the_version() {
        let accepts = ["ovmf qemu-system-x86=10.0"];
        let installed = BTreeMap::from([("qemu-utils", "10.0")]);
        let fake = Fake { installed, ..Fake::new(&accepts) };
        assert_eq!(fake.install(&["ovmf", "qemu-system-x86"]), (Ok(()), vec![accepts[0].into()]));
        let offered = Fake { offered: vec!["7.2", "10.0"], ..Fake::new(&accepts) };
        assert_eq!(offered.install(&["ovmf", "qemu-system-x86"]), (Ok(()), vec![accepts[0].into()]));
    }

    #[test]
    fn without_the_right_there_is_one_line_to_run() {
        let fake = Fake { privilege: Privilege::None, ..Fake::new(&["ovmf"]) };
        let (result, did) = fake.install(&["ovmf"]);
        assert!(result.unwrap_err().ends_with("  sudo apt-get install -y --no-install-recommends ovmf"));
        assert!(did.is_empty());
        let unknown = Fake { privilege: Privilege::None, ..Fake::new(&[]) }.install(&["ovmf"]).0.unwrap_err();
        assert!(unknown.ends_with("  sudo apt-get update && sudo apt-get install -y --no-install-recommends ovmf"));
    }

    #[test]
    fn what_cannot_be_installed_is_said_in_the_words_of_apt() {
        let (result, did) = Fake::new(&[]).install(&["qemu-system-x86"]);
        let message = result.unwrap_err();
        assert!(message.contains("E: no qemu-system-x86") && message.contains("another suite"), "{message}");
        assert_eq!(did, ["update"]);
    }
}

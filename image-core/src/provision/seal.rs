//! The seal of a golden Linux image: what a build leaves behind is removed.

use super::failure::command_failed;
use crate::{
    Command, Context, Error, Fingerprint, Machine, Provisioner, Requirements, Result, Secret, async_trait, quote,
    sha256,
};
use std::collections::{BTreeMap, BTreeSet};

/// Where things are; shared with the validator that proves the seal.
pub(crate) const PATHS: &str = include_str!("seal/paths.sh");
const SCRIPT: &str = include_str!("seal/seal.sh");

/// The parts that are on by default, in the order in which they are done: the names of functions of the script.
const PARTS: [&str; 11] = [
    "ssh_host_keys",
    "cloud_init",
    "random_seed",
    "histories",
    "build_traces",
    "package_caches",
    "dhcp_leases",
    "udev_rules",
    "tmp",
    "logs",
    "machine_id",
];

/// Removes from a Linux system what belongs to its build and not to the image: the last operation before the capture.
///
/// All parts are on unless one is turned off by name. One script does all of them, in any POSIX shell with the usual
/// tools or BusyBox; what a system does not have is skipped. Running it again changes nothing. It never leaves the file
/// system of a directory it empties, so nothing that is mounted there is touched.
///
/// **Machine id.** On a system with systemd, `/etc/machine-id` is left as an *empty* file and D-Bus's copy becomes a link
/// to it: machine-id(5) makes a fresh id on the next boot then. The other choice, `uninitialized` or no file, would also
/// declare a "first boot", on which systemd resets the enablement of every unit to its preset and so undoes what the
/// image configured, and a missing file cannot be made on a read-only root. Without systemd both files are removed,
/// as D-Bus takes an empty one for an error.
///
/// **SSH host keys** are removed; something in the image has to make new ones (cloud-init, `sshd-keygen`, OpenRC). Where
/// nothing is found that does, there is a warning, because sshd will not start.
///
/// **Fingerprint**: the parts. Not the temporary keys and the proxies, which are other ones in every run while the
/// result, an image without them, is the same.
#[derive(Clone, Debug)]
pub struct Seal {
    parts: BTreeSet<&'static str>,
    pub(crate) temporary_keys: Vec<String>,
    pub(crate) every_key: bool,
    pub(crate) proxies: Vec<Secret>,
    hostname: bool,
    pub(crate) removed: Vec<String>,
}

impl Default for Seal {
    fn default() -> Self {
        Self::new()
    }
}

macro_rules! keep {
    ($($(#[$doc:meta])* $method:ident $part:literal)*) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $method(mut self) -> Self {
            self.parts.remove($part);
            self
        }
    )*};
}

impl Seal {
    /// The whole seal.
    pub fn new() -> Self {
        let parts = PARTS.into();
        Self { parts, temporary_keys: vec![], every_key: false, proxies: vec![], hostname: false, removed: vec![] }
    }

    keep! {
        /// Keeps what configuration tools of the build leave in home directories (`.ansible`).
        keep_build_traces "build_traces"
        /// Keeps cloud-init's state, so that it takes the first boot of the image for a later one of the build machine.
        keep_cloud_init_state "cloud_init"
        /// Keeps DHCP leases and the identifiers that DHCP clients made.
        keep_dhcp_leases "dhcp_leases"
        /// Keeps the histories of shells and other interactive programs.
        keep_histories "histories"
        /// Keeps logs, the journal and crash dumps.
        keep_logs "logs"
        /// Keeps the machine id: every machine made of the image has the same one.
        keep_machine_id "machine_id"
        /// Keeps downloaded packages and package lists.
        keep_package_caches "package_caches"
        /// Keeps the random seeds and systemd's credential secret: every machine made of the image has the same ones.
        keep_random_seed "random_seed"
        /// Keeps the SSH host keys: every machine made of the image has the same ones.
        keep_ssh_host_keys "ssh_host_keys"
        /// Keeps what is in `/tmp` and `/var/tmp`.
        keep_tmp "tmp"
        /// Keeps udev's rules that tie names to the hardware of the build machine.
        keep_udev_rules "udev_rules"
    }

    /// Also removes a public key, given as its line of an `authorized_keys` file, from the home of every user.
    #[must_use]
    pub fn temporary_key(mut self, public_key: impl Into<String>) -> Self {
        self.temporary_keys.push(public_key.into());
        self
    }
    /// Also removes the `authorized_keys` files of every user.
    #[must_use]
    pub fn every_authorized_key(mut self) -> Self {
        self.every_key = true;
        self
    }
    /// Also removes the lines that mention this proxy, in the form in which the build was given it, from the places where
    /// proxies are set: the environment, shell profiles, package managers, systemd, and the dot files of users. A proxy
    /// with credentials is sent as a secret and needs a machine that can carry one.
    #[must_use]
    pub fn proxy(mut self, proxy: Secret) -> Self {
        self.proxies.push(proxy);
        self
    }
    /// Also resets the host name to `localhost`, for systems that do not get one when they boot.
    #[must_use]
    pub fn reset_hostname(mut self) -> Self {
        self.hostname = true;
        self
    }
    /// Also removes a file or directory, by absolute path, for example what an agent of the build keeps.
    #[must_use]
    pub fn also_remove(mut self, path: impl Into<String>) -> Self {
        self.removed.push(path.into());
        self
    }

    /// Whether a part is on.
    pub(crate) fn has(&self, part: &str) -> bool {
        self.parts.contains(part)
    }

    /// The script. `root` stands before every path; only tests set it.
    fn script(&self) -> Result<String> {
        self.check_settings()?;
        let mut script = format!("set -eu\nroot=''\n{PATHS}\n{SCRIPT}");
        for path in &self.removed {
            script.push_str(&format!("rm -rf \"$root\"{}\n", quote(path)));
        }
        if self.every_key {
            script.push_str("authorized_keys all\n");
        } else {
            script.push_str("[ -z \"$SEAL_KEYS\" ] || authorized_keys given\n");
        }
        script.push_str("[ -z \"$SEAL_PROXIES\" ] || proxies\n");
        script.push_str(if self.hostname { "hostname\n" } else { "" });
        for part in PARTS.iter().filter(|part| self.has(part)) {
            script.push_str(part);
            script.push('\n');
        }
        script.push_str("sync\n");
        Ok(script)
    }

    fn check_settings(&self) -> Result<()> {
        for path in &self.removed {
            let depth = path.split('/').filter(|part| !part.is_empty() && *part != ".").count();
            if !path.starts_with('/') || depth == 0 || path.split('/').any(|part| part == "..") || path.contains('\0') {
                return Err(Error::invalid("also_remove of the seal", path, "an absolute path below / without `..`"));
            }
        }
        self.inputs().map(drop)
    }

    /// What is looked for in files, by the name of the variable.
    pub(crate) fn inputs(&self) -> Result<BTreeMap<&'static str, Secret>> {
        let mut keys = vec![];
        for key in &self.temporary_keys {
            let found = key.split_whitespace().find(|word| word.starts_with("AAAA") && word.len() >= 32);
            let accepted = "a public key in the form of authorized_keys";
            keys.push(found.ok_or_else(|| Error::invalid("temporary_key of the seal", key, accepted))?);
        }
        let mut proxies = vec![];
        for proxy in &self.proxies {
            // The value may have credentials in it, so the message has none of it.
            let proxy = proxy.expose().trim_end_matches('/');
            if proxy.len() < 4 || proxy.contains(char::is_whitespace) {
                return Err(Error::invalid("proxy of the seal", "***", "a URL or host and port, without spaces"));
            }
            proxies.push(proxy);
        }
        Ok([("SEAL_KEYS", keys), ("SEAL_PROXIES", proxies)].map(|(name, text)| (name, text.join("\n").into())).into())
    }

    /// Adds the inputs to a command: as secrets where one has credentials.
    pub(crate) fn with_inputs(&self, mut command: Command) -> Result<Command> {
        let secret = self.requirements().secrets;
        for (name, value) in self.inputs()? {
            command = if secret { command.secret(name, value) } else { command.env(name, value.expose()) };
        }
        Ok(command)
    }
}

#[async_trait]
impl Provisioner for Seal {
    fn id(&self) -> &str {
        "seal"
    }
    async fn fingerprint(&self, _cx: &Context) -> Result<Option<Fingerprint>> {
        Fingerprint::of("seal", &sha256(self.script()?)).map(Some)
    }
    fn requirements(&self) -> Requirements {
        let credentials = self.proxies.iter().any(|proxy| proxy.expose().contains('@'));
        if credentials { Requirements::SECRETS } else { Requirements::NONE }
    }
    async fn provision(&self, cx: &Context, machine: &dyn Machine) -> Result<()> {
        self.proxies.iter().for_each(|proxy| cx.learn_secret(proxy));
        let command = self.with_inputs(Command::sh(self.script()?))?;
        let output = cx.race(machine.exec(cx, command)).await?;
        if !output.success() {
            return Err(command_failed(cx, self.id(), &output, &BTreeSet::from([0])));
        }
        output.stdout_text().lines().filter_map(|line| line.strip_prefix("warning: ")).for_each(|line| cx.warn(line));
        Ok(())
    }
}

#[cfg(test)]
mod tests;

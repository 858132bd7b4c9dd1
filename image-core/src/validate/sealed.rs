//! The proof that an image is sealed.

use crate::{
    Check, Command, Context, Error, ErrorKind, Fingerprint, Machine, Provisioner, Report, Result, Subject,
    ValidationStage, Validator, Verdict, async_trait,
    per_run::PerRun,
    provision::{SEAL_PATHS, Seal, last_words},
    quote, sha256,
};
use std::collections::BTreeSet;

const SCRIPT: &str = include_str!("sealed/sealed.sh");
/// What is proved, by the name of the seal's part and of a function of the script. Temporary files and logs are not
/// here: asking for them makes some.
const PROVED: [&str; 9] = [
    "build_traces",
    "cloud_init",
    "dhcp_leases",
    "histories",
    "machine_id",
    "package_caches",
    "random_seed",
    "ssh_host_keys",
    "udev_rules",
];

/// Proves on a machine booted from the image that the [`Seal`] did its work.
///
/// **On the booted artifact** it checks what a boot does not make anew: no shell histories, no authorized keys, no traces
/// of tools, no proxy of the build, no package lists or caches older than the boot, and a machine id that was made.
/// Where the run built the image as well, the machine id and the SSH host keys must not be those of the build machine.
///
/// **On the build machine** a run validates *before* it seals. So the identity of the machine is noted for the comparison,
/// and the one check is that the seal will find what it needs; [`after_seal`](Self::after_seal) checks all of it there, for
/// pipelines that seal as a provisioner.
#[derive(Clone, Debug)]
pub struct Sealed {
    seal: Seal,
    any_authorized_key: bool,
    after_seal: bool,
    built: PerRun<BTreeSet<Identity>>,
}

/// What must differ between machines: its kind and value.
type Identity = (String, String);

impl Default for Sealed {
    fn default() -> Self {
        Self::new()
    }
}

impl Sealed {
    /// Proves the default seal.
    pub fn new() -> Self {
        Self::by(&Seal::new())
    }
    /// Proves this seal: only the parts that are on, and the keys and proxies it removes.
    pub fn by(seal: &Seal) -> Self {
        Self { seal: seal.clone(), any_authorized_key: false, after_seal: false, built: PerRun::default() }
    }
    /// Lets authorized keys pass that are not the build's, for images that carry some on purpose and machines that get
    /// one when they boot.
    #[must_use]
    pub fn allow_authorized_keys(mut self) -> Self {
        self.any_authorized_key = true;
        self
    }
    /// Checks the build machine in full, for pipelines whose last provisioner seals.
    #[must_use]
    pub fn after_seal(mut self) -> Self {
        self.after_seal = true;
        self
    }

    /// The script, and the checks it must answer.
    fn script(&self, stage: &str) -> (String, Vec<&'static str>) {
        let mut script = format!("set -eu\nroot=''\nstage={stage}\n{SEAL_PATHS}\n{SCRIPT}\nidentities\n");
        if stage == "before" {
            script.push_str("prerequisites\n");
            return (script, vec!["prerequisites"]);
        }
        let mut expected = vec![];
        for part in PROVED.into_iter().filter(|part| self.seal.has(part)) {
            script.push_str(&format!("{part}\n"));
            expected.push(part);
        }
        script.push_str(if self.any_authorized_key { "authorized_keys given\n" } else { "authorized_keys any\n" });
        expected.push("authorized_keys");
        if !self.seal.proxies.is_empty() {
            script.push_str("proxies\n");
            expected.push("proxies");
        }
        if !self.seal.removed.is_empty() {
            let paths: Vec<String> = self.seal.removed.iter().map(|path| format!("\"$root\"{}", quote(path))).collect();
            script.push_str(&format!("nothing removed \"$(present {})\"\n", paths.join(" ")));
            expected.push("removed");
        }
        (script, expected)
    }

    async fn ask(&self, cx: &Context, machine: &dyn Machine, script: String) -> Result<Answer> {
        let command = self.seal.with_inputs(Command::sh(script))?;
        let output = cx.race(machine.exec(cx, command)).await?;
        if !output.success() || output.truncated {
            let message = format!("the seal cannot be checked: {}: {}", output.exit, last_words(cx, &output));
            return Err(Error::new(ErrorKind::CommandFailed, message));
        }
        Ok(Answer::parse(&output.stdout_text()))
    }

    fn remember(&self, cx: &Context, mut identities: BTreeSet<Identity>) {
        identities.extend(self.built.get(cx).unwrap_or_default()); // every layer has a machine of its own
        self.built.set(cx, identities);
    }

    /// Whether the machine is another one than those of the build.
    fn compare(&self, cx: &Context, identities: &BTreeSet<Identity>) -> Check {
        const ID: &str = "identity: not the build machine's";
        let Some(known) = self.built.get(cx) else {
            return Check::new(ID, Verdict::NotApplicable, "this run has not validated a build machine");
        };
        let kept = |kind: &str| match kind {
            "machine-id" => !self.seal.has("machine_id"),
            _ => !self.seal.has("ssh_host_keys"),
        };
        match known.intersection(identities).find(|(kind, _)| !kept(kind)) {
            Some((kind, _)) => Check::fail(ID, format!("its {kind} is the build machine's")),
            None => Check::pass(ID),
        }
    }
}

/// What the script said.
#[derive(Debug, Default)]
struct Answer {
    checks: Vec<(String, Verdict, String)>,
    identities: BTreeSet<Identity>,
}

impl Answer {
    fn parse(text: &str) -> Self {
        let mut answer = Self::default();
        for line in text.lines() {
            match *line.splitn(4, '\t').collect::<Vec<_>>() {
                ["check", part, "pass", _] => answer.checks.push((part.into(), Verdict::Pass, String::new())),
                ["check", part, "fail", found] => answer.checks.push((part.into(), Verdict::Fail, found.trim().into())),
                ["identity", kind, value] => drop(answer.identities.insert((kind.into(), value.into()))),
                _ => {} // whatever else a shell says; a check without an answer is unknown
            }
        }
        answer
    }
    /// The verdict of a check. On a boot the script says nothing of what a boot makes anew.
    fn check(&self, part: &str, stage: ValidationStage) -> Check {
        const MADE_AT_BOOT: [&str; 5] = ["cloud_init", "dhcp_leases", "machine_id", "random_seed", "ssh_host_keys"];
        let id = format!("sealed: {}", part.replace('_', " "));
        match self.checks.iter().find(|(found, ..)| found == part) {
            Some((_, verdict, message)) => Check::new(id, *verdict, message),
            None if stage == ValidationStage::Boot && MADE_AT_BOOT.contains(&part) => {
                Check::new(id, Verdict::NotApplicable, "a boot makes it anew")
            }
            None => Check::new(id, Verdict::Unknown, "the machine gave no answer"),
        }
    }
}

#[async_trait]
impl Validator for Sealed {
    fn id(&self) -> &str {
        "sealed"
    }
    async fn fingerprint(&self, cx: &Context) -> Result<Option<Fingerprint>> {
        let scripts = ["before", "sealed", "boot"].map(|stage| sha256(self.script(stage).0));
        Fingerprint::of("sealed", &(self.seal.fingerprint(cx).await?, scripts, self.after_seal)).map(Some)
    }
    async fn validate(&self, cx: &Context, subject: Subject<'_>) -> Result<Report> {
        self.seal.proxies.iter().for_each(|proxy| cx.learn_secret(proxy));
        let (machine, stage, word) = match subject {
            Subject::Booted(machine) => (machine, ValidationStage::Boot, "boot"),
            Subject::BuildMachine(machine) if self.after_seal => (machine, ValidationStage::Build, "sealed"),
            Subject::BuildMachine(machine) => (machine, ValidationStage::Build, "before"),
            Subject::Rootfs(_) => {
                let check = Check::new("sealed", Verdict::NotApplicable, "no machine runs");
                return Ok(Report::new(self.id(), ValidationStage::Rootfs, vec![check]));
            }
        };
        let (script, expected) = self.script(word);
        let answer = self.ask(cx, machine, script).await?;
        let mut checks: Vec<Check> = expected.iter().map(|part| answer.check(part, stage)).collect();
        match stage {
            ValidationStage::Boot => checks.push(self.compare(cx, &answer.identities)),
            _ => self.remember(cx, answer.identities),
        }
        for check in &mut checks {
            check.message = cx.redact(std::mem::take(&mut check.message));
        }
        Ok(Report::new(self.id(), stage, checks))
    }
}

#[cfg(test)]
mod tests;

//! Stages whose answers are given.

use image_core::{
    Attestation, Attestor, BuildRecord, Check, Command, Context, Coverage, Error, ErrorKind, EvidenceVerifier, Finding,
    Fingerprint, Machine, MachineExt, Provisioner, Report, Requirements, Result, ScanReport, ScanTarget, Scanner,
    Secret, Severity, Subject, ValidationStage, Validator, Verdict, VerifiedInput, Verifier, async_trait, sha256,
};

/// Runs one script.
#[derive(Clone, Debug)]
pub struct FakeProvisioner {
    id: String,
    script: String,
    secret: Option<Secret>,
    declared: bool,
}

impl FakeProvisioner {
    /// Runs this script.
    pub fn new(id: &str, script: &str) -> Self {
        Self { id: id.into(), script: script.into(), secret: None, declared: true }
    }
    /// Gives the script a secret, as `TOKEN`.
    #[must_use]
    pub fn secret(mut self, secret: Secret) -> Self {
        self.secret = Some(secret);
        self
    }
    /// Declares no inputs.
    #[must_use]
    pub fn undeclared(mut self) -> Self {
        self.declared = false;
        self
    }
}

#[async_trait]
impl Provisioner for FakeProvisioner {
    fn id(&self) -> &str {
        &self.id
    }
    async fn fingerprint(&self, _: &Context) -> Result<Option<Fingerprint>> {
        self.declared.then(|| Fingerprint::of("fake provisioner", &(&self.script, self.secret.is_some()))).transpose()
    }
    fn requirements(&self) -> Requirements {
        if self.secret.is_some() { Requirements::SECRETS } else { Requirements::NONE }
    }
    async fn provision(&self, cx: &Context, machine: &dyn Machine) -> Result<()> {
        machine.run(cx, "true").await?;
        let command = self.secret.iter().fold(Command::sh(&self.script), |c, secret| c.secret("TOKEN", secret.clone()));
        let output = machine.exec(cx, command).await?;
        if output.success() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::CommandFailed, format!("{}: {}: {}", self.id, output.exit, output.tail())))
    }
}

/// Gives one verdict, after a command that must succeed for a pass.
#[derive(Clone, Debug)]
pub struct FakeValidator {
    verdict: Option<Verdict>,
    version: u32,
}

impl FakeValidator {
    /// Passes.
    pub fn passing() -> Self {
        Self { verdict: Some(Verdict::Pass), version: 1 }
    }
    /// Gives this verdict; with `None` it evaluates nothing.
    pub fn giving(verdict: Option<Verdict>) -> Self {
        Self { verdict, version: 1 }
    }
    /// Makes it another validator, for fingerprints.
    #[must_use]
    pub fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }
}

#[async_trait]
impl Validator for FakeValidator {
    fn id(&self) -> &str {
        "fake-validator"
    }
    async fn fingerprint(&self, _: &Context) -> Result<Option<Fingerprint>> {
        Fingerprint::of("fake validator", &(self.version, self.verdict)).map(Some)
    }
    async fn validate(&self, cx: &Context, subject: Subject<'_>) -> Result<Report> {
        let (machine, stage) = match subject {
            Subject::BuildMachine(machine) => (machine, ValidationStage::Build),
            Subject::Booted(machine) => (machine, ValidationStage::Boot),
            _ => return Err(Error::new(ErrorKind::Unsupported, "only machines")),
        };
        let output = machine.exec(cx, Command::sh("check")).await?;
        let check = |verdict| match verdict {
            Verdict::Pass if !output.success() => Check::fail("check", format!("{}", output.exit)),
            verdict => Check::new("check", verdict, "as given"),
        };
        Ok(Report::new(self.id(), stage, self.verdict.into_iter().map(check).collect()))
    }
}

/// Finds what it is told to find.
#[derive(Clone, Debug)]
pub struct FakeScanner {
    packages: u64,
    findings: Vec<Finding>,
}

impl FakeScanner {
    /// Covers so many packages, and finds nothing.
    pub fn covering(packages: u64) -> Self {
        Self { packages, findings: vec![] }
    }
    /// Finds one vulnerability more.
    #[must_use]
    pub fn finding(mut self, id: &str, severity: Severity) -> Self {
        self.findings.push(Finding::new(id, "pkg:deb/debian/xz-utils@5.6.1", severity));
        self
    }
}

#[async_trait]
impl Scanner for FakeScanner {
    fn id(&self) -> &str {
        "fake-scanner"
    }
    async fn fingerprint(&self, _: &Context) -> Result<Option<Fingerprint>> {
        Fingerprint::of("fake scanner", &(self.packages, &self.findings)).map(Some)
    }
    fn supports(&self, target: &ScanTarget<'_>) -> bool {
        matches!(target, ScanTarget::Image(_) | ScanTarget::Machine(_))
    }
    async fn scan(&self, _: &Context, target: ScanTarget<'_>) -> Result<ScanReport> {
        if !self.supports(&target) {
            return Err(Error::new(ErrorKind::Unsupported, "only images and machines"));
        }
        let coverage = Coverage::new(self.packages, Some("debian 13".into()), "today");
        let report = ScanReport::new(self.id(), coverage, self.findings.clone());
        report.require_coverage().map(|()| report)
    }
}

/// Signs with nothing but the record itself, and believes it.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct FakeAttestor;

#[async_trait]
impl Attestor for FakeAttestor {
    fn id(&self) -> &str {
        "fake-attestor"
    }
    async fn attest(&self, _: &Context, record: &BuildRecord) -> Result<Attestation> {
        let content = serde_json::to_string(record).map_err(|e| Error::bug("record").with_source(e))?;
        Ok(Attestation::new("application/json", content))
    }
}

#[async_trait]
impl EvidenceVerifier for FakeAttestor {
    async fn verify(&self, _: &Context, attestations: &[Attestation]) -> Result<BuildRecord> {
        let refuse = |why: String| Error::new(ErrorKind::PolicyViolation, why);
        let proof = attestations.first().ok_or_else(|| refuse("no attestation".into()))?;
        serde_json::from_str(&proof.content).map_err(|e| refuse(e.to_string()))
    }
}

/// Verifies bytes against a digest.
#[derive(Clone, Debug)]
pub struct FakeVerifier {
    bytes: String,
    sha256: String,
}

impl FakeVerifier {
    /// Accepts these bytes only if they have this SHA-256.
    pub fn new(bytes: &str, sha256: &str) -> Self {
        Self { bytes: bytes.into(), sha256: sha256.into() }
    }
}

#[async_trait]
impl Verifier for FakeVerifier {
    fn id(&self) -> &str {
        "fake-verifier"
    }
    async fn verify(&self, _: &Context) -> Result<Vec<VerifiedInput>> {
        let is = sha256(&self.bytes);
        if is != self.sha256 {
            let message = format!("the input is sha256:{is}, not sha256:{}", self.sha256);
            return Err(Error::new(ErrorKind::PolicyViolation, message));
        }
        Ok(vec![VerifiedInput::new("input", is, "whoever set the digest")])
    }
}

//! Verdicts, coverage, evidence, approvers, panics.

use crate::support::{context, pipeline};
use image_conformance::fake::{FakeAttestor, FakeCloud, FakePlugin, FakeScanner, FakeValidator};
use image_core::{
    Approval, ApprovedImage, Approver, Attestation, Attestor, BuildRecord, BuildSpec, Capabilities, Captured, Checked,
    Context, Error, ErrorKind, Fingerprint, Image, Importer, Launched, Machine, MemoryStore, Pipeline, Policy,
    Provisioner, Ready, Report, Result, ScanReport, ScanTarget, Scanner, Severity, Step, StepHook, Subject, Validator,
    Verdict, VerifiedInput, Verifier, async_trait,
};

async fn refused(cloud: &FakeCloud, pipeline: Pipeline<Ready>, kind: ErrorKind, exit: u8) -> String {
    let error = pipeline.run(&context(&MemoryStore::default()).await).await.unwrap_err();
    assert_eq!((error.cause.kind(), error.exit_code()), (kind, exit), "{error}");
    assert!(error.leftovers.is_empty() && cloud.ids().is_empty(), "{error}: {:?}", cloud.ids());
    error.cause.chain()
}

#[tokio::test(start_paused = true)]
async fn verdicts_and_findings_fail_closed() {
    use Verdict::{Fail, NotApplicable, Skip, Unknown};
    for verdict in [None, Some(Unknown), Some(Fail), Some(Skip), Some(NotApplicable)] {
        let cloud = FakeCloud::default();
        let pipeline = pipeline(&cloud).validator(FakeValidator::giving(verdict));
        refused(&cloud, pipeline, ErrorKind::PolicyViolation, 3).await;
    }
    for scanner in [FakeScanner::covering(0), FakeScanner::covering(9).finding("CVE-1", Severity::High)] {
        let cloud = FakeCloud::default();
        refused(&cloud, pipeline(&cloud).scanner(scanner), ErrorKind::PolicyViolation, 3).await;
    }
}

/// A scanner that forgets to refuse a scan of nothing is refused by the core.
#[tokio::test(start_paused = true)]
async fn a_scan_that_covered_nothing_is_not_clean() {
    #[derive(Debug)]
    struct Blind;
    #[async_trait]
    impl Scanner for Blind {
        fn id(&self) -> &str {
            "blind"
        }
        fn supports(&self, target: &ScanTarget<'_>) -> bool {
            matches!(target, ScanTarget::Image(_))
        }
        async fn scan(&self, _: &Context, _: ScanTarget<'_>) -> Result<ScanReport> {
            Ok(ScanReport::new("blind", image_core::Coverage::new(0, None, "today"), vec![]))
        }
    }
    let cloud = FakeCloud::default();
    let chain = refused(&cloud, pipeline(&cloud).scanner(Blind), ErrorKind::PolicyViolation, 3).await;
    assert!(chain.contains("scanner blind covered no package"), "{chain}");
}

#[tokio::test(start_paused = true)]
async fn evidence_mints_only_for_the_image_it_is_about() {
    let (cloud, cx) = (FakeCloud::default(), context(&MemoryStore::default()).await);
    let record = pipeline(&cloud).run(&cx).await.unwrap().report.record;
    let (proof, policy) = ([FakeAttestor::default().attest(&cx, &record).await.unwrap()], Policy::default());
    let mint = |image: Image, proof: Vec<Attestation>| {
        let (cx, policy) = (cx.clone(), policy.clone());
        async move { ApprovedImage::from_evidence(&cx, &image, &proof, &FakeAttestor::default(), &policy).await.map(drop) }
    };
    let image = record.images[0].image.clone();
    mint(image.clone(), proof.to_vec()).await.unwrap();
    let mut other = image.clone();
    other.id = "image-99".into();
    assert_eq!(mint(other, proof.to_vec()).await.unwrap_err().kind(), ErrorKind::PolicyViolation);
    mint(image.clone(), vec![]).await.unwrap_err();
    for spoil in [|r: &mut BuildRecord| r.images[0].booted.clear(), |r: &mut BuildRecord| r.images[0].scans.clear()] {
        let mut record = record.clone();
        spoil(&mut record);
        let proof = FakeAttestor::default().attest(&cx, &record).await.unwrap();
        assert_eq!(mint(image.clone(), vec![proof]).await.unwrap_err().kind(), ErrorKind::PolicyViolation);
    }
}

/// Refuses, or panics in the role that it is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Bad {
    Provisioner,
    Validator,
    Scanner,
    Verifier,
    Hook,
    Approver,
    Attestor,
    Refuses,
}

impl Bad {
    fn act(self, role: Self) {
        assert!(self != role, "plugin bug in {role:?}");
    }
}

#[async_trait]
impl Provisioner for Bad {
    fn id(&self) -> &str {
        "bad"
    }
    async fn fingerprint(&self, _: &Context) -> Result<Option<Fingerprint>> {
        Ok(None)
    }
    async fn provision(&self, _: &Context, _: &dyn Machine) -> Result<()> {
        self.act(Self::Provisioner);
        Ok(())
    }
}
#[async_trait]
impl Validator for Bad {
    fn id(&self) -> &str {
        "bad"
    }
    async fn validate(&self, cx: &Context, subject: Subject<'_>) -> Result<Report> {
        self.act(Self::Validator);
        FakeValidator::passing().validate(cx, subject).await
    }
}
#[async_trait]
impl Scanner for Bad {
    fn id(&self) -> &str {
        "bad"
    }
    fn supports(&self, target: &ScanTarget<'_>) -> bool {
        matches!(target, ScanTarget::Image(_))
    }
    async fn scan(&self, cx: &Context, target: ScanTarget<'_>) -> Result<ScanReport> {
        self.act(Self::Scanner);
        FakeScanner::covering(1).scan(cx, target).await
    }
}
#[async_trait]
impl Verifier for Bad {
    fn id(&self) -> &str {
        "bad"
    }
    async fn verify(&self, _: &Context) -> Result<Vec<VerifiedInput>> {
        self.act(Self::Verifier);
        Ok(vec![VerifiedInput::new("x", "0", "y")])
    }
}
#[async_trait]
impl StepHook for Bad {
    async fn after(&self, _: &Context, _: &Step<'_>, _: Option<&Error>) -> Result<()> {
        self.act(Self::Hook);
        Ok(())
    }
}
#[async_trait]
impl Approver for Bad {
    fn id(&self) -> &str {
        "bad"
    }
    async fn approve(&self, _: &Context, _: &BuildRecord) -> Result<Approval> {
        self.act(Self::Approver);
        if *self == Self::Refuses {
            return Err(Error::new(ErrorKind::PolicyViolation, "not before the holidays"));
        }
        Ok(Approval::new("bad", "somebody", "looks good"))
    }
}
#[async_trait]
impl Attestor for Bad {
    fn id(&self) -> &str {
        "bad"
    }
    async fn attest(&self, cx: &Context, record: &BuildRecord) -> Result<Attestation> {
        self.act(Self::Attestor);
        FakeAttestor::default().attest(cx, record).await
    }
}

fn with(cloud: &FakeCloud, bad: Bad) -> Pipeline<Ready> {
    let mut provisioned = image_core::Layer::new("app");
    provisioned = provisioned.provision(bad);
    let pipeline = pipeline(cloud).layer(provisioned).validator(bad).scanner(bad).verifier(bad);
    pipeline.hook(bad).approver(bad).attestor(bad)
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_any_plugin_unwinds_and_is_a_bug() {
    use Bad::{Approver, Attestor, Hook, Provisioner, Scanner, Validator, Verifier};
    for bad in [Provisioner, Validator, Scanner, Verifier, Hook, Approver, Attestor] {
        let cloud = FakeCloud::default();
        let error = with(&cloud, bad).run(&context(&MemoryStore::default()).await).await.unwrap_err();
        assert_eq!((error.cause.kind(), error.exit_code()), (ErrorKind::Internal, 1), "{error}");
        assert!(error.cause.chain().contains(&format!("plugin bug in {bad:?}")), "{error}");
        // A layer that was committed before stays until it expires; nothing else does.
        let stays = cloud.items().values().all(|item| item.state() == Some(image_core::State::Layer));
        assert!(error.leftovers.is_empty() && stays, "{bad:?}: {:?}", cloud.items());
    }
}

/// Imports as the plugin inside does, and panics at the end of one of its calls.
#[derive(Clone, Debug)]
struct BadImporter(FakePlugin, &'static str);

crate::support::delegate_undo!(BadImporter);

impl BadImporter {
    fn end(&self, call: &str) {
        assert!(self.1 != call, "plugin bug in {call}");
    }
}

#[async_trait]
impl Importer for BadImporter {
    fn capabilities(&self) -> Capabilities {
        Importer::capabilities(&self.0)
    }
    async fn check(&self, cx: &Context, spec: &BuildSpec) -> Result<Checked> {
        let checked = Importer::check(&self.0, cx, spec).await;
        self.end("check");
        checked
    }
    async fn import(&self, cx: &Context, checked: &Checked, disk: &Image) -> Result<Captured> {
        let imported = self.0.import(cx, checked, disk).await;
        self.end("import");
        imported
    }
    async fn boot(&self, cx: &Context, image: &Image) -> Result<Launched> {
        let booted = Importer::boot(&self.0, cx, image).await;
        self.end("boot");
        booted
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_an_importer_undoes_what_it_made() {
    for (call, imports) in [("check", 0), ("import", 1), ("boot", 1)] {
        let cloud = FakeCloud::default();
        let pipeline = pipeline(&cloud).importer(BadImporter(FakePlugin::new(&cloud), call));
        let chain = refused(&cloud, pipeline, ErrorKind::Internal, 1).await;
        assert!(chain.contains(&format!("plugin bug in {call}")), "{chain}");
        assert_eq!(crate::support::calls(&cloud, "create import").len(), imports, "{call}: {:?}", cloud.calls());
    }
}

#[tokio::test(start_paused = true)]
async fn an_approver_that_refuses_ends_the_run_before_anything_is_distributed() {
    let cloud = FakeCloud::default();
    let pipeline = pipeline(&cloud).approver(Bad::Refuses);
    let chain = refused(&cloud, pipeline, ErrorKind::PolicyViolation, 3).await;
    assert!(chain.contains("not before the holidays"));
    assert!(crate::support::calls(&cloud, "create copy").is_empty());
}

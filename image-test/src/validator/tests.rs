use super::*;
use crate::{Attribute, Kind, Matcher, Resource, baseline};
use image_core::{Architecture, BootMode, Command, ExecOutput, Exit, MachineInfo, MemoryStore, Platform, Upload};
use std::{
    fs,
    path::Path,
    process::Stdio,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};
use tokio::io::AsyncWriteExt;

/// A machine whose commands run on this host.
#[derive(Debug)]
struct Host {
    info: MachineInfo,
    commands: AtomicUsize,
}

impl Host {
    fn new(booted: bool) -> Self {
        let platform = Platform::linux(Architecture::X86_64, BootMode::Uefi);
        Self { info: MachineInfo::new("host", platform, booted), commands: AtomicUsize::new(0) }
    }
}

#[async_trait]
impl Machine for Host {
    fn info(&self) -> &MachineInfo {
        &self.info
    }
    async fn exec(&self, _cx: &Context, command: Command) -> Result<ExecOutput> {
        self.commands.fetch_add(1, SeqCst);
        let mut shell = tokio::process::Command::new("sh");
        shell.args(["-c", &command.script]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = shell.kill_on_drop(true).spawn().map_err(|e| Error::io("run", "sh", e))?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.shutdown().await.map_err(|e| Error::io("close", "stdin", e))?;
        }
        let output = child.wait_with_output().await.map_err(|e| Error::io("wait for", "sh", e))?;
        let exit = Exit::Code(output.status.code().unwrap_or(-1));
        Ok(ExecOutput::new(exit, output.stdout, output.stderr))
    }
    async fn upload(&self, _: &Context, _: Upload) -> Result<()> {
        Err(Error::bug("a probe uploads nothing"))
    }
    async fn download(&self, _: &Context, _: &str, _: &Path) -> Result<()> {
        Err(Error::bug("a probe downloads nothing"))
    }
    async fn reboot(&self, _: &Context) -> Result<()> {
        Err(Error::bug("a probe restarts nothing"))
    }
}

async fn context() -> Context {
    Context::builder(MemoryStore::default()).run_id("run-1").open().await.unwrap()
}

fn resource(kind: Kind, name: &str, expectations: &[(Attribute, Matcher)]) -> Resource {
    let mut resource = baseline::resource(kind, name).unwrap();
    for (attribute, matcher) in expectations {
        resource.expect(*attribute, matcher.clone());
    }
    resource
}

fn suite(resources: impl IntoIterator<Item = Resource>) -> Suite {
    let mut suite = Suite::new();
    suite.extend(resources);
    suite
}

fn file(path: &Path, mode: &str) -> Suite {
    let path = path.to_str().unwrap();
    suite([resource(Kind::File, path, &[(Attribute::Exists, true.into()), (Attribute::Mode, mode.into())])])
}

fn shown(report: &Report) -> Vec<String> {
    report.checks.iter().map(|check| format!("{}: {}: {}", check.id, check.verdict, check.message)).collect()
}

#[tokio::test]
async fn a_machine_is_asked_once_and_the_report_says_what_was_found() {
    let (cx, host, dir) = (context().await, Host::new(true), tempfile::tempdir().unwrap());
    let path = dir.path().join("x");
    fs::write(&path, "x").unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let validator = GossValidator::new(file(&path, "0644")).named("files");
    let report = validator.validate(&cx, Subject::Booted(&host)).await.unwrap();
    let path = path.display();
    assert_eq!((report.validator.as_str(), report.stage), ("files", ValidationStage::Boot));
    assert_eq!(
        shown(&report),
        [
            format!("file {path}: exists: pass: "),
            format!("file {path}: mode: fail: Expected \"0600\" to equal \"0644\"")
        ]
    );
    assert_eq!(host.commands.load(SeqCst), 1);
    report.require().unwrap_err();
}

#[tokio::test]
async fn it_looks_again_until_it_passes_or_its_time_is_over() {
    let (cx, host, dir) = (context().await, Host::new(true), tempfile::tempdir().unwrap());
    let path = dir.path().join("ran");
    // Succeeds from its second run on.
    let script = format!("[ -e {0} ] || {{ touch {0}; false; }}", path.display());
    let suite = suite([resource(Kind::Command, &script, &[(Attribute::ExitStatus, 0.into())])]);
    let once = GossValidator::new(suite.clone());
    let report = once.validate(&cx, Subject::Booted(&host)).await.unwrap();
    assert_eq!(report.count(Verdict::Fail), 1, "{:#?}", shown(&report));
    fs::remove_file(&path).unwrap();
    let patient = once.retry_for(Duration::from_secs(60));
    assert_eq!(patient.validate(&cx, Subject::Booted(&host)).await.unwrap().count(Verdict::Pass), 1);
}

#[tokio::test]
async fn what_services_do_does_not_apply_without_an_init_system() {
    let (cx, host) = (context().await, Host::new(false));
    let suite = suite([
        resource(Kind::Port, "1", &[(Attribute::Listening, true.into())]),
        resource(Kind::Process, "none", &[(Attribute::Running, true.into())]),
        resource(Kind::Addr, "127.0.0.1:1", &[(Attribute::Reachable, true.into())]),
        resource(Kind::Http, "http://localhost:1/", &[(Attribute::Status, 200.into())]),
        resource(Kind::Service, "none", &[(Attribute::Running, true.into())]),
    ]);
    let validator = GossValidator::new(suite);
    let report = validator.validate(&cx, Subject::BuildMachine(&host)).await.unwrap();
    assert!(report.is_not_applicable(), "{:#?}", shown(&report));
    let report = validator.compat(Compat::Goss).validate(&cx, Subject::BuildMachine(&host)).await.unwrap();
    assert_eq!(report.count(Verdict::Fail), 5, "goss would fail here");
}

#[tokio::test]
async fn a_root_file_system_is_looked_at_without_running_anything() {
    let (cx, dir) = (context().await, tempfile::tempdir().unwrap());
    fs::create_dir(dir.path().join("etc")).unwrap();
    fs::write(dir.path().join("etc/motd"), "hello\n").unwrap();
    let suite = suite([
        resource(Kind::File, "/etc/motd", &[(Attribute::Exists, true.into()), (Attribute::Contents, "hello\n".into())]),
        resource(Kind::Command, "false", &[(Attribute::ExitStatus, 0.into())]),
    ]);
    let report = GossValidator::new(suite).validate(&cx, Subject::Rootfs(dir.path())).await.unwrap();
    assert_eq!((report.stage, report.checks[0].verdict), (ValidationStage::Rootfs, Verdict::NotApplicable));
    report.require().unwrap();
    let missing = GossValidator::new(file(Path::new("/x"), "0644"));
    let error = missing.validate(&cx, Subject::Rootfs(&dir.path().join("none"))).await.unwrap_err();
    assert!(error.to_string().contains("none"), "{error}");
}

#[tokio::test]
async fn only_booted_asks_no_other_machine() {
    let (cx, host) = (context().await, Host::new(true));
    let validator = GossValidator::new(file(Path::new("/"), "0000")).only_booted();
    for subject in [Subject::BuildMachine(&host), Subject::Rootfs(Path::new("/"))] {
        assert!(validator.validate(&cx, subject).await.unwrap().is_not_applicable());
    }
    assert_eq!(host.commands.load(SeqCst), 0);
    assert_eq!(validator.validate(&cx, Subject::Booted(&host)).await.unwrap().count(Verdict::Fail), 1);
}

#[tokio::test]
async fn the_fingerprint_is_of_what_is_expected() {
    let cx = context().await;
    let of = async |validator: GossValidator| validator.fingerprint(&cx).await.unwrap().unwrap();
    let validator = |mode| GossValidator::new(file(Path::new("/x"), mode));
    let base = of(validator("0644")).await;
    assert_eq!(of(validator("0644").named("other").retry_for(Duration::from_secs(9))).await, base);
    assert_ne!(of(validator("0600")).await, base);
    assert_ne!(of(validator("0644").compat(Compat::Goss)).await, base);
    assert_ne!(of(validator("0644").only_booted()).await, base);
    let error = GossValidator::new(Suite::new()).fingerprint(&cx).await.unwrap_err();
    insta::assert_snapshot!(error, @"suite of validator goss is `empty`; accepted: at least one resource");
}

#[tokio::test]
async fn no_secret_is_in_the_fingerprint() {
    let cx = context().await;
    let of = async |url: &str, change: fn(&mut HttpRequest)| {
        let mut resource = resource(Kind::Http, "x", &[(Attribute::Status, 200.into())]);
        let mut request = HttpRequest::new(url);
        change(&mut request);
        resource.target = Target::Http(Box::new(request));
        GossValidator::new(suite([resource])).fingerprint(&cx).await.unwrap().unwrap()
    };
    let base = of("http://host/", |_| {}).await;
    assert_eq!(of("http://host/", |request| request.password = Some("secret".into())).await, base);
    assert_ne!(of("http://host/", |request| request.username = Some("ada".into())).await, base);
    assert_ne!(of("http://host/a@b", |_| {}).await, of("http://host/b", |_| {}).await);
    assert_eq!(of("http://u:one@host/?a@b", |_| {}).await, of("http://u:two@host/?a@b", |_| {}).await);
    let proxied = of("http://host/", |request| request.proxy = Some("http://u:one@proxy:1".into())).await;
    assert_eq!(of("http://host/", |request| request.proxy = Some("http://u:two@proxy:1".into())).await, proxied);
    assert_ne!(proxied, base);
    let token = of("http://host/", |request| request.headers.push("authorization: Bearer one".into())).await;
    assert_eq!(of("http://host/", |request| request.headers.push("authorization: Bearer two".into())).await, token);
    assert_ne!(of("http://host/", |request| request.headers.push("accept: a".into())).await, token);
}

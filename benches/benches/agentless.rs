//! What checking a machine without an agent costs: how often it is asked, how many bytes that takes, and who works. The
//! machine is this one behind a shell, so that no network hides the rest.
#![expect(clippy::print_stdout, reason = "the table is the result")]

use benches::{ChildUsage, measure_if_asked, resources};
use image_core::{
    Architecture, BootMode, Command, Context, ErrorKind, ExecOutput, Exit, Machine, MachineInfo, MemoryStore, Output,
    Platform, Upload, Verdict, async_trait,
};
use image_test::{
    Compat, Kind, MachineGatherer, Suite, Wanted, baseline, evaluate, gossfile::Loader, probe::ProbeOptions,
    retry::Gather,
};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike,
};
use std::{
    error::Error,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Mutex,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The argument that makes this bench one check: of a gossfile, over a channel.
const CHECK: &str = "--check";
const CHANNELS: [&str; 2] = ["no limit", "SSM"];
const RUNS: usize = 10;

fn main() -> Result<()> {
    if measure_if_asked()? {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, flag, gossfile, channel] = arguments.as_slice()
        && flag == CHECK
    {
        return runtime.block_on(check(Path::new(gossfile), channel));
    }
    let directory = tempfile::tempdir()?;
    let gossfile = runtime.block_on(write(directory.path()))?;
    println!(
        "| channel | checks | passed | round trips | bytes out | bytes in | CPU s here | CPU s there | wall s, median | peak MiB |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for channel in CHANNELS {
        let command = [std::env::current_exe()?.into(), CHECK.into(), gossfile.clone().into(), channel.into()];
        print(&command)?;
    }
    Ok(())
}

/// Writes a gossfile that says of a thousand things how they are now.
async fn write(directory: &Path) -> Result<PathBuf> {
    let (names, filled) = resources::mixed(directory)?;
    if !filled.is_empty() {
        println!("This machine has fewer, the rest is checked to be absent: {}.\n", filled.join(", "));
    }
    let mut asked = Suite::new();
    for (section, names) in names {
        let kind = Kind::ALL.into_iter().find(|kind| kind.section() == section).ok_or("no such section")?;
        asked.extend(names.iter().filter_map(|name| baseline::resource(kind, name)));
    }
    let (host, cx) = (Host::new(), Context::builder(MemoryStore::default()).open().await?);
    let facts = MachineGatherer::new(&cx, &host, ProbeOptions::default()).gather(&Wanted::of(&asked)).await?;
    let path = directory.join("goss.yaml");
    fs::write(&path, baseline::suite_from_facts(&facts, &[], Compat::Fixed).suite.to_yaml())?;
    Ok(path)
}

/// Checks once, and says what it took as the cells of a row.
async fn check(gossfile: &Path, channel: &str) -> Result<()> {
    let options = if channel == "SSM" { ProbeOptions::ssm() } else { ProbeOptions::default() };
    let suite = Loader::new().load(gossfile)?.suite;
    let (host, cx) = (Host::new(), Context::builder(MemoryStore::default()).open().await?);
    let facts = MachineGatherer::new(&cx, &host, options).gather(&Wanted::of(&suite)).await?;
    let outcomes = evaluate(&suite, &facts, Compat::Fixed);
    let passed = outcomes.iter().filter(|outcome| outcome.verdict() == Verdict::Pass).count();
    let traffic = host.traffic.lock().map_err(|_| "a task panicked")?;
    let (out, back) = traffic.iter().fold((0, 0), |(out, back), (more, less)| (out + more, back + less));
    let (here, there) = (cpu(UsageWho::RUSAGE_SELF)?, cpu(UsageWho::RUSAGE_CHILDREN)?);
    println!(
        "{} | {passed} of {} | {} | {out} | {back} | {here:.3} | {there:.3}",
        suite.len(),
        outcomes.len(),
        traffic.len(),
    );
    Ok(())
}

fn cpu(who: UsageWho) -> Result<f64> {
    let usage = getrusage(who)?;
    Ok((usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64 / 1e6)
}

fn print(command: &[OsString; 4]) -> Result<()> {
    let [program, arguments @ ..] = command;
    let cells = std::process::Command::new(program).args(arguments).output()?;
    if !cells.status.success() {
        return Err(String::from_utf8_lossy(&cells.stderr).into());
    }
    let runs = (0..RUNS).map(|_| ChildUsage::of(command)).collect::<std::io::Result<Vec<_>>>()?;
    let mut walls: Vec<f64> = runs.iter().map(|run| run.wall).collect();
    walls.sort_by(f64::total_cmp);
    let peak = runs.iter().map(|run| run.peak_rss_kib).max().unwrap_or_default() as f64 / 1024.0;
    let (channel, cells) = (command[3].display(), String::from_utf8_lossy(&cells.stdout));
    println!("| {channel} | {} | {:.3} | {peak:.1} |", cells.trim(), walls[RUNS / 2]);
    Ok(())
}

/// This machine behind a shell.
#[derive(Debug)]
struct Host {
    info: MachineInfo,
    /// Bytes of every script and of its answer.
    traffic: Mutex<Vec<(usize, usize)>>,
}

impl Host {
    /// Taken as booted, so that ports, processes and services are asked for too.
    fn new() -> Self {
        let platform = Platform::linux(Architecture::X86_64, BootMode::None);
        Self { info: MachineInfo::new("host", platform, true), traffic: Mutex::default() }
    }
}

fn unused(what: &str) -> image_core::Error {
    image_core::Error::new(ErrorKind::Unsupported, format!("a check does not {what}"))
}

#[async_trait]
impl Machine for Host {
    fn info(&self) -> &MachineInfo {
        &self.info
    }
    async fn exec(&self, _cx: &Context, command: Command) -> image_core::Result<ExecOutput> {
        let mut shell = tokio::process::Command::new(&command.shell);
        shell.args(["-c", &command.script]).current_dir("/").stdin(Stdio::null()).kill_on_drop(true);
        let output = shell.output().await.map_err(|e| image_core::Error::io("run", &command.shell, e))?;
        if let Ok(mut traffic) = self.traffic.lock() {
            traffic.push((command.script.len(), output.stdout.len()));
        }
        let limit = if let Output::Capture(limit) = command.output { limit } else { usize::MAX };
        let truncated = output.stdout.len() > limit;
        let exit = output.status.code().map_or(Exit::Signal(0), Exit::Code);
        Ok(ExecOutput::new(exit, output.stdout, output.stderr).with_truncated(truncated))
    }
    async fn upload(&self, _cx: &Context, _upload: Upload) -> image_core::Result<()> {
        Err(unused("upload"))
    }
    async fn download(&self, _cx: &Context, _source: &str, _destination: &Path) -> image_core::Result<()> {
        Err(unused("download"))
    }
    async fn reboot(&self, _cx: &Context) -> image_core::Result<()> {
        Err(unused("reboot"))
    }
}

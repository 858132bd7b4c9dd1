//! One command from its request to its output.

use super::{
    channel::{Channel, Left, Trace},
    frame::Frame,
    reply::{Head, Payload},
    request::{Parcel, Request},
    script::{INLINE, Keeping, PIECE, Packed, Script},
};
use image_core::{Context, Error, ErrorKind, ExecOutput, Exit, OutputLines, Result, Stream};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{io::AsyncWriteExt, sync::oneshot, task::JoinSet, time::Instant};
use uuid::Uuid;

/// Scripts under way at once for one command. An agent runs five at a time; the rest is for other commands.
const ABREAST: usize = 4;
/// What a machine keeps in memory for a command; more waits on its disk.
const IN_MEMORY: u64 = 8 * 1024 * 1024;
/// The longest a command may run: the agent's own limit, less the time to pack the output.
const LONGEST: Duration = Duration::from_secs(172_800 - 600);
/// Packed bytes that are unpacked at a time, and bytes of output that events are given at a time.
const MORSEL: usize = 256;
const LINE: usize = 8 * 1024;
/// How long the service is asked to end a command that nobody waits for any more.
const ENDING: Duration = Duration::from_secs(20);

/// The machine as one boot of it is spoken to.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) channel: Arc<Channel>,
    boot: Mutex<Boot>,
}

/// What a boot of the machine said of itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Boot {
    pub(crate) id: String,
    pub(crate) gzip: bool,
}

/// What to run, and where its output goes.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) request: Request,
    /// Kill it after this time.
    pub(crate) timeout: Option<Duration>,
    /// Bytes of standard output that are wanted; all unless set.
    pub(crate) out_limit: Option<u64>,
    /// Bytes of standard error that are wanted.
    pub(crate) err_limit: u64,
    /// The file for standard output, where it is not for memory.
    pub(crate) into: Option<PathBuf>,
    /// Whether that file shall be there only after exit code 0.
    pub(crate) into_on_success: bool,
    /// Whether people want to read the output.
    pub(crate) lines: bool,
}

impl Job {
    /// A script of ours, whose output nobody reads but us.
    pub(crate) fn internal(request: Request) -> Self {
        let limit = image_core::DEFAULT_OUTPUT_LIMIT as u64;
        Self {
            request,
            timeout: None,
            out_limit: Some(limit),
            err_limit: limit,
            into: None,
            into_on_success: false,
            lines: false,
        }
    }
}

impl Link {
    pub(crate) fn new(channel: Channel, boot: Boot) -> Self {
        Self { channel: Arc::new(channel), boot: Mutex::new(boot) }
    }

    pub(crate) fn boot(&self) -> Boot {
        self.boot.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_boot(&self, boot: Boot) {
        *self.boot.lock().unwrap_or_else(PoisonError::into_inner) = boot;
    }

    /// Runs a job to its end on a task of its own. When the run ends, or the caller is dropped, so is the command.
    ///
    /// # Errors
    /// `TimedOut` after the job's time; those of the channel.
    pub(crate) async fn run(self: &Arc<Self>, cx: &Context, job: Job) -> Result<ExecOutput> {
        let (mut answer, answered) = oneshot::channel();
        let (link, cx) = (Arc::clone(self), cx.clone());
        tokio::spawn(async move {
            let (token, trace) = (Uuid::new_v4().to_string(), Trace::default());
            let done = tokio::select! {
                biased;
                () = answer.closed() => None,
                error = cx.ended() => Some(Err(error)),
                done = link.run_once(&cx, &job, &token, &trace) => Some(done),
            };
            link.leave(&cx, &token, &trace).await;
            if let Some(done) = done {
                // Whoever waited may have gone in the meantime.
                let _ = answer.send(done);
            }
        });
        answered.await.map_err(|_| Error::bug("the task of a command ended without a result"))?
    }

    /// Leaves nothing of a command on the machine.
    async fn leave(&self, cx: &Context, token: &str, trace: &Trace) {
        match trace.left() {
            Left::Nothing => {}
            Left::Output => self.channel.acknowledge(token, trace),
            Left::Command => {
                let kill = Script::kill(token);
                // One keeps it from arriving, the other ends what has arrived.
                let ending = async { tokio::join!(self.channel.cancel(trace), self.channel.tell(&kill, None)) };
                let why = tokio::select! {
                    (cancelled, killed) = ending => cancelled.and(killed).err().map(|e| e.chain()),
                    () = tokio::time::sleep(ENDING) => Some(format!("no reply in {} s", ENDING.as_secs())),
                };
                if let Some(why) = why {
                    cx.warn(format!("a command may still run on {}: {why}", self.channel.instance()));
                }
            }
        }
    }

    async fn run_once(&self, cx: &Context, job: &Job, token: &str, trace: &Trace) -> Result<ExecOutput> {
        let boot = self.boot();
        let request = job.request.clone();
        let parcel = tokio::task::spawn_blocking(move || Parcel::pack(&request, boot.gzip)).await??;
        let left = cx.deadline().saturating_duration_since(Instant::now()).min(LONGEST);
        let (launch, script) = parcel.lengths;
        let keeping = Keeping {
            timeout: job.timeout.map_or(left, |timeout| timeout.min(left)),
            out_limit: job.out_limit,
            err_limit: Some(job.err_limit),
            launch,
            script,
        };
        let held = job.out_limit.map(|limit| limit.saturating_add(job.err_limit).saturating_add(parcel.content));
        let work = if held.is_some_and(|bytes| bytes <= IN_MEMORY) {
            format!("/run/golden-image.{token}/work")
        } else {
            format!("/var/lib/golden-image.{token}")
        };
        let (packing, sha256) = (if boot.gzip { "gzip" } else { "plain" }, parcel.sha256.clone());
        let packed = self.stage(cx, parcel, &boot, token, &work, trace).await?;
        let run = Script::run(token, &work, &keeping, packing, &packed, &sha256);
        let frame = self.channel.ask(&run, Some(&boot.id), trace).await?;
        trace.answer();
        let frame = self.expect(frame, &["done", "overdue"])?;
        let head = Head::of(&frame)?;
        head.check_limits(job.out_limit, Some(job.err_limit))?;
        let output = self.fetch(cx, job, token, &head, frame.body).await?;
        if head.overdue {
            let seconds = keeping.timeout.as_secs_f64();
            let message = format!("the command was killed after {seconds} s: {}", output.tail());
            return Err(Error::new(ErrorKind::TimedOut, message).with_retryable(false));
        }
        Ok(output)
    }

    /// The answer, where it is of one of these kinds.
    fn expect(&self, frame: Frame, kinds: &[&str]) -> Result<Frame> {
        if kinds.contains(&frame.kind.as_str()) {
            return Ok(frame);
        }
        let error = match frame.kind.as_str() {
            "restarted" => {
                self.set_boot(Boot { id: frame.text(), ..self.boot() });
                Error::new(
                    ErrorKind::Unavailable,
                    "the machine has restarted; nobody can tell what became of the command",
                )
            }
            "failed" => Error::new(ErrorKind::Unavailable, frame.text()).with_retryable(false),
            kind => Error::bug(format!("the machine answered `{kind} {}`", frame.text())),
        };
        Err(error.with_operation("exec").with_context("instance", self.channel.instance()))
    }

    /// Sends a request ahead where it is too long to travel with the script that runs it.
    async fn stage(
        &self,
        cx: &Context,
        mut parcel: Parcel,
        boot: &Boot,
        token: &str,
        work: &str,
        trace: &Trace,
    ) -> Result<Packed> {
        let total = parcel.length;
        if total <= INLINE as u64 {
            return Ok(Packed::Inline(parcel.next(INLINE)?));
        }
        trace.stage();
        let (mut index, mut sent) = (0, 0);
        while sent < total {
            let read = move || {
                let pieces = (0..ABREAST).map(|_| parcel.next(PIECE)).collect::<Result<Vec<_>>>();
                pieces.map(|pieces| (parcel, pieces))
            };
            let (rest, pieces) = tokio::task::spawn_blocking(read).await??;
            parcel = rest;
            let pieces: Vec<_> = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
            let bytes: usize = pieces.iter().map(Vec::len).sum();
            if bytes == 0 {
                return Err(Error::bug("a request is shorter than it was"));
            }
            let scripts = pieces.iter().enumerate().map(|(n, piece)| Script::stage(token, work, index + n, piece));
            for frame in self.ask_all(scripts.collect(), &boot.id).await? {
                self.expect(frame, &["staged"])?;
            }
            index += pieces.len();
            sent += bytes as u64;
            cx.progress(sent, Some(total), "bytes sent");
        }
        Ok(Packed::Staged(index))
    }

    /// Asks several things at once; the answers come in the order of the questions.
    async fn ask_all(&self, scripts: Vec<Script>, boot: &str) -> Result<Vec<Frame>> {
        let mut asked = JoinSet::new();
        for (index, script) in scripts.into_iter().enumerate() {
            let (channel, boot) = (Arc::clone(&self.channel), boot.to_owned());
            asked.spawn(async move { (index, channel.ask(&script, Some(&boot), &Trace::default()).await) });
        }
        let mut frames = vec![];
        while let Some(done) = asked.join_next().await {
            let (index, frame) = done?;
            frames.push((index, frame?));
        }
        frames.sort_unstable_by_key(|(index, _)| *index);
        Ok(frames.into_iter().map(|(_, frame)| frame).collect())
    }

    /// Gets the output, of which the first page is there. No more than a few pages of it are held at a time.
    async fn fetch(&self, cx: &Context, job: &Job, token: &str, head: &Head, first: Vec<u8>) -> Result<ExecOutput> {
        let boot = self.boot();
        let (mut payload, mut output) = (head.payload(), Received::new(cx, job, head).await?);
        output.unpack(&mut payload, &first).await?;
        let pages: Vec<u64> = (1..head.pages()).collect();
        for some in pages.chunks(ABREAST) {
            let scripts = some.iter().map(|page| Script::page(token, *page)).collect();
            for frame in self.ask_all(scripts, &boot.id).await? {
                let frame = self.expect(frame, &["page"])?;
                output.unpack(&mut payload, &frame.body).await?;
            }
            let fetched = some.last().map_or(1, |page| page + 1);
            cx.progress(fetched, Some(head.pages()), "pages of output fetched");
        }
        output.take(&payload.finish()?).await?;
        output.finish(head, job.into_on_success).await
    }
}

/// Output on its way to where it is wanted: first all of standard output, then all of standard error.
#[derive(Debug)]
struct Received {
    out_left: u64,
    out: Sink,
    err: Vec<u8>,
    lines: Option<[OutputLines; 2]>,
}

#[derive(Debug)]
enum Sink {
    Memory(Vec<u8>),
    /// Beside its place, so that a file there is whole.
    File {
        file: tokio::fs::File,
        temporary: tempfile::TempPath,
        place: PathBuf,
    },
}

impl Received {
    async fn new(cx: &Context, job: &Job, head: &Head) -> Result<Self> {
        let out = match &job.into {
            None => Sink::Memory(vec![]),
            Some(place) => {
                let (file, temporary) = beside(place).await?;
                Sink::File { file, temporary, place: place.clone() }
            }
        };
        let lines = job.lines.then(|| [OutputLines::new(cx, Stream::Stdout), OutputLines::new(cx, Stream::Stderr)]);
        Ok(Self { out_left: head.out_bytes, out, err: vec![], lines })
    }

    /// A page may unpack to a thousand times its size, so it is taken in morsels.
    async fn unpack(&mut self, payload: &mut Payload, page: &[u8]) -> Result<()> {
        for morsel in page.chunks(MORSEL) {
            self.take(&payload.push(morsel)?).await?;
        }
        Ok(())
    }

    async fn take(&mut self, bytes: &[u8]) -> Result<()> {
        let middle = usize::try_from(self.out_left).unwrap_or(usize::MAX).min(bytes.len());
        let (out, err) = bytes.split_at(middle);
        self.out_left -= out.len() as u64;
        if let Some([out_lines, err_lines]) = &mut self.lines {
            out.chunks(LINE).for_each(|piece| out_lines.push(piece));
            err.chunks(LINE).for_each(|piece| err_lines.push(piece));
        }
        self.err.extend_from_slice(err);
        match &mut self.out {
            Sink::Memory(all) => all.extend_from_slice(out),
            Sink::File { file, place, .. } => {
                file.write_all(out).await.map_err(|e| Error::io("write", &*place, e))?;
            }
        }
        Ok(())
    }

    async fn finish(self, head: &Head, on_success: bool) -> Result<ExecOutput> {
        let wanted = !head.overdue && (!on_success || head.exit == Exit::Code(0));
        let stdout = match self.out {
            Sink::Memory(all) => all,
            Sink::File { mut file, temporary, place } => {
                file.flush().await.map_err(|e| Error::io("write", &place, e))?;
                if wanted {
                    temporary.persist(&place).map_err(|e| Error::io("write", &place, e.error))?;
                }
                vec![]
            }
        };
        Ok(ExecOutput::new(head.exit, stdout, self.err).with_truncated(head.cut.contains(&true)))
    }
}

async fn beside(place: &Path) -> Result<(tokio::fs::File, tempfile::TempPath)> {
    let directory = place.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or_else(|| Path::new(".")).to_owned();
    let made = tokio::task::spawn_blocking(move || {
        tempfile::NamedTempFile::new_in(&directory).map_err(|e| Error::io("create a file in", directory, e))
    });
    let (file, path) = made.await??.into_parts();
    Ok((tokio::fs::File::from_std(file), path))
}

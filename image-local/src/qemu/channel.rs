//! The protocol on the virtio-serial port. Its other end is `agent/serve.sh`, which has the grammar.
//!
//! A result announces its lengths and is followed by the id of its request, so that no part of one can be taken for the
//! whole. Every boot begins with a greeting; requests from before it are lost and never run. A greeting in the middle of
//! announced output is taken for output: the exchange then fails at its deadline rather than at once.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use super::Finished;

/// Longest line of the protocol: longer ones are no lines of ours.
const MAX_LINE: u64 = 256;

/// Unit of RLIMIT_FSIZE in busybox' `ulimit -f`, in bytes.
const BLOCK: u64 = 512;

/// Why an exchange failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChannelError {
    /// What came is not a result.
    #[error("the agent answered {0:?}")]
    Garbled(String),
    /// The socket failed, or QEMU closed it.
    #[error("the channel failed: {0}")]
    Io(#[from] std::io::Error),
    /// The greeting of a new boot came.
    #[error("it rebooted")]
    Rebooted,
}

/// What the agent is to run.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) launch: String,
    pub(crate) script: String,
    pub(crate) stdin: Vec<u8>,
    pub(crate) limit: u64,
}

/// Our end of the port. Its methods must not be dropped half done, except [`synchronize`](Self::synchronize).
#[derive(Debug)]
pub(crate) struct Channel {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    /// The line being read, kept for the next call when one is dropped.
    line: Vec<u8>,
    /// Boot id of the last greeting.
    greeted: Option<String>,
    /// Boot id for which the agent takes requests.
    boot: Option<String>,
    last_id: u64,
}

impl Channel {
    pub(crate) fn new(socket: UnixStream) -> Self {
        let (reader, writer) = socket.into_split();
        Self { reader: BufReader::new(reader), writer, line: Vec::new(), greeted: None, boot: None, last_id: 0 }
    }

    /// Boot id of the guest, if the agent takes requests.
    pub(crate) fn boot(&self) -> Option<&str> {
        self.boot.as_deref()
    }

    /// Waits until the agent takes requests. May be dropped and called again.
    pub(crate) async fn synchronize(&mut self) -> Result<(), ChannelError> {
        loop {
            if self.boot.is_some() {
                return Ok(());
            }
            if let Some(boot) = &self.greeted {
                // A line of its own, whatever an interrupted request left before it.
                self.writer.write_all(format!("\nsync {boot}\n").as_bytes()).await?;
            }
            while self.boot.is_none() {
                match self.line().await {
                    Ok(line) => {
                        let boot = line.strip_prefix("ready ");
                        if boot.is_some() && boot == self.greeted.as_deref() {
                            self.boot = self.greeted.clone();
                        }
                    }
                    Err(ChannelError::Rebooted) => break,
                    // The rest of an answer from before the reboot.
                    Err(ChannelError::Garbled(_)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// Waits for the greeting of the next boot. May be dropped and called again.
    pub(crate) async fn rebooted(&mut self) -> Result<(), ChannelError> {
        while self.boot.is_some() {
            match self.line().await {
                Ok(_) | Err(ChannelError::Rebooted) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Sends a request, and returns its id.
    pub(crate) async fn send(&mut self, command: &Command) -> Result<u64, ChannelError> {
        self.last_id += 1;
        let id = self.last_id;
        let (launch, script, stdin) = (command.launch.as_bytes(), command.script.as_bytes(), command.stdin.as_slice());
        let blocks = command.limit.div_ceil(BLOCK);
        let head = format!("run {id} {blocks} {} {} {}\n", launch.len(), script.len(), stdin.len());
        for part in [head.as_bytes(), launch, script, stdin, format!("end {id}\n").as_bytes()] {
            self.writer.write_all(part).await?;
        }
        Ok(id)
    }

    /// Has the agent kill the command. Its result comes nevertheless.
    pub(crate) async fn cancel(&mut self, id: u64) -> Result<(), ChannelError> {
        self.writer.write_all(format!("cancel {id}\n").as_bytes()).await.map_err(ChannelError::from)
    }

    /// Waits for the first line of a result. May be dropped and called again.
    pub(crate) async fn announced(&mut self, id: u64) -> Result<Announced, ChannelError> {
        let line = self.answer().await?;
        let words: Vec<&str> = line.split(' ').collect();
        let parsed = match words[..] {
            ["result", of, exit, out, out_cut, err, err_cut] if of.parse() == Ok(id) => {
                let cut = |flag: &str| matches!(flag, "0" | "1").then_some(flag == "1");
                (|| {
                    Some(Announced {
                        id,
                        exit: exit.parse().ok()?,
                        out: (out.parse().ok()?, cut(out_cut)?),
                        err: (err.parse().ok()?, cut(err_cut)?),
                    })
                })()
            }
            _ => None,
        };
        parsed.ok_or(ChannelError::Garbled(line))
    }

    /// Reads the output that was announced.
    pub(crate) async fn output(&mut self, announced: Announced, limit: u64) -> Result<Finished, ChannelError> {
        let Announced { id, exit, out, err } = announced;
        let mut truncated = out.1 || err.1;
        let mut streams = [Vec::new(), Vec::new()];
        for (stream, length) in streams.iter_mut().zip([out.0, err.0]) {
            // The agent cuts at whole blocks.
            if length > limit.next_multiple_of(BLOCK) {
                return Err(ChannelError::Garbled(format!("{length} bytes where {limit} were asked for")));
            }
            let read = (&mut self.reader).take(length).read_to_end(stream).await?;
            if read as u64 != length {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
            }
            if length > limit {
                truncated = true;
                stream.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            }
        }
        let line = self.answer().await?;
        if line != format!("end {id}") {
            return Err(ChannelError::Garbled(line));
        }
        let [stdout, stderr] = streams;
        Ok(Finished { exit, stdout, stderr, truncated })
    }

    /// The next line that is not empty: a greeting begins with an empty one, lest it continue a line that was cut off.
    async fn answer(&mut self) -> Result<String, ChannelError> {
        loop {
            let line = self.line().await?;
            if !line.is_empty() {
                return Ok(line);
            }
        }
    }

    /// The next line. A greeting is never returned, but noted, and ends whatever was going on.
    async fn line(&mut self) -> Result<String, ChannelError> {
        let room = MAX_LINE.saturating_sub(self.line.len() as u64);
        (&mut self.reader).take(room).read_until(b'\n', &mut self.line).await?;
        if self.line.last() != Some(&b'\n') && (self.line.len() as u64) < MAX_LINE {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).trim_end_matches('\n').to_owned();
        if let Some(boot) = line.strip_prefix("hello 1 ") {
            self.greeted = Some(boot.to_owned());
            self.boot = None;
            return Err(ChannelError::Rebooted);
        }
        Ok(line)
    }
}

/// The first line of a result: exit status, and for each stream its length and whether it was cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Announced {
    id: u64,
    exit: i32,
    out: (u64, bool),
    err: (u64, bool),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A channel whose agent has greeted, and the agent's end.
    async fn synchronized() -> (Channel, UnixStream) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut channel = Channel::new(ours);
        theirs.write_all(b"rest of something\n\nhello 1 b00t\nready b00t\n").await.unwrap();
        channel.synchronize().await.unwrap();
        assert_eq!(channel.boot(), Some("b00t"));
        let mut sync = [0; 11];
        theirs.read_exact(&mut sync).await.unwrap();
        assert_eq!(&sync, b"\nsync b00t\n");
        (channel, theirs)
    }

    async fn answer(agent: &[u8], limit: u64) -> Result<Finished, ChannelError> {
        let (mut channel, mut theirs) = synchronized().await;
        let command = Command { launch: "L".into(), script: "SC".into(), stdin: b"IN\n".to_vec(), limit };
        assert_eq!(channel.send(&command).await.unwrap(), 1);
        theirs.write_all(agent).await.unwrap();
        let mut request = vec![0; 24];
        theirs.read_exact(&mut request).await.unwrap();
        drop(theirs);
        assert_eq!(request, format!("run 1 {} 1 2 3\nLSCIN\nend 1\n", limit.div_ceil(512)).into_bytes()[..24]);
        let announced = channel.announced(1).await?;
        channel.output(announced, limit).await
    }

    #[tokio::test]
    async fn results_are_read_whole() {
        let finished = answer(b"result 1 7 6 0 3 1\nout\0\n\nerrend 1\n", 512).await.unwrap();
        assert_eq!(finished.exit, 7);
        assert_eq!(finished.stdout, b"out\0\n\n");
        assert_eq!(finished.stderr, b"err");
        assert!(finished.truncated);
        let finished = answer(b"result 1 0 6 0 0 0\n123456end 1\n", 5).await.unwrap();
        assert_eq!((finished.stdout.as_slice(), finished.truncated), (b"12345".as_slice(), true));
        let finished = answer(b"result 1 0 5 0 0 0\n12345end 1\n", 5).await.unwrap();
        assert_eq!((finished.stdout.as_slice(), finished.truncated), (b"12345".as_slice(), false));
    }

    #[tokio::test]
    async fn nothing_but_a_whole_result_is_one() {
        let whole = b"result 1 7 3 0 3 0\nouterrend 1\n";
        for length in 0..whole.len() {
            let error = answer(&whole[..length], 512).await.unwrap_err();
            assert!(matches!(error, ChannelError::Io(_)), "{length}: {error}");
        }
        for wrong in [
            "result 2 7 3 0 3 0\nouterrend 2\n",
            "result 1 7 3 0 2 0\nouterrend 1\n",
            "result 1 7 3 2 3 0\nouterrend 1\n",
            "result 1 7 -3 0 3 0\nouterrend 1\n",
            "result 1 7 9999 0 3 0\nouterrend 1\n",
            "result 1 7 3 0 3\nouterrend 1\n",
            "something else\n",
        ] {
            let error = answer(wrong.as_bytes(), 512).await.unwrap_err();
            assert!(matches!(error, ChannelError::Garbled(_)), "{wrong}: {error}");
        }
        let endless = answer(&[b'x'; 1000], 512).await.unwrap_err();
        assert!(matches!(endless, ChannelError::Garbled(_)), "{endless}");
    }

    #[tokio::test]
    async fn a_reboot_ends_an_exchange_and_can_be_recovered_from() {
        let error = answer(b"\nhello 1 other\n", 512).await.unwrap_err();
        assert!(matches!(error, ChannelError::Rebooted), "{error}");
        let error = answer(b"result 1 0 3 0 0 0\nout\nhello 1 other\n", 512).await.unwrap_err();
        assert!(matches!(error, ChannelError::Rebooted), "{error}");

        let (mut channel, mut theirs) = synchronized().await;
        theirs.write_all(b"hello 1 next\nready b00t\nready next\n").await.unwrap();
        assert!(matches!(channel.announced(1).await, Err(ChannelError::Rebooted)));
        assert_eq!(channel.boot(), None);
        channel.synchronize().await.unwrap();
        assert_eq!(channel.boot(), Some("next"));
    }

    #[tokio::test]
    async fn synchronizing_may_be_interrupted_anywhere() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut channel = Channel::new(ours);
        for byte in b"noise\nhello 1 b00t\nready b00t\n" {
            theirs.write_all(&[*byte]).await.unwrap();
            tokio::select! {
                biased;
                done = channel.synchronize() => done.unwrap(),
                () = tokio::task::yield_now() => {}
            }
        }
        channel.synchronize().await.unwrap();
        assert_eq!(channel.boot(), Some("b00t"));
    }
}

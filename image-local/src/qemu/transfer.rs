//! Files to and from the guest.
//!
//! They go in pieces, each an ordinary request of the agent's own tools: the guest's memory never holds a whole file, and
//! an interrupted transfer leaves a usable channel. The digest at the other end decides whether it succeeded.

use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::request::Shell;
use super::{Finished, Guest, QemuError, Request};

/// Bytes per piece. Fits the smallest guest's spool.
const PIECE: usize = 4 * 1024 * 1024;

/// Bytes of a digest or an error message.
const MESSAGE: u64 = 64 * 1024;

impl Guest {
    /// Writes a file in the guest, replacing what is there: at once, when it has arrived whole.
    ///
    /// `permissions` are its permission bits, `owner` is `USER`, `USER:GROUP` or numbers, as for chown(1), and root by
    /// default. The parent directory has to exist. Returns the size.
    ///
    /// Dropping the future may leave a file `.NAME.partial` in the directory.
    ///
    /// # Errors
    /// Those of [`run`](Self::run), of the source, and [`QemuError::Transfer`] with what the guest said.
    pub async fn upload(
        &self,
        source: &mut (impl AsyncRead + Unpin + Send),
        destination: &str,
        permissions: u32,
        owner: Option<&str>,
    ) -> Result<u64, QemuError> {
        let name = destination.rsplit('/').next().unwrap_or_default();
        if !destination.starts_with('/') || matches!(name, "" | "." | "..") {
            return Err(QemuError::InvalidRequest {
                field: "destination",
                value: format!("{destination:?}"),
                accepted: "an absolute path of a file".into(),
            });
        }
        let partial = format!("{}.{name}.partial", &destination[..destination.len() - name.len()]);
        let script = |text: &str| {
            let mut request = Request::new(text);
            request.limit = MESSAGE;
            request.env.extend([
                ("destination".to_owned(), destination.to_owned()),
                ("partial".to_owned(), partial.clone()),
                ("permissions".to_owned(), format!("{:o}", permissions & 0o7777)),
                ("owner".to_owned(), owner.unwrap_or("0:0").to_owned()),
            ]);
            request
        };
        let step = async |request: Request| -> Result<Finished, QemuError> {
            succeeded("upload", destination, self.run_with(&request, Shell::Agent).await?)
        };
        let send = async {
            step(script(
                r#"[ ! -d "$destination" ] || { echo "is a directory" >&2; exit 1; }; rm -f "$partial"
                umask 077; : >"$partial""#,
            ))
            .await?;
            let (mut digest, mut size) = (Sha256::new(), 0);
            loop {
                let mut piece = Vec::new();
                source
                    .take(PIECE as u64)
                    .read_to_end(&mut piece)
                    .await
                    .map_err(QemuError::io(format!("read the source of {destination:?}")))?;
                if piece.is_empty() {
                    break;
                }
                digest.update(&piece);
                size += piece.len() as u64;
                let mut request = script(r#"cat >>"$partial""#);
                request.stdin = piece;
                step(request).await?;
            }
            let arrived = step(script(r#"sha256sum "$partial""#)).await?;
            compare(destination, &hex(digest), &arrived)?;
            step(script(
                r#"chown "$owner" "$partial" && chmod "$permissions" "$partial" && mv -f "$partial" "$destination""#,
            ))
            .await?;
            Ok(size)
        };
        let sent = send.await;
        if matches!(sent, Err(QemuError::DigestMismatch { .. } | QemuError::Io { .. } | QemuError::Transfer { .. })) {
            // What is reported is the cause; a partial file that cannot be removed has no better owner.
            drop(self.run_with(&script(r#"rm -f "$partial""#), Shell::Agent).await);
        }
        sent
    }

    /// Reads a regular file in the guest, and returns its size.
    ///
    /// # Errors
    /// Those of [`run`](Self::run), of the sink, and [`QemuError::Transfer`] with what the guest said.
    /// [`QemuError::DigestMismatch`], after all was written to the sink, when the file changed meanwhile.
    pub async fn download(&self, source: &str, sink: &mut (impl AsyncWrite + Unpin + Send)) -> Result<u64, QemuError> {
        if !source.starts_with('/') {
            return Err(QemuError::InvalidRequest {
                field: "source",
                value: format!("{source:?}"),
                accepted: "an absolute path".into(),
            });
        }
        let step = async |text: &str, index: u64| -> Result<Finished, QemuError> {
            let mut request = Request::new(text);
            request.limit = PIECE as u64;
            request.env.push(("source".to_owned(), source.to_owned()));
            request.env.push(("index".to_owned(), index.to_string()));
            succeeded("download", source, self.run_with(&request, Shell::Agent).await?)
        };
        let expected =
            step(r#"[ -f "$source" ] || { echo "is no regular file" >&2; exit 1; }; sha256sum <"$source""#, 0).await?;
        let sink_error = || QemuError::io(format!("write what was read from {source:?}"));
        let (mut digest, mut size) = (Sha256::new(), 0);
        for index in 0.. {
            let piece = step(
                &format!(r#"dd if="$source" bs={PIECE} skip="$index" count=1 iflag=fullblock 2>/dev/null"#),
                index,
            )
            .await?
            .stdout;
            digest.update(&piece);
            sink.write_all(&piece).await.map_err(sink_error())?;
            size += piece.len() as u64;
            if piece.len() < PIECE {
                break;
            }
        }
        sink.flush().await.map_err(sink_error())?;
        compare(source, &hex(digest), &expected)?;
        Ok(size)
    }
}

fn succeeded(operation: &'static str, path: &str, finished: Finished) -> Result<Finished, QemuError> {
    if finished.exit == 0 && !finished.truncated {
        return Ok(finished);
    }
    let stderr = super::console::printable(&finished.stderr);
    let message = match stderr.trim() {
        "" if finished.truncated => "its output is incomplete".to_owned(),
        "" => format!("exit status {}", finished.exit),
        said => said.to_owned(),
    };
    Err(QemuError::Transfer { operation, path: path.to_owned(), message })
}

/// Compares our digest with the output of sha256sum.
fn compare(path: &str, ours: &str, theirs: &Finished) -> Result<(), QemuError> {
    let theirs = String::from_utf8_lossy(&theirs.stdout);
    let theirs = theirs.split_ascii_whitespace().next().unwrap_or_default().trim_start_matches('\\');
    if ours == theirs {
        return Ok(());
    }
    Err(QemuError::DigestMismatch { path: path.to_owned(), expected: ours.to_owned(), actual: theirs.to_owned() })
}

fn hex(digest: Sha256) -> String {
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

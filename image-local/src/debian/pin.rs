use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::task::JoinSet;

use super::error::recognise;
use super::{DebianError, Source, Suite};
use crate::process::{spawn, supervised};
use crate::sandbox::{SandboxError, one_line};

/// Part of the package apt, with the transports, proxies and certificates that apt is configured for.
const APT_HELPER: &str = "/usr/lib/apt/apt-helper";

/// Room for a slow mirror; an `InRelease` has about 200 kB.
const DEADLINE: Duration = Duration::from_secs(60);

/// What the mirrors of a suite offered at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pinned {
    /// In the order of [`Suite::sources`].
    pub releases: Vec<Release>,
}

/// The signed index of one source. It has the digests of everything else.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Release {
    /// For example `bookworm-updates`.
    pub suite: String,
    /// The address of the `InRelease` file.
    pub url: String,
    /// Its SHA-256 digest, in lower-case hexadecimal.
    pub sha256: String,
}

impl Pinned {
    /// What was found before, for example read from a record.
    #[must_use]
    pub fn new(releases: Vec<Release>) -> Self {
        Self { releases }
    }
}

impl Release {
    /// What was found before.
    #[must_use]
    pub fn new(suite: String, url: String, sha256: String) -> Self {
        Self { suite, url, sha256 }
    }
}

/// Fetches the `InRelease` files of a suite, at the same time, and changes nothing. Their signatures are verified by
/// [`bootstrap`](super::bootstrap()).
///
/// # Errors
/// [`DebianError::NotOnMirror`], [`DebianError::MirrorUnreachable`], [`DebianError::TimedOut`], and a missing apt.
pub async fn pin(suite: &Suite) -> Result<Pinned, DebianError> {
    suite.check()?;
    if !Path::new(APT_HELPER).is_file() {
        return Err(SandboxError::MissingTool { tool: "apt-helper", package: "apt" }.into());
    }
    let dir = tempfile::tempdir().map_err(DebianError::io("create a directory in", std::env::temp_dir()))?;
    let mut fetches = JoinSet::new();
    for (index, source) in suite.sources().into_iter().enumerate() {
        let file = dir.path().join(index.to_string());
        let proxy = suite.proxy.clone();
        fetches.spawn(async move { fetch(source, &file, proxy).await.map(|release| (index, release)) });
    }
    let mut releases = Vec::new();
    while let Some(fetched) = fetches.join_next().await {
        releases.push(fetched.map_err(|error| DebianError::io("fetch", dir.path())(error.into()))??);
    }
    releases.sort_by_key(|(index, _)| *index);
    Ok(Pinned { releases: releases.into_iter().map(|(_, release)| release).collect() })
}

async fn fetch(source: Source, file: &Path, proxy: Option<String>) -> Result<Release, DebianError> {
    let Source { suite, url: mirror } = source;
    let url = format!("{mirror}/dists/{suite}/InRelease");
    let mut command = supervised(APT_HELPER);
    // Its unprivileged user cannot write to our directory.
    command.args(["-o", "APT::Sandbox::User=root"]);
    if let Some(proxy) = proxy {
        command.arg("-o").arg(format!("Acquire::http::Proxy={proxy}"));
        command.arg("-o").arg(format!("Acquire::https::Proxy={proxy}"));
    }
    command.arg("download-file").arg(&url).arg(file).env("LC_ALL", "C");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let failed = || DebianError::io("run", APT_HELPER);
    let child = spawn(command).await.map_err(failed())?;
    let output = tokio::select! {
        output = child.wait_with_output() => output.map_err(failed())?,
        () = tokio::time::sleep(DEADLINE) => return Err(DebianError::TimedOut { suite, mirror, after: DEADLINE }),
    };
    if !output.status.success() {
        let message = one_line(&output.stderr);
        let log = [message.clone()];
        return Err(recognise(&suite, &mirror, file, &log).unwrap_or(DebianError::MirrorUnreachable {
            suite,
            mirror,
            message,
        }));
    }
    let content = tokio::fs::read(file).await.map_err(DebianError::io("read", file))?;
    let digest = Sha256::digest(&content);
    let sha256 = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Release { suite, url, sha256 })
}

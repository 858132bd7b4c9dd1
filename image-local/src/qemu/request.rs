//! A command for the guest, and its result.

use std::fmt;
use std::time::Duration;

use super::QemuError;

/// Largest script, in bytes. The script and the environment are kept in the guest's memory while the command runs.
const MAX_SCRIPT: usize = 1024 * 1024;

/// `PATH` of commands, as Debian's login(1) sets it for root.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A shell script to run in the guest.
///
/// It runs with the image's `/bin/sh` in the root of process 1, in a session of its own, with umask 022 and an
/// environment that has nothing but `PATH`, `HOME`, `USER`, `LOGNAME` and what is set here.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// The script.
    pub script: String,
    /// Standard input, held in the guest's memory while the command runs.
    pub stdin: Vec<u8>,
    /// Environment variables.
    pub env: Vec<(String, String)>,
    /// Environment variables that no output of this crate shows.
    pub secrets: Vec<(String, String)>,
    /// Working directory, `/` by default. The script exits with 126 when it cannot be entered.
    pub cwd: Option<String>,
    /// Name of the user, root by default. `HOME` is that user's.
    pub user: Option<String>,
    /// The command and everything in its session is killed after this time.
    pub timeout: Duration,
    /// Bytes that are kept of standard output, and of standard error. The rest is swallowed in the guest.
    pub limit: u64,
}

impl Request {
    /// A script for root that may run for ten minutes and write 16 MiB.
    #[must_use]
    pub fn new(script: impl Into<String>) -> Self {
        Self {
            script: script.into(),
            stdin: Vec::new(),
            env: Vec::new(),
            secrets: Vec::new(),
            cwd: None,
            user: None,
            timeout: Duration::from_secs(600),
            limit: 16 * 1024 * 1024,
        }
    }

    /// Refuses what cannot be carried out in a guest whose spool has so many bytes.
    pub(crate) fn check(&self, spool: u64) -> Result<(), QemuError> {
        let invalid = |field, value: String, accepted: &str| {
            Err(QemuError::InvalidRequest { field, value, accepted: accepted.to_owned() })
        };
        if self.script.len() > MAX_SCRIPT {
            return invalid("script", format!("{} bytes", self.script.len()), &format!("up to {MAX_SCRIPT} bytes"));
        }
        let name = |name: &str| {
            name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                && !name.starts_with(|first: char| first.is_ascii_digit())
                && !name.is_empty()
        };
        for (field, variables) in [("env", &self.env), ("secrets", &self.secrets)] {
            for (key, value) in variables {
                if !name(key) {
                    return invalid(field, format!("{key:?}"), "a name of letters, digits and '_', no digit first");
                }
                if value.contains('\0') {
                    return invalid(field, format!("{key} with a NUL byte"), "text without NUL bytes");
                }
            }
        }
        for (field, value) in [("cwd", &self.cwd), ("user", &self.user)] {
            let Some(value) = value else { continue };
            if value.is_empty() || value.contains('\0') || value.starts_with('-') {
                return invalid(field, format!("{value:?}"), "not empty, without NUL bytes, no '-' first");
            }
        }
        // The rest is for the script and the last block of each stream.
        let (held, room) = (self.stdin.len() as u64, spool.saturating_sub(2 * MAX_SCRIPT as u64));
        if self.limit.saturating_mul(2).saturating_add(held) > room {
            let value = format!("{} bytes, with {held} bytes of standard input", self.limit);
            let accepted =
                format!("twice the limit and the input below {room} bytes; a guest with more memory has more");
            return invalid("limit", value, &accepted);
        }
        Ok(())
    }

    /// The script, on its first line freed from the descriptor that the shell was given it by.
    pub(crate) fn script(&self) -> String {
        format!("exec 8<&-; {}", self.script)
    }

    /// The script of the agent's shell that becomes the command: it runs in the root of process 1, with the agent's
    /// tools behind descriptor 9, itself on 7 and the script on 8.
    pub(crate) fn launch(&self, shell: Shell) -> String {
        let mut launch = String::from("umask 022\necho 0 >/proc/self/oom_score_adj\nexec 7<&-\nunset PWD SHLVL\n");
        let fixed = [("PATH", PATH), ("HOME", "/root"), ("USER", "root"), ("LOGNAME", "root")];
        let given = self.env.iter().chain(&self.secrets).map(|(key, value)| (key.as_str(), value.as_str()));
        for (key, value) in fixed.into_iter().chain(given) {
            launch.push_str(&format!("export {key}={}\n", quote(value)));
        }
        if let Some(cwd) = &self.cwd {
            launch.push_str(&format!("cd {} || exit 126\nunset OLDPWD\n", quote(cwd)));
        }
        launch.push_str(&match (shell, &self.user) {
            (Shell::Agent, _) => "export PATH=/proc/self/fd/9\nexec sh /proc/self/fd/8\n".to_owned(),
            (Shell::Image, None) => "exec /bin/sh /proc/self/fd/8 9<&-\n".to_owned(),
            (Shell::Image, Some(user)) => {
                let inner = quote("exec 9<&-; exec /bin/sh /proc/self/fd/8");
                format!("exec /proc/self/fd/9/busybox su -s /bin/sh -c {inner} {}\n", quote(user))
            }
        });
        launch
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secrets: Vec<&str> = self.secrets.iter().map(|(key, _)| key.as_str()).collect();
        f.debug_struct("Request")
            .field("script", &self.script)
            .field("stdin", &self.stdin.len())
            .field("env", &self.env)
            .field("secrets", &secrets)
            .field("cwd", &self.cwd)
            .field("user", &self.user)
            .field("timeout", &self.timeout)
            .field("limit", &self.limit)
            .finish()
    }
}

/// Whose shell interprets a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shell {
    /// The agent's, with nothing but its applets in `PATH`: for work that must not depend on the image's tools.
    Agent,
    /// The image's.
    Image,
}

/// A command that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finished {
    /// Exit status as the shell reports it: 128 + n after signal n, 127 without `/bin/sh`.
    pub exit: i32,
    /// Standard output, up to the limit.
    pub stdout: Vec<u8>,
    /// Standard error, up to the limit.
    pub stderr: Vec<u8>,
    /// Output is incomplete: it exceeded the limit, or something that the command left running still held it open five
    /// seconds after its end.
    pub truncated: bool,
}

impl Finished {
    /// A command that did not start.
    pub(crate) const fn none() -> Self {
        Self { exit: 0, stdout: Vec::new(), stderr: Vec::new(), truncated: true }
    }
}

/// A word of the shell that means exactly this text.
pub(crate) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPOOL: u64 = 256 * 1024 * 1024;

    fn request(change: impl FnOnce(&mut Request)) -> Request {
        let mut request = Request::new("true");
        change(&mut request);
        request
    }

    #[test]
    fn requests_that_cannot_work_are_refused_by_field() {
        let check = |field: &str, change: fn(&mut Request)| match request(change).check(SPOOL) {
            Err(QemuError::InvalidRequest { field: refused, .. }) => assert_eq!(refused, field),
            other => panic!("{field}: {other:?}"),
        };
        check("env", |request| request.env.push(("A B".into(), String::new())));
        check("env", |request| request.env.push(("1A".into(), String::new())));
        check("env", |request| request.env.push((String::new(), String::new())));
        check("secrets", |request| request.secrets.push(("A".into(), "\0".into())));
        check("cwd", |request| request.cwd = Some(String::new()));
        check("user", |request| request.user = Some("-c".into()));
        check("limit", |request| request.limit = SPOOL / 2);
        check("limit", |request| request.limit = u64::MAX);
        check("limit", |request| request.stdin = vec![0; 250 * 1024 * 1024]);
        check("script", |request| request.script = " ".repeat(MAX_SCRIPT + 1));
        assert!(request(|request| request.limit = 100 * 1024 * 1024).check(SPOOL).is_ok());
    }

    #[test]
    fn secrets_are_shown_nowhere() {
        let request = request(|request| request.secrets.push(("TOKEN".into(), "hunter2\0".into())));
        assert!(!format!("{request:?}").contains("hunter2"));
        assert!(!format!("{:?}", request.check(SPOOL)).contains("hunter2"));
    }

    #[test]
    fn values_are_quoted_for_the_shell() {
        assert_eq!(quote("it's $HOME"), r"'it'\''s $HOME'");
        let launch = request(|request| {
            request.env.push(("A".into(), "x'; reboot; '".into()));
            request.cwd = Some("/a b".into());
            request.user = Some("nobody".into());
        })
        .launch(Shell::Image);
        assert!(launch.contains(r"export A='x'\''; reboot; '\'''"), "{launch}");
        assert!(launch.contains("cd '/a b' || exit 126\n"), "{launch}");
        assert!(launch.ends_with(" 'nobody'\n"), "{launch}");
    }
}

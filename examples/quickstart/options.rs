//! The command line.

use std::path::PathBuf;

pub(crate) const USAGE: &str = "\
usage: cargo xtask quickstart [options]

  --suite <name>       what to build: bookworm (default), trixie, bullseye, noble, jammy, focal, ...
  --dir <directory>    where images, layers, journals and logs are kept (default: target/quickstart)
  --greeting <text>    what the application in the image says; a change builds the upper layer only
  --on-error <policy>  what becomes of a failed image: cleanup (default), pause, quarantine
  --plan               say what a run would do, and do nothing
  --recover            clean up after runs that were killed, and stop; a run does so first anyway
  --json               events as JSON lines on standard output; the words for people go to standard error

exit codes: 0 published, 1 something broke, 2 wrong input, 3 a check refused the image, 130 cancelled";

/// What becomes of an image that failed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum OnError {
    #[default]
    Cleanup,
    Pause,
    Quarantine,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Options {
    pub(crate) suite: String,
    pub(crate) directory: PathBuf,
    pub(crate) greeting: String,
    pub(crate) on_error: OnError,
    pub(crate) plan: bool,
    pub(crate) recover: bool,
    pub(crate) json: bool,
    pub(crate) help: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            suite: "bookworm".into(),
            directory: "target/quickstart".into(),
            greeting: "hello from a golden image".into(),
            on_error: OnError::default(),
            plan: false,
            recover: false,
            json: false,
            help: false,
        }
    }
}

impl Options {
    /// Reads arguments; an error says what is accepted.
    pub(crate) fn parse(args: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let (name, value) = match arg.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name.to_owned(), Some(value.to_owned())),
                _ => (arg, None),
            };
            let flag = match name.as_str() {
                "--plan" => Some(&mut options.plan),
                "--recover" => Some(&mut options.recover),
                "--json" => Some(&mut options.json),
                "--help" | "-h" => Some(&mut options.help),
                _ => None,
            };
            if let Some(flag) = flag {
                if let Some(value) = value {
                    return Err(format!("{name} takes no value, but has `{value}`"));
                }
                *flag = true;
                continue;
            }
            let mut value = || value.clone().or_else(|| args.next()).ok_or_else(|| format!("{name} needs a value"));
            match name.as_str() {
                "--suite" => options.suite = value()?,
                "--dir" => options.directory = value()?.into(),
                "--greeting" => options.greeting = value()?,
                "--on-error" => options.on_error = on_error(&value()?)?,
                other => return Err(format!("`{other}` is not an option\n\n{USAGE}")),
            }
        }
        Ok(options)
    }
}

fn on_error(value: &str) -> Result<OnError, String> {
    match value {
        "cleanup" => Ok(OnError::Cleanup),
        "pause" => Ok(OnError::Pause),
        "quarantine" => Ok(OnError::Quarantine),
        other => Err(format!("--on-error is `{other}`; accepted: cleanup, pause, quarantine")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_are_read() {
        let expected = Options { suite: "jammy".into(), json: true, on_error: OnError::Pause, ..Options::default() };
        assert_eq!(parse("--suite jammy --json --on-error=pause").unwrap(), expected);
        assert_eq!(parse("").unwrap(), Options::default());
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(parse("--suite").unwrap_err(), "--suite needs a value");
        assert_eq!(parse("--plan=yes").unwrap_err(), "--plan takes no value, but has `yes`");
        assert!(parse("--on-error stop").unwrap_err().ends_with("accepted: cleanup, pause, quarantine"));
        assert!(parse("bookworm").unwrap_err().starts_with("`bookworm` is not an option"));
    }
}

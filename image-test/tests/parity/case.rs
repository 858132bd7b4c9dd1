//! The corpus: gossfiles, and how each is run.

use super::sandbox::{CHECKERS, CORPUS};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A gossfile of `corpus/cases`. Lines at its top that begin with `#: ` say how it is run:
/// `flavours NAME..` (else `debian`), `args ARGUMENT..`, `arg ARGUMENT WITH SPACES`, `env NAME=VALUE`, and `stdin`.
#[derive(Debug)]
pub(crate) struct Case {
    /// Its file name.
    pub(crate) name: String,
    /// The systems it is run on: directories of `root`.
    pub(crate) flavours: Vec<String>,
    args: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    /// What the standard input is.
    pub(crate) input: Vec<u8>,
    stdin: bool,
}

impl Case {
    fn read(path: &Path) -> Self {
        let text = fs::read(path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let mut case =
            Self { name, flavours: vec!["debian".into()], args: vec![], env: vec![], input: vec![], stdin: false };
        for line in String::from_utf8_lossy(&text).lines().map_while(|line| line.strip_prefix("#: ")) {
            let (setting, value) = line.split_once(' ').unwrap_or((line, ""));
            let words = || value.split(' ').map(str::to_owned);
            match setting {
                "flavours" => case.flavours = words().collect(),
                "arg" => case.args.push(value.into()),
                "args" => case.args.extend(words()),
                "env" => case.env.extend(value.split_once('=').map(|(name, value)| (name.into(), value.into()))),
                "stdin" => case.stdin = true,
                other => panic!("{}: `{other}` is not a setting of a case", case.name),
            }
        }
        if case.stdin {
            case.input = text;
        }
        case
    }

    /// How a checker is called.
    pub(crate) fn command(&self, checker: &str, further: &[&str]) -> Vec<String> {
        let gossfile = if self.stdin { "-".to_owned() } else { format!("{CORPUS}/cases/{}", self.name) };
        let mut command = vec![format!("{CHECKERS}/{checker}"), "--gossfile".into(), gossfile];
        command.extend(self.args.iter().cloned());
        command.extend(["validate", "--format", "json"].map(Into::into));
        command.extend(further.iter().map(|word| (*word).to_owned()));
        command
    }
}

/// All cases, by name.
pub(crate) fn all() -> Vec<Case> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/corpus/cases");
    let mut paths: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| Case::read(path)).collect()
}

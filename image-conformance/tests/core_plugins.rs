//! The plugins of `image_core` itself hold the contracts they are written for.
#![expect(clippy::unwrap_used, reason = "a fixture that cannot be made fails its test")]

use image_conformance::{Answer, EventSinkFixture, ProvisionerFixture, ScriptedMachine, ValidatorFixture};
use image_core::{
    EventSink, Machine, Provisioner, Secret, Validator,
    provision::{FileUpload, Seal, Shell},
    sink::{JsonLines, LogFiles},
    validate,
};
use serde_json::{Value, json};
use std::{
    fs, io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};
use tempfile::TempDir;

const SECRET: &str = "correct-horse-battery";

fn all<P: Provisioner + 'static>(provisioners: impl IntoIterator<Item = P>) -> Vec<Arc<dyn Provisioner>> {
    provisioners.into_iter().map(|provisioner| Arc::new(provisioner) as Arc<dyn Provisioner>).collect()
}

#[derive(Debug)]
struct Script;

impl Script {
    fn shell() -> Shell {
        Shell::inline("install", "install \"$TOKEN\"").secret("TOKEN", Secret::new(SECRET))
    }
}

impl ProvisionerFixture for Script {
    fn provisioner(&self) -> Arc<dyn Provisioner> {
        Arc::new(Self::shell())
    }
    fn variants(&self) -> Vec<Arc<dyn Provisioner>> {
        let other = Shell::inline("install", "install other").secret("TOKEN", Secret::new(SECRET));
        let shell = Self::shell;
        all([
            other,
            shell().secret("ANOTHER", Secret::new(SECRET)),
            shell().env("MODE", "fast"),
            shell().cwd("/srv"),
            shell().user("app"),
            shell().shell("/bin/bash"),
            shell().lenient(),
            shell().valid_exit_codes([0, 3]),
        ])
    }
    fn secrets(&self) -> Vec<String> {
        vec![SECRET.into()]
    }
}

mod shell {
    image_conformance::provisioner_conformance!(super::Script);
}

/// Files of the controller, for uploads.
#[derive(Debug)]
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        fs::create_dir(files.path("tree")).unwrap();
        fs::create_dir(files.path("other")).unwrap();
        for (name, text) in [("tree/a.conf", "one"), ("other/a.conf", "two"), ("a.conf", "one"), ("b.conf", "two")] {
            fs::write(files.path(name), text).unwrap();
        }
        files
    }
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

impl ProvisionerFixture for Files {
    fn provisioner(&self) -> Arc<dyn Provisioner> {
        Arc::new(FileUpload::file(self.path("a.conf"), "/etc/a.conf").named("configuration"))
    }
    fn variants(&self) -> Vec<Arc<dyn Provisioner>> {
        let upload = || FileUpload::file(self.path("a.conf"), "/etc/a.conf").named("configuration");
        all([
            FileUpload::file(self.path("b.conf"), "/etc/a.conf").named("configuration"),
            FileUpload::file(self.path("a.conf"), "/etc/b.conf").named("configuration"),
            upload().mode(0o600),
            upload().owner("app:app"),
        ])
    }
}

mod file_upload {
    image_conformance::provisioner_conformance!(super::Files::new(), real_time);
}

#[derive(Debug)]
struct Trees(Files);

impl ProvisionerFixture for Trees {
    fn provisioner(&self) -> Arc<dyn Provisioner> {
        Arc::new(FileUpload::tree(self.0.path("tree"), "/etc/app").named("configuration"))
    }
    fn variants(&self) -> Vec<Arc<dyn Provisioner>> {
        let upload = || FileUpload::tree(self.0.path("tree"), "/etc/app").named("configuration");
        let other = FileUpload::tree(self.0.path("other"), "/etc/app").named("configuration");
        all([other, upload().directory_mode(0o700), upload().mode(0o600)])
    }
}

mod tree_upload {
    image_conformance::provisioner_conformance!(super::Trees(super::Files::new()), real_time);
}

#[derive(Debug)]
struct Sealing;

impl ProvisionerFixture for Sealing {
    fn provisioner(&self) -> Arc<dyn Provisioner> {
        Arc::new(Seal::new())
    }
    fn variants(&self) -> Vec<Arc<dyn Provisioner>> {
        all([Seal::new().every_authorized_key(), Seal::new().reset_hostname(), Seal::new().also_remove("/srv/build")])
    }
}

mod seal {
    image_conformance::provisioner_conformance!(super::Sealing);
}

#[derive(Debug)]
struct Checks;

impl ValidatorFixture for Checks {
    fn validator(&self) -> Arc<dyn Validator> {
        let absent = validate::CommandCheck::file_absent("/etc/secret");
        Arc::new(validate::Command::new("checks").check("application", "app --version").with(absent))
    }
    fn good(&self) -> Arc<dyn Machine> {
        Arc::new(ScriptedMachine::new(Answer::Succeeds))
    }
    fn bad(&self) -> Arc<dyn Machine> {
        Arc::new(ScriptedMachine::new(Answer::Fails))
    }
    fn contents(&self, _machine: &dyn Machine) -> Value {
        json!(null) // a scripted machine has none
    }
}

mod command_validator {
    image_conformance::validator_conformance!(super::Checks);
}

/// What sinks wrote into memory; a closed pipe otherwise.
#[derive(Clone, Debug, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl io::Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct Closed;

impl io::Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
    fn flush(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
}

/// The last handle of a sink is dropped with the run's context, and what waited is written by then.
impl EventSinkFixture for Memory {
    fn sink(&self) -> Arc<dyn EventSink> {
        Arc::new(JsonLines::new(self.clone()).unwrap())
    }
    fn broken(&self) -> Arc<dyn EventSink> {
        Arc::new(JsonLines::new(Closed).unwrap())
    }
    fn written(&self) -> Option<String> {
        Some(String::from_utf8(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()).unwrap())
    }
}

mod json_lines {
    image_conformance::event_sink_conformance!(super::Memory::default(), real_time);
}

#[derive(Debug)]
struct Logs(TempDir);

impl Logs {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
    fn directory(&self) -> PathBuf {
        self.0.path().join("logs")
    }
}

impl EventSinkFixture for Logs {
    fn sink(&self) -> Arc<dyn EventSink> {
        Arc::new(LogFiles::new(self.directory()).unwrap())
    }
    fn broken(&self) -> Arc<dyn EventSink> {
        let directory = self.0.path().join("gone");
        let sink = LogFiles::new(&directory).unwrap();
        fs::remove_dir(directory).unwrap();
        Arc::new(sink)
    }
    fn written(&self) -> Option<String> {
        let files = fs::read_dir(self.directory()).unwrap().map(|file| file.unwrap().path());
        // Both files of a run have it all; the one for people is the one with nothing escaped.
        let logs = files.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
        Some(logs.map(|path| fs::read_to_string(path).unwrap()).collect())
    }
}

mod log_files {
    image_conformance::event_sink_conformance!(super::Logs::new(), real_time);
}

use super::*;
use crate::{
    EventBody, ExecOutput, MachineInfo,
    host_machine::{HostMachine, context},
};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
};

fn source() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("sub dir/empty")).unwrap();
    for (name, mode) in [("plain", 0o640), ("sub dir/it's $x", 0o755), ("sub dir/a\\b", 0o600)] {
        fs::write(dir.path().join(name), name).unwrap();
        fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    symlink("/etc/hostname", dir.path().join("link")).unwrap();
    dir
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

#[tokio::test]
async fn a_tree_arrives_whole_and_twice_is_the_same() {
    for machine in HostMachine::all() {
        let (source, (cx, events)) = (source(), context().await);
        fs::create_dir_all(machine.path("to/sub dir")).unwrap();
        fs::write(machine.path("to/sub dir/kept"), "").unwrap();
        fs::set_permissions(machine.path("to"), fs::Permissions::from_mode(0o700)).unwrap();
        let upload = FileUpload::tree(source.path(), machine.at("to/")).directory_mode(0o750);
        upload.fingerprint(&cx).await.unwrap();
        for _ in 0..2 {
            upload.provision(&cx, &machine).await.unwrap();
            for name in ["plain", "sub dir/it's $x", "sub dir/a\\b"] {
                assert_eq!(machine.read(&format!("to/{name}")), name);
                assert_eq!(mode(&machine.path("to").join(name)), mode(&source.path().join(name)));
            }
            assert_eq!(fs::read_link(machine.path("to/link")).unwrap(), Path::new("/etc/hostname"));
            assert_eq!(mode(&machine.path("to/sub dir/empty")), 0o750);
            assert_eq!(mode(&machine.path("to")), 0o700, "existing directories stay as they are");
            assert!(machine.path("to/sub dir/kept").exists());
        }
        let last = events.bodies().into_iter().rev().find_map(|body| match body {
            EventBody::Progress { done, total, .. } => Some((done, total)),
            _ => None,
        });
        let bytes = ("plain".len() + "sub dir/it's $x".len() + "sub dir/a\\b".len()) as u64;
        assert_eq!(last, Some((bytes, Some(bytes))));
    }
}

#[tokio::test]
async fn a_file_goes_into_directories_that_are_made() {
    let (source, machine, (cx, _)) = (source(), HostMachine::new(), context().await);
    symlink("plain", source.path().join("named")).unwrap();
    let upload = FileUpload::file(source.path().join("named"), machine.at("new/dir/file")).mode(0o600);
    upload.provision(&cx, &machine).await.unwrap();
    assert_eq!((machine.read("new/dir/file"), mode(&machine.path("new/dir/file"))), ("plain".into(), 0o600));
    assert_eq!(mode(&machine.path("new/dir")), 0o755);
}

#[tokio::test]
async fn what_cannot_work_is_refused_when_the_run_is_planned() {
    let (source, (cx, _)) = (source(), context().await);
    let (dir, file) = (source.path().to_owned(), source.path().join("plain"));
    for upload in [
        FileUpload::file(&file, "relative"),
        FileUpload::file(&file, "/etc/"),
        FileUpload::file(&file, "/a/../b"),
        FileUpload::file(&file, "/a\nb"),
        FileUpload::file(&dir, "/a"),
        FileUpload::tree(&file, "/a"),
        FileUpload::file(&file, "/a").mode(0o10000),
        FileUpload::file(&file, "/a").owner("root root"),
        FileUpload::file(&file, "/a").owner("-R"),
    ] {
        assert_eq!(upload.fingerprint(&cx).await.unwrap_err().kind(), ErrorKind::InvalidInput, "{upload:?}");
    }
    let missing = FileUpload::file(dir.join("none"), "/a").fingerprint(&cx).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn the_fingerprint_covers_content_modes_and_place() {
    let (source, (cx, _)) = (source(), context().await);
    let upload = || FileUpload::tree(source.path(), "/a");
    let base = upload().fingerprint(&cx).await.unwrap();
    assert_eq!(upload().named("other").fingerprint(&cx).await.unwrap(), base);
    for other in [upload().mode(0o600), upload().directory_mode(0o700), upload().owner("bin")] {
        assert_ne!(other.fingerprint(&cx).await.unwrap(), base);
    }
    assert_ne!(FileUpload::tree(source.path(), "/b").fingerprint(&cx).await.unwrap(), base);
    fs::set_permissions(source.path().join("plain"), fs::Permissions::from_mode(0o644)).unwrap();
    assert_ne!(upload().fingerprint(&cx).await.unwrap(), base);
}

#[tokio::test]
async fn a_change_after_the_plan_is_an_error() {
    let (source, machine, (cx, _)) = (source(), HostMachine::new(), context().await);
    let upload = FileUpload::tree(source.path(), machine.at("to"));
    upload.fingerprint(&cx).await.unwrap();
    fs::write(source.path().join("plain"), "changed").unwrap();
    assert_eq!(upload.provision(&cx, &machine).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert!(!machine.path("to").exists());
}

/// A machine on whose way a file is damaged, or changes at its source.
#[derive(Debug)]
struct Meddler {
    inner: HostMachine,
    change: Option<PathBuf>,
}

#[async_trait]
impl Machine for Meddler {
    fn info(&self) -> &MachineInfo {
        self.inner.info()
    }
    async fn exec(&self, cx: &Context, command: Command) -> Result<ExecOutput> {
        self.inner.exec(cx, command).await
    }
    async fn upload(&self, cx: &Context, upload: Upload) -> Result<()> {
        if let Some(path) = &self.change {
            fs::write(path, "changed on the way").unwrap();
            return self.inner.upload(cx, upload).await;
        }
        let damaged = Upload::bytes("damaged", &upload.destination);
        self.inner.upload(cx, damaged).await
    }
    async fn download(&self, cx: &Context, source: &str, destination: &Path) -> Result<()> {
        self.inner.download(cx, source, destination).await
    }
    async fn reboot(&self, cx: &Context) -> Result<()> {
        self.inner.reboot(cx).await
    }
}

#[tokio::test]
async fn what_was_hashed_is_what_arrives() {
    for inner in HostMachine::all() {
        let (source, (cx, _)) = (source(), context().await);
        let file = source.path().join("plain");
        let upload = FileUpload::file(&file, inner.at("f")).named("config");
        let mut machine = Meddler { inner, change: None };
        let error = upload.provision(&cx, &machine).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CommandFailed);
        let text = error.to_string().replace(&machine.inner.at(""), "");
        assert!(text.starts_with("provisioner config: what arrived is not what was sent: f: FAILED"), "{text}");

        machine.change = Some(file.clone());
        let error = upload.provision(&cx, &machine).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        assert!(error.to_string().ends_with("has changed while it was sent"), "{error}");
    }
}

#[tokio::test]
async fn a_directory_in_the_place_of_a_link_is_named() {
    for machine in HostMachine::all() {
        let (source, (cx, _)) = (source(), context().await);
        fs::create_dir_all(machine.path("to/link")).unwrap();
        let upload = FileUpload::tree(source.path(), machine.at("to")).named("tree");
        let error = upload.provision(&cx, &machine).await.unwrap_err().to_string().replace(&machine.at(""), "");
        insta::allow_duplicates! {
            insta::assert_snapshot!(error, @"provisioner tree cannot make directories and links: to/link is a directory, no place for a link");
        }
    }
}

#[tokio::test]
async fn a_machine_without_a_tool_cannot_prove_it() {
    let (source, (cx, _)) = (source(), context().await);
    let machine = HostMachine::new().redirect("command -v", "false");
    let upload = FileUpload::file(source.path().join("plain"), machine.at("f")).named("config");
    let error = upload.provision(&cx, &machine).await.unwrap_err();
    insta::assert_snapshot!(error, @"provisioner config finds no sha256sum on the machine to prove its files with");
}

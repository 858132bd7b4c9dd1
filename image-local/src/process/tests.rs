use std::path::Path;
use std::process::Stdio;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);
const TEST_NAME: &str = "process::tests::parent_that_is_killed";

/// A file whose name is a token, for `tail -f`: a single process that waits for ever and carries the token.
struct Token {
    _dir: tempfile::TempDir,
    path: std::path::PathBuf,
    name: String,
}

impl Token {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let name = uuid::Uuid::new_v4().to_string();
        let path = dir.path().join(&name);
        std::fs::write(&path, "").unwrap();
        Self { _dir: dir, path, name }
    }

    async fn started(&self) -> u32 {
        eventually("start of tail", || {
            find(&self.name).unwrap().into_iter().find(|pid| comm(*pid).as_deref() == Some("tail"))
        })
        .await
    }
}

fn comm(pid: u32) -> Option<String> {
    Some(std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim().to_owned())
}

async fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "no {what} within {PATIENCE:?}");
        tokio::time::sleep(POLL).await;
    }
}

/// True once there is not even a zombie.
async fn vanishes(pid: u32) {
    eventually("end of process", || (!Path::new(&format!("/proc/{pid}")).exists()).then_some(())).await;
}

#[tokio::test]
#[ignore = "the parent in `the_child_dies_with_its_killed_parent`, which starts it"]
async fn parent_that_is_killed() {
    let Some(arguments) = std::env::var_os("SUPERVISED_TEST_COMMAND") else { return };
    let arguments = arguments.into_string().unwrap();
    let mut words = arguments.split('\n');
    let mut command = supervised(words.next().unwrap());
    command.args(words);
    let mut child = spawn(command).await.unwrap();
    child.wait().await.unwrap();
}

async fn dies_with_its_parent(program: &[&str]) {
    let token = Token::new();
    let mut words = program.to_vec();
    words.extend(["tail", "-f", token.path.to_str().unwrap()]);
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", TEST_NAME, "--ignored"])
        .env("SUPERVISED_TEST_COMMAND", words.join("\n"))
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let child = token.started().await;
    parent.kill().await.unwrap();
    vanishes(child).await;
    assert!(find(&token.name).unwrap().is_empty());
}

#[tokio::test]
async fn the_child_dies_with_its_killed_parent() {
    dies_with_its_parent(&[]).await;
}

#[tokio::test]
async fn a_child_in_a_new_user_namespace_dies_with_its_killed_parent() {
    let works = Command::new("unshare").args(["--user", "true"]).status().await.is_ok_and(|status| status.success());
    if !works {
        eprintln!("SKIPPED: user namespaces are not available");
        return;
    }
    dies_with_its_parent(&["unshare", "--user"]).await;
    dies_with_its_parent(&["unshare", "--user", "--map-root-user", "--pid", "--kill-child"]).await;
}

#[tokio::test]
async fn a_command_whose_parent_is_gone_does_not_start() {
    let marker = Token::new();
    let mut command = supervised_by(1, "rm".as_ref());
    command.arg(&marker.path);
    let status = spawn(command).await.unwrap().wait().await.unwrap();
    assert_eq!(status.code(), Some(ORPHANED));
    assert!(marker.path.exists());
}

#[tokio::test]
async fn arguments_and_exit_status_pass_through() {
    let mut command = supervised("printf");
    command.args(["%s|", "a b", "$HOME", "--", "'\""]).stdout(Stdio::piped());
    let output = spawn(command).await.unwrap().wait_with_output().await.unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "a b|$HOME|--|'\"|");

    let mut command = supervised("sh");
    command.args(["-c", "exit 7"]);
    assert_eq!(spawn(command).await.unwrap().wait().await.unwrap().code(), Some(7));
}

#[tokio::test]
async fn a_dropped_child_is_killed_and_reaped() {
    let token = Token::new();
    let mut command = supervised("tail");
    command.arg("-f").arg(&token.path);
    let child = spawn(command).await.unwrap();
    let pid = token.started().await;
    drop(child);
    vanishes(pid).await;
}

#[tokio::test]
async fn the_child_survives_the_thread_that_asked() {
    let token = Token::new();
    let path = token.path.clone();
    let runtime = tokio::runtime::Handle::current();
    let asked = std::thread::spawn(move || {
        let mut command = supervised("tail");
        command.arg("-f").arg(path);
        runtime.block_on(spawn(command))
    });
    let mut child = asked.join().unwrap().unwrap();
    token.started().await;
    assert_eq!(child.try_wait().unwrap(), None);
    child.kill().await.unwrap();
}

#[tokio::test]
async fn kill_all_ends_every_process_with_the_token_and_no_other() {
    let (token, other) = (Token::new(), Token::new());
    let start = |path: &Path| Command::new("tail").arg("-f").arg(path).kill_on_drop(true).spawn().unwrap();
    let mut children = [start(&token.path), start(&token.path)];
    let mut bystander = start(&other.path);
    assert_eq!(kill_all(&token.name, PATIENCE).await.unwrap(), 2);
    assert!(find(&token.name).unwrap().is_empty());
    for child in &mut children {
        assert!(!child.wait().await.unwrap().success());
    }
    assert_eq!(bystander.try_wait().unwrap(), None);
    assert_eq!(kill_all(&token.name, PATIENCE).await.unwrap(), 0);
    bystander.kill().await.unwrap();
}

#[tokio::test]
async fn short_tokens_are_refused() {
    assert_eq!(find("init").unwrap_err().kind(), io::ErrorKind::InvalidInput);
    assert_eq!(kill_all("", PATIENCE).await.unwrap_err().kind(), io::ErrorKind::InvalidInput);
}

//! Answers that a channel or a machine did not leave as they were, and channels with limits.

use super::*;

fn one_file() -> Wanted {
    let mut wanted = Wanted::default();
    wanted.files.insert("/etc/passwd".into(), FileWanted { contents: true, ..FileWanted::default() });
    wanted
}

fn small_pages() -> ProbeOptions {
    ProbeOptions { max_stdout: Some(600), ..ProbeOptions::default() }
}

/// Directories of stored answers.
fn stored() -> Vec<String> {
    let entries = frame::STORES.iter().filter_map(|store| std::fs::read_dir(store).ok()).flatten().flatten();
    let paths = entries.map(|entry| entry.path().display().to_string());
    paths.filter(|path| path.contains("image-test-")).collect()
}

#[tokio::test]
async fn no_changed_answer_is_read() {
    type Lie = fn(usize, Vec<u8>) -> Vec<u8>;
    let lies: [(&str, Lie); 7] = [
        ("cut", |_, answer| answer[..answer.len() - 1].to_vec()),
        ("empty", |_, _| vec![]),
        ("twice", |_, answer| answer.repeat(2)),
        ("noise before", |_, answer| [b"Welcome!\n", &answer[..]].concat()),
        ("noise after", |_, answer| [&answer[..], b"\nBroadcast message\n"].concat()),
        ("one bit", |_, mut answer| {
            let at = answer.len() / 2;
            answer[at] ^= 1;
            answer
        }),
        ("old", |_, answer| {
            let text = String::from_utf8(answer).unwrap();
            let nonce = text.split(' ').nth(1).unwrap().to_owned();
            text.replace(&nonce, Nonce::of(1).as_str()).into_bytes()
        }),
    ];
    let cx = context().await;
    for (name, lie) in lies {
        let error = gather(&cx, &Host::lying(lie), &one_file(), &ProbeOptions::default()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CommandFailed, "{name}: {error}");
    }
}

#[tokio::test]
async fn an_answer_to_another_question_is_none() {
    let (cx, nonce, options) = (context().await, Nonce::random(), ProbeOptions::default());
    let script = Script::compile(&one_file(), &nonce, &options).unwrap();
    let answer = Host::new().exec(&cx, Command::sh(script.text())).await.unwrap().stdout;
    assert!(decode(&answer, &one_file(), &nonce, &options).is_ok());
    assert_eq!(decode(&answer, &one_file(), &Nonce::random(), &options), Err(ProbeError::Nonce));
    let mut other = one_file();
    other.files.values_mut().for_each(|file| file.contents = false);
    assert!(matches!(decode(&answer, &other, &nonce, &options), Err(ProbeError::Record { .. })));
    let more = Wanted { processes: ["init".into()].into(), ..one_file() };
    let facts = decode(&answer, &more, &nonce, &options).unwrap();
    assert!(matches!(facts.processes["init"], Fact::Unknown(_)));
}

#[tokio::test]
async fn pages_are_put_together_and_removed() {
    let cx = context().await;
    let whole = gather(&cx, &Host::new(), &one_file(), &ProbeOptions::default()).await.unwrap();
    let host = Host::new();
    let nonces = std::sync::Arc::new(Mutex::new(vec![]));
    let seen = std::sync::Arc::clone(&nonces);
    let host = Host {
        lie: Box::new(move |number, answer| {
            let text = String::from_utf8_lossy(&answer).into_owned();
            let nonce = text.split(' ').nth(1).unwrap().to_owned();
            if number == 0 {
                let path = stored().into_iter().find(|path| path.ends_with(&nonce)).unwrap();
                let mode = |path: &str| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
                assert_eq!((mode(&path), mode(&format!("{path}/answer"))), (0o700, 0o600));
            }
            seen.lock().unwrap().push(nonce);
            answer
        }),
        ..host
    };
    assert_eq!(gather(&cx, &host, &one_file(), &small_pages()).await.unwrap(), whole);
    assert!(host.round_trips() > 1);
    let nonce = nonces.lock().unwrap()[0].clone();
    assert!(!stored().iter().any(|path| path.ends_with(&nonce)));
}

#[tokio::test]
async fn no_changed_page_is_read_and_none_stays() {
    type Lie = fn(usize, Vec<u8>) -> Vec<u8>;
    let lies: [(&str, Lie); 4] = [
        ("cut page", |number, answer| if number == 1 { answer[..answer.len() - 1].to_vec() } else { answer }),
        ("cut first", |number, answer| if number == 0 { answer[..answer.len() - 1].to_vec() } else { answer }),
        ("no page", |number, answer| if number == 1 { vec![] } else { answer }),
        ("one bit", |number, mut answer| {
            if number == 1 {
                let last = answer.len() - 5;
                answer[last] ^= 1;
            }
            answer
        }),
    ];
    let cx = context().await;
    for (name, lie) in lies {
        let nonce = std::sync::Arc::new(Mutex::new(String::new()));
        let seen = std::sync::Arc::clone(&nonce);
        let host = Host::lying(move |number, answer| {
            if number == 0 {
                *seen.lock().unwrap() = String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap().to_owned();
            }
            lie(number, answer)
        });
        assert!(gather(&cx, &host, &one_file(), &small_pages()).await.is_err(), "{name}");
        let nonce = nonce.lock().unwrap().clone();
        assert!(!stored().iter().any(|path| path.ends_with(&nonce)), "{name}");
    }
}

#[tokio::test]
async fn a_script_too_large_says_so() {
    let mut wanted = Wanted::default();
    for _ in 0..4000 {
        wanted.files.insert(format!("/{}", uuid::Uuid::new_v4()), FileWanted::default());
    }
    let error = gather(&context().await, &Host::new(), &wanted, &ProbeOptions::ssm()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("the channel takes 49152"), "{error}");
}

/// A suite of a thousand mixed checks over a channel with the limits of SSM.
#[tokio::test]
async fn a_large_suite_takes_few_round_trips() {
    let mut wanted = Wanted::default();
    let mut directories = vec![std::path::PathBuf::from("/usr")];
    while let Some(directory) = directories.pop().filter(|_| wanted.files.len() < 400) {
        let mut entries: Vec<_> = std::fs::read_dir(directory).unwrap().flatten().collect();
        entries.sort_by_key(std::fs::DirEntry::path);
        for entry in entries.into_iter().take(40) {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                directories.push(entry.path());
            }
            let file = FileWanted { sha256: wanted.files.len() % 4 == 0, ..FileWanted::default() };
            wanted.files.insert(entry.path().display().to_string(), file);
        }
    }
    let listing = std::process::Command::new("dpkg-query").args(["-W", "-f", "${Package}\n"]).output();
    let listing = listing.map(|output| String::from_utf8(output.stdout).unwrap()).unwrap_or_default();
    wanted.packages.extend(listing.lines().take(200).map(Into::into));
    wanted.packages.extend((0..200_usize.saturating_sub(wanted.packages.len())).map(|n| format!("none{n}")));
    wanted.services.extend((0..80).map(|n| format!("none{n}")));
    wanted.users.extend((0..80).map(|n| format!("user{n}")));
    wanted.kernel_params.extend((0..80).map(|n| format!("kernel.none{n}")));
    wanted.groups.extend((0..40).map(|n| format!("group{n}")));
    wanted.ports.extend((1..=40).map(|n| format!("tcp:{n}")));
    wanted.processes.extend((0..30).map(|n| format!("none{n}")));
    wanted.commands.extend((0..30).map(|n| (format!("c{n}"), command(format!("echo {n}; uname -a"), 9000))));
    wanted.mounts.extend((0..20).map(|n| (format!("/none{n}"), false)));
    let host = Host::new();
    let started = std::time::Instant::now();
    let facts = gather(&context().await, &host, &wanted, &ProbeOptions::ssm()).await.unwrap();
    let traffic = host.traffic.lock().unwrap().clone();
    println!("{} files; bytes out and in: {traffic:?}; {:?}", wanted.files.len(), started.elapsed());
    assert!(traffic.len() <= 2, "{traffic:?}");
    assert!(traffic.iter().all(|(out, back)| *out <= 48 << 10 && *back <= 24_000), "{traffic:?}");
    let known = facts.files.values().filter(|fact| matches!(fact, Fact::Known(_))).count();
    assert_eq!((known, facts.commands.len()), (wanted.files.len(), 30));
}

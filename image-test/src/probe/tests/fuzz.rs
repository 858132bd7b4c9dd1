//! Answers that were tampered with, many at random: none may read as something the machine did not say.
//!
//! `PROBE_FUZZ_ITERATIONS` and `PROBE_FUZZ_SEED` are those of the long run.

use super::*;
use crate::{
    facts::{DnsWanted, FileFacts},
    fuzz::{Random, long},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use flate2::{Compression, write::GzEncoder};
use image_core::sha256;
use std::io::Write as _;

/// What the recorded answers are to.
fn wanted() -> Wanted {
    let mut wanted = Wanted::default();
    let all = FileWanted { contents: true, md5: true, sha256: true, sha512: true };
    wanted.files.extend(["/etc/hostname", "/etc/none"].map(|path| (path.to_owned(), all)));
    wanted.files.extend(["/bin/sh", "/etc/shadow"].map(|path| (path.to_owned(), FileWanted::default())));
    wanted.commands.insert("true".into(), command("true", 9000));
    wanted.commands.insert("echo".into(), command("echo out; echo err >&2; exit 3", 9000));
    wanted.users.extend(["root", "none"].map(Into::into));
    wanted.groups.extend(["root", "none"].map(Into::into));
    wanted.packages.extend(["dpkg", "none"].map(Into::into));
    wanted.services.extend(["cron", "none"].map(Into::into));
    wanted.ports.extend(["tcp:1", "tcp6:1", "udp:1", "udp6:1"].map(Into::into));
    wanted.interfaces.extend(["lo", "none"].map(Into::into));
    wanted.kernel_params.extend(["kernel.ostype", "kernel.none"].map(Into::into));
    wanted.processes.extend(["init", "none"].map(Into::into));
    wanted.mounts.extend([("/proc".into(), true), ("/none".into(), false)]);
    let (address, timeout) = ("127.0.0.1:1".into(), Duration::from_millis(500));
    wanted.addrs.insert("closed".into(), AddrWanted { address, timeout, local_address: None });
    let (resolve, timeout) = ("localhost".into(), Duration::from_secs(5));
    wanted.dns.insert("localhost".into(), DnsWanted { resolve, server: None, timeout });
    wanted
}

const NONCES: [u128; 3] = [1, 2, 3];

/// Answers of real machines: a Debian as root, as an ordinary user, and with nothing but BusyBox.
const CORPUS: [&[u8]; 3] = [
    include_bytes!("corpus/root.answer"),
    include_bytes!("corpus/user.answer"),
    include_bytes!("corpus/busybox.answer"),
];

/// A recorded answer, taken apart.
struct Sample {
    nonce: Nonce,
    answer: Vec<u8>,
    body: Vec<u8>,
    /// The records in it, each with its heading.
    records: Vec<Vec<u8>>,
    facts: Facts,
}

fn samples(wanted: &Wanted) -> Vec<Sample> {
    let options = ProbeOptions::default();
    let sample = |(answer, nonce): (&&[u8], u128)| {
        let nonce = Nonce::of(nonce);
        let frame = Frame::parse(answer, &nonce).unwrap();
        let body = frame.open(frame.payload, &nonce, options.max_answer).unwrap().into_owned();
        let mut records = vec![];
        let mut rest = &body[..];
        while !rest.starts_with(b"end ") {
            let line = rest.iter().position(|byte| *byte == b'\n').unwrap();
            let length = std::str::from_utf8(&rest[..line]).unwrap().rsplit(' ').next().unwrap();
            let (record, after) = rest.split_at(line + 2 + length.parse::<usize>().unwrap());
            records.push(record.to_vec());
            rest = after;
        }
        let facts = decode(answer, wanted, &nonce, &options).unwrap();
        Sample { nonce, answer: answer.to_vec(), body, records, facts }
    };
    CORPUS.iter().zip(NONCES).map(sample).collect()
}

/// A frame around a body with a digest that is right.
fn framed(body: &[u8], nonce: &Nonce, random: &mut Random) -> Vec<u8> {
    let (encoding, payload) = match random.below(16) {
        // Compression is slow, and a library's; most samples do without.
        0 => {
            let mut encoder = GzEncoder::new(vec![], Compression::fast());
            encoder.write_all(body).unwrap();
            ("gzip+base64", BASE64_STANDARD.encode(encoder.finish().unwrap()).into_bytes())
        }
        1 => ("base64", BASE64_STANDARD.encode(body).into_bytes()),
        _ => ("plain", body.to_vec()),
    };
    let digest = sha256([nonce.as_str().as_bytes(), b"\n", body].concat());
    let header = format!("image-test-probe/1 {} {encoding} {} sha256:{digest} -\n", nonce.as_str(), payload.len());
    [header.as_bytes(), &payload].concat()
}

/// Bit flips, cuts, repetitions, insertions and exchanges of ranges.
fn damage(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len());
        let end = (at + random.below(64)).min(bytes.len());
        match random.below(7) {
            0 | 1 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            5 => {
                let from = random.below(other.len());
                let to = (from + random.below(64)).min(other.len());
                bytes.splice(at..end, other[from..to].iter().copied());
            }
            _ => {
                let digits = b"0123456789 \n=!-";
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = digits[random.below(digits.len())];
                }
            }
        }
    }
}

/// Every fact of `found` is the same in one of the others, or is unknown.
fn is_covered(found: &Facts, others: &[&Facts]) -> bool {
    fn map<T: PartialEq>(
        found: &Facts,
        others: &[&Facts],
        of: impl Fn(&Facts) -> &std::collections::BTreeMap<String, Fact<T>>,
    ) -> bool {
        of(found).iter().all(|(key, fact)| {
            matches!(fact, Fact::Unknown(_)) || others.iter().any(|other| of(other).get(key) == Some(fact))
        })
    }
    let fact =
        |found: &Fact<bool>, others: &[&Fact<bool>]| matches!(found, Fact::Unknown(_)) || others.contains(&found);
    let services = found.services.iter().all(|(key, service)| {
        let others: Vec<_> = others.iter().map(|other| &other.services[key]).collect();
        fact(&service.enabled, &others.iter().map(|s| &s.enabled).collect::<Vec<_>>())
            && fact(&service.running, &others.iter().map(|s| &s.running).collect::<Vec<_>>())
    });
    let files = found.files.iter().all(|(key, file)| match file {
        Fact::Known(Some(file)) => {
            let known = |other: &&Facts| match &other.files[key] {
                Fact::Known(Some(other)) => Some(other.clone()),
                _ => None,
            };
            let others: Vec<_> = others.iter().filter_map(known).collect();
            others.iter().any(|other| metadata(file) == metadata(other))
                && parts(file, &others.iter().collect::<Vec<_>>())
        }
        other_fact => matches!(other_fact, Fact::Unknown(_)) || others.iter().any(|other| other.files[key] == *file),
    });
    let mounts = found.mounts.iter().all(|(key, mount)| match mount {
        Fact::Known(Some(mount)) => others.iter().any(|other| match &other.mounts[key] {
            Fact::Known(Some(other)) => (&mount.source, &mount.opts) == (&other.source, &other.opts),
            _ => false,
        }),
        mount => matches!(mount, Fact::Unknown(_)) || others.iter().any(|other| other.mounts[key] == *mount),
    });
    files
        && mounts
        && services
        && map(found, others, |facts| &facts.addrs)
        && map(found, others, |facts| &facts.commands)
        && map(found, others, |facts| &facts.dns)
        && map(found, others, |facts| &facts.interfaces)
        && map(found, others, |facts| &facts.kernel_params)
        && map(found, others, |facts| &facts.packages)
        && map(found, others, |facts| &facts.ports)
        && map(found, others, |facts| &facts.processes)
}

/// A file without what else was asked of it, which is a fact of its own.
fn metadata(file: &FileFacts) -> FileFacts {
    FileFacts { contents: None, md5: None, sha256: None, sha512: None, ..file.clone() }
}

/// Whether what else was asked of a file is of one of the others.
fn parts(file: &FileFacts, others: &[&FileFacts]) -> bool {
    fn part<T: PartialEq>(found: &Option<Fact<T>>, mut others: impl Iterator<Item = bool>) -> bool {
        matches!(found, None | Some(Fact::Unknown(_))) || others.any(|same| same)
    }
    part(&file.contents, others.iter().map(|other| other.contents == file.contents))
        && part(&file.md5, others.iter().map(|other| other.md5 == file.md5))
        && part(&file.sha256, others.iter().map(|other| other.sha256 == file.sha256))
        && part(&file.sha512, others.iter().map(|other| other.sha512 == file.sha512))
}

/// How one iteration ended.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    refused: u64,
    unchanged: u64,
    covered: u64,
    well_formed: u64,
}

fn fuzz(seed: u64, iterations: u64) -> Tally {
    let wanted = wanted();
    let samples = samples(&wanted);
    let options = ProbeOptions { max_answer: 1 << 20, ..ProbeOptions::default() };
    let mut random = Random::new(seed);
    let mut tally = Tally::default();
    for iteration in 0..iterations {
        let sample = &samples[random.below(samples.len())];
        let other = &samples[random.below(samples.len())];
        let strategy = random.below(8);
        let answer = match strategy {
            // The answer as it came, damaged: its digest is stale.
            0..=3 => {
                let mut answer = sample.answer.clone();
                damage(&mut answer, &other.answer, &mut random);
                answer
            }
            // Whole records lost, repeated, exchanged or of another answer, with a digest that fits.
            4 | 5 => {
                let mut records: Vec<&[u8]> = sample.records.iter().map(Vec::as_slice).collect();
                for _ in 0..=random.below(3) {
                    let (at, to) = (random.below(records.len()), random.below(records.len()));
                    match random.below(4) {
                        0 if !records.is_empty() => drop(records.remove(at)),
                        1 if !records.is_empty() => records.insert(to, records[at]),
                        2 if !records.is_empty() => records.swap(at, to),
                        _ => records.insert(at, &other.records[random.below(other.records.len())]),
                    }
                }
                let body = [records.concat(), format!("end {}", records.len()).into_bytes()].concat();
                framed(&body, &sample.nonce, &mut random)
            }
            // Any damage, with a digest that fits: no more is asked than that it does not panic.
            _ => {
                let mut body = sample.body.clone();
                damage(&mut body, &other.body, &mut random);
                framed(&body, &sample.nonce, &mut random)
            }
        };
        match decode(&answer, &wanted, &sample.nonce, &options) {
            Err(_) => tally.refused += 1,
            Ok(facts) if facts == sample.facts => tally.unchanged += 1,
            Ok(facts) if matches!(strategy, 4 | 5) => {
                let others: Vec<_> = [sample, other].iter().map(|sample| &sample.facts).collect();
                assert!(is_covered(&facts, &others), "seed {seed}, iteration {iteration}: {facts:#?}");
                tally.covered += 1;
            }
            Ok(facts) => {
                assert!(strategy > 5, "seed {seed}, iteration {iteration}: a stale digest was taken: {facts:#?}");
                tally.well_formed += 1;
            }
        }
    }
    tally
}

#[test]
fn tampered_answers_are_refused() {
    let tally = fuzz(1, 20_000);
    // Each outcome was met, so that each assertion was tried.
    assert!(tally.refused > 0 && tally.unchanged > 0 && tally.covered > 0 && tally.well_formed > 0, "{tally:?}");
}

#[test]
#[ignore = "takes minutes"]
fn tampered_answers_are_refused_for_long() {
    long("PROBE", 10_000_000, fuzz);
}

/// Records the corpus anew on this host: `cargo test -p image-test --lib record_the_corpus -- --ignored`.
#[tokio::test]
#[ignore = "writes the corpus"]
async fn record_the_corpus() {
    let applets = shells::applets(&[]).unwrap();
    let busybox = Host { path: Some(applets.path().display().to_string()), ..Host::with(&["/bin/busybox", "sh"]) };
    let user = Host::with(&["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/bin/sh"]);
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/probe/tests/corpus");
    for ((name, host), nonce) in [("root", Host::new()), ("user", user), ("busybox", busybox)].into_iter().zip(NONCES) {
        let script = Script::compile(&wanted(), &Nonce::of(nonce), &ProbeOptions::default()).unwrap();
        let output = host.exec(&context().await, Command::sh(script.text())).await.unwrap();
        std::fs::write(directory.join(format!("{name}.answer")), output.stdout).unwrap();
    }
}

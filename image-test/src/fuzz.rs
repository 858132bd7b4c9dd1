//! What the fuzzers share: repeatable chance, damage to text, and long runs on every processor.
//!
//! Each fuzzer runs bounded in every test, and for long where it is asked to:
//!
//! ```sh
//! GOSSFILE_FUZZ_SEED=1 GOSSFILE_FUZZ_ITERATIONS=1000000 \
//!     cargo test -p image-test --release --lib gossfiles_are_read_or_say_where_they_are_wrong_for_long -- --ignored --nocapture
//! ```

use std::{
    fmt::Debug,
    ops::Range,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// An input that takes longer is a fault of its own: what is read is bounded in its steps, and so in its time.
const HANG: Duration = Duration::from_secs(20);

/// xorshift64*: repeatable on any machine.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below the limit; zero where that is zero.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % limit.max(1)
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, items: &[&'a T]) -> &'a T {
        items[self.below(items.len())]
    }
}

/// Texts to begin with, and words that mean something in them.
pub(crate) struct Corpus {
    pub(crate) texts: Vec<String>,
    pub(crate) words: Vec<&'static str>,
}

impl Corpus {
    /// One of the texts, damaged once, or up to eight times: what little is wrong with goes further.
    pub(crate) fn mutant(&self, random: &mut Random) -> String {
        let texts: Vec<&String> = self.texts.iter().collect();
        let mut text = random.pick(&texts).clone();
        let more = if random.below(2) == 0 { random.below(8) } else { 0 };
        for _ in 0..=more {
            let other = random.pick(&texts);
            self.damage(&mut text, other, random);
        }
        text
    }

    fn damage(&self, text: &mut String, other: &str, random: &mut Random) {
        let (here, there) = (span(text, random), span(other, random));
        let (line, other_line) = (line(text, random), line(other, random));
        match random.below(9) {
            0 => text.replace_range(here, ""),
            1 => text.replace_range(here, random.pick(&self.words)),
            2 => text.insert_str(here.start, random.pick(&self.words)),
            3 => text.insert_str(here.end, &String::from(&text[here])),
            4 => text.replace_range(here, &other[there]),
            5 => text.replace_range(line, ""),
            6 => text.insert_str(line.end, &String::from(&text[line])),
            7 => text.insert_str(line.start, &other[other_line]),
            _ => {
                let character = char::from_u32(random.below(0x180) as u32).unwrap();
                text.replace_range(here.start..here.start, character.encode_utf8(&mut [0; 4]));
            }
        }
    }
}

/// Up to 32 bytes, on the boundaries of characters.
fn span(text: &str, random: &mut Random) -> Range<usize> {
    let start = text.floor_char_boundary(random.below(text.len() + 1));
    start..text.ceil_char_boundary((start + random.below(32)).min(text.len()))
}

/// A line with its end.
fn line(text: &str, random: &mut Random) -> Range<usize> {
    let at = text.floor_char_boundary(random.below(text.len() + 1));
    let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    start..text[start..].find('\n').map_or(text.len(), |end| start + end + 1)
}

/// Runs one input, and says which it was should that panic or take too long.
pub(crate) fn watched<T>(seed: u64, iteration: u64, input: &str, run: impl FnOnce() -> T) -> T {
    struct Input<'a>(u64, u64, &'a str);
    impl Drop for Input<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("seed {}, iteration {}:\n{}\n{:?}", self.0, self.1, self.2, self.2);
            }
        }
    }
    let _input = Input(seed, iteration, input);
    let started = Instant::now();
    let outcome = run();
    assert!(started.elapsed() < HANG, "it took {:?}", started.elapsed());
    outcome
}

/// Runs a fuzzer on every processor, each with a seed of its own, and prints what came of it. `NAME_FUZZ_ITERATIONS` and
/// `NAME_FUZZ_SEED` say how long and from where.
pub(crate) fn long<T: Debug + Send>(name: &str, iterations: u64, fuzz: fn(u64, u64) -> T) {
    #[expect(clippy::disallowed_methods, reason = "a test has no caller to pass settings")]
    let setting = |what: &str, default: u64| {
        std::env::var(format!("{name}_FUZZ_{what}")).map_or(default, |value| value.parse().unwrap())
    };
    let (iterations, seed) = (setting("ITERATIONS", iterations), setting("SEED", 1));
    let started = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let tallies: Vec<T> = std::thread::scope(|scope| {
        let share = iterations.div_ceil(threads);
        #[expect(clippy::needless_collect, reason = "all of them start before the first is awaited")]
        let workers: Vec<_> = (0..threads).map(|n| scope.spawn(move || fuzz(seed + n, share))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let rate = iterations as f64 / started.elapsed().as_secs_f64();
    println!("{iterations} iterations, seed {seed}, {:?}, {rate:.0} a second: {tallies:?}", started.elapsed());
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default());
    }
}

/// All files below a directory of this crate, in the order of their names.
pub(crate) fn files(directory: &str) -> Vec<PathBuf> {
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(directory)];
    let mut found = vec![];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(path.read_dir().unwrap().map(|entry| entry.unwrap().path()));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

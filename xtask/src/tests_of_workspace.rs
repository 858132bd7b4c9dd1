//! All tests, and one line at the end that a program can read.

use crate::{failure::Failure, host, peers, run};
use std::ffi::OsString;

/// Runs the tests and prints `N passed, N failed` as the last line.
pub(crate) fn all(args: &[OsString]) -> Result<(), Failure> {
    let provided = host::provide(&host::for_tests());
    if let Err(failure) = &provided {
        failure.print();
        eprintln!("xtask: going on without; tests that need what is missing say SKIPPED");
    }
    let mut sum = Sum::default();
    let tests =
        run::cargo(["test", "--workspace", "--features", "examples/network,image-sim/sandbox", "--no-fail-fast"])
            .env("PATH", peers::path())
            .args(args);
    let status = tests.watched(|line| sum.see(line))?;
    if provided.is_err() {
        eprintln!("xtask: tests were skipped, because tools are missing: see the first lines");
    }
    println!("{} passed, {} failed", sum.passed, sum.failed);
    match status.code() {
        Some(0) if sum.failed == 0 => Ok(()),
        // The closing line has said it.
        _ if sum.failed > 0 => Err(Failure::silent(1)),
        _ => {
            Err(Failure::new(format!("cargo test ended with {status}: a test program could not be built, or it died")))
        }
    }
}

/// What the lines `test result: ...` of all test programs add up to.
#[derive(Debug, Default, Eq, PartialEq)]
struct Sum {
    passed: u64,
    failed: u64,
}

impl Sum {
    fn see(&mut self, line: &str) {
        let Some(result) = line.trim().strip_prefix("test result: ") else { return };
        let count = |name: &str| {
            let fields = result.split([';', '.']).map(str::trim);
            fields.filter_map(|field| field.strip_suffix(name)?.trim().parse::<u64>().ok()).sum::<u64>()
        };
        self.passed += count(" passed");
        self.failed += count(" failed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_all_programs_are_added_up() {
        let mut sum = Sum::default();
        for line in [
            "running 3 tests\n",
            "test a ... ok\n",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.42s\n",
            "test result: FAILED. 10 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s\n",
            "it printed 7 passed; 7 failed\n",
        ] {
            sum.see(line);
        }
        assert_eq!(sum, Sum { passed: 13, failed: 2 });
    }
}

//! What became of a program that the script ran.

use super::{frame::from_hex, record::Payload};

/// What became of a program.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Ran {
    /// It ended by itself.
    Exited { status: i32, stdout: Vec<u8>, stderr: Vec<u8> },
    /// The watchdog ended it.
    TimedOut,
}

impl Ran {
    /// Reads `s STATUS PID WATCHDOG`, `e HEX`, `o HEX`, `end`. A stream that has reached the limit may be a part of one.
    pub(super) fn parse(payload: Payload<'_>, limit: usize) -> Result<Self, String> {
        let payload = payload?;
        // No other letter of the protocol is a t: the watchdog writes one before it kills, wherever that comes to be.
        if payload.contains(&b't') {
            return Ok(Self::TimedOut);
        }
        let malformed = || "it was killed, or what watched it was".to_owned();
        let lines: Vec<&[u8]> = payload.split(|byte| *byte == b'\n').collect();
        let [status, stderr, stdout, b"end"] = lines[..] else { return Err(malformed()) };
        let status = std::str::from_utf8(status).ok().and_then(|line| line.strip_prefix("s ")?.split(' ').next());
        let status = status.and_then(|status| status.parse().ok()).ok_or_else(malformed)?;
        let stream = |line: &[u8], name: &[u8]| {
            let digits = line.strip_prefix(name).and_then(|rest| rest.strip_suffix(b"z"));
            let bytes = digits.and_then(from_hex).ok_or_else(malformed)?;
            if bytes.len() > limit { Err(format!("it printed more than {limit} bytes")) } else { Ok(bytes) }
        };
        Ok(Self::Exited { status, stderr: stream(stderr, b"e ")?, stdout: stream(stdout, b"o ")? })
    }

    /// Standard output of a program that must succeed.
    pub(super) fn succeeded(self) -> Result<Vec<u8>, String> {
        match self {
            Self::Exited { status: 0, stdout, .. } => Ok(stdout),
            Self::Exited { status, stderr, .. } => {
                let stderr = String::from_utf8_lossy(&stderr);
                let last = stderr.trim_end().lines().next_back().unwrap_or_default();
                Err(format!("exit code {status}: {last}"))
            }
            Self::TimedOut => Err("it took too long".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_report_is_one() {
        let whole = b"s 3 7 8\ne 6fz\no z\nend";
        let exited = Ran::Exited { status: 3, stdout: vec![], stderr: b"o".to_vec() };
        assert_eq!(Ran::parse(Ok(whole), 1), Ok(exited));
        assert!(Ran::parse(Ok(whole), 0).unwrap_err().contains("more than 0 bytes"));
        for length in 0..whole.len() {
            assert!(Ran::parse(Ok(&whole[..length]), 1).is_err(), "{length}");
            let stopped = [&whole[..length], b"t", &whole[length..]].concat();
            assert_eq!(Ran::parse(Ok(&stopped), 1), Ok(Ran::TimedOut));
        }
        for wrong in ["s 3 7 8\ne 6z\no z\nend", "s 3 7 8\ne 6f\no z\nend", "s x 7 8\ne z\no z\nend", "\nend"] {
            assert!(Ran::parse(Ok(wrong.as_bytes()), 1).is_err(), "{wrong}");
        }
    }
}

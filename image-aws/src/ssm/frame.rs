//! The answers of the machine's scripts. Each says whose it is and has an end, so that nothing cut passes for whole.

use base64::{Engine, engine::general_purpose::STANDARD};
use thiserror::Error as ThisError;

/// How much of standard output the service passes on. See `StandardOutputContent` in
/// <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetCommandInvocation.html>.
const OUTPUT_LIMIT: usize = 24_000;
/// More than the first and the last line of any answer.
const FRAME: usize = 600;
/// Bytes of a payload in one answer; a multiple of three, so that whole pages have no padding.
pub(crate) const PAGE: usize = (OUTPUT_LIMIT - FRAME) / 4 * 3;

/// Why a text is not the answer.
#[derive(Debug, ThisError)]
pub(crate) enum FrameError {
    #[error("it has no line that begins the answer")]
    Absent,
    #[error("its end is missing")]
    Cut,
    #[error("its body is not base64: {0}")]
    Body(base64::DecodeError),
}

/// An answer: one word for its kind, the other words, and a body.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Frame {
    pub(crate) kind: String,
    pub(crate) words: Vec<String>,
    pub(crate) body: Vec<u8>,
}

impl Frame {
    /// Finds the answer to the question of this nonce. What shells print before it, or after it, is not part of it.
    pub(crate) fn find(text: &str, nonce: &str) -> Result<Self, FrameError> {
        let (begin, end) = (format!("golden-image 1 {nonce} "), format!("end {nonce}"));
        let mut lines = text.lines().map(str::trim_end).skip_while(|line| !line.starts_with(&begin));
        let head = lines.next().and_then(|line| line.strip_prefix(&begin)).ok_or(FrameError::Absent)?;
        let (Some(body), Some(last)) = (lines.next(), lines.next()) else { return Err(FrameError::Cut) };
        if last != end {
            return Err(FrameError::Cut);
        }
        let mut words = head.split_ascii_whitespace().map(str::to_owned);
        let kind = words.next().ok_or(FrameError::Absent)?;
        Ok(Self { kind, words: words.collect(), body: STANDARD.decode(body).map_err(FrameError::Body)? })
    }

    /// All words after the kind, as people read them.
    pub(crate) fn text(&self) -> String {
        self.words.join(" ")
    }

    /// One word after the kind.
    pub(crate) fn word(&self, index: usize) -> Option<&str> {
        self.words.get(index).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_found_among_other_lines() {
        let text = "warning\r\ngolden-image 1 n done code 0\r\naGk=\r\nend n\r\nmore\n";
        let frame = Frame::find(text, "n").unwrap();
        assert_eq!((frame.kind.as_str(), frame.text().as_str(), &*frame.body), ("done", "code 0", &b"hi"[..]));
        assert_eq!((frame.word(1), frame.word(2)), (Some("0"), None));
    }

    #[test]
    fn whatever_is_cut_off_an_answer_it_is_no_answer() {
        let whole = "golden-image 1 n done code 0\naGkhaGkh\nend n";
        assert!(Frame::find(whole, "n").is_ok());
        for length in 0..whole.len() {
            assert!(Frame::find(&whole[..length], "n").is_err(), "{length}");
        }
    }

    #[test]
    fn the_answer_of_another_question_is_no_answer() {
        assert!(matches!(Frame::find("golden-image 1 m done\n\nend m\n", "n"), Err(FrameError::Absent)));
        assert!(matches!(Frame::find("golden-image 1 n done\n\nend m\n", "n"), Err(FrameError::Cut)));
        assert!(matches!(Frame::find("golden-image 1 n done\n%\nend n\n", "n"), Err(FrameError::Body(_))));
    }

    #[test]
    fn a_page_and_its_frame_fit_into_what_the_service_passes_on() {
        const { assert!(PAGE.is_multiple_of(3)) };
        // A uuid twice, the longest words, and ten numbers of twenty digits.
        const { assert!(2 * 36 + 40 + 10 * 21 + 64 < FRAME && PAGE / 3 * 4 + FRAME <= OUTPUT_LIMIT) };
    }
}

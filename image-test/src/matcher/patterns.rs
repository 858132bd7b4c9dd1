//! Patterns over lines: `text`, `!text`, `/regexp/` and `!/regexp/`.

use super::{Match, MatchError, Matcher, translate};
use crate::{Compat, Value};

/// The longest line goss reads, its end included.
const MAX_LINE: usize = 1024 * 1024;

/// What was found of a list of patterns.
pub(super) struct Search<'p> {
    patterns: &'p [String],
    /// The patterns that hold, in the order in which that turned out.
    holding: Vec<&'p str>,
}

impl Search<'_> {
    pub(super) fn passed(&self) -> bool {
        self.holding.len() == self.patterns.len()
    }

    pub(super) fn missing(&self) -> Vec<Value> {
        let missing = self.patterns.iter().filter(|pattern| !self.holding.contains(&pattern.as_str()));
        missing.map(|pattern| pattern.as_str().into()).collect()
    }

    pub(super) fn found(&self) -> Vec<Value> {
        self.holding.iter().map(|pattern| (*pattern).into()).collect()
    }
}

/// A bare list tried on a text.
pub(super) fn over_text(items: &[Matcher], text: &str, matcher: &Matcher, compat: Compat) -> Result<Match, MatchError> {
    let patterns = items
        .iter()
        .map(|item| match item {
            Matcher::Is(Value::String(pattern)) => Ok(pattern.clone()),
            Matcher::Invalid(message) => Err(MatchError::Invalid(message.clone())),
            other => Err(MatchError::Pattern(other.to_value())),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let search = search(&patterns, text, compat)?;
    let passed = search.passed();
    let mut outcome = Match {
        passed,
        message: if passed { "matches expectation" } else { "to have patterns" }.to_owned(),
        actual: "object: text".into(),
        expected: matcher.to_value(),
        ..Match::default()
    };
    if !passed {
        (outcome.missing, outcome.found) = (search.missing(), search.found());
    }
    Ok(outcome)
}

/// Looks for patterns in the lines of a text.
pub(super) fn search<'p>(patterns: &'p [String], text: &str, compat: Compat) -> Result<Search<'p>, MatchError> {
    let mut wanted = patterns.iter().map(|pattern| Pattern::parse(pattern, compat)).collect::<Result<Vec<_>, _>>()?;
    let mut holding = Vec::new();
    for line in text.split_inclusive('\n') {
        if wanted.is_empty() {
            break;
        }
        if compat == Compat::Goss && line.strip_suffix('\n').map_or(line.len(), |line| line.len() + 1) > max_line(line)
        {
            return Err(MatchError::LineTooLong { limit: MAX_LINE });
        }
        let line = line.strip_suffix('\n').unwrap_or(line);
        let line = line.strip_suffix('\r').unwrap_or(line);
        wanted.retain(|pattern| {
            let matches = pattern.test.matches(line);
            if matches && !pattern.inverse {
                holding.push(pattern.written);
            }
            !matches
        });
    }
    // What should not be found was not, and the empty pattern is found in an empty text too.
    holding.extend(wanted.iter().filter(|pattern| pattern.inverse || pattern.written.is_empty()).map(|p| p.written));
    Ok(Search { patterns, holding })
}

/// A line without an end must leave room for one more byte.
fn max_line(line: &str) -> usize {
    if line.ends_with('\n') { MAX_LINE } else { MAX_LINE - 1 }
}

struct Pattern<'p> {
    written: &'p str,
    inverse: bool,
    test: Test,
}

enum Test {
    Contains(String),
    Regex(regex::Regex),
}

impl Test {
    fn matches(&self, line: &str) -> bool {
        match self {
            Self::Contains(part) => line.contains(part.as_str()),
            Self::Regex(regex) => regex.is_match(line),
        }
    }
}

impl<'p> Pattern<'p> {
    fn parse(written: &'p str, compat: Compat) -> Result<Self, MatchError> {
        let (inverse, rest) = written.strip_prefix('!').map_or((false, written), |rest| (true, rest));
        let test = match regex_source(rest, compat) {
            Some(source) => {
                Test::Regex(translate(&source.ok_or_else(|| MatchError::PatternSlash(written.to_owned()))?)?)
            }
            // Not only the escaping character goes: all of these do.
            None => Test::Contains(written.trim_start_matches(['\\', '/', '!']).to_owned()),
        };
        Ok(Self { written, inverse, test })
    }
}

/// The expression of `/expression/`, in newer goss also `/expression/ims`. `Some(None)` for a lone slash, on which goss
/// 0.4.10 panics.
fn regex_source(pattern: &str, compat: Compat) -> Option<Option<String>> {
    let inside = pattern.strip_prefix('/')?;
    match compat {
        Compat::Goss if inside.is_empty() => Some(None),
        Compat::Goss => inside.strip_suffix('/').map(|source| Some(source.to_owned())),
        Compat::Fixed => match inside.rsplit_once('/') {
            Some((source, "")) => Some(Some(source.to_owned())),
            Some((source, flags)) if flags.bytes().all(|b| b"ims".contains(&b)) => {
                Some(Some(format!("(?{flags}){source}")))
            }
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matcher::transform;

    fn holds(pattern: &str, text: &str, compat: Compat) -> Result<bool, MatchError> {
        search(&[pattern.to_owned()], text, compat).map(|search| search.passed())
    }

    #[test]
    fn flags_are_newer_than_goss_0_4_10() {
        assert_eq!(holds("/FOO/i", "foo", Compat::Fixed), Ok(true));
        assert_eq!(holds("!/FOO/i", "foo", Compat::Fixed), Ok(false));
        assert_eq!(holds("/FOO/i", "foo", Compat::Goss), Ok(false));
        assert_eq!(holds("/FOO/i", "FOO/i", Compat::Goss), Ok(true));
        assert_eq!(holds("/etc/passwd", "etc/passwd", Compat::Fixed), Ok(true));
        assert_eq!(holds("/", "a/b", Compat::Fixed), Ok(true));
    }

    #[test]
    fn only_goss_gives_up_on_long_lines() {
        for (length, end, fits) in
            [(MAX_LINE - 1, "", true), (MAX_LINE, "", false), (MAX_LINE - 1, "\nfoo", true), (MAX_LINE, "\nfoo", false)]
        {
            let text = format!("{}{end}", "x".repeat(length));
            assert_eq!(holds("foo", &text, Compat::Goss).is_ok(), fits, "{length} {end:?}");
            assert_eq!(holds("foo", &text, Compat::Fixed), Ok(!end.is_empty()));
        }
    }

    #[test]
    fn a_line_may_be_any_bytes() {
        let text = transform::decode(b"\xff\xfe foo\r\n");
        assert_eq!(holds("/^.. foo$/", &text, Compat::Fixed), Ok(true));
    }
}

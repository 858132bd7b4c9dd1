//! Regular expressions in Go's dialect (RE2), matched by the `regex` crate.
//!
//! The two engines agree on what they compute, but not on the syntax. A pattern is therefore read by Go's rules and
//! written anew, every flag and class spelled out. Go matches each byte that is not UTF-8 as U+FFFD; the caller has to
//! replace them so before. What remains different is refused: a group whose name begins with a digit or is that of
//! another group, groups nested deeper than [`MAX_DEPTH`], and what exceeds [`SIZE_LIMIT`].

mod class;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

/// Groups within groups. Go allows 1000 levels of any operator, which could overflow the stack of a small thread here.
const MAX_DEPTH: usize = 100;
/// The highest count of a repetition, and of all counts of nested repetitions multiplied, as in Go.
const MAX_REPEAT: u32 = 1000;
/// Bytes a compiled expression may take: enough for `.{1000}`, or a Unicode class such as `\pL` some 300 times.
const SIZE_LIMIT: usize = 32 << 20;

/// A regular expression that Go would refuse as well, or that is too large.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("regular expression `{pattern}`: {problem}")]
#[non_exhaustive]
pub struct RegexError {
    /// The expression.
    pub pattern: String,
    /// What is wrong with it.
    pub problem: RegexProblem,
}

/// What is wrong with a regular expression.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RegexProblem {
    /// A class that is not one, or a range that runs backwards.
    #[error("invalid character class or range `{0}`")]
    Class(String),
    /// An escape the dialect does not have.
    #[error("invalid escape `{0}`")]
    Escape(String),
    /// A group the dialect does not have, such as a lookaround.
    #[error("unsupported group `{0}`: lookarounds, comments and atomic groups are not part of this dialect")]
    Group(String),
    /// A name of a group that is taken, or is no name.
    #[error("invalid or repeated name of a group `{0}`")]
    GroupName(String),
    /// `[` without `]`.
    #[error("missing `]`")]
    MissingBracket,
    /// `(` without `)`.
    #[error("missing `)`")]
    MissingParenthesis,
    /// A repetition of a repetition.
    #[error("`{0}` repeats a repetition")]
    NestedRepeat(String),
    /// A repetition of nothing.
    #[error("`{0}` repeats nothing")]
    RepeatOfNothing(String),
    /// A repetition that is too often.
    #[error("`{0}` repeats more than {MAX_REPEAT} times, or less often than it begins with")]
    RepeatCount(String),
    /// Groups nested too deeply.
    #[error("more than {MAX_DEPTH} groups within each other")]
    TooDeep,
    /// An expression that would take too much memory.
    #[error("too large")]
    TooLarge,
    /// A backslash at the end.
    #[error("ends in a backslash")]
    TrailingBackslash,
    /// `)` without `(`.
    #[error("unexpected `)`")]
    UnexpectedParenthesis,
}

/// Compiles an expression of Go's dialect.
///
/// # Errors
/// What Go refuses, and what is too large.
pub(crate) fn translate(go: &str) -> Result<regex::Regex, RegexError> {
    translate_within(go, SIZE_LIMIT)
}

/// [`translate`] with another limit of bytes that the compiled expression may take.
pub(crate) fn translate_within(go: &str, size_limit: usize) -> Result<regex::Regex, RegexError> {
    let error = |problem| RegexError { pattern: go.to_owned(), problem };
    let translated = Translator::new(go).run().map_err(error)?;
    regex::RegexBuilder::new(&translated)
        .size_limit(size_limit)
        .dfa_size_limit(size_limit)
        .nest_limit(10 * MAX_DEPTH as u32)
        .build()
        .map_err(|_| error(RegexProblem::TooLarge))
}

/// What `(?imsU)` sets.
#[derive(Clone, Copy, Default)]
struct Flags {
    fold: bool,
    lines: bool,
    dot_all: bool,
    lazy: bool,
}

/// A part that a repetition after it applies to.
struct Item {
    text: String,
    /// Its nested counts, multiplied.
    repeats: u32,
}

/// The alternatives of a group, up to where the translator is.
#[derive(Default)]
struct Alternatives {
    done: String,
    repeats: u32,
    items: Vec<Item>,
}

impl Alternatives {
    fn end_one(&mut self, separator: &str) {
        for item in self.items.drain(..) {
            self.done.push_str(&item.text);
            self.repeats = self.repeats.max(item.repeats);
        }
        self.done.push_str(separator);
    }
}

/// An open group: what stands before it, and what holds again behind it.
struct Group {
    opening: String,
    before: Alternatives,
    flags: Flags,
}

struct Translator<'a> {
    rest: &'a str,
    flags: Flags,
    groups: Vec<Group>,
    names: BTreeSet<&'a str>,
    current: Alternatives,
    /// The operator that came just before.
    last_repeat: Option<&'a str>,
}

impl<'a> Translator<'a> {
    fn new(rest: &'a str) -> Self {
        Self {
            rest,
            flags: Flags::default(),
            groups: Vec::new(),
            names: BTreeSet::new(),
            current: Alternatives::default(),
            last_repeat: None,
        }
    }

    fn run(mut self) -> Result<String, RegexProblem> {
        while let Some(next) = self.rest.chars().next() {
            let before = self.rest;
            let repeated = self.last_repeat.take();
            match next {
                '*' | '+' | '?' => {
                    self.skip(1);
                    self.repeat(before, repeated, next.to_string(), 1)?;
                }
                '{' => match count(self.rest) {
                    Some(Count { min, max, len }) => {
                        self.skip(len);
                        let text = before.get(..len).unwrap_or_default();
                        if min > MAX_REPEAT || max.is_some_and(|max| max > MAX_REPEAT || max < min) {
                            return Err(RegexProblem::RepeatCount(text.to_owned()));
                        }
                        // `{n,}` counts as n, and `{0}` makes what it repeats vanish.
                        let times = max.unwrap_or_else(|| min.max(1));
                        let text = max.map_or_else(|| format!("{{{min},}}"), |max| format!("{{{min},{max}}}"));
                        self.repeat(before, repeated, text, times)?;
                    }
                    None => self.literal('{'),
                },
                '(' => self.open()?,
                ')' => {
                    self.skip(1);
                    self.close()?;
                }
                '|' => {
                    self.skip(1);
                    self.current.end_one("|");
                }
                '^' => self.push(1, if self.flags.lines { "(?m:^)" } else { r"\A" }),
                '$' => self.push(1, if self.flags.lines { "(?m:$)" } else { r"\z" }),
                '.' => self.push(1, if self.flags.dot_all { "(?s:.)" } else { r"[^\n]" }),
                '[' => {
                    let (class, rest) = class::bracketed(self.rest)?;
                    self.rest = rest;
                    self.item(self.folded(class));
                }
                '\\' => self.escape()?,
                _ => self.literal(next),
            }
        }
        if !self.groups.is_empty() {
            return Err(RegexProblem::MissingParenthesis);
        }
        self.current.end_one("");
        Ok(self.current.done)
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    fn item(&mut self, text: String) {
        self.current.items.push(Item { text, repeats: 1 });
    }

    fn push(&mut self, bytes: usize, text: &str) {
        self.skip(bytes);
        self.item(text.to_owned());
    }

    fn folded(&self, text: String) -> String {
        if self.flags.fold { format!("(?i:{text})") } else { text }
    }

    fn literal(&mut self, c: char) {
        self.skip(c.len_utf8());
        self.item_of(c);
    }

    fn item_of(&mut self, c: char) {
        self.item(self.folded(regex::escape(c.encode_utf8(&mut [0; 4]))));
    }

    fn repeat(
        &mut self,
        before: &'a str,
        repeated: Option<&'a str>,
        operator: String,
        times: u32,
    ) -> Result<(), RegexProblem> {
        let Some(item) = self.current.items.last_mut() else {
            return Err(RegexProblem::RepeatOfNothing(operator));
        };
        let mut lazy = self.flags.lazy;
        if let Some(rest) = self.rest.strip_prefix('?') {
            self.rest = rest;
            lazy = !lazy;
        }
        let written = |from: &str, rest: &str| from.get(..from.len() - rest.len()).unwrap_or_default().to_owned();
        if let Some(from) = repeated {
            return Err(RegexProblem::NestedRepeat(written(from, self.rest)));
        }
        item.repeats = item.repeats.saturating_mul(times);
        if times > 1 && item.repeats > MAX_REPEAT {
            return Err(RegexProblem::RepeatCount(written(before, self.rest)));
        }
        item.text.push_str(&operator);
        if lazy {
            item.text.push('?');
        }
        self.last_repeat = Some(before);
        Ok(())
    }

    fn open(&mut self) -> Result<(), RegexProblem> {
        let opening = match self.rest.strip_prefix("(?") {
            None => {
                self.skip(1);
                "(".to_owned()
            }
            Some(inside) => match inside.strip_prefix("P<").or_else(|| inside.strip_prefix('<')) {
                Some(named) => {
                    let (name, rest) = named
                        .split_once('>')
                        .filter(|(name, _)| is_name(name))
                        .ok_or_else(|| RegexProblem::GroupName(self.rest.chars().take(20).collect()))?;
                    if !self.names.insert(name) {
                        return Err(RegexProblem::GroupName(name.to_owned()));
                    }
                    self.rest = rest;
                    format!("(?P<{name}>")
                }
                None => return self.open_flags(inside),
            },
        };
        self.begin(opening, self.flags)
    }

    /// `(?flags)` sets flags up to the end of the group around it, `(?flags:` opens a group of its own.
    fn open_flags(&mut self, inside: &'a str) -> Result<(), RegexProblem> {
        let mut flags = self.flags;
        let (mut value, mut seen) = (true, false);
        for (at, c) in inside.char_indices() {
            match c {
                'i' => flags.fold = value,
                'm' => flags.lines = value,
                's' => flags.dot_all = value,
                'U' => flags.lazy = value,
                '-' if value => {
                    (value, seen) = (false, false);
                    continue;
                }
                ':' | ')' if value || seen => {
                    self.rest = inside.get(at + 1..).unwrap_or_default();
                    if c == ':' {
                        return self.begin("(?:".to_owned(), flags);
                    }
                    self.flags = flags;
                    return Ok(());
                }
                _ => break,
            }
            seen = true;
        }
        Err(RegexProblem::Group(self.rest.chars().take(4).collect()))
    }

    fn begin(&mut self, opening: String, flags: Flags) -> Result<(), RegexProblem> {
        if self.groups.len() == MAX_DEPTH {
            return Err(RegexProblem::TooDeep);
        }
        self.groups.push(Group { opening, before: std::mem::take(&mut self.current), flags: self.flags });
        self.flags = flags;
        Ok(())
    }

    fn close(&mut self) -> Result<(), RegexProblem> {
        let group = self.groups.pop().ok_or(RegexProblem::UnexpectedParenthesis)?;
        self.current.end_one("");
        let inner = std::mem::replace(&mut self.current, group.before);
        self.flags = group.flags;
        let text = format!("{}{})", group.opening, inner.done);
        // At least 1, for a group within a group that repeats.
        self.current.items.push(Item { text, repeats: inner.repeats.max(1) });
        Ok(())
    }

    fn escape(&mut self) -> Result<(), RegexProblem> {
        let after = self.rest.get(1..).unwrap_or_default();
        let text = match after.chars().next() {
            Some('A') => r"\A",
            Some('z') => r"\z",
            Some('b') => r"(?-u:\b)",
            Some('B') => r"(?-u:\B)",
            Some('Q') => {
                let quoted = after.get(1..).unwrap_or_default();
                let (literal, rest) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
                self.rest = rest;
                literal.chars().for_each(|c| self.item_of(c));
                return Ok(());
            }
            _ => {
                if let Some((class, rest)) = class::escaped(self.rest)? {
                    self.rest = rest;
                    self.item(self.folded(class));
                } else {
                    let (code, rest) = class::character(self.rest)?;
                    self.rest = rest;
                    match char::from_u32(code) {
                        Some(c) => self.item_of(c),
                        // A surrogate is valid in Go, and found nowhere.
                        None => self.item(class::NOTHING.to_owned()),
                    }
                }
                return Ok(());
            }
        };
        self.push(2, text);
        Ok(())
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic())
        && name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric())
}

/// `{min}`, `{min,}` or `{min,max}`.
struct Count {
    min: u32,
    max: Option<u32>,
    len: usize,
}

/// Reads a count. Anything else in braces is literal text.
fn count(text: &str) -> Option<Count> {
    let end = text.find('}')?;
    let inside = text.get(1..end)?;
    let number = |digits: &str| {
        let valid = digits.bytes().all(|b| b.is_ascii_digit()) && (digits.len() == 1 || !digits.starts_with('0'));
        // Beyond u32 it is too large in any case.
        (valid && !digits.is_empty()).then(|| digits.parse().unwrap_or(u32::MAX))
    };
    let (min, max) = match inside.split_once(',') {
        None => {
            let exact = number(inside)?;
            (exact, Some(exact))
        }
        Some((min, "")) => (number(min)?, None),
        Some((min, max)) => (number(min)?, Some(number(max)?)),
    };
    Some(Count { min, max, len: end + 1 })
}

//! Patterns for names, one component of a path each.

/// Whose patterns they are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Dialect {
    /// `[^a]` is any character but `a`, as in `filepath.Match`.
    Go,
    /// `[!a]` is too, as in `fnmatch(3)`.
    Posix,
}

/// A pattern with a `[` or `\` that has no end.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a `[` or `\\` in the pattern has no end")]
pub(crate) struct UnfinishedPattern;

/// `*` for any characters, `?` for one, `[a-z]` for one of these, and `\` to take a character as it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Pattern(Vec<Token>);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Token {
    Any,
    Char(char),
    Class { negated: bool, ranges: Vec<(char, char)> },
    Star,
}

impl Pattern {
    /// The pattern that a text is.
    ///
    /// # Errors
    /// A `[` or `\` has no end.
    pub(crate) fn parse(pattern: &str, dialect: Dialect) -> Result<Self, UnfinishedPattern> {
        let mut tokens = vec![];
        let mut chars = pattern.chars().peekable();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                '*' => Token::Star,
                '?' => Token::Any,
                '\\' => Token::Char(chars.next().ok_or(UnfinishedPattern)?),
                '[' => {
                    let negated = chars.next_if(|c| *c == '^' || *c == '!' && dialect == Dialect::Posix).is_some();
                    let mut ranges = vec![];
                    while ranges.is_empty() || chars.peek() != Some(&']') {
                        let low = class_char(&mut chars)?;
                        let high = match chars.next_if_eq(&'-') {
                            Some(_) => class_char(&mut chars)?,
                            None => low,
                        };
                        ranges.push((low, high));
                    }
                    chars.next();
                    Token::Class { negated, ranges }
                }
                c => Token::Char(c),
            });
        }
        Ok(Self(tokens))
    }

    /// The only name it matches.
    pub(crate) fn literal(&self) -> Option<String> {
        self.0.iter().map(|token| if let Token::Char(c) = token { Some(*c) } else { None }).collect()
    }

    /// Whether a whole name matches.
    pub(crate) fn matches(&self, name: &str) -> bool {
        // The set of positions in the pattern that a prefix of the name can lead to.
        let skip_stars = |mut at: usize, reached: &mut Vec<bool>| loop {
            if let Some(slot) = reached.get_mut(at) {
                *slot = true;
            }
            match self.0.get(at) {
                Some(Token::Star) => at += 1,
                _ => break,
            }
        };
        let mut reached = vec![false; self.0.len() + 1];
        skip_stars(0, &mut reached);
        for c in name.chars() {
            let mut next = vec![false; self.0.len() + 1];
            for (at, token) in self.0.iter().enumerate().filter(|(at, _)| reached.get(*at) == Some(&true)) {
                match token {
                    Token::Star => skip_stars(at, &mut next),
                    token if token.takes(c) => skip_stars(at + 1, &mut next),
                    _ => {}
                }
            }
            reached = next;
        }
        reached.last() == Some(&true)
    }
}

impl Token {
    fn takes(&self, c: char) -> bool {
        match self {
            Self::Any | Self::Star => true,
            Self::Char(own) => *own == c,
            Self::Class { negated, ranges } => ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated,
        }
    }
}

fn class_char(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<char, UnfinishedPattern> {
    match chars.next() {
        None | Some('-' | ']') => Err(UnfinishedPattern),
        Some('\\') => chars.next().ok_or(UnfinishedPattern),
        Some(c) => Ok(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_go() {
        for (pattern, name, expected) in [
            ("*", "abc", true),
            ("*", "", true),
            ("*c", "abc", true),
            ("a*c*e", "abcde", true),
            ("a*c*e", "abcd", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("[!a-c]x", "!x", true),
            ("[]a]", "]", false),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("*.y?ml", ".yaml", true),
            ("**", "ab", true),
            ("a[\\]]", "a]", true),
        ] {
            match Pattern::parse(pattern, Dialect::Go) {
                Ok(found) => assert_eq!(found.matches(name), expected, "{pattern} {name}"),
                Err(_) => assert!(!expected, "{pattern}"),
            }
        }
        for pattern in ["[", "[a", "[a-", "[]", "a\\", "[-a]"] {
            assert!(Pattern::parse(pattern, Dialect::Go).is_err(), "{pattern}");
        }
        assert!(Pattern::parse("[!a]", Dialect::Posix).unwrap().matches("!"));
        assert!(!Pattern::parse("[!a]", Dialect::Posix).unwrap().matches("a"));
    }
}

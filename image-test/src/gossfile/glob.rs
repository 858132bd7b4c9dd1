//! Paths by pattern, as Go's `filepath.Glob` finds them: `*`, `?`, `[a-z]`, `[^a-z]` and `\` within one component.

use std::path::{Component, Path, PathBuf};

/// Why a pattern finds nothing.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum GlobError {
    /// A `[` or `\` without its end.
    Syntax,
    /// More paths than this.
    TooMany(usize),
}

/// What exists and matches a pattern, sorted by component. The base is not part of the pattern.
pub(super) fn glob(base: &Path, pattern: &str, most: usize) -> Result<Vec<PathBuf>, GlobError> {
    let mut found = vec![if pattern.starts_with('/') { PathBuf::from("/") } else { base.to_path_buf() }];
    for component in pattern.split('/').filter(|component| !matches!(*component, "" | ".")) {
        let component = Chars::parse(component)?;
        let mut next = vec![];
        for path in found {
            match component.literal() {
                Some(name) => next.extend(Some(join(&path, &name)).filter(|path| path.symlink_metadata().is_ok())),
                None => next.extend(entries(&path, &component)),
            }
            if next.len() > most {
                return Err(GlobError::TooMany(most));
            }
        }
        found = next;
    }
    Ok(found)
}

fn join(base: &Path, name: &str) -> PathBuf {
    match base.components().eq([Component::CurDir]) {
        true => PathBuf::from(name),
        false => base.join(name),
    }
}

/// What cannot be listed has no matches, as in Go.
fn entries(directory: &Path, pattern: &Chars) -> Vec<PathBuf> {
    let listed = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let Ok(entries) = listed.read_dir() else { return vec![] };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| pattern.matches(name))
        .collect();
    names.sort_unstable();
    names.iter().map(|name| join(directory, name)).collect()
}

/// A pattern for one component.
struct Chars(Vec<Token>);

enum Token {
    Any,
    Char(char),
    Class { negated: bool, ranges: Vec<(char, char)> },
    Star,
}

impl Chars {
    fn parse(pattern: &str) -> Result<Self, GlobError> {
        let mut tokens = vec![];
        let mut chars = pattern.chars().peekable();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                '*' => Token::Star,
                '?' => Token::Any,
                '\\' => Token::Char(chars.next().ok_or(GlobError::Syntax)?),
                '[' => {
                    let negated = chars.next_if_eq(&'^').is_some();
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
    fn literal(&self) -> Option<String> {
        self.0.iter().map(|token| if let Token::Char(c) = token { Some(*c) } else { None }).collect()
    }

    fn matches(&self, name: &str) -> bool {
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

fn class_char(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<char, GlobError> {
    match chars.next() {
        None | Some('-' | ']') => Err(GlobError::Syntax),
        Some('\\') => chars.next().ok_or(GlobError::Syntax),
        Some(c) => Ok(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_match_as_in_go() {
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
            match Chars::parse(pattern) {
                Ok(chars) => assert_eq!(chars.matches(name), expected, "{pattern} {name}"),
                Err(_) => assert!(!expected, "{pattern}"),
            }
        }
        for pattern in ["[", "[a", "[a-", "[]", "a\\", "[-a]"] {
            assert!(Chars::parse(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn finds_sorted_and_bounded() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["b/x.yaml", "a/y.yaml", "a/x.yaml", "a/z.txt"] {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let names = |pattern: &str| {
            let found = glob(dir.path(), pattern, 10).unwrap();
            found.iter().map(|p| p.strip_prefix(dir.path()).unwrap().to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names("*/*.yaml"), ["a/x.yaml", "a/y.yaml", "b/x.yaml"]);
        assert_eq!(names("./a/z.txt"), ["a/z.txt"]);
        assert_eq!(names("c/*"), [""; 0]);
        assert_eq!(glob(dir.path(), "*/*", 2), Err(GlobError::TooMany(2)));
    }
}

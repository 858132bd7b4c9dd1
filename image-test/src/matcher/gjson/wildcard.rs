//! `*` for any characters, `?` for one, `\` before a literal one.

/// Whether a pattern matches a whole text, in time of their lengths multiplied.
pub(super) fn matches(text: &str, pattern: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let pattern: Vec<char> = pattern.chars().collect();
    let (mut t, mut p) = (0, 0);
    let mut retry = None;
    while t < text.len() || p < pattern.len() {
        let step = match pattern.get(p) {
            Some('*') => {
                retry = Some((p, t));
                p += 1;
                continue;
            }
            Some('?') => (t < text.len()).then_some(1),
            Some('\\') => (pattern.get(p + 1).is_some() && pattern.get(p + 1) == text.get(t)).then_some(2),
            literal => (literal.is_some() && literal == text.get(t)).then_some(1),
        };
        match (step, retry) {
            (Some(step), _) => {
                p += step;
                t += 1;
            }
            // The last star takes one character more.
            (None, Some((star, from))) if from < text.len() => {
                retry = Some((star, from + 1));
                (p, t) = (star + 1, from + 1);
            }
            (None, _) => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_and_question_marks() {
        for (text, pattern, expected) in [
            ("", "", true),
            ("", "*", true),
            ("a", "", false),
            ("abc", "a*c", true),
            ("abcbc", "a*bc", true),
            ("abcb", "a*bc", false),
            ("é", "?", true),
            ("a*b", r"a\*b", true),
            ("axb", r"a\*b", false),
            ("a", "a?", false),
            ("ab", "**b**", true),
        ] {
            assert_eq!(matches(text, pattern), expected, "{text} {pattern}");
        }
        assert!(!matches(&"a".repeat(20_000), &"a*".repeat(200).replace("a*a*", "a*a?b")));
    }
}

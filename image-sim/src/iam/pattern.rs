//! Wildcards of policies: `*` stands for any characters, `?` for one.

/// Whether a text has the form of a pattern.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where the last `*` stands, and how much of the text it has taken so far.
    let mut star: Option<(usize, usize)> = None;
    while let Some(character) = text.get(t) {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(wanted) if *wanted == '?' || wanted == character => (p, t) = (p + 1, t + 1),
            _ => {
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                (p, t) = (at + 1, taken + 1);
            }
        }
    }
    pattern.iter().skip(p).all(|rest| *rest == '*')
}

/// Whether a resource is one that a pattern names. The six parts of an ARN are matched one by one, and parts that the
/// pattern lacks are any.
pub(super) fn arn_matches(pattern: &str, arn: &str) -> bool {
    if pattern == "*" {
        return true;
    }
    let mut wanted = pattern.splitn(6, ':');
    arn.splitn(6, ':').all(|part| matches(wanted.next().unwrap_or("*"), part)) && wanted.next().is_none()
}

/// Whether an action is one that a pattern names, in any case.
pub(super) fn action_matches(pattern: &str, action: &str) -> bool {
    matches(&pattern.to_ascii_lowercase(), &action.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abcd", false),
            ("*b*", "abc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("**a", "bba", true),
            ("*ab*ab", "abxabab", true),
            ("ä?", "äö", true),
            ("a*", "ba", false),
            ("A", "a", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn arns_are_matched_part_by_part() {
        let arn = "arn:aws:ec2:us-east-1:111122223333:instance/i-1";
        for (pattern, expected) in [
            ("*", true),
            ("arn:aws:ec2", true),
            ("arn:aws:ec2:*:*:instance/*", true),
            ("arn:aws:ec2:us-*-1:111122223333:*/*", true),
            ("arn:aws:ec2:us-east-1::instance/*", false),
            ("arn:*:instance/*", false),
            ("arn:aws:ec2:*:*:Instance/*", false),
            ("arn:aws:ssm:*:*:*", false),
        ] {
            assert_eq!(arn_matches(pattern, arn), expected, "{pattern}");
        }
        assert!(!arn_matches("arn:aws:ec2:*:*:instance/*", "*"), "a call without resources is on none of a type");
        assert!(arn_matches("arn:aws:ssm:*:*:parameter/a:b", "arn:aws:ssm:r:1:parameter/a:b"));
        assert!(action_matches("EC2:describe*", "ec2:DescribeImages"));
        assert!(!action_matches("ec2:Describe", "ec2:DescribeImages"));
    }
}

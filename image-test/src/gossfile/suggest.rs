//! "Did you mean".

/// The candidate that a word is most likely a misspelling of.
pub(super) fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let normalized = word.to_lowercase().replace('_', "-");
    let allowed = 1 + normalized.chars().count() / 4;
    candidates
        .into_iter()
        .map(|candidate| (distance(&normalized, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours between two words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let (mut before, mut row): (Vec<usize>, Vec<usize>) = (vec![], (0..=b.len()).collect());
    let mut last = None;
    for (i, x) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut cost = (row[j] + usize::from(x != *y)).min(row[j + 1] + 1).min(next[j] + 1);
            if j > 0 && last == Some(*y) && b[j - 1] == x {
                cost = cost.min(before[j - 1] + 1);
            }
            next.push(cost);
        }
        before = std::mem::replace(&mut row, next);
        last = Some(x);
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspellings_are_recognised() {
        let words = ["file", "files", "mode", "linked-to", "owner", "group", "gid", "uid"];
        for (word, expected) in [
            ("fil", Some("file")),
            ("fiel", Some("file")),
            ("FILE", Some("file")),
            ("linked_to", Some("linked-to")),
            ("linkedto", Some("linked-to")),
            ("onwer", Some("owner")),
            ("kubernetes_version", None),
            ("", None),
        ] {
            assert_eq!(closest(word, words), expected, "{word}");
        }
    }
}

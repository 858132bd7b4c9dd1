//! Maximum matching of expected elements with actual ones: each expected element needs an actual one of its own.

use std::collections::VecDeque;

/// Which actual element each expected one gets, and the other way round.
#[derive(Debug, Default)]
pub(super) struct Assignment {
    /// By expected element.
    pub(super) expected: Vec<Option<usize>>,
    /// By actual element.
    pub(super) actual: Vec<Option<usize>>,
}

impl Assignment {
    /// Whether every expected element has got one.
    pub(super) fn has_all_expected(&self) -> bool {
        self.expected.iter().all(Option::is_some)
    }

    /// Whether every actual element is taken.
    pub(super) fn has_all_actual(&self) -> bool {
        self.actual.iter().all(Option::is_some)
    }
}

/// Finds as large an assignment as there is, by Hopcroft and Karp's algorithm: O(edges · √elements).
///
/// `fits[e]` are the actual elements that expected element `e` could get.
pub(super) fn assign(fits: &[Vec<usize>], actual: usize) -> Assignment {
    let mut found = Assignment { expected: vec![None; fits.len()], actual: vec![None; actual] };
    while let Some(layers) = layers(fits, &found) {
        let mut next = vec![0; fits.len()];
        for start in 0..fits.len() {
            if found.expected[start].is_none() {
                augment(start, fits, &layers, &mut next, &mut found);
            }
        }
    }
    found
}

/// Distance of each expected element from a free one, along alternating paths; `None` when no path ends at a free
/// actual element.
fn layers(fits: &[Vec<usize>], found: &Assignment) -> Option<Vec<usize>> {
    let mut distance = vec![usize::MAX; fits.len()];
    let mut queue: VecDeque<_> = (0..fits.len()).filter(|e| found.expected[*e].is_none()).collect();
    for free in &queue {
        distance[*free] = 0;
    }
    let mut reaches_free = false;
    while let Some(e) = queue.pop_front() {
        for a in &fits[e] {
            match found.actual[*a] {
                None => reaches_free = true,
                Some(owner) if distance[owner] == usize::MAX => {
                    distance[owner] = distance[e] + 1;
                    queue.push_back(owner);
                }
                Some(_) => {}
            }
        }
    }
    reaches_free.then_some(distance)
}

/// Searches an augmenting path along the layers, depth first, without recursion.
fn augment(start: usize, fits: &[Vec<usize>], layers: &[usize], next: &mut [usize], found: &mut Assignment) {
    let mut path = vec![start];
    while let Some(&e) = path.last() {
        let Some(&a) = fits[e].get(next[e]) else {
            // A dead end, for the rest of this phase.
            path.pop();
            if let Some(&before) = path.last() {
                next[before] += 1;
            }
            continue;
        };
        match found.actual[a] {
            None => {
                for e in path {
                    let a = fits[e][next[e]];
                    found.expected[e] = Some(a);
                    found.actual[a] = Some(e);
                }
                return;
            }
            Some(owner) if layers[owner] != usize::MAX && layers[owner] == layers[e] + 1 => path.push(owner),
            Some(_) => next[e] += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The size of the largest assignment, by trying all.
    fn largest(fits: &[Vec<usize>], taken: &mut Vec<usize>) -> usize {
        let Some((first, rest)) = fits.split_first() else { return 0 };
        let mut best = largest(rest, taken);
        for a in first {
            if !taken.contains(a) {
                taken.push(*a);
                best = best.max(1 + largest(rest, taken));
                taken.pop();
            }
        }
        best
    }

    proptest! {
        #[test]
        fn is_as_large_as_can_be(fits in prop::collection::vec(prop::collection::vec(0..6_usize, 0..5), 0..6)) {
            let found = assign(&fits, 6);
            let size = found.expected.iter().flatten().count();
            prop_assert_eq!(size, largest(&fits, &mut Vec::new()));
            for (e, a) in found.expected.iter().enumerate() {
                if let Some(a) = a {
                    prop_assert!(fits[e].contains(a));
                    prop_assert_eq!(found.actual[*a], Some(e));
                }
            }
            prop_assert_eq!(size, found.actual.iter().flatten().count());
        }
    }

    #[test]
    fn a_long_chain_is_assigned_without_recursion() {
        let count = 20_000;
        let fits: Vec<_> = (0..count).map(|e| if e == 0 { vec![0] } else { vec![e - 1, e] }).collect();
        assert!(assign(&fits, count).has_all_expected());
    }
}

//! Free space while a file system is filled.

use std::collections::BTreeMap;

use super::geometry::Geometry;

/// Neighbouring blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) start: u64,
    pub(super) blocks: u64,
}

/// The blocks that nothing lies in, lowest first.
#[derive(Debug)]
pub(super) struct FreeSpace {
    /// Start and length of each run.
    runs: BTreeMap<u64, u64>,
    blocks: u64,
}

impl FreeSpace {
    /// All blocks but those of the fixed metadata.
    pub(super) fn new(geometry: &Geometry) -> Self {
        let mut space = Self { runs: BTreeMap::new(), blocks: 0 };
        for group in 0..geometry.groups {
            let fixed = geometry.fixed_blocks(group);
            let start = geometry.group_start(group) + fixed;
            space.give(Run { start, blocks: geometry.group_blocks(group) - fixed });
        }
        space
    }

    /// Takes the lowest `count` free blocks, in as few runs as they form; `None` if there are not so many.
    pub(super) fn take(&mut self, count: u64) -> Option<Vec<Run>> {
        if count > self.blocks {
            return None;
        }
        self.blocks -= count;
        let mut left = count;
        let mut taken = Vec::new();
        while left > 0 {
            let (start, blocks) = self.runs.pop_first()?;
            let used = blocks.min(left);
            if used < blocks {
                self.runs.insert(start + used, blocks - used);
            }
            taken.push(Run { start, blocks: used });
            left -= used;
        }
        Some(taken)
    }

    /// Gives blocks back.
    pub(super) fn give(&mut self, run: Run) {
        if run.blocks == 0 {
            return;
        }
        self.blocks += run.blocks;
        let Run { mut start, mut blocks } = run;
        if let Some((&before, &length)) = self.runs.range(..start).next_back()
            && before + length == start
        {
            start = before;
            blocks += length;
        }
        if let Some(length) = self.runs.remove(&(run.start + run.blocks)) {
            blocks += length;
        }
        self.runs.insert(start, blocks);
    }

    /// The number of free blocks.
    pub(super) fn blocks(&self) -> u64 {
        self.blocks
    }

    /// The free runs, lowest first.
    pub(super) fn runs(&self) -> impl Iterator<Item = Run> + '_ {
        self.runs.iter().map(|(&start, &blocks)| Run { start, blocks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_that_are_given_back_merge_and_are_taken_first() {
        let mut space = FreeSpace { runs: BTreeMap::from([(10, 5), (20, 5)]), blocks: 10 };
        space.give(Run { start: 15, blocks: 5 });
        assert_eq!(space.runs().collect::<Vec<_>>(), [Run { start: 10, blocks: 15 }]);
        assert_eq!(space.take(12).unwrap(), [Run { start: 10, blocks: 12 }]);
        assert_eq!(space.take(4), None);
        assert_eq!(space.blocks(), 3);
    }
}

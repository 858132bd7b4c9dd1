//! The open resources of a run: in order of creation, and by token.

use super::Resource;
use crate::Timestamp;
use std::collections::{BTreeMap, HashMap};

/// A resource that is open, and since when its absence proves something.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) resource: Resource,
    pub(crate) settles_at: Timestamp,
}

/// Finding and removing one of many costs no search: a run may have ten thousand open.
#[derive(Debug, Default)]
pub(crate) struct OpenSet {
    by_order: BTreeMap<u64, Open>,
    order_of: HashMap<String, u64>,
    next: u64,
}

impl OpenSet {
    /// Adds the newest one. A token that is open already keeps its place.
    pub(super) fn push(&mut self, open: Open) {
        let order = *self.order_of.entry(open.resource.token.clone()).or_insert(self.next);
        self.next += 1;
        self.by_order.insert(order, open);
    }
    pub(crate) fn get(&self, token: &str) -> Option<&Open> {
        self.by_order.get(self.order_of.get(token)?)
    }
    pub(super) fn get_mut(&mut self, token: &str) -> Option<&mut Open> {
        self.by_order.get_mut(self.order_of.get(token)?)
    }
    pub(super) fn remove(&mut self, token: &str) -> Option<Open> {
        self.by_order.remove(&self.order_of.remove(token)?)
    }
    /// Oldest first.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Open> {
        self.by_order.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, Scope};
    use std::time::Duration;

    fn open(token: &str, id: &str) -> Open {
        let kind = Kind::new("k", Duration::ZERO, Duration::ZERO);
        let resource = Resource::found("o", Scope::new("s"), kind, "l", token, id);
        Open { resource, settles_at: Timestamp::default() }
    }

    #[test]
    fn order_is_that_of_creation_whatever_is_removed_or_repeated() {
        let mut set = OpenSet::default();
        ["a", "b", "c"].into_iter().for_each(|token| set.push(open(token, "1")));
        assert!(set.remove("b").is_some() && set.remove("b").is_none());
        set.push(open("d", "1"));
        set.push(open("a", "2"));
        set.push(open("b", "2"));
        let ids: Vec<(&str, &str)> = set.iter().map(|o| (&*o.resource.token, o.resource.name())).collect();
        assert_eq!(ids, [("a", "2"), ("c", "1"), ("d", "1"), ("b", "2")]);
        assert!(set.get("c").is_some() && set.get("x").is_none());
    }
}

//! `sysctl.d(5)`.

use super::entries;
use crate::wildcard::{Dialect, Pattern};
use std::collections::{HashMap, HashSet};

/// The path of a kernel parameter below `/proc/sys`, for a dotted name. A dot that is part of a name cannot be told.
pub(crate) fn sysctl_path(name: &str) -> String {
    name.replace('.', "/")
}

/// What configuration files set, added in their order of precedence, lowest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct SysctlSettings {
    /// Values by path below `/proc/sys`.
    exact: HashMap<String, String>,
    /// Values by pattern of such paths, by component, in order.
    patterns: Vec<(Vec<Pattern>, String)>,
    /// Paths that no pattern sets.
    excluded: HashSet<String>,
}

impl SysctlSettings {
    /// Adds a file. What it sets counts more than what was there.
    pub(crate) fn add(&mut self, text: &[u8]) {
        for line in entries(text, b"#;") {
            // A leading hyphen lets a setting fail; without a value it exempts a parameter from patterns.
            let (hyphen, setting) = match line.strip_prefix('-') {
                Some(setting) => (true, setting),
                None => (false, &*line),
            };
            match setting.split_once('=') {
                Some((key, value)) => self.set(normalized(key.trim()), value.trim()),
                None if hyphen => {
                    self.excluded.insert(normalized(setting.trim()));
                }
                None => {}
            }
        }
    }

    fn set(&mut self, path: String, value: &str) {
        if !path.contains(['*', '?', '[']) {
            self.exact.insert(path, value.into());
        } else if let Some(pattern) =
            path.split('/').map(|component| Pattern::parse(component, Dialect::Posix).ok()).collect::<Option<Vec<_>>>()
        {
            self.patterns.retain(|(known, _)| *known != pattern);
            self.patterns.push((pattern, value.into()));
        }
    }

    /// The value that a parameter gets at boot, by its path below `/proc/sys`.
    pub(crate) fn value(&self, path: &str) -> Option<&str> {
        let components: Vec<&str> = path.split('/').collect();
        let matches = |pattern: &[Pattern]| {
            pattern.len() == components.len() && pattern.iter().zip(&components).all(|(own, name)| own.matches(name))
        };
        let by_pattern = || {
            let mut matching = self.patterns.iter().rev().filter(|(pattern, _)| matches(pattern));
            matching.next().filter(|_| !self.excluded.contains(path)).map(|(_, value)| value)
        };
        self.exact.get(path).or_else(by_pattern).map(String::as_str)
    }
}

/// The path for a name whose separator is the first of `.` and `/` in it; the other one stands for itself.
fn normalized(key: &str) -> String {
    let key = key.trim_start_matches('/');
    if key.chars().find(|c| matches!(c, '.' | '/')) == Some('.') {
        let swap = |c| match c {
            '.' => '/',
            '/' => '.',
            c => c,
        };
        key.chars().map(swap).collect()
    } else {
        key.into()
    }
}

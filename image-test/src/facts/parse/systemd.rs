//! What systemd says of units, and what unit files say of their installation.

use super::{entries, lines, string};
use std::collections::BTreeMap;

/// Whether `systemctl is-enabled` ends with success for a unit in this state. Rules of `systemctl(1)`.
pub(crate) fn is_enabled(state: &str) -> bool {
    matches!(state.trim(), "enabled" | "enabled-runtime" | "static" | "alias" | "indirect" | "generated" | "transient")
}

/// What `systemctl show` says of a unit.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct UnitStatus {
    /// The unit's own name, for an alias too.
    pub(crate) id: String,
    /// All of its names.
    pub(crate) names: Vec<String>,
    /// `active`, `inactive`, `failed` and so on.
    pub(crate) active_state: String,
    /// `enabled`, `static` and so on; empty where there is no unit file.
    pub(crate) unit_file_state: String,
}

impl UnitStatus {
    /// Whether `systemctl is-active` ends with success: a unit that reloads still runs.
    pub(crate) fn is_active(&self) -> bool {
        matches!(self.active_state.as_str(), "active" | "reloading" | "refreshing")
    }
}

/// The output of `systemctl show -p Id -p Names -p ActiveState -p UnitFileState UNIT..`: a block a unit, in the order
/// asked for, apart by empty lines.
pub(crate) fn systemctl_show(text: &[u8]) -> Vec<UnitStatus> {
    let mut units = vec![];
    let mut properties = BTreeMap::new();
    for line in lines(text).chain([&b""[..]]) {
        if let Some(equals) = line.iter().position(|byte| *byte == b'=') {
            let (name, value) = line.split_at(equals);
            properties.insert(name, string(value.get(1..).unwrap_or_default()));
        } else if line.is_empty() && !properties.is_empty() {
            let mut take = |name: &str| properties.remove(name.as_bytes()).unwrap_or_default();
            units.push(UnitStatus {
                id: take("Id"),
                names: take("Names").split_ascii_whitespace().map(Into::into).collect(),
                active_state: take("ActiveState"),
                unit_file_state: take("UnitFileState"),
            });
            properties.clear();
        }
    }
    units
}

/// The `[Install]` section of a unit file.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Install {
    /// Further names that enabling gives it.
    pub(crate) aliases: Vec<String>,
    /// Whether enabling makes it wanted by another unit.
    pub(crate) has_dependents: bool,
    /// Whether enabling it enables others too.
    pub(crate) has_also: bool,
}

impl Install {
    /// Whether there is anything that enabling would do.
    pub(crate) fn has_rules(&self) -> bool {
        self.has_dependents || !self.aliases.is_empty()
    }

    /// Adds what a further file says, such as a drop-in.
    pub(crate) fn extend(&mut self, other: Self) {
        self.aliases.extend(other.aliases);
        self.has_dependents |= other.has_dependents;
        self.has_also |= other.has_also;
    }
}

/// The `[Install]` section of a unit file or drop-in.
pub(crate) fn install_section(text: &[u8]) -> Install {
    let mut install = Install::default();
    let mut is_inside = false;
    // Joined lines do not matter for what is asked: whether there is a value, and aliases, which are names in one line.
    for line in entries(text, b"#;") {
        if line.starts_with('[') {
            is_inside = line == "[Install]";
        } else if let (true, Some((key, value))) = (is_inside, line.split_once('=')) {
            let value = value.trim();
            match key.trim() {
                "Alias" => install.aliases.extend(value.split_ascii_whitespace().map(Into::into)),
                "WantedBy" | "RequiredBy" | "UpheldBy" => install.has_dependents |= !value.is_empty(),
                "Also" => install.has_also |= !value.is_empty(),
                _ => {}
            }
        }
    }
    install
}

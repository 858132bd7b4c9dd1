//! `/proc/N/stat`.

use super::string;

/// The command name in a `/proc/N/stat`: at most 15 bytes, up to the first closing parenthesis, where goss ends it too.
pub(crate) fn comm(stat: &[u8]) -> Option<String> {
    let start = stat.iter().position(|byte| *byte == b'(')? + 1;
    let rest = stat.get(start..)?;
    let end = rest.iter().position(|byte| *byte == b')')?;
    rest.get(..end).map(string)
}

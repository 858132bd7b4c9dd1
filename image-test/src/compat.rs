//! Whose semantics hold.

use serde::{Deserialize, Serialize};

/// Whose semantics hold where goss has documented quirks.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Compat {
    /// Goss's outcomes with its bugs mended. What could not be told is unknown, never a pass.
    #[default]
    Fixed,
    /// The outcomes of goss 0.4.10, bug for bug.
    Goss,
}

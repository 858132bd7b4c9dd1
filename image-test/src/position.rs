//! Where in a gossfile something is written.

use std::{fmt, sync::Arc};

/// A place in a file, as an editor counts: from 1.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub struct Position {
    /// The file as it was named, or `<stdin>`.
    pub file: Arc<str>,
    /// Line in the file as it stands on disk, before templates are rendered.
    pub line: u32,
    /// Column in characters. Behind a template action on the same line it counts the rendered text.
    pub column: u32,
}

impl Position {
    /// A place in a file.
    pub fn new(file: impl Into<Arc<str>>, line: u32, column: u32) -> Self {
        Self { file: file.into(), line, column }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

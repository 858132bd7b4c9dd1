//! Facts that outlive the look at a system: to evaluate later, or to compare.

use crate::{Facts, facts::FORMAT_VERSION};
use serde::Deserialize;
use std::io;

/// A snapshot that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The file could not be read or written.
    #[error("snapshot: {0}")]
    Io(#[from] io::Error),
    /// It is not JSON of a snapshot.
    #[error("this is no snapshot of facts: {0}")]
    Malformed(serde_json::Error),
    /// It was written by another version.
    #[error("the snapshot has format {found}, accepted is {FORMAT_VERSION}")]
    Format {
        /// The format it says it has; 0 where it says none.
        found: u32,
    },
}

impl Facts {
    /// Writes the facts as indented JSON, with the version of the format.
    ///
    /// Contents of files and outputs of commands that were looked at are part of it, whatever they hold.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn save(&self, mut out: impl io::Write) -> Result<(), SnapshotError> {
        let stamped = Self { format: FORMAT_VERSION, ..self.clone() };
        serde_json::to_writer_pretty(&mut out, &stamped).map_err(io::Error::from)?;
        out.write_all(b"\n")?;
        Ok(out.flush()?)
    }

    /// Reads facts that [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// Those of the reader; what it reads is no snapshot, or one of another format.
    pub fn load(mut input: impl io::Read) -> Result<Self, SnapshotError> {
        #[derive(Deserialize)]
        struct Version {
            #[serde(default)]
            format: u32,
        }
        let mut bytes = vec![];
        input.read_to_end(&mut bytes)?;
        let Version { format } = serde_json::from_slice(&bytes).map_err(SnapshotError::Malformed)?;
        if format != FORMAT_VERSION {
            return Err(SnapshotError::Format { found: format });
        }
        serde_json::from_slice(&bytes).map_err(SnapshotError::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Fact, facts::CommandResult};

    #[test]
    fn what_is_saved_is_loaded() {
        let mut facts = Facts::default();
        let stdout = vec![0xff, b'\n'].into();
        let result = CommandResult::Exited { status: 1, stdout, stderr: "é".into() };
        facts.commands.insert("run".into(), Fact::Known(result));
        facts.packages.insert("bash".into(), Fact::Unknown("no manager".into()));
        let mut bytes = vec![];
        facts.save(&mut bytes).unwrap();
        facts.format = FORMAT_VERSION;
        assert_eq!(Facts::load(&bytes[..]).unwrap(), facts);
    }

    #[test]
    fn other_formats_are_refused_by_their_version() {
        let error = |text: &str| Facts::load(text.as_bytes()).unwrap_err().to_string();
        insta::assert_snapshot!(error(r#"{"format": 99, "planets": {}}"#), @"the snapshot has format 99, accepted is 1");
        insta::assert_snapshot!(error("{}"), @"the snapshot has format 0, accepted is 1");
        insta::assert_snapshot!(error("files: {}"), @"this is no snapshot of facts: expected ident at line 1 column 2");
        let error = error(r#"{"format": 1, "planets": {}}"#);
        assert!(error.starts_with("this is no snapshot of facts: unknown field `planets`"), "{error}");
    }
}

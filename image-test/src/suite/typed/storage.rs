//! Files, mounts and the registry.

use crate::{Attribute, Matcher, Target};
use std::time::Duration;

checks! {
    /// Adds a file of any type, by its path.
    file -> FileChecks, Target::File;
    target "path";
    settings {}
    attributes {
        exists: Exists, owner: Owner, uid: Uid, group: Group, gid: Gid, linked_to: LinkedTo, filetype: Filetype,
        contents: Contents, size: Size, md5: Md5, sha256: Sha256, sha512: Sha512,
    }
}

impl FileChecks {
    /// Expects these permission bits, such as `0o644`.
    pub fn mode(self, bits: u32) -> Self {
        self.mode_matching(format!("{bits:04o}"))
    }

    /// Expects the permission bits, as octal text of four digits such as `0644`, to be so.
    pub fn mode_matching(mut self, matcher: impl Into<Matcher>) -> Self {
        self.0.expect(Attribute::Mode, matcher);
        self
    }
}

checks! {
    /// Adds a mount point, by its path.
    mount -> MountChecks, |mountpoint| Target::Mount { mountpoint, timeout: None };
    target "path";
    settings { Mount.timeout: Duration as Some, "How long to look for its usage; 1 s unless set."; }
    attributes {
        exists: Exists, opts: Opts, vfs_opts: VfsOpts, source: Source, filesystem: Filesystem, usage: Usage,
    }
}

checks! {
    /// Adds a value of the Windows registry.
    registry -> RegistryChecks, Target::Registry;
    target "value";
    settings {}
    attributes { exists: Exists, value: Value, value_type: Type, }
}

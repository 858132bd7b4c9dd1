//! Users of a root filesystem, by its own `/etc/passwd` and `/etc/group` (passwd(5), group(5)).

use std::path::Path;

use super::{SandboxError, inside};

/// Ids to run with.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) groups: Vec<u32>,
    pub(super) home: String,
}

impl User {
    pub(super) fn root() -> Self {
        Self { uid: 0, gid: 0, groups: Vec::new(), home: "/root".into() }
    }

    /// Looks up a name or a number.
    pub(super) fn find(rootfs: &Path, wanted: &str) -> Result<Self, SandboxError> {
        let passwd = read(rootfs, "/etc/passwd")?;
        let number = wanted.parse::<u32>().ok();
        let entry = passwd.lines().find_map(|line| {
            let fields: Vec<_> = line.split(':').collect();
            let &[name, _, uid, gid, _, home, ..] = fields.as_slice() else { return None };
            let (uid, gid) = (uid.parse().ok()?, gid.parse().ok()?);
            let found = if let Some(number) = number { uid == number } else { name == wanted };
            found.then_some((name, uid, gid, home))
        });
        match (entry, number) {
            (Some((name, uid, gid, home)), _) => {
                let groups = groups(&read(rootfs, "/etc/group")?, name, gid);
                let home = if home.is_empty() { "/" } else { home };
                Ok(Self { uid, gid, groups, home: home.into() })
            }
            (None, Some(0)) => Ok(Self::root()),
            (None, Some(id)) => Ok(Self { uid: id, gid: id, groups: Vec::new(), home: "/".into() }),
            (None, None) => Err(SandboxError::UnknownUser { user: wanted.into() }),
        }
    }
}

fn groups(group: &str, user: &str, primary: u32) -> Vec<u32> {
    let of_line = |line: &str| {
        let fields: Vec<_> = line.split(':').collect();
        let &[_, _, gid, members] = fields.as_slice() else { return None };
        let gid = gid.parse().ok()?;
        (gid != primary && members.split(',').any(|member| member.trim() == user)).then_some(gid)
    };
    group.lines().filter_map(of_line).collect()
}

/// The text of a file of the root filesystem; nothing if there is none.
fn read(rootfs: &Path, path: &'static str) -> Result<String, SandboxError> {
    let failed = || SandboxError::io("read", inside::host(rootfs, Path::new(path)));
    let resolved = inside::resolve(rootfs, Path::new(path)).map_err(failed())?;
    match std::fs::read(inside::host(rootfs, &resolved)) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(failed()(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let etc = dir.path().join("etc");
        std::fs::create_dir(&etc).unwrap();
        std::fs::write(etc.join("passwd"), "root:x:0:0:root:/root:/bin/sh\nbroken\napp:x:7:8:::/bin/sh\n").unwrap();
        std::fs::write(etc.join("group"), "app:x:8:app\nadm:x:4:syslog,app\nx:y\ndisk:x:6:apple\n").unwrap();
        let app = User { uid: 7, gid: 8, groups: vec![4], home: "/".into() };
        assert_eq!(User::find(dir.path(), "app").unwrap(), app);
        assert_eq!(User::find(dir.path(), "7").unwrap(), app);
        assert_eq!(User::find(dir.path(), "root").unwrap(), User::root());
        assert_eq!(User::find(dir.path(), "9").unwrap(), User { uid: 9, gid: 9, groups: vec![], home: "/".into() });
        for unknown in ["nobody", "", "-1", "4294967296"] {
            assert!(matches!(User::find(dir.path(), unknown), Err(SandboxError::UnknownUser { .. })), "{unknown}");
        }
        assert_eq!(User::find(&dir.path().join("etc"), "0").unwrap(), User::root());
    }
}

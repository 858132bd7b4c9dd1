//! `passwd(5)` and `group(5)`.

use super::entries;
use crate::facts::{GroupFacts, UserFacts};
use std::collections::{BTreeSet, HashMap};

/// A line of `/etc/passwd`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Passwd {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) home: String,
    pub(crate) shell: String,
}

/// A line of `/etc/group`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) gid: u32,
    pub(crate) members: Vec<String>,
}

/// The users of an `/etc/passwd`. Lines of other services (`+`, `-`) and broken ones are skipped, as in the C library.
pub(crate) fn passwd(text: &[u8]) -> Vec<Passwd> {
    let user = |line: &str| {
        let mut fields = line.splitn(7, ':');
        let name = account(fields.next()?)?;
        let _password = fields.next()?;
        let (uid, gid) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let _gecos = fields.next()?;
        Some(Passwd { name, uid, gid, home: fields.next()?.into(), shell: fields.next()?.into() })
    };
    entries(text, b"#").filter_map(|line| user(&line)).collect()
}

/// The groups of an `/etc/group`, skipping as [`passwd`] does.
pub(crate) fn group(text: &[u8]) -> Vec<Group> {
    let group = |line: &str| {
        let mut fields = line.splitn(4, ':');
        let name = account(fields.next()?)?;
        let _password = fields.next()?;
        let gid = fields.next()?.parse().ok()?;
        let members = fields.next()?.split(',').map(str::trim).filter(|member| !member.is_empty());
        Some(Group { name, gid, members: members.map(Into::into).collect() })
    };
    entries(text, b"#").filter_map(|line| group(&line)).collect()
}

fn account(name: &str) -> Option<String> {
    (!name.is_empty() && !name.starts_with(['+', '-'])).then(|| name.into())
}

/// Users and groups with what is asked of them. Of several lines for one name or id, the first counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Accounts {
    users: HashMap<String, Passwd>,
    user_names: HashMap<u32, String>,
    groups: HashMap<String, u32>,
    group_names: HashMap<u32, Vec<String>>,
    memberships: HashMap<String, BTreeSet<String>>,
}

impl Accounts {
    /// The accounts of an `/etc/passwd` and an `/etc/group`.
    pub(crate) fn new(passwd_text: &[u8], group_text: &[u8]) -> Self {
        let mut accounts = Self::default();
        for user in passwd(passwd_text) {
            accounts.user_names.entry(user.uid).or_insert_with(|| user.name.clone());
            accounts.users.entry(user.name.clone()).or_insert(user);
        }
        for Group { name, gid, members } in group(group_text) {
            for member in members {
                accounts.memberships.entry(member).or_default().insert(name.clone());
            }
            accounts.group_names.entry(gid).or_default().push(name.clone());
            accounts.groups.entry(name).or_insert(gid);
        }
        accounts
    }

    /// A user, with the names of the primary group and of all groups that list it.
    pub(crate) fn user(&self, name: &str) -> Option<UserFacts> {
        let Passwd { uid, gid, home, shell, .. } = self.users.get(name)?.clone();
        let primary = self.group_names.get(&gid).into_iter().flatten();
        let groups: BTreeSet<_> = primary.chain(self.memberships.get(name).into_iter().flatten()).cloned().collect();
        Some(UserFacts { uid, gid, home, groups: groups.into_iter().collect(), shell })
    }

    /// A group.
    pub(crate) fn group(&self, name: &str) -> Option<GroupFacts> {
        self.groups.get(name).map(|gid| GroupFacts { gid: *gid })
    }

    /// The home directory of a user.
    pub(crate) fn home(&self, name: &str) -> Option<&str> {
        self.users.get(name).map(|user| user.home.as_str())
    }

    /// The name of a user id.
    pub(crate) fn user_name(&self, uid: u32) -> Option<&str> {
        self.user_names.get(&uid).map(String::as_str)
    }

    /// The name of a group id.
    pub(crate) fn group_name(&self, gid: u32) -> Option<&str> {
        self.group_names.get(&gid)?.first().map(String::as_str)
    }
}

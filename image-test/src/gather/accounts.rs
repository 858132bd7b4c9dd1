//! Users and groups.

use super::Root;
use crate::facts::{Fact, Facts, Wanted, parse};

/// The accounts of a system, or why they are not known. A system without the files has none.
pub(super) fn accounts(root: &Root) -> Result<parse::Accounts, String> {
    let passwd = root.read_if_there("/etc/passwd")?.unwrap_or_default();
    let group = root.read_if_there("/etc/group")?.unwrap_or_default();
    Ok(parse::Accounts::new(&passwd, &group))
}

/// Finds out what is wanted of users and groups.
pub(super) fn gather(accounts: &Result<parse::Accounts, String>, wanted: &Wanted, facts: &mut Facts) {
    for name in &wanted.users {
        facts.users.insert(name.clone(), known(accounts, |accounts| accounts.user(name)));
    }
    for name in &wanted.groups {
        facts.groups.insert(name.clone(), known(accounts, |accounts| accounts.group(name)));
    }
}

fn known<T>(accounts: &Result<parse::Accounts, String>, find: impl FnOnce(&parse::Accounts) -> T) -> Fact<T> {
    match accounts {
        Ok(accounts) => Fact::Known(find(accounts)),
        Err(why) => Fact::Unknown(why.clone()),
    }
}

//! Who besides the owner may use an image or a snapshot.

use std::collections::BTreeSet;

use crate::error::ApiError;
use crate::query::Params;
use crate::xml::Xml;

/// Launch permissions of an image, or create-volume permissions of a snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sharing {
    /// The group `all`: public.
    pub(crate) all: bool,
    pub(crate) users: BTreeSet<String>,
    pub(crate) organizations: BTreeSet<String>,
    pub(crate) units: BTreeSet<String>,
}

impl Sharing {
    /// Whether an account may use it. The simulator knows no organizations, so their members are not found.
    pub(crate) fn allows(&self, account: &str) -> bool {
        self.all || self.users.contains(account)
    }

    /// The permission items of `Describe…Attribute`.
    pub(crate) fn write(&self, xml: &mut Xml, name: &str) {
        xml.element(name, |xml| {
            if self.all {
                xml.element("item", |xml| xml.text("group", "all"));
            }
            for (name, values) in [
                ("userId", &self.users),
                ("organizationArn", &self.organizations),
                ("organizationalUnitArn", &self.units),
            ] {
                for value in values {
                    xml.element("item", |xml| xml.text(name, value));
                }
            }
        });
    }
}

/// A change of permissions, in either of the two ways in which requests write it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    add: Sharing,
    remove: Sharing,
}

impl Change {
    /// Reads `{structure}.Add.N`, `{structure}.Remove.N`, and `OperationType` with `UserId.N`, `UserGroup.N` and so on.
    pub(crate) fn parse(params: &Params<'_>, structure: &str) -> Result<Self, ApiError> {
        let sub = params.sub(structure);
        let mut change = Self { add: list(&sub, "Add")?, remove: list(&sub, "Remove")? };
        let mut flat = Sharing { users: accounts(params.texts("UserId")?)?, ..Sharing::default() };
        for group in params.texts("UserGroup")? {
            flat.all |= is_all(&group)?;
        }
        flat.organizations = params.texts("OrganizationArn")?.into_iter().collect();
        flat.units = params.texts("OrganizationalUnitArn")?.into_iter().collect();
        let operation = params.one_of("OperationType", &["add", "remove"])?;
        if flat != Sharing::default() {
            match operation.as_deref() {
                Some("add") => change.add = flat,
                Some(_) => change.remove = flat,
                // Packer sends both forms, the flat one without its operation.
                None if !change.is_empty() => {}
                None => return Err(params.missing("OperationType")),
            }
        }
        Ok(change)
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it makes something public.
    pub(crate) const fn publishes(&self) -> bool {
        self.add.all
    }

    /// Whether it adds anyone.
    pub(crate) fn shares(&self) -> bool {
        self.add != Sharing::default()
    }

    pub(crate) fn apply(&self, sharing: &mut Sharing) {
        sharing.all = (sharing.all || self.add.all) && !self.remove.all;
        for (set, add, remove) in [
            (&mut sharing.users, &self.add.users, &self.remove.users),
            (&mut sharing.organizations, &self.add.organizations, &self.remove.organizations),
            (&mut sharing.units, &self.add.units, &self.remove.units),
        ] {
            set.extend(add.iter().cloned());
            set.retain(|item| !remove.contains(item));
        }
    }
}

fn list(params: &Params<'_>, name: &str) -> Result<Sharing, ApiError> {
    let mut sharing = Sharing::default();
    for item in params.list(name)? {
        if let Some(group) = item.text("Group") {
            sharing.all |= is_all(&group)?;
        }
        sharing.users.extend(accounts(item.text("UserId"))?);
        sharing.organizations.extend(item.text("OrganizationArn"));
        sharing.units.extend(item.text("OrganizationalUnitArn"));
    }
    Ok(sharing)
}

fn is_all(group: &str) -> Result<bool, ApiError> {
    if group == "all" {
        return Ok(true);
    }
    Err(ApiError::new(
        "InvalidAMIAttributeItemValue",
        format!("Invalid attribute item value \"{group}\" for userGroup item type."),
    ))
}

fn accounts(ids: impl IntoIterator<Item = String>) -> Result<BTreeSet<String>, ApiError> {
    ids.into_iter()
        .map(|id| {
            if id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_digit()) {
                return Ok(id);
            }
            let message = format!("Invalid attribute item value \"{id}\" for userId item type.");
            Err(ApiError::new("InvalidAMIAttributeItemValue", message))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::{Form, decode};

    fn apply(text: &str) -> Result<Sharing, String> {
        let form = Form::new(decode(text));
        let change = Change::parse(&form.params(), "LaunchPermission").map_err(|error| error.code)?;
        let mut sharing = Sharing { users: ["000000000001".to_owned()].into(), ..Sharing::default() };
        change.apply(&mut sharing);
        Ok(sharing)
    }

    #[test]
    fn both_forms_change_permissions() {
        for (text, users, all) in [
            ("LaunchPermission.Add.1.UserId=000000000002", 2, false),
            ("LaunchPermission.Add.1.UserId=000000000002&UserId.1=000000000002", 2, false),
            ("OperationType=add&UserId.1=000000000002", 2, false),
            ("OperationType=remove&UserId.1=000000000001", 0, false),
            ("LaunchPermission.Add.1.Group=all&LaunchPermission.Remove.1.UserId=000000000001", 0, true),
        ] {
            let sharing = apply(text).unwrap();
            assert_eq!((sharing.users.len(), sharing.all), (users, all), "{text}");
        }
        assert_eq!(apply("UserId.1=000000000002"), Err("MissingParameter".to_owned()));
        assert_eq!(apply("LaunchPermission.Add.1.UserId=me"), Err("InvalidAMIAttributeItemValue".to_owned()));
        assert_eq!(apply("LaunchPermission.Add.1.Group=some"), Err("InvalidAMIAttributeItemValue".to_owned()));
    }
}

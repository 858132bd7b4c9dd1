//! Who may launch an image, or make volumes of a snapshot, as a set of texts.

use crate::{
    ec2::{client::Region, create::again},
    error::sdk_error,
};
use aws_sdk_ec2::types::{
    CreateVolumePermission, CreateVolumePermissionModifications, ImageAttributeName, LaunchPermission,
    LaunchPermissionModifications, PermissionGroup, SnapshotAttributeName,
};
use image_core::{CreateError, ErrorKind, Result};
use std::collections::BTreeSet;

/// Everybody.
pub(crate) const ALL: &str = "all";
const ACCOUNT: &str = "account:";
const ORGANIZATION: &str = "organization:";
const UNIT: &str = "organizational-unit:";

/// The text of an account.
pub(crate) fn account(id: &str) -> String {
    format!("{ACCOUNT}{id}")
}
/// The text of an organization.
pub(crate) fn organization(arn: &str) -> String {
    format!("{ORGANIZATION}{arn}")
}
/// The text of an organizational unit.
pub(crate) fn unit(arn: &str) -> String {
    format!("{UNIT}{arn}")
}

fn launch_text(permission: &LaunchPermission) -> Option<String> {
    let LaunchPermission { organization_arn, organizational_unit_arn, user_id, group, .. } = permission;
    let group = || group.as_ref().map(|group| group.as_str().to_owned());
    let organizations = || organization_arn.as_deref().map(organization);
    let units = || organizational_unit_arn.as_deref().map(unit);
    user_id.as_deref().map(account).or_else(organizations).or_else(units).or_else(group)
}

fn launch_permission(text: &str) -> LaunchPermission {
    let new = LaunchPermission::builder();
    if let Some(id) = text.strip_prefix(ACCOUNT) {
        new.user_id(id).build()
    } else if let Some(arn) = text.strip_prefix(ORGANIZATION) {
        new.organization_arn(arn).build()
    } else if let Some(arn) = text.strip_prefix(UNIT) {
        new.organizational_unit_arn(arn).build()
    } else {
        new.group(PermissionGroup::from(text)).build()
    }
}

fn volume_text(permission: &CreateVolumePermission) -> Option<String> {
    let group = || permission.group().map(|group| group.as_str().to_owned());
    permission.user_id().map(account).or_else(group)
}

fn volume_permission(text: &str) -> CreateVolumePermission {
    match text.strip_prefix(ACCOUNT) {
        Some(id) => CreateVolumePermission::builder().user_id(id).build(),
        None => CreateVolumePermission::builder().group(PermissionGroup::from(text)).build(),
    }
}

/// Permissions of texts; nothing where there are none.
fn list<T>(texts: &BTreeSet<String>, permission: fn(&str) -> T) -> Option<Vec<T>> {
    (!texts.is_empty()).then(|| texts.iter().map(|text| permission(text)).collect())
}

/// Who may launch an image; `None` where there is no such image.
pub(crate) async fn of_image(region: &Region, id: &str) -> Result<Option<BTreeSet<String>>> {
    let client = region.client().await?;
    let call = client.describe_image_attribute().image_id(id).attribute(ImageAttributeName::LaunchPermission);
    match call.send().await.map_err(|e| sdk_error("ec2:DescribeImageAttribute", &region.place, e)) {
        Ok(answer) => Ok(Some(answer.launch_permissions().iter().filter_map(launch_text).collect())),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Who may make volumes of a snapshot; `None` where there is no such snapshot.
pub(crate) async fn of_snapshot(region: &Region, id: &str) -> Result<Option<BTreeSet<String>>> {
    let client = region.client().await?;
    let call = client.describe_snapshot_attribute().snapshot_id(id);
    let answer = call.attribute(SnapshotAttributeName::CreateVolumePermission).send().await;
    match answer.map_err(|e| sdk_error("ec2:DescribeSnapshotAttribute", &region.place, e)) {
        Ok(answer) => Ok(Some(answer.create_volume_permissions().iter().filter_map(volume_text).collect())),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Adds and removes who may launch an image.
pub(crate) async fn change_image(
    region: &Region,
    id: &str,
    add: &BTreeSet<String>,
    remove: &BTreeSet<String>,
) -> Result<(), CreateError> {
    let (add, remove) = (list(add, launch_permission), list(remove, launch_permission));
    let change = LaunchPermissionModifications::builder().set_add(add).set_remove(remove).build();
    let client = region.client_once().await?;
    let call = || client.modify_image_attribute().image_id(id).launch_permission(change.clone()).send();
    again("ec2:ModifyImageAttribute", &region.place, call).await.map(drop)
}

/// Adds and removes who may make volumes of a snapshot.
pub(crate) async fn change_snapshot(
    region: &Region,
    id: &str,
    add: &BTreeSet<String>,
    remove: &BTreeSet<String>,
) -> Result<(), CreateError> {
    let (add, remove) = (list(add, volume_permission), list(remove, volume_permission));
    let change = CreateVolumePermissionModifications::builder().set_add(add).set_remove(remove).build();
    let client = region.client_once().await?;
    let call = || {
        let call = client.modify_snapshot_attribute().snapshot_id(id);
        call.attribute(SnapshotAttributeName::CreateVolumePermission).create_volume_permission(change.clone()).send()
    };
    again("ec2:ModifySnapshotAttribute", &region.place, call).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_read_as_they_are_written() {
        for text in [&account("111122223333"), &organization("arn:o"), &unit("arn:ou"), ALL] {
            assert_eq!(launch_text(&launch_permission(text)).as_deref(), Some(text));
        }
        for text in [&account("111122223333"), ALL] {
            assert_eq!(volume_text(&volume_permission(text)).as_deref(), Some(text));
        }
    }
}

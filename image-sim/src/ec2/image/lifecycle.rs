//! The end of images: deprecation, protection, disabling, deregistration.

use std::time::Duration;

use jiff::Timestamp;

use super::super::action::{Action, Cx, Handler, act, done};
use super::super::ids::IMAGE;
use super::{Protection, own};
use crate::clock::after;
use crate::error::ApiError;
use crate::query::Params;
use crate::xml::Xml;

/// How long protection with a cooldown outlasts its end.
const COOLDOWN: Duration = Duration::from_secs(24 * 3600);
/// How far ahead a deprecation may lie.
const FURTHEST: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

pub(super) fn handler(action: &str) -> Option<Handler> {
    Some(match action {
        "DeregisterImage" => act::<Deregister>,
        "EnableImageDeprecation" => act::<Deprecate>,
        "DisableImageDeprecation" => act::<Undeprecate>,
        "EnableImageDeregistrationProtection" => act::<Protect>,
        "DisableImageDeregistrationProtection" => act::<Unprotect>,
        "DisableImage" => act::<Disable>,
        "EnableImage" => act::<Enable>,
        _ => return None,
    })
}

struct Deregister {
    id: String,
    snapshots: bool,
}

impl Action for Deregister {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        let snapshots = params.bool("DeleteAssociatedSnapshots")?.unwrap_or(false);
        Ok(Self { id: IMAGE.required(params, "ImageId")?, snapshots })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let now = cx.now;
        let image = own(cx, &self.id)?.clone();
        if image.protection.holds(now) {
            let message =
                format!("The image {} has deregistration protection: {}", self.id, image.protection.text(now));
            return Err(ApiError::new("OperationNotPermitted", message));
        }
        let ec2 = &mut cx.region().ec2;
        ec2.images.remove(&self.id);
        ec2.tags.forget(&self.id);
        ec2.gone_images.insert(self.id);
        done(xml);
        if self.snapshots {
            xml.items("deleteSnapshotResultSet", image.snapshots(), |xml, id| {
                let used = ec2.images.values().any(|other| other.snapshots().any(|snapshot| snapshot == id));
                let code = match (used, ec2.snapshots.contains_key(id)) {
                    (true, _) => "skipped",
                    (false, true) => "success",
                    (false, false) => "missing-permissions",
                };
                if code == "success" {
                    ec2.forget_snapshot(id);
                }
                xml.text("snapshotId", id);
                xml.text("returnCode", code);
            });
        }
        Ok(())
    }
}

struct Deprecate {
    id: String,
    at: Timestamp,
}

impl Action for Deprecate {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        let at = params.required("DeprecateAt")?;
        // A time without an offset is UTC.
        let parsed = at.parse::<Timestamp>().or_else(|_| format!("{at}Z").parse());
        let at = parsed.map_err(|_| params.invalid("DeprecateAt", at))?;
        Ok(Self { id: IMAGE.required(params, "ImageId")?, at })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let now = cx.now;
        if self.at <= now || self.at > after(now, FURTHEST) {
            let message = format!("DeprecateAt {} must be in the future, and at most 10 years ahead", self.at);
            return Err(ApiError::new("InvalidParameterValue", message));
        }
        // EC2 rounds to the minute.
        let seconds = self.at.as_second().div_euclid(60) * 60;
        own(cx, &self.id)?.deprecation = Some(Timestamp::from_second(seconds).unwrap_or(self.at));
        done(xml);
        Ok(())
    }
}

struct Protect {
    id: String,
    cooldown: bool,
}

impl Action for Protect {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        let cooldown = params.bool("WithCooldown")?.unwrap_or(false);
        Ok(Self { id: IMAGE.required(params, "ImageId")?, cooldown })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let protection = Protection::On { cooldown: self.cooldown };
        own(cx, &self.id)?.protection = protection;
        xml.text("return", protection.text(cx.now));
        Ok(())
    }
}

struct Unprotect {
    id: String,
}

impl Action for Unprotect {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        Ok(Self { id: IMAGE.required(params, "ImageId")? })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let now = cx.now;
        let image = own(cx, &self.id)?;
        image.protection = match image.protection {
            Protection::On { cooldown: true } => Protection::Until(after(now, COOLDOWN)),
            Protection::On { cooldown: false } | Protection::Off => Protection::Off,
            until @ Protection::Until(_) => until,
        };
        xml.text("return", image.protection.text(now));
        Ok(())
    }
}

/// An action on an image that has no other parameter.
macro_rules! on_image {
    ($($action:ident: $change:expr;)*) => {$(
        struct $action {
            id: String,
        }

        impl Action for $action {
            fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
                Ok(Self { id: IMAGE.required(params, "ImageId")? })
            }

            fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
                let change: fn(&mut super::Image) = $change;
                change(own(cx, &self.id)?);
                done(xml);
                Ok(())
            }
        }
    )*};
}

on_image! {
    Undeprecate: |image| image.deprecation = None;
    // A disabled image is private, and stays so when it is enabled again.
    Disable: |image| {
        image.disabled = true;
        image.permission = Default::default();
    };
    Enable: |image| image.disabled = false;
}

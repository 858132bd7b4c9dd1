//! Who may make volumes of a snapshot.

use super::super::action::{Action, Cx, Handler, act, done};
use super::super::device::kms_arn;
use super::super::ids::SNAPSHOT;
use super::super::sharing::{Change, Sharing};
use super::own;
use crate::error::ApiError;
use crate::query::Params;
use crate::xml::Xml;

pub(super) fn handler(action: &str) -> Option<Handler> {
    Some(match action {
        "ModifySnapshotAttribute" => act::<Modify>,
        "DescribeSnapshotAttribute" => act::<Describe>,
        "ResetSnapshotAttribute" => act::<Reset>,
        _ => return None,
    })
}

struct Modify {
    id: String,
    change: Change,
}

impl Action for Modify {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        params.one_of("Attribute", &["createVolumePermission"])?;
        let change = Change::parse(params, "CreateVolumePermission")?;
        if change.is_empty() {
            return Err(params.missing("CreateVolumePermission"));
        }
        Ok(Self { id: SNAPSHOT.required(params, "SnapshotId")?, change })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let default_key = kms_arn(&cx.place, None);
        let snapshot = own(cx, &self.id)?;
        if snapshot.encrypted && self.change.publishes() {
            return Err(ApiError::new("OperationNotPermitted", "Encrypted snapshots cannot be shared publicly"));
        }
        if self.change.shares() && snapshot.kms_key.as_ref() == Some(&default_key) {
            let message = "Encrypted snapshots with EBS default key cannot be shared";
            return Err(ApiError::new("OperationNotPermitted", message));
        }
        self.change.apply(&mut snapshot.sharing);
        done(xml);
        Ok(())
    }
}

struct Describe {
    id: String,
    attribute: String,
}

impl Action for Describe {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        let attribute = params.one_of("Attribute", &["createVolumePermission", "productCodes"])?;
        Ok(Self {
            id: SNAPSHOT.required(params, "SnapshotId")?,
            attribute: attribute.ok_or_else(|| params.missing("Attribute"))?,
        })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let snapshot = own(cx, &self.id)?;
        xml.text("snapshotId", &self.id);
        match self.attribute.as_str() {
            "productCodes" => xml.element("productCodes", |_| ()),
            _ => snapshot.sharing.write(xml, "createVolumePermission"),
        }
        Ok(())
    }
}

struct Reset {
    id: String,
}

impl Action for Reset {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        params.one_of("Attribute", &["createVolumePermission"])?.ok_or_else(|| params.missing("Attribute"))?;
        Ok(Self { id: SNAPSHOT.required(params, "SnapshotId")? })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        own(cx, &self.id)?.sharing = Sharing::default();
        done(xml);
        Ok(())
    }
}

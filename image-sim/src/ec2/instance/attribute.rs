//! Attributes of instances, and their metadata options.

use super::super::action::{Action, Cx, Handler, act, done};
use super::super::ids::INSTANCE;
use super::Instance;
use super::launch_data::Metadata;
use crate::error::ApiError;
use crate::query::Params;
use crate::xml::Xml;

pub(super) fn handler(action: &str) -> Option<Handler> {
    Some(match action {
        "DescribeInstanceAttribute" => act::<Describe>,
        "ModifyInstanceAttribute" => act::<Modify>,
        "ModifyInstanceMetadataOptions" => act::<ModifyMetadata>,
        _ => return None,
    })
}

fn find<'a>(cx: &'a mut Cx<'_>, id: &str) -> Result<&'a mut Instance, ApiError> {
    cx.region().ec2.instances.get_mut(id).ok_or_else(|| INSTANCE.missing(id))
}

struct Describe {
    id: String,
    attribute: String,
}

impl Action for Describe {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        let accepted = [
            "instanceType",
            "userData",
            "disableApiTermination",
            "instanceInitiatedShutdownBehavior",
            "rootDeviceName",
            "ebsOptimized",
            "enaSupport",
            "sriovNetSupport",
        ];
        let attribute = params.one_of("Attribute", &accepted)?.ok_or_else(|| params.missing("Attribute"))?;
        Ok(Self { id: INSTANCE.required(params, "InstanceId")?, attribute })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let instance = find(cx, &self.id)?;
        let value = match self.attribute.as_str() {
            "instanceType" => Some(instance.instance_type.clone()),
            "userData" => instance.user_data.clone(),
            "disableApiTermination" => Some(instance.disable_api_termination.to_string()),
            "instanceInitiatedShutdownBehavior" => {
                Some(if instance.shutdown_terminates { "terminate" } else { "stop" }.to_owned())
            }
            "rootDeviceName" => Some(instance.root_device.clone()),
            "ebsOptimized" => Some(instance.ebs_optimized.to_string()),
            "enaSupport" => Some(instance.ena.to_string()),
            _ => instance.sriov.clone(),
        };
        xml.text("instanceId", &self.id);
        xml.element(&self.attribute, |xml| xml.optional("value", value));
        Ok(())
    }
}

struct Modify {
    id: String,
    disable_api_termination: Option<bool>,
    shutdown_behavior: Option<String>,
}

impl Action for Modify {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        let mut this = Self {
            id: INSTANCE.required(params, "InstanceId")?,
            disable_api_termination: params.sub("DisableApiTermination").bool("Value")?,
            shutdown_behavior: params
                .sub("InstanceInitiatedShutdownBehavior")
                .one_of("Value", &["stop", "terminate"])?,
        };
        match params.one_of("Attribute", &["disableApiTermination", "instanceInitiatedShutdownBehavior"])?.as_deref() {
            Some("disableApiTermination") => this.disable_api_termination = params.bool("Value")?,
            Some(_) => this.shutdown_behavior = params.one_of("Value", &["stop", "terminate"])?,
            None => {}
        }
        if this.disable_api_termination.is_none() && this.shutdown_behavior.is_none() {
            return Err(ApiError::new("InvalidParameterCombination", "No attributes specified."));
        }
        Ok(this)
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let instance = find(cx, &self.id)?;
        if let Some(on) = self.disable_api_termination {
            instance.disable_api_termination = on;
        }
        if let Some(behavior) = self.shutdown_behavior {
            instance.shutdown_terminates = behavior == "terminate";
        }
        done(xml);
        Ok(())
    }
}

struct ModifyMetadata {
    id: String,
    metadata: Metadata,
}

impl Action for ModifyMetadata {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        Ok(Self { id: INSTANCE.required(params, "InstanceId")?, metadata: Metadata::parse(params)? })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let instance = find(cx, &self.id)?;
        instance.metadata = self.metadata.over(instance.metadata.clone());
        xml.text("instanceId", &self.id);
        xml.element("instanceMetadataOptions", |xml| instance.metadata.write(xml, "pending"));
        Ok(())
    }
}

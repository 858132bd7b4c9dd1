//! A call as IAM sees it: actions on resources, each with its condition keys.

use std::collections::BTreeMap;

use serde_json::Value;

use super::condition::Context;
use super::keys::{Arns, of_resource, set, set_request_tags, set_some};
use super::table::{self, Target};
use crate::call::Call;
use crate::clock::iso;
use crate::cloud::Cloud;
use crate::ec2::device::Device;
use crate::ec2::instance::launch_data::{LaunchData, Metadata};
use crate::ec2::launch_template::{self, TemplateRef};
use crate::error::ApiError;
use crate::query::{Form, Params};
use crate::world::{Place, Region, World};

/// The id of what a call is yet to create.
const NEW: &str = "*";

/// One action on one resource. All of a call's must be allowed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Check {
    pub(super) action: String,
    /// An ARN, or `*`.
    pub(super) resource: String,
    pub(super) context: Context,
}

type Tags = BTreeMap<String, String>;

/// What is evaluated for a call.
///
/// # Errors
/// When the simulator does not know what an action is about, or the parameters that say so cannot be read: that is found
/// before anybody is asked.
pub(super) fn checks(cloud: &Cloud, service: &str, call: &Call) -> Result<Vec<Check>, ApiError> {
    let action = format!("{service}:{}", call.action);
    let Some(targets) = table::targets(&action) else {
        return Err(ApiError::unsupported(format_args!("{action} for a caller that has an IAM policy")));
    };
    let place = Place::new(&call.identity.account, &call.region);
    let mut world = cloud.world();
    world.open(&call.region, call.now);
    world.region(&place, call.now).ec2.settle(call.now, cloud.config.timings.instance_linger);
    let arns = Arns { place };
    let form = call.request.form();
    if let Some(source) = form.params().text("SourceRegion") {
        world.open(&source, call.now);
    }
    let body = serde_json::from_slice(&call.request.body).unwrap_or_default();
    let common = common(service, call);
    let mut asked = Asked { cloud, world: &world, call, action, arns, common, form: &form, body, checks: Vec::new() };
    for target in targets {
        asked.target(*target)?;
    }
    if asked.checks.is_empty() {
        asked.check(NEW.to_owned(), Context::new());
    }
    Ok(asked.checks)
}

/// The keys of every evaluation.
fn common(service: &str, call: &Call) -> Context {
    let mut context = Context::new();
    set(&mut context, "aws:RequestedRegion", &call.region);
    set(&mut context, "aws:PrincipalArn", call.identity.principal());
    set(&mut context, "aws:PrincipalAccount", &call.identity.account);
    set(&mut context, "aws:CurrentTime", iso(call.now));
    set(&mut context, "aws:EpochTime", call.now.as_second());
    // As AWS has it, whose endpoints are reached by TLS alone.
    set(&mut context, "aws:SecureTransport", true);
    if service == "ec2" {
        set(&mut context, "ec2:Region", &call.region);
    }
    context
}

struct Asked<'a> {
    cloud: &'a Cloud,
    world: &'a World,
    call: &'a Call,
    action: String,
    arns: Arns,
    common: Context,
    form: &'a Form,
    body: Value,
    checks: Vec<Check>,
}

impl Asked<'_> {
    fn check(&mut self, resource: String, context: Context) {
        self.check_of(self.action.clone(), resource, context);
    }

    fn check_of(&mut self, action: String, resource: String, mut context: Context) {
        for (key, values) in &self.common {
            context.entry(key.clone()).or_insert_with(|| values.clone());
        }
        let check = Check { action, resource, context };
        if !self.checks.contains(&check) {
            self.checks.push(check);
        }
    }

    fn region(&self) -> Option<&Region> {
        self.world.place(&self.arns.place)
    }

    /// A resource of EC2 that exists, or is said to.
    fn existing(&mut self, kind: &str, id: &str, mut context: Context) {
        of_resource(self.world, &self.arns, kind, id, &mut context);
        self.check(self.arns.ec2(kind, id), context);
    }

    /// A resource of EC2 that is created, and its tagging where it has tags.
    fn created(&mut self, kind: &str, id: &str, tags: &Tags, mut context: Context) {
        set(&mut context, "aws:ResourceAccount", &self.arns.place.account);
        set_request_tags(&mut context, tags);
        let arn = self.arns.ec2(kind, id);
        self.check(arn.clone(), context);
        if !tags.is_empty() {
            let mut context = Context::new();
            set(&mut context, "aws:ResourceAccount", &self.arns.place.account);
            set(&mut context, "ec2:CreateAction", &self.call.action);
            set(&mut context, "ec2:Region", &self.call.region);
            set_request_tags(&mut context, tags);
            self.check_of("ec2:CreateTags".to_owned(), arn, context);
        }
    }

    fn target(&mut self, target: Target) -> Result<(), ApiError> {
        let params = self.form.params();
        match target {
            Target::All => self.check("*".to_owned(), Context::new()),
            Target::Of(kind, name) => {
                for id in names(&params, name)? {
                    self.existing(kind, &id, Context::new());
                }
            }
            Target::New(kind) => self.new_resource(kind, &params)?,
            Target::Launch => self.launch(&params)?,
            Target::Tagged => {
                let tags = tags(&params)?;
                for id in names(&params, "ResourceId")? {
                    let kind = crate::ec2::kind_of(&id).unwrap_or("*");
                    let mut context = Context::new();
                    set_request_tags(&mut context, &tags);
                    match self.region().and_then(|region| region.ec2.key_pairs.get(&id)).map(|key| key.name.clone()) {
                        Some(name) => self.existing(kind, &name, context),
                        None => self.existing(kind, &id, context),
                    }
                }
            }
            Target::MappedSnapshots => {
                for ebs in Device::parse_all(&params)?.into_iter().filter_map(|device| device.ebs) {
                    if let Some(id) = ebs.snapshot_id {
                        self.existing("snapshot", &id, Context::new());
                    }
                }
            }
            Target::SourceImage => self.source_image(&params)?,
            Target::KeyPair => {
                let (name, id) = (params.text("KeyName"), params.text("KeyPairId"));
                let keys = self.region().map(|region| &region.ec2.key_pairs);
                let of_id = id.and_then(|id| keys?.get(&id)).map(|key| key.name.clone());
                if let Some(name) = name.or(of_id) {
                    self.existing("key-pair", &name, Context::new());
                }
            }
            Target::Template => self.template(&TemplateRef::required(&params)?)?,
            Target::SnapshotInPath => {
                let id = self.call.request.path.split('/').find(|part| part.starts_with("snap-")).map(str::to_owned);
                self.existing("snapshot", id.as_deref().unwrap_or(NEW), Context::new());
            }
            Target::NewSnapshotOfBlocks => {
                let tags = self.body_tags();
                self.created("snapshot", NEW, &tags, Context::new());
            }
            Target::Parameter(field) => {
                for name in self.body_texts(field) {
                    // Of a version, `NAME:VERSION`.
                    let name = name.split(':').next().unwrap_or(&name).to_owned();
                    self.parameter(&name, Context::new());
                }
            }
            Target::WrittenParameter => self.written_parameter(),
            Target::TaggedParameter => {
                let tags = self.body_tags();
                for name in self.body_texts("ResourceId") {
                    let mut context = Context::new();
                    set_request_tags(&mut context, &tags);
                    self.parameter(&name, context);
                }
            }
            Target::Command => self.command(),
            Target::Role => {
                let mut context = Context::new();
                set_some(&mut context, "sts:RoleSessionName", params.text("RoleSessionName"));
                set_some(&mut context, "sts:ExternalId", params.text("ExternalId"));
                self.check(params.required("RoleArn")?, context);
            }
        }
        Ok(())
    }

    /// A resource of EC2 that a call other than a launch creates.
    fn new_resource(&mut self, kind: &str, params: &Params<'_>) -> Result<(), ApiError> {
        let mut tags = Tags::new();
        for specification in params.list("TagSpecification")? {
            if specification.text("ResourceType").as_deref() == Some(kind) {
                tags = self::tags(&specification)?;
            }
        }
        let mut context = Context::new();
        let mut id = NEW.to_owned();
        match kind {
            // Rules are asked about where they are tagged.
            "security-group-rule" if tags.is_empty() => return Ok(()),
            "key-pair" => id = params.text("KeyName").unwrap_or(id),
            "image" => set(&mut context, "ec2:Owner", &self.arns.place.account),
            "snapshot" => {
                if let Some(volume) = params.text("VolumeId") {
                    set(&mut context, "ec2:ParentVolume", self.arns.ec2("volume", &volume));
                    let volume = self.region().and_then(|region| region.ec2.volumes.get(&volume));
                    set_some(&mut context, "ec2:VolumeSize", volume.map(|volume| volume.size));
                }
            }
            "volume" => {
                let snapshot = params.text("SnapshotId").map(|id| self.arns.ec2("snapshot", &id));
                let encrypt = self.region().is_some_and(|region| region.ec2.encrypt_by_default);
                set_some(&mut context, "ec2:AvailabilityZone", params.text("AvailabilityZone"));
                set(&mut context, "ec2:Encrypted", encrypt || params.bool("Encrypted")?.unwrap_or(false));
                set_some(&mut context, "ec2:ParentSnapshot", snapshot);
                set_some(&mut context, "ec2:VolumeIops", params.text("Iops"));
                set_some(&mut context, "ec2:VolumeSize", params.text("Size"));
                set_some(&mut context, "ec2:VolumeThroughput", params.text("Throughput"));
                set(&mut context, "ec2:VolumeType", params.text("VolumeType").as_deref().unwrap_or("gp2"));
            }
            _ => {}
        }
        self.created(kind, &id, &tags, context);
        Ok(())
    }

    fn template(&mut self, template: &TemplateRef) -> Result<(), ApiError> {
        let id = self.region().map(|region| template.id(&region.ec2)).transpose()?;
        if let Some(id) = id {
            self.existing("launch-template", &id, Context::new());
        }
        Ok(())
    }

    /// The source is named as it is in its own region. It has no keys of tags.
    fn source_image(&mut self, params: &Params<'_>) -> Result<(), ApiError> {
        let id = params.required("SourceImageId")?;
        let place = Place::new(&self.arns.place.account, params.required("SourceRegion")?);
        let mut context = Context::new();
        set(&mut context, "ec2:ImageID", &id);
        let found = self
            .world
            .in_region(&place.region)
            .find_map(|(owner, region)| Some((&owner.account, region.ec2.images.get(&id)?)));
        if let Some((owner, image)) = found {
            set(&mut context, "ec2:Owner", image.owner_alias.unwrap_or(owner));
            set(&mut context, "aws:ResourceAccount", owner);
        }
        self.check(Arns { place }.ec2("image", &id), context);
        Ok(())
    }

    fn launch(&mut self, params: &Params<'_>) -> Result<(), ApiError> {
        let mut data = LaunchData::parse(params)?;
        if let Some(template) = TemplateRef::parse(&params.sub("LaunchTemplate"))? {
            self.template(&template)?;
            if let Some(region) = self.region() {
                data = data.over(launch_template::find(&region.ec2, &template)?);
            }
        }
        let Some(image_id) = data.image_id.clone() else { return Ok(()) };
        self.existing("image", &image_id, Context::new());
        let world = self.world;
        let image = world.in_region(&self.call.region).find_map(|(_, region)| region.ec2.images.get(&image_id));
        let interface = data.interfaces.first();
        let subnet_id = interface.and_then(|interface| interface.subnet_id.clone()).or_else(|| data.subnet_id.clone());
        if let Some(id) = &subnet_id {
            self.existing("subnet", id, Context::new());
        }
        let Some(region) = world.place(&self.arns.place) else { return Ok(()) };
        let ec2 = &region.ec2;
        let subnet = ec2.network.subnet(subnet_id.as_deref(), data.zone.as_deref()).ok();
        let zone = subnet.map(|subnet| subnet.zone.clone()).or_else(|| data.zone.clone());
        let vpc = subnet.map(|subnet| subnet.vpc_id.as_str());

        let group_ids = interface.map_or(&data.group_ids, |interface| &interface.group_ids);
        match ec2.groups.for_launch(group_ids, &data.group_names, vpc.unwrap_or_default()) {
            Ok(groups) => groups.iter().for_each(|(id, _)| self.existing("security-group", id, Context::new())),
            // Groups that are not there, or elsewhere, are asked about all the same.
            Err(_) => group_ids.iter().for_each(|id| self.existing("security-group", id, Context::new())),
        }
        if let Some(name) = &data.key_name {
            self.existing("key-pair", name, Context::new());
        }
        let tags = |kind: &str| data.tags.get(kind).cloned().unwrap_or_default();

        let mut context = Context::new();
        set_some(&mut context, "ec2:AvailabilityZone", zone.as_ref());
        set(&mut context, "ec2:EbsOptimized", data.ebs_optimized.unwrap_or(false));
        set(&mut context, "ec2:InstanceMarketType", if data.spot.is_some() { "spot" } else { "on-demand" });
        set_some(&mut context, "ec2:InstanceProfile", data.profile.as_ref().map(|profile| self.profile(profile)));
        set_some(&mut context, "ec2:InstanceType", data.instance_type.as_ref());
        set(&mut context, "ec2:RootDeviceType", "ebs");
        set(&mut context, "ec2:Tenancy", "default");
        let metadata = Metadata::of_image(image.and_then(|image| image.imds.as_deref()));
        data.metadata.clone().over(metadata).keys(|key, value| set(&mut context, key, value));
        self.created("instance", NEW, &tags("instance"), context);

        let mut context = Context::new();
        set_some(&mut context, "ec2:AvailabilityZone", zone.as_ref());
        set_some(&mut context, "ec2:Subnet", subnet_id.as_ref().map(|id| self.arns.ec2("subnet", id)));
        set_some(&mut context, "ec2:Vpc", vpc.map(|id| self.arns.ec2("vpc", id)));
        let public = interface.and_then(|interface| interface.public_ip);
        set_some(&mut context, "ec2:AssociatePublicIpAddress", public);
        self.created("network-interface", NEW, &tags("network-interface"), context);

        let devices = image.map(|image| image.devices.as_slice()).unwrap_or_default();
        for ebs in Device::overlay(devices, &data.devices).iter().filter_map(|device| device.ebs.as_ref()) {
            let mut context = Context::new();
            let parent = ebs.snapshot_id.as_ref().map(|id| self.arns.ec2("snapshot", id));
            set_some(&mut context, "ec2:AvailabilityZone", zone.as_ref());
            set(&mut context, "ec2:Encrypted", ec2.encrypt_by_default || ebs.encrypted.unwrap_or(false));
            set_some(&mut context, "ec2:ParentSnapshot", parent);
            set_some(&mut context, "ec2:VolumeIops", ebs.iops);
            set_some(&mut context, "ec2:VolumeSize", ebs.size);
            set_some(&mut context, "ec2:VolumeThroughput", ebs.throughput);
            set(&mut context, "ec2:VolumeType", ebs.kind.as_deref().unwrap_or("gp2"));
            self.created("volume", NEW, &tags("volume"), context);
        }
        for ebs in data.devices.iter().filter_map(|device| device.ebs.as_ref()) {
            if let Some(id) = &ebs.snapshot_id {
                self.existing("snapshot", id, Context::new());
            }
        }
        if data.spot.is_some() {
            let kind = "spot-instances-request";
            self.created(kind, NEW, &tags(kind), Context::new());
        }
        if let Some(profile) = &data.profile {
            let name = profile.rsplit('/').next().unwrap_or(profile);
            let role = self.cloud.iam.role_of(name);
            let mut context = Context::new();
            let china = if self.arns.partition() == "aws-cn" { ".cn" } else { "" };
            set(&mut context, "iam:PassedToService", format_args!("ec2.amazonaws.com{china}"));
            self.check_of(table::PASS_ROLE.to_owned(), self.arns.role(&role), context);
        }
        Ok(())
    }

    /// The ARN of an instance profile.
    fn profile(&self, name: &str) -> String {
        if name.starts_with("arn:") {
            return name.to_owned();
        }
        format!("arn:{}:iam::{}:instance-profile/{name}", self.arns.partition(), self.arns.place.account)
    }

    /// A parameter of Systems Manager.
    fn parameter(&mut self, name: &str, mut context: Context) {
        let public = name.starts_with("/aws/");
        if let Some(region) = self.region() {
            for (key, value) in region.ssm.parameter_tags(name) {
                set(&mut context, &format!("aws:ResourceTag/{key}"), value);
                set(&mut context, &format!("ssm:resourceTag/{key}"), value);
            }
        }
        self.check(self.arns.ssm("parameter", name.trim_start_matches('/'), public), context);
    }

    /// Tagging is asked about as an action of its own.
    fn written_parameter(&mut self) {
        let tags = self.body_tags();
        for name in self.body_texts("Name") {
            let mut context = Context::new();
            set_request_tags(&mut context, &tags);
            set(&mut context, "ssm:Overwrite", self.body["Overwrite"].as_bool().unwrap_or(false));
            self.parameter(&name, context);
            if !tags.is_empty() {
                let mut context = Context::new();
                set_request_tags(&mut context, &tags);
                let arn = self.arns.ssm("parameter", name.trim_start_matches('/'), false);
                self.check_of("ssm:AddTagsToResource".to_owned(), arn, context);
            }
        }
    }

    /// A document of AWS, and the instances that it runs on.
    fn command(&mut self) {
        for name in self.body_texts("DocumentName") {
            let public = name.starts_with("AWS-");
            self.check(self.arns.ssm("document", &name, public), Context::new());
        }
        for id in self.body_texts("InstanceIds") {
            let mut context = Context::new();
            for (key, value) in self.world.tags(&self.arns.place, &id) {
                set(&mut context, &format!("aws:ResourceTag/{key}"), value);
                set(&mut context, &format!("ssm:resourceTag/{key}"), value);
            }
            self.check(self.arns.ec2("instance", &id), context);
        }
    }

    /// A text or the texts of a list in a JSON body.
    fn body_texts(&self, field: &str) -> Vec<String> {
        match &self.body[field] {
            Value::Array(values) => values.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            value => value.as_str().map(str::to_owned).into_iter().collect(),
        }
    }

    /// `Tags` of a JSON body.
    fn body_tags(&self) -> Tags {
        let tag = |tag: &Value| Some((tag["Key"].as_str()?.to_owned(), tag["Value"].as_str()?.to_owned()));
        self.body["Tags"].as_array().into_iter().flatten().filter_map(tag).collect()
    }
}

/// What a parameter names: one id, or a list.
fn names(params: &Params<'_>, name: &str) -> Result<Vec<String>, ApiError> {
    params.text(name).map_or_else(|| params.texts(name), |id| Ok(vec![id]))
}

/// `Tag.N.Key`, `Tag.N.Value`.
fn tags(params: &Params<'_>) -> Result<Tags, ApiError> {
    let tags = params.list("Tag")?;
    tags.iter().map(|tag| Ok((tag.required("Key")?, tag.text("Value").unwrap_or_default()))).collect()
}

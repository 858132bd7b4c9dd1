//! Before anything is created: the source is pinned, and what EC2 would refuse later is found now.

use super::{
    AmiBuilder,
    ami::{self, Ami},
    client::{Region, filter, tags},
    kind::OWNER,
    request::{InstanceRequest, Purpose, instance_tags, security_group},
    settings::{Candidate, Encryption, check_tags},
};
use crate::{error::sdk_error, tag};
use aws_sdk_ec2::types::{ArchitectureType, Image as Ec2Image, InstanceType, Subnet};
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use image_core::{
    Architecture, BuildSpec, Cached, Checked, ContentDigest, Context, Error, ErrorKind, Fingerprint, Handle, Image,
    ImageKind, Result, Role, Source, State,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error as StdError,
};

/// What `check` found, for the calls after it.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) ami: Ami,
    pub(crate) vpc: String,
}

impl AmiBuilder {
    pub(super) async fn check_build(&self, cx: &Context, spec: &BuildSpec) -> Result<Checked> {
        self.source.check()?;
        self.settings.check()?;
        check_tags("labels", &self.tags(spec.labels.clone()))?;
        let region = self.region();
        let (ami, vpc, architectures, ()) = cx
            .race(async {
                tokio::try_join!(
                    self.resolve(cx, &region, spec),
                    self.check_subnets(cx, &region),
                    self.architectures(&region),
                    self.check_encryption(cx, &region),
                )
            })
            .await?;
        let architecture = ami.platform.architecture;
        if let Some(wanted) = spec.architecture.filter(|wanted| *wanted != architecture) {
            return Err(Error::invalid(
                "architecture",
                wanted,
                format!("{architecture}, which image {} is for", ami.id),
            ));
        }
        check_architectures(&self.settings.candidates, &architectures, &ami)?;
        self.check_sizes(&ami)?;
        cx.race(self.check_permissions(&region, &ami, &vpc)).await?;

        let name = spec.source.as_ref().map_or_else(|| self.source.to_string(), ToString::to_string);
        let source = Source::new(name, &ami.id);
        let fingerprint = Fingerprint::of(OWNER, &(self.settings.fingerprint(), &ami.id, &spec.labels))?;
        let platform = ami.platform.clone();
        let plan = Handle::new(Plan { ami, vpc });
        Ok(Checked::new(source, platform, Some(fingerprint), self.place.to_string(), plan))
    }

    async fn resolve(&self, cx: &Context, region: &Region, spec: &BuildSpec) -> Result<Ami> {
        match &spec.source {
            None => self.source.resolve(cx, region, spec.architecture).await,
            Some(image) => {
                self.check_image(image)?;
                Ami::describe(region, &image.id).await
            }
        }
    }

    /// The VPC of all candidates.
    pub(super) async fn vpc(&self, region: &Region) -> Result<String> {
        let subnets = self.subnets(region).await?;
        one_vpc(&subnets)
    }

    async fn subnets(&self, region: &Region) -> Result<Vec<Subnet>> {
        let wanted: BTreeSet<&str> = self.settings.candidates.iter().map(|c| c.subnet.as_str()).collect();
        let client = region.client().await?;
        let call = client.describe_subnets().filters(filter("subnet-id", &wanted)).max_results(1000);
        let (mut pages, mut subnets) = (call.into_paginator().send(), vec![]);
        while let Some(page) = pages.next().await {
            let page = page.map_err(|e| sdk_error("ec2:DescribeSubnets", &region.place, e))?;
            subnets.extend(page.subnets.unwrap_or_default());
        }
        let missing = wanted.iter().find(|id| !subnets.iter().any(|subnet| subnet.subnet_id() == Some(**id)));
        match missing {
            Some(id) => Err(Error::invalid("subnet", id, format!("a subnet that account {} sees", region.place))),
            None => Ok(subnets),
        }
    }

    async fn check_subnets(&self, cx: &Context, region: &Region) -> Result<String> {
        let subnets = self.subnets(region).await?;
        for subnet in &subnets {
            let id = subnet.subnet_id().unwrap_or_default();
            if subnet.map_public_ip_on_launch() == Some(true) && !self.settings.public_ip {
                cx.message(format!("{id} gives instances a public address; builds in it are launched without one"));
            }
            if subnet.assign_ipv6_address_on_creation() == Some(true) {
                cx.message(format!("{id} gives instances an IPv6 address; it stays without an inbound rule"));
            }
        }
        one_vpc(&subnets)
    }

    /// What instance types are for; those that EC2 does not know make it an error.
    async fn architectures(&self, region: &Region) -> Result<BTreeMap<String, Vec<ArchitectureType>>> {
        let types: BTreeSet<&str> = self.settings.candidates.iter().map(|c| c.instance_type.as_str()).collect();
        let client = region.client().await?;
        let call = client.describe_instance_types();
        let call = call.set_instance_types(Some(types.into_iter().map(InstanceType::from).collect()));
        let (mut pages, mut known) = (call.into_paginator().send(), BTreeMap::new());
        while let Some(page) = pages.next().await {
            let page = page.map_err(|e| sdk_error("ec2:DescribeInstanceTypes", &region.place, e))?;
            for info in page.instance_types() {
                let architectures = info.processor_info().map(|processor| processor.supported_architectures().to_vec());
                let name = info.instance_type().map_or_else(String::new, |name| name.as_str().to_owned());
                known.insert(name, architectures.unwrap_or_default());
            }
        }
        Ok(known)
    }

    async fn check_encryption(&self, cx: &Context, region: &Region) -> Result<()> {
        if self.settings.encryption != Encryption::Account {
            return Ok(());
        }
        let client = region.client().await?;
        let answer = client.get_ebs_encryption_by_default().send().await;
        let answer = answer.map_err(|e| sdk_error("ec2:GetEbsEncryptionByDefault", &region.place, e))?;
        if answer.ebs_encryption_by_default() == Some(true) {
            cx.message(format!("{} encrypts every volume by default, and so this image", region.place));
        } else {
            cx.warn("the image is not encrypted, as its settings ask for");
        }
        Ok(())
    }

    /// No volume can be smaller than the snapshot that it is made of.
    fn check_sizes(&self, ami: &Ami) -> Result<()> {
        if self.settings.volumes.contains_key(&ami.root_device) {
            let accepted = format!("another device: this is the root of image {}, which root_volume sets", ami.id);
            return Err(Error::invalid("data_volume", &ami.root_device, accepted));
        }
        let data =
            self.settings.volumes.iter().map(|(device, volume)| (format!("data_volume {device}"), device, volume));
        for (field, device, volume) in data.chain([("root_volume".into(), &ami.root_device, &self.settings.root)]) {
            let least = ami.volumes.get(device).map_or(0, |volume| volume.gib);
            if let Some(size) = volume.size().filter(|size| *size < least) {
                let accepted = format!("{least} GiB, which image {} has, and more", ami.id);
                return Err(Error::invalid(&format!("{field} size"), size, accepted));
            }
        }
        Ok(())
    }

    /// Asks EC2 whether it would do what a launch needs, without doing it. The group of the instance does not exist yet, so
    /// that its place in the request is empty.
    async fn check_permissions(&self, region: &Region, ami: &Ami, vpc: &str) -> Result<()> {
        let Some(candidate) = self.settings.candidates.first() else { return Ok(()) };
        let sample = self.tags(BTreeMap::from([
            (tag::RUN.to_owned(), "dry-run".to_owned()),
            (tag::TOKEN.to_owned(), "dry-run".to_owned()),
            (tag::STATE.to_owned(), State::Temporary.as_str().to_owned()),
            (tag::EXPIRES.to_owned(), "0".to_owned()),
        ]));
        let client = region.client().await?;
        let request = InstanceRequest {
            settings: &self.settings,
            ami,
            candidate,
            purpose: Purpose::Build,
            security_groups: &self.settings.security_groups,
            user_data: "",
        };
        let instance = request.build().set_tag_specifications(Some(instance_tags(&self.settings.market, &sample)));
        let answer = instance.dry_run(true).send_with(&client).await;
        would_do("ec2:RunInstances", region, answer.map(drop))?;
        if self.settings.security_groups.is_empty() {
            let group = security_group(vpc, "dry-run", &sample);
            let answer = group.dry_run(true).send_with(&client).await;
            would_do("ec2:CreateSecurityGroup", region, answer.map(drop))?;
        }
        Ok(())
    }

    /// An available image of our own account, kept or a layer that has not expired, with this fingerprint.
    pub(super) async fn find_committed(
        &self,
        cx: &Context,
        checked: &Checked,
        fingerprint: &Fingerprint,
    ) -> Result<Option<Cached>> {
        let region = self.region();
        let client = region.client().await?;
        let call = client
            .describe_images()
            .owners("self")
            .filters(filter(&format!("tag:{}", tag::FINGERPRINT), [fingerprint.as_str()]))
            .filters(filter(&format!("tag:{}", tag::STATE), [State::Kept.as_str(), State::Layer.as_str()]))
            .filters(filter("state", ["available"]))
            .max_results(1000);
        let (mut pages, mut found) = (call.into_paginator().send(), vec![]);
        while let Some(page) = pages.next().await {
            let page = page.map_err(|e| sdk_error("ec2:DescribeImages", &region.place, e))?;
            found.extend(page.images.unwrap_or_default());
        }
        // The newest, so that two runs that look agree.
        found.sort_by(|a, b| (b.creation_date(), b.image_id()).cmp(&(a.creation_date(), a.image_id())));
        for image in found {
            let role = match tag::read(&tags(image.tags())) {
                Some((State::Kept, _)) => Role::Image,
                Some((State::Layer, expires)) if expires.is_none_or(|at| at > cx.now()) => Role::Layer,
                _ => continue,
            };
            // Whoever is to look at the filters of the service need not trust it with this.
            let ours = image.owner_id() == Some(self.place.account.as_str());
            if ours && Ami::read(&image).is_ok_and(|ami| ami.platform == checked.platform) {
                return Ok(Some(Cached::new(self.image_of(&image, checked)?, role)));
            }
        }
        Ok(None)
    }

    /// An AMI as the core knows it. Its parts are its snapshots by device.
    pub(super) fn image_of(&self, image: &Ec2Image, checked: &Checked) -> Result<Image> {
        let id = image.image_id().ok_or_else(|| Error::bug("ec2:DescribeImages gives an image without an id"))?;
        let platform = checked.platform.clone();
        let reason = "the blocks of its snapshots were not read".to_owned();
        let made = Image::new(ImageKind::Machine, OWNER, self.place.scope(), &self.place.region, id, platform)
            .with_digest(ContentDigest::Unavailable { reason });
        let parts = ami::volumes(image).into_iter().filter_map(|(device, volume)| Some((device, volume.snapshot?)));
        Ok(parts.fold(made, |made, (device, snapshot)| made.with_part(device, snapshot)))
    }

    /// Tags of a create with those of the settings; the former win.
    pub(super) fn tags(&self, own: BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut all = self.settings.tags.clone();
        all.extend(own);
        all
    }
}

/// The one VPC of all subnets: a security group is of one.
fn one_vpc(subnets: &[Subnet]) -> Result<String> {
    let vpcs: BTreeSet<&str> = subnets.iter().filter_map(Subnet::vpc_id).collect();
    match vpcs.iter().collect::<Vec<_>>()[..] {
        [vpc] => Ok((*vpc).to_owned()),
        _ => {
            let found = vpcs.into_iter().collect::<Vec<_>>().join(", ");
            Err(Error::invalid("candidates", found, "subnets of one VPC"))
        }
    }
}

fn check_architectures(
    candidates: &[Candidate],
    known: &BTreeMap<String, Vec<ArchitectureType>>,
    ami: &Ami,
) -> Result<()> {
    let wanted = match ami.platform.architecture {
        Architecture::Aarch64 => ArchitectureType::Arm64,
        _ => ArchitectureType::X8664,
    };
    for Candidate { instance_type, .. } in candidates {
        let Some(architectures) = known.get(instance_type) else {
            return Err(Error::invalid("instance_type", instance_type, "a type that the region has"));
        };
        if !architectures.contains(&wanted) {
            let runs: Vec<&str> = architectures.iter().map(ArchitectureType::as_str).collect();
            let accepted =
                format!("types for {wanted}, which image {} needs; this one runs {}", ami.id, runs.join(", "));
            return Err(Error::invalid("instance_type", instance_type, accepted));
        }
    }
    Ok(())
}

/// A dry run ends in an error: the one that says that it would have worked, or the refusal.
fn would_do<E>(operation: &'static str, region: &Region, answer: Result<(), SdkError<E, HttpResponse>>) -> Result<()>
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    match answer {
        Err(e) if e.code() == Some("DryRunOperation") => Ok(()),
        Err(e) => Err(sdk_error(operation, &region.place, e)),
        Ok(()) => Err(Error::new(ErrorKind::Internal, format!("{operation} did what it was asked only to try"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::ami::tests::image;

    #[test]
    fn instance_types_must_be_for_the_architecture_of_the_image() {
        let ami = Ami::read(&image().build()).unwrap();
        let known = BTreeMap::from([
            ("m7i.large".to_owned(), vec![ArchitectureType::X8664]),
            ("m7g.large".to_owned(), vec![ArchitectureType::Arm64]),
            ("t3.small".to_owned(), vec![ArchitectureType::I386, ArchitectureType::X8664]),
        ]);
        let candidates = |types: &[&str]| -> Vec<Candidate> {
            let one = |name: &&str| Candidate { instance_type: (*name).into(), subnet: String::new() };
            types.iter().map(one).collect()
        };
        check_architectures(&candidates(&["m7i.large", "t3.small"]), &known, &ami).unwrap();
        let wrong = check_architectures(&candidates(&["m7i.large", "m7g.large"]), &known, &ami).unwrap_err();
        insta::assert_snapshot!(wrong, @"instance_type is `m7g.large`; accepted: types for x86_64, which image ami-0123456789abcdef0 needs; this one runs arm64");
        let unknown = check_architectures(&candidates(&["x9z.large"]), &known, &ami).unwrap_err();
        insta::assert_snapshot!(unknown, @"instance_type is `x9z.large`; accepted: a type that the region has");
    }

    #[test]
    fn candidates_are_of_one_vpc() {
        let subnet = |id: &str, vpc: &str| Subnet::builder().subnet_id(id).vpc_id(vpc).build();
        assert_eq!(one_vpc(&[subnet("a", "vpc-1"), subnet("b", "vpc-1")]).unwrap(), "vpc-1");
        let error = one_vpc(&[subnet("a", "vpc-1"), subnet("b", "vpc-2")]).unwrap_err();
        assert_eq!(error.to_string(), "candidates is `vpc-1, vpc-2`; accepted: subnets of one VPC");
    }
}

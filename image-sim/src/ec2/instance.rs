//! Instances.

mod attribute;
mod describe;
pub(crate) mod launch_data;
mod lifecycle;
mod run;

use std::sync::Arc;

use jiff::Timestamp;
use tokio::task::AbortHandle;

use super::State;
use super::action::Handler;
use super::tags::{self, Tags};
use crate::body::Body;
use crate::clock::iso;
use crate::xml::Xml;
use launch_data::Metadata;

pub(crate) fn handler(action: &str) -> Option<Handler> {
    [run::handler, describe::handler, lifecycle::handler, attribute::handler].iter().find_map(|family| family(action))
}

/// An instance.
#[derive(Debug, Clone)]
pub(crate) struct Instance {
    pub(crate) id: String,
    pub(crate) reservation: String,
    /// Its number in the reservation.
    pub(crate) index: u32,
    pub(crate) image_id: String,
    pub(crate) instance_type: String,
    pub(crate) architecture: String,
    pub(crate) key_name: Option<String>,
    pub(crate) vpc_id: String,
    pub(crate) subnet_id: String,
    pub(crate) zone: String,
    pub(crate) interface_id: String,
    pub(crate) private_ip: String,
    pub(crate) public_ip: Option<String>,
    /// Ids and names.
    pub(crate) groups: Vec<(String, String)>,
    /// The ARN.
    pub(crate) profile: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) root_device: String,
    pub(crate) ena: bool,
    pub(crate) sriov: Option<String>,
    pub(crate) boot_mode: Option<String>,
    pub(crate) tpm: Option<String>,
    pub(crate) uefi_data: Option<String>,
    pub(crate) imds: Option<String>,
    /// As sent: base64.
    pub(crate) user_data: Option<String>,
    /// Whether it terminates when it shuts itself down; it stops otherwise.
    pub(crate) shutdown_terminates: bool,
    pub(crate) disable_api_termination: bool,
    pub(crate) ebs_optimized: bool,
    pub(crate) monitoring: bool,
    /// The request of a Spot instance.
    pub(crate) spot: Option<SpotRequest>,
    pub(crate) token: Option<String>,
    pub(crate) launched: Timestamp,
    pub(crate) phase: Phase,
    pub(crate) reason: Option<Reason>,
    pub(crate) body: Option<Arc<dyn Body>>,
    /// Waits for the instance to shut itself down.
    pub(crate) watch: Option<Arc<Watch>>,
}

/// What a Spot instance was launched for.
#[derive(Debug, Clone)]
pub(crate) struct SpotRequest {
    pub(crate) id: String,
    /// Whether it launches again, and its instances may be stopped.
    pub(crate) persistent: bool,
}

/// A task that ends with its instance.
#[derive(Debug)]
pub(crate) struct Watch(pub(crate) AbortHandle);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Where an instance is going, and whether it is there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Phase {
    pub(crate) goal: Goal,
    /// When it is there, provided that its body is.
    pub(crate) at: Timestamp,
    /// Whether its body still starts or stops.
    pub(crate) working: bool,
    /// Counts the phases, so that work of an earlier one is known as such.
    pub(crate) generation: u32,
}

/// What an instance ends up as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    Running,
    Stopped,
    Terminated,
}

/// Why an instance is what it is.
#[derive(Debug, Clone)]
pub(crate) struct Reason {
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl Instance {
    /// `pending`, `running`, `stopping`, `stopped`, `shutting-down` or `terminated`.
    pub(crate) fn state(&self, now: Timestamp) -> &'static str {
        match (self.phase.goal, self.settled(now)) {
            (Goal::Running, false) => "pending",
            (Goal::Running, true) => "running",
            (Goal::Stopped, false) => "stopping",
            (Goal::Stopped, true) => "stopped",
            (Goal::Terminated, false) => "shutting-down",
            (Goal::Terminated, true) => "terminated",
        }
    }

    fn settled(&self, now: Timestamp) -> bool {
        !self.phase.working && self.phase.at <= now
    }

    /// Whether it runs, and for how long it has.
    pub(crate) fn running_since(&self, now: Timestamp) -> Option<Timestamp> {
        (self.phase.goal == Goal::Running && self.settled(now)).then_some(self.phase.at)
    }

    /// Begins another phase and gives its number.
    pub(crate) fn enter(&mut self, goal: Goal, at: Timestamp, working: bool) -> u32 {
        let generation = self.phase.generation.wrapping_add(1);
        self.phase = Phase { goal, at, working, generation };
        generation
    }

    fn write(&self, xml: &mut Xml, ec2: &State, tags: &Tags, account: &str, now: Timestamp) {
        let state = self.state(now);
        let present = state != "terminated";
        xml.text("instanceId", &self.id);
        xml.text("imageId", &self.image_id);
        write_state(xml, "instanceState", state);
        xml.text("privateDnsName", if present { dns_name(&self.private_ip) } else { String::new() });
        xml.text("dnsName", "");
        let reason = self.reason.as_ref();
        xml.text("reason", reason.map_or("", |reason| &reason.message));
        xml.optional("keyName", self.key_name.as_ref());
        xml.text("amiLaunchIndex", self.index);
        xml.element("productCodes", |_| ());
        xml.text("instanceType", &self.instance_type);
        xml.text("launchTime", iso(self.launched));
        xml.element("placement", |xml| {
            xml.text("availabilityZone", &self.zone);
            xml.text("groupName", "");
            xml.text("tenancy", "default");
        });
        xml.element("monitoring", |xml| xml.text("state", if self.monitoring { "enabled" } else { "disabled" }));
        if present {
            xml.text("subnetId", &self.subnet_id);
            xml.text("vpcId", &self.vpc_id);
            xml.text("privateIpAddress", &self.private_ip);
            xml.optional("ipAddress", self.public_ip.as_ref());
            write_groups(xml, &self.groups);
        }
        if let Some(reason) = reason {
            xml.element("stateReason", |xml| {
                xml.text("code", reason.code);
                xml.text("message", format_args!("{}: {}", reason.code, reason.message));
            });
        }
        xml.text("architecture", &self.architecture);
        xml.text("rootDeviceType", "ebs");
        xml.text("rootDeviceName", &self.root_device);
        xml.items("blockDeviceMapping", ec2.attached_to(&self.id), |xml, (device, volume)| {
            let Some(at) = &volume.attachment else { return };
            xml.text("deviceName", device);
            xml.element("ebs", |xml| {
                xml.text("volumeId", &volume.id);
                xml.text("status", "attached");
                xml.text("attachTime", iso(at.attached));
                xml.text("deleteOnTermination", at.delete_on_termination);
            });
        });
        xml.text("virtualizationType", "hvm");
        xml.text("hypervisor", "xen");
        xml.optional("clientToken", self.token.as_ref());
        xml.text("ebsOptimized", self.ebs_optimized);
        xml.text("enaSupport", self.ena);
        xml.optional("sriovNetSupport", self.sriov.as_ref());
        xml.optional("bootMode", self.boot_mode.as_ref());
        xml.optional("tpmSupport", self.tpm.as_ref());
        if let Some(arn) = &self.profile {
            xml.element("iamInstanceProfile", |xml| {
                xml.text("arn", arn);
                let id = crate::world::seeded_id("AIPA", &[arn]).replace('-', "").to_ascii_uppercase();
                xml.text("id", id);
            });
        }
        if let Some(request) = &self.spot {
            xml.text("instanceLifecycle", "spot");
            xml.text("spotInstanceRequestId", &request.id);
        }
        xml.element("metadataOptions", |xml| {
            self.metadata.write(xml, if state == "pending" { "pending" } else { "applied" })
        });
        if present {
            xml.items("networkInterfaceSet", [()], |xml, ()| self.write_interface(xml, account));
        }
        tags::write(xml, tags);
    }

    fn write_interface(&self, xml: &mut Xml, account: &str) {
        xml.text("networkInterfaceId", &self.interface_id);
        xml.text("subnetId", &self.subnet_id);
        xml.text("vpcId", &self.vpc_id);
        xml.text("ownerId", account);
        xml.text("status", "in-use");
        xml.text("privateIpAddress", &self.private_ip);
        xml.text("sourceDestCheck", true);
        xml.text("interfaceType", "interface");
        write_groups(xml, &self.groups);
        xml.element("attachment", |xml| {
            xml.text("attachmentId", self.interface_id.replace("eni-", "eni-attach-"));
            xml.text("deviceIndex", 0);
            xml.text("status", "attached");
            xml.text("attachTime", iso(self.launched));
            xml.text("deleteOnTermination", true);
        });
        if let Some(ip) = &self.public_ip {
            xml.element("association", |xml| {
                xml.text("publicIp", ip);
                xml.text("ipOwnerId", "amazon");
            });
        }
    }
}

fn dns_name(ip: &str) -> String {
    format!("ip-{}.ec2.internal", ip.replace('.', "-"))
}

fn write_groups(xml: &mut Xml, groups: &[(String, String)]) {
    xml.items("groupSet", groups, |xml, (id, name)| {
        xml.text("groupId", id);
        xml.text("groupName", name);
    });
}

/// A state with the number that EC2 has for it.
fn write_state(xml: &mut Xml, element: &str, name: &str) {
    xml.element(element, |xml| {
        xml.text("code", code(name));
        xml.text("name", name);
    });
}

fn code(state: &str) -> u8 {
    match state {
        "pending" => 0,
        "running" => 16,
        "shutting-down" => 32,
        "terminated" => 48,
        "stopping" => 64,
        _ => 80,
    }
}

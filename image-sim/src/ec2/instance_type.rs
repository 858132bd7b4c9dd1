//! Instance types and where they are offered.

use super::action::{Action, Cx, Handler, act};
use super::describe::{Filters, Page, one};
use super::region::zones;
use crate::error::ApiError;
use crate::query::Params;
use crate::xml::Xml;

pub(crate) fn handler(action: &str) -> Option<Handler> {
    Some(match action {
        "DescribeInstanceTypes" => act::<DescribeInstanceTypes>,
        "DescribeInstanceTypeOfferings" => act::<DescribeInstanceTypeOfferings>,
        _ => return None,
    })
}

/// Families: name, architecture, GiB of memory for each vCPU of a `large`, whether burstable.
const FAMILIES: [(&str, &str, u32, bool); 17] = [
    ("t3", "x86_64", 4, true),
    ("t3a", "x86_64", 4, true),
    ("t4g", "arm64", 4, true),
    ("c5", "x86_64", 2, false),
    ("c6i", "x86_64", 2, false),
    ("c7i", "x86_64", 2, false),
    ("c6g", "arm64", 2, false),
    ("c7g", "arm64", 2, false),
    ("m5", "x86_64", 4, false),
    ("m6i", "x86_64", 4, false),
    ("m7i", "x86_64", 4, false),
    ("m6g", "arm64", 4, false),
    ("m7g", "arm64", 4, false),
    ("r5", "x86_64", 8, false),
    ("r6i", "x86_64", 8, false),
    ("r6g", "arm64", 8, false),
    ("r7g", "arm64", 8, false),
];

/// An instance type. All are of the Nitro system: HVM, and ENA required.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InstanceType {
    pub(crate) name: String,
    pub(crate) architecture: &'static str,
    vcpus: u32,
    memory_mib: u32,
    burstable: bool,
}

/// Every type.
fn all() -> Vec<InstanceType> {
    let of_family = |(family, architecture, ratio, burstable): (&str, &'static str, u32, bool)| {
        let sizes: &[(&str, u32, u32)] = match burstable {
            true => &[
                ("nano", 2, 512),
                ("micro", 2, 1024),
                ("small", 2, 2048),
                ("medium", 2, 4096),
                ("large", 2, 8192),
                ("xlarge", 4, 16384),
                ("2xlarge", 8, 32768),
            ],
            false => &[("large", 2, 0), ("xlarge", 4, 0), ("2xlarge", 8, 0), ("4xlarge", 16, 0)],
        };
        let with_size = move |(size, vcpus, memory): &(&str, u32, u32)| InstanceType {
            name: format!("{family}.{size}"),
            architecture,
            vcpus: *vcpus,
            memory_mib: if burstable { *memory } else { vcpus * ratio * 1024 },
            burstable,
        };
        sizes.iter().map(with_size).collect::<Vec<_>>()
    };
    FAMILIES.into_iter().flat_map(of_family).collect()
}

/// The type with this name.
pub(crate) fn find(name: &str) -> Result<InstanceType, ApiError> {
    all()
        .into_iter()
        .find(|known| known.name == name)
        .ok_or_else(|| ApiError::new("InvalidParameterValue", format!("Invalid value '{name}' for InstanceType.")))
}

impl InstanceType {
    fn field(&self, name: &str) -> Vec<String> {
        match name {
            "instance-type" => one(&self.name),
            "processor-info.supported-architecture" => one(self.architecture),
            "vcpu-info.default-vcpus" => one(self.vcpus),
            "memory-info.size-in-mib" => one(self.memory_mib),
            "burstable-performance-supported" => one(self.burstable),
            "hypervisor" => one("nitro"),
            "supported-boot-mode" if self.architecture == "arm64" => one("uefi"),
            "supported-boot-mode" => vec!["legacy-bios".to_owned(), "uefi".to_owned()],
            "supported-usage-class" => vec!["on-demand".to_owned(), "spot".to_owned()],
            "supported-virtualization-type" => one("hvm"),
            "bare-metal" => one(false),
            _ => one(true),
        }
    }

    fn write(&self, xml: &mut Xml) {
        xml.text("instanceType", &self.name);
        xml.text("currentGeneration", true);
        xml.text("freeTierEligible", self.name.ends_with(".micro"));
        xml.texts("supportedUsageClasses", self.field("supported-usage-class"));
        xml.texts("supportedRootDeviceTypes", ["ebs"]);
        xml.texts("supportedVirtualizationTypes", ["hvm"]);
        xml.text("bareMetal", false);
        xml.text("hypervisor", "nitro");
        xml.element("processorInfo", |xml| xml.texts("supportedArchitectures", [self.architecture]));
        xml.element("vCpuInfo", |xml| xml.text("defaultVCpus", self.vcpus));
        xml.element("memoryInfo", |xml| xml.text("sizeInMiB", self.memory_mib));
        xml.text("instanceStorageSupported", false);
        xml.element("ebsInfo", |xml| {
            xml.text("ebsOptimizedSupport", "default");
            xml.text("encryptionSupport", "supported");
            xml.text("nvmeSupport", "required");
        });
        xml.element("networkInfo", |xml| {
            xml.text("maximumNetworkInterfaces", 3);
            xml.text("enaSupport", "required");
        });
        xml.text("burstablePerformanceSupported", self.burstable);
        xml.texts("supportedBootModes", self.field("supported-boot-mode"));
        xml.text("nitroTpmSupport", "supported");
    }
}

struct DescribeInstanceTypes {
    names: Vec<String>,
    filters: Filters,
    page: Page,
}

impl Action for DescribeInstanceTypes {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        let names = params.texts("InstanceType")?;
        let filters = [
            "bare-metal",
            "burstable-performance-supported",
            "current-generation",
            "hypervisor",
            "instance-type",
            "memory-info.size-in-mib",
            "processor-info.supported-architecture",
            "supported-boot-mode",
            "supported-usage-class",
            "supported-virtualization-type",
            "vcpu-info.default-vcpus",
        ];
        let page = Page::parse(params, !names.is_empty())?;
        Ok(Self { filters: Filters::parse(params, &filters)?, page, names })
    }

    fn run(self, _cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let all = all();
        let unknown: Vec<_> =
            self.names.iter().filter(|name| !all.iter().any(|known| known.name == **name)).cloned().collect();
        if !unknown.is_empty() {
            let message = format!("The following supplied instance types do not exist: [{}]", unknown.join(", "));
            return Err(ApiError::new("InvalidInstanceType", message));
        }
        let wanted = |kind: &InstanceType| {
            (self.names.is_empty() || self.names.contains(&kind.name))
                && self.filters.match_all(&Default::default(), |name| kind.field(name))
        };
        let rows = all.into_iter().filter(wanted).map(|kind| (kind.name.clone(), kind)).collect();
        let (rows, next) = self.page.cut(rows);
        xml.items("instanceTypeSet", rows, |xml, kind| kind.write(xml));
        xml.optional("nextToken", next);
        Ok(())
    }
}

struct DescribeInstanceTypeOfferings {
    zones: bool,
    filters: Filters,
    page: Page,
}

impl Action for DescribeInstanceTypeOfferings {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        let location = params.one_of("LocationType", &["region", "availability-zone"])?;
        Ok(Self {
            zones: location.as_deref() == Some("availability-zone"),
            filters: Filters::parse(params, &["instance-type", "location"])?,
            page: Page::parse(params, false)?,
        })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let region = cx.place.region.clone();
        let (locations, kind) = match self.zones {
            true => (zones(&region).to_vec(), "availability-zone"),
            false => (vec![region], "region"),
        };
        let mut rows = Vec::new();
        for instance_type in all() {
            for location in &locations {
                let field = |name: &str| match name {
                    "location" => one(location),
                    _ => one(&instance_type.name),
                };
                if self.filters.match_all(&Default::default(), field) {
                    let row = (instance_type.name.clone(), location.clone());
                    rows.push((format!("{}\n{}", row.0, row.1), row));
                }
            }
        }
        let (rows, next) = self.page.cut(rows);
        xml.items("instanceTypeOfferingSet", rows, |xml, (name, location)| {
            xml.text("instanceType", name);
            xml.text("locationType", kind);
            xml.text("location", location);
        });
        xml.optional("nextToken", next);
        Ok(())
    }
}

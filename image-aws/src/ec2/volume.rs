//! Volumes of the build instance, which become the snapshots of the image.

use aws_sdk_ec2::types::{VolumeType, builders::EbsBlockDeviceBuilder};
use image_core::{Error, Result};

/// A gp3 volume. How fast it is does not change the image, but how long its snapshots take.
///
/// Limits: <https://docs.aws.amazon.com/ebs/latest/userguide/general-purpose.html>.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Volume {
    gib: Option<u32>,
    iops: Option<u32>,
    throughput: Option<u32>,
}

impl Volume {
    /// A volume of the source image's size.
    pub fn new() -> Self {
        Self::default()
    }
    /// Sets the size in GiB: 1 to 65536, and not less than that of the source image.
    #[must_use]
    pub fn gib(mut self, size: u32) -> Self {
        self.gib = Some(size);
        self
    }
    /// Sets the input and output operations a second: 3000, which gp3 always has, to 80000.
    #[must_use]
    pub fn iops(mut self, iops: u32) -> Self {
        self.iops = Some(iops);
        self
    }
    /// Sets the throughput in MiB a second: 125, which gp3 always has, to 2000.
    #[must_use]
    pub fn throughput(mut self, mebibytes: u32) -> Self {
        self.throughput = Some(mebibytes);
        self
    }
    pub(crate) fn size(&self) -> Option<u32> {
        self.gib
    }

    pub(crate) fn check(&self, field: &str) -> Result<()> {
        for (name, value, range) in [
            ("size", self.gib, 1..=65_536),
            ("iops", self.iops, 3_000..=80_000),
            ("throughput", self.throughput, 125..=2_000),
        ] {
            let Some(value) = value.filter(|value| !range.contains(value)) else { continue };
            return Err(Error::invalid(
                &format!("{field} {name}"),
                value,
                format!("{} to {}", range.start(), range.end()),
            ));
        }
        let iops = self.iops.unwrap_or(3_000);
        if let Some(gib) = self.gib.filter(|gib| iops > 3_000 && iops / 500 > *gib) {
            return Err(Error::invalid(&format!("{field} iops"), iops, format!("up to 500 a GiB, {} here", gib * 500)));
        }
        // A quarter of a MiB a second for each operation a second.
        if let Some(throughput) = self.throughput.filter(|throughput| *throughput > iops / 4) {
            let accepted = format!("up to a quarter of the {iops} iops");
            return Err(Error::invalid(&format!("{field} throughput"), throughput, accepted));
        }
        Ok(())
    }

    /// Writes what is set over what the image says.
    pub(crate) fn apply(&self, ebs: EbsBlockDeviceBuilder) -> EbsBlockDeviceBuilder {
        let number = |value: Option<u32>| value.and_then(|value| i32::try_from(value).ok());
        let mut ebs =
            ebs.volume_type(VolumeType::Gp3).set_iops(number(self.iops)).set_throughput(number(self.throughput));
        if self.gib.is_some() {
            ebs = ebs.set_volume_size(number(self.gib));
        }
        ebs
    }
}

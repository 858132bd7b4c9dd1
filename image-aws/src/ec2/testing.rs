//! A builder without a cloud behind it.

use super::{AmiBuilder, AmiSource, Connect, Ec2};
use crate::{ClientProvider, Place};
use aws_config::SdkConfig;
use image_core::{Capabilities, Context, Error, ErrorKind, Machine, Platform, Result, async_trait};
use std::sync::Arc;

#[derive(Debug)]
struct Nowhere;

#[async_trait]
impl ClientProvider for Nowhere {
    async fn config(&self, place: &Place) -> Result<SdkConfig> {
        Err(Error::new(ErrorKind::Unauthenticated, format!("no credentials for {place}")))
    }
}

#[async_trait]
impl Connect for Nowhere {
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }
    async fn connect(&self, _: &Context, _: &Place, id: &str, _: &Platform) -> Result<Arc<dyn Machine>> {
        Err(Error::new(ErrorKind::Unavailable, format!("nobody reaches {id}")))
    }
}

/// A builder with one candidate, whose calls all fail.
pub(crate) fn builder(place: &str, source: AmiSource) -> AmiBuilder {
    let ec2 = Ec2::new(Nowhere);
    AmiBuilder::new(&ec2, place.parse().unwrap(), source, Nowhere).candidate("m7i.large", "subnet-0123456789abcdef0")
}

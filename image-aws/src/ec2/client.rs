//! EC2 as the builders and distributors of one process see it: clients, one look a second for all that wait, and the request rates.

use super::{
    poll::{Describe, Poller},
    rate::Bucket,
};
use crate::{ClientProvider, Place, client::Clients, error::sdk_error};
use aws_sdk_ec2::{
    Client,
    types::{Filter, Image, Instance, Snapshot, Tag},
};
use image_core::{CreateError, Result, async_trait};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Values that one filter of a Describe call takes.
const FILTER_VALUES: usize = 200;

/// EC2, for all builders and distributors of a process that shares the clients of one [`ClientProvider`]. Clones are the same.
///
/// Those that are made of the same value wait together: however many they are, EC2 is asked once a second for the
/// states that they wait for, and instances are asked for no faster than EC2 grants.
#[derive(Clone, Debug)]
pub struct Ec2 {
    clients: Clients,
    regions: Arc<Mutex<BTreeMap<Place, Arc<Region>>>>,
}

impl Ec2 {
    /// EC2 by the clients of a provider.
    pub fn new(provider: impl ClientProvider) -> Self {
        Self { clients: Clients::new(Arc::new(provider)), regions: Arc::default() }
    }
    pub(crate) fn clients(&self) -> &Clients {
        &self.clients
    }
    /// A region of an account, the same for all that ask.
    pub(crate) fn region(&self, place: &Place) -> Arc<Region> {
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        let region = regions.entry(place.clone()).or_insert_with(|| Arc::new(Region::new(&self.clients, place)));
        Arc::clone(region)
    }
}

/// A region of an account.
#[derive(Debug)]
pub(crate) struct Region {
    pub(crate) place: Place,
    clients: Clients,
    pub(crate) images: Arc<Poller<Images>>,
    pub(crate) instances: Arc<Poller<Instances>>,
    pub(crate) snapshots: Arc<Poller<Snapshots>>,
    pub(crate) launches: Bucket,
    pub(crate) mutations: Bucket,
}

impl Region {
    fn new(clients: &Clients, place: &Place) -> Self {
        let caller = Caller { clients: clients.clone(), place: place.clone() };
        Self {
            place: place.clone(),
            clients: clients.clone(),
            images: Poller::new(Images(caller.clone())),
            instances: Poller::new(Instances(caller.clone())),
            snapshots: Poller::new(Snapshots(caller)),
            launches: Bucket::run_instances(),
            mutations: Bucket::mutating(),
        }
    }
    /// For calls that may be repeated.
    pub(crate) async fn client(&self) -> Result<Client> {
        self.clients.ec2(&self.place).await
    }
    /// Systems Manager's parameters.
    #[cfg(feature = "ssm")]
    pub(crate) async fn parameters(&self) -> Result<aws_sdk_ssm::Client> {
        self.clients.ssm(&self.place).await
    }
    /// For calls of the EBS direct APIs that may be repeated.
    #[cfg(feature = "ebs-direct")]
    pub(crate) async fn ebs(&self) -> Result<aws_sdk_ebs::Client> {
        self.clients.ebs(&self.place).await
    }
    /// For calls of the EBS direct APIs that their callers repeat.
    #[cfg(feature = "ebs-direct")]
    pub(crate) async fn ebs_once(&self) -> Result<aws_sdk_ebs::Client> {
        self.clients.ebs_once(&self.place).await
    }
    /// For calls that create; see [`Clients::ec2_once`]. Without a client nothing was asked for.
    pub(crate) async fn client_once(&self) -> Result<Client, CreateError> {
        self.clients.ec2_once(&self.place).await.map_err(CreateError::Rejected)
    }
    /// Systems Manager's parameters, for calls that change them.
    #[cfg(feature = "ssm")]
    pub(crate) async fn parameters_once(&self) -> Result<aws_sdk_ssm::Client, CreateError> {
        self.clients.ssm_once(&self.place).await.map_err(CreateError::Rejected)
    }
}

#[derive(Clone, Debug)]
struct Caller {
    clients: Clients,
    place: Place,
}

/// Makes a [`Describe`] of a paginated call that filters by ids.
macro_rules! describe {
    ($(#[$doc:meta])* $name:ident, $item:ty, $filter:literal, $operation:literal,
     |$client:ident| $call:expr, |$page:ident| $items:expr, |$one:ident| $id:expr) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub(crate) struct $name(Caller);

        #[async_trait]
        impl Describe for $name {
            type Item = $item;
            async fn describe(&self, ids: &[String]) -> Result<BTreeMap<String, Arc<$item>>> {
                let mut found = BTreeMap::new();
                let $client = self.0.clients.ec2(&self.0.place).await?;
                for ids in ids.chunks(FILTER_VALUES) {
                    let mut pages = $call.filters(filter($filter, ids)).max_results(1000).into_paginator().send();
                    while let Some($page) = pages.next().await {
                        let $page = $page.map_err(|e| sdk_error($operation, &self.0.place, e))?;
                        for $one in $items {
                            if let Some(id) = $id {
                                found.insert(id.to_owned(), Arc::new($one));
                            }
                        }
                    }
                }
                Ok(found)
            }
        }
    };
}

describe!(
    /// Instances of all states; a terminated one is seen for about an hour.
    Instances, Instance, "instance-id", "ec2:DescribeInstances",
    |client| client.describe_instances(),
    |page| page.reservations.unwrap_or_default().into_iter().flat_map(|r| r.instances.unwrap_or_default()),
    |instance| instance.instance_id()
);
describe!(
    /// Images of our own account.
    Images, Image, "image-id", "ec2:DescribeImages",
    |client| client.describe_images().owners("self"),
    |page| page.images.unwrap_or_default(),
    |image| image.image_id()
);
describe!(
    /// Snapshots of our own account.
    Snapshots, Snapshot, "snapshot-id", "ec2:DescribeSnapshots",
    |client| client.describe_snapshots().owner_ids("self"),
    |page| page.snapshots.unwrap_or_default(),
    |snapshot| snapshot.snapshot_id()
);

/// A filter of a Describe call.
pub(crate) fn filter<S: AsRef<str>>(name: &str, values: impl IntoIterator<Item = S>) -> Filter {
    let values = values.into_iter().map(|value| value.as_ref().to_owned()).collect();
    Filter::builder().name(name).set_values(Some(values)).build()
}

/// Tags as a map.
pub(crate) fn tags(list: &[Tag]) -> BTreeMap<String, String> {
    let pair = |tag: &Tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()));
    list.iter().filter_map(pair).collect()
}

//! Ids, and what EC2 answers about wrong ones.

use crate::error::ApiError;
use crate::query::Params;

/// A kind of resource, as ids and errors know it.
#[derive(Debug)]
pub(crate) struct Kind {
    /// As in tag specifications.
    pub(crate) name: &'static str,
    /// What its ids begin with, without the hyphen.
    pub(crate) prefix: &'static str,
    noun: &'static str,
    not_found: &'static str,
    malformed: &'static str,
}

macro_rules! kinds {
    ($($constant:ident: $name:literal $prefix:literal $noun:literal $not_found:literal $malformed:literal;)*) => {
        $(pub(crate) const $constant: Kind =
            Kind { name: $name, prefix: $prefix, noun: $noun, not_found: $not_found, malformed: $malformed };)*
        /// Every kind.
        pub(crate) const ALL: &[&Kind] = &[$(&$constant),*];
    };
}

// The codes are EC2's, which has no one rule for them:
// <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-error-codes.html>.
kinds! {
    INSTANCE: "instance" "i" "instance ID" "InvalidInstanceID.NotFound" "InvalidInstanceID.Malformed";
    IMAGE: "image" "ami" "image id" "InvalidAMIID.NotFound" "InvalidAMIID.Malformed";
    SNAPSHOT: "snapshot" "snap" "snapshot" "InvalidSnapshot.NotFound" "InvalidSnapshotID.Malformed";
    VOLUME: "volume" "vol" "volume" "InvalidVolume.NotFound" "InvalidVolumeID.Malformed";
    INTERFACE: "network-interface" "eni" "networkInterface ID" "InvalidNetworkInterfaceID.NotFound" "InvalidNetworkInterfaceId.Malformed";
    GROUP: "security-group" "sg" "security group" "InvalidGroup.NotFound" "InvalidGroupId.Malformed";
    RULE: "security-group-rule" "sgr" "security group rule ID" "InvalidSecurityGroupRuleId.NotFound" "InvalidSecurityGroupRuleId.Malformed";
    KEY_PAIR: "key-pair" "key" "key pair ID" "InvalidKeyPair.NotFound" "InvalidParameterValue";
    VPC: "vpc" "vpc" "vpc ID" "InvalidVpcID.NotFound" "InvalidVpcID.Malformed";
    SUBNET: "subnet" "subnet" "subnet ID" "InvalidSubnetID.NotFound" "InvalidSubnetID.Malformed";
    ROUTE_TABLE: "route-table" "rtb" "routeTable ID" "InvalidRouteTableID.NotFound" "InvalidRouteTableId.Malformed";
    ENDPOINT: "vpc-endpoint" "vpce" "Vpc Endpoint Id" "InvalidVpcEndpointId.NotFound" "InvalidVpcEndpointId.Malformed";
    NAT_GATEWAY: "natgateway" "nat" "NAT gateway" "NatGatewayNotFound" "NatGatewayMalformed";
    INTERNET_GATEWAY: "internet-gateway" "igw" "internetGateway ID" "InvalidInternetGatewayID.NotFound" "InvalidInternetGatewayId.Malformed";
    TEMPLATE: "launch-template" "lt" "launch template" "InvalidLaunchTemplateId.NotFound" "InvalidLaunchTemplateId.Malformed";
}

impl Kind {
    /// A kind that is only ever tagged.
    pub(crate) const fn new(name: &'static str, prefix: &'static str, code: &'static str) -> Self {
        Self { name, prefix, noun: name, not_found: code, malformed: code }
    }

    /// Whether `id` looks like one of these: the prefix and 8 or 17 hexadecimal digits.
    pub(crate) fn check(&self, id: &str) -> Result<(), ApiError> {
        let digits = id.strip_prefix(self.prefix).and_then(|rest| rest.strip_prefix('-')).unwrap_or_default();
        let hex = digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        if hex && matches!(digits.len(), 8 | 17) {
            return Ok(());
        }
        let expected = format!("(expecting \"{}-...\" and 8 or 17 hexadecimal digits)", self.prefix);
        Err(ApiError::new(self.malformed, format!("Invalid id: \"{id}\" {expected}")))
    }

    /// There is no such resource.
    pub(crate) fn missing(&self, id: &str) -> ApiError {
        ApiError::new(self.not_found, format!("The {} '{id}' does not exist", self.noun))
    }

    /// A required id.
    pub(crate) fn required(&self, params: &Params<'_>, name: &str) -> Result<String, ApiError> {
        let id = params.required(name)?;
        self.check(&id).map(|()| id)
    }

    /// An optional id.
    pub(crate) fn optional(&self, params: &Params<'_>, name: &str) -> Result<Option<String>, ApiError> {
        let id = params.text(name);
        id.map(|id| self.check(&id).map(|()| id)).transpose()
    }

    /// A list of ids, which may be empty.
    pub(crate) fn list(&self, params: &Params<'_>, name: &str) -> Result<Vec<String>, ApiError> {
        let ids = params.texts(name)?;
        ids.iter().try_for_each(|id| self.check(id)).map(|()| ids)
    }

    /// The kind that an id is of, by its prefix.
    pub(crate) fn of(id: &str) -> Option<&'static Self> {
        let prefix = id.rsplit_once('-')?.0;
        ALL.iter().find(|kind| kind.prefix == prefix).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_eight_or_seventeen_digits() {
        for id in ["ami-03cf127a", "ami-0123456789abcdef0"] {
            assert_eq!(IMAGE.check(id), Ok(()), "{id}");
        }
        for id in ["ami-", "ami", "", "i-03cf127a", "ami-03CF127A", "ami-0123456789abcdef01", "ami-0123456789abcdefg"] {
            assert_eq!(IMAGE.check(id).unwrap_err().code, "InvalidAMIID.Malformed", "{id}");
        }
    }

    #[test]
    fn prefixes_tell_kinds() {
        assert_eq!(Kind::of("vpce-12345678").unwrap().name, "vpc-endpoint");
        assert!(Kind::of("odd-12345678").is_none());
    }
}

use super::*;
use crate::ec2::{AmiSource, testing};
use image_core::ErrorKind;

fn builder() -> AmiBuilder {
    testing::builder("111122223333/us-west-2", AmiSource::id("ami-0123456789abcdef0"))
}

#[test]
fn what_cannot_work_is_refused_with_field_value_and_choice() {
    let many = |builder: AmiBuilder| (0..41).fold(builder, |builder, n| builder.tag(format!("key-{n}"), ""));
    let cases: Vec<(AmiBuilder, &str)> = vec![
        (AmiBuilder { settings: Settings::new(), ..builder() }, "candidates is ``; accepted: at least one"),
        (builder().candidate("large", "subnet-01234567"), "instance_type is `large`"),
        (builder().candidate("M7i.large", "subnet-01234567"), "instance_type is `M7i.large`"),
        (builder().candidate("m7i.large", "subnet-0123456"), "subnet is `subnet-0123456`"),
        (builder().candidate("m7i.large", "vpc-01234567"), "subnet is `vpc-01234567`"),
        (builder().security_group("sg-XYZ"), "security_group is `sg-XYZ`"),
        (builder().spot(Some("cheap")), "spot_max_price is `cheap`"),
        (builder().spot(Some("-1")), "spot_max_price is `-1`"),
        (builder().spot(Some("inf")), "spot_max_price is `inf`"),
        (builder().instance_profile("path/name"), "instance_profile is `path/name`"),
        (builder().instance_role(""), "instance_role is ``"),
        (builder().root_volume(Volume::new().gib(0)), "root_volume size is `0`; accepted: 1 to 65536"),
        (builder().root_volume(Volume::new().iops(100)), "root_volume iops is `100`; accepted: 3000 to 80000"),
        (
            builder().root_volume(Volume::new().gib(8).iops(5000)),
            "root_volume iops is `5000`; accepted: up to 500 a GiB",
        ),
        (builder().root_volume(Volume::new().throughput(2001)), "root_volume throughput is `2001`"),
        (
            builder().root_volume(Volume::new().throughput(1000)),
            "root_volume throughput is `1000`; accepted: up to a quarter",
        ),
        (builder().data_volume("sdf", Volume::new().gib(1)), "data_volume is `sdf`"),
        (builder().data_volume("/dev/", Volume::new().gib(1)), "data_volume is `/dev/`"),
        (builder().data_volume("/dev/sdf", Volume::new()), "data_volume is `/dev/sdf`; accepted: a volume with a size"),
        (builder().data_volume("/dev/sdf", Volume::new().gib(70_000)), "data_volume /dev/sdf size is `70000`"),
        (builder().kms_key(""), "kms_key is ``"),
        (builder().kms_key("a key"), "kms_key is `a key`"),
        (builder().user_data("packages: [jq]"), "user_data is `packages: [jq]…`"),
        (builder().user_data("Content-Type: multipart/mixed"), "user_data is `Content-Type"),
        (builder().user_data(format!("#!/bin/sh\n{}", "#".repeat(20_000))), "user_data is `20010 bytes`"),
        (builder().tag("aws:name", ""), "tags is `aws:name`"),
        (builder().tag("Golden-Image:state", "kept"), "tags is `Golden-Image:state`"),
        (builder().tag("", ""), "tags is ``"),
        (builder().tag("key", "v".repeat(257)), "tags is `key=vvv"),
        (many(builder()), "tags is `41 tags`; accepted: up to 40"),
        (builder().find_in_region("us-west"), "region is `us-west`"),
    ];
    for (builder, expected) in cases {
        let error = builder.settings.check().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.to_string().starts_with(expected), "{error}\n{expected}");
        assert!(error.to_string().contains("; accepted: "), "{error}");
    }
}

#[test]
fn what_can_work_is_accepted() {
    for builder in [
        builder(),
        builder().candidate("u-6tb1.112xlarge", "subnet-01234567").spot(None),
        builder().spot(Some("0.05")).security_group("sg-01234567").public_ip(),
        builder().root_volume(Volume::new().gib(16).iops(8000).throughput(2000)).kms_key("alias/images"),
        builder().root_volume(Volume::new().iops(80_000).throughput(2000)).without_encryption(),
        builder().data_volume("/dev/sdf", Volume::new().gib(1)).instance_profile("a+b=c,d.e@f-g_h"),
        builder().user_data("#cloud-config\n").tag("team", "платформа").find_in_region("eu-central-1"),
        builder().user_data("#!/bin/sh\ntrue\n"),
    ] {
        builder.settings.check().unwrap();
    }
}

#[test]
fn candidates_are_each_type_in_each_subnet() {
    let builder = builder().candidates(["a.large", "b.large"], ["subnet-1", "subnet-2"]);
    let all = builder.settings.candidates.iter().skip(1).map(|c| format!("{} {}", c.instance_type, c.subnet));
    assert_eq!(
        all.collect::<Vec<_>>(),
        ["a.large subnet-1", "a.large subnet-2", "b.large subnet-1", "b.large subnet-2"]
    );
}

#[test]
fn only_what_changes_the_image_changes_its_fingerprint() {
    let fingerprint = |builder: AmiBuilder| serde_json::to_string(&builder.settings.fingerprint()).unwrap();
    let base = fingerprint(builder());
    for same in [
        builder().candidate("m6i.large", "subnet-01234567").spot(None),
        builder().root_volume(Volume::new().iops(6000).throughput(500)),
        builder().instance_profile("other").tag("team", "other").find_in_region("eu-central-1").public_ip(),
    ] {
        assert_eq!(fingerprint(same), base);
    }
    let others = [
        builder().root_volume(Volume::new().gib(9)),
        builder().data_volume("/dev/sdf", Volume::new().gib(1)),
        builder().data_volume("/dev/sdf", Volume::new().gib(2)),
        builder().kms_key("alias/images"),
        builder().without_encryption(),
        builder().allow_imds_v1(),
        builder().user_data("#cloud-config\n"),
    ];
    let mut all: Vec<String> = others.into_iter().map(fingerprint).chain([base]).collect();
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count);
}

"""A golden-image build with boto3 against the simulator whose endpoint is the argument.

Every reply is compared with botocore's model of the API: an element that the model does not know, or a value that is
not of its type, fails the run. botocore itself would drop both in silence.
"""

import re
import sys
import xml.etree.ElementTree as ElementTree

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = sys.argv[1]
OTHER = "444455556666"
# What EC2 really answers, though its model has other values.
UNMODELLED = re.compile("vpcEndpointSet/item/state$|internetGatewaySet/item/attachmentSet/item/state$")
checked, problems = set(), []


def check(element, shape, path):
    kind = shape.type_name
    if kind == "structure":
        known = {member.serialization.get("name") or name: member for name, member in shape.members.items()}
        for child in element:
            name = child.tag.split("}")[-1]
            if path.count("/") == 0 and name == "requestId":
                continue
            if name in known:
                check(child, known[name], f"{path}/{name}")
            else:
                problems.append(f"{path}/{name} is not in the model: {sorted(known)}")
    elif kind == "list":
        for child in element:
            name = child.tag.split("}")[-1]
            expected = shape.member.serialization.get("name") or "item"
            if name != expected:
                problems.append(f"{path}/{name} should be {expected}")
            check(child, shape.member, f"{path}/{name}")
    else:
        text = element.text or ""
        assert len(element) == 0, f"{path} should be a {kind}"
        if kind == "boolean":
            assert text in ("true", "false"), f"{path}: {text!r} is no {kind}"
        elif kind in ("integer", "long"):
            int(text)
        elif kind == "timestamp":
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text), f"{path}: {text!r} is no {kind}"
        enum = getattr(shape, "enum", [])
        if enum and text and text not in enum and not UNMODELLED.search(path):
            problems.append(f"{path}: {text!r} is no value of {shape.name}")


def before_parse(operation_model, response_dict, **_):
    if response_dict["status_code"] >= 300:
        return
    root = ElementTree.fromstring(response_dict["body"])
    assert root.tag.split("}")[-1] == operation_model.name + "Response"
    if operation_model.output_shape is not None:
        check(root, operation_model.output_shape, operation_model.name)
    checked.add(operation_model.name)


def client(region="us-east-1", key="test"):
    config = Config(retries={"total_max_attempts": 1})
    ec2 = boto3.client(
        "ec2", region, endpoint_url=ENDPOINT, aws_access_key_id=key, aws_secret_access_key=key, config=config
    )
    ec2.meta.events.register("before-parse.ec2.*", before_parse)
    return ec2


def refused(code, call, **parameters):
    try:
        call(**parameters)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
    else:
        raise AssertionError(f"{code} was expected")


def tags(**values):
    return [{"Key": key, "Value": value} for key, value in values.items()]


def specification(kind, **values):
    return {"ResourceType": kind, "Tags": tags(**values)}


def by(name, *values):
    return [{"Name": name, "Values": list(values)}]


def launch(ec2):
    images = ec2.describe_images(Owners=["amazon"], Filters=by("name", "al2023-*-x86_64"))["Images"]
    subnet = ec2.describe_subnets(Filters=by("tag:Name", "private-us-east-1a"))["Subnets"][0]
    ec2.describe_vpcs(), ec2.describe_route_tables(), ec2.describe_vpc_endpoints(), ec2.describe_nat_gateways()
    ec2.describe_internet_gateways(), ec2.describe_regions(), ec2.describe_availability_zones()
    ec2.describe_instance_types(InstanceTypes=["t3.micro", "t4g.micro"]), ec2.describe_instance_type_offerings()
    ec2.get_ebs_encryption_by_default(), ec2.get_ebs_default_kms_key_id()
    group = ec2.create_security_group(
        GroupName="build", Description="a build", VpcId=subnet["VpcId"], TagSpecifications=[specification("security-group", run="1")]
    )["GroupId"]
    rules = [{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "10.0.0.0/16", "Description": "a"}]}]
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=rules)
    described = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
    assert described["IpPermissions"][0]["IpRanges"] == rules[0]["IpRanges"], described
    parameters = dict(
        ImageId=images[0]["ImageId"],
        InstanceType="t3.micro",
        MinCount=1,
        MaxCount=1,
        ClientToken="token-1",
        SubnetId=subnet["SubnetId"],
        SecurityGroupIds=[group],
        IamInstanceProfile={"Name": "builder"},
        UserData="#!/bin/sh\n",
        InstanceInitiatedShutdownBehavior="terminate",
        MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
        BlockDeviceMappings=[
            {
                "DeviceName": "/dev/xvda",
                "Ebs": {"VolumeSize": 10, "VolumeType": "gp3", "Iops": 4000, "Encrypted": True, "KmsKeyId": "alias/images"},
            },
            {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 1, "VolumeType": "gp3", "DeleteOnTermination": True}},
        ],
        TagSpecifications=[specification(kind, run="1") for kind in ("instance", "volume", "network-interface")],
    )
    refused("DryRunOperation", ec2.run_instances, DryRun=True, **parameters)
    instance = ec2.run_instances(**parameters)["Instances"][0]
    assert instance["State"]["Name"] == "pending", instance
    assert ec2.run_instances(**parameters)["Instances"][0]["InstanceId"] == instance["InstanceId"]
    refused("IdempotentParameterMismatch", ec2.run_instances, **{**parameters, "MaxCount": 2})
    return instance["InstanceId"], group


def build(ec2):
    instance, group = launch(ec2)
    described = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    assert described["State"]["Name"] == "running", described
    assert described["MetadataOptions"]["HttpTokens"] == "required", described
    assert described["IamInstanceProfile"]["Arn"].endswith("/builder"), described
    assert described["SecurityGroups"] == [{"GroupId": group, "GroupName": "build"}], described
    assert "PublicIpAddress" not in described, described
    assert [mapping["DeviceName"] for mapping in described["BlockDeviceMappings"]] == ["/dev/sdf", "/dev/xvda"]
    status = ec2.describe_instance_status(InstanceIds=[instance])["InstanceStatuses"][0]
    assert status["InstanceStatus"]["Status"] == "ok", status
    attribute = ec2.describe_instance_attribute(InstanceId=instance, Attribute="userData")
    assert attribute["UserData"]["Value"], attribute
    ec2.get_console_output(InstanceId=instance)
    root = ec2.describe_volumes(Filters=by("attachment.device", "/dev/xvda"))["Volumes"][0]
    assert (root["Size"], root["Iops"], root["Encrypted"], root["Throughput"]) == (10, 4000, True, 125), root
    ec2.reboot_instances(InstanceIds=[instance])
    ec2.stop_instances(InstanceIds=[instance])
    image = ec2.create_image(
        InstanceId=instance,
        Name="golden",
        Description="a golden image",
        BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "NoDevice": ""}],
        TagSpecifications=[specification("image", run="1"), specification("snapshot", run="1")],
    )["ImageId"]
    refused("InvalidAMIName.Duplicate", ec2.create_image, InstanceId=instance, Name="golden")
    captured = ec2.describe_images(ImageIds=[image])["Images"][0]
    assert (captured["State"], captured["Description"]) == ("available", "a golden image"), captured
    assert captured["Tags"] == tags(run="1") and captured["SourceInstanceId"] == instance, captured
    [mapping] = captured["BlockDeviceMappings"]
    ebs = mapping["Ebs"]
    assert (ebs["VolumeSize"], ebs["Iops"], ebs["Encrypted"], ebs["VolumeType"]) == (10, 4000, True, "gp3"), ebs
    snapshot = ec2.describe_snapshots(OwnerIds=["self"], Filters=by("tag:run", "1"))["Snapshots"][0]
    assert snapshot["SnapshotId"] == ebs["SnapshotId"] and snapshot["KmsKeyId"].endswith(":alias/images"), snapshot
    ec2.start_instances(InstanceIds=[instance])
    ec2.terminate_instances(InstanceIds=[instance])
    ec2.describe_instances()
    ec2.delete_security_group(GroupId=group)
    return image, ebs["SnapshotId"]


def register(ec2, snapshot):
    copy = ec2.copy_snapshot(SourceRegion="us-east-1", SourceSnapshotId=snapshot, Description="b")["SnapshotId"]
    image = ec2.register_image(
        Name="registered",
        Description="c",
        Architecture="arm64",
        RootDeviceName="/dev/xvda",
        VirtualizationType="hvm",
        EnaSupport=True,
        SriovNetSupport="simple",
        BootMode="uefi",
        TpmSupport="v2.0",
        UefiData="QUJD",
        ImdsSupport="v2.0",
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": copy, "VolumeType": "gp3", "VolumeSize": 12}}],
        TagSpecifications=[specification("image", run="2")],
    )["ImageId"]
    registered = ec2.describe_images(Owners=["self"], Filters=by("name", "registered"))["Images"][0]
    for name, value in dict(
        Architecture="arm64", EnaSupport=True, SriovNetSupport="simple", BootMode="uefi", TpmSupport="v2.0", ImdsSupport="v2.0"
    ).items():
        assert registered[name] == value, (name, registered)
    assert registered["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == 12, registered
    for attribute, member, value in [
        ("bootMode", "BootMode", "uefi"),
        ("tpmSupport", "TpmSupport", "v2.0"),
        ("uefiData", "UefiData", "QUJD"),
        ("imdsSupport", "ImdsSupport", "v2.0"),
        ("description", "Description", "c"),
    ]:
        assert ec2.describe_image_attribute(ImageId=image, Attribute=attribute)[member]["Value"] == value
    ec2.describe_image_attribute(ImageId=image, Attribute="blockDeviceMapping")
    return image, copy


def distribute(ec2, image, snapshot):
    there = client("eu-west-1")
    parameters = dict(
        SourceRegion="us-east-1",
        SourceImageId=image,
        Name="golden",
        ClientToken="copy-1",
        CopyImageTags=True,
        Encrypted=True,
        KmsKeyId="alias/there",
        TagSpecifications=[specification("snapshot", run="1")],
    )
    copy = there.copy_image(**parameters)["ImageId"]
    assert there.copy_image(**parameters)["ImageId"] == copy
    described = there.describe_images(ImageIds=[copy])["Images"][0]
    assert described["SourceImageId"] == image and described["Tags"] == tags(run="1"), described
    ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Add": [{"UserId": OTHER}]})
    ec2.modify_snapshot_attribute(SnapshotId=snapshot, CreateVolumePermission={"Add": [{"UserId": OTHER}]})
    permissions = ec2.describe_image_attribute(ImageId=image, Attribute="launchPermission")["LaunchPermissions"]
    assert permissions == [{"UserId": OTHER}], permissions
    permissions = ec2.describe_snapshot_attribute(SnapshotId=snapshot, Attribute="createVolumePermission")
    assert permissions["CreateVolumePermissions"] == [{"UserId": OTHER}], permissions
    other = client(key=OTHER)
    assert other.describe_images(ExecutableUsers=["self"])["Images"][0]["ImageId"] == image
    refused("AuthFailure", other.deregister_image, ImageId=image)
    ec2.enable_image_deprecation(ImageId=image, DeprecateAt="2030-01-01T00:00:30Z")
    assert ec2.describe_images(ImageIds=[image])["Images"][0]["DeprecationTime"] == "2030-01-01T00:00:00.000Z"
    ec2.disable_image_deprecation(ImageId=image)
    ec2.enable_image_deregistration_protection(ImageId=image)
    refused("OperationNotPermitted", ec2.deregister_image, ImageId=image)
    ec2.disable_image_deregistration_protection(ImageId=image)
    ec2.enable_fast_snapshot_restores(AvailabilityZones=["us-east-1a"], SourceSnapshotIds=[snapshot])
    assert ec2.describe_fast_snapshot_restores()["FastSnapshotRestores"][0]["State"] == "enabled"
    ec2.disable_fast_snapshot_restores(AvailabilityZones=["us-east-1a"], SourceSnapshotIds=[snapshot])
    ec2.describe_fast_launch_images()
    there.deregister_image(ImageId=copy, DeleteAssociatedSnapshots=True)


def templates(ec2, image):
    data = {"ImageId": image, "InstanceType": "t3.micro", "MetadataOptions": {"HttpTokens": "required"}}
    template = ec2.create_launch_template(LaunchTemplateName="base", LaunchTemplateData=data)["LaunchTemplate"]
    data = {"ImageId": image, "TagSpecifications": [specification("instance", run="1")]}
    ec2.create_launch_template_version(LaunchTemplateName="base", SourceVersion="1", LaunchTemplateData=data)
    ec2.modify_launch_template(LaunchTemplateName="base", DefaultVersion="2")
    versions = ec2.describe_launch_template_versions(LaunchTemplateName="base")["LaunchTemplateVersions"]
    assert [version["DefaultVersion"] for version in versions] == [True, False], versions
    ec2.describe_launch_templates()
    ec2.delete_launch_template_versions(LaunchTemplateName="base", Versions=["1"])
    ec2.delete_launch_template(LaunchTemplateId=template["LaunchTemplateId"])


def volumes(ec2):
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1, VolumeType="gp3")["VolumeId"]
    snapshot = ec2.create_snapshot(VolumeId=volume, TagSpecifications=[specification("snapshot", run="3")])
    ec2.create_tags(Resources=[volume, snapshot["SnapshotId"]], Tags=tags(a="b"))
    assert len(ec2.describe_tags(Filters=by("key", "a"))["Tags"]) == 2
    ec2.delete_tags(Resources=[volume], Tags=[{"Key": "a"}])
    ec2.delete_volume(VolumeId=volume)
    ec2.delete_snapshot(SnapshotId=snapshot["SnapshotId"])
    blob = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA test"
    ec2.import_key_pair(KeyName="build", PublicKeyMaterial=blob)
    assert ec2.describe_key_pairs(IncludePublicKey=True)["KeyPairs"][0]["PublicKey"] == blob
    ec2.delete_key_pair(KeyName="build")


def main():
    ec2 = client()
    refused("AuthFailure", client(key="nobody").describe_regions)
    image, snapshot = build(ec2)
    registered, copy = register(ec2, snapshot)
    templates(ec2, image)
    volumes(ec2)
    distribute(ec2, image, snapshot)
    for image, snapshot in [(image, snapshot), (registered, copy)]:
        refused("InvalidSnapshot.InUse", ec2.delete_snapshot, SnapshotId=snapshot)
        ec2.deregister_image(ImageId=image)
        ec2.delete_snapshot(SnapshotId=snapshot)
        refused("InvalidAMIID.Unavailable", ec2.describe_images, ImageIds=[image])
    assert not problems, "\n".join(sorted(set(problems)))
    print(f"{len(checked)} actions checked")


main()

"""Snapshots over the EBS direct APIs with boto3, against the simulator whose endpoint is the argument."""

import base64
import hashlib
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

BLOCK = 512 * 1024
SESSION = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")
CONFIG = Config(retries={"total_max_attempts": 1})
EBS = SESSION.client("ebs", endpoint_url=sys.argv[1], config=CONFIG)
EC2 = SESSION.client("ec2", endpoint_url=sys.argv[1], config=CONFIG)


def sha256(data):
    return hashlib.sha256(data).digest()


def text(digest):
    return base64.b64encode(digest).decode()


def put(snapshot, index, data, checksum=None):
    reply = EBS.put_snapshot_block(
        SnapshotId=snapshot,
        BlockIndex=index,
        BlockData=data,
        DataLength=len(data),
        Checksum=checksum or text(sha256(data)),
        ChecksumAlgorithm="SHA256",
    )
    assert reply["Checksum"] == text(sha256(data)), reply


def complete(snapshot, blocks):
    reply = EBS.complete_snapshot(
        SnapshotId=snapshot,
        ChangedBlocksCount=len(blocks),
        Checksum=text(sha256(b"".join(sha256(data) for data in blocks))),
        ChecksumAlgorithm="SHA256",
        ChecksumAggregationMethod="LINEAR",
    )
    assert reply["Status"] == "completed", reply


def held(snapshot):
    listed = EBS.list_snapshot_blocks(SnapshotId=snapshot)
    assert listed["BlockSize"] == BLOCK and listed["ExpiryTime"], listed
    blocks = {}
    for block in listed["Blocks"]:
        index = block["BlockIndex"]
        reply = EBS.get_snapshot_block(SnapshotId=snapshot, BlockIndex=index, BlockToken=block["BlockToken"])
        data = reply["BlockData"].read()
        assert reply["DataLength"] == BLOCK and reply["Checksum"] == text(sha256(data)), reply
        blocks[index] = data
    return blocks


one, two, zeros = b"1" * BLOCK, b"2" * BLOCK, bytes(BLOCK)
started = EBS.start_snapshot(VolumeSize=1, Tags=[{"Key": "Name", "Value": "boto3"}], ClientToken="token")
parent = started["SnapshotId"]
assert (started["Status"], started["BlockSize"], started["VolumeSize"]) == ("pending", BLOCK, 1), started
assert EBS.start_snapshot(VolumeSize=1, Tags=started["Tags"], ClientToken="token")["SnapshotId"] == parent
put(parent, 0, one)
put(parent, 2047, two)
try:
    put(parent, 1, one, text(sha256(two)))
except ClientError as error:
    assert error.response["Error"]["Code"] == "ValidationException", error.response
else:
    raise AssertionError("a block with the checksum of another was taken")
complete(parent, [one, two])
assert held(parent) == {0: one, 2047: two}

child = EBS.start_snapshot(VolumeSize=2, ParentSnapshotId=parent)["SnapshotId"]
put(child, 0, zeros)
put(child, 3, two)
complete(child, [zeros, two])
assert held(child) == {0: zeros, 3: two, 2047: two}
changed = EBS.list_changed_blocks(FirstSnapshotId=parent, SecondSnapshotId=child)["ChangedBlocks"]
assert [block["BlockIndex"] for block in changed] == [0, 3], changed
described = EC2.describe_snapshots(SnapshotIds=[child])["Snapshots"][0]
assert (described["State"], described["VolumeSize"]) == ("completed", 2), described
for snapshot in (child, parent):
    EC2.delete_snapshot(SnapshotId=snapshot)

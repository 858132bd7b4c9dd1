//! What comes out of an import.

use crate::site::{BLOCK, Site, blocks_of, context, disk, fill, image, import, place};
use image_aws::{
    ebs::{BlockDigests, EbsDirect},
    ec2::Ec2,
};
use image_core::{BuildSpec, ContentDigest, ErrorKind, Importer};
use image_sim::Content;
use std::os::unix::fs::FileExt;

#[tokio::test(flavor = "multi_thread")]
async fn a_sparse_disk_becomes_an_ami_of_equal_bytes() {
    let site = Site::start().await;
    let importer = site.importer().tag("team", "images").tpm();
    let cx = context(&importer).await;
    // A block of zeros that is no hole, a block that is not full, and a disk that ends within a block.
    let file = disk(1100, &[(1, b'a'), (7, 0), (2100, b'b')]);
    file.as_file().write_all_at(b"tail", (1100 << 20) + 100).unwrap();
    let captured = import(&cx, &importer, &file).await.unwrap();

    let snapshot = captured.image.parts["snapshot"].clone();
    let (held, expected) = (site.blocks(&snapshot).await, blocks_of(&file));
    assert_eq!(held.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    assert!(held == expected, "bytes differ");
    assert_eq!(site.count("PutSnapshotBlock"), 3);
    assert_eq!((captured.guards.len(), captured.image.location.as_str()), (2, "us-east-1"));
    let calls = site.simulator.calls();
    let asked = &calls.iter().find(|call| call.action == "RegisterImage").unwrap().parameters;
    for (name, value) in [
        ("Architecture", "x86_64"),
        ("BootMode", "uefi"),
        ("TpmSupport", "v2.0"),
        ("ImdsSupport", "v2.0"),
        ("EnaSupport", "true"),
        ("VirtualizationType", "hvm"),
        ("RootDeviceName", "/dev/xvda"),
        ("BlockDeviceMapping.1.Ebs.VolumeType", "gp3"),
        ("BlockDeviceMapping.1.Ebs.VolumeSize", "2"),
        ("BlockDeviceMapping.1.Ebs.SnapshotId", &snapshot),
    ] {
        assert_eq!(asked[name], value, "{name}");
    }
    let live = site.live();
    assert_eq!((live.len(), live[&snapshot].state.as_str()), (2, "completed"));
    for made in live.values() {
        assert_eq!((made.tags["team"].as_str(), made.tags["Name"].as_str()), ("images", "golden"));
        assert_eq!(made.tags["golden-image:state"], "temporary");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_digest_is_the_same_in_every_region() {
    let site = Site::start().await;
    let file = disk(64, &[(1, b'a'), (90, b'b')]);
    let digests = BlockDigests::new();
    let mut seen = vec![];
    for region in ["us-east-1", "eu-west-1"] {
        let importer = site.importer_in(region).without_encryption().digests(digests.clone());
        let cx = context(&importer).await;
        seen.push(import(&cx, &importer, &file).await.unwrap().image.digest);
    }
    assert!(matches!(seen[0], ContentDigest::Blocks { .. }));
    assert_eq!(seen[0], seen[1]);
    assert_eq!(site.count("PutSnapshotBlock"), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_gets_what_changed_and_zeros_where_the_disk_became_zeros() {
    let site = Site::start().await;
    let manifests = tempfile::tempdir().unwrap();
    // By the manifest of the parent, and by reading the parent itself.
    for kept in [true, false] {
        let mut importer = site.importer();
        if kept {
            importer = importer.manifests_in(manifests.path());
        }
        let cx = context(&importer).await;
        let file = disk(128, &[(1, b'a'), (2, b'b'), (3, b'c'), (100, b'd')]);
        let parent = import(&cx, &importer, &file).await.unwrap().image.parts["snapshot"].clone();
        let (sent, read) = (site.count("PutSnapshotBlock"), site.count("GetSnapshotBlock"));

        fill(&file, 2, b'B');
        fill(&file, 3, 0);
        fill(&file, 200, b'e');
        let importer = importer.parent(&parent);
        let cx = context(&importer).await;
        let child = import(&cx, &importer, &file).await.unwrap();
        assert_eq!(site.count("PutSnapshotBlock") - sent, 3, "changed, emptied, new");
        assert_eq!(site.count("GetSnapshotBlock") - read, if kept { 0 } else { 4 });
        let mut held = site.blocks(&child.image.parts["snapshot"]).await;
        assert_eq!(held.remove(&3), Some(vec![0; BLOCK as usize]), "the parent must not shine through");
        assert!(held == blocks_of(&file), "bytes differ");

        // The same bytes without a parent have the same digest.
        let alone = site.importer();
        let cx = context(&alone).await;
        assert_eq!(import(&cx, &alone, &file).await.unwrap().image.digest, child.image.digest);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_snapshot_gets_its_zeros_unless_they_are_not_needed() {
    let site = Site::start().await;
    let file = disk(8, &[(1, b'a')]);
    let importer = site.importer_in("us-east-1");
    let cx = context(&importer).await;
    let captured = import(&cx, &importer, &file).await.unwrap();
    let whole = 2048; // the blocks of a GiB
    assert_eq!(site.count("PutSnapshotBlock"), whole);
    let Some(Content::Blocks(blocks)) = site.simulator.snapshot(&captured.image.parts["snapshot"]) else {
        panic!("no snapshot");
    };
    assert_eq!(blocks.digests().len(), whole);
    let importer = importer.trust_unwritten_blocks();
    let cx = context(&importer).await;
    import(&cx, &importer, &file).await.unwrap();
    assert_eq!(site.count("PutSnapshotBlock"), whole + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_imported_is_refused_before_anything_is_created() {
    let site = Site::start().await;
    let file = disk(3000, &[(1, b'a')]);
    let check = |importer: EbsDirect| async move {
        let cx = context(&importer).await;
        importer.check(&cx, &BuildSpec::new("golden")).await.unwrap_err()
    };
    let parent = "snap-0123456789abcdef0";
    let error = check(site.importer_in("us-east-1").parent(parent)).await;
    assert!(error.kind() == ErrorKind::InvalidInput && error.to_string().contains("without_encryption"), "{error}");
    let other = place("us-east-1");
    let other = image_aws::Place::new("444455556666", other.region).unwrap();
    let error = check(EbsDirect::new(&Ec2::new(site.clients()), other)).await;
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");

    let importer = site.importer().volume_gib(2);
    let cx = context(&importer).await;
    let error = import(&cx, &importer, &file).await.unwrap_err();
    assert!(error.to_string().starts_with("volume_gib is `2"), "{error}");
    let importer = site.importer();
    let cx = context(&importer).await;
    let checked = importer.check(&cx, &BuildSpec::new("golden")).await.unwrap();
    let mut no_file = image(&file);
    no_file.parts.clear();
    assert_eq!(importer.import(&cx, &checked, &no_file).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    assert!(site.live().is_empty());
    assert!(!importer.capabilities().boot);
    assert_eq!(importer.boot(&cx, &no_file).await.unwrap_err().kind(), ErrorKind::Unsupported);
}

//! Images judged, and read back, by qemu-img.

use sha2::{Digest, Sha256};

use super::*;
use crate::disk::testing::{empty_image, tool, tool_output};

const MIB: u64 = 1 << 20;

/// A raw disk with data at its ends, at odd places and one block of written zeros.
fn raw(len: u64) -> tempfile::NamedTempFile {
    let image = empty_image(len);
    let noise: Vec<u8> = (0..300_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for (at, data) in [(0, &b"start"[..]), (MIB + 777, &noise), (9 * MIB, &[0; 70_000]), (len - 3, b"end")] {
        image.as_file().write_all_at(data, at).unwrap();
    }
    image
}

/// Bytes that do not compress.
fn fill_with_noise(seed: u64, bytes: &mut [u8]) {
    for (part, at) in bytes.chunks_mut(32).zip(0u64..) {
        let digest = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(at.to_le_bytes()).finalize();
        part.copy_from_slice(&digest[..part.len()]);
    }
}

/// Reads an image through qemu-img.
fn read(image: &Path) -> Option<Vec<u8>> {
    let out = empty_image(0);
    tool_output("qemu-img", &["check", image.to_str().unwrap()])?;
    tool_output("qemu-img", &["convert", "-O", "raw", image.to_str().unwrap(), out.path().to_str().unwrap()])?;
    Some(std::fs::read(out.path()).unwrap())
}

#[test]
fn converted_disk_reads_the_same_in_both_encodings() {
    for len in [10 * MIB, 700 * MIB + 512] {
        let source = raw(len);
        for encoding in [Encoding::Plain, Encoding::Deflate] {
            let image = empty_image(0);
            convert(source.path(), image.path(), encoding).unwrap();
            assert!(image.as_file().metadata().unwrap().len() < MIB);
            let Some(content) = read(image.path()) else { return };
            assert!(content == std::fs::read(source.path()).unwrap(), "{encoding:?} of {len} bytes differs");
        }
    }
}

#[test]
fn compressed_clusters_may_reach_over_cluster_borders() {
    let source = empty_image(8 * MIB);
    // Each cluster compresses to about a quarter of its size.
    for cluster in 0..128u64 {
        let mut noise = vec![0; 15_000];
        fill_with_noise(cluster, &mut noise);
        // Twice, so that matches reach back further than the 4096 bytes that QEMU's own writer allows itself.
        source.as_file().write_all_at(&[&noise[..], &noise].concat(), cluster * CLUSTER).unwrap();
    }
    let image = empty_image(0);
    convert(source.path(), image.path(), Encoding::Deflate).unwrap();
    let Some(content) = read(image.path()) else { return };
    assert!(content == std::fs::read(source.path()).unwrap(), "the image differs");
}

#[test]
fn empty_and_huge_disks_are_images() {
    for len in [0, 512, 3 << 40] {
        let (source, image) = (empty_image(len), empty_image(0));
        convert(source.path(), image.path(), Encoding::Plain).unwrap();
        let Some(info) = tool_output("qemu-img", &["info", image.path().to_str().unwrap()]) else { return };
        assert!(info.contains(&format!("({len} bytes)")), "{info}");
        tool_output("qemu-img", &["check", image.path().to_str().unwrap()]);
    }
    let odd = empty_image(513);
    assert!(matches!(convert(odd.path(), odd.path(), Encoding::Plain), Err(Qcow2Error::Size { given: 513, .. })));
}

#[test]
fn overlay_reads_as_its_backing_file_with_patches() {
    let source = raw(10 * MIB);
    let patches =
        [(3, b"patched".to_vec()), (MIB - 5, vec![7; 200_000]), (9 * MIB, vec![0; 65_536]), (11 * MIB, vec![9])];
    let image = empty_image(0);
    overlay(source.path(), BackingFormat::Raw, 12 * MIB, &patches, image.path()).unwrap();
    let mut expected = std::fs::read(source.path()).unwrap();
    expected.resize(12 * MIB as usize, 0);
    for (at, data) in &patches {
        expected[*at as usize..][..data.len()].copy_from_slice(data);
    }
    let Some(content) = read(image.path()) else { return };
    assert!(content == expected, "the overlay differs");
    let info = tool("qemu-img", &["info", image.path().to_str().unwrap()]).unwrap();
    let info = String::from_utf8(info.stdout).unwrap();
    assert!(info.contains("backing file format: raw") && info.contains(source.path().to_str().unwrap()), "{info}");
}

#[test]
fn overlays_that_cannot_be_are_refused() {
    let source = raw(10 * MIB);
    let image = empty_image(0);
    let fails = |size, patches: &[(u64, Vec<u8>)]| {
        overlay(source.path(), BackingFormat::Raw, size, patches, image.path()).unwrap_err()
    };
    assert!(matches!(fails(10 * MIB, &[(10 * MIB - 1, vec![0; 2])]), Qcow2Error::Patch { .. }));
    assert!(matches!(fails(10 * MIB, &[(u64::MAX, vec![0; 2])]), Qcow2Error::Patch { .. }));
    assert!(matches!(fails(10 * MIB, &[(5, vec![0; 2]), (6, vec![0])]), Qcow2Error::Patch { .. }));
    assert!(matches!(fails(9 * MIB, &[]), Qcow2Error::Backing { .. }));
}

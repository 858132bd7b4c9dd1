//! Hostile archives must not cost memory. A process of its own, because the peak is of the whole process.

#[path = "support/memory.rs"]
mod memory;

use std::io::Read;

use image_local::rootfs::{NormalizeOptions, RootfsError, archive, normalize};
use memory::peak;

fn header(flag: u8, name: &[u8], size: u64) -> [u8; 512] {
    let mut block = [0; 512];
    block[..name.len()].copy_from_slice(name);
    block[100..107].copy_from_slice(b"0000644");
    // Base 256, so that any size fits.
    block[124] = 0x80;
    block[128..136].copy_from_slice(&size.to_be_bytes());
    block[156] = flag;
    block[257..265].copy_from_slice(b"ustar\x0000");
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

fn run(input: impl Read) -> RootfsError {
    normalize(input, std::io::sink(), &NormalizeOptions::default()).expect_err("hostile")
}

#[test]
fn hostile_archives_cost_little_memory() {
    let Some(before) = peak() else {
        println!("SKIPPED: the kernel does not report peak memory");
        return;
    };
    for size in [10 << 30, u64::MAX >> 1] {
        for flag in *b"05xgLK" {
            run(&[&header(flag, b"etc/x", size)[..], &[0; 4096]].concat()[..]);
            run((&header(flag, b"etc/x", size)[..]).chain(std::io::repeat(b'1').take(3 << 20)));
        }
    }
    run(std::io::repeat(0));
    run((&header(b'L', b"x", 1 << 20)[..]).chain(std::io::repeat(b'a')));

    // 48 MiB of zeros in a small gzip file: nothing may hold what comes out.
    let bomb = tempfile::NamedTempFile::new().expect("a temporary file");
    let mut encoder = flate2::write::GzEncoder::new(bomb.as_file(), flate2::Compression::fast());
    let header = header(b'0', b"etc/x", 200 << 30);
    let mut content = (&header[..]).chain(std::io::repeat(0).take(48 << 20));
    std::io::copy(&mut content, &mut encoder).expect("compresses");
    encoder.finish().expect("compresses");
    let error = run(archive::open(bomb.path()).expect("opens"));
    assert!(matches!(error, RootfsError::Tar { .. } | RootfsError::TooLarge { .. }), "{error}");

    let grown = peak().expect("reported before").saturating_sub(before);
    assert!(grown < 24 << 10, "peak memory grew by {grown} KiB");
}

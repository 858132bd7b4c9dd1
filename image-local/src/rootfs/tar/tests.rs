//! Hostile archives: what the reader must refuse, and with which error.

use std::io::Read;

use super::testing::{Builder, Raw};
use super::{EndMarker, TarError, TarReader};

fn read(archive: &[u8]) -> Result<Vec<(String, usize)>, TarError> {
    let mut reader = TarReader::new(archive, EndMarker::Required);
    let mut found = Vec::new();
    while let Some(member) = reader.next_member()? {
        let mut content = Vec::new();
        reader.content().read_to_end(&mut content).map_err(|error| error.downcast().expect("a typed error"))?;
        found.push((member.path.to_string(), content.len()));
    }
    Ok(found)
}

fn refused(archive: &Builder, expected: &str) {
    match read(&archive.clone().finish()) {
        Ok(found) => panic!("accepted {found:?}, expected {expected}"),
        Err(error) => assert!(error.to_string().contains(expected), "{error}, expected {expected}"),
    }
}

#[test]
fn names_that_lead_out_are_refused() {
    let names = ["/etc/passwd", "../x", "a/../../x", "./..", "..", "//x"];
    for name in names {
        refused(&Builder::default().file(name, b"x"), "its name");
        refused(&Builder::default().pax(&[("path", name.as_bytes())]).file("harmless", b"x"), "its name");
        let long = Raw::new(b'L', "././@LongLink").body(&[name.as_bytes(), b"\0"].concat());
        refused(&Builder::default().raw(long).file("harmless", b"x"), "its name");
        refused(&Builder::default().hard_link("a", name), "hard link target");
        refused(&Builder::default().pax(&[("linkpath", name.as_bytes())]).hard_link("a", "b"), "hard link target");
        let prefixed = Raw::new(b'0', "x").field(345, name.as_bytes());
        if name != "./.." {
            refused(&Builder::default().raw(prefixed), "its name");
        }
    }
    refused(&Builder::default().pax(&[("path", b"a\0/b")]).file("x", b""), "NUL");
    refused(&Builder::default().file("", b""), "is empty");
    refused(&Builder::default().file("./", b"x"), "declares 1 bytes");
    refused(&Builder::default().symlink("./", "x"), "type '2'");
    refused(&Builder::default().symlink("a", ""), "symbolic link target is empty");
    refused(&Builder::default().pax(&[("path", &b"d/".repeat(300))]).directory("x"), "components");
}

#[test]
fn headers_that_programs_read_differently_are_refused() {
    let builder = Builder::default();
    refused(&builder.clone().pax(&[("path", b"a")]).pax(&[("path", b"b")]).file("x", b""), "two extended headers");
    let long = |name: &[u8]| Raw::new(b'L', "././@LongLink").body(name);
    refused(&builder.clone().raw(long(b"a")).raw(long(b"b")).file("x", b""), "two long names");
    refused(&builder.clone().pax(&[("path", b"a")]).raw(long(b"b")).file("x", b""), "a pax and a GNU name");
    refused(&builder.clone().pax(&[("path", b"a")]), "no entry follows");
    refused(&builder.clone().raw(Raw::new(b'1', "l").link("x").body(b"data")), "a hard link declares 4 bytes");
    refused(&builder.clone().raw(Raw::new(b'5', "d").body(b"data")), "a directory declares 4 bytes");
    refused(&builder.clone().pax(&[("size", b"512")]).symlink("l", "x"), "a symbolic link declares 512 bytes");
    let global = Raw::new(b'g', "PaxHeader").body(b"10 path=a\n");
    refused(&builder.clone().raw(global).file("x", b""), "global header");
    let comment = Raw::new(b'g', "PaxHeader").body(b"13 comment=a\n");
    assert_eq!(read(&builder.raw(comment).file("x", b"").finish()).unwrap(), [("x".to_owned(), 0)]);
}

#[test]
fn absurd_numbers_are_refused() {
    let file = || Raw::new(b'0', "x");
    let negative = [0xff; 12];
    refused(&Builder::default().raw(file().field(124, &negative)), "field size is -1");
    refused(&Builder::default().raw(file().field(108, &negative[..8])), "field uid is -1");
    refused(&Builder::default().raw(file().field(116, b"-000001\0")), "field gid is \"-000001");
    refused(&Builder::default().raw(file().field(124, &[&[0x80][..], &[0xff; 11]].concat())), "at most 63 bits");
    refused(&Builder::default().raw(file().field(108, &[0x80, 0, 0, 1, 0, 0, 0, 0])), "field uid is 4294967296");
    refused(&Builder::default().pax(&[("size", b"9223372036854775808")]).file("x", b""), "above 2^63");
    refused(&Builder::default().pax(&[("size", b"-5")]).file("x", b""), "size is \"-5\"");
    refused(&Builder::default().pax(&[("uid", b"4294967296")]).file("x", b""), "uid");
    refused(&Builder::default().raw(Raw::new(b'L', "x").field(124, b"77777777777\0")), "at most 1048576");
    refused(&Builder::default().raw(Raw::new(b'x', "x").field(124, b"00010000000\0")), "at most 1048576");
    refused(&Builder::default().raw(file().field(124, b"77777777777\0")), "cut off");
    refused(&Builder::default().pax(&[("size", b"9223372036854775807")]).file("x", b""), "cut off");
}

#[test]
fn sparse_and_unknown_types_are_refused() {
    refused(&Builder::default().raw(Raw::new(b'S', "x")), "sparse file");
    refused(&Builder::default().pax(&[("GNU.sparse.major", b"1")]).file("x", b""), "sparse file");
    for flag in [b'D', b'M', b'N', b'Z', 0xff] {
        refused(&Builder::default().raw(Raw::new(flag, "x")), "not supported");
    }
}

#[test]
fn every_cut_is_found() {
    let archive = Builder::default().pax(&[("path", b"etc/a")]).file("x", &[1; 700]).file("b", b"x").finish();
    let end = archive.len() - 1024;
    for cut in 0..archive.len() {
        let result = read(&archive[..cut]);
        if cut < end + 512 {
            let error = result.expect_err(&format!("cut at {cut}"));
            assert!(
                matches!(error, TarError::Truncated { .. } | TarError::NoEndMarker { .. } | TarError::Pax { .. }),
                "{cut}: {error}"
            );
        } else {
            assert_eq!(result.unwrap().len(), 2);
        }
    }
}

#[test]
fn nothing_may_follow_the_end() {
    let hidden = Builder::default().file("a", b"").finish();
    let archive = [&hidden[..], &Builder::default().file("hidden", b"").finish()].concat();
    assert!(matches!(read(&archive), Err(TarError::TrailingData { offset: 1536 })));
    assert_eq!(read(&[&hidden[..], &[0; 9000]].concat()).unwrap().len(), 1);
    let endless = hidden.chain(std::io::repeat(0));
    let mut reader = TarReader::new(endless, EndMarker::Required);
    reader.next_member().unwrap();
    assert!(matches!(reader.next_member(), Err(TarError::TooLarge { .. })));
}

#[test]
fn a_wrong_checksum_is_found_at_its_offset() {
    let mut archive = Builder::default().file("a", b"x").file("b", b"x").finish();
    archive[1024] ^= 1;
    assert!(matches!(read(&archive), Err(TarError::Checksum { offset: 1024 })));
}

#[test]
fn old_forms_are_read() {
    let old_directory = Raw::new(0, "d/").field(257, &[0; 8]);
    let prefixed = Raw::new(b'0', "name").field(345, b"some/prefix");
    let gnu = Raw::new(b'0', "gnu").field(257, b"ustar  \0").field(345, b"not a prefix");
    let archive = Builder::default().raw(old_directory).raw(prefixed).raw(gnu).raw(Raw::new(b'V', "label")).finish();
    let names: Vec<_> = read(&archive).unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["d", "some/prefix/name", "gnu"]);
}

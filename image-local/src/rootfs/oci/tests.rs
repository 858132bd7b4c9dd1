//! Layouts made on the spot, honest and hostile.

use std::fs;
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::super::tar::testing::{Builder, Raw};
use super::super::{Digest, Kind, Manifest, NormalizeOptions, RootfsPath};
use super::{OciError, OciImage, OciLayout, Platform};

struct Layout(tempfile::TempDir);

impl Layout {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("blobs/sha256")).unwrap();
        fs::write(directory.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        Self(directory)
    }

    fn blob(&self, media_type: &str, content: &[u8]) -> Value {
        let digest = Digest::of(content);
        fs::write(self.path(digest), content).unwrap();
        json!({"mediaType": format!("application/vnd.oci.image.{media_type}"), "digest": digest, "size": content.len()})
    }

    fn path(&self, digest: Digest) -> std::path::PathBuf {
        self.0.path().join("blobs/sha256").join(digest.to_hex())
    }

    fn image(&self, architecture: &str, layers: &[Builder]) -> Value {
        let tars: Vec<_> = layers.iter().map(|layer| layer.clone().finish()).collect();
        let config = json!({
            "os": "linux", "architecture": architecture, "config": {"Env": ["A=b"], "Labels": null},
            "rootfs": {"type": "layers", "diff_ids": tars.iter().map(Digest::of).collect::<Vec<_>>()},
        });
        let layers: Vec<_> = tars.iter().zip(0..).map(|(tar, number)| self.layer(tar, number % 3)).collect();
        self.manifest(&config, &layers)
    }

    fn layer(&self, tar: &[u8], compression: usize) -> Value {
        match compression {
            0 => self.blob("layer.v1.tar", tar),
            1 => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(tar).unwrap();
                self.blob("layer.v1.tar+gzip", &encoder.finish().unwrap())
            }
            _ => self.blob("layer.v1.tar+zstd", &zstd::encode_all(tar, 1).unwrap()),
        }
    }

    fn manifest(&self, config: &Value, layers: &[Value]) -> Value {
        let config = self.blob("config.v1+json", config.to_string().as_bytes());
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": layers});
        self.blob("manifest.v1+json", manifest.to_string().as_bytes())
    }

    fn index(&self, manifests: &[Value]) -> Value {
        let index = json!({"schemaVersion": 2, "manifests": manifests});
        fs::write(self.0.path().join("index.json"), index.to_string()).unwrap();
        self.blob("index.v1+json", index.to_string().as_bytes())
    }

    fn open(&self) -> OciLayout {
        OciLayout::open(self.0.path()).unwrap()
    }

    fn only(&self) -> Result<OciImage, OciError> {
        self.open().resolve(&Platform::linux("amd64"), None)
    }
}

fn flatten(layers: &[Builder]) -> Result<Manifest, OciError> {
    let layout = Layout::new();
    layout.index(&[layout.image("amd64", layers)]);
    let image = layout.only().unwrap();
    let mut canonical = Vec::new();
    let manifest = layout.open().normalize(&image, &mut canonical, &NormalizeOptions::default())?;
    let mut flat = Vec::new();
    layout.open().flatten(&image, &mut flat)?;
    let again = super::super::normalize(&flat[..], &mut Vec::new(), &NormalizeOptions::default()).unwrap();
    assert_eq!(again, manifest, "flattening and normalising are one");
    Ok(manifest)
}

fn check(layers: &[Builder], expected: &[&str]) -> Manifest {
    let manifest = flatten(layers).unwrap();
    let names: Vec<_> = manifest.entries.keys().skip(1).map(ToString::to_string).collect();
    assert_eq!(names, expected);
    manifest
}

fn refused(layers: &[Builder], expected: &str) {
    let error = flatten(layers).expect_err(expected).to_string();
    assert!(error.contains(expected), "{error}, expected {expected}");
}

fn base() -> Builder {
    Builder::default().directory("./").directory("etc").file("etc/a", b"1").file("etc/b", b"2")
}

fn kind(manifest: &Manifest, path: &str) -> Kind {
    manifest.entries[&path.parse::<RootfsPath>().unwrap()].kind.clone()
}

fn content(text: &[u8]) -> Kind {
    Kind::File { size: text.len() as u64, digest: Digest::of(text) }
}

#[test]
fn whiteouts_hide_lower_layers_only() {
    let wh = |name: &str| Builder::default().file(name, b"");
    check(&[base(), wh("etc/.wh.a")], &["etc", "etc/b"]);
    check(&[base(), wh("etc/.wh.missing"), wh("no/.wh.thing")], &["etc", "etc/a", "etc/b"]);
    check(&[base(), wh(".wh.etc"), Builder::default().file("usr/x", b"")], &["usr", "usr/x"]);
    let replaced = Builder::default().file("etc/a", b"new").file("etc/.wh..wh..opq", b"").file("etc/c", b"");
    let manifest = check(&[base(), replaced], &["etc", "etc/a", "etc/c"]);
    assert_eq!(kind(&manifest, "etc/a"), content(b"new"));
    check(&[base(), Builder::default().file("etc/a", b"").file("etc/.wh.a", b"")], &["etc", "etc/a", "etc/b"]);
    check(&[base(), wh(".wh..wh..opq").file("usr/x", b"")], &["usr", "usr/x"]);
    check(&[base(), wh(".wh..wh.plnk/1.2").file(".wh..wh.aufs", b"")], &["etc", "etc/a", "etc/b"]);
    for name in [".wh.", ".wh..", ".wh...", "etc/.wh..", "etc/.wh..."] {
        refused(&[base(), wh(name)], "the whiteout names no file");
    }
}

#[test]
fn files_directories_and_links_replace_each_other() {
    let manifest = check(
        &[base().file("etcd", b""), Builder::default().file("etc", b"").directory("usr")],
        &["etc", "etcd", "usr"],
    );
    assert_eq!(kind(&manifest, "etc"), content(b""));
    let manifest = check(
        &[base(), Builder::default().raw(Raw::new(b'5', "etc").field(100, b"0000700\0"))],
        &["etc", "etc/a", "etc/b"],
    );
    assert_eq!(manifest.entries[&"etc".parse::<RootfsPath>().unwrap()].mode, 0o700);
    check(
        &[base().symlink("x", "etc"), Builder::default().directory("x").file("x/y", b"")],
        &["etc", "etc/a", "etc/b", "x", "x/y"],
    );
    check(&[base().file("etc/a", b"twice")], &["etc", "etc/a", "etc/b"]);
}

#[test]
fn hard_links_keep_their_content() {
    let link = || Builder::default().hard_link("l", "etc/a");
    let first = |target: &str| Kind::HardLink { target: target.parse().unwrap() };
    let manifest = check(&[base(), link()], &["etc", "etc/a", "etc/b", "l"]);
    assert_eq!((kind(&manifest, "etc/a"), kind(&manifest, "l")), (content(b"1"), first("etc/a")));
    let manifest = check(&[base(), link(), Builder::default().file("etc/.wh.a", b"")], &["etc", "etc/b", "l"]);
    assert_eq!(kind(&manifest, "l"), content(b"1"));
    let manifest =
        check(&[base(), link(), Builder::default().file("etc/a", b"other")], &["etc", "etc/a", "etc/b", "l"]);
    assert_eq!((kind(&manifest, "etc/a"), kind(&manifest, "l")), (content(b"other"), content(b"1")));
    let manifest =
        check(&[base(), link().hard_link("A", "l").hard_link("A", "A")], &["A", "etc", "etc/a", "etc/b", "l"]);
    assert_eq!((kind(&manifest, "A"), kind(&manifest, "l")), (content(b"1"), first("A")));
    refused(&[base(), Builder::default().hard_link("l", "no")], "hard link target does not exist");
    refused(&[base(), Builder::default().hard_link("l", "etc")], "hard link target is a directory");
}

#[test]
fn links_in_parents_stay_inside() {
    let usr = || Builder::default().directory("usr/lib").symlink("lib", "usr/lib").symlink("abs", "/usr/lib");
    check(&[usr(), Builder::default().file("lib/x", b"")], &["abs", "lib", "usr", "usr/lib", "usr/lib/x"]);
    check(
        &[usr().symlink("up", "../../../usr"), Builder::default().file("up/lib/x", b"")],
        &["abs", "lib", "up", "usr", "usr/lib", "usr/lib/x"],
    );
    check(&[usr().file("abs/x", b""), Builder::default().file("lib/.wh.x", b"")], &["abs", "lib", "usr", "usr/lib"]);
    check(
        &[usr().file("usr/lib/x", b""), Builder::default().hard_link("y", "lib/x")],
        &["abs", "lib", "usr", "usr/lib", "usr/lib/x", "y"],
    );
    refused(&[base().symlink("a", "b").symlink("b", "a").file("a/x", b"")], "loop of symbolic links");
    refused(&[base(), Builder::default().file("etc/a/x", b"")], "not a directory");
    refused(&[base(), Builder::default().file("../x", b"")], "cannot be read");
}

#[test]
fn every_damaged_blob_is_found() {
    let layout = Layout::new();
    layout.index(&[layout.image("amd64", &[base(), base(), base()])]);
    let image = layout.only().unwrap();
    let blobs: Vec<_> =
        fs::read_dir(layout.0.path().join("blobs/sha256")).unwrap().map(|blob| blob.unwrap().path()).collect();
    for path in blobs.iter().filter(|path| !fs::read(path).unwrap().starts_with(b"{\"manifests")) {
        let whole = fs::read(path).unwrap();
        let flipped = [&[whole[0] ^ 1], &whole[1..]].concat();
        for damaged in [&whole[..whole.len() - 1], &[&whole[..], b"x"].concat(), &flipped, b""] {
            fs::write(path, damaged).unwrap();
            let result = layout.only().and_then(|image| layout.open().flatten(&image, std::io::sink()));
            assert!(matches!(result, Err(OciError::Blob { .. })), "{result:?}");
        }
        fs::remove_file(path).unwrap();
        let result = layout.only().and_then(|image| layout.open().flatten(&image, std::io::sink()));
        assert!(matches!(result, Err(OciError::Read { .. })), "{result:?}");
        fs::write(path, whole).unwrap();
    }
    layout.open().flatten(&image, std::io::sink()).unwrap();
}

#[test]
fn the_configuration_binds_the_layers() {
    let layout = Layout::new();
    let tar = base().finish();
    let config =
        |diff_ids: &[Digest]| json!({"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": diff_ids}});
    layout.index(&[layout.manifest(&config(&[Digest::of("other")]), &[layout.layer(&tar, 1)])]);
    let result = layout.open().flatten(&layout.only().unwrap(), std::io::sink());
    assert!(matches!(result, Err(OciError::DiffId { .. })), "{result:?}");
    layout.index(&[layout.manifest(&config(&[]), &[layout.layer(&tar, 1)])]);
    assert!(layout.only().unwrap_err().to_string().contains("has 1 layers, but its configuration 0"));
    layout.index(&[layout.manifest(&config(&[Digest::of(&tar)]), &[layout.blob("layer.v1.tar+lz4", &tar)])]);
    assert!(layout.only().unwrap_err().to_string().contains("layer media type"));
}

#[test]
fn one_image_is_found_or_none() {
    let layout = Layout::new();
    let tagged = |mut image: Value, tag: &str| {
        image["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
        image
    };
    let amd = layout.image("amd64", &[base()]);
    let mut arm = layout.image("arm64", &[base()]);
    arm["platform"] = json!({"os": "linux", "architecture": "arm64", "variant": "v8"});
    let mut attestation = layout.image("unknown", &[]);
    attestation["platform"] = json!({"os": "unknown", "architecture": "unknown"});
    let nested = layout.index(&[amd.clone(), arm, attestation]);
    let newer = layout.image("amd64", &[base(), base()]);
    layout.index(&[tagged(nested, "one"), tagged(newer.clone(), "two")]);

    let resolve = |platform: Platform, tag| layout.open().resolve(&platform, tag);
    let amd64 = || Platform::linux("amd64");
    assert_eq!(json!(resolve(amd64(), Some("one")).unwrap().digest), amd["digest"]);
    assert_eq!(json!(resolve(amd64(), Some("two")).unwrap().digest), newer["digest"]);
    assert_eq!(resolve(amd64(), Some("two")).unwrap().config.env, ["A=b"]);
    assert!(matches!(resolve(amd64(), None), Err(OciError::Ambiguous { count: 2, .. })));
    assert!(matches!(resolve(amd64(), Some("three")), Err(OciError::NotFound { .. })));
    assert_eq!(
        resolve(Platform::linux("arm64").with_variant("v8"), None).unwrap().platform.to_string(),
        "linux/arm64/v8"
    );
    assert!(resolve(Platform::linux("arm64"), None).is_ok());
    let error = resolve(Platform::linux("arm64").with_variant("v9"), None).unwrap_err().to_string();
    assert!(error.contains("no image matches linux/arm64/v9") && error.contains("linux/arm64/v8"), "{error}");
}

#[test]
fn malformed_documents_are_refused() {
    let open = |layout: &Layout| OciLayout::open(layout.0.path()).map(drop);
    let layout = Layout::new();
    assert!(matches!(open(&layout), Err(OciError::Read { .. })));
    let write = |name: &str, text: &str| fs::write(Path::new(layout.0.path()).join(name), text).unwrap();
    for (index, expected) in [
        ("{", "cannot parse index.json"),
        (r#"{"schemaVersion":1,"manifests":[]}"#, "schemaVersion is 1; 2 is accepted"),
        (r#"{"schemaVersion":2,"manifests":[{"digest":"sha256:../../../etc/passwd","size":1}]}"#, "cannot parse"),
        (r#"{"schemaVersion":2,"manifests":[{"digest":"x","size":-1}]}"#, "cannot parse"),
    ] {
        write("index.json", index);
        let error = open(&layout).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    write("oci-layout", r#"{"imageLayoutVersion":"2.0.0"}"#);
    assert!(open(&layout).unwrap_err().to_string().contains("\"1.0.0\" is accepted"));

    let layout = Layout::new();
    let mut huge = layout.blob("manifest.v1+json", b"{}");
    huge["size"] = json!(u64::MAX);
    layout.index(&[huge]);
    assert!(layout.only().unwrap_err().to_string().contains("at most 4194304"));
    let mut nested = layout.index(&[]);
    for _ in 0..6 {
        nested = layout.index(&[nested]);
    }
    assert!(layout.only().unwrap_err().to_string().contains("nested deeper"));
}

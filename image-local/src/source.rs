//! What an image starts from, resolved once and unpacked into a root file system.

use crate::{
    debian::{self, Pinned, Suite},
    rootfs::{
        NormalizeOptions, archive, normalize,
        oci::{OciImage, OciLayout, Platform},
        store::LayerReader,
    },
    sandbox::{Privilege, extract},
};
use image_core::{Architecture, Context, Error, ErrorKind, Fingerprint, Image, Result, sha256_file};
use std::{
    io::PipeWriter,
    path::{Path, PathBuf},
};

/// Where the root file system of the lowest layer comes from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Source {
    /// An image of an OCI image layout directory.
    Oci {
        /// The directory.
        layout: PathBuf,
        /// `org.opencontainers.image.ref.name` of the image; not needed where there is only one.
        tag: Option<String>,
    },
    /// The packages of a Debian or Ubuntu suite.
    Suite(Suite),
    /// A tar archive of a root file system: plain, or compressed by gzip, xz or zstd.
    Tar(PathBuf),
}

impl Source {
    /// A suite with what it takes to boot, from the mirrors of this host or the public ones.
    ///
    /// # Errors
    /// `InvalidInput` for a suite that is not known.
    pub fn suite(name: &str, architecture: Architecture) -> Result<Self> {
        let mut suite = Suite::new(name, dpkg_name(architecture)?)?;
        suite.packages = debian::bootable_packages(&suite);
        Ok(Self::Suite(suite))
    }
    /// A suite with these packages, and nothing that it takes to boot.
    ///
    /// # Errors
    /// `InvalidInput` for a suite that is not known.
    pub fn suite_of(
        name: &str,
        architecture: Architecture,
        packages: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Self> {
        let mut suite = Suite::new(name, dpkg_name(architecture)?)?;
        suite.packages = packages.into_iter().map(Into::into).collect();
        Ok(Self::Suite(suite))
    }
    /// A tar archive.
    pub fn tar(path: impl Into<PathBuf>) -> Self {
        Self::Tar(path.into())
    }
    /// An OCI image layout.
    pub fn oci(layout: impl Into<PathBuf>, tag: Option<&str>) -> Self {
        Self::Oci { layout: layout.into(), tag: tag.map(str::to_owned) }
    }

    /// Looks it up, without side effects.
    pub(crate) async fn resolve(&self, architecture: Architecture, epoch: u64) -> Result<Base> {
        match self {
            Self::Oci { layout, tag } => {
                let (directory, tag) = (layout.clone(), tag.clone());
                let platform = Platform::linux(oci_name(architecture)?);
                let resolve = move || -> Result<Base> {
                    let layout = OciLayout::open(&directory)?;
                    let image = layout.resolve(&platform, tag.as_deref())?;
                    Ok(Base::Oci { layout, image: Box::new(image) })
                };
                tokio::task::spawn_blocking(resolve).await?
            }
            Self::Suite(suite) => {
                let suite = Suite { epoch, ..suite.clone() };
                let pinned = debian::pin(&suite).await?;
                Ok(Base::Suite { suite, pinned })
            }
            Self::Tar(path) => {
                let sha256 = sha256_file(path).await.map_err(|e| match e.kind() {
                    ErrorKind::NotFound => {
                        Error::invalid("source", path.display(), "a tar archive that exists").with_source(e)
                    }
                    _ => e,
                })?;
                Ok(Base::Tar { sha256, path: path.clone() })
            }
        }
    }
}

fn dpkg_name(architecture: Architecture) -> Result<&'static str> {
    match architecture {
        Architecture::Aarch64 => Ok("arm64"),
        Architecture::X86_64 => Ok("amd64"),
        other => Err(Error::invalid("architecture", other, "aarch64, x86_64")),
    }
}

fn oci_name(architecture: Architecture) -> Result<&'static str> {
    // The names of Debian and of Go are the same for these.
    dpkg_name(architecture)
}

/// A source that was resolved: it cannot give anything else any more.
#[derive(Clone, Debug)]
pub(crate) enum Base {
    /// An image of this builder, of another pipeline.
    Image {
        image: Image,
        directory: PathBuf,
    },
    Oci {
        layout: OciLayout,
        image: Box<OciImage>,
    },
    Suite {
        suite: Suite,
        pinned: Pinned,
    },
    Tar {
        path: PathBuf,
        sha256: String,
    },
}

impl Base {
    /// What it is, and what it resolved to.
    pub(crate) fn describe(&self) -> Result<image_core::Source> {
        Ok(match self {
            Self::Image { image, .. } => image_core::Source::new(image.to_string(), image.digest.to_string()),
            Self::Oci { image, .. } => image_core::Source::new("OCI image layout", image.digest.to_string()),
            Self::Suite { suite, pinned } => {
                let releases: Vec<_> = pinned.releases.iter().map(|r| (&r.suite, &r.url, &r.sha256)).collect();
                let fingerprint = Fingerprint::of("releases", &releases)?;
                let name = format!("{} {}", suite.distribution, suite.name);
                image_core::Source::new(name, format!("indices sha256:{fingerprint}"))
            }
            Self::Tar { path, sha256 } => {
                let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
                image_core::Source::new(name, format!("sha256:{sha256}"))
            }
        })
    }

    /// Everything besides the pinned content that decides what is unpacked.
    pub(crate) fn settings(&self) -> Vec<String> {
        let Self::Suite { suite, .. } = self else { return vec![] };
        let mut settings = vec![suite.architecture.clone(), suite.variant.clone(), suite.components.join(" ")];
        settings.extend(suite.packages.iter().cloned());
        settings
    }

    /// Fills an empty directory. `work` is for what it takes meanwhile.
    pub(crate) async fn unpack(&self, cx: &Context, privilege: Privilege, work: &Path, rootfs: &Path) -> Result<()> {
        match self {
            Self::Image { directory, .. } => unpack_layer(cx, privilege, directory, rootfs).await,
            Self::Oci { layout, image } => {
                let (layout, image) = (layout.clone(), image.clone());
                piped(cx, privilege, rootfs, move |out| {
                    layout.normalize(&image, out, &NormalizeOptions::default())?;
                    Ok(())
                })
                .await
            }
            Self::Suite { suite, pinned } => bootstrap(cx, suite, pinned, privilege, work, rootfs).await,
            Self::Tar { path, sha256 } => {
                let source = path.clone();
                piped(cx, privilege, rootfs, move |out| {
                    normalize(archive::open(&source)?, out, &NormalizeOptions::default())?;
                    Ok(())
                })
                .await?;
                if sha256_file(path).await? == *sha256 {
                    return Ok(());
                }
                let message = format!("{} changed while it was unpacked", path.display());
                Err(Error::new(ErrorKind::Conflict, message))
            }
        }
    }
}

/// Unpacks a stored layer; its digest is proved on the way.
pub(crate) async fn unpack_layer(cx: &Context, privilege: Privilege, directory: &Path, rootfs: &Path) -> Result<()> {
    let layer = LayerReader::open(directory)?;
    cx.race(async { Ok(extract(privilege, layer, rootfs).await?) }).await
}

/// Unpacks what `write` writes.
async fn piped(
    cx: &Context,
    privilege: Privilege,
    rootfs: &Path,
    write: impl FnOnce(PipeWriter) -> Result<()> + Send + 'static,
) -> Result<()> {
    let (reader, writer) = std::io::pipe().map_err(|e| Error::io("make a pipe to", "tar", e))?;
    let writing = async { tokio::task::spawn_blocking(move || write(writer)).await? };
    let unpacking = async { Ok(extract(privilege, reader, rootfs).await?) };
    let (written, unpacked): (Result<()>, Result<()>) = cx.race(async { Ok(tokio::join!(writing, unpacking)) }).await?;
    // What is wrong with the archive explains what tar says of it.
    written.and(unpacked)
}

async fn bootstrap(
    cx: &Context,
    suite: &Suite,
    pinned: &Pinned,
    privilege: Privilege,
    work: &Path,
    rootfs: &Path,
) -> Result<()> {
    let (reader, writer) = std::io::pipe().map_err(|e| Error::io("make a pipe to", "tar", e))?;
    let mut on_line = |line: &str| cx.output(image_core::Stream::Stderr, line);
    let ended = async { drop(cx.ended().await) };
    let building = async {
        let out = debian::bootstrap(suite, Some(pinned), privilege, work, writer, &mut on_line, ended).await;
        out.map(drop)
    };
    let unpacking = extract(privilege, reader, rootfs);
    match tokio::join!(building, unpacking) {
        (Err(debian::DebianError::Cancelled { .. }), _) => Err(cx.ended().await),
        (Err(e), _) => Err(e.into()),
        (Ok(()), unpacked) => Ok(unpacked?),
    }
}

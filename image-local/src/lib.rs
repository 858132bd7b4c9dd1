//! Golden images on one machine, without a cloud account.
//!
//! [`LocalBuilder`] makes a bootable disk of a [`Source`]: packages of Debian or Ubuntu, an archive of a root file system,
//! or an OCI layout. Layers are built in sandboxes, the disk is written directly, and a throwaway guest boots it for the
//! last tests. None of it needs root, loop devices or a daemon. [`LocalStore`] publishes what was approved into a
//! directory that anything can read.
//!
//! ```no_run
//! use image_core::{Architecture, Context, FileStore, Layer, Pipeline, provision::Shell, validate::Command};
//! use image_local::{LocalBuilder, LocalStore, Source};
//!
//! # async fn build() -> Result<(), Box<dyn std::error::Error>> {
//! let store = LocalStore::open("store")?;
//! let pipeline = Pipeline::new("web")
//!     .builder(LocalBuilder::open("builder", Source::suite("trixie", Architecture::X86_64)?)?)
//!     .layer(Layer::new("base").provision(Shell::inline("upgrade", "apt-get update; apt-get -y upgrade")))
//!     .layer(Layer::new("web").provision(Shell::inline("nginx", "apt-get -y install nginx")))
//!     .validator(Command::new("nginx").check("configuration", "nginx -t"))
//!     .without_scan("there is no scanner yet")
//!     .distributor(store.clone());
//!
//! let cx = Context::builder(FileStore::open("journals")?).open().await?;
//! let outcome = pipeline.run(&cx).await?;
//! store.write_report(&outcome.report)?;
//! // The disk as raw and qcow2, with its digests and its build record.
//! println!("{:?}", store.latest("web")?);
//! # Ok(())
//! # }
//! ```
//!
//! A second run finds both layers and the approval by their fingerprints, and makes nothing. A change in the second layer
//! builds that one only.
//!
//! The parts are of use without a pipeline: [`rootfs`] reads and normalizes archives, [`disk`] writes disks and file
//! systems, [`sandbox`] runs commands in namespaces, [`qemu`] runs guests, [`debian`] bootstraps from pinned mirrors.

mod builder;
pub mod debian;
pub mod disk;
mod errors;
mod machine;
pub mod process;
pub mod qemu;
pub mod rootfs;
pub mod sandbox;
mod source;
mod store;
mod tagged;

pub use builder::{BootVia, LocalBuilder};
pub use source::Source;
pub use store::{LocalStore, Manifest, PublishedFile};

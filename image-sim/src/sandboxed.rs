//! `--sandbox`: instances that run commands, where this build has them.

use std::path::Path;

use image_sim::Builder;

use crate::Error;

#[cfg(feature = "sandbox")]
pub(crate) use with::Sandboxed;
#[cfg(not(feature = "sandbox"))]
pub(crate) use without::Sandboxed;

#[cfg(feature = "sandbox")]
mod with {
    use std::path::PathBuf;

    use image_local::sandbox::Network;
    use image_sim::{Content, Sandboxes};

    use super::{Builder, Error, Path};

    /// Sandboxes, the tree that public images hold, and the directory of both.
    #[derive(Debug)]
    pub(crate) struct Sandboxed {
        sandboxes: Sandboxes,
        tree: Content,
    }

    impl Sandboxed {
        /// Sandboxes without a network, below a new directory of the system's temporary one.
        pub(crate) async fn new(rootfs: &Path) -> Result<Self, Error> {
            let rootfs: PathBuf = rootfs.canonicalize().map_err(|error| format!("{}: {error}", rootfs.display()))?;
            let directory = std::env::temp_dir().join(format!("image-sim-{}", std::process::id()));
            std::fs::create_dir(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
            let sandboxes = match Sandboxes::new(&directory, Network::None).await {
                Ok(sandboxes) => sandboxes,
                Err(error) => {
                    std::fs::remove_dir(&directory)?;
                    return Err(error.into());
                }
            };
            match tree(&sandboxes, &rootfs).await {
                Ok(tree) => Ok(Self { sandboxes, tree }),
                Err(error) => {
                    sandboxes.remove().await?;
                    Err(format!("{}: {error}", rootfs.display()).into())
                }
            }
        }

        /// A simulator whose public images hold the tree, and whose instances run in sandboxes.
        pub(crate) fn give(&self, builder: Builder) -> Builder {
            builder.bodies(self.sandboxes.clone()).public_content(self.tree.clone())
        }

        /// Removes what instances wrote.
        pub(crate) async fn remove(self) -> Result<(), Error> {
            Ok(self.sandboxes.remove().await?)
        }
    }

    async fn tree(sandboxes: &Sandboxes, rootfs: &Path) -> Result<Content, Error> {
        if rootfs.is_dir() {
            return Ok(Content::Tree(rootfs.to_owned()));
        }
        Ok(sandboxes.tree(std::fs::File::open(rootfs)?).await?)
    }
}

#[cfg(not(feature = "sandbox"))]
mod without {
    use super::{Builder, Error, Path};

    /// There are none.
    #[derive(Debug)]
    pub(crate) enum Sandboxed {}

    impl Sandboxed {
        /// Refuses: this build has no sandboxes.
        #[expect(clippy::unused_async, reason = "as with the feature")]
        pub(crate) async fn new(_rootfs: &Path) -> Result<Self, Error> {
            Err("--sandbox: this program was built without the feature `sandbox`".into())
        }

        pub(crate) fn give(&self, _builder: Builder) -> Builder {
            match *self {}
        }

        #[expect(clippy::unused_async, reason = "as with the feature")]
        pub(crate) async fn remove(self) -> Result<(), Error> {
            match self {}
        }
    }
}

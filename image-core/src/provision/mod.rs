//! Provisioners that every pipeline needs: scripts, files, restarts and the seal of a golden image.
//!
//! All of them declare their inputs, so that a layer is built again only when something of it has changed, and all of
//! them refuse settings that cannot work while the pipeline is checked, before anything is created.

mod ext;
mod failure;
mod file_download;
mod file_upload;
mod local_command;
mod pin;
mod reboot;
mod retry;
mod seal;
mod shell;
mod tree;

pub(crate) use failure::last_words;
pub(crate) use seal::PATHS as SEAL_PATHS;

pub use ext::{ContinuedOnError, PausedBefore, ProvisionerExt, Retried, TimeLimited};
pub use file_download::FileDownload;
pub use file_upload::FileUpload;
pub use local_command::LocalCommand;
pub use reboot::Reboot;
pub use seal::Seal;
pub use shell::Shell;

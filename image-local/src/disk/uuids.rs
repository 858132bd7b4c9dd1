//! Identifiers that depend on nothing but a seed, so that the same input gives the same disk.

use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

/// The UUID (version 8) for one `purpose` that follows from `seed`.
pub(crate) fn derive(seed: &[u8], purpose: &str) -> Uuid {
    let digest = Sha256::new().chain_update(purpose).chain_update([0]).chain_update(seed).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Builder::from_custom_bytes(bytes).into_uuid()
}

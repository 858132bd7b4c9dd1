//! Functions of Sprig that a test of images has no use for: they make keys and password hashes, or ask the network.

use super::{Registry, Rest};
use crate::template::{context::Fault, value::Val};

pub(super) fn register(registry: &mut Registry) {
    registry.add_all(
        &[
            "bcrypt",
            "buildCustomCert",
            "decryptAES",
            "derivePassword",
            "encryptAES",
            "genCA",
            "genCAWithKey",
            "genPrivateKey",
            "genSelfSignedCert",
            "genSelfSignedCertWithKey",
            "genSignedCert",
            "genSignedCertWithKey",
            "getHostByName",
            "htpasswd",
        ],
        |_: Rest<Val>| -> Result<Val, Fault> {
            Err(Fault::new("this function of Sprig is not supported here: it makes secrets or asks the network"))
        },
    );
}

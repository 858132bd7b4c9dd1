//! The tags that say whose a resource is. They are written by the call that creates it, so that nothing is ever without.

use image_core::{CreateRequest, State, Timestamp};
use std::collections::BTreeMap;

/// What every key of ours begins with.
pub const PREFIX: &str = "golden-image:";
/// The run that created it.
pub const RUN: &str = "golden-image:run";
/// The token of the create: what finds it when the reply was lost.
pub const TOKEN: &str = "golden-image:token";
/// [`State`] as text.
pub const STATE: &str = "golden-image:state";
/// Milliseconds since 1970; absent on what stays for good.
pub const EXPIRES: &str = "golden-image:expires";
/// The fingerprint that a later run finds a layer or an image by.
pub const FINGERPRINT: &str = "golden-image:fingerprint";

/// The plugin that made it, where a look-up must tell: what imports make has it, and what builds make has not.
pub const MADE_BY: &str = "golden-image:made-by";

/// The tags of a create, with our prefix.
pub fn of(request: &CreateRequest) -> BTreeMap<String, String> {
    request.tags.iter().map(|(key, value)| (format!("{PREFIX}{key}"), value.clone())).collect()
}

/// What tags say of a resource's state and end; nothing where it is not ours.
pub fn read(tags: &BTreeMap<String, String>) -> Option<(State, Option<Timestamp>)> {
    let state = State::parse(tags.get(STATE)?)?;
    // An expiry that cannot be read is no expiry: what we do not understand is not deleted.
    let expires = tags.get(EXPIRES).and_then(|text| text.parse().ok()).map(Timestamp::from_millis);
    Some((state, expires))
}

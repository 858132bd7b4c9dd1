//! The contract of builders and distributors, tried on the real ones: each run builds a disk in sandboxes and publishes
//! it, and is failed, cancelled and killed at moments all over it.
#![expect(clippy::unwrap_used, reason = "a fixture that cannot be made fails its test")]

mod workshop;

/// Crashes are looked at in copies of the whole directory.
mod builder {
    use super::workshop::Workshop;
    use image_conformance::Rig;
    use std::sync::Arc;

    fn fresh() -> Arc<dyn Rig> {
        Arc::new(Workshop::new(true))
    }

    image_conformance::builder_conformance!(fresh, real_time);
}

/// Crashes are runs that are shut down in the middle.
mod distributor {
    use super::workshop::Workshop;
    use image_conformance::DistributorRig;
    use std::sync::Arc;

    fn fresh() -> Arc<dyn DistributorRig> {
        Arc::new(Workshop::new(false))
    }

    image_conformance::distributor_conformance!(fresh, real_time);
}

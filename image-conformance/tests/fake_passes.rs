//! The whole kit passes on the in-memory cloud, on a paused clock and, sampled, in real time without snapshots.

mod builder {
    image_conformance::builder_conformance!(image_conformance::fake::FakeCloud::rig);
}

mod importer {
    image_conformance::importer_conformance!(image_conformance::fake::FakeCloud::rig);
}

mod distributor {
    image_conformance::distributor_conformance!(image_conformance::fake::FakeCloud::distributor_rig);
}

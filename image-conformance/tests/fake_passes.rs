//! The whole kit passes on the in-memory cloud, on a paused clock and, sampled, in real time without snapshots.
#![expect(clippy::unwrap_used, reason = "a fixture that cannot be made fails its test")]

mod builder {
    image_conformance::builder_conformance!(image_conformance::fake::FakeCloud::rig);
}

mod importer {
    image_conformance::importer_conformance!(image_conformance::fake::FakeCloud::rig);
}

mod distributor {
    image_conformance::distributor_conformance!(image_conformance::fake::FakeCloud::distributor_rig);
}

mod without_snapshots {
    use image_conformance::{Limits, Rig, fake::FakeCloud};
    use image_core::{Pipeline, Ready, Undoers};
    use serde_json::Value;
    use std::{
        collections::{BTreeMap, BTreeSet},
        sync::Arc,
        time::Duration,
    };

    /// A cloud that cannot be copied, as a real one.
    #[derive(Debug)]
    struct Uncopied(FakeCloud);

    impl Rig for Uncopied {
        fn pipeline(&self) -> Pipeline<Ready> {
            self.0.pipeline()
        }
        fn foreign(&self) -> Undoers {
            self.0.foreign()
        }
        fn live(&self) -> BTreeSet<String> {
            self.0.live()
        }
        fn values(&self) -> BTreeMap<String, Value> {
            Rig::values(&self.0)
        }
        fn overwrite(&self, id: &str, value: Value) -> bool {
            self.0.overwrite(id, value)
        }
        fn refused(&self) -> Vec<Pipeline<Ready>> {
            self.0.refused()
        }
        fn limits(&self) -> Limits {
            Limits::sampled(3, Duration::from_millis(100))
        }
    }

    fn fresh() -> Arc<dyn Rig> {
        Arc::new(Uncopied(FakeCloud::default().prompt()))
    }

    image_conformance::builder_conformance!(fresh, real_time);
}

mod stages {
    use image_conformance::{
        Answer, EventSinkFixture, JournalFixture, ProvisionerFixture, ScannerFixture, ScriptedMachine, Target,
        ValidatorFixture, VerifierFixture,
        fake::{FakeCloud, FakeProvisioner, FakeScanner, FakeValidator, FakeVerifier},
    };
    use image_core::{
        Architecture, BootMode, Event, EventSink, Image, ImageKind, JournalStore, Machine, MemoryStore, Platform,
        Provisioner, Scanner, Scope, Secret, Severity, Validator, Verifier, async_trait, sha256,
    };
    use serde_json::{Value, json};
    use std::{
        io::Write,
        path::PathBuf,
        sync::{Arc, Mutex},
    };

    #[derive(Debug)]
    struct Fakes;

    impl ProvisionerFixture for Fakes {
        fn provisioner(&self) -> Arc<dyn Provisioner> {
            Arc::new(FakeProvisioner::new("p", "install").secret(Secret::new("correct-horse")))
        }
        fn variants(&self) -> Vec<Arc<dyn Provisioner>> {
            vec![Arc::new(FakeProvisioner::new("p", "other")), Arc::new(FakeProvisioner::new("p", "install"))]
        }
        fn secrets(&self) -> Vec<String> {
            vec!["correct-horse".into()]
        }
    }

    impl VerifierFixture for Fakes {
        fn good(&self) -> Arc<dyn Verifier> {
            Arc::new(FakeVerifier::new("bytes", &sha256("bytes")))
        }
        fn bad(&self) -> Vec<Arc<dyn Verifier>> {
            vec![Arc::new(FakeVerifier::new("other bytes", &sha256("bytes")))]
        }
    }

    impl ValidatorFixture for Fakes {
        fn validator(&self) -> Arc<dyn Validator> {
            Arc::new(FakeValidator::passing())
        }
        fn good(&self) -> Arc<dyn Machine> {
            Arc::new(ScriptedMachine::new(Answer::Succeeds))
        }
        fn bad(&self) -> Arc<dyn Machine> {
            Arc::new(ScriptedMachine::new(Answer::Fails))
        }
        fn contents(&self, _: &dyn Machine) -> Value {
            json!(null)
        }
    }

    impl ScannerFixture for Fakes {
        fn scanner(&self) -> Arc<dyn Scanner> {
            Arc::new(FakeScanner::covering(9).finding("CVE-1", Severity::Low))
        }
        fn vulnerable(&self) -> (Target, Vec<String>) {
            let platform = Platform::linux(Architecture::X86_64, BootMode::Uefi);
            let image = Image::new(ImageKind::Machine, "fake", Scope::new("111"), "here", "image-1", platform);
            (Target::Image(image), vec!["CVE-1".into()])
        }
        fn empty(&self) -> Target {
            Target::Rootfs(PathBuf::from("/nowhere"))
        }
        fn unsupported(&self) -> Option<Target> {
            Some(Target::Rootfs(PathBuf::from("/nowhere")))
        }
    }

    mod provisioner {
        image_conformance::provisioner_conformance!(super::Fakes);
    }
    mod verifier {
        image_conformance::verifier_conformance!(super::Fakes);
    }
    mod validator {
        image_conformance::validator_conformance!(super::Fakes);
    }
    mod scanner {
        image_conformance::scanner_conformance!(super::Fakes);
    }

    #[derive(Debug, Default)]
    struct Memory(MemoryStore);

    #[async_trait]
    impl JournalFixture for Memory {
        fn open(&self) -> Arc<dyn JournalStore> {
            Arc::new(self.0.clone())
        }
        async fn bytes(&self, run: &str) -> Vec<u8> {
            self.0.text(run).into_bytes()
        }
        async fn overwrite(&self, run: &str, bytes: Vec<u8>) {
            self.0.set_text(run, String::from_utf8_lossy(&bytes).into_owned());
        }
        async fn expire(&self, run: &str) -> bool {
            self.0.expire(run);
            true
        }
    }

    mod memory_journal {
        image_conformance::journal_conformance!(super::Memory::default());
    }

    #[derive(Debug)]
    struct Files(tempfile::TempDir);

    impl Files {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }
        fn path(&self, run: &str) -> PathBuf {
            self.0.path().join(format!("{run}.journal"))
        }
    }

    #[async_trait]
    impl JournalFixture for Files {
        fn open(&self) -> Arc<dyn JournalStore> {
            Arc::new(image_core::FileStore::open(self.0.path()).unwrap())
        }
        async fn bytes(&self, run: &str) -> Vec<u8> {
            std::fs::read(self.path(run)).unwrap()
        }
        async fn overwrite(&self, run: &str, bytes: Vec<u8>) {
            std::fs::write(self.path(run), bytes).unwrap();
        }
    }

    mod file_journal {
        image_conformance::journal_conformance!(super::Files::new(), real_time);
    }

    /// JSON lines into memory, or into something that is closed.
    #[derive(Clone, Debug, Default)]
    struct Lines {
        text: Arc<Mutex<Vec<u8>>>,
        closed: bool,
    }

    impl EventSink for Lines {
        fn emit(&self, event: &Event) {
            if self.closed {
                return;
            }
            let mut text = self.text.lock().unwrap();
            let _ = serde_json::to_writer(&mut *text, event).map(|()| text.write_all(b"\n"));
        }
    }

    impl EventSinkFixture for Lines {
        fn sink(&self) -> Arc<dyn EventSink> {
            Arc::new(self.clone())
        }
        fn broken(&self) -> Arc<dyn EventSink> {
            Arc::new(Self { closed: true, ..self.clone() })
        }
        fn written(&self) -> Option<String> {
            Some(String::from_utf8_lossy(&self.text.lock().unwrap()).into_owned())
        }
    }

    mod event_sink {
        image_conformance::event_sink_conformance!(super::Lines::default());
    }

    /// The fake cloud is independent of its copies.
    #[tokio::test(start_paused = true)]
    async fn a_copy_is_another_cloud() {
        let cloud = FakeCloud::default();
        let copy = cloud.copy();
        cloud.create("image", Default::default(), "x").await;
        assert_eq!((cloud.ids().len(), copy.ids().len()), (1, 0));
    }
}

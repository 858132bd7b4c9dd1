//! A secret that the run knows shows nowhere, wherever a plugin puts it.

use crate::support::{Events, RUN, pipeline};
use image_conformance::fake::FakeCloud;
use image_core::{
    Check, Context, Error, ErrorKind, Event, EventBody, EventSink, Fingerprint, MemoryStore, Provisioner, Report,
    Result, Secret, Subject, ValidationStage, Validator, async_trait,
};

const SECRET: &str = "hunter22-hunter22";

/// Tells its secret to everybody.
#[derive(Clone, Copy, Debug)]
struct Tells {
    fails: bool,
}

#[async_trait]
impl Provisioner for Tells {
    fn id(&self) -> &str {
        "tells"
    }
    async fn fingerprint(&self, _: &Context) -> Result<Option<Fingerprint>> {
        Ok(None)
    }
    async fn provision(&self, cx: &Context, _: &dyn image_core::Machine) -> Result<()> {
        cx.learn_secret(&Secret::new(SECRET));
        cx.message(SECRET);
        cx.warn(SECRET);
        cx.progress(1, None, SECRET);
        cx.emit(EventBody::Paused { error: SECRET.into(), shell: Some(SECRET.into()) });
        cx.emit(EventBody::UndoFailed { kind: "x".into(), id: "x".into(), error: SECRET.into() });
        cx.record("told", serde_json::json!({ "nested": [SECRET] })).await?;
        Ok(())
    }
}

#[async_trait]
impl Validator for Tells {
    fn id(&self) -> &str {
        "tells"
    }
    async fn validate(&self, _: &Context, subject: Subject<'_>) -> Result<Report> {
        if self.fails {
            let source = std::io::Error::other(format!("source {SECRET}"));
            return Err(Error::new(ErrorKind::Unavailable, format!("login {SECRET}")).with_source(source));
        }
        let stage = if matches!(subject, Subject::Booted(_)) { ValidationStage::Boot } else { ValidationStage::Build };
        Ok(Report::new("tells", stage, vec![Check::new("c", image_core::Verdict::Pass, SECRET)]))
    }
}

#[tokio::test(start_paused = true)]
async fn no_secret_shows_in_events_journal_report_or_error() {
    for fails in [false, true] {
        let (cloud, store, events) = (FakeCloud::default(), MemoryStore::default(), Events::default());
        let cx = Context::builder(store.clone()).run_id(RUN).sink(events.clone()).open().await.unwrap();
        let tells = Tells { fails };
        let result =
            pipeline(&cloud).seal(tells).layer(image_core::Layer::new("told").provision(tells)).validator(tells);
        let told = match result.run(&cx).await {
            Ok(outcome) => serde_json::to_string(&outcome.report).unwrap(),
            Err(error) => {
                assert_eq!(
                    (fails, error.cause.kind(), error.cause.is_retryable()),
                    (true, ErrorKind::Unavailable, true)
                );
                assert!(error.cause.chain().contains("login ***"), "{}", error.cause.chain());
                format!("{error} {error:?} {}", error.cause.chain())
            }
        };
        let places = [("events", events.json()), ("journal", store.text(RUN)), ("report or error", told)];
        for (place, text) in places {
            let at = text.find(SECRET).map(|at| &text[at.saturating_sub(200)..at]);
            assert!(at.is_none(), "it shows in the {place} after {at:?}");
        }
    }
}

/// A sink that panics is a bug, but the run goes on and cleans up.
#[tokio::test(start_paused = true)]
async fn a_sink_that_panics_hides_no_failure() {
    #[derive(Debug)]
    struct Panics(&'static str);
    impl EventSink for Panics {
        fn emit(&self, event: &Event) {
            let text = serde_json::to_string(event).unwrap();
            assert!(!text.contains(self.0), "sink bug");
        }
    }
    for at in ["run_started", "stage_started", "\"created\"", "\"undone\"", "run_finished"] {
        let (cloud, store) = (FakeCloud::default(), MemoryStore::default());
        let cx = Context::builder(store).run_id(RUN).sink(Panics(at)).open().await.unwrap();
        let outcome = pipeline(&cloud).run(&cx).await.unwrap();
        assert!(outcome.leftovers.is_empty() && cloud.ids().len() == 2, "{at}: {:?}", cloud.ids());
    }
}

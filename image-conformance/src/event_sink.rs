//! Cases of event sinks.

use crate::{CaseResult, Failure, failure::ensure};
use image_core::{Check, Context, EventBody, EventSink, MemoryStore, Report, StageOutcome, Stream, ValidationStage};
use std::{fmt, sync::Arc, time::Duration};

/// A sink, and one that cannot write.
pub trait EventSinkFixture: fmt::Debug + Send + Sync {
    /// The sink, with nothing received yet.
    fn sink(&self) -> Arc<dyn EventSink>;
    /// A sink whose destination fails: a closed pipe, a full disk.
    fn broken(&self) -> Arc<dyn EventSink>;
    /// Everything this fixture's sinks wrote so far, where it can be read back.
    fn written(&self) -> Option<String> {
        None
    }
}

/// How long one event may take. A sink that writes does so behind a buffer.
const AT_MOST: Duration = Duration::from_millis(100);

fn bodies() -> Vec<EventBody> {
    let text = || "ünïcode \u{1b}[31m\u{0}\r\n".repeat(3);
    let report = Report::new("validator", ValidationStage::Boot, vec![Check::fail("check", text())]);
    vec![
        EventBody::RunStarted,
        EventBody::StageStarted,
        EventBody::Created { kind: "image".into(), id: text() },
        EventBody::Message { text: text() },
        EventBody::Warning { text: String::new() },
        EventBody::Output { stream: Stream::Stdout, text: "x".repeat(64 * 1024) },
        EventBody::Output { stream: Stream::Stderr, text: text() },
        EventBody::Output { stream: Stream::Console, text: text() },
        EventBody::Progress { done: u64::MAX, total: Some(0), detail: text() },
        EventBody::Progress { done: 0, total: None, detail: String::new() },
        EventBody::Report { report },
        EventBody::Retrying { attempt: u32::MAX, error: text(), after_ms: u64::MAX },
        EventBody::Paused { error: text(), shell: None },
        EventBody::Kept { ids: vec![text()] },
        EventBody::Undone { kind: String::new(), id: text() },
        EventBody::UndoFailed { kind: "image".into(), id: text(), error: text() },
        EventBody::StageFinished { outcome: StageOutcome::Failed, duration_ms: u64::MAX, reason: Some(text()) },
        EventBody::StageFinished { outcome: StageOutcome::Skipped, duration_ms: 0, reason: None },
        EventBody::RunFinished { outcome: StageOutcome::Cancelled, error: None },
    ]
}

async fn open(sink: Arc<dyn EventSink>) -> Result<Context, Failure> {
    Context::builder(MemoryStore::default()).sink_arc(sink).open().await.map_err(Failure::at("a fresh journal"))
}

/// Every kind of event is taken at once, whatever stands in it; an event that nobody has begun is taken too.
pub async fn every_event_is_taken(fixture: &dyn EventSinkFixture) -> CaseResult {
    let cx = open(fixture.sink()).await?.enter("layer base/provision");
    take_all(&cx, "every event")
}

fn take_all(cx: &Context, moment: &str) -> CaseResult {
    let bodies = bodies();
    let count = bodies.len() as u64;
    for body in bodies.into_iter().rev().chain(self::bodies()) {
        let name = serde_json::to_value(&body).ok().and_then(|value| value["event"].as_str().map(str::to_owned));
        // The sink's own time, whatever the test clock does.
        let began = std::time::Instant::now();
        cx.emit(body);
        let took = began.elapsed();
        ensure(took < AT_MOST, moment, || format!("{name:?} took {took:?}: emit must not block"))?;
    }
    Ok(count * 2)
}

/// Many tasks emit at once; nothing is lost or torn where the sink's output can be read back.
pub async fn many_tasks_emit_at_once(fixture: &dyn EventSinkFixture) -> CaseResult {
    let cx = open(fixture.sink()).await?;
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            let cx = cx.clone();
            tokio::task::spawn_blocking(move || (0..100).for_each(|n| cx.message(format!("message-{thread}-{n}-end"))))
        })
        .collect();
    for thread in threads {
        thread.await.map_err(|e| Failure::new("many tasks", e.to_string()))?;
    }
    drop(cx);
    if let Some(written) = fixture.written() {
        let missing = (0..800).map(|n| format!("message-{}-{}-end", n / 100, n % 100)).find(|m| !written.contains(m));
        ensure(missing.is_none(), "many tasks", || format!("{missing:?} is lost or torn"))?;
    }
    Ok(800)
}

/// A sink that cannot write goes on taking events.
pub async fn broken_sink_never_fails(fixture: &dyn EventSinkFixture) -> CaseResult {
    let cx = open(fixture.broken()).await?;
    take_all(&cx, "broken sink")?;
    take_all(&cx, "broken sink, still")
}

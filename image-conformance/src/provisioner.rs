//! Cases of provisioners.

use crate::{Answer, CaseResult, Failure, ScriptedMachine, failure::ensure, stage::open};
use image_core::{ErrorKind, Provisioner};
use std::{fmt, sync::Arc, time::Duration};
use tokio::time::Instant;

/// A provisioner, and others of the same kind that do something else.
pub trait ProvisionerFixture: fmt::Debug + Send + Sync {
    /// The provisioner, built anew from the same settings every time.
    fn provisioner(&self) -> Arc<dyn Provisioner>;
    /// Provisioners that differ from it in one input each: a setting, or the content of a file of the same name.
    fn variants(&self) -> Vec<Arc<dyn Provisioner>>;
    /// A machine that it succeeds on. The kit has its own for failures.
    fn machine(&self) -> ScriptedMachine {
        ScriptedMachine::new(Answer::Succeeds)
    }
    /// Secret values that the provisioner was given.
    fn secrets(&self) -> Vec<String> {
        vec![]
    }
}

/// Equal settings give equal fingerprints, also after use; any other input gives another one.
pub async fn fingerprint_is_stable_and_sensitive(fixture: &dyn ProvisionerFixture) -> CaseResult {
    let (cx, _) = open().await?;
    let one = fixture.provisioner();
    let Some(first) = one.fingerprint(&cx).await.map_err(Failure::at("fingerprint"))? else {
        return Ok(0); // its inputs are not declared, and it is never reused
    };
    one.provision(&cx, &fixture.machine()).await.map_err(Failure::at("provision"))?;
    for (moment, provisioner) in [("after use", one), ("built anew", fixture.provisioner())] {
        let again = provisioner.fingerprint(&cx).await.map_err(Failure::at(moment))?;
        ensure(again.as_ref() == Some(&first), moment, || format!("the fingerprint was {first} and is {again:?}"))?;
    }
    let mut all = vec![first];
    for (n, variant) in fixture.variants().iter().enumerate() {
        let moment = format!("variant {}", n + 1);
        let Some(other) = variant.fingerprint(&cx).await.map_err(Failure::at(&moment))? else { continue };
        ensure(!all.contains(&other), moment, || "another input, but the same fingerprint".into())?;
        all.push(other);
    }
    Ok(all.len() as u64)
}

/// It succeeds, twice in a row: a retry may come after a success that was not heard of.
pub async fn provisioning_succeeds(fixture: &dyn ProvisionerFixture) -> CaseResult {
    let ((cx, _), machine) = (open().await?, fixture.machine());
    for moment in ["provision", "provision again"] {
        fixture.provisioner().provision(&cx, &machine).await.map_err(Failure::at(moment))?;
    }
    ensure(!machine.log().is_empty(), "provision", || "it never touched the machine".into())?;
    Ok(2)
}

/// A command that fails is an error, and its kind says so.
pub async fn failed_command_is_an_error(fixture: &dyn ProvisionerFixture) -> CaseResult {
    let (moment, machine) = ("every command fails", ScriptedMachine::new(Answer::Fails));
    let (cx, _) = open().await?;
    let Err(error) = fixture.provisioner().provision(&cx, &machine).await else {
        return Err(Failure::new(moment, "it succeeded"));
    };
    let kind = error.kind();
    ensure(kind == ErrorKind::CommandFailed, moment, || format!("kind {kind:?}: {}", error.chain()))?;
    Ok(1)
}

/// A lost channel is an error.
pub async fn lost_channel_is_an_error(fixture: &dyn ProvisionerFixture) -> CaseResult {
    let (cx, _) = open().await?;
    let cx = cx.with_timeout(Duration::from_secs(60));
    match fixture.provisioner().provision(&cx, &ScriptedMachine::new(Answer::Lost)).await {
        Err(_) => Ok(1),
        Ok(()) => Err(Failure::new("the channel is lost", "it succeeded")),
    }
}

/// Past its deadline it ends soon, with an error.
pub async fn deadline_is_honoured(fixture: &dyn ProvisionerFixture) -> CaseResult {
    let (moment, within) = ("every command hangs", Duration::from_secs(10));
    let (cx, _) = open().await?;
    let (cx, began) = (cx.with_timeout(Duration::from_secs(1)), Instant::now());
    let (provisioner, machine) = (fixture.provisioner(), ScriptedMachine::new(Answer::Hangs));
    let done = tokio::select! {
        done = provisioner.provision(&cx, &machine) => done,
        () = tokio::time::sleep(within) => {
            return Err(Failure::new(moment, "it ignored the deadline, and a cancel too: wait with the context"));
        }
    };
    ensure(done.is_err(), moment, || "it succeeded past its deadline".into())?;
    ensure(began.elapsed() < within, moment, || format!("it took {:?} to notice the deadline", began.elapsed()))?;
    Ok(1)
}

/// Once its future is dropped, nothing more happens on the machine.
pub async fn nothing_runs_after_a_cancel(fixture: &dyn ProvisionerFixture) -> CaseResult {
    let mut tried = 0;
    for millis in [1, 6, 11, 16] {
        let ((cx, _), machine) = (open().await?, fixture.machine());
        let provisioner = fixture.provisioner();
        tokio::select! {
            biased;
            () = tokio::time::sleep(Duration::from_millis(millis)) => {}
            _ = provisioner.provision(&cx, &machine) => break,
        }
        let before = machine.log();
        tokio::time::sleep(Duration::from_secs(2)).await;
        let moment = format!("dropped after {millis} ms");
        ensure(machine.log() == before, moment, || format!("it went on: {:?}", machine.log()))?;
        tried += 1;
    }
    Ok(tried)
}

/// Its secrets reach the machine as secrets, and show nowhere.
pub async fn secrets_stay_secret(fixture: &dyn ProvisionerFixture) -> CaseResult {
    let secrets = fixture.secrets();
    for answer in [Answer::Succeeds, Answer::Fails] {
        let ((cx, events), machine) = (open().await?, ScriptedMachine::new(answer));
        let provisioner = fixture.provisioner();
        let done = provisioner.provision(&cx, &machine).await;
        let error = done.err().map(|error| cx.redact(error.chain())).unwrap_or_default();
        let events = serde_json::to_string(&events.all()).map_err(|e| Failure::new("events", e.to_string()))?;
        let debug = format!("{provisioner:?}");
        let texts = [
            ("a script, a plain variable or a file", machine.log().join("\n")),
            ("an event", events),
            ("an error", error),
            ("its Debug text", debug),
        ];
        for (place, text) in texts {
            let shown = secrets.iter().any(|secret| text.contains(secret.as_str()));
            ensure(!shown, format!("{answer:?}"), || format!("a secret shows in {place}"))?;
        }
    }
    Ok(secrets.len() as u64 * 2)
}

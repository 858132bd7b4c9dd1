//! Cases of validators.

use crate::{Answer, CaseResult, Failure, ScriptedMachine, failure::ensure, stage::open};
use image_core::{Machine, Subject, ValidationStage, Validator};
use serde_json::Value;
use std::{fmt, sync::Arc};

/// A validator, with a machine that is as it expects and one that is not.
pub trait ValidatorFixture: fmt::Debug + Send + Sync {
    /// The validator, built anew from the same settings every time.
    fn validator(&self) -> Arc<dyn Validator>;
    /// A fresh machine on which every check passes.
    fn good(&self) -> Arc<dyn Machine>;
    /// A fresh machine on which at least one check fails.
    fn bad(&self) -> Arc<dyn Machine>;
    /// What stands on a machine that this fixture made: files, processes, whatever a trace could be.
    fn contents(&self, machine: &dyn Machine) -> Value;
}

const STAGES: [ValidationStage; 2] = [ValidationStage::Build, ValidationStage::Boot];

fn subject(stage: ValidationStage, machine: &dyn Machine) -> Subject<'_> {
    if stage == ValidationStage::Boot { Subject::Booted(machine) } else { Subject::BuildMachine(machine) }
}

/// A machine that is as expected passes, at both stages, and stays as it was.
pub async fn good_machine_passes_without_a_trace(fixture: &dyn ValidatorFixture) -> CaseResult {
    let (cx, _) = open().await?;
    for stage in STAGES {
        let (moment, machine) = (format!("good machine, stage {stage}"), fixture.good());
        let before = fixture.contents(&*machine);
        let validated = fixture.validator().validate(&cx, subject(stage, &*machine)).await;
        let report = validated.map_err(Failure::at(&moment))?;
        report.require().map_err(Failure::at(&moment))?;
        ensure(report.stage == stage, &moment, || format!("the report says stage {}", report.stage))?;
        let mut ids: Vec<&str> = report.checks.iter().map(|check| check.id.as_str()).collect();
        ids.sort_unstable();
        let unique = ids.windows(2).all(|pair| pair[0] != pair[1]);
        ensure(unique, &moment, || format!("check ids are not unique: {ids:?}"))?;
        let after = fixture.contents(&*machine);
        ensure(after == before, &moment, || format!("it left a trace: {before} became {after}"))?;
    }
    ensure(cx.creates() == 0, "good machine", || "it created something".into())?;
    Ok(STAGES.len() as u64)
}

/// A failed check is a value of the report, with a reason, and not an error; it leaves no trace either.
pub async fn failed_check_is_a_value(fixture: &dyn ValidatorFixture) -> CaseResult {
    let (cx, _) = open().await?;
    for stage in STAGES {
        let (moment, machine) = (format!("bad machine, stage {stage}"), fixture.bad());
        let before = fixture.contents(&*machine);
        let report = match fixture.validator().validate(&cx, subject(stage, &*machine)).await {
            Ok(report) => report,
            Err(e) => return Err(Failure::new(moment, format!("a failed check is a value, not an error: {e}"))),
        };
        ensure(report.require().is_err(), &moment, || format!("it passed: {report:?}"))?;
        let silent =
            report.checks.iter().find(|check| check.verdict == image_core::Verdict::Fail && check.message.is_empty());
        ensure(silent.is_none(), &moment, || format!("it failed without a reason: {silent:?}"))?;
        let after = fixture.contents(&*machine);
        ensure(after == before, &moment, || format!("it left a trace: {before} became {after}"))?;
    }
    Ok(STAGES.len() as u64)
}

/// When the channel is lost, the answer is an error or "unknown", and never a pass.
pub async fn lost_channel_never_passes(fixture: &dyn ValidatorFixture) -> CaseResult {
    let (cx, _) = open().await?;
    let lost = ScriptedMachine::new(Answer::Lost).with_info(fixture.good().info().clone());
    match fixture.validator().validate(&cx, Subject::Booted(&lost)).await {
        Ok(report) if report.require().is_ok() => Err(Failure::new("the channel is lost", format!("{report:?}"))),
        _ => Ok(1),
    }
}

/// The fingerprint, where there is one, is the same before, after and anew.
pub async fn validator_fingerprint_is_stable(fixture: &dyn ValidatorFixture) -> CaseResult {
    let ((cx, _), one) = (open().await?, fixture.validator());
    let first = one.fingerprint(&cx).await.map_err(Failure::at("fingerprint"))?;
    let _ = one.validate(&cx, Subject::Booted(&*fixture.bad())).await;
    for (moment, validator) in [("after use", one), ("built anew", fixture.validator())] {
        let again = validator.fingerprint(&cx).await.map_err(Failure::at(moment))?;
        ensure(again == first, moment, || format!("the fingerprint was {first:?} and is {again:?}"))?;
    }
    Ok(u64::from(first.is_some()))
}

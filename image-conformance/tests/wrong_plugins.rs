//! Each plugin here is wrong in one way, and one case of the kit says so for that reason; the right one passes them all.
#![expect(clippy::unwrap_used, reason = "a fixture that cannot be made fails its test")]

mod wrong;

use image_conformance::{
    Answer, CaseResult, DistributorRig, Failure, Fresh, ProvisionerFixture, Rig, ScannerFixture, ScriptedMachine,
    Target, ValidatorFixture, distributor, fake::FakeCloud, lifecycle, provisioner, scanner, validator,
};
use image_core::{
    Architecture, BootMode, Check, Context, Coverage, Fingerprint, Image, ImageKind, Machine, Pipeline, Platform,
    Provisioner, Report, Result, ScanReport, ScanTarget, Scanner, Scope, Subject, Undoers, ValidationStage, Validator,
    async_trait,
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use wrong::{How, WrongRig};

fn rig(how: How) -> impl Fn() -> Arc<dyn Rig> + Send + Sync {
    move || Arc::new(WrongRig::new(how))
}

fn distributing(how: How) -> impl Fn() -> Arc<dyn DistributorRig> + Send + Sync {
    move || Arc::new(WrongRig::new(how))
}

#[track_caller]
fn says(result: CaseResult, moment: &str, message: &str) {
    let Failure { moment: at, message: seen, .. } = result.expect_err("the kit accepted a wrong plugin");
    assert!(at.contains(moment) && seen.contains(message), "{at}: {seen}");
}

#[tokio::test(start_paused = true)]
async fn the_right_one_passes_and_every_case_tries_something() {
    let right = rig(How::Right);
    let right: Fresh<'_> = &right;
    let tried = [
        lifecycle::clean_run_leaves_what_it_kept(right).await,
        lifecycle::every_fault_unwinds(right).await,
        lifecycle::every_poll_unwinds(right).await,
        lifecycle::dropped_handle_unwinds(right).await,
        lifecycle::every_crash_recovers(right).await,
        lifecycle::foreign_scope_is_refused(right).await,
        lifecycle::others_changes_are_left_alone(right).await,
        lifecycle::reap_spares_what_is_kept(right).await,
        lifecycle::unchanged_rerun_mutates_nothing(right).await,
        lifecycle::planning_has_no_side_effects(right).await,
        lifecycle::lookup_finds_only_what_is_committed(right).await,
        lifecycle::bad_settings_are_refused(right).await,
        lifecycle::events_are_well_formed(right).await,
        lifecycle::every_import_is_tested(&FakeCloud::rig).await,
        distributor::copies_are_journaled_and_not_published(&distributing(How::Right)).await,
        distributor::verify_detects_a_corrupted_copy(&distributing(How::Right)).await,
        distributor::rerun_makes_no_second_copy(&distributing(How::Right)).await,
        distributor::publish_moves_pointers_only_by_changes(&distributing(How::Right)).await,
    ];
    let tried: Vec<u64> = tried.into_iter().map(|case| case.unwrap()).collect();
    assert!(tried.iter().all(|n| *n > 0), "{tried:?}");
}

#[tokio::test(start_paused = true)]
async fn finding_by_id_only_fails() {
    says(lifecycle::every_fault_unwinds(&rig(How::FindsByIdOnly)).await, "create 1 After", "too many [\"key-1\"]");
}

#[tokio::test(start_paused = true)]
async fn undo_that_works_once_fails() {
    says(lifecycle::every_fault_unwinds(&rig(How::UndoesOnce)).await, "create 1 Panic", "no such thing");
}

#[tokio::test(start_paused = true)]
async fn bypassing_the_journal_fails() {
    let wrong = lifecycle::clean_run_leaves_what_it_kept(&rig(How::BypassesJournal)).await;
    says(wrong, "clean run", "too many [\"volume-");
}

#[tokio::test(start_paused = true)]
async fn keeping_its_own_image_fails() {
    let wrong = lifecycle::reap_spares_what_is_kept(&rig(How::KeepsItsImage)).await;
    says(wrong, "reaped", "too many [\"image-");
}

#[tokio::test(start_paused = true)]
async fn answering_for_a_foreign_scope_fails() {
    let wrong = lifecycle::foreign_scope_is_refused(&rig(How::AnswersForOthers)).await;
    says(wrong, "recovered by another account", "called gone from another account");
}

#[tokio::test(start_paused = true)]
async fn leaking_on_a_panic_fails() {
    lifecycle::clean_run_leaves_what_it_kept(&rig(How::LeaksOnPanic)).await.unwrap();
    says(lifecycle::every_fault_unwinds(&rig(How::LeaksOnPanic)).await, "Panic", "too many [\"volume-");
    says(lifecycle::every_poll_unwinds(&rig(How::LeaksOnPanic)).await, "cancel at poll", "too many [\"volume-");
}

#[tokio::test(start_paused = true)]
async fn working_on_after_a_cancel_fails() {
    lifecycle::clean_run_leaves_what_it_kept(&rig(How::IgnoresCancel)).await.unwrap();
    says(lifecycle::every_poll_unwinds(&rig(How::IgnoresCancel)).await, "cancel at poll", "too many [\"volume-");
}

#[tokio::test(start_paused = true)]
async fn reusing_uncommitted_images_fails() {
    let wrong = lifecycle::lookup_finds_only_what_is_committed(&rig(How::ReusesUncommitted)).await;
    says(wrong, "crash", "was never committed");
}

#[tokio::test(start_paused = true)]
async fn creating_in_check_fails() {
    let wrong = lifecycle::planning_has_no_side_effects(&rig(How::CreatesInCheck)).await;
    says(wrong, "plan on a fresh backend", "too many [\"volume-");
}

#[tokio::test(start_paused = true)]
async fn refusing_bad_settings_late_fails() {
    let wrong = lifecycle::bad_settings_are_refused(&rig(How::RefusesLate)).await;
    says(wrong, "refused pipeline 1", "refused only after 1 creates");
}

#[tokio::test(start_paused = true)]
async fn overwriting_others_values_fails() {
    let wrong = lifecycle::others_changes_are_left_alone(&rig(How::RestoresBlindly)).await;
    says(wrong, "crash", "somebody else's value of pointer/a-0 became");
}

/// A rig that does not show the values that its pipeline changes.
#[derive(Debug)]
struct Hidden(Arc<dyn Rig>);

impl Rig for Hidden {
    fn pipeline(&self) -> Pipeline {
        self.0.pipeline()
    }
    fn foreign(&self) -> Undoers {
        self.0.foreign()
    }
    fn live(&self) -> BTreeSet<String> {
        self.0.live()
    }
    fn overwrite(&self, id: &str, value: Value) -> bool {
        self.0.overwrite(id, value)
    }
    fn snapshot(&self) -> Option<Arc<dyn Rig>> {
        self.0.snapshot().map(|copy| Arc::new(Self(copy)) as Arc<dyn Rig>)
    }
}

#[tokio::test(start_paused = true)]
async fn a_case_that_tries_nothing_fails() {
    let hidden = || -> Arc<dyn Rig> { Arc::new(Hidden(Arc::new(FakeCloud::default()))) };
    let tried = lifecycle::others_changes_are_left_alone(&hidden).await;
    says(tried, "every crash", "nothing to try at any of them");
}

#[tokio::test(start_paused = true)]
async fn swallowing_errors_fails() {
    let wrong = lifecycle::every_fault_unwinds(&rig(How::SwallowsErrors)).await;
    says(wrong, "create 5", "the fault was swallowed");
}

#[tokio::test(start_paused = true)]
async fn telling_secrets_fails() {
    let wrong = lifecycle::events_are_well_formed(&rig(How::TellsSecrets)).await;
    says(wrong, "clean run", "a secret shows in an event");
}

#[tokio::test(start_paused = true)]
async fn copying_again_fails() {
    let wrong = distributor::rerun_makes_no_second_copy(&distributing(How::CopiesAgain)).await;
    says(wrong, "rerun", "a second copy");
    says(lifecycle::unchanged_rerun_mutates_nothing(&rig(How::CopiesAgain)).await, "second run", "2 mutating calls");
}

#[tokio::test(start_paused = true)]
async fn publishing_in_distribute_fails() {
    let wrong = distributor::copies_are_journaled_and_not_published(&distributing(How::PublishesEarly)).await;
    says(wrong, "distribute", "pointer/a-0");
}

#[tokio::test(start_paused = true)]
async fn publishing_past_the_context_fails() {
    let wrong = distributor::publish_moves_pointers_only_by_changes(&distributing(How::PublishesPastContext)).await;
    says(wrong, "publish", "was changed past the context");
}

#[tokio::test(start_paused = true)]
async fn accepting_a_corrupted_copy_fails() {
    let wrong = distributor::verify_detects_a_corrupted_copy(&distributing(How::BelievesCopies)).await;
    says(wrong, "copy 1 corrupted", "accepted");
}

/// What a stage does wrong.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Stage {
    #[default]
    HasOneFingerprint,
    HasManyFingerprints,
    IgnoresFailures,
    IgnoresDeadline,
    WorksDetached,
    EchoesSecrets,
    FailsOnFailedCheck,
    LeavesATrace,
    PassesBlindly,
    CoversNothing,
}

#[async_trait]
impl Provisioner for Stage {
    fn id(&self) -> &str {
        "wrong"
    }
    async fn fingerprint(&self, cx: &Context) -> Result<Option<Fingerprint>> {
        let chance = if *self == Self::HasManyFingerprints { cx.polls() + nanos() } else { 0 };
        Fingerprint::of("wrong", &chance).map(Some)
    }
    async fn provision(&self, cx: &Context, machine: &dyn Machine) -> Result<()> {
        let script = if *self == Self::EchoesSecrets { "login hunter22" } else { "install" };
        let command = || image_core::Command::sh(script);
        match self {
            Self::IgnoresDeadline => {
                while machine.exec(cx, command()).await.is_err() {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
            Self::WorksDetached => {
                let (cx, machine) = (cx.clone(), Self::detached(machine));
                let work = tokio::spawn(async move {
                    for _ in 0..9 {
                        machine.exec(&cx, image_core::Command::sh("more")).await?;
                    }
                    Ok::<_, image_core::Error>(())
                });
                work.await??;
            }
            _ => drop(machine.exec(cx, command()).await),
        }
        Ok(())
    }
}

impl Stage {
    /// A shared machine, smuggled out of the reference by the fixture.
    fn detached(_: &dyn Machine) -> ScriptedMachine {
        SHARED.with(Clone::clone)
    }
}

thread_local! {
    static SHARED: ScriptedMachine = ScriptedMachine::new(Answer::Succeeds);
}

fn nanos() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64
}

impl ProvisionerFixture for Stage {
    fn provisioner(&self) -> Arc<dyn Provisioner> {
        Arc::new(*self)
    }
    fn variants(&self) -> Vec<Arc<dyn Provisioner>> {
        vec![Arc::new(*self)]
    }
    fn machine(&self) -> ScriptedMachine {
        SHARED.with(Clone::clone)
    }
    fn secrets(&self) -> Vec<String> {
        vec!["hunter22".into()]
    }
}

#[async_trait]
impl Validator for Stage {
    fn id(&self) -> &str {
        "wrong"
    }
    async fn validate(&self, cx: &Context, subject: Subject<'_>) -> Result<Report> {
        let (machine, stage) = match subject {
            Subject::Booted(machine) => (machine, ValidationStage::Boot),
            Subject::BuildMachine(machine) => (machine, ValidationStage::Build),
            _ => unreachable!("the kit has no other"),
        };
        if *self == Self::LeavesATrace {
            machine.upload(cx, image_core::Upload::bytes("x", "/tmp/trace")).await?;
        }
        let failed = match machine.exec(cx, image_core::Command::sh("check")).await {
            Ok(output) => !output.success(),
            Err(_) if *self == Self::PassesBlindly => false,
            Err(error) => return Err(error),
        };
        if failed && *self == Self::FailsOnFailedCheck {
            return Err(image_core::Error::new(image_core::ErrorKind::CommandFailed, "check failed"));
        }
        let check = if failed { Check::fail("check", "exit code 1") } else { Check::pass("check") };
        Ok(Report::new("wrong", stage, vec![check]))
    }
}

impl ValidatorFixture for Stage {
    fn validator(&self) -> Arc<dyn Validator> {
        Arc::new(*self)
    }
    fn good(&self) -> Arc<dyn Machine> {
        Arc::new(SHARED.with(Clone::clone))
    }
    fn bad(&self) -> Arc<dyn Machine> {
        Arc::new(ScriptedMachine::new(Answer::Fails))
    }
    fn contents(&self, _: &dyn Machine) -> Value {
        let log = SHARED.with(ScriptedMachine::log);
        json!(log.into_iter().filter(|line| line.starts_with("upload")).collect::<Vec<_>>())
    }
}

#[async_trait]
impl Scanner for Stage {
    fn id(&self) -> &str {
        "wrong"
    }
    fn supports(&self, _: &ScanTarget<'_>) -> bool {
        true
    }
    async fn scan(&self, _: &Context, _: ScanTarget<'_>) -> Result<ScanReport> {
        Ok(ScanReport::new("wrong", Coverage::new(0, None, "today"), vec![]))
    }
}

impl ScannerFixture for Stage {
    fn scanner(&self) -> Arc<dyn Scanner> {
        Arc::new(*self)
    }
    fn vulnerable(&self) -> (Target, Vec<String>) {
        let platform = Platform::linux(Architecture::X86_64, BootMode::Uefi);
        let image = Image::new(ImageKind::Machine, "fake", Scope::new("111"), "here", "image-1", platform);
        (Target::Image(image), vec!["CVE-1".into()])
    }
    fn empty(&self) -> Target {
        self.vulnerable().0
    }
}

#[tokio::test(start_paused = true)]
async fn wrong_provisioners_fail() {
    use Stage::{
        EchoesSecrets, HasManyFingerprints, HasOneFingerprint, IgnoresDeadline, IgnoresFailures, WorksDetached,
    };
    let stable = provisioner::fingerprint_is_stable_and_sensitive;
    says(stable(&HasOneFingerprint).await, "variant 1", "another input, but the same fingerprint");
    says(stable(&HasManyFingerprints).await, "after use", "the fingerprint was");
    says(provisioner::failed_command_is_an_error(&IgnoresFailures).await, "every command fails", "it succeeded");
    says(provisioner::lost_channel_is_an_error(&IgnoresFailures).await, "the channel is lost", "it succeeded");
    says(provisioner::deadline_is_honoured(&IgnoresDeadline).await, "every command hangs", "ignored the deadline");
    says(provisioner::nothing_runs_after_a_cancel(&WorksDetached).await, "dropped after 1 ms", "it went on");
    says(provisioner::secrets_stay_secret(&EchoesSecrets).await, "Succeeds", "a secret shows in a script");
}

#[tokio::test(start_paused = true)]
async fn wrong_validators_and_scanners_fail() {
    use Stage::{CoversNothing, FailsOnFailedCheck, LeavesATrace, PassesBlindly};
    let traceless = validator::good_machine_passes_without_a_trace;
    says(traceless(&LeavesATrace).await, "good machine, stage build", "it left a trace");
    says(validator::failed_check_is_a_value(&FailsOnFailedCheck).await, "bad machine", "a value, not an error");
    says(validator::lost_channel_never_passes(&PassesBlindly).await, "the channel is lost", "Pass");
    says(scanner::no_coverage_is_an_error(&CoversNothing).await, "nothing to judge", "it is an error");
    says(scanner::scan_covers_and_repeats(&CoversNothing).await, "scan", "covered no package");
    says(scanner::known_findings_are_found(&CoversNothing).await, "scan", "CVE-1 was not found");
}

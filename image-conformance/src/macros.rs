//! One macro per trait; each makes one test per case.

/// Runs a case on a paused clock, where waits take no time.
///
/// # Panics
/// When the plugin does not keep the contract.
pub fn paused(name: &str, case: impl Future<Output = crate::CaseResult>) {
    run(name, tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true), case);
}

/// Runs a case in real time on several threads, for plugins that do real input and output.
///
/// # Panics
/// When the plugin does not keep the contract.
pub fn real_time(name: &str, case: impl Future<Output = crate::CaseResult>) {
    run(name, tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all(), case);
}

#[expect(clippy::print_stdout, clippy::panic, reason = "this is the body of a test")]
fn run(name: &str, runtime: &mut tokio::runtime::Builder, case: impl Future<Output = crate::CaseResult>) {
    let runtime = runtime.build().unwrap_or_else(|e| panic!("no runtime: {e}"));
    match runtime.block_on(case) {
        Ok(tried) => println!("{name}: {tried} cases"),
        Err(failure) => panic!("{name}: {failure}"),
    }
}

/// One test per case.
#[doc(hidden)]
#[macro_export]
macro_rules! __cases {
    ($time:ident, $fixture:expr, $module:ident: $($case:ident)*) => {$(
        #[test]
        fn $case() {
            $crate::$time(stringify!($case), async { $crate::$module::$case(&$fixture).await });
        }
    )*};
}

#[doc(hidden)]
#[macro_export]
macro_rules! __lifecycle {
    ($time:ident, $fresh:expr) => {
        $crate::__cases! { $time, $fresh, lifecycle:
            clean_run_leaves_what_it_kept
            every_fault_unwinds
            every_poll_unwinds
            dropped_handle_unwinds
            every_crash_recovers
            foreign_scope_is_refused
            others_changes_are_left_alone
            reap_spares_what_is_kept
            unchanged_rerun_mutates_nothing
            planning_has_no_side_effects
            lookup_finds_only_what_is_committed
            bad_settings_are_refused
            events_are_well_formed
        }
    };
}

/// Tests a [`Builder`](image_core::Builder) on backends made by a closure `Fn() -> Arc<dyn Rig>`; see
/// [`Rig`](crate::Rig). Add `, real_time` for a backend that does real input and output.
///
/// ```
/// # #[cfg(feature = "fake")]
/// mod contract {
///     image_conformance::builder_conformance!(image_conformance::fake::FakeCloud::rig);
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! builder_conformance {
    ($fresh:expr) => {
        $crate::__lifecycle! { paused, $fresh }
    };
    ($fresh:expr, real_time) => {
        $crate::__lifecycle! { real_time, $fresh }
    };
}

/// Tests an [`Importer`](image_core::Importer) that the rig's pipeline uses; as
/// [`builder_conformance!`](crate::builder_conformance).
#[macro_export]
macro_rules! importer_conformance {
    ($fresh:expr) => {
        $crate::importer_conformance! { @ paused, $fresh }
    };
    ($fresh:expr, real_time) => {
        $crate::importer_conformance! { @ real_time, $fresh }
    };
    (@ $time:ident, $fresh:expr) => {
        $crate::__lifecycle! { $time, $fresh }
        $crate::__cases! { $time, $fresh, lifecycle: every_import_is_tested }
    };
}

/// Tests a [`Distributor`](image_core::Distributor) on backends made by a closure `Fn() -> Arc<dyn DistributorRig>`;
/// see [`DistributorRig`](crate::DistributorRig).
#[macro_export]
macro_rules! distributor_conformance {
    ($fresh:expr) => {
        $crate::distributor_conformance! { @ paused, $fresh }
    };
    ($fresh:expr, real_time) => {
        $crate::distributor_conformance! { @ real_time, $fresh }
    };
    (@ $time:ident, $fresh:expr) => {
        $crate::__lifecycle! { $time, || -> ::std::sync::Arc<dyn $crate::Rig> { ($fresh)() } }
        $crate::__cases! { $time, $fresh, distributor:
            copies_are_journaled_and_not_published
            verify_detects_a_corrupted_copy
            rerun_makes_no_second_copy
            publish_moves_pointers_only_by_changes
        }
    };
}

/// Tests a [`Provisioner`](image_core::Provisioner) described by a [`ProvisionerFixture`](crate::ProvisionerFixture).
#[macro_export]
macro_rules! provisioner_conformance {
    ($fixture:expr) => {
        $crate::provisioner_conformance! { @ paused, $fixture }
    };
    ($fixture:expr, real_time) => {
        $crate::provisioner_conformance! { @ real_time, $fixture }
    };
    (@ $time:ident, $fixture:expr) => {
        $crate::__cases! { $time, $fixture, provisioner:
            fingerprint_is_stable_and_sensitive
            provisioning_succeeds
            failed_command_is_an_error
            lost_channel_is_an_error
            deadline_is_honoured
            nothing_runs_after_a_cancel
            secrets_stay_secret
        }
    };
}

/// Tests a [`Verifier`](image_core::Verifier) described by a [`VerifierFixture`](crate::VerifierFixture).
#[macro_export]
macro_rules! verifier_conformance {
    ($fixture:expr) => {
        $crate::verifier_conformance! { @ paused, $fixture }
    };
    ($fixture:expr, real_time) => {
        $crate::verifier_conformance! { @ real_time, $fixture }
    };
    (@ $time:ident, $fixture:expr) => {
        $crate::__cases! { $time, $fixture, verifier:
            good_input_is_pinned
            bad_input_is_refused
        }
    };
}

/// Tests a [`Validator`](image_core::Validator) described by a [`ValidatorFixture`](crate::ValidatorFixture).
#[macro_export]
macro_rules! validator_conformance {
    ($fixture:expr) => {
        $crate::validator_conformance! { @ paused, $fixture }
    };
    ($fixture:expr, real_time) => {
        $crate::validator_conformance! { @ real_time, $fixture }
    };
    (@ $time:ident, $fixture:expr) => {
        $crate::__cases! { $time, $fixture, validator:
            good_machine_passes_without_a_trace
            failed_check_is_a_value
            lost_channel_never_passes
            validator_fingerprint_is_stable
        }
    };
}

/// Tests a [`Scanner`](image_core::Scanner) described by a [`ScannerFixture`](crate::ScannerFixture).
#[macro_export]
macro_rules! scanner_conformance {
    ($fixture:expr) => {
        $crate::scanner_conformance! { @ paused, $fixture }
    };
    ($fixture:expr, real_time) => {
        $crate::scanner_conformance! { @ real_time, $fixture }
    };
    (@ $time:ident, $fixture:expr) => {
        $crate::__cases! { $time, $fixture, scanner:
            scan_covers_and_repeats
            known_findings_are_found
            no_coverage_is_an_error
            unsupported_target_is_refused
        }
    };
}

/// Tests a [`JournalStore`](image_core::JournalStore) described by a [`JournalFixture`](crate::JournalFixture).
#[macro_export]
macro_rules! journal_conformance {
    ($fixture:expr) => {
        $crate::journal_conformance! { @ paused, $fixture }
    };
    ($fixture:expr, real_time) => {
        $crate::journal_conformance! { @ real_time, $fixture }
    };
    (@ $time:ident, $fixture:expr) => {
        $crate::__cases! { $time, $fixture, journal:
            entries_survive_a_reopen
            claim_is_exclusive
            lost_claim_is_fenced
            torn_tail_is_dropped
            broken_middle_is_refused
            newer_version_is_refused
            bad_run_ids_are_refused
        }
    };
}

/// Tests an [`EventSink`](image_core::EventSink) described by an [`EventSinkFixture`](crate::EventSinkFixture).
#[macro_export]
macro_rules! event_sink_conformance {
    ($fixture:expr) => {
        $crate::event_sink_conformance! { @ paused, $fixture }
    };
    ($fixture:expr, real_time) => {
        $crate::event_sink_conformance! { @ real_time, $fixture }
    };
    (@ $time:ident, $fixture:expr) => {
        $crate::__cases! { $time, $fixture, event_sink:
            every_event_is_taken
            many_tasks_emit_at_once
            broken_sink_never_fails
        }
    };
}

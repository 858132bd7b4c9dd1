use super::*;
use crate::{Attribute, Fact, Retry, Target, facts::CommandResult};
use std::sync::Mutex;

/// A system whose commands succeed from the nth look at them on.
#[derive(Debug, Default)]
struct Slow {
    succeeds_at: BTreeMap<&'static str, usize>,
    looks: Mutex<Vec<Vec<String>>>,
    pauses: Mutex<Vec<u64>>,
    pauses_left: Option<usize>,
}

impl Slow {
    fn new(succeeds_at: &[(&'static str, usize)]) -> Self {
        Self { succeeds_at: succeeds_at.iter().copied().collect(), ..Self::default() }
    }
    fn looks(&self) -> Vec<String> {
        self.looks.lock().unwrap().iter().map(|keys| keys.join(" ")).collect()
    }
}

#[async_trait]
impl Gather for Slow {
    async fn gather(&self, wanted: &Wanted) -> Result<Facts> {
        let mut looks = self.looks.lock().unwrap();
        looks.push(wanted.commands.keys().cloned().collect());
        let mut facts = Facts::default();
        for key in wanted.commands.keys() {
            let seen = looks.iter().filter(|look| look.contains(key)).count();
            let status = i32::from(seen < self.succeeds_at[key.as_str()]);
            let result = CommandResult::Exited { status, stdout: "".into(), stderr: "".into() };
            facts.commands.insert(key.clone(), Fact::Known(result));
        }
        Ok(facts)
    }
    async fn pause(&self, duration: Duration) -> Result<()> {
        {
            let mut pauses = self.pauses.lock().unwrap();
            if self.pauses_left.is_some_and(|left| pauses.len() >= left) {
                return Err(image_core::Error::new(image_core::ErrorKind::Cancelled, "the run was cancelled"));
            }
            pauses.push(duration.as_millis() as u64);
        }
        tokio::time::advance(duration).await;
        Ok(())
    }
}

fn suite(commands: &[(&str, Retry)]) -> Suite {
    let mut suite = Suite::new();
    for (key, retry) in commands {
        let mut command = Resource::new(*key, Target::Command { exec: key.to_string(), timeout: None, retry: *retry });
        command.expect(Attribute::ExitStatus, 0);
        suite.insert(command);
    }
    suite
}

fn every(millis: u64, count: u32) -> Retry {
    Retry::new(count, Duration::from_millis(millis))
}

#[tokio::test(start_paused = true)]
async fn each_resource_is_tried_at_its_own_pace_until_it_passes() {
    let system = Slow::new(&[("a", 2), ("b", 3), ("c", 1), ("d", 9)]);
    let suite = suite(&[("a", every(100, 5)), ("b", every(250, 5)), ("c", every(10, 5)), ("d", every(0, 1))]);
    let outcomes = check(&suite, &system, Compat::Fixed).await.unwrap();
    let verdicts: Vec<_> = outcomes.iter().map(|o| (o.key.as_str(), o.verdict())).collect();
    assert_eq!(verdicts, [("a", Verdict::Pass), ("b", Verdict::Pass), ("c", Verdict::Pass), ("d", Verdict::Fail)]);
    assert_eq!(system.looks(), ["a b c d", "a", "b", "b", "d"], "d waits a second, because it does not say");
    assert_eq!(*system.pauses.lock().unwrap(), [100, 150, 250, 500]);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_pass_is_not_tried_without_tries_or_when_skipped() {
    let system = Slow::new(&[("a", 2)]);
    let outcomes = check(&suite(&[("a", Retry::default())]), &system, Compat::Fixed).await.unwrap();
    assert_eq!((outcomes[0].verdict(), system.looks().len()), (Verdict::Fail, 1));

    let mut skipped = Resource::new("a", Target::Command { exec: "a".into(), timeout: None, retry: every(1, 3) });
    skipped.skip = true;
    let mut suite = Suite::new();
    suite.insert(skipped);
    let system = Slow::new(&[]);
    assert_eq!(check(&suite, &system, Compat::Fixed).await.unwrap()[0].verdict(), Verdict::Skip);
    assert_eq!(system.looks(), [""]);
}

#[tokio::test(start_paused = true)]
async fn a_suite_is_tried_as_a_whole_while_there_is_time() {
    let (suite, once) = (suite(&[("a", Retry::default()), ("b", Retry::default())]), RetryPolicy::ONCE);
    let seconds = |timeout, sleep| RetryPolicy::within(Duration::from_secs(timeout)).sleep(Duration::from_secs(sleep));
    for (policy, looks, passed) in [
        (once, 1, false),
        (seconds(10, 1), 3, true),
        (seconds(2, 1), 3, true),
        (seconds(1, 1), 2, false),
        (seconds(10, 11), 1, false),
    ] {
        let system = Slow::new(&[("a", 3), ("b", 1)]);
        let mut seen = vec![];
        let watch = |attempt: &Attempt| {
            seen.push((attempt.number, attempt.last));
            Ok(())
        };
        let last = until_passes(&suite, &system, Compat::Fixed, policy, watch).await.unwrap();
        assert_eq!((system.looks(), last.passed), (vec!["a b".to_owned(); looks], passed), "{policy:?}");
        assert_eq!(seen.last(), Some(&(looks as u32, true)), "{policy:?}");
        assert!(seen.iter().rev().skip(1).all(|(_, last)| !last), "{policy:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_may_not_go_on_ends_the_tries() {
    let system = Slow { pauses_left: Some(1), ..Slow::new(&[("a", 9)]) };
    let suite = suite(&[("a", every(10, 8))]);
    let error = check(&suite, &system, Compat::Fixed).await.unwrap_err();
    assert_eq!((error.kind(), system.looks().len()), (image_core::ErrorKind::Cancelled, 2));
}

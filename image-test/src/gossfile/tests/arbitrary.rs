//! Suites of any content, and texts of any content.

use super::*;
use crate::{Expectation, HttpRequest, Resource, Suite, Target, matcher::Comparison, suite::Retry};
use std::time::Duration;

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~]{1,12}", "[a-z/.:{}#\n\t ]{1,12}", Just("yes".to_owned()), Just("0644".to_owned()), "\\PC{1,6}"]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<f64>().prop_filter("NaN is not equal to itself", |n| !n.is_nan()).prop_map(Value::Float),
        text().prop_map(Value::String),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        scalar(),
        prop::collection::vec(scalar(), 0..3).prop_map(Value::List),
        prop::collection::btree_map(text(), scalar(), 0..3).prop_map(Value::Map),
    ]
}

fn matcher() -> impl Strategy<Value = Matcher> {
    let number = || (-1_000_000i32..1_000_000).prop_map(Value::from);
    let leaf = prop_oneof![
        scalar().prop_map(Matcher::Is),
        value().prop_map(Matcher::Equal),
        text().prop_map(Matcher::HavePrefix),
        text().prop_map(Matcher::HaveSuffix),
        text().prop_map(Matcher::ContainSubstring),
        Just(Matcher::MatchRegexp("a.*b".into())),
        Just(Matcher::SemverConstraint(">=1.0.0".into())),
        number().prop_map(|n| Matcher::Numeric(Comparison::Ge, n)),
        number().prop_map(|n| Matcher::Numeric(Comparison::Lt, n)),
        (0u8..100).prop_map(|length| Matcher::HaveLen(length.into())),
        prop::collection::vec("[a-z]{1,5}", 0..3).prop_map(Matcher::HavePatterns),
        (text(), text()).prop_map(|(xpath, result)| Matcher::Xml { xpath, result }),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        let list = || prop::collection::vec(inner.clone(), 0..3);
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..3).prop_map(Matcher::Has),
            list().prop_map(Matcher::ContainElements),
            list().prop_map(Matcher::ConsistOf),
            list().prop_map(Matcher::And),
            list().prop_map(Matcher::Or),
            inner.clone().prop_map(|m| Matcher::Not(Box::new(m))),
            inner.clone().prop_map(|m| Matcher::HaveKey(Box::new(m))),
            text().prop_map(|t| Matcher::ContainElement(Box::new(Matcher::Is(t.into())))),
            prop::collection::btree_map(text(), inner.clone(), 0..3).prop_map(Matcher::Gjson),
        ]
    })
}

fn target() -> impl Strategy<Value = Target> {
    let timeout = || prop::option::of((1u64..100_000).prop_map(Duration::from_millis));
    let retry =
        || (0u32..5, 0u64..5_000_000_000).prop_map(|(count, nanos)| Retry::new(count, Duration::from_nanos(nanos)));
    prop_oneof![
        (text(), timeout(), prop::option::of(text())).prop_map(|(address, timeout, local_address)| Target::Addr {
            address,
            timeout,
            local_address
        }),
        (text(), timeout(), retry()).prop_map(|(exec, timeout, retry)| Target::Command { exec, timeout, retry }),
        (text(), prop::option::of(text()), timeout(), retry())
            .prop_map(|(resolve, server, timeout, retry)| Target::Dns { resolve, server, timeout, retry }),
        (text(), prop::collection::vec(text(), 0..3), timeout(), any::<bool>(), prop::option::of(text())).prop_map(
            |(url, headers, timeout, allow_insecure, body)| {
                Target::Http(Box::new(HttpRequest { headers, timeout, allow_insecure, body, ..HttpRequest::new(url) }))
            }
        ),
        (value(), any::<bool>()).prop_map(|(content, as_reader)| Target::Matching { content, as_reader }),
        (text(), timeout()).prop_map(|(mountpoint, timeout)| Target::Mount { mountpoint, timeout }),
        (text(), retry()).prop_map(|(name, retry)| Target::Package { name, retry }),
        text().prop_map(Target::File),
        text().prop_map(Target::Group),
        text().prop_map(Target::Interface),
        text().prop_map(Target::KernelParam),
        text().prop_map(Target::Port),
        text().prop_map(Target::Process),
        text().prop_map(Target::Registry),
        text().prop_map(Target::Service),
        text().prop_map(Target::User),
    ]
}

fn resource() -> impl Strategy<Value = Resource> {
    let details = (prop::option::of(text()), prop::collection::btree_map(text(), value(), 0..2), any::<bool>());
    (text(), any::<bool>(), target(), details, prop::collection::vec((any::<prop::sample::Index>(), matcher()), 0..4))
        .prop_map(|(key, is_label, mut target, (title, meta, skip), expectations)| {
            if !is_label {
                target.set_name(key.clone());
            }
            let mut resource = Resource::new(key, target);
            (resource.title, resource.meta, resource.skip) = (title, meta, skip);
            let attributes = resource.kind().attributes();
            if resource.kind().requires_first() {
                resource.expect(attributes[0], true);
            }
            for (index, matcher) in expectations {
                let attribute = *index.get(attributes);
                // A list of what is not text is no list of patterns, and a text is no number of a user.
                let is_list = matches!(matcher, Matcher::Has(_)) && attribute.is_reader();
                let is_number = matches!(attribute, Attribute::ExitStatus | Attribute::Gid | Attribute::Uid);
                if !is_list && !is_number {
                    resource.expect(attribute, matcher);
                }
            }
            resource
        })
}

/// Without places, which only what was read has.
pub(super) fn placeless(suite: &Suite) -> Suite {
    let mut bare = Suite::new();
    for resource in suite.resources() {
        let mut resource = resource.clone();
        resource.position = None;
        resource.expectations =
            resource.expectations.into_iter().map(|e| Expectation::new(e.attribute, e.matcher)).collect();
        bare.insert(resource);
    }
    bare
}

proptest! {
    #[test]
    fn what_is_written_is_read(resources in prop::collection::vec(resource(), 1..4)) {
        let mut suite = Suite::new();
        for resource in resources {
            suite.insert(resource);
        }
        let text = suite.to_yaml();
        let loaded = Loader::new().load_str(&text, "goss.yaml", ".");
        let loaded = loaded.map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        prop_assert_eq!(placeless(&loaded.suite), suite, "{}", text);
    }

    #[test]
    fn no_text_panics(text in "[-a-z0-9 \n\t:#&*!|>'\"%@`{}\\[\\],?<~.\\\\]{0,60}", goss: bool) {
        let compat = if goss { Compat::Goss } else { Compat::Fixed };
        let _ = Loader::new().compat(compat).load_str(&text, "goss.yaml", "/nonexistent");
    }

    #[test]
    fn no_resource_panics(
        kind in prop::sample::select(Kind::ALL.to_vec()),
        attribute in "(exists|title|meta|skip|timeout|retry_delay|mode|contents|stdout|status|request-headers)",
        value in yaml::any_value(),
        goss: bool,
    ) {
        let mut text = format!("{}:\n  x:\n    {attribute}:", kind.section());
        yaml::block(&mut text, &value, 4);
        let compat = if goss { Compat::Goss } else { Compat::Fixed };
        let _ = Loader::new().compat(compat).load_str(&text, "goss.yaml", "/nonexistent");
    }
}

#[test]
fn no_bytes_panic() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("goss.yaml");
    std::fs::write(&path, b"file:\n  \"\xff\": {}\n").unwrap();
    let error = Loader::new().load(&path).unwrap_err();
    assert!(matches!(error.fault(), Fault::NotUtf8));
    assert_eq!(error.position().map(|p| (p.line, p.column)), Some((2, 4)));
}

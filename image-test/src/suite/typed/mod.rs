//! Suites in Rust, checked by the compiler.

/// The checks of one type of resource: what every type has, its settings, its attributes, and the method of
/// [`Suite`](crate::Suite) that adds one.
macro_rules! checks {
    (
        $(#[$doc:meta])*
        $method:ident -> $name:ident, $new:expr;
        $(target $target:literal;)?
        settings { $($variant:ident.$setting:ident: $type:ty as $wrap:path, $setting_doc:literal;)* }
        attributes { $($attribute:ident: $id:ident,)+ }
    ) => {
        #[doc = concat!("Checks for [`Suite::", stringify!($method), "`](crate::Suite::", stringify!($method), ").")]
        #[derive(Clone, Debug)]
        #[must_use]
        pub struct $name($crate::Resource);

        impl $name {
            /// Words for reports.
            pub fn title(mut self, title: impl Into<String>) -> Self {
                self.0.title = Some(title.into());
                self
            }

            /// Free data for reports.
            pub fn meta(mut self, key: impl Into<String>, value: impl Into<$crate::Value>) -> Self {
                self.0.meta.insert(key.into(), value.into());
                self
            }

            /// Reports every attribute as skipped.
            pub fn skip(mut self) -> Self {
                self.0.skip = true;
                self
            }

            $(
                #[doc = concat!("Looks at this ", $target, "; the key is only a label then.")]
                pub fn target(mut self, target: impl Into<String>) -> Self {
                    self.0.target.set_name(target.into());
                    self
                }
            )?

            $(
                #[doc = $setting_doc]
                pub fn $setting(mut self, value: impl Into<$type>) -> Self {
                    if let $crate::Target::$variant { $setting, .. } = &mut self.0.target {
                        *$setting = $wrap(value.into());
                    }
                    self
                }
            )*

            $(
                #[doc = concat!("Expects [`", stringify!($id), "`](crate::Attribute::", stringify!($id), ") to be so.")]
                pub fn $attribute(mut self, matcher: impl Into<$crate::Matcher>) -> Self {
                    self.0.expect($crate::Attribute::$id, matcher);
                    self
                }
            )+
        }

        impl $crate::Suite {
            $(#[$doc])*
            ///
            /// One of the same key is replaced.
            #[must_use]
            pub fn $method(mut self, key: impl Into<String>, checks: impl FnOnce($name) -> $name) -> Self {
                let key = key.into();
                let resource = $crate::Resource::new(key.clone(), ($new)(key));
                self.insert(checks($name(resource)).0);
                self
            }
        }
    };
}

mod network;
mod storage;
mod system;

pub use network::{AddrChecks, DnsChecks, HttpChecks, InterfaceChecks, PortChecks};
pub use storage::{FileChecks, MountChecks, RegistryChecks};
pub use system::{
    CommandChecks, GroupChecks, KernelParamChecks, MatchingChecks, PackageChecks, ProcessChecks, ServiceChecks,
    UserChecks,
};

#[cfg(test)]
mod tests {
    use crate::{
        Attribute, Kind, Matcher, Suite, Value,
        matcher::{contain_element, ge, have_patterns, not},
        suite::Retry,
    };
    use std::time::Duration;

    #[test]
    fn a_suite_in_rust_is_the_suite_of_its_gossfile() {
        let suite = Suite::new()
            .file("/etc/passwd", |f| f.exists(true).mode(0o644).owner("root").contents(have_patterns(["/^root:/"])))
            .command("version", |c| {
                c.target("app --version")
                    .exit_status(0)
                    .stdout(["v1"])
                    .timeout(Duration::from_secs(5))
                    .retry(Retry::new(2, Duration::from_millis(1500)))
            })
            .user("app", |u| u.exists(true).uid(ge(1000)).groups(contain_element("app")).shell(not("/bin/bash")))
            .http("https://localhost/", |h| h.status(200).allow_insecure(true).header("Accept", "text/plain"))
            .package("telnet", |p| p.installed(false).title("No telnet").meta("severity", 7).skip())
            .matching("answer", |m| m.content(42).matches(ge(42)));
        insta::assert_snapshot!(suite.to_yaml());
        assert_eq!(suite.len(), 6);
        let passwd = suite.get(Kind::File, "/etc/passwd").unwrap();
        assert_eq!(passwd.expectation(Attribute::Mode), Some(&Matcher::Is(Value::from("0644"))));
    }
}

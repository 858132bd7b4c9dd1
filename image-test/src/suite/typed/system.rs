//! Commands, packages, services, users and what else a system has.

use crate::{Target, Value, suite::Retry};
use std::{convert::identity, time::Duration};

checks! {
    /// Adds a command for `sh -c`.
    command -> CommandChecks, |exec| Target::Command { exec, timeout: None, retry: Retry::default() };
    target "command";
    settings {
        Command.timeout: Duration as Some, "When it is killed; 10 s unless set.";
        Command.retry: Retry as identity, "Runs it again until all expectations hold.";
    }
    attributes { exit_status: ExitStatus, stdout: Stdout, stderr: Stderr, }
}

checks! {
    /// Adds a group of users, by name.
    group -> GroupChecks, Target::Group;
    target "group";
    settings {}
    attributes { exists: Exists, gid: Gid, }
}

checks! {
    /// Adds a kernel parameter, by its dotted name.
    kernel_param -> KernelParamChecks, Target::KernelParam;
    target "parameter";
    settings {}
    attributes { value: Value, }
}

checks! {
    /// Adds a value to match. The key is a label.
    matching -> MatchingChecks, |_| Target::Matching { content: Value::Null, as_reader: false };
    settings {
        Matching.content: Value as identity, "The value.";
        Matching.as_reader: bool as identity, "Whether it is taken as text of any length.";
    }
    attributes { matches: Matches, }
}

checks! {
    /// Adds a package of the distribution, by name.
    package -> PackageChecks, |name| Target::Package { name, retry: Retry::default() };
    target "package";
    settings { Package.retry: Retry as identity, "Looks again until all expectations hold."; }
    attributes { installed: Installed, versions: Versions, }
}

checks! {
    /// Adds a process, by its command name of at most 15 bytes.
    process -> ProcessChecks, Target::Process;
    target "command name";
    settings {}
    attributes { running: Running, }
}

checks! {
    /// Adds a service of the init system, by name.
    service -> ServiceChecks, Target::Service;
    target "service";
    settings {}
    attributes { enabled: Enabled, running: Running, runlevels: Runlevels, }
}

checks! {
    /// Adds a user, by name.
    user -> UserChecks, Target::User;
    target "user";
    settings {}
    attributes { exists: Exists, uid: Uid, gid: Gid, home: Home, groups: Groups, shell: Shell, }
}

//! The image: what goes in, and what is checked.

use crate::options::{OnError, Options};
use image_core::{
    Architecture, Error, ErrorKind, FailurePolicy, Layer, Pipeline, Result, Revision,
    provision::{FileUpload, Seal, Shell},
    validate::{Command, CommandCheck, Sealed},
};
use image_local::{LocalBuilder, LocalStore, Source};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// How long a refused image is kept for a look.
const QUARANTINE: Duration = Duration::from_secs(7 * 24 * 3600);
/// What has to start first may take a while where a processor is emulated.
const STARTS_WITHIN: Duration = Duration::from_secs(120);

/// Kernel settings that the image must have when it runs, as in `60-hardening.conf`.
const SYSCTL: [(&str, &str); 6] = [
    ("fs/protected_regular", "2"),
    ("fs/suid_dumpable", "0"),
    ("kernel/dmesg_restrict", "1"),
    ("kernel/kptr_restrict", "2"),
    ("net/ipv4/conf/all/accept_redirects", "0"),
    ("net/ipv4/tcp_syncookies", "1"),
];

/// Where the files of the image are.
fn files(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("quickstart").join(name)
}

/// Two layers, their checks, and where the image goes.
pub(crate) fn pipeline(options: &Options, revision: Option<Revision>, store: LocalStore) -> Result<Pipeline> {
    let host = || Error::new(ErrorKind::Unsupported, "the processor of this machine is not known");
    let source = Source::suite(&options.suite, Architecture::host().ok_or_else(host)?)?;
    let builder = LocalBuilder::open(options.directory.join("builder"), source)?;
    let seal = Seal::new();
    Ok(Pipeline::new(format!("quickstart-{}", options.suite))
        .builder(builder)
        .revision(revision)
        .layer(base_os())
        .layer(application(&options.greeting))
        .validator(base_os_checks())
        .validator(application_checks(&options.greeting))
        .validator(Sealed::by(&seal))
        .seal(seal)
        .without_scan("the workspace has no scanner yet")
        .distributor(store)
        .on_failure(match options.on_error {
            OnError::Cleanup => FailurePolicy::Unwind,
            OnError::Pause => FailurePolicy::Pause,
            OnError::Quarantine => FailurePolicy::Quarantine(QUARANTINE),
        }))
}

fn base_os() -> Layer {
    Layer::new("base-os")
        .provision(Shell::file(files("packages.sh")))
        .provision(FileUpload::tree(files("base-os"), "/").named("configuration"))
        .provision(Shell::file(files("services.sh")))
}

/// It installs nothing, so it gets no network: the same input gives the same layer.
fn application(greeting: &str) -> Layer {
    Layer::new("application")
        .provision(FileUpload::tree(files("application"), "/").named("files"))
        .provision(Shell::file(files("application.sh")).env("GREETING", greeting))
        .offline()
}

fn base_os_checks() -> Command {
    let mut checks = Command::new("base-os");
    for package in ["chrony", "openssh-server", "prometheus-node-exporter"] {
        let script = format!("dpkg-query -W -f='${{db:Status-Status}}' {package}");
        checks =
            checks.with(CommandCheck::new(format!("package {package}: installed"), script).stdout_equals("installed"));
    }
    for unit in ["chrony", "prometheus-node-exporter", "ssh", "ssh-keygen", "systemd-networkd", "systemd-resolved"] {
        let script = format!("systemctl is-enabled {unit}.service");
        checks = checks.with(CommandCheck::new(format!("service {unit}: enabled"), script).stdout_equals("enabled"));
    }
    for path in ["/etc/ssh/sshd_config.d/10-hardening.conf", "/etc/systemd/network/80-dhcp.network"] {
        checks = checks.with(CommandCheck::file_exists(path));
    }
    // What sshd makes of all its files, asked with a key of the moment: the image has none before it boots.
    let sshd = "key=$(mktemp -d) && trap 'rm -rf \"$key\"' EXIT && mkdir -p /run/sshd && \
                ssh-keygen -q -t ed25519 -N '' -f \"$key/k\" && sshd -T -h \"$key/k\"";
    checks = checks.with(
        CommandCheck::new("sshd: neither root nor passwords", sshd)
            .stdout_contains("permitrootlogin no")
            .stdout_contains("passwordauthentication no")
            .stdout_contains("authenticationmethods publickey"),
    );
    checks = checks.check("root: no password", "grep -q '^root:[!*]' /etc/shadow");
    checks = checks.check("packages: all of them whole", "[ -z \"$(dpkg --audit)\" ]");

    for unit in ["chrony", "prometheus-node-exporter", "ssh", "systemd-networkd"] {
        checks = checks.with(CommandCheck::service_active(unit).retry_for(STARTS_WITHIN));
    }
    for (key, value) in SYSCTL {
        let check = CommandCheck::new(format!("sysctl {key}: {value}"), format!("cat /proc/sys/{key}"));
        checks = checks.with(check.stdout_equals(value).booted_only());
    }
    checks
        .with(CommandCheck::port_answers("127.0.0.1", 9100, "/metrics").retry_for(STARTS_WITHIN))
        .with(
            CommandCheck::new(
                "time: chrony answers and has sources",
                "chronyc -n tracking && grep -rq '^\\(pool\\|server\\)' /etc/chrony/",
            )
            .stdout_contains("Reference ID")
            .booted_only()
            .retry_for(STARTS_WITHIN),
        )
        .with(
            CommandCheck::new("units: none failed", "systemctl --failed --no-legend --plain")
                .stdout_equals("")
                .booted_only(),
        )
        .with(CommandCheck::new("host name", "cat /proc/sys/kernel/hostname").stdout_equals("golden").booted_only())
}

fn application_checks(greeting: &str) -> Command {
    let get = |path: &str| format!("curl -sS -m 20 -o /dev/stdout -w '%{{http_code}}' http://127.0.0.1:8080{path}");
    Command::new("application")
        .check("the program can run", "[ -x /usr/local/lib/hello/respond ]")
        .with(CommandCheck::new("socket hello: enabled", "systemctl is-enabled hello.socket").stdout_equals("enabled"))
        .with(CommandCheck::service_active("hello.socket").retry_for(STARTS_WITHIN))
        .with(
            CommandCheck::new("it greets", get("/"))
                .stdout_equals(format!("{greeting}\n200"))
                .booted_only()
                .retry_for(STARTS_WITHIN),
        )
        .with(CommandCheck::new("it is healthy", get("/health")).stdout_equals("ok\n200").booted_only())
        .with(
            CommandCheck::new("it knows what is not there", get("/etc/shadow"))
                .stdout_equals("not found\n404")
                .booted_only(),
        )
}

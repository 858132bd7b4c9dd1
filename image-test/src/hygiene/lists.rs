//! The paths and names that the suites look at.

/// Who may read and write what decides who may log in. Distributions differ in the modes that are right.
pub(super) const MODES: &[(&str, &[&str])] = &[
    ("/etc/group", &["0644"]),
    ("/etc/gshadow", &["0000", "0400", "0600", "0640"]),
    ("/etc/passwd", &["0644"]),
    ("/etc/shadow", &["0000", "0400", "0600", "0640"]),
    ("/etc/ssh/sshd_config", &["0600", "0640", "0644"]),
    ("/etc/sudoers", &["0400", "0440", "0600", "0640"]),
    ("/root", &["0500", "0550", "0700", "0750"]),
];

/// Credentials and traces of those who built the image, and of the container it was built in.
pub(super) const LEFT_BEHIND: &[&str] = &[
    "/.dockerenv",
    "/etc/sudoers.d/packer",
    "/etc/sudoers.d/vagrant",
    "/etc/udev/rules.d/70-persistent-net.rules",
    "/root/.ansible",
    "/root/.aws/credentials",
    "/root/.azure",
    "/root/.config/gcloud",
    "/root/.docker/config.json",
    "/root/.git-credentials",
    "/root/.kube/config",
    "/root/.netrc",
    "/root/.pypirc",
    "/root/.ssh/id_dsa",
    "/root/.ssh/id_ecdsa",
    "/root/.ssh/id_ed25519",
    "/root/.ssh/id_rsa",
    "/root/.vault-token",
    "/run/.containerenv",
];

/// What each machine made of an image has to make for itself.
pub(super) const MADE_AT_BOOT: &[&str] = &[
    "/etc/ssh/ssh_host_dsa_key",
    "/etc/ssh/ssh_host_ecdsa_key",
    "/etc/ssh/ssh_host_ed25519_key",
    "/etc/ssh/ssh_host_rsa_key",
    "/var/cache/apt/pkgcache.bin",
    "/var/cache/apt/srcpkgcache.bin",
    "/var/lib/cloud/data",
    "/var/lib/cloud/instance",
    "/var/lib/cloud/instances",
    "/var/lib/cloud/sem",
    "/var/lib/systemd/credential.secret",
    "/var/lib/systemd/random-seed",
    "/var/lib/urandom/random-seed",
    "/var/log/cloud-init-output.log",
    "/var/log/cloud-init.log",
];

/// Where programs keep what was typed, in a home.
pub(super) const HISTORIES: &[&str] = &[
    ".ash_history",
    ".bash_history",
    ".lesshst",
    ".mysql_history",
    ".node_repl_history",
    ".psql_history",
    ".python_history",
    ".sqlite_history",
    ".viminfo",
    ".wget-hsts",
    ".zsh_history",
];

/// Users that build tools make and that have well-known passwords or keys.
pub(super) const BUILD_USERS: &[&str] = &["packer", "vagrant"];

/// Who logged in, which a sealed image says of nobody.
pub(super) const LOGINS: &[&str] = &["/var/log/btmp", "/var/log/lastlog", "/var/log/wtmp"];

/// Logs that say what the build machine did.
pub(super) const LOGS: &[&str] = &[
    "/var/log/apt/history.log",
    "/var/log/auth.log",
    "/var/log/dnf.log",
    "/var/log/dpkg.log",
    "/var/log/messages",
    "/var/log/secure",
    "/var/log/syslog",
    "/var/log/yum.log",
];

/// In bytes: what a first boot itself may log.
pub(super) const LARGEST_LOG: i64 = 1024 * 1024;

pub(super) const AUTHORIZED_KEYS: &str =
    "find /root /home -xdev -maxdepth 3 -path '*/.ssh/authorized_keys*' -type f -size +0 2>/dev/null | head -n 20";

pub(super) const USER_HISTORIES: &str =
    "find /root /home -xdev -maxdepth 2 -name '.*_history' -type f -size +0 2>/dev/null | head -n 20";

pub(super) const PACKAGE_CACHES: &str = "find /var/lib/apt/lists /var/cache/apt/archives /var/cache/apk /var/cache/dnf \
/var/cache/yum /var/cache/zypp /var/cache/pacman/pkg -xdev -type f ! -name lock 2>/dev/null | head -n 20";

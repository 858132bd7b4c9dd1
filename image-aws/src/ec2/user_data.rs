//! User data: the end that a machine sets itself, and what the user wants cloud-init to do.

use image_core::Timestamp;

/// What separates the parts. It occurs in no text that begins as cloud-init's do, and where it did only the user's own
/// part would be cut.
const BOUNDARY: &str = "==golden-image-part==";

/// User data in the form of cloud-init's MIME archives, with a part that ends the machine at `end` whatever becomes of the
/// process that launched it: it shuts down, and its shutdown behaviour is to terminate.
///
/// A boothook runs early in every boot, so that a restart does not lose the timer. It looks at the clock and not at the
/// time since the boot. The timer lives in the memory of the running system; the text of the hook below
/// `/var/lib/cloud`, which sealing empties.
pub(crate) fn user_data(end: Timestamp, user: Option<&str>) -> String {
    let seconds = end.as_millis() / 1000;
    let timer = format!(
        "#!/bin/sh\n\
         left=$(( {seconds} - $(date +%s) ))\n\
         [ \"$left\" -gt 0 ] || left=1\n\
         {{ systemd-run --quiet --on-active=\"$left\" shutdown -h now || {{ sleep \"$left\"; shutdown -h now; }}\n\
         }} </dev/null >/dev/null 2>&1 &\n"
    );
    let mut archive = format!("Content-Type: multipart/mixed; boundary=\"{BOUNDARY}\"\nMIME-Version: 1.0\n");
    // The user's text is of the type that its first line says; cloud-init looks at that where a part is plain text.
    let parts = [("text/cloud-boothook", Some(timer.as_str())), ("text/plain", user)];
    for (kind, text) in parts.iter().filter_map(|(kind, text)| Some((kind, (*text)?))) {
        archive
            .push_str(&format!("\n--{BOUNDARY}\nContent-Type: {kind}; charset=\"utf-8\"\nMIME-Version: 1.0\n\n{text}"));
    }
    archive.push_str(&format!("\n--{BOUNDARY}--\n"));
    archive
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn the_users_part_stands_beside_the_timer() {
        insta::assert_snapshot!(user_data(
            Timestamp::from_millis(1_700_000_000_999),
            Some("#cloud-config\npackages: [jq]\n")
        ));
    }

    /// What a machine does at its boot, with a clock and commands of the test's own.
    fn boot(clock: u64, systemd: bool) -> String {
        let dir = tempfile::tempdir().unwrap();
        let command = |name: &str, body: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        };
        let log = dir.path().join("log");
        let note = |name: &str| format!("echo {name} \"$@\" >> {}", log.display());
        command("date", &format!("echo {clock}"));
        command("sleep", &note("sleep"));
        command("shutdown", &note("shutdown"));
        command("systemd-run", &if systemd { note("systemd-run") } else { "exit 1".into() });
        let text = user_data(Timestamp::from_millis(1_000_000), None);
        let hook = text.split("#!/bin/sh\n").nth(1).unwrap().split(&format!("--{BOUNDARY}")).next().unwrap();
        let path = format!("{}:/bin:/usr/bin", dir.path().display());
        let script = format!("{hook}\nwait");
        assert!(Command::new("/bin/sh").args(["-c", &script]).env("PATH", path).status().unwrap().success());
        std::fs::read_to_string(log).unwrap()
    }

    #[test]
    fn a_machine_ends_at_a_time_and_not_after_a_time() {
        assert_eq!(boot(400, true), "systemd-run --quiet --on-active=600 shutdown -h now\n");
        assert_eq!(boot(900, true), "systemd-run --quiet --on-active=100 shutdown -h now\n");
        assert_eq!(boot(5000, true), "systemd-run --quiet --on-active=1 shutdown -h now\n");
    }

    #[test]
    fn a_machine_without_systemd_ends_too() {
        assert_eq!(boot(400, false), "sleep 600\nshutdown -h now\n");
    }
}

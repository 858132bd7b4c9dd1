//! What the guest says on its serial console: the end of it is kept, and signs of a failed boot are recognized.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::BootFailure;

/// Bytes that are kept.
const KEPT: usize = 64 * 1024;

/// Longest sign, and so what has to be looked at again when more arrives.
const OVERLAP: usize = 64;

/// Signs of a guest that will not boot. Firmware speaks before any kernel, the rest is worded as by the named source.
const SIGNS: &[(&str, BootFailure)] = &[
    // Linux, kernel/panic.c.
    ("Kernel panic - not syncing", BootFailure::KernelPanic),
    // systemd's sulogin-shell, and dracut's emergency shell.
    ("You are in emergency mode", BootFailure::EmergencyMode),
    ("Entering emergency mode", BootFailure::EmergencyMode),
    // The prompt of the busybox shell of initramfs-tools.
    ("(initramfs)", BootFailure::InitramfsShell),
    // EDK II, when every boot option has failed: with and without a shell in the firmware.
    ("UEFI Interactive Shell", BootFailure::NothingToBoot),
    ("BdsDxe: No bootable option or device was found", BootFailure::NothingToBoot),
    // Our own first script.
    ("golden-image agent:", BootFailure::NoAgent),
];

/// The console of one guest.
#[derive(Debug, Default)]
pub(crate) struct Console {
    kept: Mutex<VecDeque<u8>>,
}

impl Console {
    /// Adds output and returns the sign of failure in it, if there is one. A sign may be split over two calls.
    pub(crate) fn push(&self, output: &[u8]) -> Option<BootFailure> {
        let mut kept = self.kept();
        let unread = kept.len().saturating_sub(OVERLAP);
        kept.extend(output);
        let recent: Vec<u8> = kept.range(unread..).copied().collect();
        let surplus = kept.len().saturating_sub(KEPT);
        kept.drain(..surplus);
        drop(kept);
        BootFailure::of(&String::from_utf8_lossy(&recent))
    }

    /// The end of the output, without control characters.
    pub(crate) fn tail(&self) -> String {
        let bytes: Vec<u8> = self.kept().iter().copied().collect();
        printable(&bytes)
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<u8>> {
        // Bytes are whole at any moment, whoever panicked.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BootFailure {
    /// The failure that this output of a console is a sign of.
    pub(crate) fn of(output: &str) -> Option<Self> {
        SIGNS.iter().find(|(sign, _)| output.contains(sign)).map(|(_, failure)| *failure)
    }
}

/// Text without what would move the cursor of a terminal.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\n' | '\t' => plain.push(character),
            // ECMA-48: a control sequence ends with its first byte in this range.
            '\u{1b}' if characters.next_if_eq(&'[').is_some() => {
                while characters.next().is_some_and(|next| !('@'..='~').contains(&next)) {}
            }
            _ if character.is_control() => {}
            _ => plain.push(character),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_is_found_although_it_comes_in_pieces() {
        let console = Console::default();
        assert_eq!(console.push(b"[    1.0] Kernel pan"), None);
        assert_eq!(console.push(b"ic - not sync"), None);
        assert_eq!(console.push(b"ing: VFS: Unable to mount root fs"), Some(BootFailure::KernelPanic));
    }

    #[test]
    fn the_overlap_is_longer_than_every_sign() {
        assert!(SIGNS.iter().all(|(sign, _)| sign.len() < OVERLAP));
    }

    #[test]
    fn memory_is_bounded_and_the_end_is_kept() {
        let console = Console::default();
        for _ in 0..100 {
            assert_eq!(console.push(&[b'x'; 10_000]), None);
        }
        assert_eq!(console.push(b"the end"), None);
        let tail = console.tail();
        assert_eq!(tail.len(), KEPT);
        assert!(tail.ends_with("xthe end"));
    }

    #[test]
    fn control_sequences_are_removed() {
        assert_eq!(printable(b"\x1b[2J\x1b[01;01Ha\x07b\r\nc\x1b[0m\xff"), "ab\nc\u{fffd}");
    }
}

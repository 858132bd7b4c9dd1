//! The socket tables of the kernel.

use super::lines;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The order in which a machine keeps the bytes of a number. The kernel prints the four bytes of an address, which are in
/// network order, as a number of the machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ByteOrder {
    /// x86, arm64, riscv64, ppc64le.
    Little,
    /// s390x.
    Big,
}

impl ByteOrder {
    /// That of this machine.
    pub(crate) const NATIVE: Self = if cfg!(target_endian = "big") { Self::Big } else { Self::Little };
}

/// A socket that takes what is sent to it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Socket {
    pub(crate) port: u16,
    /// As goss prints it: in capitals, and an IPv4 address inside IPv6 as IPv4.
    pub(crate) ip: String,
}

/// The sockets of a `/proc/net/{tcp,tcp6}` that listen, or all of a `/proc/net/{udp,udp6}`, since UDP has no such state.
pub(crate) fn sockets(text: &[u8], is_tcp: bool, order: ByteOrder) -> Vec<Socket> {
    // The heading's second column is no address.
    lines(text).filter_map(|line| socket(std::str::from_utf8(line).ok()?, is_tcp, order)).collect()
}

fn socket(line: &str, is_tcp: bool, order: ByteOrder) -> Option<Socket> {
    const LISTEN: &str = "0A";
    let mut columns = line.split_ascii_whitespace();
    let (_slot, local, _remote, state) = (columns.next()?, columns.next()?, columns.next()?, columns.next()?);
    if is_tcp && state != LISTEN {
        return None;
    }
    let (address, port) = local.split_once(':')?;
    Some(Socket { ip: ip(address, order)?, port: u16::from_str_radix(port, 16).ok()? })
}

fn ip(hex: &str, order: ByteOrder) -> Option<String> {
    let word = |start: usize| {
        let word = u32::from_str_radix(hex.get(start..start + 8)?, 16).ok()?;
        Some(match order {
            ByteOrder::Little => word.swap_bytes(),
            ByteOrder::Big => word,
        })
    };
    match hex.len() {
        8 => Some(Ipv4Addr::from_bits(word(0)?).to_string()),
        32 => {
            let bits = [0, 8, 16, 24].into_iter().try_fold(0_u128, |bits, at| Some(bits << 32 | u128::from(word(at)?)));
            Some(printed(Ipv6Addr::from_bits(bits?)))
        }
        _ => None,
    }
}

fn printed(address: Ipv6Addr) -> String {
    address.to_ipv4_mapped().map_or_else(|| hexadecimal(address).to_uppercase(), |v4| v4.to_string())
}

/// Rust prints `::1.2.3.4` for an IPv4-compatible address, others `::102:304`.
fn hexadecimal(address: Ipv6Addr) -> String {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => format!("::{high:x}:{low:x}"),
        _ => address.to_string(),
    }
}

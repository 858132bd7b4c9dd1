//! What the kernel of this machine tells: parameters, mounts, sockets, processes, interfaces.

use super::root::is_absence;
use crate::facts::{
    Fact, Facts, InterfaceFacts, MountFacts, Wanted,
    parse::{ByteOrder, comm, mountinfo, sockets, sysctl_path},
};
use nix::{ifaddrs::getifaddrs, net::if_::if_nametoindex, sys::socket::SockaddrStorage};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    net::IpAddr,
};

pub(super) fn gather(wanted: &Wanted, facts: &mut Facts) {
    parameters(wanted, facts);
    mounts(wanted, facts);
    ports(wanted, facts);
    processes(wanted, facts);
    interfaces(wanted, facts);
}

fn parameters(wanted: &Wanted, facts: &mut Facts) {
    for name in &wanted.kernel_params {
        let value = match fs::read(format!("/proc/sys/{}", sysctl_path(name))) {
            Ok(value) => Fact::Known(Some(String::from_utf8_lossy(&value).trim().into())),
            Err(error) if is_absence(&error) => Fact::Known(None),
            Err(error) => Fact::Unknown(format!("{name}: {error}")),
        };
        facts.kernel_params.insert(name.clone(), value);
    }
}

fn mounts(wanted: &Wanted, facts: &mut Facts) {
    if wanted.mounts.is_empty() {
        return;
    }
    const TABLE: &str = "/proc/self/mountinfo";
    let table = fs::read(TABLE).map(|text| mountinfo(&text)).map_err(|error| format!("{TABLE}: {error}"));
    for (mountpoint, with_usage) in &wanted.mounts {
        let fact = match &table {
            Ok(table) => Fact::Known(table.get(mountpoint).map(|mount| {
                let usage = with_usage.then(|| usage(mountpoint));
                MountFacts { usage, ..mount.clone() }
            })),
            Err(why) => Fact::Unknown(why.clone()),
        };
        facts.mounts.insert(mountpoint.clone(), fact);
    }
}

/// Used blocks in percent, rounded half up.
fn usage(mountpoint: &str) -> Fact<Option<u8>> {
    match rustix::fs::statvfs(mountpoint) {
        Ok(stat) => {
            let (blocks, free) = (u128::from(stat.f_blocks), u128::from(stat.f_bfree));
            let used = blocks.saturating_sub(free);
            Fact::Known((used * 200 + blocks).checked_div(blocks * 2).and_then(|percent| percent.try_into().ok()))
        }
        Err(error) => Fact::Unknown(format!("{mountpoint}: {error}")),
    }
}

fn ports(wanted: &Wanted, facts: &mut Facts) {
    for network in ["tcp", "tcp6", "udp", "udp6"] {
        let of_network = |key: &&String| key.split_once(':').is_some_and(|(prefix, _)| prefix == network);
        let keys: Vec<_> = wanted.ports.iter().filter(of_network).collect();
        if keys.is_empty() {
            continue;
        }
        let listening = listening(network);
        for key in keys {
            let ips = match &listening {
                Ok(listening) => Fact::Known(listening.get(key).cloned().unwrap_or_default()),
                Err(why) => Fact::Unknown(why.clone()),
            };
            facts.ports.insert(key.clone(), ips);
        }
    }
    for key in &wanted.ports {
        let unknown = || Fact::Unknown(format!("{key}: the protocol must be tcp, tcp6, udp or udp6"));
        facts.ports.entry(key.clone()).or_insert_with(unknown);
    }
}

/// Local addresses by `tcp:80`.
fn listening(network: &str) -> Result<BTreeMap<String, BTreeSet<String>>, String> {
    let path = format!("/proc/net/{network}");
    let table = match fs::read(&path) {
        // A kernel without IPv6 has no such table.
        Err(error) if is_absence(&error) && network.ends_with('6') => vec![],
        table => table.map_err(|error| format!("{path}: {error}"))?,
    };
    let mut listening = BTreeMap::<_, BTreeSet<_>>::new();
    for socket in sockets(&table, network.starts_with("tcp"), ByteOrder::NATIVE) {
        listening.entry(format!("{network}:{}", socket.port)).or_default().insert(socket.ip);
    }
    Ok(listening)
}

fn processes(wanted: &Wanted, facts: &mut Facts) {
    if wanted.processes.is_empty() {
        return;
    }
    let running = running();
    for name in &wanted.processes {
        let runs = match &running {
            Ok(running) => Fact::Known(running.contains(name)),
            Err(error) => Fact::Unknown(format!("/proc: {error}")),
        };
        facts.processes.insert(name.clone(), runs);
    }
}

fn running() -> io::Result<BTreeSet<String>> {
    let mut running = BTreeSet::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let is_process = entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit);
        if is_process && let Ok(stat) = fs::read(entry.path().join("stat")) {
            // One that ended in between did not run.
            running.extend(comm(&stat));
        }
    }
    Ok(running)
}

fn interfaces(wanted: &Wanted, facts: &mut Facts) {
    if wanted.interfaces.is_empty() {
        return;
    }
    let addresses = addresses();
    for name in &wanted.interfaces {
        let fact = if name.contains('/') || if_nametoindex(name.as_str()).is_err() {
            Fact::Known(None)
        } else {
            match (addresses.as_ref(), mtu(name).as_ref()) {
                (Ok(addresses), Ok(mtu)) => Fact::Known(Some(InterfaceFacts {
                    addrs: addresses.get(name).cloned().unwrap_or_default(),
                    mtu: *mtu,
                })),
                (Err(why), _) | (_, Err(why)) => Fact::Unknown(why.clone()),
            }
        };
        facts.interfaces.insert(name.clone(), fact);
    }
}

fn mtu(name: &str) -> Result<u32, String> {
    let path = format!("/sys/class/net/{name}/mtu");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    text.trim().parse().map_err(|_| format!("{path}: `{}` is no number", text.trim()))
}

/// Addresses with the length of their prefix by interface.
fn addresses() -> Result<BTreeMap<String, Vec<String>>, String> {
    let mut addresses = BTreeMap::<_, Vec<_>>::new();
    for entry in getifaddrs().map_err(|error| format!("addresses of interfaces: {error}"))? {
        if let (Some(address), Some(mask)) = (entry.address.and_then(ip), entry.netmask.and_then(ip)) {
            let prefix = match mask {
                IpAddr::V4(mask) => mask.to_bits().count_ones(),
                IpAddr::V6(mask) => mask.to_bits().count_ones(),
            };
            addresses.entry(entry.interface_name).or_default().push(format!("{address}/{prefix}"));
        }
    }
    Ok(addresses)
}

fn ip(address: SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
}

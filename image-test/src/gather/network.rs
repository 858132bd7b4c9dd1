//! Connections, names and requests.

#[cfg(feature = "network")]
mod dns;
#[cfg(feature = "network")]
mod http;

use crate::facts::{
    AddrWanted, DnsWanted, Fact, Resolution,
    parse::{hosts, hosts_come_first, port},
};
use std::{
    io,
    net::{IpAddr, SocketAddr},
};
use tokio::{
    fs,
    net::{TcpSocket, UdpSocket, lookup_host},
    time::{Sleep, sleep},
};

#[cfg(feature = "network")]
pub(super) use http::request;

/// Says that requests are unknown.
#[cfg(not(feature = "network"))]
pub(super) async fn request(_request: crate::HttpRequest, _limit: u64) -> Fact<crate::facts::Response> {
    std::future::ready(Fact::Unknown("requests need the feature `network`".into())).await
}

/// As many tries as goss makes for a name.
const TRIES: u32 = 3;

/// Waits for work, but not longer than until the deadline; none where that came first.
async fn until<T>(deadline: Sleep, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        done = work => Some(done),
        () = deadline => None,
    }
}

/// Whether a connection to an address can be made. Any error says no, as in goss, and UDP needs nothing but a route.
pub(super) async fn connect(wanted: AddrWanted) -> Fact<bool> {
    let (network, address) = wanted.address.split_once("://").unwrap_or(("tcp", &wanted.address));
    let local = wanted.local_address.as_deref().and_then(|address| address.parse::<IpAddr>().ok());
    let work = async {
        let (host, port) = endpoint(network, address).await.ok_or(io::ErrorKind::InvalidInput)?;
        let mut addresses = lookup(host, port).await?.into_iter().filter(|address| match network.as_bytes() {
            [.., b'4'] => address.is_ipv4(),
            [.., b'6'] => address.is_ipv6(),
            _ => true,
        });
        let mut result = Err(io::ErrorKind::AddrNotAvailable.into());
        while let (Err(_), Some(address)) = (&result, addresses.next()) {
            result = match network {
                "tcp" | "tcp4" | "tcp6" => connect_tcp(address, local).await,
                "udp" | "udp4" | "udp6" => connect_udp(address, local).await,
                _ => Err(io::ErrorKind::Unsupported.into()),
            };
        }
        result
    };
    Fact::Known(matches!(until(sleep(wanted.timeout), work).await, Some(Ok(()))))
}

/// Host and port of `host:port`, where the port may be the name of a service. Without a host it is this machine.
async fn endpoint<'a>(network: &str, address: &'a str) -> Option<(&'a str, u16)> {
    let (host, service) = address.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(host) => host.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    let services = fs::read("/etc/services").await.unwrap_or_default();
    let port = port(&services, network.trim_end_matches(['4', '6']), service)?;
    Some((if host.is_empty() { "localhost" } else { host }, port))
}

/// Addresses of a host. The C library does not give all of the hosts file, but a checked system has all of them.
async fn lookup(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if hosts_come_first(&fs::read("/etc/nsswitch.conf").await.unwrap_or_default()) {
        let own = hosts(&fs::read("/etc/hosts").await.unwrap_or_default(), host);
        if !own.is_empty() {
            return Ok(own.into_iter().map(|address| SocketAddr::new(address, port)).collect());
        }
    }
    Ok(lookup_host((host, port)).await?.collect())
}

async fn connect_tcp(address: SocketAddr, local: Option<IpAddr>) -> io::Result<()> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    if let Some(local) = local {
        socket.bind(SocketAddr::new(local, 0))?;
    }
    socket.connect(address).await.map(drop)
}

async fn connect_udp(address: SocketAddr, local: Option<IpAddr>) -> io::Result<()> {
    let unspecified = || if address.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    UdpSocket::bind(SocketAddr::new(local.unwrap_or_else(unspecified), 0)).await?.connect(address).await
}

/// What a name resolves to. An answer without addresses is tried again, as in goss.
pub(super) async fn resolve(wanted: DnsWanted) -> Fact<Resolution> {
    // The type of record counts only for a given server.
    let (record, host) = match wanted.resolve.split_once(':') {
        Some((record, host)) if !record.is_empty() && record.bytes().all(|byte| byte.is_ascii_uppercase()) => {
            (record, host)
        }
        _ => ("", wanted.resolve.as_str()),
    };
    let mut result = Err(String::new());
    for _ in 0..TRIES {
        let answer = match &wanted.server {
            None => until(sleep(wanted.timeout), by_system(host)).await.map(Ok),
            Some(server) => until(sleep(wanted.timeout), by_server(server, record, host)).await,
        };
        result = answer.unwrap_or_else(|| Err(format!("{host}: no answer in {} ms", wanted.timeout.as_millis())));
        // The system's resolver has tried again by itself.
        if wanted.server.is_none() && result.is_ok() || result.as_ref().is_ok_and(|addrs| !addrs.is_empty()) {
            break;
        }
    }
    result.map_or_else(Fact::Unknown, |mut addrs| {
        addrs.sort();
        Fact::Known(Resolution { resolvable: !addrs.is_empty(), addrs })
    })
}

/// Addresses by the resolver of the system. Whatever fails there makes a name unresolvable, as in goss.
async fn by_system(host: &str) -> Vec<String> {
    let found = lookup(host, 0).await.unwrap_or_default();
    let mut addrs: Vec<_> = found.iter().map(|address| address.ip().to_string()).collect();
    addrs.sort();
    addrs.dedup();
    addrs
}

#[cfg(feature = "network")]
use dns::by_server;

#[cfg(not(feature = "network"))]
async fn by_server(_server: &str, _record: &str, _host: &str) -> Result<Vec<String>, String> {
    std::future::ready(Err("a server to ask needs the feature `network`".into())).await
}

#[cfg(test)]
mod tests;

//! What the script asks and tells of ports, interfaces, connections and names.

use super::{
    record::{Kind, Payload, Records},
    run::Ran,
    script::seconds,
};
use crate::{
    Fact, Wanted,
    facts::{AddrWanted, DnsWanted, InterfaceFacts, Resolution, parse},
};
use image_core::quote;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

/// Bytes that a small tool may print.
const SMALL: usize = 4095;
/// Bytes that a resolver may print.
const NAMES: usize = 65535;

/// Network and number of a wanted port.
pub(super) fn port(key: &str) -> Option<(&str, u16)> {
    let (network, number) = key.split_once(':')?;
    matches!(network, "tcp" | "tcp6" | "udp" | "udp6").then_some(())?;
    Some((network, number.parse().ok()?))
}

/// Whether Linux could have an interface of that name.
pub(super) fn is_interface_name(name: &str) -> bool {
    let wrong = |c: char| c == '/' || c == '\0' || c.is_whitespace();
    !name.is_empty() && name.len() < 16 && name != "." && name != ".." && !name.contains(wrong)
}

/// Host and port of a TCP address.
pub(super) fn tcp(address: &str) -> Option<(&str, &str)> {
    let address = address.strip_prefix("tcp://").unwrap_or(address);
    if address.contains("://") {
        return None;
    }
    let (host, port) = address.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let host = if host.is_empty() { "localhost" } else { host };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".:-_%".contains(&byte);
    let named = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let right = host.bytes().all(plain) && !host.starts_with('-') && !port.is_empty() && port.bytes().all(named);
    (right && !port.starts_with('-')).then_some((host, port))
}

/// What is asked of a resolver.
#[derive(Debug)]
pub(super) struct Question<'a> {
    kind: Option<&'a str>,
    host: &'a str,
    server: Option<(&'a str, &'a str)>,
    seconds: String,
}

impl<'a> Question<'a> {
    pub(super) fn of(wanted: &'a DnsWanted) -> Option<Self> {
        const KINDS: [&str; 10] = ["A", "AAAA", "CAA", "CNAME", "MX", "NS", "PTR", "SRV", "SSHFP", "TXT"];
        let split = wanted.resolve.split_once(':').filter(|(kind, _)| KINDS.contains(kind));
        let (kind, host) = split.map_or((None, wanted.resolve.as_str()), |(kind, host)| (Some(kind), host));
        let server = wanted.server.as_deref().map(|server| match server.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port),
            _ => (server, "53"),
        });
        let plain = |text: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".:-_%[]*".contains(&byte);
            !text.is_empty() && !text.starts_with('-') && text.bytes().all(plain)
        };
        let right = plain(host) && server.is_none_or(|(host, port)| plain(host) && port.parse::<u16>().is_ok());
        right.then(|| Self { kind, host, server, seconds: seconds(wanted.timeout) })
    }

    /// What is looked for in the hosts file.
    pub(super) fn own_host(&self) -> Option<&'a str> {
        self.server.is_none().then_some(self.host)
    }

    /// Functions of the script and their arguments behind the index.
    pub(super) fn calls(&self) -> Vec<(&'static str, Vec<String>)> {
        let Some((server, port)) = self.server else {
            return vec![("resolve", vec![self.seconds.clone(), quote(self.host)])];
        };
        let server = server.trim_start_matches('[').trim_end_matches(']');
        let host = match (self.kind, self.host.parse()) {
            (Some("PTR"), Ok(address)) => reverse(address),
            _ => self.host.to_owned(),
        };
        let query = |record: &str, kind: &str| {
            let words = [record, &self.seconds, server, port, kind, &host];
            ("query", words.map(quote).to_vec())
        };
        match self.kind {
            Some(kind) => vec![query("query", kind)],
            None => vec![query("query", "A"), query("query6", "AAAA")],
        }
    }

    fn resolution(&self, records: &Records<'_>, index: usize) -> Result<Resolution, String> {
        let mut addrs = BTreeSet::new();
        match (self.server, self.kind) {
            (None, _) => match own_addresses(records, self.host) {
                own if own.is_empty() => addrs = ahosts(Ran::parse(records.get(Kind::Resolve, index), NAMES)?)?,
                own => addrs.extend(own),
            },
            (Some(_), Some(kind)) => addrs.extend(answers(records.get(Kind::Query, index), kind)?),
            (Some(_), None) => {
                addrs.extend(answers(records.get(Kind::Query, index), "A")?);
                addrs.extend(answers(records.get(Kind::Query6, index), "AAAA")?);
            }
        }
        Ok(Resolution { resolvable: !addrs.is_empty(), addrs: addrs.into_iter().collect() })
    }
}

/// The name that a reverse lookup asks for.
fn reverse(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(address) => {
            let digits = format!("{:032x}", u128::from(address));
            digits.chars().rev().fold(String::new(), |name, digit| format!("{name}{digit}.")) + "ip6.arpa"
        }
    }
}

/// What the hosts file of the machine says of a name, which the C library does not give in full.
fn own_addresses(records: &Records<'_>, host: &str) -> Vec<String> {
    let text = records.find(Kind::Hosts, 0).and_then(Result::ok).unwrap_or_default();
    let end = text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len());
    let (sources, hosts) = text.split_at(end);
    if !parse::hosts_come_first(sources) {
        return vec![];
    }
    parse::hosts(hosts, host).iter().map(ToString::to_string).collect()
}

/// The addresses in the output of `getent ahosts`. Its exit code 2 says that no database has the name; the script asked
/// only where one can be read. A resolver that answers with a failure makes a name unresolvable, as in goss.
fn ahosts(ran: Ran) -> Result<BTreeSet<String>, String> {
    if let Ran::Exited { status: 2, .. } = ran {
        return Ok(BTreeSet::new());
    }
    let text = ran.succeeded()?;
    let text = String::from_utf8_lossy(&text);
    let addresses = text.lines().filter_map(|line| line.split_ascii_whitespace().next());
    Ok(addresses.filter(|address| address.parse::<IpAddr>().is_ok()).map(Into::into).collect())
}

/// The answers of one kind in the output of `dig`, `drill` or `host -v`, which print records alike.
fn answers(payload: Payload<'_>, kind: &str) -> Result<Vec<String>, String> {
    let text = match Ran::parse(payload, NAMES)? {
        // Of a name that it does not find, host says so in place of a status, and fails.
        Ran::Exited { status: 1, stdout, .. } if !stdout.is_empty() => stdout,
        ran => ran.succeeded()?,
    };
    let text = String::from_utf8_lossy(&text);
    match text.lines().find_map(status) {
        Some("NOERROR") => {}
        Some("NXDOMAIN") => return Ok(vec![]),
        Some(status) => return Err(format!("the server answered {status}")),
        None => return Err("the server gave no answer".into()),
    }
    let record = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_name, _ttl, "IN", found, data @ ..] = &fields[..] else { return None };
        (*found == kind && !line.starts_with(';')).then_some(())?;
        Some(match (kind, data) {
            ("SSHFP", [algorithm, digest, hex @ ..]) => {
                format!("{algorithm} {digest} {}", hex.concat().to_ascii_uppercase())
            }
            ("CAA" | "TXT", _) => data.join(" ").replace('"', ""),
            _ => data.join(" "),
        })
    };
    Ok(text.lines().filter_map(record).collect())
}

/// What the server said: `status: X,` of dig, `rcode: X,` of drill, `not found: 3(X)` of host.
fn status(line: &str) -> Option<&str> {
    match line.split_once(" not found: ") {
        Some((_, status)) => status.split_once('(')?.1.split(')').next(),
        None => line.split_once("status: ").or_else(|| line.split_once("rcode: "))?.1.split(',').next(),
    }
}

pub(super) fn ports(records: &Records<'_>, wanted: &Wanted) -> BTreeMap<String, Fact<BTreeSet<String>>> {
    let table = |kind, is_tcp| {
        // All architectures that images are built for are little-endian.
        records.find(kind, 0).map(|text| text.map(|text| parse::sockets(text, is_tcp, parse::ByteOrder::Little)))
    };
    let tables = [
        ("tcp", table(Kind::Tcp, true)),
        ("tcp6", table(Kind::Tcp6, true)),
        ("udp", table(Kind::Udp, false)),
        ("udp6", table(Kind::Udp6, false)),
    ];
    let fact = |key: &String| {
        let Some((network, number)) = port(key) else {
            return Fact::Unknown(format!("{key:?} is no port: tcp, tcp6, udp or udp6, a colon and a number"));
        };
        match tables.iter().find(|(name, _)| *name == network).and_then(|(_, table)| table.as_ref()) {
            Some(Ok(sockets)) => {
                Fact::Known(sockets.iter().filter(|socket| socket.port == number).map(|s| s.ip.clone()).collect())
            }
            Some(Err(why)) => Fact::Unknown(why.clone()),
            None => Fact::Unknown("the machine gave no answer".into()),
        }
    };
    wanted.ports.iter().map(|key| (key.clone(), fact(key))).collect()
}

pub(super) fn interfaces(records: &Records<'_>, wanted: &Wanted) -> BTreeMap<String, Fact<Option<InterfaceFacts>>> {
    let fact = |(index, name): (usize, &String)| {
        if !is_interface_name(name) {
            return (name.clone(), Fact::Known(None));
        }
        let fact = match records.get(Kind::Interface, index).and_then(interface) {
            Ok(interface) => Fact::Known(interface),
            Err(why) => Fact::Unknown(why),
        };
        (name.clone(), fact)
    };
    wanted.interfaces.iter().enumerate().map(fact).collect()
}

/// The largest packet, then the output of `ip -o addr`; nothing where there is no such interface.
fn interface(payload: &[u8]) -> Result<Option<InterfaceFacts>, String> {
    if payload.is_empty() {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(payload);
    let mut lines = text.lines();
    let mtu = lines.next().and_then(|line| line.trim().parse().ok()).ok_or("its largest packet is no number")?;
    let addrs = lines.filter_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, _, "inet" | "inet6", address, rest @ ..] = &fields[..] else { return None };
        // Of a point-to-point link, the prefix is written with the other end.
        match (address.contains('/'), rest) {
            (false, ["peer", peer, ..]) => Some(format!("{address}/{}", peer.split_once('/')?.1)),
            _ => Some((*address).to_owned()),
        }
    });
    Ok(Some(InterfaceFacts { addrs: addrs.collect(), mtu }))
}

pub(super) fn addrs(records: &Records<'_>, wanted: &Wanted) -> BTreeMap<String, Fact<bool>> {
    let fact = |(index, (key, addr)): (usize, (&String, &AddrWanted))| {
        let fact = if addr.address.starts_with("udp://") {
            // As goss has it: there is nothing to connect, so it always works.
            Fact::Known(true)
        } else if tcp(&addr.address).is_none() {
            Fact::Unknown(format!("{:?} is no address: [tcp://|udp://]host:port", addr.address))
        } else {
            match reachable(records.get(Kind::Address, index)) {
                Ok(reachable) => Fact::Known(reachable),
                Err(why) => Fact::Unknown(why),
            }
        };
        (key.clone(), fact)
    };
    wanted.addrs.iter().enumerate().map(fact).collect()
}

fn reachable(payload: Payload<'_>) -> Result<bool, String> {
    let payload = payload?;
    if let Some(curl) = payload.strip_prefix(b"curl\n") {
        // It says when it was connected, however the conversation ended.
        return match Ran::parse(Ok(curl), SMALL)? {
            Ran::Exited { stdout, stderr, .. } => {
                let time = String::from_utf8_lossy(&stdout).trim().parse::<f64>();
                time.map(|time| time > 0.0).map_err(|_| String::from_utf8_lossy(&stderr).trim().to_owned())
            }
            Ran::TimedOut => Ok(false),
        };
    }
    Ok(matches!(Ran::parse(Ok(payload), SMALL)?, Ran::Exited { status: 0, .. }))
}

pub(super) fn dns(records: &Records<'_>, wanted: &Wanted) -> BTreeMap<String, Fact<Resolution>> {
    let fact = |(index, (key, dns)): (usize, (&String, &DnsWanted))| {
        let question = Question::of(dns).ok_or_else(|| format!("{:?} is no question: [TYPE:]host", dns.resolve));
        let fact = match question.and_then(|question| question.resolution(records, index)) {
            Ok(resolution) => Fact::Known(resolution),
            Err(why) => Fact::Unknown(why),
        };
        (key.clone(), fact)
    };
    wanted.dns.iter().enumerate().map(fact).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(status: i32, stdout: &str) -> Vec<u8> {
        let hex: String = stdout.bytes().map(|byte| format!("{byte:02x}")).collect();
        format!("s {status} 7 8\ne z\no {hex}z\nend").into_bytes()
    }

    /// What dig 9.18, drill 1.8.3 and host 9.18 print.
    #[test]
    fn every_tool_for_names_is_understood() {
        let dig = ";; ->>HEADER<<- opcode: QUERY, status: NOERROR, id: 1\n;x.test.\tIN\tA\n";
        let drill = ";; ->>HEADER<<- opcode: QUERY, rcode: NOERROR, id: 1\n;; QUESTION SECTION:\n;; x.test.\tIN\tA\n\n";
        let host = "Trying \"x.test\"\nUsing domain server:\nName: 127.0.0.1\nAddress: 127.0.0.1#53\nAliases: \n\n\
                    ;; ->>HEADER<<- opcode: QUERY, status: NOERROR, id: 1\n;x.test.\t\tIN\tA\n\n";
        for (kind, record, expected) in [
            ("A", "x.test.\t60\tIN\tA\t192.0.2.1", "192.0.2.1"),
            ("MX", "x.test.\t60\tIN\tMX\t10 mx.test.", "10 mx.test."),
            ("SRV", "x.test.\t\t60\tIN\tSRV\t1 2 80 y.test.", "1 2 80 y.test."),
            ("TXT", "x.test.\t60\tIN\tTXT\t\"hello\" \"world\"", "hello world"),
            ("CAA", "x.test.\t60\tIN\tCAA\t0 issue \"ca.test\"", "0 issue ca.test"),
            ("SSHFP", "x.test.\t60\tIN\tSSHFP\t1 1 000102030a0b", "1 1 000102030A0B"),
        ] {
            for head in [dig, drill, host] {
                let answer = ran(0, &format!("{head};; ANSWER SECTION:\n{record}\n"));
                assert_eq!(answers(Ok(&answer), kind), Ok(vec![expected.to_owned()]), "{head}");
            }
        }
        assert_eq!(answers(Ok(&ran(0, dig)), "A"), Ok(vec![]));
        let missing = "Trying \"none.test\"\nHost none.test not found: 3(NXDOMAIN)\nReceived 27 bytes\n";
        assert_eq!(answers(Ok(&ran(1, missing)), "A"), Ok(vec![]));
        let rcode = |status: &str| drill.replace("NOERROR", status);
        assert_eq!(answers(Ok(&ran(0, &rcode("NXDOMAIN"))), "A"), Ok(vec![]));
        for (status, text, why) in [
            (0, rcode("SERVFAIL"), "the server answered SERVFAIL"),
            (1, "Host fail.test not found: 2(SERVFAIL)\n".into(), "the server answered SERVFAIL"),
            (1, "Trying \"x\"\n;; no servers could be reached\n".into(), "the server gave no answer"),
            (9, String::new(), "exit code 9: "),
        ] {
            assert_eq!(answers(Ok(&ran(status, &text)), "A"), Err(why.to_owned()), "{text}");
        }
    }

    #[test]
    fn only_getent_with_an_answer_tells_that_there_is_no_name() {
        let exited = |status, stdout: &str| Ran::Exited { status, stdout: stdout.into(), stderr: vec![] };
        assert_eq!(ahosts(exited(2, "")), Ok(BTreeSet::new()));
        assert_eq!(ahosts(exited(0, "192.0.2.1 STREAM x\n")), Ok(BTreeSet::from(["192.0.2.1".to_owned()])));
        assert!(ahosts(exited(1, "")).is_err() && ahosts(Ran::TimedOut).is_err());
    }
}

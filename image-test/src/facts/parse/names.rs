//! Names of hosts and services: `hosts(5)`, `services(5)`, and which of their sources counts, `nsswitch.conf(5)`.

use super::entries;
use std::net::IpAddr;

/// Services that are known without a file, as Go knows them.
const KNOWN: [(&str, &str, u16); 15] = [
    ("udp", "domain", 53),
    ("tcp", "ftp", 21),
    ("tcp", "ftps", 990),
    ("tcp", "gopher", 70),
    ("tcp", "http", 80),
    ("tcp", "https", 443),
    ("tcp", "imap2", 143),
    ("tcp", "imap3", 220),
    ("tcp", "imaps", 993),
    ("tcp", "pop3", 110),
    ("tcp", "pop3s", 995),
    ("tcp", "smtp", 25),
    ("tcp", "ssh", 22),
    ("tcp", "submissions", 465),
    ("tcp", "telnet", 23),
];

/// All addresses that a `hosts` file gives a name, in its order and each once. Case and a dot at the end do not matter.
pub(crate) fn hosts(text: &[u8], name: &str) -> Vec<IpAddr> {
    let canonical = |name: &str| name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let wanted = canonical(name);
    let mut found = vec![];
    for line in entries(text, b"#") {
        let mut fields = without_comment(&line).split_ascii_whitespace();
        let address = fields.next().and_then(|address| address.parse().ok());
        if let Some(address) = address.filter(|address| !found.contains(address))
            && fields.any(|name| canonical(name) == wanted)
        {
            found.push(address);
        }
    }
    found
}

/// Whether the `hosts` file is asked before name servers, by an `nsswitch.conf`: unless it says otherwise.
pub(crate) fn hosts_come_first(nsswitch: &[u8]) -> bool {
    let sources = entries(nsswitch, b"#").find_map(|line| {
        let sources = without_comment(&line).strip_prefix("hosts:")?;
        Some(sources.split_ascii_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>())
    });
    let at = |wanted: &str| sources.iter().flatten().position(|source| source == wanted);
    match (at("files"), at("dns")) {
        (Some(files), Some(dns)) => files < dns,
        (files, _) => files.is_some() || sources.is_none(),
    }
}

/// The port of a service: its number, or its name in a `services` file, else a [known](KNOWN) one. Of several entries,
/// the last counts, as in Go.
pub(crate) fn port(text: &[u8], transport: &str, service: &str) -> Option<u16> {
    if service.bytes().all(|byte| byte.is_ascii_digit()) {
        return service.parse().ok();
    }
    let service = service.to_ascii_lowercase();
    let entry = |line: &str| {
        let mut fields = without_comment(line).split_ascii_whitespace();
        let name = fields.next()?;
        let (number, of) = fields.next()?.split_once('/')?;
        let is_it = of == transport && (name == service || fields.any(|alias| alias == service));
        number.parse().ok().filter(|number| is_it && *number > 0)
    };
    let known = || KNOWN.iter().find(|(of, name, _)| *of == transport && *name == service).map(|(.., number)| *number);
    entries(text, b"#").filter_map(|line| entry(&line)).last().or_else(known)
}

fn without_comment(line: &str) -> &str {
    line.split_once('#').map_or(line, |(entry, _)| entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_all_addresses_of_its_lines() {
        let text = b"127.0.0.1 localhost me # x.test\n::1\tlocalhost ip6-localhost\n#192.0.2.1 me\nno-address me\n\
            127.0.0.1 localhost\n192.0.2.2 Host.test.\n192.0.2.2\n\xff\n";
        for (name, expected) in [
            ("localhost", &["127.0.0.1", "::1"][..]),
            ("LOCALHOST.", &["127.0.0.1", "::1"]),
            ("me", &["127.0.0.1"]),
            ("host.test", &["192.0.2.2"]),
            ("x.test", &[]),
            ("127.0.0.1", &[]),
            ("", &[]),
        ] {
            assert_eq!(hosts(text, name).iter().map(ToString::to_string).collect::<Vec<_>>(), expected, "{name}");
        }
    }

    #[test]
    fn files_come_first_unless_they_are_told_not_to() {
        for (text, expected) in [
            ("", true),
            ("passwd: files\n", true),
            ("hosts: files dns\n", true),
            ("hosts:\tmymachines resolve [!UNAVAIL=return] files myhostname dns\n", true),
            ("hosts: dns files\n", false),
            ("hosts: dns # files\n", false),
            ("#hosts: dns\n", true),
        ] {
            assert_eq!(hosts_come_first(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn services_have_the_numbers_of_the_file_before_those_that_are_known() {
        let text =
            b"http 8080/tcp www # web\nhttp 80/udp\nodd 1\nzero 0/tcp\nlarge 70000/tcp\ntwice 1/tcp\ntwice 2/tcp\n";
        for (transport, service, expected) in [
            ("tcp", "22", Some(22)),
            ("tcp", "65536", None),
            ("tcp", "http", Some(8080)),
            ("tcp", "WWW", Some(8080)),
            ("udp", "http", Some(80)),
            ("tcp", "ssh", Some(22)),
            ("udp", "ssh", None),
            ("udp", "domain", Some(53)),
            ("tcp", "twice", Some(2)),
            ("tcp", "odd", None),
            ("tcp", "zero", None),
            ("tcp", "large", None),
            ("tcp", "web", None),
            ("tcp", "", None),
            ("tcp", "-1", None),
        ] {
            assert_eq!(port(text, transport, service), expected, "{transport} {service}");
        }
    }
}

//! A name server for the zone `test.`, by RFC 1035.

use std::net::UdpSocket;

/// Kinds of records.
const A: u16 = 1;
const NS: u16 = 2;
const CNAME: u16 = 5;
const PTR: u16 = 12;
const MX: u16 = 15;
const TXT: u16 = 16;
const AAAA: u16 = 28;
const SRV: u16 = 33;
const CAA: u16 = 257;

/// The zone. A name that is in it has no other records.
fn zone() -> Vec<(&'static str, u16, Vec<u8>)> {
    let prefixed = |numbers: &[u16], host: &str| {
        let numbers = numbers.iter().flat_map(|number| number.to_be_bytes());
        numbers.chain(name(host)).collect::<Vec<u8>>()
    };
    vec![
        ("a.test", A, vec![192, 0, 2, 2]),
        ("a.test", A, vec![192, 0, 2, 1]),
        ("both.test", A, vec![192, 0, 2, 3]),
        ("both.test", AAAA, [&[0x20, 0x01, 0x0d, 0xb8][..], &[0; 11], &[1]].concat()),
        ("six.test", AAAA, [&[0x20, 0x01, 0x0d, 0xb8][..], &[0; 11], &[2]].concat()),
        ("alias.test", CNAME, name("a.test")),
        ("mail.test", MX, prefixed(&[20], "mx2.test")),
        ("mail.test", MX, prefixed(&[10], "mx1.test")),
        ("zone.test", NS, name("ns1.test")),
        ("_ldap._tcp.test", SRV, prefixed(&[1, 2, 389], "ldap.test")),
        ("text.test", TXT, [&[5][..], b"v=one", &[3], b"two"].concat()),
        ("caa.test", CAA, [&[0, 5][..], b"issue", b"ca.test"].concat()),
        ("1.2.0.192.in-addr.arpa", PTR, name("a.test")),
    ]
}

fn name(host: &str) -> Vec<u8> {
    let labels = host.split('.').flat_map(|label| {
        let length = u8::try_from(label.len()).expect("labels of the zone are short");
        [&[length], label.as_bytes()].concat()
    });
    labels.chain([0]).collect()
}

pub(crate) fn serve(socket: &UdpSocket) {
    let mut packet = [0; 1500];
    while let Ok((length, client)) = socket.recv_from(&mut packet) {
        if let Some(answer) = answer(&packet[..length]) {
            // A client that is gone is answered again by nobody.
            let _ = socket.send_to(&answer, client);
        }
    }
}

/// None for names below `silent.test`, which are never answered.
fn answer(query: &[u8]) -> Option<Vec<u8>> {
    let (mut at, mut labels) = (12, vec![]);
    loop {
        let length = usize::from(*query.get(at)?);
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(query.get(at + 1..at + 1 + length)?).to_ascii_lowercase());
        at += 1 + length;
    }
    let (asked, kind) = (labels.join("."), u16::from_be_bytes([*query.get(at + 1)?, *query.get(at + 2)?]));
    if asked.ends_with("silent.test") {
        return None;
    }
    let zone = zone();
    let known = zone.iter().any(|(name, ..)| *name == asked);
    let refused = asked.ends_with("broken.test");
    let found: Vec<_> = zone.into_iter().filter(|(name, of, _)| *name == asked && *of == kind).collect();
    let code = if refused {
        2
    } else if known {
        0
    } else {
        3
    };
    let mut answer = query.get(..2)?.to_vec();
    // An authoritative answer, recursion as it was desired, one question.
    answer.extend([0x84 | (query[2] & 1), 0x80 | code, 0, 1, 0, u8::try_from(found.len()).ok()?, 0, 0, 0, 0]);
    answer.extend(query.get(12..at + 5)?);
    for (_, kind, data) in found {
        // The name of the question, class IN, a minute.
        answer.extend([0xc0, 12]);
        answer.extend(kind.to_be_bytes());
        answer.extend([0, 1, 0, 0, 0, 60]);
        answer.extend(u16::try_from(data.len()).ok()?.to_be_bytes());
        answer.extend(data);
    }
    Some(answer)
}

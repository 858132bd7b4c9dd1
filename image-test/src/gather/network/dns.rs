//! Names, by a given server.

use hickory_proto::{
    op::{Message, Query},
    rr::{Name, RData, RecordType},
};
use std::{
    io,
    net::{IpAddr, SocketAddr},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket, lookup_host},
};

const PORT: u16 = 53;

/// What a server says of a name, as goss prints it. An answer that there is no such name is an empty one.
pub(super) async fn by_server(server: &str, record: &str, host: &str) -> Result<Vec<String>, String> {
    let server = address(server).await.map_err(|error| format!("server {server}: {error}"))?;
    let failed = |error: io::Error| format!("{host}: {server}: {error}");
    let name = Name::from_str_relaxed(host).map(|mut name| {
        name.set_fqdn(true);
        name
    });
    let name = || name.clone().map_err(|error| format!("`{host}` is no name: {error}"));
    let record_type = match record {
        "A" => RecordType::A,
        "AAAA" => RecordType::AAAA,
        "CAA" => RecordType::CAA,
        "CNAME" => RecordType::CNAME,
        "MX" => RecordType::MX,
        "NS" => RecordType::NS,
        "SRV" => RecordType::SRV,
        "SSHFP" => RecordType::SSHFP,
        "TXT" => RecordType::TXT,
        "PTR" => {
            let address: IpAddr = host.parse().map_err(|_| format!("`{host}` is no IP address"))?;
            return ask(server, Name::from(address), RecordType::PTR).await.map_err(failed);
        }
        // As in goss, an error is no address here.
        _ => {
            let (v4, v6) = tokio::join!(ask(server, name()?, RecordType::A), ask(server, name()?, RecordType::AAAA));
            return Ok(v4.into_iter().chain(v6).flatten().collect());
        }
    };
    ask(server, name()?, record_type).await.map_err(failed)
}

/// The address of `host[:port]`.
async fn address(server: &str) -> io::Result<SocketAddr> {
    if let Ok(ip) = server.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, PORT));
    }
    let has_port = server.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let found = if has_port { lookup_host(server).await?.next() } else { lookup_host((server, PORT)).await?.next() };
    found.ok_or_else(|| io::ErrorKind::NotFound.into())
}

async fn ask(server: SocketAddr, name: Name, record_type: RecordType) -> io::Result<Vec<String>> {
    let mut query = Message::query();
    query.metadata.recursion_desired = true;
    query.add_query(Query::query(name, record_type));
    let request = query.to_vec().map_err(io::Error::other)?;
    let mut answer = by_udp(server, &query, &request).await?;
    if answer.metadata.truncation {
        answer = by_tcp(server, &query, &request).await?;
    }
    let data = answer.answers.iter().filter(|record| record.record_type() == record_type).map(|record| &record.data);
    Ok(data.flat_map(printed).collect())
}

async fn by_udp(server: SocketAddr, query: &Message, request: &[u8]) -> io::Result<Message> {
    let unspecified: IpAddr = if server.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let socket = UdpSocket::bind(SocketAddr::new(unspecified, 0)).await?;
    socket.connect(server).await?;
    socket.send(request).await?;
    let mut buffer = vec![0; usize::from(u16::MAX)];
    // What does not answer this query is somebody else's, or forged.
    loop {
        let length = socket.recv(&mut buffer).await?;
        let answer = buffer.get(..length).and_then(|bytes| Message::from_vec(bytes).ok());
        if let Some(answer) = answer.filter(|answer| answers(answer, query)) {
            return Ok(answer);
        }
    }
}

async fn by_tcp(server: SocketAddr, query: &Message, request: &[u8]) -> io::Result<Message> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(request.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), request].concat()).await?;
    let mut buffer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut buffer).await?;
    let answer = Message::from_vec(&buffer).map_err(io::Error::other)?;
    answers(&answer, query).then_some(answer).ok_or_else(|| io::Error::other("the server answers something else"))
}

fn answers(answer: &Message, query: &Message) -> bool {
    answer.metadata.id == query.metadata.id && answer.queries == query.queries
}

/// Records as goss prints them.
fn printed(data: &RData) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let hexadecimal = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>();
    match data {
        RData::A(address) => vec![address.to_string()],
        RData::AAAA(address) => vec![address.to_string()],
        RData::CAA(caa) => vec![format!("{} {} {}", caa.flags(), caa.tag, text(&caa.value))],
        RData::CNAME(name) => vec![name.to_ascii()],
        RData::NS(name) => vec![name.to_ascii()],
        RData::PTR(name) => vec![name.to_ascii()],
        RData::MX(mx) => vec![format!("{} {}", mx.preference, mx.exchange.to_ascii())],
        RData::SRV(srv) => vec![format!("{} {} {} {}", srv.priority, srv.weight, srv.port, srv.target.to_ascii())],
        RData::SSHFP(key) => {
            let (algorithm, kind) = (u8::from(key.algorithm), u8::from(key.fingerprint_type));
            vec![format!("{algorithm} {kind} {}", hexadecimal(&key.fingerprint))]
        }
        RData::TXT(txt) => txt.txt_data.iter().map(|part| text(part)).collect(),
        _ => vec![],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Fact,
        facts::{DnsWanted, Resolution},
        gather::network::resolve,
    };
    use hickory_proto::{
        op::{MessageType, OpCode},
        rr::{
            Record,
            rdata::{A, CNAME, MX, SRV, SSHFP, TXT},
        },
    };
    use std::time::Duration;
    use tokio::net::TcpListener;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    /// What the server of the tests knows.
    fn data(query: &Query) -> Vec<RData> {
        match (query.name().to_ascii().as_str(), query.query_type()) {
            ("host.test.", RecordType::A) => vec![RData::A(A::new(192, 0, 2, 2)), RData::A(A::new(192, 0, 2, 1))],
            ("host.test.", RecordType::AAAA) => vec![RData::AAAA("2001:db8::1".parse().unwrap())],
            ("alias.test.", RecordType::A) => {
                vec![RData::CNAME(CNAME(name("host.test."))), RData::A(A::new(192, 0, 2, 1))]
            }
            ("alias.test.", RecordType::CNAME) => vec![RData::CNAME(CNAME(name("host.test.")))],
            ("host.test.", RecordType::MX) => vec![RData::MX(MX::new(10, name("mail.test.")))],
            ("host.test.", RecordType::SRV) => vec![RData::SRV(SRV::new(1, 2, 443, name("host.test.")))],
            ("host.test.", RecordType::SSHFP) => vec![RData::SSHFP(SSHFP::new(4.into(), 2.into(), vec![0xab, 0x0c]))],
            ("host.test." | "large.test.", RecordType::TXT) => {
                vec![RData::TXT(TXT::new(vec!["b".into(), "a c".into()]))]
            }
            ("1.2.0.192.in-addr.arpa.", RecordType::PTR) => {
                vec![RData::PTR(hickory_proto::rr::rdata::PTR(name("host.test.")))]
            }
            _ => vec![],
        }
    }

    fn answer(request: &[u8], is_udp: bool) -> Vec<u8> {
        let request = Message::from_vec(request).unwrap();
        let mut answer = Message::new(request.metadata.id, MessageType::Response, OpCode::Query);
        let query = request.queries[0].clone();
        if is_udp && query.name().to_ascii() == "large.test." {
            answer.metadata.truncation = true;
        } else {
            for data in data(&query) {
                answer.add_answer(Record::from_rdata(query.name().clone(), 60, data));
            }
        }
        answer.add_query(query);
        answer.to_vec().unwrap()
    }

    /// A server that sends a forged answer first.
    async fn server() -> SocketAddr {
        // Both protocols on one port: another process may have the second.
        let (udp, tcp) = loop {
            let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        let address = tcp.local_addr().unwrap();
        tokio::spawn(async move {
            let mut buffer = [0; 1500];
            while let Ok((length, from)) = udp.recv_from(&mut buffer).await {
                let mut forged = answer(&buffer[..length], true);
                forged[0] ^= 0xff;
                udp.send_to(b"noise", from).await.unwrap();
                udp.send_to(&forged, from).await.unwrap();
                udp.send_to(&answer(&buffer[..length], true), from).await.unwrap();
            }
        });
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = tcp.accept().await {
                let mut request = vec![0; usize::from(stream.read_u16().await.unwrap())];
                stream.read_exact(&mut request).await.unwrap();
                let answer = answer(&request, false);
                stream.write_u16(answer.len().try_into().unwrap()).await.unwrap();
                stream.write_all(&answer).await.unwrap();
            }
        });
        address
    }

    #[tokio::test]
    async fn records_are_printed_as_goss_does() {
        let server = server().await;
        for (resolve_name, expected) in [
            ("host.test", &["192.0.2.1", "192.0.2.2", "2001:db8::1"][..]),
            ("A:host.test.", &["192.0.2.1", "192.0.2.2"]),
            ("AAAA:host.test", &["2001:db8::1"]),
            ("A:alias.test", &["192.0.2.1"]),
            ("CNAME:alias.test", &["host.test."]),
            ("MX:host.test", &["10 mail.test."]),
            ("SRV:host.test", &["1 2 443 host.test."]),
            ("SSHFP:host.test", &["4 2 AB0C"]),
            ("TXT:host.test", &["a c", "b"]),
            ("TXT:large.test", &["a c", "b"]),
            ("PTR:192.0.2.1", &["host.test."]),
            ("A:none.test", &[]),
            ("none.test", &[]),
        ] {
            let wanted = DnsWanted {
                resolve: resolve_name.into(),
                server: Some(server.to_string()),
                timeout: Duration::from_secs(60),
            };
            let addrs: Vec<String> = expected.iter().map(|addr| (*addr).into()).collect();
            let expected = Fact::Known(Resolution { resolvable: !addrs.is_empty(), addrs });
            assert_eq!(resolve(wanted).await, expected, "{resolve_name}");
        }
    }

    #[tokio::test]
    async fn a_silent_server_leaves_it_unknown() {
        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let server = Some(silent.local_addr().unwrap().to_string());
        let wanted = DnsWanted { resolve: "A:host.test".into(), server, timeout: Duration::from_millis(1) };
        assert_eq!(resolve(wanted).await, Fact::Unknown("host.test: no answer in 1 ms".into()));
    }

    #[tokio::test]
    async fn servers_have_a_port_or_the_standard_one() {
        for (server, expected) in [
            ("192.0.2.1", "192.0.2.1:53"),
            ("192.0.2.1:5353", "192.0.2.1:5353"),
            ("::1", "[::1]:53"),
            ("[::1]:5", "[::1]:5"),
        ] {
            assert_eq!(address(server).await.unwrap(), expected.parse().unwrap());
        }
        let why = by_server("127.0.0.1", "PTR", "host.test").await.unwrap_err();
        assert_eq!(why, "`host.test` is no IP address");
    }
}

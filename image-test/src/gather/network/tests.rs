use super::*;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

async fn connects(address: String, local_address: Option<&str>) -> Fact<bool> {
    connect(AddrWanted { address, timeout: LONG, local_address: local_address.map(Into::into) }).await
}

#[tokio::test]
async fn connections_are_tried() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let open = listener.local_addr().unwrap();
    let closed = {
        // Bound but not listening: nobody else gets the port.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        socket
    };
    let closed_at = closed.local_addr().unwrap();
    for (address, local, expected) in [
        (format!("tcp://{open}"), None, true),
        (open.to_string(), None, true),
        (open.to_string(), Some("127.0.0.1"), true),
        (format!("tcp4://{open}"), None, true),
        (format!("tcp6://{open}"), None, false),
        (open.to_string(), Some("192.0.2.1"), false),
        (closed_at.to_string(), None, false),
        (format!("udp://{closed_at}"), None, true),
        (format!("sctp://{open}"), None, false),
        (format!("localhost:{}", open.port()), None, true),
        (format!("tcp4://:{}", open.port()), None, true),
        (format!("::1:{}", open.port()), None, false),
        ("udp://127.0.0.1:domain".into(), None, true),
        ("127.0.0.1:no-such-service".into(), None, false),
        ("127.0.0.1:".into(), None, false),
        ("127.0.0.1".into(), None, false),
        ("tcp://".into(), None, false),
    ] {
        assert_eq!(connects(address.clone(), local).await, Fact::Known(expected), "{address} from {local:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_takes_too_long_is_cut() {
    assert_eq!(until(sleep(LONG), std::future::pending::<()>()).await, None);
    assert_eq!(until(sleep(LONG), async { 1 }).await, Some(1));
}

fn of_system(resolve: &str) -> DnsWanted {
    DnsWanted { resolve: resolve.into(), server: None, timeout: LONG }
}

#[tokio::test]
async fn the_system_resolves_without_a_server() {
    for name in ["localhost", "A:localhost", "TXT:localhost"] {
        let Fact::Known(found) = resolve(of_system(name)).await else { panic!("{name}") };
        assert!(found.resolvable && found.addrs.contains(&"127.0.0.1".to_owned()), "{name}: {found:?}");
    }
    let Fact::Known(found) = resolve(of_system("192.0.2.7")).await else { panic!("an address") };
    assert_eq!(found.addrs, ["192.0.2.7"]);
    let unresolvable = Resolution { resolvable: false, addrs: vec![] };
    for name in ["", "no name"] {
        assert_eq!(resolve(of_system(name)).await, Fact::Known(unresolvable.clone()), "{name}");
    }
}

#[cfg(not(feature = "network"))]
#[tokio::test]
async fn what_needs_the_feature_says_so() {
    let wanted = DnsWanted { server: Some("127.0.0.1".into()), ..of_system("localhost") };
    let expected = Fact::Unknown("a server to ask needs the feature `network`".into());
    assert_eq!(resolve(wanted).await, expected);
    let expected = Fact::Unknown("requests need the feature `network`".into());
    assert_eq!(request(crate::HttpRequest::new("http://127.0.0.1"), 1).await, expected);
}

//! Addresses, names, URLs, interfaces and ports.

use crate::{HttpRequest, Target, suite::Retry};
use std::{convert::identity, time::Duration};

checks! {
    /// Adds a network address: `[tcp://|udp://]host:port`.
    addr -> AddrChecks, |address| Target::Addr { address, timeout: None, local_address: None };
    target "address";
    settings {
        Addr.timeout: Duration as Some, "How long to try; 500 ms unless set.";
        Addr.local_address: String as Some, "Connects from this local address.";
    }
    attributes { reachable: Reachable, }
}

checks! {
    /// Adds a name to resolve: `[TYPE:]host`.
    dns -> DnsChecks, |resolve| Target::Dns { resolve, server: None, timeout: None, retry: Retry::default() };
    target "name";
    settings {
        Dns.server: String as Some, "Asks this server, `host[:port]`; the system's resolver unless set.";
        Dns.timeout: Duration as Some, "How long one try may take; 500 ms unless set.";
        Dns.retry: Retry as identity, "Tries again until all expectations hold.";
    }
    attributes { resolvable: Resolvable, addrs: Addrs, }
}

checks! {
    /// Adds a URL to request.
    http -> HttpChecks, |url: String| Target::Http(Box::new(HttpRequest::new(url)));
    target "URL";
    settings {}
    attributes { status: Status, headers: Headers, body: Body, }
}

/// Settings of the request.
macro_rules! request {
    ($($setting:ident: $type:ty as $wrap:path, $doc:literal;)+) => {
        impl HttpChecks {
            $(
                #[doc = $doc]
                pub fn $setting(self, value: impl Into<$type>) -> Self {
                    self.request(|request| request.$setting = $wrap(value.into()))
                }
            )+
        }
    };
}

request! {
    method: String as Some, "The method; `GET` unless set.";
    allow_insecure: bool as identity, "Whether any certificate is accepted.";
    no_follow_redirects: bool as identity, "Whether a redirection is taken as the answer.";
    timeout: Duration as Some, "How long to wait; 5 s unless set.";
    username: String as Some, "For basic authentication.";
    password: String as Some, "For basic authentication.";
    ca_file: String as Some, "Certificate authorities in PEM, by path on the machine.";
    cert_file: String as Some, "Client certificate in PEM, by path on the machine.";
    key_file: String as Some, "Key of the client certificate in PEM, by path on the machine.";
    proxy: String as Some, "The proxy; that of the environment unless set.";
}

impl HttpChecks {
    /// Sends a header.
    pub fn header(self, name: &str, value: &str) -> Self {
        self.request(|request| request.headers.push(format!("{name}: {value}")))
    }

    /// Sends a body.
    pub fn request_body(self, body: impl Into<String>) -> Self {
        self.request(|request| request.body = Some(body.into()))
    }

    fn request(mut self, change: impl FnOnce(&mut HttpRequest)) -> Self {
        if let Target::Http(request) = &mut self.0.target {
            change(request);
        }
        self
    }
}

checks! {
    /// Adds a network interface.
    interface -> InterfaceChecks, Target::Interface;
    target "interface";
    settings {}
    attributes { exists: Exists, addrs: Addrs, mtu: Mtu, }
}

checks! {
    /// Adds a local port: `[tcp:|tcp6:|udp:|udp6:]number`.
    port -> PortChecks, Target::Port;
    target "port";
    settings {}
    attributes { listening: Listening, ip: Ip, }
}

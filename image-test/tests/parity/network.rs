//! What listens in a sandbox: sockets, a web server and a name server, on addresses of its own loopback.

use super::{dns, http, tls};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::{
    fs::File,
    io,
    net::{TcpListener, UdpSocket},
    os::fd::AsFd,
    sync::mpsc,
};

/// TCP sockets that only listen. `[::]` takes IPv4 connections too, on its own port.
const TCP: [&str; 5] = ["127.0.0.1:2201", "0.0.0.0:2202", "[::1]:2203", "[::]:2204", "198.51.100.1:2201"];
/// UDP sockets that only listen.
const UDP: [&str; 3] = ["127.0.0.1:2301", "[::1]:2302", "0.0.0.0:2303"];

/// The servers of a sandbox. They end with this process, and reach nothing but the sandbox.
pub(crate) struct Network;

impl Network {
    /// Serves in the network namespace of a process. Its sockets keep the namespace.
    pub(crate) fn serve(pid: u32) -> io::Result<()> {
        let (ready, is_ready) = mpsc::channel();
        std::thread::spawn(move || {
            let bound = enter_and_bind(pid);
            let (result, sockets) = match bound {
                Ok(sockets) => (Ok(()), Some(sockets)),
                Err(e) => (Err(e), None),
            };
            let _ = ready.send(result);
            if let Some(sockets) = sockets {
                sockets.serve();
            }
        });
        is_ready.recv().map_err(io::Error::other)?
    }
}

struct Sockets {
    _tcp: Vec<TcpListener>,
    _udp: Vec<UdpSocket>,
    http: TcpListener,
    /// With a certificate, and with one of the client's too. On all of `127.0.0.0/8`, for which it is of another name.
    https: [TcpListener; 2],
    dns: UdpSocket,
}

/// Only this thread changes its namespace, and it never leaves it.
fn enter_and_bind(pid: u32) -> io::Result<Sockets> {
    let namespace = File::open(format!("/proc/{pid}/ns/net"))?;
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
    Ok(Sockets {
        _tcp: TCP.iter().map(TcpListener::bind).collect::<io::Result<_>>()?,
        _udp: UDP.iter().map(UdpSocket::bind).collect::<io::Result<_>>()?,
        http: TcpListener::bind("127.0.0.1:80")?,
        https: [TcpListener::bind("0.0.0.0:443")?, TcpListener::bind("0.0.0.0:444")?],
        dns: UdpSocket::bind("127.0.0.1:53")?,
    })
}

impl Sockets {
    fn serve(self) {
        let Self { _tcp, _udp, http, https: [https, mutual], dns } = self;
        std::thread::spawn(move || dns::serve(&dns));
        std::thread::spawn(move || tls::serve(&https, false));
        std::thread::spawn(move || tls::serve(&mutual, true));
        http::serve(&http);
    }
}

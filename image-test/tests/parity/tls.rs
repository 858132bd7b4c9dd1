//! The web server behind TLS, with the certificates of `corpus/tls`.

use super::http;
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use std::{
    io::Write,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Serves, to clients with a certificate only where asked to.
pub(crate) fn serve(listener: &TcpListener, is_mutual: bool) {
    let config = Arc::new(config(is_mutual));
    for connection in listener.incoming().flatten() {
        let config = Arc::clone(&config);
        std::thread::spawn(move || answer(config, connection));
    }
}

fn config(is_mutual: bool) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = builder.unwrap();
    let builder = if is_mutual {
        let mut roots = RootCertStore::empty();
        roots.add(certificate("ca.pem")).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let key = PrivateKeyDer::from_pem_file(file("server.key")).unwrap();
    builder.with_single_cert(vec![certificate("server.pem")], key).unwrap()
}

/// A client that trusts us not is its own affair.
fn answer(config: Arc<ServerConfig>, connection: TcpStream) -> std::io::Result<()> {
    let tls = ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut stream = StreamOwned::new(tls, connection);
    http::answer(&mut stream)?;
    stream.conn.send_close_notify();
    stream.flush()
}

fn certificate(name: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(file(name)).unwrap()
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/corpus/tls").join(name)
}

//! HTTP/2 over TLS, from the client's side, and a self-signed certificate.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::wait::DEADLINE;

/// A certificate for `localhost` and its key, made by openssl.
pub(crate) fn certificate(dir: &Path) -> (PathBuf, PathBuf) {
    let (cert, key) = (dir.join("tls.crt"), dir.join("tls.key"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .output()
        .expect("openssl is there (scripts/setup test)");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    (cert, key)
}

/// Whether who listens there shows a certificate that this one vouches for.
pub(crate) fn is_certified(to: SocketAddr, cert: &Path) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(cert).unwrap()).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let run = async {
        let tcp = tokio::net::TcpStream::connect(to).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, tcp).await.is_ok()
    };
    runtime.block_on(async { tokio::time::timeout(DEADLINE, run).await.expect("a handshake in time") })
}

/// Several requests at once on one connection: status and body of each, and the protocol agreed on.
pub(crate) fn calls(
    to: SocketAddr,
    cert: &Path,
    requests: Vec<(http::Request<()>, Bytes)>,
) -> (String, Vec<(u16, Bytes)>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let run = async {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(cert).unwrap()).unwrap();
        let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let tcp = tokio::net::TcpStream::connect(to).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
        let protocol = String::from_utf8(tls.get_ref().1.alpn_protocol().unwrap_or_default().to_vec()).unwrap();
        let (send, connection) = h2::client::handshake(tls).await.unwrap();
        let all = async {
            let mut open = Vec::new();
            for (request, body) in requests {
                let mut send = send.clone().ready().await.unwrap();
                let (answer, mut up) = send.send_request(request, body.is_empty()).unwrap();
                if !body.is_empty() {
                    up.send_data(body, false).unwrap();
                    // Some clients end each body so.
                    up.send_data(Bytes::new(), true).unwrap();
                }
                open.push(answer);
            }
            let mut done = Vec::new();
            for answer in open {
                let answer = answer.await.unwrap();
                let status = answer.status().as_u16();
                done.push((status, whole(answer.into_body()).await));
            }
            done
        };
        tokio::select! {
            done = all => (protocol, done),
            ended = connection => panic!("the connection ended: {ended:?}"),
        }
    };
    runtime.block_on(async { tokio::time::timeout(DEADLINE, run).await.expect("an answer in time") })
}

async fn whole(mut body: h2::RecvStream) -> Bytes {
    let mut out = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece.unwrap();
        body.flow_control().release_capacity(piece.len()).unwrap();
        out.extend_from_slice(&piece);
    }
    out.into()
}

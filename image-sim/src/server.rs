//! HTTP on loopback.

use std::net::Ipv4Addr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Response, server::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::admin;
use crate::call::{Reply, Request};
use crate::cloud::{Answer, Cloud};

/// The most that a request may carry: well over a part of a multipart upload.
const LARGEST_BODY: usize = 256 << 20;

/// The connection closes without a reply.
#[derive(Debug, thiserror::Error)]
#[error("no reply")]
struct NoReply;

/// Listens on loopback; port 0 takes a free one.
pub(crate) async fn listen(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await
}

/// Serves until the task is aborted, which also ends its connections.
pub(crate) fn serve(listener: TcpListener, cloud: Arc<Cloud>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    // Out of descriptors, or a client that left at once: the next one may do better.
                    let Ok((stream, _)) = accepted else {
                        tokio::task::yield_now().await;
                        continue;
                    };
                    connections.spawn(connection(stream, Arc::clone(&cloud)));
                }
                Some(_) = connections.join_next() => {}
            }
        }
    })
}

async fn connection(stream: TcpStream, cloud: Arc<Cloud>) {
    let service = service_fn(|request| {
        let cloud = Arc::clone(&cloud);
        async move { respond(&cloud, request).await }
    });
    // An error here is a client that left, or a reply that a fault swallowed.
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}

async fn respond(cloud: &Arc<Cloud>, request: hyper::Request<Incoming>) -> Result<Response<Full<Bytes>>, NoReply> {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, LARGEST_BODY).collect().await else {
        let too_large = Reply::json(&serde_json::json!({ "message": "the body is too large, or was cut off" }));
        return Ok(response(too_large.status(413)));
    };
    answer(cloud, hyper::Request::from_parts(parts, body.to_bytes())).await.ok_or(NoReply)
}

/// Answers a request that was read to its end. `None`: the connection closes without a reply.
pub(crate) async fn answer(cloud: &Arc<Cloud>, request: hyper::Request<Bytes>) -> Option<Response<Full<Bytes>>> {
    let (parts, body) = request.into_parts();
    let request = Request {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: crate::query::decode(parts.uri.query().unwrap_or_default()).collect(),
        headers: parts.headers,
        body,
    };
    if request.path.starts_with(admin::PREFIX) {
        return Some(response(admin::answer(cloud, &request)));
    }
    match cloud.answer(request).await {
        Answer::Reply(reply) => Some(response(reply)),
        Answer::None => None,
    }
}

fn response(reply: Reply) -> Response<Full<Bytes>> {
    let mut builder = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        builder = builder.header(name, value);
    }
    // A fault may script a status that HTTP does not have.
    builder.body(Full::new(reply.body)).unwrap_or_else(|_| {
        let mut response = Response::new(Full::default());
        *response.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

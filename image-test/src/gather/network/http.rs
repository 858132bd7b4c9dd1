//! Requests.

use crate::{
    HttpRequest,
    facts::{Fact, Response},
    gather::Root,
};
use reqwest::{
    Certificate, Client, ClientBuilder, Identity, Method, Proxy,
    header::{HeaderMap, HeaderName, HeaderValue, TRAILER, TRANSFER_ENCODING},
    redirect::Policy,
};
use std::{error::Error, time::Duration};

const TIMEOUT: Duration = Duration::from_secs(5);

/// As many redirections as Go's client follows.
const MOST_REDIRECTIONS: usize = 10;

const USER_AGENT: &str = concat!("image-test/", env!("CARGO_PKG_VERSION"));

/// Makes a request.
pub(in crate::gather) async fn request(request: HttpRequest, limit: u64) -> Fact<Response> {
    send(&request, limit).await.map_or_else(Fact::Unknown, Fact::Known)
}

async fn send(wanted: &HttpRequest, limit: u64) -> Result<Response, String> {
    let method = wanted.method.as_deref().unwrap_or("GET");
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| format!("`{method}` is no method"))?;
    let mut request = client(wanted)?.request(method, &wanted.url).headers(headers(&wanted.headers)?);
    if wanted.username.is_some() || wanted.password.is_some() {
        request = request.basic_auth(wanted.username.as_deref().unwrap_or_default(), wanted.password.as_deref());
    }
    if let Some(body) = &wanted.body {
        request = request.body(body.clone());
    }
    let mut response = request.send().await.map_err(described)?;
    let (status, headers) = (response.status().as_u16(), printed(response.headers()));
    let mut body = vec![];
    while let Some(chunk) = response.chunk().await.map_err(described)? {
        body.extend_from_slice(&chunk);
        if u64::try_from(body.len()).is_ok_and(|length| length > limit) {
            return Err(format!("the body is larger than the limit of {limit} bytes"));
        }
    }
    Ok(Response { status, headers: headers.as_str().into(), body: body.into() })
}

/// A system without certificate authorities trusts nobody; it can still ask without TLS.
fn client(wanted: &HttpRequest) -> Result<Client, String> {
    match builder(wanted)?.build() {
        Err(_) if wanted.ca_file.is_none() => builder(wanted)?.tls_certs_only([]).build().map_err(described),
        built => built.map_err(described),
    }
}

fn builder(wanted: &HttpRequest) -> Result<ClientBuilder, String> {
    let redirections = if wanted.no_follow_redirects { Policy::none() } else { Policy::limited(MOST_REDIRECTIONS) };
    let mut client = Client::builder()
        .user_agent(USER_AGENT)
        .timeout(wanted.timeout.unwrap_or(TIMEOUT))
        .redirect(redirections)
        .tls_danger_accept_invalid_certs(wanted.allow_insecure);
    if let Some(path) = &wanted.ca_file {
        let authorities = Certificate::from_pem_bundle(&pem(path)?).map_err(described)?;
        if authorities.is_empty() {
            return Err(format!("{path}: has no certificate"));
        }
        client = client.tls_certs_only(authorities);
    }
    if let (Some(certificate), Some(key)) = (&wanted.cert_file, &wanted.key_file) {
        let both = [pem(certificate)?, b"\n".to_vec(), pem(key)?].concat();
        client = client.identity(Identity::from_pem(&both).map_err(described)?);
    }
    if let Some(proxy) = &wanted.proxy {
        client = client.proxy(Proxy::all(proxy).map_err(described)?);
    }
    Ok(client)
}

fn pem(path: &str) -> Result<Vec<u8>, String> {
    Root::Own.read(path).map_err(|error| format!("{path}: {error}"))
}

fn headers(lines: &[String]) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for line in lines {
        let parsed = line.split_once(": ").and_then(|(name, value)| {
            Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(value).ok()?))
        });
        // The value may be a secret.
        let name = line.split(':').next().unwrap_or_default();
        let (name, value) = parsed.ok_or_else(|| format!("request header `{name}` must be written `Name: value`"))?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// `Name: value` lines, sorted, with names in the case that Go gives them, and without those that it takes away.
fn printed(headers: &HeaderMap) -> String {
    let shown = headers.iter().filter(|(name, _)| **name != TRANSFER_ENCODING && **name != TRAILER);
    let mut lines: Vec<_> = shown
        .map(|(name, value)| format!("{}: {}", canonical(name.as_str()), String::from_utf8_lossy(value.as_bytes())))
        .collect();
    lines.sort();
    lines.join("\n")
}

fn canonical(name: &str) -> String {
    let mut is_start = true;
    let cased = name.chars().map(|c| {
        let cased = if is_start { c.to_ascii_uppercase() } else { c };
        is_start = c == '-';
        cased
    });
    cased.collect()
}

/// The error with its causes, without the address, which may hold a password.
fn described(error: reqwest::Error) -> String {
    let error = error.without_url();
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{BufRead, BufReader, Write},
        net::TcpListener,
    };

    /// Answers requests one after the other, and gives back what it was asked.
    fn server(answers: &'static [&'static str]) -> (String, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serve = move || {
            let asked = answers.iter().map(|answer| {
                let mut stream = listener.accept().unwrap().0;
                let lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
                let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
                stream.write_all(answer.as_bytes()).unwrap();
                head.join("\n")
            });
            asked.collect()
        };
        (url, std::thread::spawn(serve))
    }

    const MOVED: &str = "HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    const OK: &str = "HTTP/1.1 200 OK\r\nx-b-header: 2\r\nContent-Length: 5\r\nset-cookie: b\r\nset-cookie: a\r\n\
        Connection: close\r\n\r\nhello";

    #[tokio::test]
    async fn headers_and_body_are_kept() {
        let (url, served) = server(&[OK]);
        let mut wanted = HttpRequest::new(url);
        wanted.headers = vec!["X-Ask: me".into(), "Host: other.test".into()];
        (wanted.username, wanted.password) = (Some("ada".into()), Some("pw".into()));
        let expected = Response {
            status: 200,
            headers: "Connection: close\nContent-Length: 5\nSet-Cookie: a\nSet-Cookie: b\nX-B-Header: 2".into(),
            body: "hello".into(),
        };
        assert_eq!(request(wanted, 5).await, Fact::Known(expected));
        let asked = served.join().unwrap().remove(0).to_lowercase();
        for line in [
            "get / http/1.1",
            "x-ask: me",
            "host: other.test",
            "authorization: basic ywrhonb3",
            "user-agent: image-test/",
        ] {
            assert!(asked.contains(line), "{line} in {asked}");
        }
    }

    #[tokio::test]
    async fn redirections_are_followed_unless_not() {
        let (url, served) = server(&[MOVED, OK]);
        assert!(matches!(request(HttpRequest::new(url), 99).await, Fact::Known(Response { status: 200, .. })));
        assert!(served.join().unwrap()[1].starts_with("GET /there "));
        let (url, served) = server(&[MOVED]);
        let mut wanted = HttpRequest::new(url);
        wanted.no_follow_redirects = true;
        assert!(matches!(request(wanted, 99).await, Fact::Known(Response { status: 302, .. })));
        served.join().unwrap();
    }

    #[tokio::test]
    async fn what_fails_is_unknown_and_says_why() {
        let (url, served) = server(&[OK]);
        let unknown = Fact::Unknown("the body is larger than the limit of 4 bytes".into());
        assert_eq!(request(HttpRequest::new(url), 4).await, unknown);
        served.join().unwrap();

        let changed = |change: fn(&mut HttpRequest)| {
            let mut request = HttpRequest::new("http://ada:pw@127.0.0.1:1/");
            change(&mut request);
            request
        };
        for (wanted, expected) in [
            (changed(|r| r.headers = vec!["Secret:x".into()]), "request header `Secret` must be written `Name: value`"),
            (changed(|r| r.method = Some("A B".into())), "`A B` is no method"),
            (changed(|r| r.ca_file = Some("/none".into())), "/none: "),
            (changed(|r| r.ca_file = Some("/etc/passwd".into())), "/etc/passwd: has no certificate"),
            (changed(|_| {}), "error sending request"),
        ] {
            let Fact::Unknown(why) = request(wanted, 9).await else { panic!("{expected}") };
            assert!(why.contains(expected) && !why.contains("pw"), "{why}");
        }
    }
}

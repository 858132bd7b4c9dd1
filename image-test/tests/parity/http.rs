//! A web server that answers by the path of what it is asked.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpListener,
};

pub(crate) fn serve(listener: &TcpListener) {
    for connection in listener.incoming().flatten() {
        // A client that goes away early is its own affair.
        std::thread::spawn(move || answer(connection));
    }
}

struct Request {
    method: String,
    target: String,
    headers: BTreeMap<String, String>,
    body: String,
}

fn read(connection: &mut impl Read) -> io::Result<Request> {
    let mut reader = BufReader::new(connection);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Request { method, target, headers, body: String::from_utf8_lossy(&body).into_owned() })
}

/// Reads a request and answers it.
pub(crate) fn answer(mut connection: impl Read + Write) -> io::Result<()> {
    let request = read(&mut connection)?;
    let header = |name: &str| request.headers.get(name).map_or("-", String::as_str);
    // A proxy is asked for a whole URL.
    let (proxied, path) = match request.target.strip_prefix("http://") {
        Some(rest) => ("yes", rest.find('/').map_or("/", |at| &rest[at..])),
        None => ("no", request.target.as_str()),
    };
    let (mut status, mut headers, mut body) = (200, vec!["Content-Type: text/plain".to_owned()], String::new());
    match path {
        "/" => body = "hello\nworld\n".into(),
        "/json" => body = r#"{"ok": true, "version": "1.2.3", "list": [1, 2]}"#.into(),
        "/echo" => {
            let Request { method, body: sent, .. } = &request;
            let (host, agent, custom) = (header("host"), header("user-agent"), header("x-custom"));
            body = format!("{method}\nhost={host}\nagent={agent}\nx-custom={custom}\nproxied={proxied}\n{sent}\n");
        }
        "/headers" => {
            headers.extend(["X-Second: 2", "X-First: 1", "x-lower: low", "X-Many: b", "X-Many: a"].map(Into::into));
        }
        "/redirect" => {
            status = 302;
            headers.push("Location: /".into());
        }
        "/loop" => {
            status = 302;
            headers.push("Location: /loop".into());
        }
        // `user:secret`
        "/auth" if header("authorization") == "Basic dXNlcjpzZWNyZXQ=" => body = "welcome\n".into(),
        "/auth" => {
            status = 401;
            headers.push("WWW-Authenticate: Basic realm=\"fixture\"".into());
        }
        "/hangs" => {
            // Until the client gives up.
            let _ = connection.read(&mut [0]);
            return Ok(());
        }
        "/drops" => return Ok(()),
        "/empty" => status = 204,
        "/broken" => {
            status = 500;
            body = "it broke\n".into();
        }
        _ => {
            status = 404;
            body = "nothing here\n".into();
        }
    }
    if status != 204 {
        headers.push(format!("Content-Length: {}", body.len()));
    }
    let body = if request.method == "HEAD" { "" } else { &body };
    write!(connection, "HTTP/1.1 {status} Status\r\nConnection: close\r\n{}\r\n\r\n{body}", headers.join("\r\n"))
}

//! Requests, as a configuration of curl or GNU wget, and what it answers.

use super::{
    record::{Kind, Records},
    run::Ran,
};
use crate::{
    Fact, HttpRequest, Wanted,
    facts::{Response, Text},
};
use image_core::Secret;
use std::{collections::BTreeMap, time::Duration};

/// When a request is given up; curl does so by itself before the watchdog.
pub(super) fn timeout(request: &HttpRequest) -> Duration {
    limit(request).saturating_add(Duration::from_secs(2))
}

fn limit(request: &HttpRequest) -> Duration {
    request.timeout.unwrap_or(Duration::from_secs(5))
}

/// What wget is always told.
const WGET: [&str; 8] = [
    "--quiet",
    "--save-headers",
    "--content-on-error",
    "--tries=1",
    "--max-redirect=10",
    "--no-netrc",
    "--no-hsts",
    "--output-document=-",
];

/// A line of the configuration. Options in it are no arguments, so that none shows in a list of processes.
fn line(option: &str, value: &str) -> String {
    let mut quoted = String::new();
    for c in value.chars() {
        match c {
            '\\' | '"' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c => quoted.push(c),
        }
    }
    format!("{option} = \"{quoted}\"\n")
}

/// All but the credentials; none where curl cannot be asked for it.
pub(super) fn configuration(request: &HttpRequest, max_output: usize) -> Option<String> {
    let mut text = String::from("silent\nshow-error\ngloboff\n");
    let mut option = |name: &str, value: &str| text.push_str(&line(name, value));
    option("url", &request.url);
    option("proto", "=http,https");
    option("max-time", &super::script::seconds(limit(request)));
    option("max-filesize", &max_output.to_string());
    option("user-agent", concat!("image-test/", env!("CARGO_PKG_VERSION")));
    match request.method.as_deref() {
        Some("HEAD") => text.push_str("head\n"),
        Some(method) => {
            text.push_str("include\n");
            text.push_str(&line("request", method));
        }
        None => text.push_str("include\nrequest = \"GET\"\n"),
    }
    let mut option = |name: &str, value: &str| text.push_str(&line(name, value));
    for header in &request.headers {
        option("header", header);
    }
    let options = [
        ("data-raw", &request.body),
        ("cacert", &request.ca_file),
        ("cert", &request.cert_file),
        ("key", &request.key_file),
        ("proxy", &request.proxy),
    ];
    for (name, value) in options {
        if let Some(value) = value {
            option(name, value);
        }
    }
    option("write-out", "\n%{http_code} %{size_header}");
    if request.allow_insecure {
        text.push_str("insecure\n");
    }
    if !request.no_follow_redirects {
        text.push_str("location\nmax-redirs = 10\n");
    }
    Some(text)
}

/// Arguments of GNU wget, or why it cannot make the request. They show in the list of processes, and it reads no
/// configuration from a pipe, so that none may be secret.
pub(super) fn wget(request: &HttpRequest) -> Result<Vec<String>, &'static str> {
    let has_userinfo = |url: &str| {
        let authority = url.split_once("://").map_or(url, |(_, rest)| rest).split(['/', '?', '#']).next();
        authority.is_some_and(|authority| authority.contains('@'))
    };
    let is_secret = credentials(request).is_some()
        || has_userinfo(&request.url)
        || request.proxy.as_deref().is_some_and(has_userinfo)
        || request.headers.iter().any(|header| HttpRequest::is_credential(header));
    match request {
        _ if is_secret => return Err("would show the credentials"),
        HttpRequest { no_follow_redirects: true, .. } => return Err("shows no redirection"),
        HttpRequest { body: Some(_), .. } => return Err("sends no body"),
        HttpRequest { method: Some(method), .. } if method != "GET" => return Err("sends nothing but GET"),
        _ => {}
    }
    let mut arguments = Vec::from(WGET.map(String::from));
    let mut option = |name: &str, value: &str| arguments.push(format!("{name}={value}"));
    option("--timeout", &super::script::seconds(limit(request)));
    option("--user-agent", concat!("image-test/", env!("CARGO_PKG_VERSION")));
    request.headers.iter().for_each(|header| option("--header", header));
    let files = [
        ("--ca-certificate", &request.ca_file),
        ("--certificate", &request.cert_file),
        ("--private-key", &request.key_file),
    ];
    files
        .into_iter()
        .filter_map(|(name, file)| Some((name, file.as_ref()?)))
        .for_each(|(name, file)| option(name, file));
    for proxy in request.proxy.iter() {
        ["http_proxy", "https_proxy"].iter().for_each(|name| option("--execute", &format!("{name}={proxy}")));
    }
    if request.allow_insecure {
        arguments.push("--no-check-certificate".into());
    }
    arguments.extend(["--".into(), request.url.clone()]);
    Ok(arguments)
}

/// The line with the credentials.
pub(super) fn credentials(request: &HttpRequest) -> Option<Secret> {
    let (user, password) = (request.username.as_deref(), request.password.as_deref());
    if user.is_none() && password.is_none() {
        return None;
    }
    let value = format!("{}:{}", user.unwrap_or_default(), password.unwrap_or_default());
    Some(Secret::new(line("user", &value)))
}

pub(super) fn responses(records: &Records<'_>, wanted: &Wanted, max_output: usize) -> BTreeMap<String, Fact<Response>> {
    let fact = |(index, key): (usize, &String)| {
        let answer = records.get(Kind::Http, index).and_then(|payload| match payload.strip_prefix(b"wget\n") {
            Some(payload) => wget_response(Ran::parse(Ok(payload), max_output)?),
            None => Ran::parse(Ok(payload), max_output)?.succeeded().and_then(|stdout| response(&stdout)),
        });
        let fact = match answer {
            Ok(response) => Fact::Known(response),
            Err(why) => Fact::Unknown(why),
        };
        (key.clone(), fact)
    };
    wanted.http.keys().enumerate().map(fact).collect()
}

/// The last response as it came. Exit code 8 says that its status is no success.
fn wget_response(ran: Ran) -> Result<Response, String> {
    let stdout = match ran {
        Ran::Exited { status: 8, stdout, .. } if !stdout.is_empty() => stdout,
        ran => ran.succeeded()?,
    };
    let malformed = || "wget's answer has another form than expected".to_owned();
    let end = stdout.windows(4).position(|bytes| bytes == b"\r\n\r\n").ok_or_else(malformed)?;
    let (head, body) = stdout.split_at(end);
    let head = String::from_utf8_lossy(head).replace("\r\n", "\n");
    let status = head.strip_prefix("HTTP/").and_then(|line| line.split_ascii_whitespace().nth(1)?.parse().ok());
    let body = body.get(4..).unwrap_or_default().to_vec();
    Ok(Response { status: status.ok_or_else(malformed)?, headers: headers(&head), body: Text::from(body) })
}

/// The headers of a response without its first line, sorted.
fn headers(block: &str) -> Text {
    let mut lines: Vec<String> = block.lines().skip(1).filter_map(header).filter(|line| !is_framing(line)).collect();
    lines.sort();
    Text::from(lines.join("\n").as_str())
}

/// Headers of every response on the way, the body of the last one, a line feed, its status and the bytes of all headers.
fn response(stdout: &[u8]) -> Result<Response, String> {
    let malformed = || "curl's answer has another form than expected".to_owned();
    let last = stdout.iter().rposition(|byte| *byte == b'\n').ok_or_else(malformed)?;
    let (content, numbers) = stdout.split_at(last);
    let numbers = numbers.get(1..).and_then(|line| std::str::from_utf8(line).ok()).ok_or_else(malformed)?;
    let (status, length) = numbers.split_once(' ').ok_or_else(malformed)?;
    let length = length.parse().ok().filter(|length| *length > 0).ok_or_else(malformed)?;
    let (head, body) = content.split_at_checked(length).ok_or_else(malformed)?;
    let blocks = String::from_utf8_lossy(head).replace("\r\n", "\n");
    let block = blocks.trim_end().rsplit("\n\n").next().unwrap_or_default();
    let status = status.parse().ok().filter(|status| *status > 0).ok_or_else(malformed)?;
    Ok(Response { status, headers: headers(block), body: Text::from(body.to_vec()) })
}

/// A header with its name in the usual spelling, which HTTP/2 does not keep: `Content-Type: text/html`.
fn header(line: &str) -> Option<String> {
    let (name, value) = line.split_once(':')?;
    let parts = name.split('-').map(|part| {
        let (first, rest) = part.split_at_checked(1).unwrap_or((part, ""));
        first.to_ascii_uppercase() + &rest.to_ascii_lowercase()
    });
    Some(format!("{}: {}", parts.collect::<Vec<_>>().join("-"), value.trim()))
}

/// Whether a header says how the body was sent, which is no part of the answer.
fn is_framing(line: &str) -> bool {
    ["Transfer-Encoding: ", "Trailer: "].iter().any(|name| line.starts_with(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_response_counts() {
        let (first, last) = (
            "HTTP/1.1 302 Found\r\nLocation: /b\r\n\r\n",
            "HTTP/2 200\r\nx-b: 2\r\ncontent-type: c\r\ntransfer-encoding: chunked\r\n\r\n",
        );
        let text = format!("{first}{last}body\n\n\n200 {}", first.len() + last.len());
        let response = response(text.as_bytes()).unwrap();
        assert_eq!(response.status, 200);
        assert_eq!(response.headers, Text::from("Content-Type: c\nX-B: 2"));
        assert_eq!(response.body, Text::from("body\n\n"));
        for wrong in ["", "\n200 5", "\n000 0", "HTTP/1.1 200\r\n\r\n"] {
            assert!(super::response(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn no_secret_is_in_the_configuration() {
        let mut request = HttpRequest::new("http://localhost/");
        (request.username, request.password) = (Some("u".into()), Some("p\"w".into()));
        assert!(!configuration(&request, 10).unwrap().contains("user ="));
        assert_eq!(credentials(&request).unwrap().expose(), "user = \"u:p\\\"w\"\n");
    }
}

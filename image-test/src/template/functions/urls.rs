//! URLs as Go's net/url takes them apart and puts them together.

use super::{Cx, Registry, Text};
use crate::template::{
    context::{Context, Fault},
    value::{Map, Val},
};
use std::rc::Rc;

pub(super) fn register(registry: &mut Registry) {
    registry.add("urlParse", |cx: Cx, text: Text| parse(&cx, &text));
    registry.add("urlJoin", |parts: Rc<Map>| join(&parts));
}

fn invalid(what: &str) -> Fault {
    Fault::new(format!("this is no URL: {what}"))
}

fn parse(cx: &Context, text: &str) -> Result<Val, Fault> {
    if text.chars().any(|c| c.is_ascii_control()) {
        return Err(invalid("it has a control character"));
    }
    let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (scheme, rest) = split_scheme(text)?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (mut opaque, mut userinfo, mut host, mut path) = ("", String::new(), String::new(), "");
    if !rest.starts_with('/') && !scheme.is_empty() {
        opaque = rest;
    } else if !rest.starts_with('/') && rest.split('/').next().unwrap_or("").contains(':') {
        return Err(invalid("the first part of a path has a colon"));
    } else if let Some(after) = rest.strip_prefix("//").filter(|after| !scheme.is_empty() || !after.starts_with('/')) {
        let end = after.find('/').unwrap_or(after.len());
        let (authority, tail) = after.split_at_checked(end).unwrap_or((after, ""));
        path = tail;
        let (user, address) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
        if let Some(user) = user {
            userinfo = normalize_userinfo(user)?;
        }
        host = check_host(address)?;
    } else {
        path = rest;
    }
    let hostname = match host.strip_prefix('[').and_then(|inside| inside.split_once(']')) {
        Some((address, _)) => address.to_owned(),
        None => host.split(':').next().unwrap_or("").to_owned(),
    };
    let entries = [
        ("scheme", scheme),
        ("host", host),
        ("hostname", hostname),
        ("path", decode(path)?),
        ("query", query.to_owned()),
        ("opaque", opaque.to_owned()),
        ("fragment", decode(fragment)?),
        ("userinfo", userinfo),
    ];
    let entries = entries.into_iter().map(|(key, value)| Ok((Text::from(key), cx.text(value)?)));
    cx.map(entries.collect::<Result<_, Fault>>()?)
}

fn split_scheme(text: &str) -> Result<(String, &str), Fault> {
    for (i, c) in text.char_indices() {
        match c {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if i > 0 => {}
            ':' if i == 0 => return Err(invalid("the scheme is missing")),
            ':' => {
                let (scheme, rest) = text.split_at_checked(i).unwrap_or((text, ""));
                return Ok((scheme.to_ascii_lowercase(), rest.get(1..).unwrap_or("")));
            }
            _ => break,
        }
    }
    Ok((String::new(), text))
}

/// User and password, decoded and encoded again.
fn normalize_userinfo(text: &str) -> Result<String, Fault> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(c);
    if !text.chars().all(allowed) {
        return Err(invalid("the user has a character that must be encoded"));
    }
    let encode = |text: &str| Ok::<_, Fault>(encode(&decode(text)?, "$&+,;=", ""));
    Ok(match text.split_once(':') {
        Some((user, password)) => format!("{}:{}", encode(user)?, encode(password)?),
        None => encode(text)?,
    })
}

fn check_host(host: &str) -> Result<String, Fault> {
    let port = match host.strip_prefix('[') {
        Some(inside) => inside.split_once(']').ok_or_else(|| invalid("a bracket is not closed"))?.1,
        None => host.find(':').and_then(|colon| host.get(colon..)).unwrap_or(""),
    };
    let digits = port.strip_prefix(':').unwrap_or(port);
    if digits.len() < port.len() || port.is_empty() {
        if !digits.chars().all(|c| c.is_ascii_digit()) {
            return Err(invalid("the port is no number"));
        }
    } else {
        return Err(invalid("a port begins with a colon"));
    }
    if host.chars().any(|c| " \\^`{|}".contains(c)) {
        return Err(invalid("the host has a character that is not allowed"));
    }
    // Only what is not ASCII is encoded in a host.
    let decoded = decode(host)?;
    if host.contains('%') && decoded.is_ascii() {
        return Err(invalid("the host has an escape sequence"));
    }
    Ok(decoded)
}

/// Text without escape sequences.
fn decode(text: &str) -> Result<String, Fault> {
    if !text.contains('%') {
        return Ok(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        let (high, low) = digit().zip(digit()).ok_or_else(|| invalid("an escape sequence has no two digits"))?;
        bytes.push(u8::try_from(high * 16 + low).unwrap_or(0));
    }
    String::from_utf8(bytes).map_err(|_| Fault::new("the decoded URL is not UTF-8 text"))
}

/// Text with escape sequences for all but letters, digits, `-_.~` and the given characters.
fn encode(text: &str, kept: &str, more: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_alphanumeric() || "-_.~".contains(c) || kept.contains(c) || more.contains(c) {
            out.push(c);
        } else {
            c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| out.push_str(&format!("%{byte:02X}")));
        }
    }
    out
}

/// What may stand in paths and fragments alike.
const PATH: &str = "$&+,/:;=@";

fn join(parts: &Map) -> Result<String, Fault> {
    let part = |key: &str| match parts.get(key) {
        None => Ok(Text::from("")),
        Some(Val::Str(text)) => Ok(text),
        Some(other) => Err(Fault::new(format!("{key} is a string, not {}", other.type_name()))),
    };
    let (scheme, host, path) = (part("scheme")?, part("host")?, part("path")?);
    let (opaque, query, fragment) = (part("opaque")?, part("query")?, part("fragment")?);
    let userinfo = part("userinfo")?;
    let mut out = String::new();
    if !scheme.is_empty() {
        out.push_str(&scheme);
        out.push(':');
    }
    if opaque.is_empty() {
        let user = if userinfo.is_empty() { String::new() } else { format!("{}@", normalize_userinfo(&userinfo)?) };
        if !host.is_empty() || !user.is_empty() || (!scheme.is_empty() && !path.is_empty()) {
            out.push_str("//");
            out.push_str(&user);
            out.push_str(&encode(&host, "!$&'()*+,;=:[]<>\"", ""));
        }
        if !path.is_empty() && !path.starts_with('/') && !host.is_empty() {
            out.push('/');
        }
        // A colon in the first part of a path would make it a scheme.
        if out.is_empty() && path.split('/').next().is_some_and(|first| first.contains(':')) {
            out.push_str("./");
        }
        out.push_str(&if *path == *"*" { path.to_string() } else { encode(&path, PATH, "") });
    } else {
        out.push_str(&opaque);
    }
    if !query.is_empty() {
        out.push('?');
        out.push_str(&query);
    }
    if !fragment.is_empty() {
        out.push('#');
        out.push_str(&encode(&fragment, PATH, "?!()*"));
    }
    Ok(out)
}

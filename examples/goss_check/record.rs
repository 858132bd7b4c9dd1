//! `add` and `autoadd`: how things are becomes what is expected.

use crate::{
    Failure, Streams,
    args::{Args, Settings},
    gather, suite,
};
use image_test::{Kind, Resource, Suite, Target, baseline};

/// Adds what is asked for by name, whether it is there or not.
pub(crate) async fn add(
    args: &Args,
    kind: &str,
    keys: &[String],
    settings: &Settings,
    streams: &mut Streams<'_>,
) -> Result<(), Failure> {
    let unknown = || Failure::new(format!("add: {kind}: nothing of such a type can be added"));
    let kind = Kind::ALL.into_iter().find(|known| known.section() == kind).ok_or_else(unknown)?;
    let mut wanted = Suite::new();
    for key in keys {
        let mut resource = baseline::resource(kind, key).ok_or_else(unknown)?;
        set(&mut resource, settings);
        wanted.insert(resource);
    }
    let exclude: Vec<&str> = settings.exclude.iter().map(String::as_str).collect();
    let facts = gather(args, &wanted).await?;
    let found = baseline::suite_from_facts(&facts, &exclude, args.compat);
    let asked = asked(&wanted, &found.suite);
    found.left_out.iter().try_for_each(|why| writeln!(streams.err, "{why}"))?;
    write(args, &asked, streams)?;
    match wanted.resources().find(|wanted| asked.get(kind, &wanted.key).is_none()) {
        None => Ok(()),
        Some(missing) => Err(Failure::new(format!("add: nothing is known of {} {}", kind.section(), missing.key))),
    }
}

/// Adds everything that goes by a name and is there.
pub(crate) async fn autoadd(args: &Args, keys: &[String], streams: &mut Streams<'_>) -> Result<(), Failure> {
    let mut wanted = Suite::new();
    for key in keys {
        wanted.extend(baseline::candidates(key).resources().cloned());
    }
    let facts = gather(args, &wanted).await?;
    let there = baseline::present(&baseline::suite_from_facts(&facts, &[], args.compat).suite);
    write(args, &asked(&wanted, &there), streams)
}

/// Includes other gossfiles, which need not be there yet.
pub(crate) fn include(args: &Args, paths: &[String], streams: &mut Streams<'_>) -> Result<(), Failure> {
    suite::append(args, &Suite::new(), paths)?;
    Ok(writeln!(streams.out, "Adding to '{}':\n\ngossfile: {}\n", args.gossfile, paths.join(", "))?)
}

/// How it is looked at, which the gossfile says too.
fn set(resource: &mut Resource, settings: &Settings) {
    match &mut resource.target {
        Target::Addr { timeout, .. } | Target::Command { timeout, .. } | Target::Mount { timeout, .. } => {
            *timeout = settings.timeout;
        }
        Target::Dns { server, timeout, .. } => {
            (*server, *timeout) = (settings.server.clone(), settings.timeout);
        }
        Target::Http(request) => {
            request.timeout = settings.timeout;
            request.allow_insecure = settings.insecure;
            request.no_follow_redirects = settings.no_follow_redirects;
            request.username.clone_from(&settings.username);
            request.password.clone_from(&settings.password);
            request.proxy.clone_from(&settings.proxy);
            request.headers.clone_from(&settings.headers);
        }
        _ => {}
    }
}

/// What was found of what was asked for, to be looked at in the same way. Ports are asked for with those that may serve
/// them too.
fn asked(wanted: &Suite, found: &Suite) -> Suite {
    let mut asked = Suite::new();
    for resource in found.resources() {
        if let Some(wanted) = wanted.get(resource.kind(), &resource.key) {
            let mut resource = resource.clone();
            resource.target = wanted.target.clone();
            asked.insert(resource);
        }
    }
    asked
}

fn write(args: &Args, added: &Suite, streams: &mut Streams<'_>) -> Result<(), Failure> {
    if added.is_empty() {
        return Ok(());
    }
    suite::append(args, added, &[])?;
    Ok(writeln!(streams.out, "Adding to '{}':\n\n{}\n", args.gossfile, added.to_yaml())?)
}

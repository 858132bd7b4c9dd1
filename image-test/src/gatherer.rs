//! The ways to find facts out, behind one trait.

use crate::{
    Fact, Facts, Wanted,
    gather::{self, Options},
    probe::{self, ProbeOptions},
    retry::Gather,
};
use async_trait::async_trait;
use image_core::{Context, Error, ErrorKind, Machine, Result};
use std::{
    mem,
    net::{Ipv4Addr, Ipv6Addr},
    path::PathBuf,
    time::Duration,
};

/// Looks at a root file system that does not run.
#[derive(Clone, Debug)]
pub struct RootfsGatherer {
    root: PathBuf,
    options: Options,
}

impl RootfsGatherer {
    /// Looks at what lies below this directory.
    pub fn new(root: impl Into<PathBuf>, options: Options) -> Self {
        Self { root: root.into(), options }
    }
}

#[async_trait]
impl Gather for RootfsGatherer {
    async fn gather(&self, wanted: &Wanted) -> Result<Facts> {
        let (root, wanted, options) = (self.root.clone(), wanted.clone(), self.options.clone());
        blocking(move || gather::rootfs(&root, &wanted, &options).map_err(|e| Error::io("read the rootfs", &root, e)))
            .await
    }
}

/// Looks at the machine that this program runs on.
#[derive(Clone, Debug, Default)]
pub struct LiveGatherer {
    options: Options,
}

impl LiveGatherer {
    /// Looks at this machine.
    pub fn new(options: Options) -> Self {
        Self { options }
    }
}

#[async_trait]
impl Gather for LiveGatherer {
    async fn gather(&self, wanted: &Wanted) -> Result<Facts> {
        Ok(gather::live(wanted, &self.options).await)
    }
}

/// Asks a machine of a run, in as few commands as its channel takes.
///
/// On a machine without an init system nothing that services do is asked for: ports, processes, whether a service runs,
/// and what the machine itself answers on its loopback addresses do not apply there.
#[derive(Clone, Debug)]
pub struct MachineGatherer<'a> {
    cx: &'a Context,
    machine: &'a dyn Machine,
    options: ProbeOptions,
}

impl<'a> MachineGatherer<'a> {
    /// Asks this machine.
    pub fn new(cx: &'a Context, machine: &'a dyn Machine, options: ProbeOptions) -> Self {
        Self { cx, machine, options }
    }
}

#[async_trait]
impl Gather for MachineGatherer<'_> {
    async fn gather(&self, wanted: &Wanted) -> Result<Facts> {
        let (cx, machine, options) = (self.cx, self.machine, &self.options);
        if machine.info().booted {
            return probe::gather(cx, machine, wanted, options).await;
        }
        let (apply, serve) = without_services(wanted);
        let mut facts = probe::gather(cx, machine, &apply, options).await?;
        not_applicable(&mut facts, serve);
        Ok(facts)
    }
    async fn pause(&self, duration: Duration) -> Result<()> {
        self.cx.sleep(duration).await
    }
}

/// What can be asked where no services run, and what cannot.
fn without_services(wanted: &Wanted) -> (Wanted, Wanted) {
    let (mut apply, mut serve) = (wanted.clone(), Wanted::default());
    serve.ports = mem::take(&mut apply.ports);
    serve.processes = mem::take(&mut apply.processes);
    let addrs = mem::take(&mut apply.addrs);
    (serve.addrs, apply.addrs) = addrs.into_iter().partition(|(_, addr)| is_loopback(&addr.address));
    let http = mem::take(&mut apply.http);
    (serve.http, apply.http) = http.into_iter().partition(|(_, request)| is_loopback(&request.url));
    (apply, serve)
}

fn not_applicable(facts: &mut Facts, serve: Wanted) {
    let why = || "no init system runs".to_owned();
    facts.ports.extend(serve.ports.into_iter().map(|key| (key, Fact::NotApplicable(why()))));
    facts.processes.extend(serve.processes.into_iter().map(|key| (key, Fact::NotApplicable(why()))));
    facts.addrs.extend(serve.addrs.into_keys().map(|key| (key, Fact::NotApplicable(why()))));
    facts.http.extend(serve.http.into_keys().map(|key| (key, Fact::NotApplicable(why()))));
    facts.services.values_mut().for_each(|service| service.running = Fact::NotApplicable(why()));
}

/// Whether an address or URL, `[scheme://][user@]host[:port][/path]`, names the machine itself.
fn is_loopback(address: &str) -> bool {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    match host.strip_prefix('[') {
        Some(host) => {
            host.split(']').next().and_then(|host| host.parse::<Ipv6Addr>().ok()).is_some_and(|a| a.is_loopback())
        }
        None => {
            let name = host.split(':').next().unwrap_or_default();
            name.eq_ignore_ascii_case("localhost") || name.parse::<Ipv4Addr>().is_ok_and(|a| a.is_loopback())
        }
    }
}

/// Facts that were found out before.
#[async_trait]
impl Gather for Facts {
    async fn gather(&self, _wanted: &Wanted) -> Result<Self> {
        Ok(self.clone())
    }
    /// What was seen does not change.
    async fn pause(&self, _duration: Duration) -> Result<()> {
        Ok(())
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| Error::new(ErrorKind::Internal, "the look did not end").with_source(e))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_itself_is_told_from_others() {
        for (address, itself) in [
            ("http://localhost:8080/x", true),
            ("https://u:p@LOCALHOST", true),
            ("tcp://127.0.0.2:22", true),
            ("http://[::1]:80/", true),
            ("127.0.0.1:80", true),
            ("http://localhost.example/", false),
            ("http://example/?to=localhost", false),
            ("tcp://[fe80::1]:80", false),
            ("udp://10.0.0.1:53", false),
            ("", false),
        ] {
            assert_eq!(is_loopback(address), itself, "{address}");
        }
    }
}

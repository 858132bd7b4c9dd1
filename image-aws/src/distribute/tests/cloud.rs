//! A cloud in memory: accounts and regions with images, snapshots, launch templates and parameters.

use super::wire::{Form, xml};
use crate::Place;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::time::Instant;

/// A refused call.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) code: &'static str,
    pub(super) status: u16,
}

pub(super) fn refuse<T>(code: &'static str) -> Result<T, Refusal> {
    Err(Refusal { code, status: 400 })
}

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// It has its effect, and nobody hears of it.
    Lost,
    /// It is refused.
    Refused(&'static str, u16),
}

#[derive(Clone, Debug)]
pub(super) struct Ami {
    pub(super) name: String,
    pub(super) source: Option<(String, String)>,
    pub(super) architecture: String,
    pub(super) devices: BTreeMap<String, String>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) launch: BTreeSet<String>,
    pub(super) deprecation: Option<String>,
    pub(super) protected: bool,
    pub(super) fails: bool,
    pub(super) visible_at: Instant,
    pub(super) available_at: Instant,
    pub(super) number: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Snap {
    pub(super) gib: u64,
    pub(super) encrypted: bool,
    pub(super) key: Option<String>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) volume: BTreeSet<String>,
    pub(super) fast: BTreeSet<String>,
    pub(super) visible_at: Instant,
    pub(super) completed_at: Instant,
}

#[derive(Clone, Debug)]
pub(super) struct Template {
    pub(super) name: String,
    pub(super) default: u64,
    /// Image, description, and the version it is based on.
    pub(super) versions: BTreeMap<u64, (String, String, u64)>,
}

#[derive(Clone, Debug)]
pub(super) struct Parameter {
    pub(super) value: String,
    pub(super) data_type: String,
    pub(super) kind: String,
}

/// What an account has in a region.
#[derive(Clone, Debug, Default)]
pub(super) struct Home {
    pub(super) images: BTreeMap<String, Ami>,
    pub(super) snapshots: BTreeMap<String, Snap>,
    pub(super) templates: BTreeMap<String, Template>,
    pub(super) parameters: BTreeMap<String, Parameter>,
    /// Values that were asked for and are not validated yet.
    pub(super) unvalidated: BTreeMap<String, (Instant, Parameter)>,
    pub(super) encrypts: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) homes: BTreeMap<Place, Home>,
    /// What was made under a client token.
    pub(super) tokens: BTreeMap<String, String>,
    pub(super) made: u64,
    pub(super) calls: Vec<(Place, String)>,
    faults: Vec<(String, String, Fault, u32)>,
    /// Regions where copies never come to be.
    pub(super) failing: BTreeSet<String>,
}

impl State {
    pub(super) fn home(&mut self, place: &Place) -> &mut Home {
        self.homes.entry(place.clone()).or_default()
    }
    pub(super) fn next(&mut self) -> u64 {
        self.made += 1;
        self.made
    }
}

/// The cloud; clones are the same one.
#[derive(Clone, Debug, Default)]
pub(super) struct Cloud(Arc<Mutex<State>>);

/// Until what was made is seen.
pub(super) const LAG: Duration = Duration::from_secs(20);
/// Until a copy is available.
pub(super) const COPY_TAKES: Duration = Duration::from_secs(300);
/// The image that tests distribute.
pub(super) const SOURCE: &str = "ami-0123456789abcdef0";

impl Cloud {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
    /// An independent cloud in the same state.
    pub(super) fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.lock().clone())))
    }

    /// A cloud with an image of two volumes in the home, and what pointers point with.
    pub(super) fn with_image(encrypted: bool) -> Self {
        let cloud = Self::default();
        let now = Instant::now();
        let home: Place = super::HOME.parse().unwrap();
        let mut state = cloud.lock();
        let devices = [("/dev/xvda", "snap-source-a"), ("/dev/sdf", "snap-source-b")];
        for (n, (_, id)) in devices.iter().enumerate() {
            let snap = Snap {
                gib: 8 + n as u64,
                encrypted,
                key: encrypted.then(|| "arn:aws:kms:us-east-1:111122223333:key/source".into()),
                tags: BTreeMap::new(),
                volume: BTreeSet::new(),
                fast: BTreeSet::new(),
                visible_at: now,
                completed_at: now,
            };
            state.home(&home).snapshots.insert((*id).to_owned(), snap);
        }
        let ami = Ami {
            name: "web-token".into(),
            source: None,
            architecture: "x86_64".into(),
            devices: devices.iter().map(|(device, id)| ((*device).to_owned(), (*id).to_owned())).collect(),
            tags: BTreeMap::from([("golden-image:state".into(), "kept".into())]),
            launch: BTreeSet::new(),
            deprecation: None,
            protected: false,
            fails: false,
            visible_at: now,
            available_at: now,
            number: 0,
        };
        state.home(&home).images.insert(SOURCE.to_owned(), ami);
        for place in [super::HOME, super::FAR, super::OTHER] {
            let versions = BTreeMap::from([(3, ("ami-last-week".to_owned(), String::new(), 2))]);
            let template = Template { name: "web".into(), default: 3, versions };
            let old =
                Parameter { value: "ami-last-week".into(), data_type: "aws:ec2:image".into(), kind: "String".into() };
            let place = place.parse().unwrap();
            state.home(&place).templates.insert("lt-1".into(), template);
            state.home(&place).parameters.insert("/golden/old".into(), old);
        }
        let secret = Parameter { value: "x".into(), data_type: "text".into(), kind: "SecureString".into() };
        let elsewhere = "111122223333/ap-south-1".parse().unwrap();
        state.home(&elsewhere).parameters.insert("/golden/secret".into(), secret);
        drop(state);
        cloud
    }

    /// Lets calls of an action in a region go wrong, so many times.
    pub(super) fn fault(&self, region: &str, action: &str, fault: Fault, times: u32) {
        self.lock().faults.push((region.to_owned(), action.to_owned(), fault, times));
    }

    /// Makes a call, and what a test wants to go wrong with it; `None` where the reply is lost.
    pub(super) fn faulty<T>(
        &self,
        place: &Place,
        action: &str,
        call: impl FnOnce() -> Result<T, Refusal>,
    ) -> Option<Result<T, Refusal>> {
        let fault = {
            let mut state = self.lock();
            state.calls.push((place.clone(), action.to_owned()));
            let due = |(region, name, _, times): &&mut (String, String, Fault, u32)| {
                *times > 0 && *region == place.region && name == action
            };
            state.faults.iter_mut().find(due).map(|(_, _, fault, times)| {
                *times -= 1;
                *fault
            })
        };
        match fault {
            Some(Fault::Refused(code, status)) => Some(Err(Refusal { code, status })),
            Some(Fault::Lost) => {
                let _ = call();
                None
            }
            None => Some(call()),
        }
    }

    /// A call of EC2 or STS.
    pub(super) fn act(&self, place: &Place, action: &str, form: &Form) -> Result<String, Refusal> {
        if form.get("DryRun") == Some("true") {
            return Err(Refusal { code: "DryRunOperation", status: 412 });
        }
        if action == "GetCallerIdentity" {
            let arn = format!("arn:aws:iam::{}:user/test", place.account);
            return Ok(xml("Arn", arn) + &xml("Account", &place.account));
        }
        if action == "GetEbsEncryptionByDefault" {
            return Ok(xml("ebsEncryptionByDefault", self.lock().home(place).encrypts));
        }
        if action.contains("LaunchTemplate") {
            self.template(place, action, form)
        } else {
            self.image(place, action, form)
        }
    }
}

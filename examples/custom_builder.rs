//! A builder of one's own, and its conformance test: `cargo test -p examples --example custom_builder`.
//!
//! The backend is a map in memory that stands for the API of a hypervisor. What matters is how the builder uses it: every
//! create goes through the context with its tags in the creating call, undo works from the journal entry alone, and nothing
//! is kept except by the run.

use image_core::{
    Architecture, BootMode, BuildSpec, Builder, Cached, Capabilities, Capture, Captured, Checked, Command,
    ContentDigest, Context, CreateError, Created, Error, ErrorKind, ExecOutput, Exit, Fingerprint, Found, Guard,
    Handle, Image, ImageKind, Keep, Kind, Launch, Launched, Layer, Machine, MachineInfo, MemoryStore, Pipeline,
    Platform, Query, Resource, Result, Role, Scope, Source, State, Timestamp, Undo, Undone, Upload, async_trait,
    provision::Shell, sha256, validate,
};
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

const OWNER: &str = "example.lab";

/// The backend: machines and images by id, each a kind and its tags.
#[derive(Clone, Debug, Default)]
struct Lab(Arc<Mutex<BTreeMap<String, Thing>>>);

#[derive(Clone, Debug)]
struct Thing {
    kind: &'static str,
    tags: BTreeMap<String, String>,
}

impl Lab {
    fn things(&self) -> MutexGuard<'_, BTreeMap<String, Thing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// As one call of an API: the tags are there from the first moment.
    fn create(&self, kind: &'static str, tags: BTreeMap<String, String>) -> String {
        let id = format!("{kind}-{}", tags.get("token").cloned().unwrap_or_default());
        self.things().insert(id.clone(), Thing { kind, tags });
        id
    }
}

fn kind(name: &str) -> Kind {
    Kind::new(name, Duration::from_secs(60), Duration::ZERO)
}

/// Makes images in a [`Lab`].
#[derive(Clone, Debug)]
struct LabBuilder {
    lab: Lab,
    scope: Scope,
    /// The scope that the credentials reach.
    account: Scope,
}

impl LabBuilder {
    fn new(lab: Lab) -> Self {
        let scope = Scope::new("lab-1");
        Self { lab, account: scope.clone(), scope }
    }
    async fn make(&self, cx: &Context, what: &'static str, own: BTreeMap<String, String>) -> Result<Guard> {
        let lab = self.lab.clone();
        let create = move |request: image_core::CreateRequest| async move {
            let tags = own.into_iter().chain(request.tags).collect();
            Ok::<_, CreateError>(Created::new(lab.create(what, tags)))
        };
        cx.create(OWNER, &self.scope, kind(what), "lab", create).await
    }
    async fn machine(&self, cx: &Context) -> Result<Launched> {
        let guard = self.make(cx, "machine", BTreeMap::new()).await?;
        let info = MachineInfo::new(guard.id(), platform(), true);
        Ok(Launched::new(Arc::new(LabMachine(info)), Handle::new(()), vec![guard]))
    }
    fn image(&self, id: &str) -> Image {
        Image::new(ImageKind::Machine, OWNER, self.scope.clone(), "lab", id, platform())
            .with_digest(ContentDigest::Raw { sha256: sha256(id) })
    }
}

fn platform() -> Platform {
    Platform::linux(Architecture::X86_64, BootMode::Uefi)
}

fn state(thing: &Thing) -> State {
    thing.tags.get("state").and_then(|tag| State::parse(tag)).unwrap_or(State::Temporary)
}

fn expires_at(thing: &Thing) -> Option<Timestamp> {
    thing.tags.get("expires")?.parse().ok().map(Timestamp::from_millis)
}

#[async_trait]
impl Undo for LabBuilder {
    fn owner(&self) -> &str {
        OWNER
    }
    fn scopes(&self) -> Vec<Scope> {
        vec![self.scope.clone()]
    }
    async fn identity(&self, _cx: &Context, _configured: &Scope) -> Result<Scope> {
        Ok(self.account.clone())
    }
    /// By the tag, so that it works without an id.
    async fn undo(&self, _cx: &Context, created: &Resource) -> Result<Undone> {
        let mut things = self.lab.things();
        let before = things.len();
        things.retain(|_, thing| thing.tags.get("token") != Some(&created.token));
        Ok(if things.len() == before { Undone::Absent } else { Undone::Gone })
    }
    async fn restore(&self, _cx: &Context, changed: &Resource) -> Result<Undone> {
        Err(Error::bug(format!("nothing was changed, but {changed} is to be restored")))
    }
    async fn keep(&self, _cx: &Context, created: &Resource, keep: &Keep) -> Result<()> {
        let mut things = self.lab.things();
        let missing = || Error::new(ErrorKind::NotFound, format!("{created} is not there"));
        let found = things.values_mut().find(|thing| thing.tags.get("token") == Some(&created.token));
        let tags = &mut found.ok_or_else(missing)?.tags;
        tags.insert("state".into(), keep.state.as_str().into());
        match keep.expires_at {
            Some(at) => tags.insert("expires".into(), at.as_millis().to_string()),
            None => tags.remove("expires"),
        };
        Ok(())
    }
    async fn find(&self, _cx: &Context, query: &Query) -> Result<Vec<Found>> {
        let found = |(id, thing): (&String, &Thing)| {
            let token = thing.tags.get("token")?.clone();
            let wanted = query.token.as_ref().is_none_or(|wanted| *wanted == token)
                && query.expired_before.is_none_or(|before| expires_at(thing).is_some_and(|at| at < before));
            let resource = Resource::found(OWNER, self.scope.clone(), kind(thing.kind), "lab", token, id);
            wanted.then(|| Found::new(resource, state(thing), expires_at(thing)))
        };
        Ok(self.lab.things().iter().filter_map(found).collect())
    }
}

#[async_trait]
impl Builder for LabBuilder {
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.boot = true;
        capabilities
    }
    async fn check(&self, _cx: &Context, _spec: &BuildSpec) -> Result<Checked> {
        let fingerprint = Fingerprint::of(OWNER, "no settings")?;
        Ok(Checked::new(Source::new("empty", "empty-1"), platform(), Some(fingerprint), "lab", Handle::new(())))
    }
    async fn lookup(&self, cx: &Context, _checked: &Checked, fingerprint: &Fingerprint) -> Result<Option<Cached>> {
        let things = self.lab.things();
        let fit = |thing: &Thing| {
            thing.tags.get("fingerprint").is_some_and(|tag| tag == fingerprint.as_str())
                && expires_at(thing).is_none_or(|at| at > cx.now())
        };
        let found = things.iter().filter(|(_, thing)| fit(thing)).find_map(|(id, thing)| match state(thing) {
            State::Kept => Some(Cached::new(self.image(id), Role::Image)),
            State::Layer => Some(Cached::new(self.image(id), Role::Layer)),
            _ => None,
        });
        Ok(found)
    }
    async fn launch(&self, cx: &Context, _launch: Launch<'_>) -> Result<Launched> {
        self.machine(cx).await
    }
    async fn capture(&self, cx: &Context, _handle: Handle, capture: Capture<'_>) -> Result<Captured> {
        let fingerprint = capture.fingerprint.map(|fingerprint| ("fingerprint".into(), fingerprint.to_string()));
        let guard = self.make(cx, "image", fingerprint.into_iter().collect()).await?;
        Ok(Captured::new(self.image(guard.id()), vec![guard]))
    }
    async fn boot(&self, cx: &Context, _image: &Image) -> Result<Launched> {
        self.machine(cx).await
    }
}

/// A machine on which every command succeeds.
#[derive(Debug)]
struct LabMachine(MachineInfo);

#[async_trait]
impl Machine for LabMachine {
    fn info(&self) -> &MachineInfo {
        &self.0
    }
    async fn exec(&self, _cx: &Context, _command: Command) -> Result<ExecOutput> {
        Ok(ExecOutput::new(Exit::Code(0), vec![], vec![]))
    }
    async fn upload(&self, _cx: &Context, _upload: Upload) -> Result<()> {
        Ok(())
    }
    async fn download(&self, _cx: &Context, source: &str, _destination: &Path) -> Result<()> {
        Err(Error::new(ErrorKind::NotFound, format!("{source} is not there: the machine has no files")))
    }
    async fn reboot(&self, _cx: &Context) -> Result<()> {
        Err(Error::new(ErrorKind::Unsupported, "a machine of the lab cannot be restarted"))
    }
}

fn pipeline(lab: &Lab) -> Pipeline {
    Pipeline::new("lab-image")
        .builder(LabBuilder::new(lab.clone()))
        .layer(Layer::new("base").provision(Shell::inline("base", "true")))
        .layer(Layer::new("application").provision(Shell::inline("application", "true")))
        .validator(validate::Command::new("works").check("true", "true"))
        .without_scan("an example")
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cx = Context::builder(MemoryStore::default()).sink(examples::Terminal::new()).open().await?;
    let outcome = pipeline(&Lab::default()).run(&cx).await?;
    examples::say(&format!("built {}", outcome.images[0]));
    Ok(())
}

#[cfg(test)]
mod conformance {
    use super::*;
    use image_conformance::Rig;
    use image_core::{Ready, Undoers};
    use std::collections::BTreeSet;

    impl Rig for Lab {
        fn pipeline(&self) -> Pipeline<Ready> {
            pipeline(self)
        }
        fn foreign(&self) -> Undoers {
            let account = Scope::new("lab-2");
            Undoers::new().with(Arc::new(LabBuilder { account, ..LabBuilder::new(self.clone()) }))
        }
        fn live(&self) -> BTreeSet<String> {
            self.things().keys().cloned().collect()
        }
        fn snapshot(&self) -> Option<Arc<dyn Rig>> {
            let copy = self.things().clone();
            Some(Arc::new(Self(Arc::new(Mutex::new(copy)))))
        }
    }

    image_conformance::builder_conformance!(|| Arc::new(Lab::default()) as Arc<dyn Rig>);
}

//! One plugin that is builder, importer and distributor of the fake cloud.

use super::FakeCloud;
use image_core::{
    ApprovedImage, Architecture, BootMode, BuildSpec, Builder, Cached, Capabilities, Capture, Captured, Checked,
    Command, ContentDigest, Context, CreateRequest, Created, Distributor, Error, ErrorKind, ExecOutput, Exit,
    Fingerprint, Found, Guard, Handle, Image, ImageKind, Importer, Keep, Launch, Launched, Machine, MachineInfo,
    Platform, Query, Resource, Result, Role, Scope, Source, State, Stream, Target, Undo, Undone, Upload, async_trait,
    sha256,
};
use serde_json::json;
use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};
use tokio::time::Instant;

const OWNER: &str = "fake";
const LOCATION: &str = "here";

/// Builder, importer and distributor of a [`FakeCloud`], configured for one scope.
#[derive(Clone, Debug)]
pub struct FakePlugin {
    cloud: FakeCloud,
    scope: Scope,
    source: String,
    name: String,
    spoils_copies: bool,
}

impl FakePlugin {
    /// A plugin whose credentials reach this cloud, configured for its account.
    pub fn new(cloud: &FakeCloud) -> Self {
        let (cloud, scope) = (cloud.clone(), cloud.account());
        Self { cloud, scope, source: "debian".into(), name: "a".into(), spoils_copies: false }
    }
    /// Configures it for another scope than its credentials reach.
    #[must_use]
    pub fn configured_for(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }
    /// Sets the base; an empty one is refused by `check`.
    #[must_use]
    pub fn source(mut self, source: &str) -> Self {
        self.source = source.to_owned();
        self
    }
    /// Names it as a distributor: its pointers are `pointer/<name>-0` and so on.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }
    /// Makes copies that differ from the image, so that verifying them fails.
    #[must_use]
    pub fn spoiling_copies(mut self) -> Self {
        self.spoils_copies = true;
        self
    }
    /// The cloud.
    pub fn cloud(&self) -> &FakeCloud {
        &self.cloud
    }

    /// Creates an item through the context, with more tags than the core's.
    ///
    /// # Errors
    /// As [`Context::create`].
    pub async fn create(&self, cx: &Context, kind: &str, more: &[(&str, &str)], content: &str) -> Result<Guard> {
        let more: Vec<(String, String)> = more.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        let (cloud, name, content) = (self.cloud.clone(), kind.to_owned(), content.to_owned());
        let call = move |request: CreateRequest| async move {
            let mut tags = request.tags;
            tags.extend(more);
            Ok(Created::new(cloud.create(&name, tags, &content).await).with_undo_data(json!({ "version": 1 })))
        };
        cx.create(OWNER, &self.scope, self.cloud.kind(kind), LOCATION, call).await
    }
    /// Points a value at something else through the context.
    ///
    /// # Errors
    /// As [`Context::change`].
    pub async fn point(&self, cx: &Context, pointer: &str, to: &str) -> Result<Guard> {
        let target = Target::new(OWNER, self.scope.clone(), self.cloud.kind("pointer"), LOCATION, pointer);
        let (cloud, key) = (self.cloud.clone(), pointer.to_owned());
        let apply = move |change: image_core::Change| async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            cloud.set_value(&key, change.after);
            Ok(())
        };
        cx.change(target, self.cloud.value(pointer), json!(to), apply).await
    }
    /// An item as an image.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn image(&self, id: &str) -> Result<Image> {
        let item = self.cloud.items().remove(id);
        let item = item.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("there is no {id}")))?;
        let digest = ContentDigest::Raw { sha256: sha256(&item.content) };
        let image = Image::new(ImageKind::Machine, OWNER, self.scope.clone(), LOCATION, id, platform());
        Ok(image.with_digest(digest))
    }
    async fn start(&self, cx: &Context, of: &str) -> Result<Launched> {
        let guards = vec![self.create(cx, "instance", &[("of", of)], "").await?];
        let instance = guards[0].id().to_owned();
        let machine = FakeMachine::new(&self.cloud, &instance);
        Ok(Launched::new(Arc::new(machine), Handle::new(instance), guards))
    }
    fn checked(&self, spec: &BuildSpec) -> Result<Checked> {
        if self.source.is_empty() {
            return Err(Error::invalid("source", &self.source, "the name of a base"));
        }
        let source = Source::new(&self.source, format!("sha256:{}", sha256(&self.source)));
        let fingerprint = Fingerprint::of("fake", &(&self.source, &spec.labels))?;
        Ok(Checked::new(source, platform(), Some(fingerprint), LOCATION, Handle::new(())))
    }
    fn capabilities(&self) -> Capabilities {
        let mut all = Capabilities::default();
        (all.boot, all.reboot, all.secrets, all.live_output, all.kills_group) = (true, true, true, true, true);
        all.offline = true;
        all
    }
    /// A committed copy of an image.
    fn copy_of(&self, image: &Image) -> Option<String> {
        let ours = |item: &super::Item| {
            item.tag("copy-of") == Some(&image.id)
                && item.tag("by") == Some(&self.name)
                && item.state() == Some(State::Kept)
        };
        self.cloud.visible().into_iter().find(|(_, item)| ours(item)).map(|(id, _)| id)
    }
}

fn platform() -> Platform {
    Platform::linux(Architecture::X86_64, BootMode::Uefi)
}

#[async_trait]
impl Undo for FakePlugin {
    fn owner(&self) -> &str {
        OWNER
    }
    fn scopes(&self) -> Vec<Scope> {
        vec![self.scope.clone()]
    }
    async fn identity(&self, _: &Context, _: &Scope) -> Result<Scope> {
        Ok(self.cloud.account())
    }
    async fn undo(&self, _: &Context, created: &Resource) -> Result<Undone> {
        let ours = |item: &super::Item| item.tag("token") == Some(&created.token);
        let found = self.cloud.visible().into_iter().find(|(_, item)| ours(item));
        let Some((id, _)) = found else { return Ok(Undone::Absent) };
        match self.cloud.delete(&id).await {
            Some(at) if at > Instant::now() => Ok(Undone::NotYetProven { retry_at: at }),
            Some(_) => Ok(Undone::Gone),
            None => Ok(Undone::Absent),
        }
    }
    async fn restore(&self, _: &Context, changed: &Resource) -> Result<Undone> {
        let (Some(id), Some(change)) = (&changed.id, &changed.change) else {
            return Err(Error::bug(format!("{changed} is not a change")));
        };
        let now = self.cloud.value(id);
        if now == change.before {
            return Ok(Undone::Absent);
        }
        if now != change.after {
            return Ok(Undone::Superseded);
        }
        self.cloud.set_value(id, change.before.clone());
        Ok(Undone::Gone)
    }
    async fn keep(&self, _: &Context, created: &Resource, keep: &Keep) -> Result<()> {
        let expires = keep.expires_at.map(|at| at.as_millis().to_string());
        let tags = [("state", Some(keep.state.as_str().to_owned())), ("expires", expires)];
        if self.cloud.tag(created.name(), tags).await {
            return Ok(());
        }
        Err(Error::new(ErrorKind::NotFound, format!("nothing to keep: {created}")))
    }
    async fn find(&self, _: &Context, query: &Query) -> Result<Vec<Found>> {
        let found = |(id, item): (String, super::Item)| {
            let (token, state) = (item.tag("token")?.to_owned(), item.state()?);
            let resource = Resource::found(OWNER, self.scope.clone(), self.cloud.kind(&item.kind), LOCATION, token, id);
            Some(Found::new(resource, state, item.expires_at()))
        };
        let wanted = |found: &Found| {
            let expired = |before| found.expires_at.is_some_and(|at| at < before);
            query.token.as_ref().is_none_or(|token| *token == found.resource.token)
                && query.expired_before.is_none_or(expired)
        };
        Ok(self.cloud.visible().into_iter().filter_map(found).filter(wanted).collect())
    }
}

#[async_trait]
impl Builder for FakePlugin {
    fn capabilities(&self) -> Capabilities {
        self.capabilities()
    }
    async fn check(&self, _: &Context, spec: &BuildSpec) -> Result<Checked> {
        self.checked(spec)
    }
    async fn lookup(&self, _: &Context, _: &Checked, fingerprint: &Fingerprint) -> Result<Option<Cached>> {
        for (id, item) in self.cloud.visible() {
            let role = match item.state() {
                Some(State::Kept) => Role::Image,
                Some(State::Layer) => Role::Layer,
                _ => continue,
            };
            if item.kind == "image" && item.tag("fingerprint") == Some(fingerprint.as_str()) {
                return Ok(Some(Cached::new(self.image(&id)?, role)));
            }
        }
        Ok(None)
    }
    async fn launch(&self, cx: &Context, launch: Launch<'_>) -> Result<Launched> {
        let key = self.create(cx, "key", &[], "").await?;
        let base = launch.parent.map_or(self.source.as_str(), |parent| parent.id.as_str());
        let mut launched = self.start(cx, base).await?;
        launched.guards.insert(0, key);
        Ok(launched)
    }
    async fn capture(&self, cx: &Context, handle: Handle, capture: Capture<'_>) -> Result<Captured> {
        let instance = handle.get::<String>()?;
        if !self.cloud.ids().contains(instance) {
            return Err(Error::bug(format!("captured {instance}, which is gone")));
        }
        let fingerprint = capture.fingerprint.map_or("none", Fingerprint::as_str);
        let content = format!("{} {} on {:?}", capture.name, capture.layer, capture.parent.map(|parent| &parent.id));
        let guard = self.create(cx, "image", &[("fingerprint", fingerprint)], &content).await?;
        Ok(Captured::new(self.image(guard.id())?, vec![guard]))
    }
    async fn boot(&self, cx: &Context, image: &Image) -> Result<Launched> {
        self.start(cx, &image.id).await
    }
}

#[async_trait]
impl Importer for FakePlugin {
    fn capabilities(&self) -> Capabilities {
        self.capabilities()
    }
    async fn check(&self, _: &Context, spec: &BuildSpec) -> Result<Checked> {
        self.checked(spec)
    }
    async fn import(&self, cx: &Context, _: &Checked, disk: &Image) -> Result<Captured> {
        let content = self.cloud.items().remove(&disk.id).map(|item| item.content).unwrap_or_default();
        let guard = self.create(cx, "import", &[("of", &disk.id)], &content).await?;
        Ok(Captured::new(self.image(guard.id())?, vec![guard]))
    }
    async fn boot(&self, cx: &Context, image: &Image) -> Result<Launched> {
        self.start(cx, &image.id).await
    }
}

#[async_trait]
impl Distributor for FakePlugin {
    async fn check(&self, _: &Context) -> Result<()> {
        if self.name.is_empty() {
            return Err(Error::invalid("name", &self.name, "a name for the pointers"));
        }
        Ok(())
    }
    async fn distribute(&self, cx: &Context, image: &ApprovedImage) -> Result<Vec<Captured>> {
        let image = image.image();
        if let Some(id) = self.copy_of(image) {
            return Ok(vec![Captured::new(self.image(&id)?, vec![])]);
        }
        let content = self.cloud.items().remove(&image.id).map(|item| item.content);
        let mut content = content.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("there is no {image}")))?;
        if self.spoils_copies {
            content.push_str(", spoiled");
        }
        let guard = self.create(cx, "copy", &[("copy-of", &image.id), ("by", &self.name)], &content).await?;
        Ok(vec![Captured::new(self.image(guard.id())?, vec![guard])])
    }
    async fn verify(&self, _: &Context, image: &ApprovedImage, copies: &[Image]) -> Result<()> {
        for copy in copies {
            self.cloud.note(format!("verify {} {}", self.name, copy.id));
            let (is, want) = (self.image(&copy.id)?.digest, &image.image().digest);
            if is != *want {
                let message = format!("copy {copy} is {is}, the image is {want}");
                return Err(Error::new(ErrorKind::PolicyViolation, message));
            }
        }
        Ok(())
    }
    async fn publish(&self, cx: &Context, copies: &[Image]) -> Result<Vec<Guard>> {
        let mut moved = vec![];
        for (n, copy) in copies.iter().enumerate() {
            let pointer = format!("pointer/{}-{n}", self.name);
            if self.cloud.value(&pointer) != json!(copy.id) {
                moved.push(self.point(cx, &pointer, &copy.id).await?);
            }
        }
        Ok(moved)
    }
}

/// A machine of the fake cloud. Every command succeeds and is noted in the cloud's calls; what it prints has its secrets.
#[derive(Clone, Debug)]
pub struct FakeMachine {
    cloud: FakeCloud,
    info: MachineInfo,
}

impl FakeMachine {
    /// The machine of an instance.
    pub fn new(cloud: &FakeCloud, instance: &str) -> Self {
        let info = MachineInfo::new(instance, platform(), true).with_shell(format!("fake ssh {instance}"));
        Self { cloud: cloud.clone(), info }
    }
    async fn call(&self, cx: &Context, line: &str) -> Result<()> {
        self.cloud.note(format!("{} {line}", self.info.id));
        cx.sleep(Duration::from_millis(5)).await
    }
}

#[async_trait]
impl Machine for FakeMachine {
    fn info(&self) -> &MachineInfo {
        &self.info
    }
    async fn exec(&self, cx: &Context, command: Command) -> Result<ExecOutput> {
        command.secrets.values().for_each(|secret| cx.learn_secret(secret));
        self.call(cx, &format!("exec {}", command.script)).await?;
        let printed: BTreeMap<&str, &str> = command.secrets.iter().map(|(k, v)| (k.as_str(), v.expose())).collect();
        let printed = format!("{}: {printed:?}\n", command.script);
        cx.output(Stream::Stdout, &printed);
        Ok(ExecOutput::new(Exit::Code(0), printed.into_bytes(), vec![]))
    }
    async fn upload(&self, cx: &Context, upload: Upload) -> Result<()> {
        self.call(cx, &format!("upload {}", upload.destination)).await
    }
    async fn download(&self, cx: &Context, source: &str, _: &Path) -> Result<()> {
        self.call(cx, &format!("download {source}")).await
    }
    async fn reboot(&self, cx: &Context) -> Result<()> {
        self.call(cx, "reboot").await
    }
}

//! The fake plugin with one thing wrong.

use image_conformance::{
    DistributorRig, Rig,
    fake::{FakeCloud, FakePlugin, FakeProvisioner, FakeScanner, FakeValidator},
};
use image_core::{
    ApprovedImage, BuildSpec, Builder, Cached, Capabilities, Capture, Captured, Checked, Context, Distributor, Error,
    ErrorKind, Fingerprint, Found, Guard, Handle, Image, Keep, Launch, Launched, Layer, Pipeline, Query, Ready,
    Resource, Result, Role, Scope, Secret, Undo, Undoers, Undone, async_trait,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::sleep;

/// What is wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum How {
    Right,
    AnswersForOthers,
    BelievesCopies,
    BypassesJournal,
    CopiesAgain,
    CreatesInCheck,
    FindsByIdOnly,
    IgnoresCancel,
    KeepsItsImage,
    LeaksOnPanic,
    PublishesEarly,
    PublishesPastContext,
    RefusesLate,
    RestoresBlindly,
    ReusesUncommitted,
    SwallowsErrors,
    TellsSecrets,
    UndoesOnce,
}

#[derive(Clone, Debug)]
pub(crate) struct WrongPlugin {
    plugin: FakePlugin,
    how: How,
}

impl WrongPlugin {
    fn is(&self, how: How) -> bool {
        self.how == how
    }
    fn cloud(&self) -> &FakeCloud {
        self.plugin.cloud()
    }
    async fn loose_volume(&self) -> String {
        self.cloud().create("volume", BTreeMap::new(), "").await
    }
}

#[async_trait]
impl Undo for WrongPlugin {
    fn owner(&self) -> &str {
        self.plugin.owner()
    }
    fn scopes(&self) -> Vec<Scope> {
        self.plugin.scopes()
    }
    async fn identity(&self, cx: &Context, configured: &Scope) -> Result<Scope> {
        if self.is(How::AnswersForOthers) {
            return Ok(configured.clone());
        }
        self.plugin.identity(cx, configured).await
    }
    async fn undo(&self, cx: &Context, created: &Resource) -> Result<Undone> {
        if self.is(How::FindsByIdOnly) && created.id.is_none() {
            return Ok(Undone::Absent);
        }
        let done = self.plugin.undo(cx, created).await?;
        let deleted = format!("delete {}", created.name());
        if self.is(How::UndoesOnce) && done == Undone::Absent && self.cloud().calls().contains(&deleted) {
            return Err(Error::new(ErrorKind::NotFound, "no such thing"));
        }
        Ok(done)
    }
    async fn restore(&self, cx: &Context, changed: &Resource) -> Result<Undone> {
        if let (How::RestoresBlindly, Some(id), Some(change)) = (self.how, &changed.id, &changed.change) {
            self.cloud().set_value(id, change.before.clone());
            return Ok(Undone::Gone);
        }
        self.plugin.restore(cx, changed).await
    }
    async fn keep(&self, cx: &Context, created: &Resource, keep: &Keep) -> Result<()> {
        self.plugin.keep(cx, created, keep).await
    }
    async fn find(&self, cx: &Context, query: &Query) -> Result<Vec<Found>> {
        self.plugin.find(cx, query).await
    }
}

#[async_trait]
impl Builder for WrongPlugin {
    fn capabilities(&self) -> Capabilities {
        Builder::capabilities(&self.plugin)
    }
    async fn check(&self, cx: &Context, spec: &BuildSpec) -> Result<Checked> {
        if self.is(How::CreatesInCheck) {
            self.loose_volume().await;
        }
        if self.is(How::TellsSecrets) {
            cx.message("logging in with hunter22");
        }
        if self.is(How::RefusesLate) {
            return Builder::check(&FakePlugin::new(self.cloud()), cx, spec).await;
        }
        Builder::check(&self.plugin, cx, spec).await
    }
    async fn lookup(&self, cx: &Context, checked: &Checked, fingerprint: &Fingerprint) -> Result<Option<Cached>> {
        if self.is(How::ReusesUncommitted) {
            let tagged = self.cloud().visible().into_iter();
            let mut tagged = tagged.filter(|(_, item)| item.tag("fingerprint") == Some(fingerprint.as_str()));
            return tagged.next().map(|(id, _)| Ok(Cached::new(self.plugin.image(&id)?, Role::Image))).transpose();
        }
        self.plugin.lookup(cx, checked, fingerprint).await
    }
    async fn launch(&self, cx: &Context, launch: Launch<'_>) -> Result<Launched> {
        if self.is(How::RefusesLate) {
            let _key = self.plugin.create(cx, "key", &[], "").await?;
            return Err(Error::invalid("source", "", "the name of a base"));
        }
        self.plugin.launch(cx, launch).await
    }
    async fn capture(&self, cx: &Context, handle: Handle, capture: Capture<'_>) -> Result<Captured> {
        match self.how {
            How::BypassesJournal => drop(self.loose_volume().await),
            How::IgnoresCancel => {
                let (this, cloud) = (self.clone(), self.cloud().clone());
                let work = tokio::spawn(async move {
                    sleep(Duration::from_millis(50)).await;
                    this.loose_volume().await
                });
                if let Ok(volume) = work.await {
                    cloud.remove(&volume);
                }
            }
            How::LeaksOnPanic => {
                // Cleans up on success and on error, so only a panic or a cancel shows what is wrong.
                let volume = self.loose_volume().await;
                let captured = self.plugin.capture(cx, handle, capture).await;
                self.cloud().remove(&volume);
                return captured;
            }
            How::KeepsItsImage => {
                let captured = self.plugin.capture(cx, handle, capture).await?;
                self.cloud().tag(&captured.image.id, [("state", Some("kept".into())), ("expires", None)]).await;
                return Ok(captured);
            }
            _ => {}
        }
        self.plugin.capture(cx, handle, capture).await
    }
    async fn boot(&self, cx: &Context, image: &Image) -> Result<Launched> {
        Builder::boot(&self.plugin, cx, image).await
    }
}

#[async_trait]
impl Distributor for WrongPlugin {
    async fn check(&self, cx: &Context) -> Result<()> {
        Distributor::check(&self.plugin, cx).await
    }
    async fn distribute(&self, cx: &Context, image: &ApprovedImage) -> Result<Vec<Captured>> {
        let copies = match self.how {
            How::CopiesAgain => {
                let content = self.cloud().items()[&image.image().id].content.clone();
                let guard = self.plugin.create(cx, "copy", &[], &content).await?;
                vec![Captured::new(self.plugin.image(guard.id())?, vec![guard])]
            }
            How::SwallowsErrors => self.plugin.distribute(cx, image).await.unwrap_or_default(),
            _ => self.plugin.distribute(cx, image).await?,
        };
        if self.is(How::PublishesEarly) {
            self.cloud().set_value("pointer/a-0", json!(copies[0].image.id));
        }
        Ok(copies)
    }
    async fn verify(&self, cx: &Context, image: &ApprovedImage, copies: &[Image]) -> Result<()> {
        if self.is(How::BelievesCopies) {
            return Ok(());
        }
        self.plugin.verify(cx, image, copies).await
    }
    async fn publish(&self, cx: &Context, copies: &[Image]) -> Result<Vec<Guard>> {
        if self.is(How::PublishesPastContext) {
            self.cloud().set_value("pointer/a-0", json!(copies[0].id));
            return Ok(vec![]);
        }
        self.plugin.publish(cx, copies).await
    }
}

/// A cloud with a wrong plugin on it.
#[derive(Debug)]
pub(crate) struct WrongRig {
    cloud: FakeCloud,
    how: How,
}

impl WrongRig {
    pub(crate) fn new(how: How) -> Self {
        let cloud = FakeCloud::default();
        Self { cloud, how }
    }
    fn plugin(&self) -> WrongPlugin {
        WrongPlugin { plugin: FakePlugin::new(&self.cloud), how: self.how }
    }
    fn pipeline_of(&self, builder: WrongPlugin) -> Pipeline<Ready> {
        let shell = FakeProvisioner::new("shell", "install").secret(Secret::new("hunter22"));
        Pipeline::new("golden")
            .builder(builder)
            .layer(Layer::new("base").provision(shell))
            .validator(FakeValidator::passing())
            .scanner(FakeScanner::covering(9))
            .distributor(self.plugin())
    }
}

impl Rig for WrongRig {
    fn pipeline(&self) -> Pipeline<Ready> {
        self.pipeline_of(self.plugin())
    }
    fn foreign(&self) -> Undoers {
        let other = FakePlugin::new(&FakeCloud::new("222")).configured_for(self.cloud.account());
        Undoers::new().with(Arc::new(WrongPlugin { plugin: other, how: self.how }))
    }
    fn live(&self) -> BTreeSet<String> {
        self.cloud.ids()
    }
    fn values(&self) -> BTreeMap<String, Value> {
        Rig::values(&self.cloud)
    }
    fn overwrite(&self, id: &str, value: Value) -> bool {
        self.cloud.overwrite(id, value)
    }
    fn snapshot(&self) -> Option<Arc<dyn Rig>> {
        Some(Arc::new(Self { cloud: self.cloud.copy(), how: self.how }))
    }
    fn refused(&self) -> Vec<Pipeline<Ready>> {
        let plugin = FakePlugin::new(&self.cloud).source("");
        vec![self.pipeline_of(WrongPlugin { plugin, how: self.how })]
    }
    fn secrets(&self) -> Vec<String> {
        vec!["hunter22".into()]
    }
}

impl DistributorRig for WrongRig {
    fn distributor(&self) -> Arc<dyn Distributor> {
        Arc::new(self.plugin())
    }
    fn image(&self) -> Image {
        let with_image = self.cloud.clone().with_image("image-of-distributor-tests");
        FakePlugin::new(&with_image).image("image-of-distributor-tests").unwrap()
    }
    fn corrupt(&self, copy: &Image) {
        self.cloud.corrupt(&copy.id);
    }
}

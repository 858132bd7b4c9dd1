//! A cloud, journals that fail, events, and stages with a script of their own.

use image_conformance::fake::{FakeCloud, FakePlugin, FakeProvisioner, FakeScanner, FakeValidator};
use image_core::{
    Context, Entry, Error, ErrorKind, Event, EventSink, Faults, Journal, JournalStore, Layer, MemoryStore, Pipeline,
    Ready, Result, Undoers, WantsBuilder, async_trait,
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

pub(crate) const RUN: &str = "r";

pub(crate) async fn context(store: &MemoryStore) -> Context {
    Context::builder(store.clone()).run_id(RUN).open().await.unwrap()
}

/// A context for plugins called without a pipeline.
pub(crate) async fn open(cloud: &FakeCloud, store: &MemoryStore) -> (Context, FakePlugin) {
    let cx = context(store).await;
    cx.register(undoers(cloud)).unwrap();
    (cx, FakePlugin::new(cloud))
}

pub(crate) fn undoers(cloud: &FakeCloud) -> Undoers {
    Undoers::new().with(Arc::new(FakePlugin::new(cloud)))
}

pub(crate) async fn recover(store: &MemoryStore, undoers: Undoers) -> Result<image_core::Recovered> {
    image_core::recover(Arc::new(store.clone()), RUN, undoers).await
}

pub(crate) async fn later(store: &MemoryStore, run: &str, by: Duration) -> Context {
    Context::builder(store.clone()).run_id(run).faults(Faults::clock_ahead(by)).open().await.unwrap()
}

/// Stages, without a builder and layers.
pub(crate) fn gates() -> Pipeline<WantsBuilder> {
    Pipeline::new("golden").validator(FakeValidator::passing()).scanner(FakeScanner::covering(9))
}

pub(crate) fn layer(name: &str, script: &str) -> Layer {
    Layer::new(name).provision(FakeProvisioner::new("shell", script))
}

/// One layer, one distributor, every gate.
pub(crate) fn pipeline(cloud: &FakeCloud) -> Pipeline<Ready> {
    let plugin = FakePlugin::new(cloud);
    gates().layer(layer("base", "install")).builder(plugin.clone()).distributor(plugin)
}

pub(crate) fn calls(cloud: &FakeCloud, prefix: &str) -> Vec<String> {
    cloud.calls().into_iter().filter(|call| call.starts_with(prefix)).collect()
}

/// A journal that stops being writable at the first record with this text, which it may or may not have written.
#[derive(Clone, Debug)]
pub(crate) struct Failing {
    pub(crate) store: MemoryStore,
    pub(crate) from: &'static str,
    pub(crate) written: bool,
}

#[derive(Debug)]
struct FailingJournal {
    settings: Failing,
    journal: Box<dyn Journal>,
    broken: bool,
}

#[async_trait]
impl JournalStore for Failing {
    async fn runs(&self) -> Result<Vec<String>> {
        self.store.runs().await
    }
    async fn claim(&self, run: &str) -> Result<Box<dyn Journal>> {
        let journal = self.store.claim(run).await?;
        Ok(Box::new(FailingJournal { settings: self.clone(), journal, broken: false }))
    }
    async fn entries(&self, run: &str) -> Result<Vec<Entry>> {
        self.store.entries(run).await
    }
}

#[async_trait]
impl Journal for FailingJournal {
    async fn append(&mut self, entry: &Entry) -> Result<()> {
        let hit = entry.to_line()?.contains(self.settings.from);
        if !self.broken && (!hit || self.settings.written) {
            self.journal.append(entry).await?;
        }
        self.broken |= hit;
        if self.broken { Err(Error::new(ErrorKind::Unavailable, "journal lost")) } else { Ok(()) }
    }
    async fn entries(&self) -> Result<Vec<Entry>> {
        self.journal.entries().await
    }
}

/// Collects events.
#[derive(Clone, Debug, Default)]
pub(crate) struct Events(Arc<Mutex<Vec<Event>>>);

impl EventSink for Events {
    fn emit(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

impl Events {
    pub(crate) fn json(&self) -> String {
        serde_json::to_string(&*self.0.lock().unwrap()).unwrap()
    }
}

/// Undoes as the plugin inside does.
macro_rules! delegate_undo {
    ($plugin:ident) => {
        #[image_core::async_trait]
        impl image_core::Undo for $plugin {
            fn owner(&self) -> &str {
                self.0.owner()
            }
            fn scopes(&self) -> Vec<image_core::Scope> {
                self.0.scopes()
            }
            async fn identity(&self, cx: &Context, scope: &image_core::Scope) -> image_core::Result<image_core::Scope> {
                self.0.identity(cx, scope).await
            }
            async fn undo(
                &self,
                cx: &Context,
                created: &image_core::Resource,
            ) -> image_core::Result<image_core::Undone> {
                self.0.undo(cx, created).await
            }
            async fn restore(
                &self,
                cx: &Context,
                changed: &image_core::Resource,
            ) -> image_core::Result<image_core::Undone> {
                self.0.restore(cx, changed).await
            }
            async fn keep(
                &self,
                cx: &Context,
                created: &image_core::Resource,
                keep: &image_core::Keep,
            ) -> image_core::Result<()> {
                self.0.keep(cx, created, keep).await
            }
            async fn find(
                &self,
                cx: &Context,
                query: &image_core::Query,
            ) -> image_core::Result<Vec<image_core::Found>> {
                self.0.find(cx, query).await
            }
        }
    };
}
pub(crate) use delegate_undo;

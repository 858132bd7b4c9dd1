//! The backend: items with tags, values, and its calls.

use image_core::{Kind, Scope, State, Timestamp};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// How long things take.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// A call on its way, each way.
    call: Duration,
    /// Until readers see what was created.
    lag: Duration,
    /// Until an instance is gone.
    termination: Duration,
    /// The longest a call may take.
    deadline: Duration,
    /// How long an absence proves nothing; longer than the lag.
    settle: Duration,
}

/// The habits of a real cloud.
const REAL: Pace = Pace {
    call: Duration::from_millis(5),
    lag: Duration::from_secs(20),
    termination: Duration::from_secs(15),
    deadline: Duration::from_secs(60),
    settle: Duration::from_secs(30),
};
/// For tests in real time.
const PROMPT: Pace = Pace {
    call: Duration::from_millis(1),
    lag: Duration::from_millis(20),
    termination: Duration::from_millis(15),
    deadline: Duration::from_secs(1),
    settle: Duration::from_millis(40),
};

/// Something in the cloud.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Item {
    /// `key`, `instance`, `image`, `import` or `copy`.
    pub kind: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its bytes.
    pub content: String,
    visible_at: Instant,
    gone_at: Option<Instant>,
}

impl Item {
    /// A tag.
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.tags.get(key).map(String::as_str)
    }
    /// Its `state` tag.
    pub fn state(&self) -> Option<State> {
        self.tag("state").and_then(State::parse)
    }
    /// Its `expires` tag.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.tag("expires").and_then(|millis| millis.parse().ok()).map(Timestamp::from_millis)
    }
}

#[derive(Clone, Debug)]
struct Backend {
    account: Scope,
    items: BTreeMap<String, Item>,
    values: BTreeMap<String, Value>,
    calls: Vec<String>,
    made: u64,
}

/// An in-memory cloud of one account. Clones are the same cloud; [`copy`](Self::copy) is another one.
#[derive(Clone, Debug)]
pub struct FakeCloud(Arc<Mutex<Backend>>, Pace);

impl Default for FakeCloud {
    fn default() -> Self {
        Self::new("111")
    }
}

impl FakeCloud {
    /// An empty cloud of an account.
    pub fn new(account: &str) -> Self {
        let account = Scope::new(account);
        let empty = Backend { account, items: BTreeMap::new(), values: BTreeMap::new(), calls: vec![], made: 0 };
        Self(Arc::new(Mutex::new(empty)), REAL)
    }
    /// The same cloud a thousand times quicker, for tests in real time.
    #[must_use]
    pub fn prompt(mut self) -> Self {
        self.1 = PROMPT;
        self
    }
    /// A kind of item, with the times of this cloud.
    pub fn kind(&self, name: &str) -> Kind {
        Kind::new(name, self.1.deadline, self.1.settle)
    }
    /// An independent cloud in the same state.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.lock().clone())), self.1)
    }
    /// The same cloud with a kept image of this id and content.
    #[must_use]
    pub fn with_image(self, id: &str) -> Self {
        let tags = BTreeMap::from([("state".to_owned(), State::Kept.as_str().to_owned())]);
        let item =
            Item { kind: "image".into(), tags, content: id.to_owned(), visible_at: Instant::now(), gone_at: None };
        self.lock().items.insert(id.to_owned(), item);
        self
    }
    fn lock(&self) -> MutexGuard<'_, Backend> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The account that whoever calls is in.
    pub fn account(&self) -> Scope {
        self.lock().account.clone()
    }
    /// All items, visible or not.
    pub fn items(&self) -> BTreeMap<String, Item> {
        self.lock().items.clone()
    }
    /// Ids of all items, visible or not.
    pub fn ids(&self) -> BTreeSet<String> {
        self.lock().items.keys().cloned().collect()
    }
    /// All values.
    pub fn values(&self) -> BTreeMap<String, Value> {
        self.lock().values.clone()
    }
    /// Every mutating call so far, for example `create image-3`, and what plugins noted with [`note`](Self::note).
    pub fn calls(&self) -> Vec<String> {
        self.lock().calls.clone()
    }
    /// Adds a line to [`calls`](Self::calls).
    pub fn note(&self, line: impl Into<String>) {
        self.lock().calls.push(line.into());
    }

    /// Creates an item: the call takes a while, and readers see the item later.
    pub async fn create(&self, kind: &str, tags: BTreeMap<String, String>, content: &str) -> String {
        self.create_lagging(kind, tags, content, self.1.lag).await
    }
    /// As [`create`](Self::create), visible to readers only after `lag`.
    pub async fn create_lagging(
        &self,
        kind: &str,
        tags: BTreeMap<String, String>,
        content: &str,
        lag: Duration,
    ) -> String {
        sleep(self.1.call).await;
        let id = {
            let mut backend = self.lock();
            backend.made += 1;
            let id = format!("{kind}-{}", backend.made);
            backend.calls.push(format!("create {id}"));
            let (kind, content, visible_at) = (kind.to_owned(), content.to_owned(), Instant::now() + lag);
            backend.items.insert(id.clone(), Item { kind, tags, content, visible_at, gone_at: None });
            id
        };
        sleep(self.1.call).await;
        id
    }
    /// Items that a reader sees now.
    pub fn visible(&self) -> BTreeMap<String, Item> {
        let now = Instant::now();
        let backend = self.lock();
        let seen = backend.items.iter().filter(|(_, item)| item.visible_at <= now);
        seen.map(|(id, item)| (id.clone(), item.clone())).collect()
    }
    /// Asks to delete an item that is visible: when it is gone, or `None` where there is none.
    pub async fn delete(&self, id: &str) -> Option<Instant> {
        sleep(self.1.call).await;
        let (now, mut backend) = (Instant::now(), self.lock());
        let item = backend.items.get_mut(id).filter(|item| item.visible_at <= now)?;
        let takes = if item.kind == "instance" { self.1.termination } else { Duration::ZERO };
        let gone_at = *item.gone_at.get_or_insert(now + takes);
        if gone_at <= now {
            backend.calls.push(format!("delete {id}"));
            backend.items.remove(id);
        }
        Some(gone_at)
    }
    /// Deletes an item at once, as a test or an outsider does.
    pub fn remove(&self, id: &str) -> Option<Item> {
        self.lock().items.remove(id)
    }
    /// Changes tags of an item; `None` removes one. `false` where there is no such item.
    pub async fn tag<const N: usize>(&self, id: &str, tags: [(&str, Option<String>); N]) -> bool {
        sleep(self.1.call).await;
        let mut backend = self.lock();
        let Some(item) = backend.items.get_mut(id) else { return false };
        for (key, value) in tags {
            match value {
                Some(value) => drop(item.tags.insert(key.to_owned(), value)),
                None => drop(item.tags.remove(key)),
            }
        }
        backend.calls.push(format!("tag {id}"));
        true
    }
    /// A value, `last-week` where nobody has set it.
    pub fn value(&self, key: &str) -> Value {
        self.lock().values.get(key).cloned().unwrap_or_else(|| json!("last-week"))
    }
    /// Sets a value.
    pub fn set_value(&self, key: &str, value: Value) {
        let mut backend = self.lock();
        backend.calls.push(format!("set {key}"));
        backend.values.insert(key.to_owned(), value);
    }
    /// Changes the bytes of an item behind everybody's back.
    pub fn corrupt(&self, id: &str) {
        if let Some(item) = self.lock().items.get_mut(id) {
            item.content.push_str(", bit flipped");
        }
    }
}

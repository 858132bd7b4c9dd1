//! Many pipelines as one piece of work: what builds on what, how much runs at once, and what is built only once.

mod outcome;
mod schedule;
#[cfg(test)]
mod tests;

pub use outcome::{GraphOutcome, GraphReport, NodeOutcome, NodeReport};

use crate::{Canceller, ContextBuilder, Error, Pipeline, Ready, Result, Undoers, journal::check_run_id};
use schedule::Schedule;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Pipelines by name, what each of them builds on, and limits on how many are built at once.
///
/// - A node starts when all it depends on has succeeded. A failure stops its descendants only: they are skipped, with
///   the cause.
/// - Equal work is built once: where the last layers of two nodes have the same fingerprint and the same builder, scopes
///   and location, the later one waits and then finds the image of the earlier one by
///   [`Builder::lookup`](crate::Builder::lookup). When the earlier one could not build it, the later one is skipped; when
///   a later gate of the earlier one said no, the later one builds for itself.
/// - Each node is a run of its own, with its own journal and the id `<graph run>-<node>`, so that
///   [`recover`](crate::recover()) works on it after a crash. Its timeout begins when it starts, not while it waits.
///
/// A node is planned to learn where it is built and what comes out, and checked once more when it starts.
#[derive(Clone, Debug, Default)]
pub struct BuildGraph {
    nodes: Vec<Node>,
    /// The first starts only after the second has succeeded.
    after: Vec<(String, String)>,
    limits: Limits,
}

#[derive(Clone, Debug)]
struct Node {
    name: String,
    pipeline: Pipeline<Ready>,
    source: Option<String>,
}

/// How many nodes are built at once; what is not named is not limited.
#[derive(Clone, Debug, Default)]
struct Limits {
    total: Option<usize>,
    providers: BTreeMap<String, usize>,
    locations: BTreeMap<String, usize>,
}

impl BuildGraph {
    /// An empty graph without limits.
    pub fn new() -> Self {
        Self::default()
    }
    /// Adds a node that starts from its pipeline's own source.
    #[must_use]
    pub fn node(mut self, name: impl Into<String>, pipeline: Pipeline<Ready>) -> Self {
        self.nodes.push(Node { name: name.into(), pipeline, source: None });
        self
    }
    /// Adds a node that starts from another node's first committed image; it takes the place of the source in the
    /// pipeline's [`BuildSpec`](crate::BuildSpec).
    #[must_use]
    pub fn node_from(mut self, name: impl Into<String>, source: impl Into<String>, pipeline: Pipeline<Ready>) -> Self {
        self.nodes.push(Node { name: name.into(), pipeline, source: Some(source.into()) });
        self
    }
    /// Lets a node start only after another one has succeeded, without building on its image.
    #[must_use]
    pub fn after(mut self, node: impl Into<String>, earlier: impl Into<String>) -> Self {
        self.after.push((node.into(), earlier.into()));
        self
    }
    /// Limits how many nodes are built at once.
    #[must_use]
    pub fn limit(mut self, nodes: usize) -> Self {
        self.limits.total = Some(nodes);
        self
    }
    /// Limits how many nodes are built at once by the builder with this [`Undo::owner`](crate::Undo::owner).
    #[must_use]
    pub fn limit_provider(mut self, owner: impl Into<String>, nodes: usize) -> Self {
        self.limits.providers.insert(owner.into(), nodes);
        self
    }
    /// Limits how many nodes are built at once in this [`Checked::location`](crate::Checked::location).
    #[must_use]
    pub fn limit_location(mut self, location: impl Into<String>, nodes: usize) -> Self {
        self.limits.locations.insert(location.into(), nodes);
        self
    }
    /// Who undoes what the pipelines create: give it to [`recover`](crate::recover()) after a crash.
    pub fn undoers(&self) -> Undoers {
        let all: Vec<Undoers> = self.nodes.iter().map(|node| node.pipeline.undoers()).collect();
        all.iter().flat_map(Undoers::iter).fold(Undoers::new(), |all, (_, undoer)| all.with(Arc::clone(undoer)))
    }

    /// Starts the graph on a task of its own. Must be called inside a Tokio runtime.
    ///
    /// The settings hold for every node: its journal store, sinks and times. Their run id is the prefix of the nodes' own.
    ///
    /// # Errors
    /// `InvalidInput` for a name that two nodes have or that is not fit for a run id, an unknown source, a cycle, a limit
    /// of zero, or a graph without nodes; nothing was started then.
    pub fn start(&self, settings: ContextBuilder) -> Result<GraphHandle> {
        let (run, settings) = settings.with_fixed_run_id();
        let order = self.check(&run)?;
        let cancel = CancellationToken::new();
        let control = Control { cancel: cancel.clone(), running: Arc::default() };
        let task = tokio::spawn(Schedule::new(self.clone(), order, run.clone(), settings, control.clone()).run());
        Ok(GraphHandle { run, control, _cancel_on_drop: cancel.drop_guard(), task })
    }
    /// Runs to the end. Dropping the future cancels the graph.
    ///
    /// # Errors
    /// As [`start`](Self::start) and [`GraphHandle::wait`].
    pub async fn run(&self, settings: ContextBuilder) -> Result<GraphOutcome> {
        self.start(settings)?.wait().await
    }

    /// Refuses what cannot work, and resolves names.
    fn check(&self, run: &str) -> Result<Order> {
        if self.nodes.is_empty() {
            return Err(Error::invalid("graph nodes", "empty", "at least one node"));
        }
        let limits = self.limits.providers.iter().chain(&self.limits.locations);
        let limits = limits.map(|(name, limit)| (name.as_str(), *limit));
        if let Some((name, _)) = limits.chain(self.limits.total.map(|n| ("the graph", n))).find(|(_, n)| *n == 0) {
            return Err(Error::invalid(&format!("limit of {name}"), 0, "at least 1"));
        }
        let mut index = BTreeMap::new();
        for (n, Node { name, .. }) in self.nodes.iter().enumerate() {
            check_run_id(&node_run_id(run, name))?;
            if name.is_empty() || index.insert(name.as_str(), n).is_some() {
                return Err(Error::invalid("graph node", name, "a name that no other node has"));
            }
        }
        let find = |field: &str, name: &String| {
            index.get(name.as_str()).copied().ok_or_else(|| Error::invalid(field, name, "the name of a node"))
        };
        let mut dependencies = vec![];
        for Node { name, source, .. } in &self.nodes {
            let source = source.iter().map(|source| find(&format!("source of graph node {name}"), source));
            dependencies.push(source.collect::<Result<Vec<usize>>>()?);
        }
        for (node, earlier) in &self.after {
            let node = find("graph node", node)?;
            dependencies[node].push(find("earlier graph node", earlier)?);
        }
        let sorted = sort(&dependencies).map_err(|cyclic| {
            let names: Vec<&str> = cyclic.iter().map(|n| self.nodes[*n].name.as_str()).collect();
            Error::invalid("graph nodes", names.join(", "), "nodes that do not depend on themselves")
        })?;
        Ok(Order { dependencies, sorted })
    }
}

/// Who comes before whom, as numbers of nodes.
#[derive(Debug)]
struct Order {
    /// What each node depends on.
    dependencies: Vec<Vec<usize>>,
    /// All nodes, none before what it depends on.
    sorted: Vec<usize>,
}

/// Sorts topologically; the error is what is on a cycle, or behind one.
fn sort(dependencies: &[Vec<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut sorted = vec![];
    let mut done = vec![false; dependencies.len()];
    let mut left: Vec<usize> = (0..dependencies.len()).collect();
    while !left.is_empty() {
        let (free, bound): (Vec<usize>, Vec<usize>) =
            left.into_iter().partition(|n| dependencies[*n].iter().all(|earlier| done[*earlier]));
        if free.is_empty() {
            return Err(bound);
        }
        free.iter().for_each(|n| done[*n] = true);
        sorted.extend(free);
        left = bound;
    }
    Ok(sorted)
}

fn node_run_id(run: &str, node: &str) -> String {
    format!("{run}-{node}")
}

/// How a graph under way is reached from outside.
#[derive(Clone, Debug)]
struct Control {
    cancel: CancellationToken,
    running: Arc<Mutex<BTreeMap<String, Canceller>>>,
}

impl Control {
    /// The runs of the nodes that are being built.
    fn running(&self) -> MutexGuard<'_, BTreeMap<String, Canceller>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A graph under way. Dropping it cancels every node, and each still unwinds while the runtime lives.
#[must_use = "dropping it cancels the graph"]
#[derive(Debug)]
pub struct GraphHandle {
    run: String,
    control: Control,
    _cancel_on_drop: DropGuard,
    task: JoinHandle<GraphOutcome>,
}

impl GraphHandle {
    /// The graph's run id: the prefix of its nodes' run ids.
    pub fn run_id(&self) -> &str {
        &self.run
    }
    /// Asks every node to stop and to undo what it did. Returns at once.
    pub fn cancel(&self) {
        self.control.cancel.cancel();
    }
    /// A handle to cancel or resume one node with, while it is being built.
    pub fn canceller(&self, node: &str) -> Option<Canceller> {
        self.control.running().get(node).cloned()
    }
    /// Waits until every node has ended, its cleanup included.
    ///
    /// # Errors
    /// `Cancelled` or `Internal` when the runtime ended first; [`recover`](crate::recover()) the nodes' runs then.
    pub async fn wait(mut self) -> Result<GraphOutcome> {
        Ok((&mut self.task).await?)
    }
}

//! The one task that decides what happens next; it alone knows the state of every node, so there is nothing to lock.

use super::{BuildGraph, Control, GraphOutcome, Limits, Node, NodeOutcome, Order, node_run_id};
use crate::{ContextBuilder, Error, ErrorKind, Fingerprint, Pipeline, Plan, Ready, Result, RunError, Scope};
use std::{
    collections::{BTreeMap, HashMap},
    pin::pin,
};
use tokio::task::{self, JoinError, JoinSet};

/// Plans are cheap but ask the providers, which throttle.
const PLANS_AT_ONCE: usize = 16;

/// What two nodes have in common that would build the same thing in the same place.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Work {
    owner: String,
    scopes: Vec<Scope>,
    location: String,
    fingerprint: Fingerprint,
}

/// What a node takes up while it is built.
#[derive(Clone, Debug)]
struct Slot {
    owner: String,
    location: String,
    /// `None` when it cannot be told whether another node would build the same.
    work: Option<Work>,
}

impl Slot {
    fn new(plan: Plan, scopes: Vec<Scope>) -> Self {
        let Plan { builder: owner, location, mut layers, .. } = plan;
        let fingerprint = layers.pop().and_then(|last| last.fingerprint);
        let work = |fingerprint| Work { owner: owner.clone(), scopes, location: location.clone(), fingerprint };
        Self { work: fingerprint.map(work), owner, location }
    }
}

#[derive(Debug)]
enum State {
    /// Waits for what it depends on, or for its turn to be planned.
    Waiting,
    Planning,
    /// Waits for room, or for equal work.
    Planned(Slot),
    Building(Slot),
    Ended(NodeOutcome),
}

/// What a task brings back.
#[derive(Debug)]
enum Step {
    Planned(Result<Slot>),
    Built(NodeOutcome),
}

#[derive(Debug)]
pub(super) struct Schedule {
    graph: BuildGraph,
    dependencies: Vec<Vec<usize>>,
    run: String,
    settings: ContextBuilder,
    control: Control,
    states: Vec<State>,
    /// Nodes that wait or are planned; none stands before what it depends on.
    pending: Vec<usize>,
    /// Who builds it, or has built it.
    works: BTreeMap<Work, usize>,
    planning: usize,
    building: Building,
    tasks: JoinSet<Step>,
    nodes: HashMap<task::Id, usize>,
}

/// What is being built, counted as the limits count.
#[derive(Debug, Default)]
struct Building {
    total: usize,
    providers: BTreeMap<String, usize>,
    locations: BTreeMap<String, usize>,
}

impl Building {
    fn has_room(&self, slot: &Slot, limits: &Limits) -> bool {
        let below = |limit: Option<&usize>, used: Option<&usize>| limit.is_none_or(|limit| used.unwrap_or(&0) < limit);
        below(limits.total.as_ref(), Some(&self.total))
            && below(limits.providers.get(&slot.owner), self.providers.get(&slot.owner))
            && below(limits.locations.get(&slot.location), self.locations.get(&slot.location))
    }
    fn counts(&mut self, slot: &Slot) -> [&mut usize; 3] {
        let provider = self.providers.entry(slot.owner.clone()).or_default();
        [&mut self.total, provider, self.locations.entry(slot.location.clone()).or_default()]
    }
}

impl Schedule {
    pub(super) fn new(
        graph: BuildGraph,
        order: Order,
        run: String,
        settings: ContextBuilder,
        control: Control,
    ) -> Self {
        Self {
            states: graph.nodes.iter().map(|_| State::Waiting).collect(),
            graph,
            dependencies: order.dependencies,
            run,
            settings,
            control,
            pending: order.sorted,
            works: BTreeMap::new(),
            planning: 0,
            building: Building::default(),
            tasks: JoinSet::new(),
            nodes: HashMap::new(),
        }
    }

    pub(super) async fn run(mut self) -> GraphOutcome {
        loop {
            self.pending = std::mem::take(&mut self.pending).into_iter().filter(|n| !self.advance(*n)).collect();
            // While anything is pending something is under way, so a cancel needs no wake-up of its own.
            match self.tasks.join_next_with_id().await {
                Some(done) => self.note(done),
                None => break,
            }
        }
        let names = self.graph.nodes.into_iter().map(|node| node.name);
        let ended = |state| match state {
            State::Ended(outcome) => outcome,
            _ => failed(Error::bug("the graph ended before the node")),
        };
        GraphOutcome { run: self.run, nodes: names.zip(self.states.into_iter().map(ended)).collect() }
    }

    /// Moves a pending node on as far as it goes now; whether it is pending no more.
    fn advance(&mut self, n: usize) -> bool {
        if self.control.cancel.is_cancelled() && !matches!(self.states[n], State::Planning) {
            let cause = "the graph was cancelled".into();
            self.states[n] = State::Ended(NodeOutcome::Skipped { node: None, cause });
            return true;
        }
        match &self.states[n] {
            State::Waiting => self.advance_waiting(n),
            State::Planned(slot) => {
                let slot = slot.clone();
                self.advance_planned(n, slot)
            }
            State::Planning => false,
            State::Building(_) | State::Ended(_) => true,
        }
    }

    fn advance_waiting(&mut self, n: usize) -> bool {
        for earlier in &self.dependencies[n] {
            let State::Ended(outcome) = &self.states[*earlier] else { return false };
            if let Some(skipped) = outcome.stops(&self.graph.nodes[*earlier].name) {
                self.states[n] = State::Ended(skipped);
                return true;
            }
        }
        if self.planning == PLANS_AT_ONCE {
            return false;
        }
        // A source is the first of the dependencies.
        if let (Some(source), Some(earlier)) = (&self.graph.nodes[n].source, self.dependencies[n].first()) {
            let State::Ended(NodeOutcome::Passed(outcome)) = &self.states[*earlier] else { return false };
            let Some(image) = outcome.images.first() else {
                self.states[n] = State::Ended(failed(Error::bug(format!("node {source} passed without an image"))));
                return true;
            };
            self.graph.nodes[n].pipeline.definition.spec.source = Some(image.clone());
        }
        self.planning += 1;
        self.states[n] = State::Planning;
        let pipeline = self.graph.nodes[n].pipeline.clone();
        self.spawn(n, plan(pipeline, self.settings.clone(), self.control.clone()));
        false
    }

    fn advance_planned(&mut self, n: usize, slot: Slot) -> bool {
        if let Some(work) = &slot.work {
            let builds = *self.works.entry(work.clone()).or_insert(n);
            match &self.states[builds] {
                _ if builds == n => {}
                State::Ended(NodeOutcome::Failed(error)) if self.was_built(builds, error) => {
                    self.works.insert(work.clone(), n);
                }
                State::Ended(outcome) => {
                    if let Some(skipped) = outcome.stops(&self.graph.nodes[builds].name) {
                        self.states[n] = State::Ended(skipped);
                        return true;
                    }
                }
                _ => return false,
            }
        }
        if !self.building.has_room(&slot, &self.graph.limits) {
            return false;
        }
        self.building.counts(&slot).into_iter().for_each(|count| *count += 1);
        self.states[n] = State::Building(slot);
        let Node { name, pipeline, .. } = self.graph.nodes[n].clone();
        let settings = self.settings.clone().run_id(node_run_id(&self.run, &name));
        self.spawn(n, build(name, pipeline, settings, self.control.clone()));
        true
    }

    fn spawn(&mut self, n: usize, step: impl Future<Output = Step> + Send + 'static) {
        let task = self.tasks.spawn(step);
        self.nodes.insert(task.id(), n);
    }

    /// Notes how a task ended; a panic in it is its node's alone.
    fn note(&mut self, done: Result<(task::Id, Step), JoinError>) {
        let id = done.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let Some(n) = self.nodes.remove(&id) else { return };
        let planned = match std::mem::replace(&mut self.states[n], State::Waiting) {
            State::Building(slot) => {
                self.building.counts(&slot).into_iter().for_each(|count| *count -= 1);
                self.control.running().remove(&self.graph.nodes[n].name);
                false
            }
            _ => true,
        };
        self.planning -= usize::from(planned);
        self.states[n] = match done {
            Ok((_, Step::Planned(Ok(slot)))) => State::Planned(slot),
            Ok((_, Step::Planned(Err(cause)))) => State::Ended(failed(cause)),
            Ok((_, Step::Built(outcome))) => State::Ended(outcome),
            Err(e) => State::Ended(failed(e.into())),
        };
    }

    /// Whether all its layers were there when it failed.
    fn was_built(&self, n: usize, error: &RunError) -> bool {
        error.report.record.layers.len() == self.graph.nodes[n].pipeline.definition.layers.len()
    }
}

async fn plan(pipeline: Pipeline<Ready>, settings: ContextBuilder, control: Control) -> Step {
    let planned = async {
        let cx = settings.for_planning().open().await?;
        let plan = cx.race(pipeline.plan(&cx)).await?;
        Ok(Slot::new(plan, pipeline.state.builder.scopes()))
    };
    Step::Planned(tokio::select! {
        biased;
        () = control.cancel.cancelled() => Err(Error::new(ErrorKind::Cancelled, "the graph was cancelled")),
        planned = planned => planned,
    })
}

async fn build(name: String, pipeline: Pipeline<Ready>, settings: ContextBuilder, control: Control) -> Step {
    let cx = match settings.pipeline(pipeline.name()).open().await {
        Ok(cx) => cx,
        Err(cause) => return Step::Built(failed(cause)),
    };
    let handle = pipeline.start(&cx);
    let canceller = handle.canceller();
    control.running().insert(name, canceller.clone());
    let mut end = pin!(handle.wait());
    let ended = tokio::select! {
        biased;
        () = control.cancel.cancelled() => {
            canceller.cancel();
            end.await
        }
        ended = &mut end => ended,
    };
    Step::Built(match ended {
        Ok(outcome) => NodeOutcome::Passed(outcome.into()),
        Err(error) => NodeOutcome::Failed(error.into()),
    })
}

fn failed(cause: Error) -> NodeOutcome {
    NodeOutcome::Failed(Box::new(RunError::before_run(cause)))
}

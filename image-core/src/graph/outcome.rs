//! What became of a graph, node by node.

use crate::{ErrorKind, Image, Outcome, RunError, RunReport, StageOutcome};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What became of every node.
#[non_exhaustive]
#[derive(Debug)]
pub struct GraphOutcome {
    /// The graph's run id.
    pub run: String,
    /// By name.
    pub nodes: BTreeMap<String, NodeOutcome>,
}

/// What became of a node.
#[non_exhaustive]
#[derive(Debug)]
pub enum NodeOutcome {
    /// It failed or was cancelled.
    Failed(Box<RunError>),
    /// It made its images.
    Passed(Box<Outcome>),
    /// It was never started.
    Skipped {
        /// The node that failed; `None` when the graph was cancelled.
        node: Option<String>,
        /// Why.
        cause: String,
    },
}

impl NodeOutcome {
    /// What it made, where it passed.
    pub fn passed(&self) -> Option<&Outcome> {
        if let Self::Passed(outcome) = self { Some(outcome) } else { None }
    }
    /// Why it failed, where it was started.
    pub fn failed(&self) -> Option<&RunError> {
        if let Self::Failed(error) = self { Some(error) } else { None }
    }
    /// What becomes of a node that needs this one, with the first cause however far away it is; `None` when it may start.
    pub(super) fn stops(&self, name: &str) -> Option<Self> {
        let (node, cause) = match self {
            Self::Failed(error) => (Some(name.to_owned()), error.cause.chain()),
            Self::Passed(_) => return None,
            Self::Skipped { node, cause } => (node.clone(), cause.clone()),
        };
        Some(Self::Skipped { node, cause })
    }
}

/// The whole graph as one document.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct GraphReport {
    /// The graph's run id.
    pub run: String,
    /// Whether every node passed.
    pub success: bool,
    /// By name.
    pub nodes: BTreeMap<String, NodeReport>,
}

/// One node as a document.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct NodeReport {
    /// How it ended.
    pub outcome: StageOutcome,
    /// Why it did not pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What it made.
    pub images: Vec<Image>,
    /// Its run, where it was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunReport>,
}

impl GraphOutcome {
    /// Whether every node passed.
    pub fn is_success(&self) -> bool {
        self.nodes.values().all(|node| node.passed().is_some())
    }
    /// The whole graph as one document.
    pub fn report(&self) -> GraphReport {
        let nodes = self.nodes.iter().map(|(name, node)| (name.clone(), node.report())).collect();
        GraphReport { run: self.run.clone(), success: self.is_success(), nodes }
    }
}

impl NodeOutcome {
    fn report(&self) -> NodeReport {
        match self {
            Self::Failed(error) => {
                let cancelled = error.cause.kind() == ErrorKind::Cancelled;
                let outcome = if cancelled { StageOutcome::Cancelled } else { StageOutcome::Failed };
                let (reason, run) = (Some(error.cause.chain()), Some((*error.report).clone()));
                NodeReport { outcome, reason, images: vec![], run }
            }
            Self::Passed(passed) => {
                let (images, run) = (passed.images.clone(), Some(passed.report.clone()));
                NodeReport { outcome: StageOutcome::Passed, reason: None, images, run }
            }
            Self::Skipped { node, cause } => {
                let reason = node.as_ref().map_or_else(|| cause.clone(), |node| format!("node {node}: {cause}"));
                NodeReport { outcome: StageOutcome::Skipped, reason: Some(reason), images: vec![], run: None }
            }
        }
    }
}

//! The plan: a checked graph of steps.

use std::collections::BTreeMap;

use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use serde_json::Value;

use crate::catalog::Metric;
use crate::expand::{Environment, Origin};
use crate::plugin::PluginDescription;
use crate::problem::{Problem, Span};
use crate::schema::{ColumnType, PortType};
use crate::taxonomy::Taxonomy;

/// A step's place in its plan; dense from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId(pub u32);

impl StepId {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a step reads on one of its ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepInput {
    pub port: &'static str,
    pub step: StepId,
    /// Output port of `step`; `""` is the default one.
    pub from_port: &'static str,
}

/// A combination of values of a node's matrix; a step of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// The node that has the matrix.
    pub node: String,
    /// Such as `plugin=linear,c=0.3`.
    pub name: String,
    /// The values, in the order of `Matrix::columns`.
    pub values: Vec<Value>,
}

impl Variant {
    /// What the step is called: `oof[plugin=linear]`.
    pub fn step_name(&self) -> String {
        format!("{}[{}]", self.node, self.name)
    }
}

/// What the step of a node with a matrix hands on to its readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandOn {
    /// Readers name a variant.
    Nothing,
    /// One that the file names.
    Variant(usize),
    /// The one that is best by a metric; the first of several.
    Best(usize),
}

/// How the variants of a node are compared; the step reads them in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    /// The parameters that vary: columns of the comparison.
    pub columns: Vec<(String, ColumnType)>,
    pub variants: Vec<Variant>,
    pub metrics: Vec<Metric>,
    pub hand_on: HandOn,
}

/// `NODE.PORT` as its parts; the port is empty if there is none. Values in a variant's name may
/// hold dots: `oof[c=0.3].probabilities`.
pub fn split_reference(text: &str) -> (&str, &str) {
    let after_variant = text.rfind(']').map_or(0, |at| at + 1);
    match text[after_variant..].find('.') {
        Some(at) => (&text[..after_variant + at], &text[after_variant + at + 1..]),
        None => (text, ""),
    }
}

/// A node of the pipeline, checked.
#[derive(Debug, Clone)]
pub struct Step {
    pub id: StepId,
    /// The node's name in the pipeline file.
    pub name: String,
    pub kind: &'static str,
    pub kind_version: u32,
    /// Valid, references expanded, defaults filled in.
    pub params: Value,
    /// The part of `params` that decides the result.
    pub key_params: Value,
    pub inputs: Vec<StepInput>,
    pub outputs: Vec<(&'static str, PortType)>,
    pub plugins: Vec<PluginDescription>,
    /// Folds the step is cut into, besides the unit that puts them together; 0 for none.
    pub folds: u32,
    /// A unit before the folds chooses what they use.
    pub choice: bool,
    /// Longest time a unit of the step may take.
    pub timeout_seconds: Option<f64>,
    /// How often a unit is tried again that failed for a reason that may pass.
    pub retries: u32,
    /// The step is one variant of a node.
    pub variant: Option<Variant>,
    /// The step compares the variants of its node and computes nothing itself.
    pub matrix: Option<Matrix>,
    pub span: Span,
}

/// A pipeline that cannot be wrong: names resolved, no cycle, columns checked along each edge.
#[derive(Debug, Clone)]
pub struct Plan {
    pub name: String,
    /// The folder that relative paths of the pipeline start from.
    pub base_dir: std::path::PathBuf,
    pub taxonomy: Option<Taxonomy>,
    /// Things worth saying that stop nothing.
    pub warnings: Vec<Problem>,
    /// The pipeline with everything resolved, for the run record.
    pub resolved: Value,
    /// Where each value came from, by path such as `nodes.folds.k`.
    pub origins: BTreeMap<String, Origin>,
    /// What the values were that came from the environment, by the same paths.
    pub environment: Environment,
    pub(crate) graph: DiGraph<Step, ()>,
    /// A topological order in which ties are in the order of names.
    pub(crate) order: Vec<StepId>,
    /// Where in `order` each step stands.
    pub(crate) places: Vec<usize>,
}

impl Step {
    /// The units a run of the step consists of.
    ///
    /// Variants of a matrix are steps of their own and not counted.
    pub fn unit_count(&self) -> u32 {
        self.folds + u32::from(self.choice) + 1
    }
}

impl Plan {
    pub fn step(&self, id: StepId) -> &Step {
        &self.graph[NodeIndex::new(id.index())]
    }

    /// Steps in topological order, ties by name: the same for any order in the file.
    pub fn steps(&self) -> impl Iterator<Item = &Step> + Clone {
        self.order.iter().map(|id| self.step(*id))
    }

    /// The steps that are nodes of the file: the variants of a node are not.
    pub fn nodes(&self) -> impl Iterator<Item = &Step> + Clone {
        self.steps().filter(|step| step.variant.is_none())
    }

    pub fn len(&self) -> usize {
        self.order.len()
    }

    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub fn find(&self, name: &str) -> Option<&Step> {
        self.steps().find(|step| step.name == name)
    }

    /// Steps that read from `id`, each once, in topological order.
    pub fn readers(&self, id: StepId) -> Vec<StepId> {
        self.neighbours(id, Direction::Outgoing)
    }

    /// Steps that `id` reads from, each once, in topological order.
    pub fn needs(&self, id: StepId) -> Vec<StepId> {
        self.neighbours(id, Direction::Incoming)
    }

    fn neighbours(&self, id: StepId, direction: Direction) -> Vec<StepId> {
        let mut found: Vec<StepId> = self.adjacent(id, direction).collect();
        found.sort_unstable_by_key(|id| self.places[id.index()]);
        found.dedup();
        found
    }

    /// In no order, and once for each edge.
    fn adjacent(&self, id: StepId, direction: Direction) -> impl Iterator<Item = StepId> {
        let found = self.graph.neighbors_directed(NodeIndex::new(id.index()), direction);
        found.map(|index| StepId(index.index() as u32))
    }

    /// Steps with everything they need, themselves included, in topological order.
    pub fn with_needs(&self, steps: &[StepId]) -> Vec<StepId> {
        self.closure(steps, Direction::Incoming)
    }

    /// Steps with everything they need, or everything that needs them, themselves included.
    pub(crate) fn closure(&self, steps: &[StepId], direction: Direction) -> Vec<StepId> {
        let mut seen = vec![false; self.len()];
        let mut stack = steps.to_vec();
        while let Some(id) = stack.pop() {
            if !std::mem::replace(&mut seen[id.index()], true) {
                stack.extend(self.adjacent(id, direction));
            }
        }
        self.order.iter().copied().filter(|id| seen[id.index()]).collect()
    }
}

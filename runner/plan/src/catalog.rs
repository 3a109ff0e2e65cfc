//! What a plan is checked against: the signatures of node kinds, and the world outside.
//!
//! Node kinds implement `KindSignature` (in the crate `nodes`); `World` is implemented where files,
//! environment and plugins may be touched.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use crate::plugin::{PluginDescription, PluginProblem, PluginRequest};
use crate::schema::{ColumnType, PortType, Schema};
use crate::taxonomy::Taxonomy;

/// Why something outside could not be read; the text says what and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WorldError(pub String);

/// The outside, as far as a check needs it.
pub trait World {
    /// The folder that relative paths of the pipeline start from.
    fn base_dir(&self) -> &Path;
    /// An environment variable.
    fn env(&self, name: &str) -> Option<String>;
    /// A small text file, by a path relative to `base_dir`.
    fn read_text(&self, path: &str) -> Result<String, WorldError>;
    /// A classifier plugin by name or path.
    fn plugin(&self, request: &PluginRequest<'_>) -> Result<PluginDescription, PluginProblem>;
    /// Whether a check with this fingerprint is known to have come out well.
    fn was_sound(&self, fingerprint: &[u8; 32]) -> bool {
        let _ = fingerprint;
        false
    }
    /// Remembers a check that came out well.
    fn note_sound(&self, fingerprint: &[u8; 32]) {
        let _ = fingerprint;
    }
}

/// How many things a port takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Many {
    One,
    /// `models: [a, b]`.
    List,
}

/// What a port takes.
#[derive(Debug, Clone)]
pub enum Accepts {
    /// A frame with at least these columns; each may have one of the types listed.
    Frame(Vec<(&'static str, &'static [ColumnType])>),
    Model,
}

/// An input port of a node kind; `name` is its key in the pipeline file.
#[derive(Debug, Clone)]
pub struct InputPort {
    pub name: &'static str,
    pub many: Many,
    pub required: bool,
    pub accepts: Accepts,
    pub summary: &'static str,
    /// When the file does not say what to read here: this port of the node that `input` names.
    pub beside_input: Option<&'static str>,
}

impl InputPort {
    /// A port that one node must be connected to.
    pub fn one(name: &'static str, accepts: Accepts, summary: &'static str) -> InputPort {
        InputPort { name, many: Many::One, required: true, accepts, summary, beside_input: None }
    }
}

/// What arrives on an input port.
#[derive(Debug, Clone)]
pub struct InputSchema {
    pub port: &'static str,
    pub port_type: PortType,
}

/// What a signature sees of its node.
pub struct CheckContext<'a> {
    /// Valid by the kind's JSON Schema, defaults filled in.
    pub params: &'a Value,
    pub inputs: &'a [InputSchema],
    pub taxonomy: Option<&'a Taxonomy>,
    pub world: &'a dyn World,
}

impl CheckContext<'_> {
    /// The frame schema on a port; the port's `Accepts` has been checked already.
    pub fn schema(&self, port: &str) -> Option<&Schema> {
        self.inputs.iter().find(|input| input.port == port)?.port_type.schema()
    }
}

/// Where in a node a finding is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    Node,
    /// JSON pointer into the parameters, such as `/classifier/plugin`.
    Param(String),
    /// A key that should not be there, by the same kind of pointer.
    Key(String),
    /// An input port.
    Input(&'static str),
}

/// Something a signature found wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub at: At,
    pub message: String,
    pub hint: Option<String>,
}

impl Finding {
    pub fn new(at: At, message: impl Into<String>) -> Finding {
        Finding { at, message: message.into(), hint: None }
    }

    pub fn param(pointer: &str, message: impl Into<String>) -> Finding {
        Finding::new(At::Param(pointer.to_owned()), message)
    }

    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Finding {
        self.hint = Some(hint.into());
        self
    }
}

/// The outcome of a node's check.
#[derive(Debug, Clone, Default)]
pub struct Checked {
    /// Output ports; the default port is named `""`.
    pub outputs: Vec<(&'static str, PortType)>,
    /// The classifier plugins the kind uses, or may choose from.
    pub plugins: Vec<PluginDescription>,
    /// Parameters with a plugin's defaults filled in too, where they differ.
    pub params: Option<Value>,
    pub warnings: Vec<Finding>,
    /// Number of folds the step is cut into, one unit each; 0 for a step in one unit.
    pub folds: u32,
    /// Something is chosen before the folds, in a unit of its own.
    pub choice: bool,
}

/// A figure by which results of a kind can be compared, told in a note of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its column in a comparison, and its word for `use:`.
    pub column: &'static str,
    /// The name of the note.
    pub note: &'static str,
    pub larger_is_better: bool,
}

/// What a node kind declares of itself.
pub trait KindSignature: Send + Sync {
    /// The word in `kind:`.
    fn name(&self) -> &'static str;
    /// Moves when the kind computes something else from the same input.
    fn version(&self) -> u32;
    fn summary(&self) -> &'static str;
    /// JSON Schema of the parameters (an object; no input ports). A property with
    /// `"x-relabel-key": false` does not decide the result and stays out of keys.
    fn params_schema(&self) -> Value;
    fn input_ports(&self) -> Vec<InputPort>;
    /// Names of output ports; the default port is `""` and comes first.
    fn output_ports(&self) -> Vec<&'static str>;
    /// Figures by which the variants of a matrix are compared; the first decides unless the file
    /// says otherwise.
    fn metrics(&self) -> Vec<Metric> {
        Vec::new()
    }
    /// Whether it writes to a place outside the cache, where variants would be in each other's way.
    fn is_sink(&self) -> bool {
        false
    }
    /// What can be found wrong without knowing the inputs; asked when those have problems.
    fn check_alone(&self, params: &Value, world: &dyn World) -> Vec<Finding> {
        let _ = (params, world);
        Vec::new()
    }
    /// Output schemas as a function of parameters and input schemas, or everything found wrong.
    fn check(&self, context: &CheckContext<'_>) -> Result<Checked, Vec<Finding>>;
}

/// The node kinds there are.
#[derive(Clone, Default)]
pub struct Catalog {
    kinds: BTreeMap<&'static str, Arc<dyn KindSignature>>,
}

impl Catalog {
    pub fn new(kinds: impl IntoIterator<Item = Arc<dyn KindSignature>>) -> Catalog {
        Catalog { kinds: kinds.into_iter().map(|kind| (kind.name(), kind)).collect() }
    }

    pub fn get(&self, name: &str) -> Option<&Arc<dyn KindSignature>> {
        self.kinds.get(name)
    }

    pub fn kinds(&self) -> impl Iterator<Item = &Arc<dyn KindSignature>> {
        self.kinds.values()
    }

    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.kinds.keys().copied()
    }
}

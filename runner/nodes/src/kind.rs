//! What every node kind is made of, and the table of all kinds.

use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;

use engine::classifier::{Classifier, ClassifierSource, ClassifierSourceError};
use engine::{Node, NodeError, NodeFactory};
use plan::{
    Catalog, CheckContext, Checked, Finding, InputPort, KindSignature, Metric, Plan, PluginRequest,
    Step, World,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A node kind: its declaration and how a step of it is made.
pub(crate) trait Kind: Send + Sync + 'static {
    /// The parameters, without the input ports; its JSON Schema is what `check` uses.
    type Params: DeserializeOwned + JsonSchema;

    const NAME: &'static str;
    /// Moves when the kind computes something else from the same input.
    const VERSION: u32;
    const SUMMARY: &'static str;
    /// It writes to a place outside the cache.
    const SINK: bool = false;

    fn input_ports() -> Vec<InputPort>;

    fn output_ports() -> Vec<&'static str> {
        vec![""]
    }

    /// What the variants of a matrix are compared by.
    fn metrics() -> Vec<Metric> {
        Vec::new()
    }

    fn check(params: &Self::Params, context: &CheckContext<'_>) -> Result<Checked, Vec<Finding>>;

    /// What can be found wrong without knowing the inputs.
    fn check_alone(params: &Self::Params, world: &dyn World) -> Vec<Finding> {
        let _ = (params, world);
        Vec::new()
    }

    fn node(params: Self::Params, making: &Making<'_>) -> Result<Box<dyn Node>, NodeError>;
}

/// What a node may be made with.
pub(crate) struct Making<'a> {
    pub plan: &'a Plan,
    pub step: &'a Step,
    pub classifiers: &'a Arc<dyn ClassifierSource>,
}

impl Making<'_> {
    pub fn classifier(
        &self,
        request: &PluginRequest<'_>,
    ) -> Result<Arc<dyn Classifier>, NodeError> {
        find_classifier(self.classifiers.as_ref(), request, &self.plan.base_dir)
    }
}

/// A plugin by name, or by a path that starts from the pipeline's folder.
pub(crate) fn find_classifier(
    source: &dyn ClassifierSource,
    request: &PluginRequest<'_>,
    base_dir: &Path,
) -> Result<Arc<dyn Classifier>, NodeError> {
    let found = if request.plugin.contains('/') {
        let path = base_dir.join(request.plugin);
        source.classifier(&PluginRequest { plugin: &path.to_string_lossy(), ..*request })
    } else {
        source.classifier(request)
    };
    found.map_err(|error| {
        let hint = match error {
            ClassifierSourceError::Unknown { .. } => {
                Some("`relabel plugins list` shows what there is".to_owned())
            }
            ClassifierSourceError::Unpinned { .. } => {
                Some("`relabel plugins lock` accepts it as it is".to_owned())
            }
            ClassifierSourceError::Refused { .. } | ClassifierSourceError::Isolation { .. } => None,
        };
        NodeError::Refused { message: error.to_string(), hint }
    })
}

struct Signature<K>(PhantomData<fn() -> K>);

fn parse<K: Kind>(params: &Value) -> Result<K::Params, String> {
    K::Params::deserialize(params).map_err(|error| error.to_string())
}

impl<K: Kind> KindSignature for Signature<K> {
    fn name(&self) -> &'static str {
        K::NAME
    }

    fn version(&self) -> u32 {
        K::VERSION
    }

    fn summary(&self) -> &'static str {
        K::SUMMARY
    }

    fn params_schema(&self) -> Value {
        schemars::schema_for!(K::Params).to_value()
    }

    fn input_ports(&self) -> Vec<InputPort> {
        K::input_ports()
    }

    fn output_ports(&self) -> Vec<&'static str> {
        K::output_ports()
    }

    fn metrics(&self) -> Vec<Metric> {
        K::metrics()
    }

    fn is_sink(&self) -> bool {
        K::SINK
    }

    fn check_alone(&self, params: &Value, world: &dyn World) -> Vec<Finding> {
        match parse::<K>(params) {
            Ok(params) => K::check_alone(&params, world),
            Err(error) => vec![Finding::new(plan::At::Node, error)],
        }
    }

    fn check(&self, context: &CheckContext<'_>) -> Result<Checked, Vec<Finding>> {
        // The schema has been checked; what serde still minds is told at the node.
        let params = parse::<K>(context.params)
            .map_err(|error| vec![Finding::new(plan::At::Node, error)])?;
        K::check(&params, context)
    }
}

type Maker = fn(&Making<'_>) -> Result<Box<dyn Node>, NodeError>;

fn make<K: Kind>(making: &Making<'_>) -> Result<Box<dyn Node>, NodeError> {
    let params = parse::<K>(&making.step.params).map_err(NodeError::Internal)?;
    K::node(params, making)
}

fn entry<K: Kind>() -> (Arc<dyn KindSignature>, Maker) {
    (Arc::new(Signature::<K>(PhantomData)), make::<K>)
}

/// Every node kind there is.
fn table() -> Vec<(Arc<dyn KindSignature>, Maker)> {
    vec![
        entry::<crate::source::Source>(),
        entry::<crate::validate::Validate>(),
        entry::<crate::duplicates::Duplicates>(),
        entry::<crate::kfold::Kfold>(),
        entry::<crate::predict::Predict>(),
        entry::<crate::combine::Combine>(),
        entry::<crate::issues::Issues>(),
        entry::<crate::filter::Filter>(),
        entry::<crate::sample::Sample>(),
        entry::<crate::review_queue::ReviewQueue>(),
        entry::<crate::estimate::Estimate>(),
        entry::<crate::corrections::Corrections>(),
        entry::<crate::clean::Clean>(),
        entry::<crate::agreement::Agreement>(),
        entry::<crate::export::Export>(),
        entry::<crate::train::Train>(),
        entry::<crate::evaluate::Evaluate>(),
        entry::<crate::report::Report>(),
    ]
}

/// The declarations of all kinds, for `plan::compile`.
pub fn catalog() -> Catalog {
    Catalog::new(table().into_iter().map(|(signature, _)| signature))
}

/// Makes nodes of all kinds, for the engine.
pub struct BuiltinNodes {
    classifiers: Arc<dyn ClassifierSource>,
    makers: Vec<(&'static str, Maker)>,
}

impl BuiltinNodes {
    pub fn new(classifiers: Arc<dyn ClassifierSource>) -> BuiltinNodes {
        let makers =
            table().into_iter().map(|(signature, maker)| (signature.name(), maker)).collect();
        BuiltinNodes { classifiers, makers }
    }
}

impl NodeFactory for BuiltinNodes {
    fn node(&self, plan: &Plan, step: &Step) -> Result<Box<dyn Node>, NodeError> {
        let maker = self.makers.iter().find(|(name, _)| *name == step.kind);
        let (_, maker) =
            maker.ok_or_else(|| NodeError::Internal(format!("no node kind `{}`", step.kind)))?;
        maker(&Making { plan, step, classifiers: &self.classifiers })
    }
}

//! `train`: the production classifier, fitted on all usable records, as one self-contained blob.

use std::sync::Arc;

use engine::classifier::FitRequest;
use engine::{Artifact, FactContext, Inputs, Node, NodeError, Outputs, RunContext};
use plan::{CheckContext, Checked, Finding, InputPort, PortType, World};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::choice;
use crate::classes::Classes;
use crate::classifier::{Candidate, ClassifierSpec, plugin_facts};
use crate::columns::{STRING, frame_port};
use crate::kind::{Kind, Making};
use crate::model::{ModelBlob, ModelHeader, model_version};
use crate::texts::texts_of;

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// The classifier plugin to train.
    classifier: ClassifierSpec,
    #[serde(default = "default_seed")]
    seed: u64,
}

fn default_seed() -> u64 {
    42
}

pub(crate) struct Train;

impl Kind for Train {
    type Params = Params;

    const NAME: &'static str = "train";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = "Trains a classifier on all usable records; gives a model.";

    fn input_ports() -> Vec<InputPort> {
        vec![frame_port(
            "input",
            "the records to learn from",
            &[("text", STRING), ("label", STRING)],
        )]
    }

    fn check(params: &Params, context: &CheckContext<'_>) -> Result<Checked, Vec<Finding>> {
        let input = context.schema("input");
        if params.classifier.is_auto() && input.is_some_and(|input| !input.has("record_id")) {
            let finding =
                Finding::new(plan::At::Input("input"), "`auto` needs the column `record_id`");
            return Err(vec![finding.with_hint("keep it, or name a plugin and its parameters")]);
        }
        let described = params.classifier.check_with(context.world, "/classifier", input)?;
        let mut filled = context.params.clone();
        if !params.classifier.is_auto()
            && let [only] = described.as_slice()
        {
            filled["classifier"]["params"] = only.params.clone();
        }
        let mut plugins: Vec<_> = described.into_iter().map(|one| one.plugin).collect();
        plugins.dedup();
        Ok(Checked {
            outputs: vec![("", PortType::Model)],
            plugins,
            params: Some(filled),
            ..Checked::default()
        })
    }

    fn check_alone(params: &Params, world: &dyn World) -> Vec<Finding> {
        params.classifier.check(world, "/classifier").err().unwrap_or_default()
    }

    fn node(params: Params, making: &Making<'_>) -> Result<Box<dyn Node>, NodeError> {
        let candidates = params.classifier.candidates(making)?;
        Ok(Box::new(TrainNode { params, candidates }))
    }
}

struct TrainNode {
    params: Params,
    candidates: Vec<Candidate>,
}

impl Node for TrainNode {
    fn facts(&self, context: &mut FactContext<'_>) -> Result<(), NodeError> {
        plugin_facts(&self.candidates, context);
        context.taxonomy();
        Ok(())
    }

    fn run(&self, context: &RunContext<'_>, inputs: &Inputs) -> Result<Outputs, NodeError> {
        let frame = inputs.frame("input")?;
        let classes = Classes::find(frame, context.taxonomy)?;
        let (mut rows, mut labels) = (Vec::new(), Vec::new());
        for (row, class) in classes.of_record.iter().enumerate() {
            if let Some(class) = class {
                rows.push(row as u32);
                labels.push(*class);
            }
        }
        let choice = if self.params.classifier.is_auto() {
            Some(choice::choose(&self.candidates, frame, self.params.seed, context)?)
        } else {
            None
        };
        let candidate = choice::chosen(&self.candidates, choice.as_ref())?;
        let params = &candidate.params;
        let texts = texts_of(frame, &candidate.columns)?;
        let corpus = candidate.classifier.prepare(&texts, params, context.call())?;
        let request = FitRequest {
            rows: &rows,
            labels: &labels,
            weights: None,
            class_count: classes.names.len() as u32,
            seed: self.params.seed,
        };
        let model = corpus.fit(request, context.call())?;
        let description = candidate.classifier.description();
        let blob = ModelBlob {
            header: ModelHeader {
                plugin: description.name.clone(),
                plugin_choice: candidate.asked_as.clone(),
                plugin_version: description.version.clone(),
                plugin_file_digest: description.file_digest.clone(),
                params: params.clone(),
                columns: candidate.columns.clone(),
                seed: self.params.seed,
                categories: classes.names,
                rows: rows.len() as u64,
                model_version: model_version(candidate),
            },
            model: model.save()?,
        };
        let bytes = Arc::new(blob.encode());
        let mut outputs = Outputs::default().with("", Artifact::Blob(bytes));
        outputs.notes.extend(choice.into_iter().flat_map(|choice| choice.notes));
        outputs.count("records learnt from", rows.len(), Some(frame.height()));
        Ok(outputs)
    }
}

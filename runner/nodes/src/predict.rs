//! `predict`: out-of-fold probabilities from a classifier plugin.
//!
//! One unit a fold: its model is fitted on the usable records of the other folds and scores all
//! records of its own. A record is usable if its text is valid and its label is a class: in the
//! taxonomy, where there is one. Every record gets a prediction, also one that nothing was learnt
//! from, so a label outside the taxonomy is proposed a category inside it.
//!
//! With `auto` a unit of its own finds out, before the folds, what they use.

use std::any::Any;

use engine::classifier::{Corpus, FitRequest};
use engine::{
    Artifact, FactContext, Facts, Folds, Inputs, Node, NodeError, Outputs, Part, RunContext,
};
use plan::{CheckContext, Checked, ColumnType, Finding, InputPort, PortType, Schema, World};
use polars::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::choice;
use crate::classes::Classes;
use crate::classifier::{Candidate, ClassifierSpec, plugin_facts};
use crate::columns::{INTEGER, STRING, frame_port, integers, strings};
use crate::kind::{Kind, Making};
use crate::model::model_version;
use crate::texts::texts_of;
use scores::Scores;

mod scores;

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// The classifier plugin that makes the predictions.
    classifier: ClassifierSpec,
    #[serde(default = "default_seed")]
    seed: u64,
}

fn default_seed() -> u64 {
    42
}

pub(crate) struct Predict;

impl Kind for Predict {
    type Params = Params;

    const NAME: &'static str = "predict";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = "Out-of-fold predictions; probabilities on `probabilities`.";

    fn input_ports() -> Vec<InputPort> {
        let columns =
            [("record_id", STRING), ("text", STRING), ("label", STRING), ("fold_id", INTEGER)];
        vec![frame_port("input", "records with fold_id, from a `kfold`", &columns)]
    }

    fn output_ports() -> Vec<&'static str> {
        vec!["", "probabilities", choice::CHOICE]
    }

    fn check(params: &Params, context: &CheckContext<'_>) -> Result<Checked, Vec<Finding>> {
        let input = context.schema("input").cloned().unwrap_or_default();
        let described = params.classifier.check_with(context.world, "/classifier", Some(&input))?;
        let Some(folds) = input.folds else {
            return Err(vec![
                Finding::new(plan::At::Input("input"), "the number of folds is not known here")
                    .with_hint("put a `kfold` node before this one"),
            ]);
        };
        let mut schema = input;
        schema.remove("label");
        schema.set("original_label", ColumnType::String);
        schema.set("given_label", ColumnType::String);
        schema.set("predicted_label", ColumnType::String);
        schema.set("prediction_confidence", ColumnType::Float);
        schema.set("given_confidence", ColumnType::Float);
        schema.set("predicted_in_taxonomy", ColumnType::Boolean);
        schema.set("audit_run_id", ColumnType::String);
        schema.set("model_version", ColumnType::String);
        let mut probabilities = Schema::new([("record_id", ColumnType::String)]);
        probabilities.open = true;
        let mut filled = context.params.clone();
        let mut outputs =
            vec![("", PortType::Frame(schema)), ("probabilities", PortType::Frame(probabilities))];
        let choice = params.classifier.is_auto();
        if choice {
            outputs.push((choice::CHOICE, PortType::Frame(choice::schema())));
        } else if let [only] = described.as_slice() {
            filled["classifier"]["params"] = only.params.clone();
        }
        let mut plugins: Vec<_> = described.into_iter().map(|one| one.plugin).collect();
        plugins.dedup();
        Ok(Checked { outputs, plugins, params: Some(filled), warnings: Vec::new(), folds, choice })
    }

    fn check_alone(params: &Params, world: &dyn World) -> Vec<Finding> {
        params.classifier.check(world, "/classifier").err().unwrap_or_default()
    }

    fn node(params: Params, making: &Making<'_>) -> Result<Box<dyn Node>, NodeError> {
        let candidates = params.classifier.candidates(making)?;
        Ok(Box::new(PredictNode { params, candidates }))
    }
}

struct PredictNode {
    params: Params,
    /// What `auto` chooses from; the only one where there is nothing to choose.
    candidates: Vec<Candidate>,
}

/// What the folds share: prepared texts, classes, and which records may be learnt from.
struct SharedCorpus {
    corpus: Box<dyn Corpus>,
    classes: Classes,
    folds: Vec<u32>,
}

impl Node for PredictNode {
    fn facts(&self, context: &mut FactContext<'_>) -> Result<(), NodeError> {
        // With a choice, folds depend on its result; it depends on all it chose from.
        if !self.params.classifier.is_auto() || context.part == Part::Choice {
            plugin_facts(&self.candidates, context);
        }
        context.taxonomy();
        Ok(())
    }

    fn run(&self, context: &RunContext<'_>, inputs: &Inputs) -> Result<Outputs, NodeError> {
        let frame = inputs.frame("input")?;
        let scores = Scores::gather(frame.height(), inputs.folds())?;
        let candidate = choice::chosen(&self.candidates, inputs.choice())?;
        let version = model_version(candidate);
        let audit_run_id = audit_run_id(context, inputs)?;
        let table = scores.out_of_fold_frame(frame, context.taxonomy, &audit_run_id, &version)?;
        let mut outputs = Outputs::frame(table);
        if let Some(quality) = scores.quality(strings(frame, "label")?) {
            outputs.metric("out-of-fold accuracy against given labels", quality.accuracy);
            outputs.metric("log-loss against given labels", quality.log_loss);
            outputs.metric("expected calibration error", quality.calibration_error);
        }
        let probabilities = scores.probabilities_frame(frame)?;
        outputs = outputs.with("probabilities", Artifact::Frame(probabilities));
        if let Some(Artifact::Frame(tried)) = inputs.choice().and_then(|c| c.get(choice::CHOICE)) {
            outputs = outputs.with(choice::CHOICE, Artifact::Frame(tried.clone()));
        }
        Ok(outputs)
    }

    fn folds(&self) -> Option<&dyn Folds> {
        Some(self)
    }
}

/// An id that is the same for the same predictions.
///
/// That is the unit's key; but what was tried besides the chosen classifier, which is part of the
/// key, must not make another audit run of the same predictions.
fn audit_run_id(context: &RunContext<'_>, inputs: &Inputs) -> Result<String, NodeError> {
    let mut key = context.key;
    if let Some(choice) = inputs.choice() {
        let mut facts = Facts::new();
        for fact in context.facts.iter().filter(|fact| !fact.name.ends_with("[choice]")) {
            facts.add(fact.name.clone(), fact.value.clone());
        }
        facts.add("chosen", choice::digest(choice)?.to_hex());
        key = facts.key();
    }
    Ok(key.to_hex()[..16].to_owned())
}

impl Folds for PredictNode {
    fn choose(&self, context: &RunContext<'_>, inputs: &Inputs) -> Result<Outputs, NodeError> {
        choice::choose(&self.candidates, inputs.frame("input")?, self.params.seed, context)
    }

    fn prepare(
        &self,
        context: &RunContext<'_>,
        inputs: &Inputs,
    ) -> Result<Box<dyn Any + Send + Sync>, NodeError> {
        let frame = inputs.frame("input")?;
        let classes = Classes::find(frame, context.taxonomy)?;
        let folds = integers(frame, "fold_id")?
            .into_iter()
            .map(|fold| fold.and_then(|fold| u32::try_from(fold).ok()))
            .collect::<Option<Vec<u32>>>()
            .ok_or_else(|| NodeError::input("some records have no fold_id"))?;
        let silent = |_: f32| {};
        let mut call = context.call();
        call.progress = &silent;
        let candidate = choice::chosen(&self.candidates, inputs.choice())?;
        let texts = texts_of(frame, &candidate.columns)?;
        let corpus = candidate.classifier.prepare(&texts, &candidate.params, call)?;
        Ok(Box::new(SharedCorpus { corpus, classes, folds }))
    }

    fn run_fold(
        &self,
        context: &RunContext<'_>,
        _: &Inputs,
        shared: &(dyn Any + Send + Sync),
        fold: u32,
    ) -> Result<Outputs, NodeError> {
        let shared: &SharedCorpus = shared
            .downcast_ref()
            .ok_or_else(|| NodeError::Internal("the folds share something else".into()))?;
        let classes = &shared.classes;
        let (mut rows, mut labels, mut held_out) = (Vec::new(), Vec::new(), Vec::new());
        for (row, fold_of_row) in shared.folds.iter().enumerate() {
            match classes.of_record[row] {
                _ if *fold_of_row == fold => held_out.push(row as u32),
                Some(class) => {
                    rows.push(row as u32);
                    labels.push(class);
                }
                None => {}
            }
        }
        let request = FitRequest {
            rows: &rows,
            labels: &labels,
            weights: None,
            class_count: classes.names.len() as u32,
            seed: self.params.seed.wrapping_add(u64::from(fold)),
        };
        // Fitting is nearly all of the work; predicting is told as the last tenth.
        let fitting = |fraction: f32| (context.progress)(0.9 * fraction);
        let mut call = context.call();
        call.progress = &fitting;
        let model = shared.corpus.fit(request, call)?;
        let predicting = |fraction: f32| (context.progress)(0.9 + 0.1 * fraction);
        call.progress = &predicting;
        let probabilities = shared.corpus.predict(model.as_ref(), &held_out, call)?;
        let width = classes.names.len();
        let mut columns = vec![Column::new("row".into(), &held_out)];
        for (class, name) in classes.names.iter().enumerate() {
            let values: Vec<f32> =
                probabilities.iter().skip(class).step_by(width).copied().collect();
            columns.push(Column::new(format!("p:{name}").as_str().into(), values));
        }
        Ok(Outputs::frame(crate::columns::frame(columns)?))
    }
}

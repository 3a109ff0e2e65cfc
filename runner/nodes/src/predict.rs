//! `predict`: out-of-fold probabilities from a classifier plugin.
//!
//! One piece per fold: its model is fitted on the usable records of the other folds and scores all
//! records of its own. A record is usable if its text is valid and its label is a class: in the
//! taxonomy, where there is one. Every record gets a prediction, also one that nothing was learnt
//! from, so a label outside the taxonomy is proposed a category inside it.

use std::any::Any;
use std::sync::Arc;

use engine::classifier::{Classifier, Corpus, FitRequest, Texts};
use engine::{Artifact, FactContext, Inputs, Node, NodeError, Outputs, Pieces, RunContext};
use plan::{
    CheckContext, Checked, ColumnType, Finding, InputPort, PortType, Schema, Taxonomy, World,
};
use polars::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::columns::{INTEGER, STRING, booleans, frame_port, integers, string_column, strings};
use crate::kind::{Kind, Making};
use crate::model::model_version;

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClassifierChoice {
    /// Name of a plugin on the search path, or path of its file, with a `/`.
    #[schemars(extend("x-relabel-key" = false))]
    pub plugin: String,
    /// The plugin's own parameters; `relabel plugins show NAME` lists them.
    #[serde(default = "empty_object")]
    pub params: Value,
}

fn empty_object() -> Value {
    Value::Object(serde_json::Map::new())
}

impl ClassifierChoice {
    /// Describes the plugin and checks its parameters; the parameters come back with defaults.
    pub fn check(
        &self,
        world: &dyn World,
        pointer: &str,
    ) -> Result<(plan::PluginDescription, Value), Vec<Finding>> {
        let description = world.plugin(&self.plugin).map_err(|problem| {
            let mut finding = Finding::param(&format!("{pointer}/plugin"), problem.message);
            finding.hint = problem.hint;
            vec![finding]
        })?;
        let mut params = self.params.clone();
        plan::fill_defaults(&description.params_schema, &mut params);
        let prefix = format!("{pointer}/params");
        let findings = plan::validate(&description.params_schema, &params, &prefix);
        if findings.is_empty() { Ok((description, params)) } else { Err(findings) }
    }
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// The classifier plugin that makes the predictions.
    classifier: ClassifierChoice,
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
        vec!["", "probabilities"]
    }

    fn check(params: &Params, context: &CheckContext<'_>) -> Result<Checked, Vec<Finding>> {
        let input = context.schema("input").cloned().unwrap_or_default();
        let (plugin, plugin_params) = params.classifier.check(context.world, "/classifier")?;
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
        filled["classifier"]["params"] = plugin_params;
        Ok(Checked {
            outputs: vec![
                ("", PortType::Frame(schema)),
                ("probabilities", PortType::Frame(probabilities)),
            ],
            plugin: Some(plugin),
            params: Some(filled),
            warnings: Vec::new(),
            pieces: folds,
        })
    }

    fn check_alone(params: &Params, world: &dyn World) -> Vec<Finding> {
        params.classifier.check(world, "/classifier").err().unwrap_or_default()
    }

    fn node(params: Params, making: &Making<'_>) -> Result<Box<dyn Node>, NodeError> {
        let classifier = making.classifier(&params.classifier.plugin)?;
        Ok(Box::new(PredictNode { params, classifier }))
    }
}

struct PredictNode {
    params: Params,
    classifier: Arc<dyn Classifier>,
}

/// What the folds share: prepared texts, classes, and which records may be learnt from.
struct SharedCorpus {
    corpus: Box<dyn Corpus>,
    classes: Classes,
    folds: Vec<u32>,
}

/// The classes of an audit, sorted by name, and the class of each usable record.
pub(crate) struct Classes {
    pub names: Vec<String>,
    /// Class index of each record, `None` for one that nothing is learnt from.
    pub of_record: Vec<Option<u32>>,
}

impl Classes {
    pub fn find(frame: &DataFrame, taxonomy: Option<&Taxonomy>) -> Result<Classes, NodeError> {
        let texts = strings(frame, "text")?;
        let labels = strings(frame, "label")?;
        let valid = booleans(frame, "text_valid").ok();
        let usable: Vec<Option<&str>> = labels
            .iter()
            .zip(texts.iter())
            .enumerate()
            .map(|(row, (label, text))| {
                let text_valid = match valid {
                    Some(valid) => valid.get(row) == Some(true),
                    None => text.is_some_and(|text| !text.trim().is_empty()),
                };
                label.filter(|label| text_valid && taxonomy.is_none_or(|t| t.contains(label)))
            })
            .collect();
        let names: std::collections::BTreeSet<&str> = usable.iter().copied().flatten().collect();
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        if names.len() < 2 {
            let message = match names.first() {
                None => "no record has a usable text and an approved label".to_owned(),
                Some(name) => {
                    format!("all usable records have one label, `{name}`; two or more are needed")
                }
            };
            let hint = match taxonomy {
                Some(_) => "compare the labels with the taxonomy",
                None => "check that `columns: {label: ...}` names the right column",
            };
            return Err(NodeError::input(message).with_hint(hint));
        }
        let index = |label: &str| names.binary_search_by(|name| name.as_str().cmp(label)).ok();
        let of_record =
            usable.iter().map(|label| label.and_then(index).map(|n| n as u32)).collect();
        Ok(Classes { names, of_record })
    }
}

impl Node for PredictNode {
    fn facts(&self, context: &mut FactContext<'_>) -> Result<(), NodeError> {
        plugin_facts(self.classifier.description(), context);
        context.taxonomy();
        Ok(())
    }

    fn run(&self, context: &RunContext<'_>, inputs: &Inputs) -> Result<Outputs, NodeError> {
        let frame = inputs.frame("input")?;
        let scores = Scores::gather(frame.height(), inputs.pieces())?;
        let description = self.classifier.description();
        let version = model_version(description, &self.params.classifier.params);
        let audit_run_id = context.key.to_hex()[..16].to_owned();
        let table = scores.out_of_fold_frame(frame, context.taxonomy, &audit_run_id, &version)?;
        let mut outputs = Outputs::frame(table);
        if let Some(accuracy) = scores.accuracy(strings(frame, "label")?) {
            outputs.metric("out-of-fold accuracy against given labels", accuracy);
        }
        let probabilities = scores.probabilities_frame(frame)?;
        Ok(outputs.with("probabilities", Artifact::Frame(probabilities)))
    }

    fn pieces(&self) -> Option<&dyn Pieces> {
        Some(self)
    }
}

/// A plugin counts by its name, version and file, wherever it lies.
pub(crate) fn plugin_facts(plugin: &plan::PluginDescription, context: &mut FactContext<'_>) {
    context.facts.add("plugin:name", format!("{} {}", plugin.name, plugin.version));
    context.facts.add("plugin:file", plugin.file_digest.clone());
}

impl Pieces for PredictNode {
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
        let texts = Texts::from_strs(strings(frame, "text")?.iter());
        let silent = |_: f32| {};
        let mut call = context.call();
        call.progress = &silent;
        let corpus = self.classifier.prepare(&texts, &self.params.classifier.params, call)?;
        Ok(Box::new(SharedCorpus { corpus, classes, folds }))
    }

    fn run_piece(
        &self,
        context: &RunContext<'_>,
        _: &Inputs,
        shared: &(dyn Any + Send + Sync),
        piece: u32,
    ) -> Result<Outputs, NodeError> {
        let shared: &SharedCorpus = shared
            .downcast_ref()
            .ok_or_else(|| NodeError::Internal("the folds share something else".into()))?;
        let classes = &shared.classes;
        let (mut rows, mut labels, mut held_out) = (Vec::new(), Vec::new(), Vec::new());
        for (row, fold) in shared.folds.iter().enumerate() {
            match classes.of_record[row] {
                _ if *fold == piece => held_out.push(row as u32),
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
            seed: self.params.seed.wrapping_add(u64::from(piece)),
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

/// Probabilities of all records, by class: `values[class][record]`.
struct Scores {
    names: Vec<String>,
    values: Vec<Vec<f32>>,
}

impl Scores {
    fn gather(height: usize, pieces: &[Outputs]) -> Result<Scores, NodeError> {
        let mut names: Vec<String> = Vec::new();
        let mut values: Vec<Vec<f32>> = Vec::new();
        let mut covered = 0;
        for piece in pieces {
            let Some(Artifact::Frame(frame)) = piece.get("") else {
                return Err(NodeError::Internal("a fold gave no frame".into()));
            };
            if names.is_empty() {
                let columns = frame.columns().iter().skip(1);
                names = columns.map(|c| c.name().as_str()["p:".len()..].to_owned()).collect();
                values = vec![vec![f32::NAN; height]; names.len()];
            }
            let rows = integers(frame, "row")?;
            covered += rows.len();
            for (class, column) in frame.columns().iter().skip(1).enumerate() {
                let scores = column.f32()?;
                for (row, score) in rows.iter().zip(scores.iter()) {
                    let row = row.and_then(|row| usize::try_from(row).ok()).unwrap_or(usize::MAX);
                    if let (Some(slot), Some(score)) = (values[class].get_mut(row), score) {
                        *slot = score;
                    }
                }
            }
        }
        if covered != height {
            let message = format!("the folds cover {covered} of {height} records");
            return Err(NodeError::Internal(message));
        }
        Ok(Scores { names, values })
    }

    /// The most probable class of a record; the first on a tie.
    fn best(&self, row: usize) -> usize {
        let mut best = 0;
        for class in 1..self.names.len() {
            if self.values[class][row] > self.values[best][row] {
                best = class;
            }
        }
        best
    }

    fn class_of(&self, label: &str) -> Option<usize> {
        self.names.binary_search_by(|name| name.as_str().cmp(label)).ok()
    }

    /// Share of records with a known label whose prediction is that label.
    fn accuracy(&self, labels: &StringChunked) -> Option<f64> {
        let (mut right, mut all) = (0usize, 0usize);
        for (row, label) in labels.iter().enumerate() {
            if let Some(class) = label.and_then(|label| self.class_of(label)) {
                all += 1;
                right += usize::from(self.best(row) == class);
            }
        }
        (all > 0).then(|| right as f64 / all as f64)
    }

    fn out_of_fold_frame(
        &self,
        input: &DataFrame,
        taxonomy: Option<&Taxonomy>,
        audit_run_id: &str,
        model_version: &str,
    ) -> Result<DataFrame, NodeError> {
        let height = input.height();
        let labels = strings(input, "label")?;
        let best: Vec<usize> = (0..height).map(|row| self.best(row)).collect();
        let confidence: Vec<f32> =
            best.iter().enumerate().map(|(row, class)| self.values[*class][row]).collect();
        let given: Float32Chunked = labels
            .iter()
            .enumerate()
            .map(|(row, label)| Some(self.values[self.class_of(label?)?][row]))
            .collect();
        let approved: Vec<bool> = best
            .iter()
            .map(|class| taxonomy.is_none_or(|t| t.contains(&self.names[*class])))
            .collect();
        let mut frame = input.clone();
        if frame.column("original_label").is_err() {
            let original = input.column("label")?.clone().with_name("original_label".into());
            frame.with_column(original)?;
        }
        frame.rename("label", "given_label".into())?;
        let predicted = best.iter().map(|class| Some(self.names[*class].as_str()));
        frame.with_column(string_column("predicted_label", predicted))?;
        frame.with_column(Column::new("prediction_confidence".into(), confidence))?;
        let given = given.with_name("given_confidence".into());
        frame.with_column(given.into_series().into_column())?;
        frame.with_column(Column::new("predicted_in_taxonomy".into(), approved))?;
        for (name, text) in [("audit_run_id", audit_run_id), ("model_version", model_version)] {
            frame.with_column(string_column(name, std::iter::repeat_n(Some(text), height)))?;
        }
        Ok(frame)
    }

    fn probabilities_frame(&self, input: &DataFrame) -> Result<DataFrame, NodeError> {
        if self.names.iter().any(|name| name == "record_id") {
            let message = "a category is named `record_id`, like the id column";
            return Err(NodeError::input(message).with_hint("rename the category"));
        }
        let mut columns = vec![input.column("record_id")?.clone()];
        for (name, values) in self.names.iter().zip(&self.values) {
            columns.push(Column::new(name.as_str().into(), values));
        }
        crate::columns::frame(columns)
    }
}

//! `evaluate`: how good models are on a gold set; of two or more, how much the last one gains.

use std::sync::Arc;

use engine::classifier::{ClassifierSource, Texts};
use engine::{Artifact, Inputs, Node, NodeError, Outputs, RunContext};
use plan::{
    Accepts, CheckContext, Checked, ColumnType, Finding, InputPort, Many, PluginRequest, PortType,
    Schema,
};
use polars::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::columns::{STRING, frame_port, string_column, strings};
use crate::kind::{Kind, Making, find_classifier};
use crate::metrics::{Pairs, bootstrap};
use crate::model::ModelBlob;
use crate::texts::texts_of;

const RESAMPLES: usize = 1000;

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// Seed of the bootstrap intervals.
    #[serde(default = "default_seed")]
    seed: u64,
    /// A gate: least values of metrics of the last model; the run fails below one of them.
    #[serde(default)]
    require: Option<Required>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Required {
    #[serde(default)]
    #[schemars(range(min = 0, max = 1))]
    macro_f1: Option<f64>,
    #[serde(default)]
    #[schemars(range(min = 0, max = 1))]
    accuracy: Option<f64>,
}

impl Required {
    /// What a model with these figures lacks.
    fn check(&self, model: &str, macro_f1: f64, accuracy: f64) -> Result<(), NodeError> {
        let wanted = [("macro F1", macro_f1, self.macro_f1), ("accuracy", accuracy, self.accuracy)];
        for (name, value, least) in wanted {
            // A figure that cannot be worked out is no pass.
            let Some(least) = least.filter(|least| value.is_nan() || value < *least) else {
                continue;
            };
            return Err(NodeError::Gate {
                message: format!("{name} of `{model}` is {value:.4}, `require` says {least}"),
                hint: Some("look at the labels that feed it, or lower the gate".into()),
            });
        }
        Ok(())
    }
}

fn default_seed() -> u64 {
    42
}

pub(crate) struct Evaluate;

impl Kind for Evaluate {
    type Params = Params;

    const NAME: &'static str = "evaluate";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = "Measures models on a gold set, with intervals.";

    fn input_ports() -> Vec<InputPort> {
        let summary = "one model, or several to compare: before first, after last";
        let models =
            InputPort { many: Many::List, ..InputPort::one("model", Accepts::Model, summary) };
        let gold = [("record_id", STRING), ("text", STRING), ("label", STRING)];
        vec![models, frame_port("gold", "records whose labels are known to be right", &gold)]
    }

    fn output_ports() -> Vec<&'static str> {
        vec!["", "classes", "predictions"]
    }

    fn check(_: &Params, _: &CheckContext<'_>) -> Result<Checked, Vec<Finding>> {
        use ColumnType::{Float, Integer, String};
        let metrics = Schema::new([
            ("model", String),
            ("metric", String),
            ("value", Float),
            ("low", Float),
            ("high", Float),
        ]);
        let classes = Schema::new([
            ("model", String),
            ("category", String),
            ("precision", Float),
            ("recall", Float),
            ("f1", Float),
            ("support", Integer),
        ]);
        let predictions = Schema::new([
            ("model", String),
            ("record_id", String),
            ("label", String),
            ("predicted_label", String),
            ("prediction_confidence", Float),
        ]);
        let outputs = [("", metrics), ("classes", classes), ("predictions", predictions)];
        let outputs = outputs.map(|(port, schema)| (port, PortType::Frame(schema))).to_vec();
        Ok(Checked { outputs, ..Checked::default() })
    }

    fn node(params: Params, making: &Making<'_>) -> Result<Box<dyn Node>, NodeError> {
        let inputs = making.step.inputs.iter().filter(|input| input.port == "model");
        let names = inputs.map(|input| making.plan.step(input.step).name.clone()).collect();
        Ok(Box::new(EvaluateNode { params, names, classifiers: making.classifiers.clone() }))
    }
}

struct EvaluateNode {
    params: Params,
    /// Names of the steps the models come from.
    names: Vec<String>,
    classifiers: Arc<dyn ClassifierSource>,
}

/// What a model says of the gold set, over the categories of gold and models together.
struct Predictions {
    classes: Vec<u32>,
    confidences: Vec<f32>,
}

#[derive(Default)]
struct MetricRows {
    models: Vec<String>,
    metrics: Vec<String>,
    values: Vec<f64>,
    lows: Vec<f64>,
    highs: Vec<f64>,
}

impl MetricRows {
    fn add(&mut self, model: &str, metric: &str, value: f64, interval: (f64, f64)) {
        self.models.push(model.to_owned());
        self.metrics.push(metric.to_owned());
        self.values.push(value);
        self.lows.push(interval.0);
        self.highs.push(interval.1);
    }

    fn frame(&self) -> Result<DataFrame, NodeError> {
        crate::columns::frame(vec![
            string_column("model", self.models.iter().map(|text| Some(text.as_str()))),
            string_column("metric", self.metrics.iter().map(|text| Some(text.as_str()))),
            Column::new("value".into(), &self.values),
            Column::new("low".into(), &self.lows),
            Column::new("high".into(), &self.highs),
        ])
    }
}

impl Node for EvaluateNode {
    fn facts(&self, context: &mut engine::FactContext<'_>) -> Result<(), NodeError> {
        context.facts.add("models", self.names.clone());
        Ok(())
    }

    fn run(&self, context: &RunContext<'_>, inputs: &Inputs) -> Result<Outputs, NodeError> {
        let gold = inputs.frame("gold")?;
        let labels = strings(gold, "label")?;
        let missing = labels.null_count();
        if missing > 0 {
            let message = format!("{missing} records of the gold set have no label");
            return Err(NodeError::input(message).with_hint("every gold record needs its label"));
        }
        let blobs = inputs
            .blobs("model")
            .map(|bytes| ModelBlob::decode(bytes))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| NodeError::input(error.to_string()))?;
        let mut categories: Vec<String> =
            blobs.iter().flat_map(|blob| blob.header.categories.iter().cloned()).collect();
        categories.extend(labels.iter().flatten().map(str::to_owned));
        categories.sort_unstable();
        categories.dedup();
        let truth: Vec<u32> =
            labels.iter().map(|label| index_of(&categories, label.unwrap_or_default())).collect();
        let mut predictions = Vec::new();
        // Models that read the same columns, as a rule all of them, share the texts.
        let mut read: Option<(&[String], Texts)> = None;
        for (n, blob) in blobs.iter().enumerate() {
            let columns = blob.header.columns.as_slice();
            let texts = match read.take().filter(|(before, _)| *before == columns) {
                Some((_, texts)) => texts,
                None => texts_of(gold, columns)?,
            };
            predictions.push(self.predict(blob, &texts, &categories, context)?);
            read = Some((columns, texts));
            (context.progress)((n + 1) as f32 / blobs.len() as f32);
        }
        self.outputs(gold, &categories, &truth, &predictions)
    }
}

fn index_of(categories: &[String], name: &str) -> u32 {
    let place = categories.binary_search_by(|category| category.as_str().cmp(name));
    place.expect("every label is among the categories") as u32
}

impl EvaluateNode {
    fn predict(
        &self,
        blob: &ModelBlob,
        texts: &Texts,
        categories: &[String],
        context: &RunContext<'_>,
    ) -> Result<Predictions, NodeError> {
        let header = &blob.header;
        let source = self.classifiers.as_ref();
        let find =
            |plugin: &str| find_classifier(source, &PluginRequest::new(plugin), context.base_dir);
        let classifier = find(&header.plugin_choice).or_else(|_| find(&header.plugin))?;
        if classifier.description().file_digest != header.plugin_file_digest {
            return Err(NodeError::Refused {
                message: format!(
                    "plugin `{}` is not the one that trained the model",
                    header.plugin
                ),
                hint: Some("run again, so that the model is trained anew".into()),
            });
        }
        // Prepared first, so that the process of an isolated plugin that has the texts takes the
        // model too.
        let corpus = classifier.prepare(texts, &header.params, context.call())?;
        let model = classifier.load(&blob.model)?;
        if model.class_count() as usize != header.categories.len() {
            return Err(NodeError::input("the model's class count is not that of its header"));
        }
        let rows: Vec<u32> = (0..texts.len() as u32).collect();
        let scores = corpus.predict(model.as_ref(), &rows, context.call())?;
        let mut predictions = Predictions { classes: Vec::new(), confidences: Vec::new() };
        for row in scores.chunks_exact(header.categories.len()) {
            let mut best = 0;
            for (class, score) in row.iter().enumerate() {
                if *score > row[best] {
                    best = class;
                }
            }
            predictions.classes.push(index_of(categories, &header.categories[best]));
            predictions.confidences.push(row[best]);
        }
        Ok(predictions)
    }

    fn outputs(
        &self,
        gold: &DataFrame,
        categories: &[String],
        truth: &[u32],
        predictions: &[Predictions],
    ) -> Result<Outputs, NodeError> {
        let rows = truth.len();
        let seed = self.params.seed;
        let pairs: Vec<Pairs<'_>> = predictions
            .iter()
            .map(|p| Pairs { truth, predicted: &p.classes, classes: categories.len() })
            .collect();
        let mut table = MetricRows::default();
        let mut notes = Outputs::default();
        for (name, pairs) in self.names.iter().zip(&pairs) {
            let all = || 0..rows;
            let macro_interval =
                bootstrap(rows, RESAMPLES, seed, |s| pairs.macro_f1(s.iter().copied()));
            let micro_interval =
                bootstrap(rows, RESAMPLES, seed, |s| pairs.accuracy(s.iter().copied()));
            let accuracy = pairs.accuracy(all());
            table.add(name, "macro_f1", pairs.macro_f1(all()), macro_interval);
            table.add(name, "micro_f1", accuracy, micro_interval);
            table.add(name, "accuracy", accuracy, micro_interval);
            notes.metric(format!("macro F1 of {name}"), pairs.macro_f1(all()));
        }
        if let ([first, .., last], [first_name, .., last_name]) =
            (pairs.as_slice(), self.names.as_slice())
        {
            let gain = last.macro_f1(0..rows) - first.macro_f1(0..rows);
            let interval = bootstrap(rows, RESAMPLES, seed, |sample| {
                last.macro_f1(sample.iter().copied()) - first.macro_f1(sample.iter().copied())
            });
            let name = format!("{last_name} - {first_name}");
            table.add(&name, "macro_f1_difference", gain, interval);
            notes.metric(format!("macro F1, {name}"), gain);
        }
        let mut outputs = Outputs::frame(table.frame()?)
            .with("classes", Artifact::Frame(self.classes_frame(categories, &pairs)?))
            .with("predictions", self.predictions_frame(gold, categories, predictions)?);
        outputs.notes = notes.notes;
        if let (Some(required), Some(pairs), Some(name)) =
            (&self.params.require, pairs.last(), self.names.last())
        {
            required.check(name, pairs.macro_f1(0..rows), pairs.accuracy(0..rows))?;
        }
        Ok(outputs)
    }

    fn classes_frame(
        &self,
        categories: &[String],
        pairs: &[Pairs<'_>],
    ) -> Result<DataFrame, NodeError> {
        let mut names: (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
        let (mut precision, mut recall, mut f1) = (Vec::new(), Vec::new(), Vec::new());
        let mut support: Vec<i64> = Vec::new();
        for (name, pairs) in self.names.iter().zip(pairs) {
            let counts = pairs.by_class(0..pairs.truth.len());
            for (category, counts) in categories.iter().zip(counts) {
                names.0.push(name);
                names.1.push(category);
                precision.push(counts.precision());
                recall.push(counts.recall());
                f1.push(counts.f1());
                support.push(counts.support() as i64);
            }
        }
        crate::columns::frame(vec![
            string_column("model", names.0.into_iter().map(Some)),
            string_column("category", names.1.into_iter().map(Some)),
            Column::new("precision".into(), precision),
            Column::new("recall".into(), recall),
            Column::new("f1".into(), f1),
            Column::new("support".into(), support),
        ])
    }

    fn predictions_frame(
        &self,
        gold: &DataFrame,
        categories: &[String],
        predictions: &[Predictions],
    ) -> Result<Artifact, NodeError> {
        let (ids, labels) = (strings(gold, "record_id")?, strings(gold, "label")?);
        let times = predictions.len();
        let models = self
            .names
            .iter()
            .flat_map(|name| std::iter::repeat_n(Some(name.as_str()), gold.height()));
        let repeated = |column: &StringChunked| -> Vec<Option<String>> {
            (0..times).flat_map(|_| column.iter().map(|v| v.map(str::to_owned))).collect()
        };
        let (ids, labels) = (repeated(ids), repeated(labels));
        let predicted = predictions
            .iter()
            .flat_map(|p| p.classes.iter().map(|class| Some(categories[*class as usize].as_str())));
        let confidences: Vec<f32> =
            predictions.iter().flat_map(|p| p.confidences.iter().copied()).collect();
        Ok(Artifact::Frame(crate::columns::frame(vec![
            string_column("model", models),
            string_column("record_id", ids.iter().map(Option::as_deref)),
            string_column("label", labels.iter().map(Option::as_deref)),
            string_column("predicted_label", predicted),
            Column::new("prediction_confidence".into(), confidences),
        ])?))
    }
}

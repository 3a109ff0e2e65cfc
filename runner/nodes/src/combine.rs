//! `combine`: one out-of-fold frame out of several, by a weighted mean of their probabilities.
//!
//! Models that err on different records are better together than the best of them alone. Every
//! record keeps the votes: what each model predicts, and whether all of them agree on another
//! label than the given one. Knows nothing of classifiers: it reads frames and probabilities.

use engine::{Artifact, Float, FloatColumn, Inputs, Node, NodeError, Outputs, RunContext};
use plan::{At, CheckContext, Checked, ColumnType, Finding, InputPort, Many, PortType, Schema};
use polars::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::columns::{STRING, choice_column, frame_port, rows_by_id, string_column, strings};
use crate::kind::{Kind, Making};
use crate::predict::calibration::{Calibrate, calibrated};
use crate::predict::out_of_fold_schema;
use crate::predict::scores::{Quality, Scores, reliability_frame, reliability_schema};
use crate::predict::values::Values;

/// Records that weights are fitted on at most; they are a handful of numbers.
const MOST_RECORDS: usize = 100_000;

/// Steps of the fit at most, and the change of a weight that ends it.
const STEPS: usize = 1000;
const SETTLED: f64 = 1e-7;

/// A probability of 0 would leave nothing to divide by.
const SMALLEST: f64 = 1e-15;

/// How much each model counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Weights {
    By(WeightsBy),
    /// A weight for each model, in the order of `input`.
    Given(Vec<f64>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum WeightsBy {
    /// All alike.
    Mean,
    /// The weights whose mean has the smallest log-loss against the given labels.
    LogLoss,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// How much each model counts: `mean`, `log_loss`, or a list of numbers in the order of `input`.
    #[serde(default = "mean")]
    weights: Weights,
    /// Calibration of the combined probabilities, as `predict` has it.
    #[serde(default)]
    calibrate: Calibrate,
}

fn mean() -> Weights {
    Weights::By(WeightsBy::Mean)
}

pub(crate) struct Combine;

impl Kind for Combine {
    type Params = Params;

    const NAME: &'static str = "combine";
    const VERSION: u32 = 3;
    const SUMMARY: &'static str = "One prediction out of those of several `predict` nodes.";

    fn input_ports() -> Vec<InputPort> {
        let columns = [
            ("record_id", STRING),
            ("given_label", STRING),
            ("predicted_label", STRING),
            ("model_version", STRING),
        ];
        let models = "out-of-fold predictions of two or more nodes, over the same records";
        let probabilities = "a column for each category; those of `input` if absent";
        vec![
            InputPort { many: Many::List, ..frame_port("input", models, &columns) },
            InputPort {
                many: Many::List,
                beside_input: Some("probabilities"),
                ..frame_port("probabilities", probabilities, &[("record_id", STRING)])
            },
        ]
    }

    fn output_ports() -> Vec<&'static str> {
        vec!["", "probabilities", "reliability", "models"]
    }

    fn check(params: &Params, context: &CheckContext<'_>) -> Result<Checked, Vec<Finding>> {
        let count = |port: &str| context.inputs.iter().filter(|input| input.port == port).count();
        let models = count("input");
        if models < 2 {
            let finding = Finding::new(At::Input("input"), "two models or more can be combined");
            return Err(vec![finding.with_hint("name them in a list: `input: [first, second]`")]);
        }
        if models > MOST_MODELS {
            let message = format!("{models} models, more than {MOST_MODELS}");
            return Err(vec![Finding::new(At::Input("input"), message)]);
        }
        if count("probabilities") != models {
            let message = format!("{} probabilities for {models} models", count("probabilities"));
            return Err(vec![Finding::new(At::Input("probabilities"), message)]);
        }
        check_weights(&params.weights, models)?;
        let first = context.schema("input").cloned().unwrap_or_default();
        let mut schema = out_of_fold_schema(first);
        (1..=models).for_each(|n| schema.set(&vote(n), ColumnType::String));
        schema.set(AGREEING, ColumnType::Integer);
        schema.set("models_agree", ColumnType::Boolean);
        let mut probabilities = Schema::new([("record_id", ColumnType::String)]);
        probabilities.open = true;
        let table = Schema::new([
            ("model", ColumnType::Integer),
            ("model_version", ColumnType::String),
            ("weight", ColumnType::Float),
            ("accuracy", ColumnType::Float),
            ("log_loss", ColumnType::Float),
            ("calibration_error", ColumnType::Float),
        ]);
        let outputs = [
            ("", schema),
            ("probabilities", probabilities),
            ("reliability", reliability_schema()),
            ("models", table),
        ];
        let outputs = outputs.map(|(port, schema)| (port, PortType::Frame(schema))).to_vec();
        Ok(Checked { outputs, ..Checked::default() })
    }

    fn node(params: Params, making: &Making<'_>) -> Result<Box<dyn Node>, NodeError> {
        let inputs = making.step.inputs.iter().filter(|input| input.port == "input");
        let names = inputs.map(|input| making.plan.step(input.step).name.clone()).collect();
        Ok(Box::new(CombineNode { params, names }))
    }
}

/// Models that can be combined.
pub(crate) const MOST_MODELS: usize = 32;

/// How many models predict what they do together.
pub(crate) const AGREEING: &str = "models_agreeing";

/// Start of the names of columns with what each model predicts.
pub(crate) const VOTE: &str = "vote_";

/// Name of the column with what a model predicts; models count from 1.
pub(crate) fn vote(model: usize) -> String {
    format!("{VOTE}{model}")
}

fn check_weights(weights: &Weights, models: usize) -> Result<(), Vec<Finding>> {
    let Weights::Given(given) = weights else { return Ok(()) };
    let wrong = |message: String| Err(vec![Finding::param("/weights", message)]);
    if given.len() != models {
        return wrong(format!("{} weights for {models} models", given.len()));
    }
    if given.iter().any(|weight| !weight.is_finite() || *weight < 0.0) {
        return wrong("a weight must be 0 or more".into());
    }
    if given.iter().sum::<f64>() <= 0.0 {
        return wrong("one weight at least must be above 0".into());
    }
    Ok(())
}

struct CombineNode {
    params: Params,
    /// Names of the nodes the models come from, for messages.
    names: Vec<String>,
}

impl Node for CombineNode {
    fn run(&self, context: &RunContext<'_>, inputs: &Inputs) -> Result<Outputs, NodeError> {
        let frames: Vec<&DataFrame> = inputs.frames("input").collect();
        let first = inputs.frame("input")?;
        let ids = strings(first, "record_id")?;
        let given = strings(first, "given_label")?;
        let mut models = Vec::with_capacity(frames.len());
        for (n, (frame, probabilities)) in
            frames.iter().zip(inputs.frames("probabilities")).enumerate()
        {
            self.check_labels(n, frame, ids, given)?;
            let scores = self.scores(n, probabilities, ids)?;
            models.push(scores);
            self.check_categories(n, &models)?;
        }
        let weights = match &self.params.weights {
            Weights::By(WeightsBy::Mean) => vec![1.0 / models.len() as f64; models.len()],
            Weights::By(WeightsBy::LogLoss) => log_loss_weights(&models, given),
            Weights::Given(weights) => {
                let sum: f64 = weights.iter().sum();
                weights.iter().map(|weight| weight / sum).collect()
            }
        };
        let mut input = first.clone();
        input.rename("given_label", "label".into())?;
        let combined = calibrated(mixed(&models, &weights), self.params.calibrate, &input)?;
        let key = context.key.to_hex();
        let version = format!("combine of {} {}", models.len(), context.key.short());
        let mut table =
            combined.out_of_fold_frame(&input, context.taxonomy, &key[..16], &version)?;
        add_votes(&mut table, &models, &combined, given)?;
        let mut outputs = Outputs::frame(table);
        let quality = combined.quality(given);
        if let Some(quality) = &quality {
            quality.note(&mut outputs);
        }
        let table = models_frame(&frames, &models, &weights, given)?;
        Ok(outputs
            .with("probabilities", Artifact::Frame(combined.probabilities_frame(first)?))
            .with("reliability", Artifact::Frame(reliability_frame(quality.as_ref())?))
            .with("models", Artifact::Frame(table)))
    }
}

impl CombineNode {
    fn name(&self, model: usize) -> &str {
        self.names.get(model).map_or("?", String::as_str)
    }

    /// The model must be about the same records with the same labels as the first.
    fn check_labels(
        &self,
        model: usize,
        frame: &DataFrame,
        ids: &StringChunked,
        given: &StringChunked,
    ) -> Result<(), NodeError> {
        let labels = strings(frame, "given_label")?;
        let rows = self.rows(model, frame, ids)?;
        for (row, (id, label)) in rows.into_iter().zip(ids.iter().zip(given.iter())) {
            let other = labels.get(row);
            if other != label {
                let message = format!(
                    "record `{}` has label `{}` in `{}` and `{}` in `{}`",
                    id.unwrap_or_default(),
                    label.unwrap_or_default(),
                    self.name(0),
                    other.unwrap_or_default(),
                    self.name(model)
                );
                return Err(NodeError::input(message)
                    .with_hint("combine predictions that were made of the same records"));
            }
        }
        Ok(())
    }

    /// The row of a frame for each record; none may be missing, none left over.
    fn rows(
        &self,
        model: usize,
        frame: &DataFrame,
        ids: &StringChunked,
    ) -> Result<Vec<usize>, NodeError> {
        let wrong = |message: String| {
            NodeError::input(message)
                .with_hint("combine predictions that were made of the same records")
        };
        let here = strings(frame, "record_id")?;
        let places = rows_by_id(here);
        let mut rows = Vec::with_capacity(ids.len());
        for id in ids.iter().map(Option::unwrap_or_default) {
            let row = places.get(id).copied().ok_or_else(|| {
                let (first, other) = (self.name(0), self.name(model));
                wrong(format!("record `{id}` of `{first}` is not in `{other}`"))
            })?;
            rows.push(row);
        }
        if here.len() != ids.len() {
            let (found, wanted) = (here.len(), ids.len());
            let (first, other) = (self.name(0), self.name(model));
            return Err(wrong(format!(
                "`{other}` has {found} records where `{first}` has {wanted}"
            )));
        }
        Ok(rows)
    }

    /// The probabilities of a model in the order of the first one's records.
    fn scores(
        &self,
        model: usize,
        frame: &DataFrame,
        ids: &StringChunked,
    ) -> Result<Scores, NodeError> {
        let rows = self.rows(model, frame, ids)?;
        let mut columns: Vec<&Column> =
            frame.columns().iter().filter(|column| column.name() != "record_id").collect();
        columns.sort_by(|a, b| a.name().cmp(b.name()));
        let floats = |column: &&Column| {
            let message = || format!("column `{}` holds no probabilities", column.name());
            FloatColumn::of(column)
                .ok_or_else(|| NodeError::input(format!("`{}`: {}", self.name(model), message())))
        };
        let floats = columns.iter().map(floats).collect::<Result<Vec<_>, NodeError>>()?;
        let values = match floats.iter().all(FloatColumn::is_single) {
            true => Values::Single(gathered(&floats, &rows)?),
            false => Values::Double(gathered(&floats, &rows)?),
        };
        Ok(Scores { names: columns.iter().map(|c| c.name().to_string()).collect(), values })
    }

    /// The last model must have the categories of the first.
    fn check_categories(&self, model: usize, models: &[Scores]) -> Result<(), NodeError> {
        let (first, last) = (&models[0].names, &models[model].names);
        let lacks = |here: &[String], there: &[String]| {
            there.iter().find(|name| !here.contains(name)).cloned()
        };
        let (found, missing) = (lacks(first, last), lacks(last, first));
        let (with, without, category) = match (found, missing) {
            (Some(category), _) => (model, 0, category),
            (None, Some(category)) => (0, model, category),
            (None, None) => return Ok(()),
        };
        let (with, without) = (self.name(with), self.name(without));
        let message = format!("`{with}` has a category `{category}`, `{without}` has not");
        Err(NodeError::input(message).with_hint("combine models of the same categories"))
    }
}

/// Some rows of columns, column by column.
fn gathered<T: Float>(columns: &[FloatColumn], rows: &[usize]) -> Result<Vec<Vec<T>>, NodeError> {
    let gather = |column: &FloatColumn| {
        let mut values = vec![T::default(); rows.len()];
        column.gather(rows.iter().copied(), &mut values)?;
        Ok(values)
    };
    let gathered: std::io::Result<Vec<Vec<T>>> = columns.iter().map(gather).collect();
    gathered.map_err(|error| NodeError::Internal(error.to_string()))
}

/// The weighted mean of probabilities, added up in the order of the models; in double precision if
/// one of them is.
fn mixed(models: &[Scores], weights: &[f64]) -> Scores {
    let names = models[0].names.clone();
    let height = models[0].values.height();
    let column = |class: usize| {
        (0..height).map(move |row| {
            let parts = models.iter().zip(weights);
            parts.map(|(model, weight)| weight * model.values.get(class, row)).sum()
        })
    };
    let double = models.iter().any(|model| model.values.is_double());
    let values = Values::collect((0..names.len()).map(column), double);
    Scores { names, values }
}

/// The weights, summing to 1, whose mean of probabilities has the smallest log-loss against the
/// given labels (stacking of densities: Yao, Vehtari, Simpson, Gelman: "Using stacking to average
/// Bayesian predictive distributions", 2018, section 3), found by expectation maximisation for the
/// proportions of a mixture. The log-loss is convex in the weights, and no step makes it worse.
///
/// A weight by each model's own log-loss would not see that two models say the same.
fn log_loss_weights(models: &[Scores], labels: &StringChunked) -> Vec<f64> {
    let labelled: Vec<(usize, usize)> = labels
        .iter()
        .enumerate()
        .filter_map(|(row, label)| Some((row, models[0].class_of(label?)?)))
        .collect();
    let mut weights = vec![1.0 / models.len() as f64; models.len()];
    let step = labelled.len().div_ceil(MOST_RECORDS).max(1);
    // Row-major `[records, models]`: what each model gave the label.
    let given: Vec<f64> = labelled
        .iter()
        .step_by(step)
        .flat_map(|(row, class)| models.iter().map(|model| model.values.get(*class, *row)))
        .map(|p| p.max(SMALLEST))
        .collect();
    let records = given.len() / models.len();
    for _ in 0..if records == 0 { 0 } else { STEPS } {
        let mut next = vec![0.0; models.len()];
        for row in given.chunks_exact(models.len()) {
            let sum: f64 = row.iter().zip(&weights).map(|(p, w)| p * w).sum();
            for ((next, p), weight) in next.iter_mut().zip(row).zip(&weights) {
                *next += p * weight / sum;
            }
        }
        next.iter_mut().for_each(|weight| *weight /= records as f64);
        let moved = next.iter().zip(&weights).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        weights = next;
        if moved < SETTLED {
            break;
        }
    }
    weights
}

/// What each model predicts, how many predict the combined label, and whether all predict one label
/// other than the given one.
fn add_votes(
    table: &mut DataFrame,
    models: &[Scores],
    combined: &Scores,
    given: &StringChunked,
) -> Result<(), NodeError> {
    let height = given.len();
    let votes: Vec<Vec<usize>> =
        models.iter().map(|model| (0..height).map(|row| model.best(row)).collect()).collect();
    for (n, votes) in votes.iter().enumerate() {
        let labels = votes.iter().map(|class| Some(*class));
        table.with_column(choice_column(&vote(n + 1), &combined.names, labels)?)?;
    }
    let agreeing: Vec<u32> = (0..height)
        .map(|row| {
            let best = combined.best(row);
            votes.iter().filter(|votes| votes[row] == best).count() as u32
        })
        .collect();
    let agree: Vec<bool> = given
        .iter()
        .enumerate()
        .map(|(row, label)| {
            let vote = votes[0][row];
            let other = label.is_some_and(|label| combined.names[vote] != label);
            other && votes.iter().all(|votes| votes[row] == vote)
        })
        .collect();
    table.with_column(Column::new(AGREEING.into(), agreeing))?;
    table.with_column(Column::new("models_agree".into(), agree))?;
    Ok(())
}

fn models_frame(
    frames: &[&DataFrame],
    models: &[Scores],
    weights: &[f64],
    given: &StringChunked,
) -> Result<DataFrame, NodeError> {
    let qualities: Vec<Option<Quality>> = models.iter().map(|model| model.quality(given)).collect();
    let numbers = |name: &str, get: fn(&Quality) -> f64| {
        let values: Vec<Option<f64>> = qualities.iter().map(|q| q.as_ref().map(get)).collect();
        Column::new(name.into(), values)
    };
    let mut versions = Vec::with_capacity(frames.len());
    for frame in frames {
        versions.push(strings(frame, "model_version")?.iter().flatten().next());
    }
    crate::columns::frame(vec![
        Column::new("model".into(), (1..=models.len() as i64).collect::<Vec<_>>()),
        string_column("model_version", versions),
        Column::new("weight".into(), weights),
        numbers("accuracy", |quality| quality.accuracy),
        numbers("log_loss", |quality| quality.log_loss),
        numbers("calibration_error", |quality| quality.calibration_error),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(values: [&[f32]; 2]) -> Scores {
        let names = vec!["a".to_owned(), "b".to_owned()];
        Scores { names, values: Values::Single(values.map(<[f32]>::to_vec).to_vec()) }
    }

    fn labels(values: &[&str]) -> StringChunked {
        values.iter().map(|value| Some(*value)).collect()
    }

    #[test]
    fn weights_by_log_loss_leave_a_useless_model_out() {
        let good = scores([&[0.8, 0.8, 0.2, 0.3], &[0.2, 0.2, 0.8, 0.7]]);
        let bad = scores([&[0.5, 0.3, 0.5, 0.6], &[0.5, 0.7, 0.5, 0.4]]);
        let weights = log_loss_weights(&[good, bad], &labels(&["a", "a", "b", "b"]));
        assert!(weights[0] > 0.999, "{weights:?}");
    }

    #[test]
    fn models_that_complement_each_other_share_the_weight() {
        let one = scores([&[0.9, 0.9, 0.6, 0.4], &[0.1, 0.1, 0.4, 0.6]]);
        let other = scores([&[0.4, 0.6, 0.1, 0.1], &[0.6, 0.4, 0.9, 0.9]]);
        let given = labels(&["a", "a", "b", "b"]);
        let loss = |scores: &Scores| scores.quality(&given).unwrap().log_loss;
        let best = loss(&one).min(loss(&other));
        let models = [one, other];
        let weights = log_loss_weights(&models, &given);
        assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        assert!(weights.iter().all(|weight| *weight > 0.2), "{weights:?}");
        assert!(loss(&mixed(&models, &weights)) < best);
        assert_eq!(log_loss_weights(&models, &labels(&["x", "x", "x", "x"])), [0.5, 0.5]);
    }
}

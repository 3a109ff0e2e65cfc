//! `issues`: which labels look wrong, by confident learning, and how suspicious each one is.
//!
//! The algorithms are those of the crate `label-issues`; this file brings labels and probabilities
//! together by record id. A record whose label is no category that could be learnt is an issue of
//! quality 0: the label is wrong whatever the probabilities say.

use std::collections::HashMap;

use engine::{Artifact, Inputs, Node, NodeError, Outputs, RunContext};
use label_issues::{
    Collision, Dataset, EntropyMode, Error as IssueError, Evidence, FilterBy, FilterOptions,
    MISSING, Renormalized, ScoreMethod, ScoreOptions, TieBreak, class_overlaps, class_summaries,
    estimate_joint,
};
use plan::{CheckContext, Checked, ColumnType, Finding, InputPort, PortType, Schema};
use polars::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::columns::{STRING, booleans, float_column, frame_port, string_column, strings};
use crate::decisions::ORIGINAL_QUALITY;
use crate::kind::{Kind, Making};
use crate::proposals;
use frame_probabilities::FrameProbabilities;

mod frame_probabilities;
mod joint;
mod noise;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Filter {
    #[default]
    PruneByNoiseRate,
    PruneByClass,
    Both,
    ConfidentLearning,
    PredictedNeqGiven,
    LowNormalizedMargin,
    LowSelfConfidence,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Score {
    SelfConfidence,
    NormalizedMargin,
    ConfidenceWeightedEntropy,
    ThresholdLogRatio,
    #[default]
    LabelPosterior,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Entropy {
    #[default]
    Fixed,
    Compatible,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// How wrong labels are found.
    #[serde(default)]
    filter_by: Filter,
    /// How label_quality is measured. `label_posterior` is the probability that the given label is
    /// right under the noise between classes, and adds the label to propose instead; the others look
    /// at the confidences of one record.
    #[serde(default)]
    score: Score,
    /// Share of the estimated noise that the pruning filters flag.
    #[serde(default = "one")]
    #[schemars(range(min = 0.0, max = 1.0))]
    frac_noise: f64,
    /// Rows of each class that the pruning filters leave.
    #[serde(default = "one_row")]
    min_examples_per_class: u64,
    /// Shift probabilities by the thresholds of their classes before scoring.
    #[serde(default)]
    adjust_pred_probs: bool,
    /// What `confidence_weighted_entropy` says of a record whose label is certain: the best score,
    /// or with `compatible` the worst, as cleanlab 2.9.0 does.
    #[serde(default)]
    entropy: Entropy,
    /// Resolve rows confident of several classes as the paper does, not as cleanlab does.
    #[serde(default)]
    paper: bool,
}

fn one() -> f64 {
    1.0
}
fn one_row() -> u64 {
    1
}

impl Params {
    fn filter(self) -> FilterBy {
        match self.filter_by {
            Filter::PruneByNoiseRate => FilterBy::PruneByNoiseRate,
            Filter::PruneByClass => FilterBy::PruneByClass,
            Filter::Both => FilterBy::Both,
            Filter::ConfidentLearning => FilterBy::ConfidentLearning,
            Filter::PredictedNeqGiven => FilterBy::PredictedNeqGiven,
            Filter::LowNormalizedMargin => FilterBy::LowNormalizedMargin,
            Filter::LowSelfConfidence => FilterBy::LowSelfConfidence,
        }
    }

    /// Which score of a single row to compute; none for the one that weighs classes.
    fn scores(self) -> Option<ScoreOptions> {
        let method = match self.score {
            Score::LabelPosterior => return None,
            Score::SelfConfidence => ScoreMethod::SelfConfidence,
            Score::NormalizedMargin => ScoreMethod::NormalizedMargin,
            Score::ConfidenceWeightedEntropy => ScoreMethod::ConfidenceWeightedEntropy,
            Score::ThresholdLogRatio => ScoreMethod::ThresholdLogRatio,
        };
        let entropy = match self.entropy {
            Entropy::Fixed => EntropyMode::Fixed,
            Entropy::Compatible => EntropyMode::Compatible,
        };
        Some(ScoreOptions { method, adjust_pred_probs: self.adjust_pred_probs, entropy })
    }
}

pub(crate) struct Issues;

impl Kind for Issues {
    type Params = Params;

    const NAME: &'static str = "issues";
    const VERSION: u32 = 2;
    const SUMMARY: &'static str = "Adds is_label_issue and label_quality (low is suspicious).";

    fn input_ports() -> Vec<InputPort> {
        let records = [("record_id", STRING), ("given_label", STRING)];
        let probabilities = InputPort {
            beside_input: Some("probabilities"),
            ..frame_port(
                "probabilities",
                "a column for each category; the port `probabilities` of `input` if absent",
                &[("record_id", STRING)],
            )
        };
        vec![frame_port("input", "out-of-fold predictions", &records), probabilities]
    }

    fn output_ports() -> Vec<&'static str> {
        vec!["", "classes", "pairs", "joint"]
    }

    fn check(params: &Params, context: &CheckContext<'_>) -> Result<Checked, Vec<Finding>> {
        use ColumnType::{Boolean, Float, Integer, String};
        let adjustable = matches!(params.score, Score::SelfConfidence | Score::NormalizedMargin);
        if params.adjust_pred_probs && !adjustable {
            let finding = Finding::param(
                "/adjust_pred_probs",
                "`adjust_pred_probs` does not go with this score",
            );
            let hint = "take `score: self_confidence` or `normalized_margin`";
            return Err(vec![finding.with_hint(hint)]);
        }
        if params.entropy != Entropy::Fixed && params.score != Score::ConfidenceWeightedEntropy {
            let finding = Finding::param("/entropy", "`entropy` does not go with this score");
            let hint = "take `score: confidence_weighted_entropy`";
            return Err(vec![finding.with_hint(hint)]);
        }
        let mut schema = context.schema("input").cloned().unwrap_or_default();
        schema.set("is_label_issue", Boolean);
        schema.set("label_quality", Float);
        if params.score == Score::LabelPosterior {
            proposals::declare(&mut schema);
            if noise::knows_originals(&schema) {
                schema.set(ORIGINAL_QUALITY, Float);
            }
        }
        let classes = Schema::new([
            ("category", String),
            ("records", Integer),
            ("threshold", Float),
            ("label_issues", Integer),
            ("inverse_label_issues", Integer),
            ("label_noise", Float),
            ("inverse_label_noise", Float),
            ("label_quality", Float),
        ]);
        let pairs = Schema::new([
            ("category", String),
            ("other_category", String),
            ("records", Integer),
            ("joint_probability", Float),
        ]);
        let outputs =
            [("", schema), ("classes", classes), ("pairs", pairs), ("joint", joint::schema())];
        let outputs = outputs.map(|(port, schema)| (port, PortType::Frame(schema))).to_vec();
        Ok(Checked { outputs, ..Checked::default() })
    }

    fn node(params: Params, _: &Making<'_>) -> Result<Box<dyn Node>, NodeError> {
        Ok(Box::new(IssuesNode { params }))
    }
}

struct IssuesNode {
    params: Params,
}

fn issue_error(error: IssueError) -> NodeError {
    NodeError::input(error.to_string())
}

impl Node for IssuesNode {
    fn reads(&self, port: &str) -> Option<Vec<String>> {
        FrameProbabilities::reads(port)
    }

    fn run(&self, context: &RunContext<'_>, inputs: &Inputs) -> Result<Outputs, NodeError> {
        let frame = inputs.frame("input")?;
        let ids = strings(frame, "record_id")?;
        let probabilities = FrameProbabilities::new(inputs, ids)?;
        let classes: HashMap<&str, u32> = probabilities
            .names
            .iter()
            .enumerate()
            .map(|(n, name)| (name.as_str(), n as u32))
            .collect();
        let class_of = |label: &str| classes.get(label).copied();
        let valid = booleans(frame, "text_valid").ok();
        let text_valid = |row: usize| valid.is_none_or(|valid| valid.get(row) == Some(true));
        let given = strings(frame, "given_label")?;
        let labels: Vec<u32> = given
            .iter()
            .enumerate()
            .map(|(row, label)| {
                let class = label.and_then(class_of);
                class.filter(|_| text_valid(row)).unwrap_or(MISSING)
            })
            .collect();
        let dataset = |source| Dataset::on_threads(source, &labels, context.threads);
        let renormalized = Renormalized::new(&probabilities);
        let dataset = match dataset(&probabilities).map_err(issue_error)? {
            uneven if uneven.uneven_rows() > 0 => dataset(&renormalized).map_err(issue_error)?,
            even => even,
        };
        let collision = if self.params.paper { Collision::Paper } else { Collision::Cleanlab };
        let evidence = dataset.evidence(collision).map_err(issue_error)?;
        let keys = id_order(ids);
        let options = FilterOptions {
            filter_by: self.params.filter(),
            frac_noise: self.params.frac_noise,
            min_examples_per_class: self.params.min_examples_per_class,
            ties: TieBreak::Keys(&keys),
            ..FilterOptions::default()
        };
        let mut flags = evidence.find_label_issues(&options).map_err(issue_error)?;
        let (mut quality, weighed) = match self.params.scores() {
            Some(options) => (dataset.label_quality_scores(&options).map_err(issue_error)?, None),
            None => {
                let mut found = noise::weigh(frame, &class_of, &labels, &evidence, &dataset)?;
                (std::mem::take(&mut found.now.quality), Some(found))
            }
        };
        let mut outside = 0;
        for (row, label) in given.iter().enumerate() {
            let unknown = label.is_some_and(|label| class_of(label).is_none());
            if unknown && text_valid(row) {
                flags[row] = true;
                quality[row] = 0.0;
                outside += 1;
            }
        }
        let expected = weighed.as_ref().map(|_| expected_wrong(&quality));
        let table = scored(frame, &flags, &quality, weighed, &probabilities)?;
        let mut outputs =
            outputs(table, &flags, &probabilities.names, &evidence, &dataset, outside)?;
        if let Some(expected) = expected {
            outputs.count(
                "wrong labels expected, by label_quality",
                expected,
                Some(frame.height()),
            );
        }
        Ok(outputs)
    }
}

/// The frame with what was found of each record.
fn scored(
    frame: &DataFrame,
    flags: &[bool],
    quality: &[f64],
    weighed: Option<noise::Weighed>,
    probabilities: &FrameProbabilities,
) -> Result<DataFrame, NodeError> {
    let mut table = frame.clone();
    table.with_column(Column::new("is_label_issue".into(), flags))?;
    table.with_column(float_column("label_quality", quality.iter().copied()))?;
    if let Some(weighed) = weighed {
        for column in probabilities.proposals(&weighed.now.alternatives)? {
            table.with_column(column)?;
        }
        if let Some(original) = weighed.original {
            table.with_column(float_column(ORIGINAL_QUALITY, original))?;
        }
    }
    Ok(table)
}

/// How many labels are wrong if each is right with the probability that its quality says.
fn expected_wrong(quality: &[f64]) -> usize {
    let wrong = quality.iter().filter(|value| !value.is_nan()).map(|value| 1.0 - value);
    wrong.sum::<f64>().round() as usize
}

/// The place of each record in the order of ids, so that ties do not depend on the order of rows.
fn id_order(ids: &StringChunked) -> Vec<u32> {
    if ids.iter().is_sorted() {
        return (0..ids.len() as u32).collect();
    }
    let mut order: Vec<(&str, usize)> =
        ids.iter().enumerate().map(|(row, id)| (id.unwrap_or_default(), row)).collect();
    order.sort_unstable();
    let mut keys = vec![0; order.len()];
    for (place, (_, row)) in order.into_iter().enumerate() {
        keys[row] = place as u32;
    }
    keys
}

fn outputs(
    table: DataFrame,
    flags: &[bool],
    names: &[String],
    evidence: &Evidence<'_>,
    dataset: &Dataset<'_>,
    outside: usize,
) -> Result<Outputs, NodeError> {
    let joint =
        estimate_joint(evidence.confident_joint(), dataset.class_counts()).map_err(issue_error)?;
    let mut outputs = Outputs::frame(table);
    let found = flags.iter().filter(|flag| **flag).count();
    outputs.count("labels that look wrong", found, Some(flags.len()));
    if outside > 0 {
        outputs.count("of them labels that are no category", outside, None);
    }
    outputs.metric("label health", evidence.health());
    let classes = classes_frame(names, &joint, dataset)?;
    let pairs = pairs_frame(names, &joint, dataset.labelled())?;
    let cells = joint::frame(names, &joint, evidence, dataset)?;
    Ok(outputs
        .with("classes", Artifact::Frame(classes))
        .with("pairs", Artifact::Frame(pairs))
        .with("joint", Artifact::Frame(cells)))
}

fn classes_frame(
    names: &[String],
    joint: &label_issues::SquareMatrix<f64>,
    dataset: &Dataset<'_>,
) -> Result<DataFrame, NodeError> {
    let all = class_summaries(joint, dataset.labelled());
    let numbers = |name: &str, get: &dyn Fn(&label_issues::ClassSummary) -> f64| {
        Column::new(name.into(), all.iter().map(get).collect::<Vec<f64>>())
    };
    let counts = |name: &str, get: &dyn Fn(&label_issues::ClassSummary) -> u64| {
        Column::new(name.into(), all.iter().map(|c| get(c) as i64).collect::<Vec<i64>>())
    };
    crate::columns::frame(vec![
        string_column("category", all.iter().map(|c| Some(names[c.class].as_str()))),
        counts("records", &|c| dataset.class_counts()[c.class]),
        numbers("threshold", &|c| dataset.confident_thresholds()[c.class]),
        counts("label_issues", &|c| c.label_issues),
        counts("inverse_label_issues", &|c| c.inverse_label_issues),
        numbers("label_noise", &|c| c.label_noise),
        numbers("inverse_label_noise", &|c| c.inverse_label_noise),
        numbers("label_quality", &|c| c.label_quality),
    ])
}

fn pairs_frame(
    names: &[String],
    joint: &label_issues::SquareMatrix<f64>,
    rows: usize,
) -> Result<DataFrame, NodeError> {
    let mut all = class_overlaps(joint, rows);
    all.retain(|pair| pair.rows > 0);
    crate::columns::frame(vec![
        string_column("category", all.iter().map(|pair| Some(names[pair.first].as_str()))),
        string_column("other_category", all.iter().map(|pair| Some(names[pair.second].as_str()))),
        Column::new("records".into(), all.iter().map(|p| p.rows as i64).collect::<Vec<i64>>()),
        Column::new(
            "joint_probability".into(),
            all.iter().map(|p| p.joint_probability).collect::<Vec<f64>>(),
        ),
    ])
}

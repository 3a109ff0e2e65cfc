//! `validate`: says of every record whether its text is usable and its label approved.

use std::collections::BTreeMap;

use engine::{Artifact, FactContext, Inputs, Node, NodeError, Outputs, RunContext};
use plan::{CheckContext, Checked, ColumnType, Finding, InputPort, PortType};
use polars::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::columns::{STRING, frame_port, string_column, strings};
use crate::kind::{Kind, Making};

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TextLimits {
    /// Fewest characters, blanks at the ends not counted.
    #[serde(default = "default_min")]
    min_chars: usize,
    /// Most characters.
    #[serde(default = "default_max")]
    max_chars: usize,
}

fn default_min() -> usize {
    3
}
fn default_max() -> usize {
    20_000
}

impl Default for TextLimits {
    fn default() -> TextLimits {
        TextLimits { min_chars: default_min(), max_chars: default_max() }
    }
}

impl serde::Serialize for TextLimits {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::json!({ "min_chars": self.min_chars, "max_chars": self.max_chars })
            .serialize(serializer)
    }
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// What a usable text is.
    #[serde(default)]
    text: TextLimits,
    /// A gate: the run fails when a larger share of the records is rejected, 0 to 1.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1))]
    max_rejected: Option<f64>,
}

pub(crate) struct Validate;

impl Kind for Validate {
    type Params = Params;

    const NAME: &'static str = "validate";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str =
        "Adds text_valid, text_problem and label_in_taxonomy; lists what failed on `rejected`.";

    fn input_ports() -> Vec<InputPort> {
        vec![frame_port(
            "input",
            "the records to look at",
            &[("record_id", STRING), ("text", STRING), ("label", STRING)],
        )]
    }

    fn output_ports() -> Vec<&'static str> {
        vec!["", "rejected"]
    }

    fn check(params: &Params, context: &CheckContext<'_>) -> Result<Checked, Vec<Finding>> {
        if params.text.min_chars > params.text.max_chars {
            return Err(vec![Finding::param(
                "/text/min_chars",
                format!(
                    "`min_chars` is {}, more than `max_chars`, which is {}",
                    params.text.min_chars, params.text.max_chars
                ),
            )]);
        }
        let mut schema = context.schema("input").cloned().unwrap_or_default();
        schema.set("text_valid", ColumnType::Boolean);
        schema.set("text_problem", ColumnType::String);
        schema.set("label_in_taxonomy", ColumnType::Boolean);
        let mut rejected = schema.clone();
        rejected.set("reason", ColumnType::String);
        Ok(Checked {
            outputs: vec![("", PortType::Frame(schema)), ("rejected", PortType::Frame(rejected))],
            ..Checked::default()
        })
    }

    fn node(params: Params, _: &Making<'_>) -> Result<Box<dyn Node>, NodeError> {
        Ok(Box::new(ValidateNode { limits: params.text, max_rejected: params.max_rejected }))
    }
}

struct ValidateNode {
    limits: TextLimits,
    max_rejected: Option<f64>,
}

impl ValidateNode {
    fn check_share(&self, rejected: usize, all: usize) -> Result<(), NodeError> {
        let share = rejected as f64 / (all as f64).max(1.0);
        match self.max_rejected.filter(|most| share > *most) {
            None => Ok(()),
            Some(most) => Err(NodeError::Gate {
                message: format!(
                    "{rejected} of {all} records are rejected, `max_rejected` says {most} of them"
                ),
                hint: Some(
                    "run without it, and `relabel show NODE.rejected` lists them with reasons"
                        .into(),
                ),
            }),
        }
    }

    fn text_problem(&self, text: Option<&str>) -> Option<String> {
        let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else {
            return Some("empty".into());
        };
        let chars = text.chars().count();
        if chars < self.limits.min_chars {
            return Some(format!("too short: {chars} characters"));
        }
        if chars > self.limits.max_chars {
            return Some(format!("too long: {chars} characters"));
        }
        if !text.chars().any(char::is_alphanumeric) {
            return Some("no letter or digit".into());
        }
        None
    }
}

impl Node for ValidateNode {
    fn facts(&self, context: &mut FactContext<'_>) -> Result<(), NodeError> {
        context.taxonomy();
        Ok(())
    }

    fn run(&self, context: &RunContext<'_>, inputs: &Inputs) -> Result<Outputs, NodeError> {
        let frame = inputs.frame("input")?;
        let problems: Vec<Option<String>> =
            strings(frame, "text")?.iter().map(|text| self.text_problem(text)).collect();
        let labels = strings(frame, "label")?;
        let mut outside: BTreeMap<&str, usize> = BTreeMap::new();
        let mut missing = 0;
        let in_taxonomy: Vec<bool> = labels
            .iter()
            .map(|label| {
                let Some(label) = label else {
                    missing += 1;
                    return false;
                };
                let known = context.taxonomy.is_none_or(|taxonomy| taxonomy.contains(label));
                if !known {
                    *outside.entry(label).or_default() += 1;
                }
                known
            })
            .collect();
        let valid: Vec<bool> = problems.iter().map(Option::is_none).collect();
        let reasons = reasons(&problems, &in_taxonomy, labels);
        let mut all = frame.clone();
        all.with_column(Column::new("text_valid".into(), &valid))?;
        all.with_column(string_column("text_problem", problems.iter().map(Option::as_deref)))?;
        all.with_column(Column::new("label_in_taxonomy".into(), &in_taxonomy))?;
        let mut rejected = all.clone();
        rejected.with_column(string_column("reason", reasons.iter().map(Option::as_deref)))?;
        let mask: BooleanChunked = reasons.iter().map(|reason| Some(reason.is_some())).collect();
        let rejected = rejected.filter(&mask)?;
        self.check_share(rejected.height(), frame.height())?;

        let mut outputs = Outputs::frame(all);
        let good = valid.iter().filter(|valid| **valid).count();
        outputs.count("texts usable", good, Some(valid.len()));
        if missing > 0 {
            outputs.warn(format!("{missing} records have no label"), None);
        }
        if !outside.is_empty() {
            let (text, hint) = outside_text(&outside, context);
            outputs.warn(text, hint.as_deref());
        }
        Ok(outputs.with("rejected", Artifact::Frame(rejected)))
    }
}

fn reasons(
    problems: &[Option<String>],
    in_taxonomy: &[bool],
    labels: &StringChunked,
) -> Vec<Option<String>> {
    problems
        .iter()
        .zip(in_taxonomy)
        .zip(labels.iter())
        .map(|((problem, known), label)| {
            let text = problem.as_ref().map(|problem| format!("text: {problem}"));
            let label = (!known).then(|| match label {
                Some(label) => format!("label `{label}` is not in the taxonomy"),
                None => "no label".to_owned(),
            });
            match (text, label) {
                (Some(text), Some(label)) => Some(format!("{text}; {label}")),
                (text, label) => text.or(label),
            }
        })
        .collect()
}

fn outside_text(
    outside: &BTreeMap<&str, usize>,
    context: &RunContext<'_>,
) -> (String, Option<String>) {
    let total: usize = outside.values().sum();
    let mut by_count: Vec<(&str, usize)> = outside.iter().map(|(l, n)| (*l, *n)).collect();
    by_count.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let shown: Vec<String> =
        by_count.iter().take(5).map(|(label, count)| format!("`{label}` ({count})")).collect();
    let more = by_count.len().saturating_sub(5);
    let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
    let text =
        format!("{total} records have a label outside the taxonomy: {}{tail}", shown.join(", "));
    let near = by_count.iter().find_map(|(label, _)| {
        context.taxonomy?.nearest(label).map(|near| format!("`{label}` may mean `{near}`"))
    });
    (text, near)
}

//! `clean`: the labels as they are now, with where each comes from. The original stays beside it.
//!
//! A decision is about a text and an original label. When either has changed since, the decision
//! is not applied and is listed on the port `conflicts`. A label that a gold set knows stands above
//! every decision.

use std::collections::HashMap;

use engine::{Artifact, Inputs, Node, NodeError, Outputs, RunContext};
use plan::{CheckContext, Checked, ColumnType, Finding, InputPort, PortType, Schema};
use polars::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::columns::{INTEGER, STRING, frame_port, integers, string_column, strings};
use crate::gold;
use crate::kind::{Kind, Making};

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {}

pub(crate) struct Clean;

impl Kind for Clean {
    type Params = Params;

    const NAME: &'static str = "clean";
    const VERSION: u32 = 2;
    const SUMMARY: &'static str = "Applies corrections; keeps original_label and the decision.";

    fn input_ports() -> Vec<InputPort> {
        let records = [("record_id", STRING), ("text", STRING), ("label", STRING)];
        let decisions = [
            ("record_id", STRING),
            ("review_decision", STRING),
            ("final_label", STRING),
            ("original_label", STRING),
            ("text_digest", STRING),
            ("decision_seq", INTEGER),
        ];
        vec![
            frame_port("input", "the records with their original labels", &records),
            frame_port("corrections", "decisions, from a `corrections` node", &decisions),
            InputPort {
                required: false,
                ..frame_port("gold", "records whose right label is known", &gold::KNOWN)
            },
        ]
    }

    fn output_ports() -> Vec<&'static str> {
        vec!["", "conflicts"]
    }

    fn check(_: &Params, context: &CheckContext<'_>) -> Result<Checked, Vec<Finding>> {
        let mut schema = context.schema("input").cloned().unwrap_or_default();
        schema.set("original_label", ColumnType::String);
        schema.set("label_source", ColumnType::String);
        schema.set("decision_seq", ColumnType::Integer);
        let mut conflicts =
            Schema::new([("record_id", ColumnType::String), ("reason", ColumnType::String)]);
        conflicts.set("decision_seq", ColumnType::Integer);
        Ok(Checked {
            outputs: vec![("", PortType::Frame(schema)), ("conflicts", PortType::Frame(conflicts))],
            ..Checked::default()
        })
    }

    fn node(_: Params, _: &Making<'_>) -> Result<Box<dyn Node>, NodeError> {
        Ok(Box::new(CleanNode))
    }
}

/// Whether a `label_source` says that somebody has decided on the label, or a gold set has.
pub(crate) fn is_decided(source: Option<&str>) -> bool {
    source.is_some_and(|source| source != "original")
}

struct CleanNode;

/// What a decision says of its record.
struct Decision<'a> {
    decision: &'a str,
    final_label: Option<&'a str>,
    original_label: &'a str,
    text_digest: &'a str,
    seq: i64,
}

impl<'a> Decision<'a> {
    /// Why the decision is not about the record as it is now, if it is not.
    fn conflict(&self, original: Option<&str>, text: &str) -> Option<&'static str> {
        if self.original_label != original.unwrap_or_default() {
            Some("the original label has changed since the decision")
        } else if self.text_digest != review_store::text_digest(text) {
            Some("the text has changed since the decision")
        } else {
            None
        }
    }

    /// The label that follows, and where it is from.
    fn outcome(&self, original: Option<&'a str>) -> (Option<&'a str>, &'static str) {
        match self.decision {
            "accept" | "other" => (self.final_label, "correction"),
            "keep" | "both-fit" => (self.final_label.or(original), "verified"),
            // No category fits: a label there would be wrong whichever it is.
            "invalid" => (None, "invalid"),
            _ => (original, "original"),
        }
    }
}

fn decisions(frame: &DataFrame) -> Result<HashMap<&str, Decision<'_>>, NodeError> {
    let ids = strings(frame, "record_id")?;
    let words = strings(frame, "review_decision")?;
    let finals = strings(frame, "final_label")?;
    let originals = strings(frame, "original_label")?;
    let digests = strings(frame, "text_digest")?;
    let sequence = integers(frame, "decision_seq")?;
    let mut all = HashMap::with_capacity(frame.height());
    for (row, seq) in sequence.into_iter().enumerate() {
        let decision = Decision {
            decision: words.get(row).unwrap_or_default(),
            final_label: finals.get(row),
            original_label: originals.get(row).unwrap_or_default(),
            text_digest: digests.get(row).unwrap_or_default(),
            seq: seq.unwrap_or_default(),
        };
        all.insert(ids.get(row).unwrap_or_default(), decision);
    }
    Ok(all)
}

impl Node for CleanNode {
    fn run(&self, _: &RunContext<'_>, inputs: &Inputs) -> Result<Outputs, NodeError> {
        let frame = inputs.frame("input")?;
        let mut decisions = decisions(inputs.frame("corrections")?)?;
        let mut known = inputs.try_frame("gold").map(gold::labels).transpose()?.unwrap_or_default();
        let ids = strings(frame, "record_id")?;
        let texts = strings(frame, "text")?;
        let originals = strings(frame, "label")?;
        let mut labels: Vec<Option<&str>> = Vec::with_capacity(frame.height());
        let mut sources = Vec::with_capacity(frame.height());
        let mut sequence = Vec::with_capacity(frame.height());
        let mut conflicts: Vec<(String, &str, i64)> = Vec::new();
        for row in 0..frame.height() {
            let original = originals.get(row);
            let id = ids.get(row).unwrap_or_default();
            let text = texts.get(row).unwrap_or_default();
            let decision = decisions.remove(id);
            if let Some(label) = known.remove(id) {
                labels.push(Some(label));
                sources.push("gold");
                sequence.push(None);
                continue;
            }
            let applied = decision.and_then(|decision| match decision.conflict(original, text) {
                None => Some(decision),
                Some(reason) => {
                    conflicts.push((id.to_owned(), reason, decision.seq));
                    None
                }
            });
            let (label, source) = match &applied {
                None => (original, "original"),
                Some(decision) => decision.outcome(original),
            };
            labels.push(label);
            sources.push(source);
            sequence.push(applied.as_ref().map(|decision| decision.seq));
        }
        let mut gone: Vec<(&str, i64)> =
            decisions.iter().map(|(id, decision)| (*id, decision.seq)).collect();
        gone.sort_unstable();
        conflicts.extend(
            gone.into_iter()
                .map(|(id, seq)| (id.to_owned(), "the record is not in the source", seq)),
        );
        let original = frame.column("label")?.clone().with_name("original_label".into());
        let mut cleaned = frame.clone();
        cleaned.with_column(string_column("label", labels.iter().copied()))?;
        cleaned.with_column(original)?;
        let named = sources.iter().map(|source| Some(*source));
        cleaned.with_column(string_column("label_source", named))?;
        cleaned.with_column(Column::new("decision_seq".into(), &sequence))?;
        let mut outputs = Outputs::frame(cleaned);
        tell(
            &mut outputs,
            &sources,
            inputs.try_frame("gold").map(|_| known.len()),
            conflicts.len(),
        );
        Ok(outputs.with("conflicts", Artifact::Frame(conflicts_frame(&conflicts)?)))
    }
}

/// Says how labels fared. `strangers`: records of the gold set, if there is one, without a record.
fn tell(outputs: &mut Outputs, sources: &[&str], strangers: Option<usize>, conflicts: usize) {
    let count = |word: &str| sources.iter().filter(|source| **source == word).count();
    outputs.count("labels corrected", count("correction"), Some(sources.len()));
    outputs.count("labels verified as they are", count("verified"), None);
    if count("invalid") > 0 {
        outputs.count("records without a fitting category", count("invalid"), None);
    }
    if let Some(strangers) = strangers {
        outputs.count("labels known from the gold set", count("gold"), None);
        if strangers > 0 {
            let text = format!("{strangers} records of the gold set are not in the source");
            outputs.warn(text, None);
        }
    }
    if conflicts > 0 {
        let text = format!("{conflicts} decisions were not applied");
        outputs.warn(text, Some("their records have changed; see the port `conflicts`"));
    }
}

fn conflicts_frame(conflicts: &[(String, &str, i64)]) -> Result<DataFrame, NodeError> {
    let sequence: Vec<i64> = conflicts.iter().map(|conflict| conflict.2).collect();
    crate::columns::frame(vec![
        string_column("record_id", conflicts.iter().map(|conflict| Some(conflict.0.as_str()))),
        string_column("reason", conflicts.iter().map(|conflict| Some(conflict.1))),
        Column::new("decision_seq".into(), sequence),
    ])
}

//! `corrections`: the decisions in effect, folded from the ledger, as a frame.

use std::collections::{BTreeMap, BTreeSet};

use engine::{Artifact, FactContext, Inputs, Node, NodeError, Outputs, RunContext};
use plan::{CheckContext, Checked, ColumnType, Finding, InputPort, PortType, Schema};
use polars::prelude::*;
use review_store::{CurrentDecision, Decision, LedgerRow, Origin, Shown, StoreError};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::columns::string_column;
use crate::gold;
use crate::kind::{Kind, Making};

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// URL of the review store, such as `sqlite:relabel.db`.
    #[schemars(extend("x-relabel-key" = false))]
    store: String,
}

pub(crate) struct Corrections;

impl Kind for Corrections {
    type Params = Params;

    const NAME: &'static str = "corrections";
    const VERSION: u32 = 3;
    const SUMMARY: &'static str = "The decisions of reviewers that are in effect.";

    fn input_ports() -> Vec<InputPort> {
        Vec::new()
    }

    fn output_ports() -> Vec<&'static str> {
        vec!["", VOTES, gold::PORT]
    }

    fn check(_: &Params, _: &CheckContext<'_>) -> Result<Checked, Vec<Finding>> {
        let strings = [
            "record_id",
            "review_decision",
            "final_label",
            "original_label",
            "given_label",
            "proposed_label",
            "reviewed_by",
            "reviewed_at",
            "note",
            "text_digest",
            "audit_run_id",
            "model_version",
        ];
        let mut schema = Schema::new(strings.map(|name| (name, ColumnType::String)));
        schema.set("decision_seq", ColumnType::Integer);
        schema.set("prediction_confidence", ColumnType::Float);
        schema.set("given_confidence", ColumnType::Float);
        schema.set("given_is_wrong", ColumnType::Boolean);
        schema.set("lane", ColumnType::String);
        schema.set("control_row", ColumnType::Boolean);
        schema.set("stratum", ColumnType::String);
        schema.set("drawn_from", ColumnType::Integer);
        schema.set("lane_rows", ColumnType::Integer);
        let votes = ["record_id", "reviewed_by", "review_decision", "label"];
        let votes = Schema::new(votes.map(|name| (name, ColumnType::String)));
        let outputs = [("", schema), (VOTES, votes), (gold::PORT, gold::schema())];
        let outputs = outputs.map(|(port, schema)| (port, PortType::Frame(schema))).to_vec();
        Ok(Checked { outputs, ..Checked::default() })
    }

    fn node(params: Params, _: &Making<'_>) -> Result<Box<dyn Node>, NodeError> {
        Ok(Box::new(CorrectionsNode { params }))
    }
}

/// The port with every reviewer's decision on a record, also those that another one replaced.
const VOTES: &str = "votes";

struct CorrectionsNode {
    params: Params,
}

pub(crate) fn store_error(error: StoreError) -> NodeError {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    NodeError::io(text)
}

/// The head of the ledger decides what is read from a store; an absent store has an empty ledger.
pub(crate) fn store_facts(url: &str, context: &mut FactContext<'_>) -> Result<(), NodeError> {
    let store = review_store::open_existing(url, context.base_dir).map_err(store_error)?;
    let head = match store {
        Some(store) => store.ledger_head().map_err(store_error)?.digest,
        None => review_store::GENESIS_DIGEST.to_owned(),
    };
    context.facts.add("ledger", head);
    Ok(())
}

impl Node for CorrectionsNode {
    fn facts(&self, context: &mut FactContext<'_>) -> Result<(), NodeError> {
        store_facts(&self.params.store, context)
    }

    fn run(&self, context: &RunContext<'_>, _: &Inputs) -> Result<Outputs, NodeError> {
        let store = review_store::open_existing(&self.params.store, context.base_dir)
            .map_err(store_error)?;
        let ledger = match store {
            Some(store) => store.ledger().map_err(store_error)?,
            None => Vec::new(),
        };
        let rows = review_store::current_rows(&ledger);
        let mut outputs = Outputs::frame(frame_of(&rows)?);
        outputs.count("decisions in effect", rows.len(), None);
        let answers = gold::answers(&ledger)?;
        if answers.height() > 0 {
            outputs.count("answers to gold rows", answers.height(), None);
        }
        let outputs = outputs.with(VOTES, Artifact::Frame(votes_of(&ledger)?));
        Ok(outputs.with(gold::PORT, Artifact::Frame(answers)))
    }
}

fn frame_of(rows: &[&LedgerRow]) -> Result<DataFrame, NodeError> {
    let decisions: Vec<CurrentDecision> =
        rows.iter().map(|row| CurrentDecision::from(*row)).collect();
    let shown = rows
        .iter()
        .map(|row| {
            row.shown().ok_or_else(|| {
                let message = format!("ledger row {} does not say what was shown", row.seq);
                NodeError::io(message).with_hint("`relabel review verify` checks the ledger")
            })
        })
        .collect::<Result<Vec<Shown>, NodeError>>()?;
    let text = |name: &str, get: fn(&CurrentDecision) -> Option<&str>| {
        string_column(name, decisions.iter().map(get))
    };
    let number = |name: &str, get: fn(&Shown) -> Option<f64>| {
        Column::new(name.into(), shown.iter().map(get).collect::<Vec<Option<f64>>>())
    };
    let wrong: Vec<Option<bool>> = decisions.iter().map(CurrentDecision::given_is_wrong).collect();
    let count = |name: &str, get: fn(&Origin) -> Option<u64>| {
        let counts = shown.iter().map(|shown| get(&shown.origin).map(|count| count as i64));
        Column::new(name.into(), counts.collect::<Vec<Option<i64>>>())
    };
    let control: Vec<bool> = shown.iter().map(|shown| shown.origin.control).collect();
    let sequence: Vec<i64> = decisions.iter().map(|d| d.decision_seq as i64).collect();
    crate::columns::frame(vec![
        text("record_id", |d| Some(&d.record_id)),
        text("review_decision", |d| Some(d.decision.name())),
        text("final_label", |d| d.final_label.as_deref()),
        text("original_label", |d| Some(&d.original_label)),
        text("given_label", |d| Some(&d.given_label)),
        text("proposed_label", |d| Some(&d.proposed_label)),
        text("reviewed_by", |d| Some(&d.reviewed_by)),
        text("reviewed_at", |d| Some(&d.reviewed_at)),
        text("note", |d| d.note.as_deref()),
        text("text_digest", |d| Some(&d.text_digest)),
        text("audit_run_id", |d| Some(&d.audit_run_id)),
        text("model_version", |d| Some(&d.model_version)),
        Column::new("decision_seq".into(), sequence),
        number("prediction_confidence", |shown| Some(shown.prediction_confidence)),
        number("given_confidence", |shown| shown.given_confidence),
        Column::new("given_is_wrong".into(), wrong),
        string_column("lane", shown.iter().map(|shown| shown.origin.lane.as_deref())),
        Column::new("control_row".into(), control),
        string_column("stratum", shown.iter().map(|shown| shown.origin.stratum.as_deref())),
        count("drawn_from", |origin| origin.drawn_from),
        count("lane_rows", |origin| origin.lane_rows),
    ])
}

/// The decisions that nobody took back, in the order of the ledger.
pub(crate) fn standing(ledger: &[LedgerRow]) -> impl Iterator<Item = &LedgerRow> {
    let undone: BTreeSet<u64> = ledger
        .iter()
        .filter(|row| row.decision == Decision::Undo)
        .filter_map(|row| row.supersedes)
        .collect();
    ledger.iter().filter(move |row| row.decision != Decision::Undo && !undone.contains(&row.seq))
}

/// The last decision of each reviewer on each record, by record and reviewer; without those taken
/// back, those on another text than the record's last decision, and those that leave it open. An
/// answer to a gold row is a vote like any other.
fn votes_of(ledger: &[LedgerRow]) -> Result<DataFrame, NodeError> {
    let mut votes: BTreeMap<(&str, &str), &LedgerRow> = BTreeMap::new();
    let mut texts: BTreeMap<&str, &str> = BTreeMap::new();
    for row in standing(ledger) {
        votes.insert((&row.record_id, &row.reviewed_by), row);
        texts.insert(&row.record_id, &row.text_digest);
    }
    let current = |row: &&LedgerRow| {
        row.decision.verifies() && texts.get(row.record_id.as_str()) == Some(&&*row.text_digest)
    };
    let rows: Vec<&LedgerRow> = votes.into_values().filter(current).collect();
    let text = |name: &str, get: fn(&LedgerRow) -> Option<&str>| {
        string_column(name, rows.iter().map(|row| get(row)))
    };
    crate::columns::frame(vec![
        text("record_id", |row| Some(&row.record_id)),
        text("reviewed_by", |row| Some(&row.reviewed_by)),
        text("review_decision", |row| Some(row.decision.name())),
        text("label", |row| row.final_label.as_deref()),
    ])
}

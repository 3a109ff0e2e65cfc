//! `corrections`: the decisions in effect, folded from the ledger, as a frame.

use engine::{FactContext, Inputs, Node, NodeError, Outputs, RunContext};
use plan::{CheckContext, Checked, ColumnType, Finding, InputPort, PortType, Schema};
use polars::prelude::*;
use review_store::{CurrentDecision, StoreError};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::columns::string_column;
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
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = "The decisions of reviewers that are in effect.";

    fn input_ports() -> Vec<InputPort> {
        Vec::new()
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
        Ok(Checked { outputs: vec![("", PortType::Frame(schema))], ..Checked::default() })
    }

    fn node(params: Params, _: &Making<'_>) -> Result<Box<dyn Node>, NodeError> {
        Ok(Box::new(CorrectionsNode { params }))
    }
}

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
        let decisions = match store {
            Some(store) => store.current_decisions().map_err(store_error)?,
            None => Vec::new(),
        };
        let mut outputs = Outputs::frame(frame_of(&decisions)?);
        outputs.count("decisions in effect", decisions.len(), None);
        Ok(outputs)
    }
}

fn frame_of(decisions: &[CurrentDecision]) -> Result<DataFrame, NodeError> {
    let text = |name: &str, get: fn(&CurrentDecision) -> Option<&str>| {
        string_column(name, decisions.iter().map(get))
    };
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
    ])
}

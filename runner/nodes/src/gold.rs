//! Records whose right label is known: their labels, and what reviewers answered when they met them.
//!
//! An answer measures its reviewer and is no decision: it changes no label and teaches nothing. Which
//! records are asked about is the business of `sample`.

use std::collections::{BTreeMap, HashMap};

use engine::NodeError;
use label_issues::{Interval, share_interval};
use plan::{ColumnType, Schema};
use polars::prelude::*;
use review_store::{Decision, LedgerRow};

use crate::columns::{STRING, listed, string_column, strings};
use crate::corrections::standing;

/// Columns of a gold set.
pub(crate) const KNOWN: [(&str, &[ColumnType]); 2] = [("record_id", STRING), ("label", STRING)];

/// The port of `corrections` with the answers to gold rows.
pub(crate) const PORT: &str = "gold";

/// Columns of that port.
pub(crate) const ANSWERS: [(&str, &[ColumnType]); 8] = [
    ("record_id", STRING),
    ("reviewed_by", STRING),
    ("review_decision", STRING),
    ("label", STRING),
    ("right_label", STRING),
    ("given_label", STRING),
    ("proposed_label", STRING),
    ("verified_by", STRING),
];

pub(crate) fn schema() -> Schema {
    Schema::new(ANSWERS.map(|(name, _)| (name, ColumnType::String)))
}

/// The right label of each record of a gold set.
pub(crate) fn labels(frame: &DataFrame) -> Result<HashMap<&str, &str>, NodeError> {
    let (ids, labels) = (strings(frame, "record_id")?, strings(frame, "label")?);
    let mut known = HashMap::with_capacity(frame.height());
    let mut bad: Vec<String> = Vec::new();
    for (id, label) in ids.iter().zip(labels.iter()) {
        let id = id.unwrap_or_default();
        let label = label.filter(|label| !label.is_empty());
        // Two labels for one record are no right label.
        if label.is_none_or(|label| known.insert(id, label).is_some_and(|other| other != label)) {
            bad.push(id.to_owned());
        }
    }
    if !bad.is_empty() {
        let message = format!("gold records without one right label: {}", listed(&bad, 5));
        return Err(NodeError::input(message));
    }
    Ok(known)
}

/// The last answer of each reviewer to each gold row, by record and reviewer.
pub(crate) fn answers(ledger: &[LedgerRow]) -> Result<DataFrame, NodeError> {
    let mut answers: BTreeMap<(&str, &str), (&LedgerRow, String)> = BTreeMap::new();
    for row in standing(ledger).filter(|row| row.is_gold()) {
        if let Some(right) = row.shown().and_then(|shown| shown.origin.gold) {
            answers.insert((&row.record_id, &row.reviewed_by), (row, right));
        }
    }
    let decided = if answers.is_empty() { Vec::new() } else { review_store::current_rows(ledger) };
    let deciders: HashMap<&str, &str> =
        decided.into_iter().map(|row| (row.record_id.as_str(), row.reviewed_by.as_str())).collect();
    let rows: Vec<(&LedgerRow, String)> = answers.into_values().collect();
    let text = |name: &str, get: fn(&LedgerRow) -> Option<&str>| {
        string_column(name, rows.iter().map(|(row, _)| get(row)))
    };
    crate::columns::frame(vec![
        text("record_id", |row| Some(&row.record_id)),
        text("reviewed_by", |row| Some(&row.reviewed_by)),
        text("review_decision", |row| Some(row.decision.name())),
        text("label", |row| row.final_label.as_deref()),
        string_column("right_label", rows.iter().map(|(_, right)| Some(right.as_str()))),
        text("given_label", |row| Some(&row.given_label)),
        text("proposed_label", |row| Some(&row.proposed_label)),
        string_column(
            "verified_by",
            rows.iter().map(|(row, _)| deciders.get(row.record_id.as_str()).copied()),
        ),
    ])
}

/// How many of so many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Share {
    pub hits: u64,
    pub count: u64,
}

impl Share {
    pub fn add(&mut self, hit: bool) {
        self.hits += u64::from(hit);
        self.count += 1;
    }

    /// With Wilson's 95 % interval.
    pub fn interval(self) -> Option<Interval> {
        share_interval(self.hits, self.count, None)
    }
}

/// How good reviewers are, by gold rows.
#[derive(Debug, Default)]
pub(crate) struct Accuracy {
    /// Right answers of each reviewer.
    pub reviewers: BTreeMap<String, Share>,
    pub all: Share,
    /// Of the wrong labels given, those found wrong: what recall loses to reviewers.
    pub wrong_seen: Share,
    /// Of the right labels given, those left alone: what precision loses to reviewers.
    pub right_kept: Share,
    /// Answers of the very reviewer whom the right label is from, which show nothing.
    pub own: u64,
}

impl Accuracy {
    /// Reads the port `gold` of a `corrections` node. An `unsure` is no answer.
    pub fn read(answers: &DataFrame) -> Result<Accuracy, NodeError> {
        let column = |name| strings(answers, name);
        let (by, decisions) = (column("reviewed_by")?, column("review_decision")?);
        let (labels, rights) = (column("label")?, column("right_label")?);
        let (given, proposed) = (column("given_label")?, column("proposed_label")?);
        let verified_by = column("verified_by")?;
        let mut found = Accuracy::default();
        for row in 0..answers.height() {
            let decision = decisions.get(row).unwrap_or_default();
            let reviewer = by.get(row).unwrap_or_default();
            if decision == Decision::Unsure.name() {
                continue;
            }
            if verified_by.get(row) == Some(reviewer) {
                found.own += 1;
                continue;
            }
            let right = rights.get(row);
            let both = decision == Decision::BothFit.name() && proposed.get(row) == right;
            let is_right = labels.get(row) == right || both;
            found.reviewers.entry(reviewer.to_owned()).or_default().add(is_right);
            found.all.add(is_right);
            let kept = labels.get(row) == given.get(row);
            if given.get(row) == right {
                found.right_kept.add(kept);
            } else {
                found.wrong_seen.add(!kept);
            }
        }
        Ok(found)
    }
}

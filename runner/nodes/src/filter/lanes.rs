//! Lanes: named ways for a record to be put before reviewers, each with a rule and a budget.
//!
//! A record is in the first lane that takes it, and carries in words and numbers why. Verified
//! records are in no lane, so that a budget is spent on records that need a look.

use std::collections::{BTreeMap, BTreeSet};

use engine::{Inputs, NodeError, Outputs};
use plan::{ColumnType, Finding, Schema, World};
use polars::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

use super::condition;
use crate::clean::is_decided;
use crate::columns::{floats, keep_first, named, string_column, strings};
use crate::decisions::{LEARNT, Learnt};
use crate::reasons::{self, Table, Thresholds};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Rule {
    // Documented at `Lane::rule`: with a text of their own, choices are no plain list in the schema,
    // and a wrong word gets no suggestion.
    Strict,
    Adaptive,
    Ranked,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Lane {
    /// Stays with the record, up to the decision on it.
    name: String,
    /// `strict`: records for which `where` is true. `adaptive`: records whose prediction is another
    /// label, and as probable as that label is on the mean for the records that carry it. `ranked`:
    /// the next records by `rank_by`, as many as `budget` says.
    rule: Rule,
    /// A polars SQL expression that has to be true too; all there is to the rule `strict`.
    #[serde(default, rename = "where")]
    condition: Option<String>,
    /// Most records to take; all when absent.
    #[serde(default)]
    #[schemars(range(min = 1))]
    budget: Option<u32>,
    /// Column whose lowest values come first under a budget, or `expected_quality`, which is learnt
    /// from `decisions`. When absent, `label_quality` where `original_quality` is beside it, else the
    /// margin between the confidences of given and proposed label.
    #[serde(default)]
    rank_by: Option<String>,
}

/// What is wrong with lanes whatever the input.
pub(super) fn shape(lanes: &[Lane]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut names = BTreeSet::new();
    for (n, lane) in lanes.iter().enumerate() {
        let at = |key: &str| format!("/lanes/{n}{key}");
        if lane.name.trim().is_empty() {
            findings.push(Finding::param(&at("/name"), "a lane needs a name"));
        } else if !names.insert(lane.name.as_str()) {
            let message = format!("there are two lanes `{}`", lane.name);
            findings.push(Finding::param(&at("/name"), message));
        }
        if lane.rule == Rule::Strict && lane.condition.is_none() {
            let message = format!("lane `{}` is `strict` and needs a `where`", lane.name);
            findings.push(Finding::param(&at(""), message));
        }
        if lane.rule == Rule::Ranked && lane.budget.is_none() {
            let message = format!("lane `{}` is `ranked` and needs a `budget`", lane.name);
            findings.push(Finding::param(&at(""), message));
        }
    }
    findings
}

/// What can be found wrong with the expressions without a schema.
pub(super) fn parse(lanes: &[Lane], findings: &mut Vec<Finding>) {
    for (n, lane) in lanes.iter().enumerate() {
        if let Some(condition) = &lane.condition {
            findings.extend(condition::parse(condition, &format!("/lanes/{n}/where")).err());
        }
    }
}

const PREDICTION: [(&str, ColumnType); 4] = [
    ("given_label", ColumnType::String),
    ("predicted_label", ColumnType::String),
    ("given_confidence", ColumnType::Float),
    ("prediction_confidence", ColumnType::Float),
];

/// Checks every lane against the columns of the input; `learns` from decisions or not.
pub(super) fn check(
    world: &dyn World,
    lanes: &[Lane],
    schema: &Schema,
    learns: bool,
    findings: &mut Vec<Finding>,
) {
    for (n, lane) in lanes.iter().enumerate() {
        if let Some(condition) = &lane.condition {
            let pointer = format!("/lanes/{n}/where");
            findings.extend(condition::check_once(world, condition, schema, &pointer).err());
        }
        if let Some(column) = &lane.rank_by {
            let pointer = format!("/lanes/{n}/rank_by");
            match schema.get(column) {
                Some(ColumnType::Float | ColumnType::Integer) => {}
                Some(found) => {
                    let message = format!("column `{column}` is of type {found}, not a number");
                    findings.push(Finding::param(&pointer, message));
                }
                None if schema.open || (learns && column == LEARNT) => {}
                None if column == LEARNT => {
                    let finding = Finding::param(&pointer, "nothing is learnt here");
                    findings.push(finding.with_hint("name a `corrections` node in `decisions`"));
                }
                None => findings.push(condition::unknown_column(column, schema, &pointer)),
            }
        }
        let by_margin = lane.rank_by.is_none() && lane.budget.is_some();
        if by_margin || lane.rule == Rule::Adaptive {
            let what = if lane.rule == Rule::Adaptive { "`adaptive`" } else { "the margin" };
            findings.extend(lacking(schema).into_iter().map(|column| {
                let message = format!("{what} needs the column `{column}`, from a `predict` node");
                Finding::param(&format!("/lanes/{n}/rule"), message)
            }));
        }
    }
}

/// Checks that what decisions teach can be said of the input's records.
pub(super) fn check_learning(schema: &Schema, findings: &mut Vec<Finding>) {
    findings.extend(lacking(schema).into_iter().map(|column| {
        let message = format!("to learn from decisions, `input` needs the column `{column}`");
        Finding::new(plan::At::Input("decisions"), message)
    }));
}

fn lacking(schema: &Schema) -> Vec<&'static str> {
    let wanted = PREDICTION.iter().filter(|(name, wanted)| match schema.get(name) {
        Some(found) => found != *wanted,
        None => !schema.open,
    });
    wanted.map(|(name, _)| *name).collect()
}

/// Which lane took each record, and why.
struct Taken {
    lane: Vec<Option<usize>>,
    /// By row.
    reason: BTreeMap<usize, String>,
}

/// The columns that lanes look at; `None` for all of them.
pub(super) fn reads(lanes: &[Lane]) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for lane in lanes {
        names.extend(lane.rank_by.clone());
        if let Some(condition) = &lane.condition {
            names.extend(condition::columns(condition)?);
        }
    }
    if !lanes.is_empty() {
        names.extend(named(&["label_source", "text_valid"]));
        names.extend(reasons::reads());
    }
    Some(names)
}

/// Sends the records of `open` through the lanes; returns those that were taken, with columns.
pub(super) fn take(
    lanes: &[Lane],
    inputs: &Inputs,
    open: &[bool],
    outputs: &mut Outputs,
) -> Result<DataFrame, NodeError> {
    let (frame, decisions) = (inputs.frame("input")?, inputs.try_frame("decisions"));
    let mut open = open.to_vec();
    if let Ok(sources) = strings(frame, "label_source") {
        let mut verified = 0;
        for (open, source) in open.iter_mut().zip(sources.iter()) {
            let closed = *open && is_decided(source);
            verified += usize::from(closed);
            *open &= !closed;
        }
        if verified > 0 {
            outputs.count("verified before, in no lane", verified, None);
        }
    }
    let candidates = open.iter().filter(|open| **open).count();
    let table = Table::read(frame).ok();
    let thresholds = table.as_ref().map(|table| Thresholds::find(frame, table));
    let height = frame.height();
    let learnt = decisions.map(|decisions| Learnt::read(decisions, frame)).transpose()?;
    let wrong = match (&learnt, &table) {
        (Some(learnt), Some(table)) => Some(chances(learnt, table, &open)),
        _ => None,
    };
    let mut taken = Taken { lane: vec![None; height], reason: BTreeMap::new() };
    for (n, lane) in lanes.iter().enumerate() {
        let (table, thresholds) = (table.as_ref(), thresholds.as_ref());
        let choice = Choice { lane, frame, table, thresholds, wrong: wrong.as_deref() };
        for row in choice.rows(&open)? {
            open[row] = false;
            taken.lane[row] = Some(n);
            taken.reason.insert(row, choice.reason(row));
        }
    }
    for (n, lane) in lanes.iter().enumerate() {
        tell(n, lane, &taken, candidates, learnt.as_ref().zip(wrong.as_deref()), outputs);
    }
    let chosen: Vec<bool> = taken.lane.iter().map(Option::is_some).collect();
    let mut records = inputs.choose("input", &chosen)?;
    let names = taken.lane.iter().flatten().map(|lane| Some(lanes[*lane].name.as_str()));
    records.with_column(string_column("lane", names))?;
    let reasons = taken.reason.values().map(|reason| Some(reason.as_str()));
    records.with_column(string_column("reason", reasons))?;
    if let Some(wrong) = &wrong {
        let quality: Vec<f64> = taken.reason.keys().map(|row| 1.0 - wrong[*row]).collect();
        records.with_column(Column::new(LEARNT.into(), quality))?;
    }
    Ok(records)
}

/// How likely each open record has a wrong label; 0 for the others.
fn chances(learnt: &Learnt, table: &Table<'_>, open: &[bool]) -> Vec<f64> {
    let chance = |(row, open): (usize, &bool)| {
        let (given, proposed) = table.pair(row);
        if *open { learnt.wrong(given, proposed, table.scores[row]) } else { 0.0 }
    };
    open.iter().enumerate().map(chance).collect()
}

/// Says how many records a lane took and what can be expected of them.
fn tell(
    n: usize,
    lane: &Lane,
    taken: &Taken,
    candidates: usize,
    learnt: Option<(&Learnt, &[f64])>,
    outputs: &mut Outputs,
) {
    let rows: Vec<usize> =
        (0..taken.lane.len()).filter(|row| taken.lane[*row] == Some(n)).collect();
    outputs.count(format!("in lane `{}`", lane.name), rows.len(), Some(candidates));
    let Some((learnt, wrong)) = learnt.filter(|(learnt, _)| learnt.decisions() > 0) else { return };
    if !rows.is_empty() {
        let expected: f64 = rows.iter().map(|row| wrong[*row]).sum();
        let name = format!(
            "expected precision of lane `{}`, by {} decisions",
            lane.name,
            learnt.decisions()
        );
        outputs.metric(name, expected / rows.len() as f64);
    }
    if let Some(count) = learnt.lanes.get(&lane.name) {
        let text = format!("decided before in lane `{}`, and found wrong", lane.name);
        outputs.count(text, count.wrong as usize, Some(count.decided as usize));
    }
}

/// One lane, at work on the records before it.
struct Choice<'a> {
    lane: &'a Lane,
    frame: &'a DataFrame,
    table: Option<&'a Table<'a>>,
    thresholds: Option<&'a Thresholds<'a>>,
    wrong: Option<&'a [f64]>,
}

impl Choice<'_> {
    /// The records the lane takes; the best first under a budget.
    fn rows(&self, open: &[bool]) -> Result<Vec<usize>, NodeError> {
        let holds = match &self.lane.condition {
            Some(condition) => Some(condition::evaluate(self.frame, condition)?),
            None => None,
        };
        let reached = match (self.lane.rule, self.table.zip(self.thresholds)) {
            (Rule::Adaptive, None) => {
                let message = "`adaptive` needs the columns of a `predict` node";
                return Err(NodeError::input(message));
            }
            (Rule::Adaptive, both) => both,
            _ => None,
        };
        let takes = |row: &usize| {
            open[*row]
                && holds.as_ref().is_none_or(|holds| holds[*row])
                && reached.is_none_or(|(table, thresholds)| thresholds.reached(table, *row))
        };
        let mut rows: Vec<usize> = (0..open.len()).filter(takes).collect();
        if let Some(budget) = self.lane.budget {
            let ranks = self.ranks()?;
            let ids = self.table.and_then(|table| table.ids);
            let id = |row: usize| ids.and_then(|ids| ids.get(row));
            let score = |row: usize| self.table.map_or(0.0, |table| table.scores[row]);
            let order = |a: &usize, b: &usize| {
                let ranks = ranks[*a].total_cmp(&ranks[*b]);
                let ranks = ranks.then_with(|| score(*a).total_cmp(&score(*b)));
                ranks.then_with(|| id(*a).cmp(&id(*b))).then_with(|| a.cmp(b))
            };
            keep_first(&mut rows, budget as usize, order);
        }
        Ok(rows)
    }

    /// Low comes first; what has no number comes last.
    fn ranks(&self) -> Result<Vec<f64>, NodeError> {
        let mut ranks = match (&self.lane.rank_by, self.table) {
            (Some(column), _) if column == LEARNT && self.wrong.is_some() => {
                self.wrong.unwrap_or_default().iter().map(|wrong| 1.0 - wrong).collect()
            }
            (Some(column), _) => floats(self.frame, column)?,
            (None, Some(table)) => table.scores.clone(),
            (None, None) => {
                let message = format!("lane `{}` has nothing to rank by", self.lane.name);
                return Err(NodeError::input(message).with_hint("name a column in `rank_by`"));
            }
        };
        for rank in &mut ranks {
            // NaN may carry a sign, and a negative one would sort first.
            *rank = if rank.is_nan() { f64::INFINITY } else { *rank + 0.0 };
        }
        Ok(ranks)
    }

    /// The sentence that items of every origin have; the lane's condition where nothing is predicted.
    fn reason(&self, row: usize) -> String {
        match self.table.zip(self.thresholds) {
            Some((table, thresholds)) => table.reason(row, Some(thresholds)).to_string(),
            None => self.lane.condition.clone().unwrap_or_default(),
        }
    }
}

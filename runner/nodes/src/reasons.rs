//! Why a label is doubted, in words and numbers, for records that lanes, controls or a gold set put
//! forward: all say it in one sentence, so that it tells a reviewer nothing of where an item is from.

use std::fmt;

use engine::NodeError;
use label_issues::{MISSING, class_thresholds, is_confident};
use polars::prelude::*;

use crate::columns::{booleans, distinct, floats, integers, named, strings};
use crate::combine::{AGREEING, MOST_MODELS, VOTE, vote};
use crate::decisions;
use crate::proposals::Proposals;

/// Why a label is doubted, in words and numbers:
/// ``predicted `cards` with 0.93 (its threshold is 0.71), given label `loans` has 0.02``, and
/// ``, proposed `fees` has 0.04`` when the proposal is not what was predicted, and
/// ``; 3 of 3 models predict `cards` `` when there are several.
///
/// Items of every origin have this sentence, so that a control row looks like any other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reason<'a> {
    pub given: &'a str,
    /// NaN when the given label is no category that could be learnt.
    pub given_confidence: f64,
    pub predicted: &'a str,
    pub confidence: f64,
    /// What the prediction had to reach, where it had to.
    pub threshold: Option<f64>,
    pub proposed: &'a str,
    pub proposal_confidence: f64,
    /// How many models predict the same, of how many.
    pub agreeing: Option<(i64, usize)>,
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "predicted `{}` with {:.2}", self.predicted, self.confidence)?;
        if let Some(threshold) = self.threshold {
            write!(f, " (its threshold is {threshold:.2})")?;
        }
        match self.given {
            given if !self.given_confidence.is_nan() => {
                write!(f, ", given label `{given}` has {:.2}", self.given_confidence)?;
            }
            "" => f.write_str(", no label is given")?,
            given => write!(f, ", given label `{given}` is no category that could be learnt")?,
        }
        if self.proposed != self.predicted {
            write!(f, ", proposed `{}` has {:.2}", self.proposed, self.proposal_confidence)?;
        }
        if let Some((agreeing, models)) = self.agreeing {
            write!(f, "; {agreeing} of {models} models predict `{}`", self.predicted)?;
        }
        Ok(())
    }
}

/// What a frame of predictions says of each record.
pub(crate) struct Table<'a> {
    pub ids: Option<&'a StringChunked>,
    pub given: &'a StringChunked,
    predicted: &'a StringChunked,
    pub given_confidence: Vec<f64>,
    confidence: Vec<f64>,
    /// How many models predict the same, and of how many, where several were combined.
    agreeing: Option<(Vec<Option<i64>>, usize)>,
    pub proposals: Proposals,
    /// Low is suspicious.
    pub scores: Vec<f64>,
}

/// The columns that [`Table::read`] looks at.
pub(crate) fn reads() -> Vec<String> {
    let mut names = named(&["record_id", "given_label", AGREEING]);
    names.extend(decisions::scored());
    names.extend((1..=MOST_MODELS).map(vote));
    names
}

impl<'a> Table<'a> {
    pub fn read(frame: &'a DataFrame) -> Result<Table<'a>, NodeError> {
        let proposals = Proposals::read(frame)?;
        Ok(Table {
            scores: decisions::scores(frame, &proposals)?,
            proposals,
            ids: strings(frame, "record_id").ok(),
            given: strings(frame, "given_label")?,
            predicted: strings(frame, "predicted_label")?,
            given_confidence: floats(frame, "given_confidence")?,
            confidence: floats(frame, "prediction_confidence")?,
            agreeing: integers(frame, AGREEING).ok().map(|agreeing| {
                let votes = frame.columns().iter().filter(|c| c.name().starts_with(VOTE)).count();
                (agreeing, votes)
            }),
        })
    }

    fn labels(&self, row: usize) -> (&str, &str) {
        let text = |column: &'a StringChunked| column.get(row).unwrap_or_default();
        (text(self.given), text(self.predicted))
    }

    /// Given and proposed label.
    pub fn pair(&self, row: usize) -> (&str, &str) {
        (self.labels(row).0, self.proposals.label(row))
    }

    /// Why the label of a record is doubted; with thresholds where those of all records are known.
    pub fn reason(&self, row: usize, thresholds: Option<&Thresholds<'_>>) -> Reason<'_> {
        let (given, predicted) = self.labels(row);
        Reason {
            given,
            given_confidence: self.given_confidence[row],
            predicted,
            confidence: self.confidence[row],
            threshold: thresholds.and_then(|thresholds| thresholds.of(predicted)),
            proposed: self.proposals.label(row),
            proposal_confidence: self.proposals.confidences[row],
            agreeing: self.agreeing.as_ref().and_then(|(agreeing, of)| Some((agreeing[row]?, *of))),
        }
    }
}

/// The mean probability of each label over the valid records that carry it. Labels are those after
/// corrections, so what reviewers have said moves the thresholds.
pub(crate) struct Thresholds<'a> {
    names: Vec<&'a str>,
    values: Vec<Option<f64>>,
}

impl<'a> Thresholds<'a> {
    pub fn find(frame: &DataFrame, table: &'a Table<'_>) -> Thresholds<'a> {
        let valid = booleans(frame, "text_valid").ok();
        let names = distinct(table.given.iter().flatten());
        let labels: Vec<u32> = table
            .given
            .iter()
            .enumerate()
            .map(|(row, label)| {
                let usable = valid.is_none_or(|valid| valid.get(row) == Some(true));
                let label = label.filter(|_| usable);
                label
                    .and_then(|label| names.binary_search(&label).ok())
                    .map_or(MISSING, |n| n as u32)
            })
            .collect();
        let values = class_thresholds(&labels, &table.given_confidence, names.len());
        Thresholds { names, values }
    }

    /// The threshold of a label that some record carries.
    pub fn of(&self, label: &str) -> Option<f64> {
        self.values[self.names.binary_search(&label).ok()?]
    }

    /// Whether a record's prediction disagrees and reaches its threshold.
    pub fn reached(&self, table: &Table<'_>, row: usize) -> bool {
        let (given, predicted) = table.labels(row);
        let confident = |threshold| is_confident(table.confidence[row], threshold);
        predicted != given && self.of(predicted).is_some_and(confident)
    }
}

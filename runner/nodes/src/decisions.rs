//! What decisions teach about labels that nobody has looked at: the frame of a `corrections` node,
//! read for learning. Applying decisions is the business of `clean`.

use std::collections::BTreeMap;
use std::fmt;

use engine::NodeError;
use label_issues::{Acceptance, Judged};
use plan::ColumnType;
use polars::prelude::DataFrame;

use crate::columns::{FLOAT, STRING, booleans, floats, strings};

/// Columns of a `corrections` node that learning needs.
pub(crate) const LEARNT_FROM: &[(&str, &[ColumnType])] = &[
    ("given_label", STRING),
    ("proposed_label", STRING),
    ("given_confidence", FLOAT),
    ("prediction_confidence", FLOAT),
    ("given_is_wrong", &[ColumnType::Boolean]),
    ("lane", STRING),
];

/// The score that decisions are compared by: low is suspicious. It is there whatever a queue was
/// ranked by, and in the ledger for every decision.
pub(crate) fn margin(given_confidence: f64, proposal_confidence: f64) -> f64 {
    let given = if given_confidence.is_nan() { 0.0 } else { given_confidence };
    given - proposal_confidence
}

/// Why a label is doubted, in words and numbers:
/// ``predicted `cards` with 0.93 (its threshold is 0.71), given label `loans` has 0.02``, and
/// ``, proposed `fees` has 0.04`` when the proposal is not what was predicted.
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
        Ok(())
    }
}

/// How often labels like a given one were found wrong.
pub(crate) struct Learnt {
    acceptance: Acceptance,
    /// Numbers of the pairs of given and proposed label.
    pairs: BTreeMap<String, BTreeMap<String, u32>>,
    /// Decisions of each lane, and how many of them found the given label wrong.
    pub lanes: BTreeMap<String, LaneCount>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LaneCount {
    pub wrong: u64,
    pub decided: u64,
}

impl Learnt {
    pub fn read(decisions: &DataFrame) -> Result<Learnt, NodeError> {
        let given = strings(decisions, "given_label")?;
        let proposed = strings(decisions, "proposed_label")?;
        let given_confidence = floats(decisions, "given_confidence")?;
        let confidence = floats(decisions, "prediction_confidence")?;
        let wrong = booleans(decisions, "given_is_wrong")?;
        let lanes = strings(decisions, "lane")?;
        let mut learnt = Learnt {
            acceptance: Acceptance::fit(&[]),
            pairs: BTreeMap::new(),
            lanes: BTreeMap::new(),
        };
        let mut next = 0;
        let mut judged = Vec::with_capacity(decisions.height());
        for row in 0..decisions.height() {
            // Nobody knows yet after `unsure`.
            let Some(wrong) = wrong.get(row) else { continue };
            let (given, proposed) = (given.get(row), proposed.get(row));
            let proposals = learnt.pairs.entry(given.unwrap_or_default().to_owned()).or_default();
            let pair = *proposals.entry(proposed.unwrap_or_default().to_owned()).or_insert(next);
            next = next.max(pair + 1);
            let score = margin(given_confidence[row], confidence[row]);
            judged.push(Judged { score, pair, wrong });
            if let Some(lane) = lanes.get(row) {
                let count = learnt.lanes.entry(lane.to_owned()).or_default();
                count.decided += 1;
                count.wrong += u64::from(wrong);
            }
        }
        learnt.acceptance = Acceptance::fit(&judged);
        Ok(learnt)
    }

    /// Returns the number of decisions learnt from.
    pub fn decisions(&self) -> usize {
        self.acceptance.decisions()
    }

    /// How likely it is that a reviewer finds the given label wrong, 0 to 1.
    pub fn wrong(&self, given: &str, predicted: &str, margin: f64) -> f64 {
        let pair = self.pairs.get(given).and_then(|proposals| proposals.get(predicted));
        self.acceptance.probability(margin, pair.copied())
    }
}

//! What decisions teach about labels that nobody has looked at: the frame of a `corrections` node,
//! read for learning. Applying decisions is the business of `clean`.

use std::collections::{BTreeMap, HashMap};

use engine::NodeError;
use label_issues::{Acceptance, Count, Judged};
use plan::ColumnType;
use polars::prelude::{DataFrame, PlHashSet};

use crate::columns::{FLOAT, STRING, booleans, floats, named, rows_of, strings};
use crate::proposals::Proposals;

/// Columns of a `corrections` node that learning needs.
pub(crate) const LEARNT_FROM: &[(&str, &[ColumnType])] = &[
    ("record_id", STRING),
    ("given_label", STRING),
    ("proposed_label", STRING),
    ("given_confidence", FLOAT),
    ("prediction_confidence", FLOAT),
    ("given_is_wrong", &[ColumnType::Boolean]),
    ("lane", STRING),
];

/// The column that decisions teach: how likely the given label is right. Low is suspicious.
pub(crate) const LEARNT: &str = "expected_quality";

/// How likely each label is right, from an `issues` node: of the labels as they are now, and of those
/// that records came with.
const QUALITY: &str = "label_quality";
pub(crate) const ORIGINAL_QUALITY: &str = "original_quality";

/// The score of each record that decisions are compared by: low is suspicious. Where an `issues` node
/// weighed original labels too, what it says now of labels decided on and of those that are not is of
/// one kind, whatever a queue was ranked by. Else it is the margin between the confidences of given
/// and proposed label, which the ledger has for every decision.
pub(crate) fn scores(frame: &DataFrame, proposals: &Proposals) -> Result<Vec<f64>, NodeError> {
    if frame.column(ORIGINAL_QUALITY).is_ok() && frame.column(QUALITY).is_ok() {
        return floats(frame, QUALITY);
    }
    let given = floats(frame, "given_confidence")?;
    Ok(given.iter().zip(&proposals.confidences).map(|(g, p)| margin(*g, *p)).collect())
}

/// The columns that [`scores`] looks at.
pub(crate) fn scored() -> Vec<String> {
    let mut names = named(&[QUALITY, ORIGINAL_QUALITY, "given_confidence"]);
    names.extend(named(&Proposals::READS));
    names
}

fn margin(given_confidence: f64, proposal_confidence: f64) -> f64 {
    let given = if given_confidence.is_nan() { 0.0 } else { given_confidence };
    given - proposal_confidence
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
    /// Learns from decisions; `records` are what it will be asked about, with those decided on.
    pub fn read(decisions: &DataFrame, records: &DataFrame) -> Result<Learnt, NodeError> {
        let given = strings(decisions, "given_label")?;
        let proposed = strings(decisions, "proposed_label")?;
        let given_confidence = floats(decisions, "given_confidence")?;
        let confidence = floats(decisions, "prediction_confidence")?;
        let wrong = booleans(decisions, "given_is_wrong")?;
        let lanes = strings(decisions, "lane")?;
        let ids = strings(decisions, "record_id")?;
        let weighed = original_qualities(records, &ids.iter().flatten().collect())?;
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
            let score = match &weighed {
                Some(weighed) => weighed.get(ids.get(row).unwrap_or_default()).copied(),
                None => Some(margin(given_confidence[row], confidence[row])),
            };
            let score = score.unwrap_or(f64::NAN);
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
    pub fn wrong(&self, given: &str, proposed: &str, score: f64) -> f64 {
        self.acceptance.probability(score, self.pair(given, proposed))
    }

    /// How many of these records, as given label, proposed label and score, are wrong.
    pub fn expected<'a>(&self, records: impl Iterator<Item = (&'a str, &'a str, f64)>) -> Count {
        let rows: Vec<(f64, Option<u32>)> =
            records.map(|(given, proposed, score)| (score, self.pair(given, proposed))).collect();
        self.acceptance.expected(&rows)
    }

    fn pair(&self, given: &str, proposed: &str) -> Option<u32> {
        self.pairs.get(given).and_then(|proposals| proposals.get(proposed)).copied()
    }
}

/// What an `issues` node says now of the labels that some records came with, where it does.
fn original_qualities<'a>(
    records: &'a DataFrame,
    wanted: &PlHashSet<&str>,
) -> Result<Option<HashMap<&'a str, f64>>, NodeError> {
    if records.column(ORIGINAL_QUALITY).is_err() {
        return Ok(None);
    }
    let ids = strings(records, "record_id")?;
    let quality = floats(records, ORIGINAL_QUALITY)?;
    Ok(Some(rows_of(ids, wanted).into_iter().map(|(id, row)| (id, quality[row])).collect()))
}

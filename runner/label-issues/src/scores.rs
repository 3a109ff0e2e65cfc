//! A score for each row: how well its label fits, low is suspicious.

use crate::Error;
use crate::dataset::{Dataset, label_of};
use crate::kernel::{Standing, Value};
use crate::probabilities::{At, RowVisitor};

/// Keeps quotients and logarithms finite.
const SMALL: f64 = 1e-6;

/// The scores, under cleanlab's names; the last one is ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScoreMethod {
    /// The probability of the given class.
    #[default]
    SelfConfidence,
    /// How far the given class is ahead of the best other one, from 0 to 1.
    NormalizedMargin,
    /// The entropy of the row against its self-confidence.
    ConfidenceWeightedEntropy,
    /// How far the given class is ahead of the best other one, each measured as a logarithm
    /// against the threshold of its class.
    ThresholdLogRatio,
}

impl ScoreMethod {
    pub const ALL: [Self; 4] = [
        Self::SelfConfidence,
        Self::NormalizedMargin,
        Self::ConfidenceWeightedEntropy,
        Self::ThresholdLogRatio,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::SelfConfidence => "self_confidence",
            Self::NormalizedMargin => "normalized_margin",
            Self::ConfidenceWeightedEntropy => "confidence_weighted_entropy",
            Self::ThresholdLogRatio => "threshold_log_ratio",
        }
    }
}

impl std::str::FromStr for ScoreMethod {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let unknown = || Error::UnknownName { what: "score", name: name.to_owned() };
        Self::ALL.into_iter().find(|one| one.as_str() == name).ok_or_else(unknown)
    }
}

/// What the entropy score says of a row that is certain of its label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EntropyMode {
    /// 1, the best score.
    #[default]
    Fixed,
    /// 0, the worst score, as cleanlab 2.9.0 does.
    Compatible,
}

/// Which score to compute.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScoreOptions {
    pub method: ScoreMethod,
    /// Whether probabilities are first shifted by the thresholds of their classes; for
    /// self-confidence and normalized margin.
    pub adjust_pred_probs: bool,
    pub entropy: EntropyMode,
}

impl Dataset<'_> {
    /// Returns the score of each row; not a number for rows without a label. One pass.
    pub fn label_quality_scores(&self, options: &ScoreOptions) -> Result<Vec<f64>, Error> {
        let scorer = match (options.method, options.adjust_pred_probs) {
            (ScoreMethod::SelfConfidence, false) => Scorer::SelfConfidence,
            (ScoreMethod::NormalizedMargin, false) => Scorer::NormalizedMargin,
            (ScoreMethod::SelfConfidence, true) => Scorer::AdjustedConfidence(self.shifts()),
            (ScoreMethod::NormalizedMargin, true) => Scorer::AdjustedMargin(self.shifts()),
            (ScoreMethod::ConfidenceWeightedEntropy, false) => Scorer::Entropy(options.entropy),
            (ScoreMethod::ThresholdLogRatio, false) => {
                let thresholds = self.confident_thresholds().iter();
                Scorer::LogRatio(thresholds.map(|threshold| threshold.recip()).collect())
            }
            (_, true) => return Err(Error::CannotAdjust),
        };
        let mut scores = vec![f64::NAN; self.rows()];
        let pieces = scores.chunks_mut(self.piece_rows());
        let scoring = |scores| Scoring { labels: self.labels, scorer: &scorer, scores };
        self.pass(&mut pieces.map(scoring).collect::<Vec<_>>())?;
        Ok(scores)
    }

    /// Returns what is added to the probability of each class to adjust it.
    fn shifts(&self) -> Vec<f64> {
        let thresholds = self.confident_thresholds();
        let max = thresholds.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        thresholds.iter().map(|threshold| max - threshold).collect()
    }
}

pub(crate) fn normalized_margin(given: f64, other: f64) -> f64 {
    (given - other + 1.0) / 2.0
}

/// A score with what it needs of the classes.
enum Scorer {
    SelfConfidence,
    NormalizedMargin,
    AdjustedConfidence(Vec<f64>),
    AdjustedMargin(Vec<f64>),
    Entropy(EntropyMode),
    /// With one over the threshold of each class.
    LogRatio(Vec<f64>),
}

struct Scoring<'a> {
    labels: &'a [u32],
    scorer: &'a Scorer,
    scores: &'a mut [f64],
}

impl RowVisitor for Scoring<'_> {
    fn row<T: Value>(&mut self, at: At, values: &[T]) -> Result<(), Error> {
        if let Some(label) = label_of(self.labels, at.row) {
            self.scores[at.nth] = self.scorer.score(values, label);
        }
        Ok(())
    }
}

impl Scorer {
    fn score<T: Value>(&self, values: &[T], label: usize) -> f64 {
        match self {
            Self::SelfConfidence => values[label].double(),
            Self::NormalizedMargin => {
                let standing = Standing::new(values, label);
                normalized_margin(standing.given.double(), standing.other().double())
            }
            Self::AdjustedConfidence(shifts) => adjusted(values, shifts, label).0,
            Self::AdjustedMargin(shifts) => {
                let (given, other) = adjusted(values, shifts, label);
                normalized_margin(given, other)
            }
            Self::Entropy(mode) => entropy_score(values, label, *mode),
            Self::LogRatio(recips) => log_ratio(values, recips, label),
        }
    }
}

/// Returns the adjusted probability of the given class and of the best other one.
fn adjusted<T: Value>(values: &[T], shifts: &[f64], label: usize) -> (f64, f64) {
    let shifted = |class: usize| values[class].double() + shifts[class];
    let sum: f64 = (0..values.len()).map(shifted).sum();
    let others = (0..values.len()).filter(|class| *class != label);
    let other = others.map(shifted).fold(f64::NEG_INFINITY, f64::max);
    (shifted(label) / sum, other / sum)
}

fn entropy_score<T: Value>(values: &[T], label: usize, mode: EntropyMode) -> f64 {
    let probabilities = values.iter().map(|value| value.double());
    let terms = probabilities.filter(|p| *p > 0.0).map(|p| p * p.ln());
    // A probability just above 1 would make it negative.
    let entropy = (-terms.sum::<f64>() / (values.len() as f64).ln()).max(0.0);
    let weighted = entropy / values[label].double().max(SMALL);
    match mode {
        EntropyMode::Fixed if weighted == 0.0 => 1.0,
        EntropyMode::Fixed => weighted.ln_1p() / weighted,
        EntropyMode::Compatible => (1.0 + weighted).ln() / weighted.max(SMALL),
    }
}

fn log_ratio<T: Value>(values: &[T], recips: &[f64], label: usize) -> f64 {
    // The logarithm keeps the order, so it is enough to take it of the largest.
    let against = |class: usize| values[class].double().max(SMALL) * recips[class];
    let others = (0..values.len()).filter(|class| *class != label);
    let other = others.map(against).fold(0.0, f64::max);
    against(label).ln() - other.ln()
}

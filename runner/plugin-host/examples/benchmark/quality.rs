//! How good probabilities are against some labels, and how well they rank wrong ones.

use serde_json::{Value, json};

/// Bins of equal width for the expected calibration error (Guo et al. 2017, section 2).
const BINS: usize = 15;

/// Accuracy, log-loss and calibration against some labels.
pub struct Quality {
    accuracy: f64,
    log_loss: f64,
    calibration_error: f64,
    /// Rows that disagree with their label, and those of them predicted with more than 0.9.
    disagree: usize,
    disagree_surely: usize,
}

impl Quality {
    pub fn of(rows: &[&[f32]], labels: &[u32]) -> Quality {
        let mut bins = [(0.0, 0.0); BINS];
        let (mut hits, mut loss) = (0.0, 0.0);
        let (mut disagree, mut disagree_surely) = (0, 0);
        for (row, &label) in rows.iter().zip(labels) {
            let best = arg_max(row);
            let confidence = f64::from(row[best]);
            let hit = f64::from(u8::from(best == label as usize));
            let bin = &mut bins[((confidence * BINS as f64) as usize).min(BINS - 1)];
            *bin = (bin.0 + hit, bin.1 + confidence);
            hits += hit;
            loss -= f64::from(row[label as usize]).max(1e-15).ln();
            disagree += usize::from(best != label as usize);
            disagree_surely += usize::from(best != label as usize && confidence > 0.9);
        }
        let count = rows.len().max(1) as f64;
        let off: f64 = bins.iter().map(|(hits, confidence)| f64::abs(hits - confidence)).sum();
        Quality {
            accuracy: hits / count,
            log_loss: loss / count,
            calibration_error: off / count,
            disagree,
            disagree_surely,
        }
    }

    pub fn to_json(&self) -> Value {
        json!({
            "accuracy": self.accuracy,
            "log_loss": self.log_loss,
            "calibration_error": self.calibration_error,
            "disagree": self.disagree,
            "disagree_above_0.9": self.disagree_surely,
        })
    }
}

/// Ranks rows by the probability of their label, least first; the mean precision at each wrong one.
pub fn average_precision(rows: &[&[f32]], labels: &[u32], wrong: &[bool]) -> f64 {
    let own = |row: usize| rows[row][labels[row] as usize];
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by(|&a, &b| own(a).total_cmp(&own(b)));
    let (mut found, mut sum) = (0.0, 0.0);
    for (position, row) in order.into_iter().enumerate() {
        if wrong[row] {
            found += 1.0;
            sum += found / (position + 1) as f64;
        }
    }
    sum / f64::max(found, 1.0)
}

fn arg_max(row: &[f32]) -> usize {
    let better = |best: usize, class: usize| if row[class] > row[best] { class } else { best };
    (0..row.len()).fold(0, better)
}

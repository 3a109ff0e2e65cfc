//! Calibrated out-of-fold probabilities that stay out of fold.
//!
//! The calibrator of a fold's records is fitted on the records of the other folds alone, so a
//! record's own label has no say in its probabilities, here as little as in its model. Calibration
//! is against the labels as they are now: given labels, wrong ones included, and the right ones of
//! records that were verified. A confidence of 0.8 means that 8 in 10 such records carry that label.
//! No prediction changes. Knows nothing of classifiers; the functions are in `label-issues`.

use std::collections::BTreeSet;

use engine::{Digest, NodeError};
use label_issues::{Isotonic, Temperature};
use polars::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::scores::Scores;
use crate::columns::{integers, strings};

/// Parts that records without folds are dealt into.
const PARTS: u32 = 5;

/// Probabilities that a temperature is fitted on at most: one number needs no more.
const MOST_PROBABILITIES: usize = 2_000_000;

/// Records that a temperature is fitted on at most.
const MOST_RECORDS: usize = 20_000;

/// How out-of-fold probabilities are made to mean what they say: not at all; by one temperature for
/// all classes; by a rising function for each class, divided by their sum, which needs many records.
/// Neither changes a prediction.
// One description for all, so that a wrong word is answered with the choices there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Calibrate {
    #[default]
    None,
    Temperature,
    Isotonic,
}

impl Calibrate {
    pub fn word(self) -> &'static str {
        match self {
            Calibrate::None => "none",
            Calibrate::Temperature => "temperature",
            Calibrate::Isotonic => "isotonic",
        }
    }
}

/// Records that calibrators are fitted on and applied to.
struct Sample {
    /// Class of each record's given label; `None` for one that nothing is fitted on.
    classes: Vec<Option<u32>>,
    /// Fold of each record.
    folds: Vec<u32>,
    /// The folds there are.
    all_folds: Vec<u32>,
    /// Records with a class, in an order that has nothing to do with that of the rows.
    order: Vec<usize>,
}

impl Sample {
    fn new(scores: &Scores, frame: &DataFrame) -> Result<Sample, NodeError> {
        let ids = strings(frame, "record_id")?;
        let hashes: Vec<Digest> =
            ids.iter().map(|id| Digest::of(id.unwrap_or_default().as_bytes())).collect();
        let folds: Vec<u32> = match integers(frame, "fold_id") {
            Ok(folds) => folds
                .into_iter()
                .map(|fold| fold.and_then(|fold| u32::try_from(fold).ok()))
                .collect::<Option<_>>()
                .ok_or_else(|| NodeError::input("some records have no fold_id"))?,
            Err(_) => hashes.iter().map(|hash| u32::from(hash.as_bytes()[31]) % PARTS).collect(),
        };
        let classes: Vec<Option<u32>> = strings(frame, "label")?
            .iter()
            .map(|label| scores.class_of(label?).map(|class| class as u32))
            .collect();
        let all_folds: BTreeSet<u32> = folds.iter().copied().collect();
        let mut order: Vec<usize> =
            (0..classes.len()).filter(|row| classes[*row].is_some()).collect();
        order.sort_unstable_by_key(|row| hashes[*row]);
        Ok(Sample { classes, folds, all_folds: all_folds.into_iter().collect(), order })
    }

    /// Rows that the calibrator of a fold may be fitted on, in the order `order`.
    fn outside<'a>(
        &'a self,
        fold: u32,
        order: &'a [usize],
    ) -> impl Iterator<Item = (usize, u32)> + 'a {
        let rows = order.iter().filter(move |row| self.folds[**row] != fold);
        rows.filter_map(|row| Some((*row, self.classes[*row]?)))
    }

    fn rows_of(&self, fold: u32) -> impl Iterator<Item = usize> + '_ {
        (0..self.folds.len()).filter(move |row| self.folds[*row] == fold)
    }
}

/// Calibrates all probabilities against the column `label` of `frame`.
///
/// # Errors
///
/// If a column is missing, or there is no fold to keep apart from the others.
pub(crate) fn calibrated(
    scores: Scores,
    how: Calibrate,
    frame: &DataFrame,
) -> Result<Scores, NodeError> {
    if how == Calibrate::None {
        return Ok(scores);
    }
    let sample = Sample::new(&scores, frame)?;
    if sample.all_folds.len() < 2 {
        return Err(NodeError::input("`calibrate` needs records of two folds or more")
            .with_hint("leave `calibrate` out, or bring more records"));
    }
    match how {
        Calibrate::Isotonic => isotonic(scores, &sample),
        _ => temperature(scores, &sample),
    }
}

fn temperature(mut scores: Scores, sample: &Sample) -> Result<Scores, NodeError> {
    let width = scores.names.len();
    let most = (MOST_PROBABILITIES / width).clamp(500, MOST_RECORDS);
    let fitted: Vec<Temperature> = sample
        .all_folds
        .iter()
        .map(|fold| {
            let (mut rows, mut labels) = (Vec::new(), Vec::new());
            for (row, class) in sample.outside(*fold, &sample.order).take(most) {
                rows.extend((0..width).map(|class| scores.values.get(class, row)));
                labels.push(class);
            }
            Temperature::fit(&rows, &labels, width)
        })
        .collect();
    let mut cells = vec![0.0; width];
    for (fold, temperature) in sample.all_folds.iter().zip(&fitted) {
        for row in sample.rows_of(*fold) {
            let best = scores.best(row);
            read_row(&scores, row, &mut cells);
            temperature.apply(&mut cells);
            write_row(&mut scores, row, &cells);
            keep_best(&mut scores, row, best);
        }
    }
    Ok(scores)
}

fn isotonic(mut scores: Scores, sample: &Sample) -> Result<Scores, NodeError> {
    let mut by_fold: Vec<Vec<Isotonic>> = vec![Vec::new(); sample.all_folds.len()];
    let values = &scores.values;
    for class in 0..scores.names.len() {
        // Sorted once for all folds; ties are one step of the function in any order.
        let mut rising = sample.order.clone();
        rising.sort_unstable_by(|a, b| values.get(class, *a).total_cmp(&values.get(class, *b)));
        for (fitted, fold) in by_fold.iter_mut().zip(&sample.all_folds) {
            let rows = sample.outside(*fold, &rising);
            let points = rows.map(|(row, label)| (values.get(class, row), label as usize == class));
            fitted.push(Isotonic::fit(points));
        }
    }
    let mut cells = vec![0.0; scores.names.len()];
    for (fold, fitted) in sample.all_folds.iter().zip(&by_fold) {
        for row in sample.rows_of(*fold) {
            let best = scores.best(row);
            read_row(&scores, row, &mut cells);
            cells.iter_mut().zip(fitted).for_each(|(cell, class)| *cell = class.apply(*cell));
            // Above 0, for no share is 0; only probabilities that nothing was fitted on may be.
            let sum: f64 = cells.iter().sum();
            if sum > 0.0 {
                cells.iter_mut().for_each(|cell| *cell /= sum);
                put_first(&mut cells, best);
                write_row(&mut scores, row, &cells);
                keep_best(&mut scores, row, best);
            }
        }
    }
    Ok(scores)
}

/// Moves a row as little as can be (in squares) so that no class is above `best`: that one and those
/// above it come to stand at their mean, highest first, until no other is above. The sum stays.
fn put_first(cells: &mut [f64], best: usize) {
    let mut above: Vec<usize> = (0..cells.len()).filter(|k| cells[*k] > cells[best]).collect();
    above.sort_by(|a, b| cells[*b].total_cmp(&cells[*a]).then(a.cmp(b)));
    let (mut sum, mut pooled) = (cells[best], 0);
    for class in &above {
        if cells[*class] <= sum / (pooled as f64 + 1.0) {
            break;
        }
        sum += cells[*class];
        pooled += 1;
    }
    let mean = sum / (pooled as f64 + 1.0);
    above.iter().take(pooled).chain([&best]).for_each(|class| cells[*class] = mean);
}

/// Classes may have become equal; the one that was the best stays so.
fn keep_best(scores: &mut Scores, row: usize, best: usize) {
    if scores.best(row) != best {
        scores.values.raise(best, row);
    }
}

fn read_row(scores: &Scores, row: usize, cells: &mut [f64]) {
    for (class, cell) in cells.iter_mut().enumerate() {
        *cell = scores.values.get(class, row);
    }
}

fn write_row(scores: &mut Scores, row: usize, cells: &[f64]) {
    for (class, cell) in cells.iter().enumerate() {
        scores.values.set(class, row, *cell);
    }
}

#[cfg(test)]
mod tests {
    use super::super::values::Values;
    use super::*;
    use crate::columns::string_column;

    /// Too sure of itself: says 0.95 and is right in 7 of 10.
    fn overconfident(rows: usize) -> (Scores, DataFrame) {
        let names = ["a", "b", "c"];
        let mut values = vec![Vec::new(); 3];
        let (mut labels, mut ids, mut folds) = (Vec::new(), Vec::new(), Vec::new());
        for n in 0..rows {
            let top = n % 3;
            let sure = 0.93 + 0.04 * (n % 7) as f32 / 7.0;
            for (class, values) in values.iter_mut().enumerate() {
                values.push(if class == top { sure } else { (1.0 - sure) / 2.0 });
            }
            let right = (n / 3) % 10 < 7;
            labels.push(names[if right { top } else { (top + 1) % 3 }]);
            ids.push(format!("r{n}"));
            folds.push((n / 30 % 5) as i64);
        }
        let frame = crate::columns::frame(vec![
            string_column("record_id", ids.iter().map(|id| Some(id.as_str()))),
            string_column("label", labels.into_iter().map(Some)),
            Column::new("fold_id".into(), folds),
        ]);
        let names = names.map(str::to_owned).to_vec();
        (Scores { names, values: Values::Single(values) }, frame.unwrap())
    }

    fn error(scores: &Scores, frame: &DataFrame) -> f64 {
        scores.quality(strings(frame, "label").unwrap()).unwrap().calibration_error
    }

    #[test]
    fn the_calibration_error_falls() {
        for how in [Calibrate::Temperature, Calibrate::Isotonic] {
            let (scores, frame) = overconfident(6000);
            let before = error(&scores, &frame);
            let best: Vec<usize> = (0..6000).map(|row| scores.best(row)).collect();
            let scores = calibrated(scores, how, &frame).unwrap();
            let after = error(&scores, &frame);
            assert!(before > 0.2 && after < 0.03, "{how:?}: {before} -> {after}");
            assert!((0..6000).all(|row| scores.best(row) == best[row]), "{how:?}");
            for row in 0..6000 {
                let sum: f64 = (0..3).map(|class| scores.values.get(class, row)).sum();
                assert!((sum - 1.0).abs() < 1e-6, "{how:?} {row} {sum}");
            }
        }
    }

    #[test]
    fn the_best_class_is_put_first_with_the_smallest_move() {
        let put = |cells: [f64; 4], best: usize| {
            let mut cells = cells;
            put_first(&mut cells, best);
            cells
        };
        assert_eq!(put([0.5, 0.25, 0.25, 0.0], 0), [0.5, 0.25, 0.25, 0.0]);
        assert_eq!(put([0.25, 0.5, 0.25, 0.0], 0), [0.375, 0.375, 0.25, 0.0]);
        assert_eq!(
            put([0.0, 0.5, 0.375, 0.125], 0),
            [0.875 / 3.0, 0.875 / 3.0, 0.875 / 3.0, 0.125]
        );
    }

    #[test]
    fn isotonic_changes_no_prediction_where_its_steps_tie_and_cross() {
        // One class is right far less often than it says, so its curve lies under the others'.
        let (mut scores, frame) = overconfident(900);
        for row in 0..900 {
            let tilt = 0.4 * (row % 11) as f64 / 11.0;
            for (class, tilt) in [(row % 3, -tilt), ((row + 1) % 3, tilt)] {
                let tilted = scores.values.get(class, row) + tilt;
                scores.values.set(class, row, tilted);
            }
        }
        let best: Vec<usize> = (0..900).map(|row| scores.best(row)).collect();
        let scores = calibrated(scores, Calibrate::Isotonic, &frame).unwrap();
        assert!((0..900).all(|row| scores.best(row) == best[row]));
    }

    #[test]
    fn the_label_of_a_record_has_no_say_in_its_own_fold() {
        for how in [Calibrate::Temperature, Calibrate::Isotonic] {
            let (scores, frame) = overconfident(600);
            let one = calibrated(scores, how, &frame).unwrap();
            let (scores, mut frame) = overconfident(600);
            // Every label of fold 2 becomes another.
            let labels: Vec<&str> = strings(&frame, "label").unwrap().iter().flatten().collect();
            let turned: Vec<String> = labels
                .iter()
                .enumerate()
                .map(
                    |(row, label)| {
                        if row / 30 % 5 == 2 { "b".to_owned() } else { (*label).to_owned() }
                    },
                )
                .collect();
            let column = string_column("label", turned.iter().map(|label| Some(label.as_str())));
            frame.with_column(column).unwrap();
            let other = calibrated(scores, how, &frame).unwrap();
            let same =
                |row: usize| (0..3).all(|c| one.values.get(c, row) == other.values.get(c, row));
            assert!((0..600).filter(|row| row / 30 % 5 == 2).all(same), "{how:?}");
            assert!(!(0..600).all(same), "{how:?}: the other folds do learn from it");
        }
    }

    #[test]
    fn records_without_folds_are_dealt_by_their_ids() {
        let (scores, frame) = overconfident(3000);
        let frame = frame.drop("fold_id").unwrap();
        let scores = calibrated(scores, Calibrate::Temperature, &frame).unwrap();
        assert!(error(&scores, &frame) < 0.03);
    }
}

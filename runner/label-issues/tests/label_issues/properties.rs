//! What must not change an answer: the size of batches, the number of threads, the order of rows,
//! the order of classes, the precision in which equal numbers are stored.

use crate::support::{Random, Sample, assert_close};
use label_issues::{
    Collision, Dataset, Dense, EntropyMode, Error, Probabilities, Renormalized, ScoreMethod,
    ScoreOptions, TieBreak, rank,
};

const BOTH: [Collision; 2] = [Collision::Cleanlab, Collision::Paper];

#[test]
fn batch_size_changes_nothing() {
    let mut random = Random(1);
    for round in 0..60 {
        let sample = Sample::random(&mut random, [0, 20][round % 2]);
        let collision = BOTH[round / 2 % 2];
        let whole = sample.flags(usize::MAX, collision);
        for batch_rows in [0, 1, 2, 7, 64] {
            assert_eq!(sample.flags(batch_rows, collision), whole, "round {round}");
            assert_eq!(scores(&sample, batch_rows), scores(&sample, usize::MAX));
        }
    }
}

#[test]
fn number_of_threads_changes_nothing() {
    let mut random = Random(6);
    for round in 0..4 {
        let sample = Sample::random(&mut random, [0, 20][round % 2]);
        // As many rows as are worth several threads, many of them equal.
        let many: Vec<usize> = (0..20_000).map(|row| row % sample.labels.len()).collect();
        let mut sample = sample.with_rows(&many);
        sample.keys = (0..20_000).rev().collect();
        let dense = Dense::new(&sample.values[..], sample.classes).unwrap().with_batch_rows(999);
        let answers = |threads: usize| {
            let dataset = Dataset::on_threads(&dense, &sample.labels, threads).unwrap();
            let predictions = dataset.predictions().unwrap();
            let likely: Vec<u64> = predictions.probabilities.iter().map(|p| p.to_bits()).collect();
            let lanes = [dataset.strict_issues(0.5), dataset.adaptive_issues()].map(Result::unwrap);
            let flags = BOTH.map(|collision| sample.flags_of(&dataset, collision));
            (flags, scores_of(&dataset), lanes, predictions.classes, likely)
        };
        let one = answers(1);
        for threads in [0, 2, 3, 64] {
            assert!(answers(threads) == one, "round {round}, {threads} threads");
        }
    }
}

#[test]
fn the_first_bad_row_is_named_on_any_number_of_threads() {
    let mut values = vec![0.5; 40_000];
    let labels = vec![0; 20_000];
    for bad in [15_000, 12_345, 7] {
        values[2 * bad] = f64::NAN;
        for threads in [1, 2, 4] {
            let dense = Dense::new(&values[..], 2).unwrap();
            let error = Dataset::on_threads(&dense, &labels, threads).err().unwrap();
            assert!(matches!(error, Error::Probability { row, .. } if row == bad), "{error}");
        }
    }
}

#[test]
fn order_of_rows_changes_nothing() {
    let mut random = Random(2);
    for round in 0..120 {
        let sample = Sample::random(&mut random, [0, 10, 20][round % 3]);
        let order = random.shuffled(sample.labels.len());
        let shuffled = sample.with_rows(&order);
        let collision = BOTH[round % 2];
        let (before, after) = (sample.flags(9, collision), shuffled.flags(50, collision));
        for (before, after) in before.iter().zip(after) {
            let expected: Vec<bool> = order.iter().map(|row| before[*row]).collect();
            assert_eq!(after, expected, "round {round}");
        }
        for (before, after) in scores(&sample, 9).iter().zip(scores(&shuffled, 50)) {
            let expected: Vec<u64> = order.iter().map(|row| before[*row]).collect();
            assert_eq!(after, expected, "round {round}");
        }
        assert_eq!(ranked_keys(&sample), ranked_keys(&shuffled), "round {round}");
    }
}

/// Classes tie in the rounding of the joint, where the lowest class comes first. So the order of
/// classes may move a unit between them; everything up to there may not change.
#[test]
fn order_of_classes_changes_nothing() {
    let mut random = Random(3);
    for round in 0..120 {
        let sample = Sample::random(&mut random, 0);
        let order = random.shuffled(sample.classes);
        let renamed = sample.with_classes(&order);
        let joint = |sample: &Sample| {
            let dense = Dense::new(&sample.values[..], sample.classes).unwrap();
            let dataset = Dataset::new(&dense, &sample.labels).unwrap();
            let evidence = dataset.evidence(BOTH[round % 2]).unwrap();
            (evidence.confident_joint().clone(), evidence.calibrated_joint().unwrap())
        };
        let (before, after) = (joint(&sample), joint(&renamed));
        let mut same_rounding = true;
        for (new, &old) in order.iter().enumerate() {
            for (new_other, &old_other) in order.iter().enumerate() {
                assert_eq!(after.0[(new, new_other)], before.0[(old, old_other)], "round {round}");
                same_rounding &= after.1[(new, new_other)] == before.1[(old, old_other)];
            }
        }
        let flags = |sample: &Sample| sample.flags(64, BOTH[round % 2]);
        // The first 12 sets of flags come from the joint.
        let skipped = if same_rounding { 0 } else { 12 };
        assert_eq!(flags(&sample)[skipped..], flags(&renamed)[skipped..], "round {round}");
        for (before, after) in scores(&sample, 64).iter().zip(scores(&renamed, 64)) {
            let numbers =
                |bits: &[u64]| bits.iter().map(|b| f64::from_bits(*b)).collect::<Vec<_>>();
            assert_close(&numbers(&after), &numbers(before), 1e-12, "scores");
        }
    }
}

#[test]
fn precision_of_storage_changes_nothing() {
    let mut random = Random(4);
    for round in 0..60 {
        let mut sample = Sample::random(&mut random, [0, 16][round % 2]);
        let single: Vec<f32> = sample.values.iter().map(|value| *value as f32).collect();
        sample.values = single.iter().map(|value| f64::from(*value)).collect();
        let dense = Dense::new(&single[..], sample.classes).unwrap().with_batch_rows(13);
        let dataset = Dataset::new(&dense, &sample.labels).unwrap();
        assert_eq!(sample.flags_of(&dataset, BOTH[round % 2]), sample.flags(13, BOTH[round % 2]));
    }
}

#[test]
fn rounded_probabilities_sum_to_one_again() {
    let mut random = Random(5);
    for _ in 0..20 {
        let sample = Sample::random(&mut random, 0);
        let rounded: Vec<f64> = sample.values.iter().map(|v| (v * 1e4).round() / 1e4).collect();
        let dense = Dense::new(&rounded[..], sample.classes).unwrap();
        let renormalized = Renormalized::new(&dense);
        let dataset = Dataset::new(&renormalized, &sample.labels).unwrap();
        assert_eq!(dataset.uneven_rows(), 0);
        let exact = Renormalized::new(&renormalized);
        let mut rows = Vec::new();
        exact
            .visit(0..exact.rows(), &mut |block| {
                if let label_issues::Rows::Double(values) = block {
                    rows.extend_from_slice(values);
                }
                Ok(())
            })
            .unwrap();
        for row in rows.chunks(sample.classes) {
            assert_close(&[row.iter().sum()], &[1.0], 1e-5, "sum");
        }
    }
}

/// Returns the bits of every score.
fn scores(sample: &Sample, batch_rows: usize) -> Vec<Vec<u64>> {
    let dense = Dense::new(&sample.values[..], sample.classes).unwrap().with_batch_rows(batch_rows);
    scores_of(&Dataset::new(&dense, &sample.labels).unwrap())
}

fn scores_of(dataset: &Dataset<'_>) -> Vec<Vec<u64>> {
    let mut all = Vec::new();
    for method in ScoreMethod::ALL {
        for adjust_pred_probs in [false, true] {
            let entropy = EntropyMode::Fixed;
            let options = ScoreOptions { method, adjust_pred_probs, entropy };
            if let Ok(scores) = dataset.label_quality_scores(&options) {
                all.push(scores.iter().map(|score| score.to_bits()).collect());
            }
        }
    }
    let evidence = dataset.evidence(Collision::Cleanlab).unwrap();
    let posteriors = dataset.label_posteriors(&evidence.noise_rates().unwrap()).unwrap();
    all.push(posteriors.quality.iter().map(|score| score.to_bits()).collect());
    assert_eq!(all.len(), 7);
    all
}

fn ranked_keys(sample: &Sample) -> Vec<u32> {
    let dense = Dense::new(&sample.values[..], sample.classes).unwrap();
    let dataset = Dataset::new(&dense, &sample.labels).unwrap();
    let scores = dataset.label_quality_scores(&ScoreOptions::default()).unwrap();
    let ranked = rank(&scores, TieBreak::Keys(&sample.keys)).unwrap();
    assert_eq!(ranked.len(), dataset.labelled());
    ranked.iter().map(|row| sample.keys[*row as usize]).collect()
}

//! What is said of classes and of the whole: thresholds, joints, noise matrices, class ranking,
//! overlaps and health follow from the rows alone, in whatever order and batches they come.

use label_issues::{
    Collision, Dataset, Dense, MISSING, SquareMatrix, class_overlaps, class_summaries,
    estimate_joint, estimate_latent,
};

use crate::support::{Random, Sample, assert_close};

/// Everything that is said of a data set, classes by number.
#[derive(Debug, PartialEq)]
struct Said {
    thresholds: Vec<f64>,
    raw: SquareMatrix<u64>,
    calibrated: SquareMatrix<u64>,
    joint: SquareMatrix<f64>,
    noise: SquareMatrix<f64>,
    inverse: SquareMatrix<f64>,
    prior: Vec<f64>,
    /// Label noise, inverse noise and quality of each class.
    classes: Vec<[f64; 3]>,
    /// Joint probability of each pair of classes, the lower number first.
    overlaps: SquareMatrix<f64>,
    health: f64,
    issues: Vec<u64>,
}

fn said(sample: &Sample, batch_rows: usize, collision: Collision) -> Said {
    let classes = sample.classes;
    let dense = Dense::new(&sample.values[..], classes).unwrap().with_batch_rows(batch_rows);
    let dataset = Dataset::new(&dense, &sample.labels).unwrap();
    let evidence = dataset.evidence(collision).unwrap();
    let calibrated = evidence.calibrated_joint().unwrap();
    let latent = estimate_latent(&calibrated, dataset.class_counts()).unwrap();
    let joint = estimate_joint(&calibrated, dataset.class_counts()).unwrap();
    let mut ranked = class_summaries(&joint, dataset.labelled());
    assert!(
        ranked.is_sorted_by(|a, b| a.label_quality <= b.label_quality),
        "the worst comes first"
    );
    ranked.sort_by_key(|class| class.class);
    let mut overlaps = vec![0.0; classes * classes];
    for pair in class_overlaps(&joint, dataset.labelled()) {
        let (low, high) = (pair.first.min(pair.second), pair.first.max(pair.second));
        overlaps[low * classes + high] = pair.joint_probability;
    }
    let issues = ["off_diagonal", "off_diagonal_calibrated"]
        .map(|method| evidence.num_label_issues(method.parse().unwrap()).unwrap());
    Said {
        thresholds: dataset.confident_thresholds().to_vec(),
        raw: evidence.confident_joint().clone(),
        calibrated,
        joint,
        noise: latent.noise_matrix,
        inverse: latent.inverse_noise_matrix,
        prior: latent.prior,
        classes: ranked
            .iter()
            .map(|c| [c.label_noise, c.inverse_label_noise, c.label_quality])
            .collect(),
        overlaps: SquareMatrix::from_cells(classes, overlaps).unwrap(),
        health: evidence.health(),
        issues: issues.to_vec(),
    }
}

const BOTH: [Collision; 2] = [Collision::Cleanlab, Collision::Paper];

#[test]
fn batches_and_the_order_of_rows_change_nothing() {
    let mut random = Random(11);
    for round in 0..80 {
        let sample = Sample::random(&mut random, [0, 10, 20][round % 3]);
        let collision = BOTH[round % 2];
        let whole = said(&sample, usize::MAX, collision);
        for batch_rows in [1, 3, 50] {
            assert_eq!(said(&sample, batch_rows, collision), whole, "round {round}");
        }
        let shuffled = sample.with_rows(&random.shuffled(sample.labels.len()));
        assert_eq!(said(&shuffled, 9, collision), whole, "round {round}");
    }
}

#[test]
fn threads_change_nothing() {
    let mut random = Random(12);
    let samples: Vec<Sample> = (0..8).map(|_| Sample::random(&mut random, 0)).collect();
    let alone: Vec<Said> = samples.iter().map(|s| said(s, 16, Collision::Cleanlab)).collect();
    let together: Vec<Said> = std::thread::scope(|scope| {
        let work = |sample| scope.spawn(move || said(sample, 16, Collision::Cleanlab));
        let running: Vec<_> = samples.iter().map(work).collect();
        running.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(together, alone);
}

#[test]
fn the_order_of_classes_changes_nothing() {
    let mut random = Random(13);
    let mut compared = 0;
    for round in 0..80 {
        let sample = Sample::random(&mut random, 0);
        let order = random.shuffled(sample.classes);
        let collision = BOTH[round % 2];
        let before = said(&sample, 64, collision);
        let after = said(&sample.with_classes(&order), 64, collision);
        let picked = |values: &[f64]| order.iter().map(|old| values[*old]).collect::<Vec<f64>>();
        assert_close(&after.thresholds, &picked(&before.thresholds), 1e-12, "thresholds");
        assert_eq!(after.issues[0], before.issues[0], "round {round}");
        assert_close(&[after.health], &[before.health], 1e-12, "health");
        // Cells that tie in the rounding go by the number of their class.
        let same = |(new, old): (usize, &usize)| {
            order
                .iter()
                .enumerate()
                .all(|(n, o)| after.calibrated[(new, n)] == before.calibrated[(*old, *o)])
        };
        if !order.iter().enumerate().all(same) {
            continue;
        }
        compared += 1;
        assert_close(&after.prior, &picked(&before.prior), 1e-12, "prior");
        for (new, &old) in order.iter().enumerate() {
            assert_close(&after.classes[new], &before.classes[old], 1e-12, "classes");
            for (other, &old_other) in order.iter().enumerate() {
                let cells = |said: &Said, at: (usize, usize)| {
                    let pair = (at.0.min(at.1), at.0.max(at.1));
                    [said.joint[at], said.noise[at], said.inverse[at], said.overlaps[pair]]
                };
                let (found, wanted) =
                    (cells(&after, (new, other)), cells(&before, (old, old_other)));
                assert_close(&found, &wanted, 1e-12, "cells");
            }
        }
    }
    assert!(compared > 20, "{compared}");
}

/// The definitions once more, straight from the paper, on random data.
#[test]
fn what_is_said_is_what_the_definitions_say() {
    let mut random = Random(14);
    for round in 0..80 {
        let sample = Sample::random(&mut random, [0, 16][round % 2]);
        let found = said(&sample, 13, BOTH[round / 2 % 2]);
        let classes = sample.classes;
        let labelled = sample.labels.iter().filter(|label| **label != MISSING).count() as f64;
        for class in 0..classes {
            let rows: Vec<usize> =
                (0..sample.labels.len()).filter(|r| sample.labels[*r] == class as u32).collect();
            let mean =
                rows.iter().map(|row| sample.row(*row)[class]).sum::<f64>() / rows.len() as f64;
            let threshold = if rows.is_empty() { 2.0 } else { mean.max(2e-6) };
            assert_close(&[found.thresholds[class]], &[threshold], 1e-9, "threshold");
            // Each row of the calibrated joint has as many records as the class.
            let kept: u64 = (0..classes).map(|k| found.calibrated[(class, k)]).sum();
            assert_eq!(kept, rows.len() as u64, "round {round}");
            let given: f64 = (0..classes).map(|k| found.joint[(class, k)]).sum();
            let truth: f64 = (0..classes).map(|k| found.joint[(k, class)]).sum();
            let [noise, inverse, quality] = found.classes[class];
            if given > 0.0 {
                assert_close(&[noise], &[1.0 - found.joint[(class, class)] / given], 1e-9, "noise");
                assert_close(&[quality], &[1.0 - noise], 1e-9, "quality");
            }
            if truth > 0.0 {
                let wanted = 1.0 - found.joint[(class, class)] / truth;
                assert_close(&[inverse], &[wanted], 1e-9, "inverse noise");
            }
            for other in class + 1..classes {
                let wanted = found.joint[(class, other)] + found.joint[(other, class)];
                assert_close(&[found.overlaps[(class, other)]], &[wanted], 1e-12, "overlap");
            }
            let column: f64 = (0..classes).map(|k| found.noise[(k, class)]).sum();
            assert!(column == 0.0 || (column - 1.0).abs() < 1e-9, "round {round}: {column}");
        }
        let health = 1.0 - found.issues[0] as f64 / labelled;
        assert_close(&[found.health], &[health], 1e-12, "health");
    }
}

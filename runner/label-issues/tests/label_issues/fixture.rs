//! Twelve rows of three classes, with the answers of cleanlab 2.9.0 (and ours for the last score).

use crate::support::{assert_close, rows_of};
use label_issues::{
    Collision, Dataset, Dense, EntropyMode, EstimationMethod, FilterBy, FilterOptions, ScoreMethod,
    ScoreOptions, TieBreak, class_overlaps, class_summaries, estimate_joint, estimate_latent,
};

const LABELS: [u32; 12] = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2];
#[rustfmt::skip]
const VALUES: [f64; 36] = [
    0.90, 0.06, 0.04,  0.70, 0.20, 0.10,  0.10, 0.85, 0.05,  0.30, 0.25, 0.45,
    0.05, 0.90, 0.05,  0.12, 0.78, 0.10,  0.62, 0.30, 0.08,  0.15, 0.25, 0.60,
    0.04, 0.06, 0.90,  0.08, 0.12, 0.80,  0.55, 0.05, 0.40,  0.07, 0.83, 0.10,
];

fn check(test: impl FnOnce(&Dataset<'_>)) {
    let dense = Dense::new(&VALUES[..], 3).unwrap().with_batch_rows(5);
    test(&Dataset::new(&dense, &LABELS).unwrap());
}

#[test]
fn joint_and_counts() {
    check(|dataset| {
        assert_close(dataset.confident_thresholds(), &[0.5, 0.5575, 0.55], 1e-12, "thresholds");
        for collision in [Collision::Cleanlab, Collision::Paper] {
            let evidence = dataset.evidence(collision).unwrap();
            assert_eq!(evidence.confident_joint().cells(), [2, 1, 0, 1, 2, 1, 1, 1, 2]);
            let calibrated = evidence.calibrated_joint().unwrap();
            assert_eq!(calibrated.cells(), [3, 1, 0, 1, 2, 1, 1, 1, 2]);
            for method in [EstimationMethod::OffDiagonal, EstimationMethod::OffDiagonalCalibrated] {
                assert_eq!(evidence.num_label_issues(method).unwrap(), 5);
            }
            assert_close(&[evidence.health()], &[7.0 / 12.0], 1e-12, "health");
        }
    });
}

#[test]
fn filters() {
    check(|dataset| {
        let evidence = dataset.evidence(Collision::Cleanlab).unwrap();
        // Rows 3 and 10 have the same margin; the reference happens to take row 10.
        let keys = [0, 1, 2, 11, 4, 5, 6, 7, 8, 9, 3, 10];
        for filter_by in FilterBy::ALL {
            let ties = TieBreak::Keys(&keys);
            let options = FilterOptions { filter_by, ties, ..FilterOptions::default() };
            let rows = rows_of(&evidence.find_label_issues(&options).unwrap());
            match filter_by {
                FilterBy::PredictedNeqGiven => assert_eq!(rows, [2, 3, 6, 7, 10, 11]),
                FilterBy::LowSelfConfidence => assert_eq!(rows, [2, 3, 6, 7, 11]),
                _ => assert_eq!(rows, [2, 6, 7, 10, 11], "{filter_by:?}"),
            }
        }
    });
}

#[test]
fn as_many_as_wanted_are_removed_by_class() {
    check(|dataset| {
        let evidence = dataset.evidence(Collision::Cleanlab).unwrap();
        let wanted = Some(&[1, 0, 2][..]);
        let filter_by = FilterBy::PruneByClass;
        let rest = FilterOptions::default();
        let options = FilterOptions { filter_by, num_to_remove_per_class: wanted, ..rest };
        assert_eq!(rows_of(&evidence.find_label_issues(&options).unwrap()), [2, 10, 11]);
    });
}

#[test]
fn lanes() {
    check(|dataset| {
        // Rows 4 and 8 are exactly at 0.90, and agree.
        assert_eq!(rows_of(&dataset.strict_issues(0.90).unwrap()), [0; 0]);
        assert_eq!(rows_of(&dataset.strict_issues(0.80).unwrap()), [2, 11]);
        assert_eq!(rows_of(&dataset.adaptive_issues().unwrap()), [2, 6, 7, 10, 11]);
        let predictions = dataset.predictions().unwrap();
        assert_eq!(predictions.classes, [0, 0, 1, 2, 1, 1, 0, 2, 2, 2, 0, 1]);
        assert_eq!(predictions.probabilities[3], 0.45);
    });
}

#[test]
#[rustfmt::skip]
fn scores() {
    use ScoreMethod::*;
    let expected: [(ScoreMethod, bool, [f64; 12]); 5] = [
        (NormalizedMargin, false,
         [0.92, 0.75, 0.125, 0.425, 0.925, 0.83, 0.34, 0.325, 0.92, 0.84, 0.425, 0.135]),
        (ConfidenceWeightedEntropy, false,
         [0.842182, 0.685034, 0.369620, 0.446002, 0.841535, 0.736580,
          0.491987, 0.434916, 0.842182, 0.752630, 0.557764, 0.350947]),
        (SelfConfidence, true,
         [0.899061, 0.711268, 0.147887, 0.335681, 0.845070, 0.732394,
          0.281690, 0.234742, 0.852113, 0.758216, 0.382629, 0.100939]),
        (NormalizedMargin, true,
         [0.921362, 0.761737, 0.174883, 0.453052, 0.872066, 0.782864,
          0.322770, 0.332160, 0.880282, 0.814554, 0.406103, 0.160798]),
        (ThresholdLogRatio, false,
         [2.816905, 1.361617, -2.031212, -0.310155, 2.781517, 1.762948,
          -0.834791, -0.889013, 2.721594, 1.910664, -0.413764, -2.102711]),
    ];
    check(|dataset| {
        for (method, adjust_pred_probs, expected) in expected {
            for entropy in [EntropyMode::Fixed, EntropyMode::Compatible] {
                let options = ScoreOptions { method, adjust_pred_probs, entropy };
                let found = dataset.label_quality_scores(&options).unwrap();
                assert_close(&found, &expected, 5.1e-7, method.as_str());
            }
        }
    });
}

#[test]
fn noise() {
    check(|dataset| {
        let evidence = dataset.evidence(Collision::Cleanlab).unwrap();
        let calibrated = evidence.calibrated_joint().unwrap();
        let latent = estimate_latent(&calibrated, dataset.class_counts()).unwrap();
        assert_close(&latent.prior, &[5.0 / 12.0, 4.0 / 12.0, 0.25], 1e-9, "prior");
        let third = 1.0 / 3.0;
        let expected = [0.6, 0.25, 0.0, 0.2, 0.5, third, 0.2, 0.25, 2.0 * third];
        assert_close(latent.noise_matrix.cells(), &expected, 1e-9, "noise matrix");
        let expected = [0.75, 0.25, 0.25, 0.25, 0.5, 0.25, 0.0, 0.25, 0.5];
        assert_close(latent.inverse_noise_matrix.cells(), &expected, 1e-9, "inverse");

        let joint = estimate_joint(&calibrated, dataset.class_counts()).unwrap();
        let mut classes = class_summaries(&joint, 12);
        assert_eq!(classes.iter().map(|one| one.class).collect::<Vec<_>>(), [1, 2, 0]);
        classes.sort_by_key(|one| one.class);
        let noise: Vec<f64> = classes.iter().map(|one| one.label_noise).collect();
        assert_close(&noise, &[0.25, 0.5, 0.5], 1e-9, "noise");
        let inverse: Vec<f64> = classes.iter().map(|one| one.inverse_label_noise).collect();
        assert_close(&inverse, &[0.4, 0.5, third], 1e-9, "inverse noise");
        let overlaps = class_overlaps(&joint, 12);
        let pairs: Vec<_> = overlaps.iter().map(|one| (one.first, one.second, one.rows)).collect();
        assert_eq!(pairs, [(0, 1, 2), (1, 2, 2), (0, 2, 1)]);
        assert_close(&[overlaps[2].joint_probability], &[1.0 / 12.0], 1e-9, "overlap");
        assert_close(&[label_issues::joint_health(&joint)], &[7.0 / 12.0], 1e-9, "health");
    });
}

/// cleanlab/cleanlab#1248: the most probable class may not be one of the confident ones.
#[test]
fn collisions_are_decided_as_asked() {
    let labels = [0, 1, 2, 3, 2];
    #[rustfmt::skip]
    let values = [
        0.01, 0.09, 0.40, 0.50,
        0.10, 0.80, 0.05, 0.05,
        0.20, 0.20, 0.01, 0.59,
        0.02, 0.02, 0.02, 0.94,
        0.10, 0.20, 0.30, 0.40,
    ];
    let dense = Dense::new(&values[..], 4).unwrap();
    let dataset = Dataset::new(&dense, &labels).unwrap();
    let guesses = |collision| {
        let evidence = dataset.evidence(collision).unwrap();
        let joint = evidence.confident_joint();
        (joint[(2, 2)], joint[(2, 3)])
    };
    // Row 4 is confidently of classes 0 and 2, but class 3 is its most probable one.
    assert_eq!(guesses(Collision::Cleanlab), (1, 1));
    assert_eq!(guesses(Collision::Paper), (1, 0));
    let paper = dataset.evidence(Collision::Paper).unwrap();
    assert_eq!(paper.num_label_issues(EstimationMethod::OffDiagonal).unwrap(), 2);
}

#[test]
fn entropy_of_a_certain_row() {
    let values = [1.0, 0.0, 0.2, 0.8, 0.0, 1.0];
    let dense = Dense::new(&values[..], 2).unwrap();
    let dataset = Dataset::new(&dense, &[0, 1, 0]).unwrap();
    let score = |entropy| {
        let method = ScoreMethod::ConfidenceWeightedEntropy;
        let options = ScoreOptions { method, entropy, ..ScoreOptions::default() };
        dataset.label_quality_scores(&options).unwrap()[0]
    };
    assert_eq!((score(EntropyMode::Fixed), score(EntropyMode::Compatible)), (1.0, 0.0));
}

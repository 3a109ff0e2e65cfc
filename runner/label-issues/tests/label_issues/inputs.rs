//! Bad input is refused with the row named, and odd input does not panic.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::Random;
use label_issues::{
    Collision, Dataset, Dense, Error, FilterBy, FilterOptions, MISSING, Probabilities, Rows,
    ScoreMethod, ScoreOptions, SquareMatrix, TieBreak, Visitor, calibrate, class_overlaps,
    class_summaries, estimate_joint, estimate_latent, rank, rank_rows,
};

fn refusal(values: &[f64], classes: usize, labels: &[u32]) -> String {
    let dense = match Dense::new(values, classes) {
        Ok(dense) => dense,
        Err(error) => return error.to_string(),
    };
    match Dataset::new(&dense, labels) {
        Ok(_) => "accepted".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_is_wrong_is_named() {
    let fine = [0.5, 0.5, 0.2, 0.8];
    let with = |value: f64| [0.5, 0.5, 0.2, value];
    assert_eq!(refusal(&fine, 2, &[0, 1]), "accepted");
    assert_eq!(refusal(&fine, 2, &[0, MISSING]), "accepted");
    assert_eq!(refusal(&fine, 1, &[0; 4]), "1 classes, at least 2 are needed");
    assert_eq!(
        refusal(&fine, 3, &[0]),
        "4 probabilities are not a whole number of rows of 3 classes"
    );
    assert_eq!(refusal(&fine, 2, &[0]), "2 rows of probabilities but 1 labels");
    assert_eq!(refusal(&fine, 2, &[0, 2]), "row 1 has label 2 but there are only 2 classes");
    assert_eq!(refusal(&fine, 2, &[MISSING; 2]), "no row has a label");
    assert_eq!(refusal(&[], 2, &[]), "no row has a label");
    assert_eq!(refusal(&with(f64::NAN), 2, &[0, 1]), "row 1: the probability of class 1 is NaN");
    assert_eq!(
        refusal(&with(f64::INFINITY), 2, &[0, 1]),
        "row 1: the probability of class 1 is inf"
    );
    assert_eq!(
        refusal(&[0.5, 0.5, 1.2, -0.2], 2, &[0, 1]),
        "row 1: the probability of class 1 is -0.2"
    );
    assert_eq!(refusal(&with(0.75), 2, &[0, 1]), "row 1: the probabilities sum to 0.95, not to 1");
}

#[test]
fn roughly_one_is_reported() {
    let values = [0.5, 0.5, 0.2, 0.8004];
    let dense = Dense::new(&values[..], 2).unwrap();
    assert_eq!(Dataset::new(&dense, &[0, 1]).unwrap().uneven_rows(), 1);
    let renormalized = label_issues::Renormalized::new(&dense);
    assert_eq!(Dataset::new(&renormalized, &[0, 1]).unwrap().uneven_rows(), 0);
}

#[test]
fn options_are_checked() {
    let values = [0.5, 0.5, 0.2, 0.8, 0.4, 0.6];
    let dense = Dense::new(&values[..], 2).unwrap();
    let dataset = Dataset::new(&dense, &[0, 1, 0]).unwrap();
    let evidence = dataset.evidence(Collision::default()).unwrap();
    let refused =
        |options: FilterOptions<'_>| evidence.find_label_issues(&options).unwrap_err().to_string();
    let fine = FilterOptions::default();
    assert!(
        refused(FilterOptions { frac_noise: f64::NAN, ..fine }).contains("`frac_noise` is NaN")
    );
    assert!(refused(FilterOptions { frac_noise: 1.5, ..fine }).contains("`frac_noise` is 1.5"));
    assert!(refused(FilterOptions { ties: TieBreak::Keys(&[1]), ..fine }).starts_with("1 keys"));
    let wanted = Some(&[1][..]);
    assert!(refused(FilterOptions { num_to_remove_per_class: wanted, ..fine }).contains("entries"));
    let wanted = Some(&[0, 2][..]);
    let message = refused(FilterOptions { num_to_remove_per_class: wanted, ..fine });
    assert_eq!(message, "`num_to_remove_per_class` asks for 2 of the 1 rows of class 1");
    for (classes, cells) in [(1, vec![1]), (2, vec![1, 9, 0, 1]), (2, vec![u64::MAX; 4])] {
        let joint = SquareMatrix::from_cells(classes, cells).unwrap();
        refused(FilterOptions { confident_joint: Some(&joint), ..fine });
    }
    assert!(SquareMatrix::from_cells(2, vec![1; 3]).is_err());
    assert!("both_of_them".parse::<FilterBy>().is_err());
    let method = ScoreMethod::ConfidenceWeightedEntropy;
    let options = ScoreOptions { method, adjust_pred_probs: true, ..ScoreOptions::default() };
    assert!(matches!(dataset.label_quality_scores(&options), Err(Error::CannotAdjust)));
    assert!(rank(&[0.1, 0.2], TieBreak::Keys(&[1])).is_err());
    assert!(rank_rows(vec![2], &[0.1, 0.2], TieBreak::RowNumber).is_err());
}

#[test]
fn rows_without_a_score_are_not_ranked() {
    let scores = [0.5, f64::NAN, 0.0, -0.0, 0.5];
    assert_eq!(rank(&scores, TieBreak::RowNumber).unwrap(), [2, 3, 0, 4]);
    assert_eq!(rank(&scores, TieBreak::Keys(&[9, 1, 5, 2, 3])).unwrap(), [3, 2, 4, 0]);
    assert_eq!(rank(&[], TieBreak::RowNumber).unwrap(), [0; 0]);
}

/// Says one thing and gives another, and never the same twice.
struct Liar {
    blocks: Vec<Vec<f32>>,
    visits: AtomicUsize,
}

impl Probabilities for Liar {
    fn rows(&self) -> usize {
        2
    }

    fn classes(&self) -> usize {
        2
    }

    fn visit(&self, _: Range<usize>, visitor: &mut Visitor<'_>) -> Result<(), Error> {
        let visit = self.visits.fetch_add(1, Ordering::Relaxed);
        visitor(Rows::Single(&self.blocks[visit.min(self.blocks.len() - 1)]))
    }
}

#[test]
fn a_source_that_changes_is_refused_or_survived() {
    let fine = vec![0.5, 0.5, 0.2, 0.8];
    for second in [vec![], vec![0.5], vec![0.5; 6], vec![f32::NAN; 4], vec![f32::INFINITY; 4]] {
        let same_shape = second.len() == 4;
        let liar = Liar { blocks: vec![fine.clone(), second], visits: 0.into() };
        let dataset = Dataset::new(&liar, &[0, 1]).unwrap();
        assert_eq!(dataset.evidence(Collision::Cleanlab).is_ok(), same_shape);
        assert_eq!(dataset.predictions().is_ok(), same_shape);
        liar.visits.store(0, Ordering::Relaxed);
        let evidence = dataset.evidence(Collision::Paper).unwrap();
        for filter_by in FilterBy::ALL {
            let options = FilterOptions { filter_by, ..FilterOptions::default() };
            // Some filters need no second look.
            let _ = evidence.find_label_issues(&options);
        }
    }
}

#[test]
fn odd_joints_do_not_panic() {
    let mut random = Random(6);
    for _ in 0..500 {
        let classes = random.below(5);
        let shift = random.below(64);
        let cells = (0..classes * classes).map(|_| random.next() >> shift).collect();
        let joint = SquareMatrix::from_cells(classes, cells).unwrap();
        let shift = random.below(64);
        let length = if random.below(9) == 0 { classes + 1 } else { classes };
        let counts: Vec<u64> = (0..length).map(|_| random.next() >> shift).collect();
        let _ = estimate_latent(&joint, &counts);
        if let Ok(calibrated) = calibrate(&joint, &counts) {
            let sums: Vec<u64> = calibrated.rows().map(|row| row.iter().sum()).collect();
            let total: u64 = counts.iter().sum();
            assert!(sums.iter().sum::<u64>() <= total.saturating_mul(2));
            let shares = estimate_joint(&joint, &counts).unwrap();
            class_summaries(&shares, total as usize);
            class_overlaps(&shares, total as usize);
        }
    }
    let joint = SquareMatrix::from_cells(2, vec![0; 4]).unwrap();
    assert_eq!(calibrate(&joint, &[0, 0]).unwrap().cells(), [0; 4]);
}

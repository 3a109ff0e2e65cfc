//! The joint in words: how noisy each class is, and which classes are mixed up.

use crate::SquareMatrix;
use crate::rounding::TINY;

/// How noisy a class is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassSummary {
    pub class: usize,
    /// The estimated number of rows given this class that are of another.
    pub label_issues: u64,
    /// The estimated number of rows of this class that were given another.
    pub inverse_label_issues: u64,
    /// The share of the rows given this class that are of another.
    pub label_noise: f64,
    /// The share of the rows of this class that were given another.
    pub inverse_label_noise: f64,
    /// The share of the rows given this class that are right.
    pub label_quality: f64,
}

/// How often two classes are mixed up, in either direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassOverlap {
    /// The lower one of the two classes.
    pub first: usize,
    pub second: usize,
    /// The estimated number of rows that were given one class and are of the other.
    pub rows: u64,
    /// Their share of all rows.
    pub joint_probability: f64,
}

/// Summarizes each class, the noisiest first; classes of equal quality by number.
///
/// `joint` comes from [`estimate_joint`](crate::estimate_joint), `rows` is the number of rows that
/// have a label.
pub fn class_summaries(joint: &SquareMatrix<f64>, rows: usize) -> Vec<ClassSummary> {
    let mut true_shares = vec![0.0; joint.classes()];
    for row in joint.rows() {
        true_shares.iter_mut().zip(row).for_each(|(sum, share)| *sum += share);
    }
    let count = |share: f64| (share * rows as f64).round_ties_even() as u64;
    let mut summaries: Vec<ClassSummary> = joint
        .rows()
        .enumerate()
        .map(|(class, row)| {
            let (right, given) = (row[class], row.iter().sum::<f64>());
            let (wrong, missed) = (given - right, true_shares[class] - right);
            let label_noise = wrong / given.max(TINY);
            ClassSummary {
                class,
                label_issues: count(wrong),
                inverse_label_issues: count(missed),
                label_noise,
                inverse_label_noise: missed / true_shares[class].max(TINY),
                label_quality: 1.0 - label_noise,
            }
        })
        .collect();
    summaries.sort_by(|a, b| a.label_quality.total_cmp(&b.label_quality));
    summaries
}

/// Lists all pairs of classes, the most mixed up first; equal ones by number.
pub fn class_overlaps(joint: &SquareMatrix<f64>, rows: usize) -> Vec<ClassOverlap> {
    let classes = joint.classes();
    let pairs = (0..classes).flat_map(|first| (first + 1..classes).map(move |s| (first, s)));
    let mut overlaps: Vec<ClassOverlap> = pairs
        .map(|(first, second)| {
            let share = joint[(first, second)] + joint[(second, first)];
            let count = (share * rows as f64).round_ties_even() as u64;
            ClassOverlap { first, second, rows: count, joint_probability: share }
        })
        .collect();
    overlaps.sort_by(|a, b| b.joint_probability.total_cmp(&a.joint_probability));
    overlaps
}

/// Returns the share of rows on the diagonal: the health of a data set of which only the joint is
/// known. With probabilities at hand, see [`Evidence::health`](crate::Evidence::health).
pub fn joint_health(joint: &SquareMatrix<f64>) -> f64 {
    joint.diagonal().sum()
}

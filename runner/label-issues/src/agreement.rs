//! How far reviewers agree beyond chance: Cohen's kappa, Fleiss' kappa, Krippendorff's alpha; and
//! intervals for these and for the quality of reviewers, by drawing rows again.

use std::collections::BTreeMap;

use crate::{Crowd, Interval};

/// Draws of rows for an interval.
const DRAWS: usize = 1000;

/// Cohen's kappa of two reviewers on the rows both saw (Cohen 1960); `None` without rows, or where
/// both always say one class, so that chance alone would agree.
pub fn cohen(pairs: &[(u32, u32)]) -> Option<f64> {
    let n = pairs.len() as f64;
    let mut shares: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    for (one, other) in pairs {
        shares.entry(*one).or_default().0 += 1;
        shares.entry(*other).or_default().1 += 1;
    }
    let observed = pairs.iter().filter(|(one, other)| one == other).count() as f64 / n;
    let chance: f64 =
        shares.values().map(|(one, other)| *one as f64 * *other as f64 / (n * n)).sum();
    beyond_chance(observed, chance)
}

/// Fleiss' kappa over rows with two votes or more (Fleiss 1971; rows may differ in their number of
/// votes, each counts as one row).
pub fn fleiss(rows: &[Vec<u32>]) -> Option<f64> {
    let (mut agreeing, mut used) = (0.0, 0.0);
    let mut totals: BTreeMap<u32, u64> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.len() >= 2) {
        let n = row.len() as f64;
        let counts = counts(row);
        let pairs: f64 = counts.values().map(|c| *c as f64 * (*c as f64 - 1.0)).sum();
        agreeing += pairs / (n * (n - 1.0));
        used += 1.0;
        counts.into_iter().for_each(|(class, count)| *totals.entry(class).or_default() += count);
    }
    let all: u64 = totals.values().sum();
    let chance = totals.values().map(|count| (*count as f64 / all as f64).powi(2)).sum();
    beyond_chance(agreeing / used, chance)
}

/// Krippendorff's alpha for nominal classes (Krippendorff 2011, "Computing Krippendorff's
/// Alpha-Reliability", section C). Rows with one vote say nothing and are left out.
pub fn krippendorff(rows: &[Vec<u32>]) -> Option<f64> {
    let mut totals: BTreeMap<u32, u64> = BTreeMap::new();
    let mut disagreeing = 0.0;
    for row in rows.iter().filter(|row| row.len() >= 2) {
        let n = row.len() as f64;
        let counts = counts(row);
        let same: f64 = counts.values().map(|count| (*count as f64).powi(2)).sum();
        disagreeing += (n * n - same) / (n - 1.0);
        counts.into_iter().for_each(|(class, count)| *totals.entry(class).or_default() += count);
    }
    let all = totals.values().sum::<u64>() as f64;
    let same: f64 = totals.values().map(|count| (*count as f64).powi(2)).sum();
    let expected = (all * all - same) / (all - 1.0);
    (expected > 0.0).then(|| 1.0 - disagreeing / expected)
}

fn counts(row: &[u32]) -> BTreeMap<u32, u64> {
    let mut counts = BTreeMap::new();
    row.iter().for_each(|class| *counts.entry(*class).or_default() += 1);
    counts
}

fn beyond_chance(observed: f64, chance: f64) -> Option<f64> {
    (observed.is_finite() && chance < 1.0).then(|| (observed - chance) / (1.0 - chance))
}

/// Returns a statistic of rows with its 95 % interval: the percentiles of the statistic over draws
/// of as many rows with replacement (Efron and Tibshirani 1993, chapter 13). The draws follow from
/// the seed alone; those without a value are left out.
pub fn bootstrap<T: Clone>(
    rows: &[T],
    seed: u64,
    statistic: impl Fn(&[T]) -> Option<f64>,
) -> Option<Interval> {
    let estimate = statistic(rows)?;
    let mut draws = Draws(seed);
    let values = (0..DRAWS).filter_map(|_| {
        let draw: Vec<T> = draws.of(rows.len()).map(|row| rows[row].clone()).collect();
        statistic(&draw)
    });
    Some(percentiles(estimate, values.collect()))
}

/// Returns the quality of each reviewer that [`Crowd::opinion`] finds, with its 95 % interval: the
/// percentiles over draws of as many rows with replacement. `None` for one without a quality, and for
/// all where no two reviewers saw a row.
///
/// The draws are 50 to 200, as many as fit into a second or so on large crowds.
pub fn reviewer_quality(crowd: &Crowd<'_>, seed: u64) -> Vec<Option<Interval>> {
    let Ok(opinion) = crowd.opinion() else { return vec![None; crowd.reviewers] };
    let (rows, classes) = (crowd.votes.len(), crowd.classes);
    let times = (20_000_000 / (rows * classes).max(1)).clamp(50, 200);
    let mut draws = Draws(seed);
    let mut values: Vec<Vec<f64>> = vec![Vec::with_capacity(times); crowd.reviewers];
    for _ in 0..times {
        let drawn: Vec<usize> = draws.of(rows).collect();
        let votes: Vec<Vec<(u32, u32)>> =
            drawn.iter().map(|row| crowd.votes[*row].clone()).collect();
        let cells = drawn.iter().flat_map(|row| &crowd.probabilities[row * classes..][..classes]);
        let probabilities: Vec<f64> = cells.copied().collect();
        let drawn = Crowd { votes: &votes, probabilities: &probabilities, ..*crowd };
        // A draw may miss every row that two reviewers saw.
        for (values, one) in
            values.iter_mut().zip(drawn.opinion().iter().flat_map(|o| &o.reviewers))
        {
            values.extend(one.quality);
        }
    }
    let all = opinion.reviewers.iter().zip(values);
    all.map(|(one, values)| one.quality.map(|quality| percentiles(quality, values))).collect()
}

/// Rows drawn with replacement; the same for the same seed on every machine.
struct Draws(u64);

impl Draws {
    fn of(&mut self, rows: usize) -> impl Iterator<Item = usize> {
        (0..rows).map(move |_| ((u128::from(self.next()) * rows as u128) >> 64) as usize)
    }

    fn next(&mut self) -> u64 {
        // Steele, Lea and Flood 2014, SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

fn percentiles(estimate: f64, mut values: Vec<f64>) -> Interval {
    values.sort_by(f64::total_cmp);
    let at =
        |share: f64| values.get((share * (values.len() as f64 - 1.0)).round() as usize).copied();
    let (low, high) = (at(0.025).unwrap_or(estimate), at(0.975).unwrap_or(estimate));
    Interval { estimate, low: low.min(estimate), high: high.max(estimate) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: Option<f64>, wanted: f64) {
        let found = found.unwrap();
        assert!((found - wanted).abs() < 5e-4, "{found} is not {wanted}");
    }

    #[test]
    fn cohens_kappa_of_a_table() {
        // Two by two: 20 and 15 agreed, 5 and 10 not; kappa 0.4.
        let cells = [((0, 0), 20), ((0, 1), 5), ((1, 0), 10), ((1, 1), 15)];
        let pairs: Vec<(u32, u32)> =
            cells.into_iter().flat_map(|(pair, count)| vec![pair; count]).collect();
        near(cohen(&pairs), 0.4);
        assert_eq!(cohen(&[]), None);
        assert_eq!(cohen(&[(1, 1), (1, 1)]), None);
    }

    #[test]
    fn fleiss_kappa_of_his_kind_of_table() {
        // Ten rows, fourteen votes, five classes; the worked example of the article on Wikipedia.
        let table = [
            [0, 0, 0, 0, 14],
            [0, 2, 6, 4, 2],
            [0, 0, 3, 5, 6],
            [0, 3, 9, 2, 0],
            [2, 2, 8, 1, 1],
            [7, 7, 0, 0, 0],
            [3, 2, 6, 3, 0],
            [2, 5, 3, 2, 2],
            [6, 5, 2, 1, 0],
            [0, 2, 2, 3, 7],
        ];
        let rows: Vec<Vec<u32>> = table
            .iter()
            .map(|row| (0..5).flat_map(|class| vec![class; row[class as usize]]).collect())
            .collect();
        near(fleiss(&rows), 0.2099);
    }

    #[test]
    fn the_quality_of_reviewers_has_an_interval() {
        // Reviewer 0 is always right, 1 in two of three rows, 2 saw nothing that another saw.
        let votes: Vec<Vec<(u32, u32)>> = (0..60)
            .map(|n| match n {
                59 => vec![(2, 0)],
                n => vec![(0, n % 2), (1, if n % 3 == 0 { 1 - n % 2 } else { n % 2 })],
            })
            .collect();
        let probabilities: Vec<f64> =
            (0..60).flat_map(|n| if n % 2 == 0 { [0.9, 0.1] } else { [0.1, 0.9] }).collect();
        let crowd =
            Crowd { votes: &votes, probabilities: &probabilities, classes: 2, reviewers: 3 };
        let quality = reviewer_quality(&crowd, 7);
        let (good, poor) = (quality[0].unwrap(), quality[1].unwrap());
        assert!(good.low > poor.high, "{good:?} {poor:?}");
        assert!(poor.low < poor.estimate && poor.estimate < poor.high, "{poor:?}");
        assert_eq!(reviewer_quality(&crowd, 7), quality, "the seed decides");
        let alone = Crowd { votes: &votes[59..], probabilities: &probabilities[118..], ..crowd };
        assert_eq!(reviewer_quality(&alone, 7), [None; 3]);
    }

    #[test]
    fn krippendorffs_alpha_of_his_example() {
        // Krippendorff 2011, section C: four observers, twelve units, missing votes; 0.743.
        let observers = [
            [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
            [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
            [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
            [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
        ];
        let rows: Vec<Vec<u32>> = (0..12)
            .map(|unit| observers.iter().map(|o| o[unit]).filter(|vote| *vote > 0).collect())
            .collect();
        near(krippendorff(&rows), 0.743);
        let interval = bootstrap(&rows, 42, krippendorff).unwrap();
        assert!(interval.low < 0.743 && interval.high > 0.743 && interval.high <= 1.0);
        assert_eq!(bootstrap(&rows, 42, krippendorff), Some(interval));
    }
}

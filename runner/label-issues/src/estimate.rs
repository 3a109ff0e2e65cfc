//! What random control rows say about the rest: shares, and the number of errors left.
//!
//! It knows counts alone: which rows are control rows and what is wrong with a row is the caller's.

/// The 97.5 % point of the normal distribution: all intervals here are for 95 %.
const Z: f64 = 1.959_963_984_540_054;
/// Keeps variances above 0 at the ends of the range.
const TINY: f64 = 1e-9;
/// Halvings of the range in which a bound is looked for; ends far below one row.
const HALVINGS: usize = 80;

/// An estimate with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    pub estimate: f64,
    pub low: f64,
    pub high: f64,
}

/// Returns the share of `hits` among `count` draws; `None` without draws.
///
/// Wilson's score interval (Wilson 1927), which holds for small counts and shares near 0 or 1. When
/// the draws are without replacement from `population` rows, the variance has the finite population
/// correction (N - n) / (N - 1) (Cochran 1977, section 2.6).
pub fn share_interval(hits: u64, count: u64, population: Option<u64>) -> Option<Interval> {
    if count == 0 || hits > count {
        return None;
    }
    let n = count as f64;
    let correction = population.map_or(1.0, |population| correction(population, count));
    let share = hits as f64 / n;
    let z2 = Z * Z * correction;
    let middle = (share + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let spread = (share * (1.0 - share) / n + z2 / (4.0 * n * n)) * z2;
    let half = spread.max(0.0).sqrt() / (1.0 + z2 / n);
    let (low, high) = ((middle - half).max(0.0), (middle + half).min(1.0));
    // Rounding must not put the estimate outside.
    Some(Interval { estimate: share, low: low.min(share), high: high.max(share) })
}

fn correction(population: u64, drawn: u64) -> f64 {
    let left = population.saturating_sub(drawn) as f64;
    (left / (population.saturating_sub(1) as f64).max(1.0)).max(TINY)
}

/// The control rows of one round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cohort {
    /// Rows that the control rows were drawn from: what was neither verified before the round nor
    /// put forward in it for another reason.
    pub rows: u64,
    /// Control rows with a decision.
    pub drawn: u64,
    /// Those of them whose label was found wrong.
    pub wrong: u64,
    /// Labels among `rows` found wrong until now, those of the control rows included.
    pub found: u64,
}

impl Cohort {
    /// How far what was drawn lies above what `left` errors would let expect, and the variance of
    /// that, both as the derivative of the log-likelihood by `left`.
    fn score(self, left: f64) -> (f64, f64) {
        let (rows, drawn) = (self.rows as f64, self.drawn as f64);
        let share = ((left + self.found as f64) / rows).clamp(TINY, 1.0 - TINY);
        let variance = share * (1.0 - share) * correction(self.rows, self.drawn);
        let above = (self.wrong as f64 - drawn * share) / (variance * rows);
        (above, drawn / (variance * rows * rows))
    }
}

/// Returns the number of wrong labels among rows that nobody has verified; `None` without control
/// rows. `unverified` is the number of such rows, which bounds it.
///
/// If there are `left` errors now, then each cohort was drawn from rows of which `left` + `found`
/// were wrong, so one number explains what every round's control rows came to. The estimate solves
/// the score equation of these (binomial with finite population correction) draws; the interval
/// holds every number that a score test does not refuse at 5 % (Rao 1948). With one cohort that is
/// Wilson's interval, moved by what was found since.
pub fn errors_left(cohorts: &[Cohort], unverified: u64) -> Option<Interval> {
    let cohorts: Vec<Cohort> =
        cohorts.iter().copied().filter(|c| c.drawn > 0 && c.drawn <= c.rows).collect();
    if cohorts.is_empty() {
        return None;
    }
    let most = unverified as f64;
    let standardised = |left: f64| {
        let (above, variance) = cohorts
            .iter()
            .map(|cohort| cohort.score(left))
            .fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        above / variance.sqrt()
    };
    // The standardised distance falls as `left` rises.
    let crossing = |level: f64| {
        let (mut low, mut high) = (0.0, most);
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(low, high);
            if standardised(middle) > level { low = middle } else { high = middle }
        }
        if high < TINY { 0.0 } else { high }
    };
    let estimate = crossing(0.0);
    Some(Interval { estimate, low: crossing(Z).min(estimate), high: crossing(-Z).max(estimate) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, wanted: f64) {
        assert!((found - wanted).abs() < 1e-6, "{found} is not {wanted}");
    }

    #[test]
    fn a_share_with_wilsons_interval() {
        // Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662, 0 of 20 gives 0 to 0.1611.
        let some = share_interval(81, 263, None).unwrap();
        assert!((some.low - 0.2553).abs() < 5e-5 && (some.high - 0.3662).abs() < 5e-5, "{some:?}");
        let none = share_interval(0, 20, None).unwrap();
        assert!(none.low == 0.0 && (none.high - 0.1611).abs() < 5e-5, "{none:?}");
        assert_eq!(share_interval(0, 0, None), None);

        // All rows seen: nothing is left to chance.
        let whole = share_interval(7, 20, Some(20)).unwrap();
        assert!(whole.high - whole.low < 1e-4, "{whole:?}");
    }

    #[test]
    fn one_cohort_is_wilsons_interval() {
        let cohort = Cohort { rows: 5000, drawn: 200, wrong: 12, found: 12 };
        let left = errors_left(&[cohort], 4800).unwrap();
        let share = share_interval(12, 200, Some(5000)).unwrap();
        near(left.estimate, 5000.0 * share.estimate - 12.0);
        near(left.low, 5000.0 * share.low - 12.0);
        near(left.high, 5000.0 * share.high - 12.0);
    }

    #[test]
    fn rounds_agree_on_one_number() {
        // 400 left in the end, and 1,000 found after the first cohort: all of it as expected.
        let first = Cohort { rows: 10_000, drawn: 100, wrong: 14, found: 1000 };
        let last = Cohort { rows: 8000, drawn: 100, wrong: 5, found: 0 };
        let both = errors_left(&[first, last], 8000).unwrap();
        near(both.estimate, 400.0);
        let alone = errors_left(&[last], 8000).unwrap();
        near(alone.estimate, 400.0);
        assert!(both.low > alone.low && both.high < alone.high, "{both:?} {alone:?}");
    }

    #[test]
    fn the_ends_of_the_range() {
        assert_eq!(errors_left(&[], 10), None);
        let clean = Cohort { rows: 1000, drawn: 100, wrong: 0, found: 0 };
        let left = errors_left(&[clean], 900).unwrap();
        assert!(left.low == 0.0 && left.estimate == 0.0 && left.high > 10.0, "{left:?}");
        let all = Cohort { rows: 1000, drawn: 100, wrong: 100, found: 100 };
        let left = errors_left(&[all], 900).unwrap();
        near(left.high, 900.0);
        let census = Cohort { rows: 50, drawn: 50, wrong: 4, found: 4 };
        let left = errors_left(&[census], 0).unwrap();
        assert_eq!((left.low, left.estimate, left.high), (0.0, 0.0, 0.0));
    }
}

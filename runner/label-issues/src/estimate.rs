//! What random control rows say about the rest: shares, the number of errors left, and how many of
//! these come next.
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

/// Rows that control rows were drawn from at random, apart from other rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stratum {
    /// What was neither verified before the round nor put forward in it for another reason.
    pub rows: u64,
    /// Control rows with a decision.
    pub drawn: u64,
    /// Those of them whose label was found wrong.
    pub wrong: u64,
}

/// The control rows of one round.
#[derive(Clone, Debug, PartialEq)]
pub struct Cohort {
    /// One stratum when control rows are a simple random draw.
    pub strata: Vec<Stratum>,
    /// Labels among the rows of the strata found wrong until now, those of the control rows included.
    pub found: Count,
}

/// A number of wrong labels, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Count {
    pub mean: f64,
    /// 0 when it was counted.
    pub variance: f64,
}

impl Count {
    /// A number that was counted.
    pub fn exact(count: u64) -> Count {
        Count { mean: count as f64, variance: 0.0 }
    }

    /// What rows should hold of which nobody knows, when of `decided` rows like them `wrong` were
    /// wrong, and the best of them were decided first: at most that share. The share is Laplace's
    /// (Beta(1, 1) prior), taken to lie anywhere from half of it up; the variance is that of the draw,
    /// of the share, and of where it lies.
    pub fn undecided(rows: u64, decided: u64, wrong: u64) -> Count {
        let (rows, weight) = (rows as f64, decided as f64 + 2.0);
        let most = (wrong as f64 + 1.0) / weight;
        let share = most * 0.75;
        let spread = rows * share * (1.0 - share) * (1.0 + rows / weight);
        Count { mean: rows * share, variance: spread + (rows * most).powi(2) / 48.0 }
    }
}

/// A cohort as one simple random draw that says as much as its strata do together.
struct Draw {
    rows: f64,
    drawn: f64,
    wrong: f64,
    correction: f64,
    found: Count,
}

impl Cohort {
    fn draw(&self) -> Option<Draw> {
        let seen: Vec<Stratum> =
            self.strata.iter().copied().filter(|s| s.drawn > 0 && s.drawn <= s.rows).collect();
        let rows: u64 = self.strata.iter().map(|stratum| stratum.rows).sum();
        let drawn: u64 = seen.iter().map(|stratum| stratum.drawn).sum();
        if drawn == 0 {
            return None;
        }
        let correction = correction(rows, drawn);
        let draw = |drawn: f64, share: f64| Draw {
            rows: rows as f64,
            drawn,
            wrong: drawn * share,
            correction,
            found: self.found,
        };
        if let [only] = seen.as_slice() {
            return Some(draw(drawn as f64, only.wrong as f64 / only.drawn as f64));
        }
        let (share, variance) = stratified(&seen);
        let alike = share_of_prior(share * drawn as f64, drawn as f64, share);
        let simple = alike * (1.0 - alike) * correction / drawn as f64;
        Some(draw((drawn as f64 * simple / variance.max(TINY * TINY)).min(rows as f64), share))
    }
}

/// The share of wrong labels over strata, each weighted by its rows, and the variance of that
/// (Cochran 1977, sections 5.3 to 5.5). Strata without a draw are taken to be like the others.
///
/// A stratum with one or two draws says little of its own variance, so shares are drawn towards the
/// overall one before it is computed.
fn stratified(seen: &[Stratum]) -> (f64, f64) {
    let rows: f64 = seen.iter().map(|stratum| stratum.rows as f64).sum();
    let weight = |stratum: &Stratum| stratum.rows as f64 / rows;
    let mean = |s: &Stratum| s.wrong as f64 / s.drawn as f64;
    let share: f64 = seen.iter().map(|stratum| weight(stratum) * mean(stratum)).sum();
    let variance = |stratum: &Stratum| {
        let drawn = stratum.drawn as f64;
        let own = share_of_prior(stratum.wrong as f64, drawn, share);
        let correction = correction(stratum.rows, stratum.drawn);
        weight(stratum).powi(2) * own * (1.0 - own) * correction / drawn
    };
    (share, seen.iter().map(variance).sum())
}

/// A share with two draws' worth of the overall one, which itself is kept off 0 and 1.
fn share_of_prior(wrong: f64, drawn: f64, overall: f64) -> f64 {
    let overall = overall.clamp(0.01, 0.99);
    (wrong + 2.0 * overall) / (drawn + 2.0)
}

impl Draw {
    /// How far what was drawn lies above what `left` errors would let expect, and the variance of
    /// that, both as the derivative of the log-likelihood by `left`.
    fn score(&self, left: f64) -> (f64, f64) {
        let share = ((left + self.found.mean) / self.rows).clamp(TINY, 1.0 - TINY);
        let slope = self.drawn / self.rows;
        let variance = self.drawn * share * (1.0 - share) * self.correction
            + slope * slope * self.found.variance;
        (slope * (self.wrong - self.drawn * share) / variance, slope * slope / variance)
    }
}

/// What is left, and what the next rows hold of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outlook {
    /// Wrong labels among rows that nobody has verified; `None` without control rows.
    pub left: Option<Interval>,
    /// Those of them in the next rows; `None` when nothing was said of these.
    pub next: Option<Interval>,
}

/// Returns how many wrong labels are among `unverified` rows, and how many of these the next rows
/// hold, of which `next` is known by another way.
///
/// If there are `left` errors now, then each cohort was drawn from rows of which `left` + `found`
/// were wrong, so one number explains what every round's control rows came to. The estimate solves
/// the score equation of these (binomial with finite population correction) draws; the interval
/// holds every number that a score test does not refuse at 5 % (Rao 1948). With one cohort that is
/// Wilson's interval, moved by what was found since. A stratified cohort counts as a simple draw of
/// the size that would have its variance (the effective size of Kish 1965, section 8.2).
///
/// The next rows are part of what is left, so both come from one likelihood: what is known of
/// `next` is normal around its mean, and no `left` below the errors in `next` is possible. Where
/// control rows say less than `next` does, the two are weighed against each other; so the estimate
/// and both ends for `next` never exceed those for `left`.
pub fn outlook(cohorts: &[Cohort], unverified: u64, next: Option<(u64, Count)>) -> Outlook {
    let draws: Vec<Draw> = cohorts.iter().filter_map(Cohort::draw).collect();
    let known = Known { draws, most: unverified as f64, next };
    Outlook { left: known.left(), next: known.next() }
}

struct Known {
    draws: Vec<Draw>,
    most: f64,
    next: Option<(u64, Count)>,
}

impl Known {
    /// Falls as `left` rises; 0 where control rows alone would put it.
    fn distance(&self, left: f64) -> f64 {
        let sum = self.draws.iter().map(|draw| draw.score(left));
        let (above, variance) = sum.fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        above / variance.sqrt()
    }

    /// Where control rows alone put what is left.
    fn drawn(&self) -> Option<f64> {
        let root = || bisect(0.0, self.most, |left| self.distance(left) > 0.0);
        (!self.draws.is_empty()).then(root)
    }

    /// How far `errors` in the next rows is from what is known of them.
    fn beyond(&self, errors: f64) -> f64 {
        self.next.map_or(0.0, |(_, count)| (count.mean - errors) / count.variance.max(TINY).sqrt())
    }

    /// How badly `left` errors explain all that is known; the next rows hold no more than that.
    fn misfit(&self, left: f64) -> f64 {
        self.distance(left).powi(2) + self.beyond(left).max(0.0).powi(2)
    }

    /// The best `left`, and the misfit up to which another is believed.
    fn best(&self) -> Option<(f64, f64)> {
        let drawn = self.drawn()?;
        let wanted = self.next.map_or(0.0, |(_, count)| count.mean).min(self.most);
        if drawn >= wanted {
            return Some((drawn, Z * Z));
        }
        // The two pull apart, and the misfit has one valley between them.
        let (mut low, mut high) = (drawn, wanted);
        for _ in 0..HALVINGS {
            let third = (high - low) / 3.0;
            if self.misfit(low + third) > self.misfit(high - third) {
                low += third;
            } else {
                high -= third;
            }
        }
        let best = f64::midpoint(low, high);
        Some((best, Z * Z + self.misfit(best)))
    }

    fn left(&self) -> Option<Interval> {
        let (estimate, level) = self.best()?;
        let low = bisect(0.0, estimate, |left| self.misfit(left) > level);
        let high = bisect(estimate, self.most, |left| self.misfit(left) <= level);
        Some(Interval { estimate, low: low.min(estimate), high: high.max(estimate) })
    }

    fn next(&self) -> Option<Interval> {
        let (rows, count) = self.next?;
        let rows = rows as f64;
        let (best, level) = self.best().unwrap_or((f64::INFINITY, Z * Z));
        let drawn = self.drawn().unwrap_or(f64::INFINITY);
        let estimate = count.mean.min(best).clamp(0.0, rows);
        let misfit = |errors: f64| {
            let left = if errors <= drawn { 0.0 } else { self.distance(errors).powi(2) };
            left + self.beyond(errors).powi(2)
        };
        let low = bisect(0.0, estimate, |errors| misfit(errors) > level);
        let high = bisect(estimate, rows.min(self.most), |errors| misfit(errors) <= level);
        Some(Interval { estimate, low: low.min(estimate), high: high.max(estimate) })
    }
}

/// The end of the stretch from `low` on which `holds`.
fn bisect(mut low: f64, mut high: f64, holds: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if holds(middle) { low = middle } else { high = middle }
    }
    if high < TINY { 0.0 } else { high }
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

    fn cohort(rows: u64, drawn: u64, wrong: u64, found: u64) -> Cohort {
        Cohort { strata: vec![Stratum { rows, drawn, wrong }], found: Count::exact(found) }
    }

    fn errors_left(cohorts: &[Cohort], unverified: u64) -> Option<Interval> {
        outlook(cohorts, unverified, None).left
    }

    #[test]
    fn one_cohort_is_wilsons_interval() {
        let left = errors_left(&[cohort(5000, 200, 12, 12)], 4800).unwrap();
        let share = share_interval(12, 200, Some(5000)).unwrap();
        near(left.estimate, 5000.0 * share.estimate - 12.0);
        near(left.low, 5000.0 * share.low - 12.0);
        near(left.high, 5000.0 * share.high - 12.0);
    }

    #[test]
    fn rounds_agree_on_one_number() {
        // 400 left in the end, and 1,000 found after the first cohort: all of it as expected.
        let first = cohort(10_000, 100, 14, 1000);
        let last = cohort(8000, 100, 5, 0);
        let both = errors_left(&[first, last.clone()], 8000).unwrap();
        near(both.estimate, 400.0);
        let alone = errors_left(&[last], 8000).unwrap();
        near(alone.estimate, 400.0);
        assert!(both.low > alone.low && both.high < alone.high, "{both:?} {alone:?}");
    }

    #[test]
    fn the_ends_of_the_range() {
        assert_eq!(errors_left(&[], 10), None);
        let left = errors_left(&[cohort(1000, 100, 0, 0)], 900).unwrap();
        assert!(left.low == 0.0 && left.estimate == 0.0 && left.high > 10.0, "{left:?}");
        let left = errors_left(&[cohort(1000, 100, 100, 100)], 900).unwrap();
        near(left.high, 900.0);
        let left = errors_left(&[cohort(50, 50, 4, 4)], 0).unwrap();
        assert_eq!((left.low, left.estimate, left.high), (0.0, 0.0, 0.0));
    }

    #[test]
    fn strata_weigh_by_their_rows() {
        // Cochran's weights: 9,000 rows with 2 % and 1,000 with 50 % wrong labels.
        let strata = vec![
            Stratum { rows: 9000, drawn: 50, wrong: 1 },
            Stratum { rows: 1000, drawn: 50, wrong: 25 },
        ];
        let parts = Cohort { strata, found: Count::exact(26) };
        let left = errors_left(&[parts], 9900).unwrap();
        near(left.estimate, 9000.0 * 0.02 + 1000.0 * 0.5 - 26.0);
        let lumped = errors_left(&[cohort(10_000, 100, 26, 26)], 9900).unwrap();
        assert!(lumped.low > left.estimate, "one draw of all would say far too much: {lumped:?}");

        // Shares alike and drawn in proportion: nearly what a simple draw says.
        let strata = [6000, 4000]
            .map(|rows| Stratum { rows, drawn: rows / 100, wrong: rows / 1000 })
            .to_vec();
        let alike = errors_left(&[Cohort { strata, found: Count::exact(10) }], 9900).unwrap();
        let simple = errors_left(&[cohort(10_000, 100, 10, 10)], 9900).unwrap();
        near(alike.estimate, simple.estimate);
        assert!((alike.high / simple.high - 1.0).abs() < 0.02, "{alike:?} {simple:?}");
    }

    #[test]
    fn the_next_rows_never_hold_more_than_is_left() {
        for wrong in 0..40 {
            for mean in [0.0, 5.0, 60.0, 180.0, 240.0] {
                let count = Count { mean, variance: 60.0 };
                let cohorts = [cohort(5000, 100, wrong, wrong)];
                let Outlook { left, next } = outlook(&cohorts, 4900, Some((250, count)));
                let (left, next) = (left.unwrap(), next.unwrap());
                let falls = |a: f64, b: f64| a <= b + 1e-6;
                let told = format!("{wrong} {mean}: {left:?} {next:?}");
                assert!(falls(next.estimate, left.estimate), "{told}");
                assert!(falls(next.low, left.low) && falls(next.high, left.high), "{told}");
                assert!(next.high <= 250.0 && left.high <= 4900.0, "{told}");
            }
        }
        // No control row: the next rows are known all the same.
        let alone = outlook(&[], 100, Some((50, Count { mean: 20.0, variance: 4.0 })));
        assert_eq!(alone.left, None);
        let next = alone.next.unwrap();
        near(next.estimate, 20.0);
        near(next.low, 20.0 - 2.0 * Z);
        near(next.high, 20.0 + 2.0 * Z);
    }

    #[test]
    fn what_reviewers_know_of_the_next_rows_bounds_what_is_left_from_below() {
        // Twenty clean control rows would let believe in none; the next 100 rows are nearly all wrong.
        let cohorts = [cohort(5000, 20, 0, 0)];
        let count = Count { mean: 90.0, variance: 9.0 };
        let Outlook { left, next } = outlook(&cohorts, 4980, Some((100, count)));
        let (left, next) = (left.unwrap(), next.unwrap());
        assert!(left.estimate > 80.0 && left.low > 75.0 && left.high > 300.0, "{left:?}");
        assert!((next.estimate - left.estimate).abs() < 1e-6 && next.low > 75.0, "{next:?}");
    }
}

//! How likely a flagged label is wrong, learnt from what reviewers said about others.
//!
//! Decisions are few and noisy, so two simple models are put together: the share of wrong labels
//! can only fall as the score rises, and each pair of classes may do better or worse than that by
//! as much as its decisions can show. It knows nothing of records, ledgers or how scores are made.

use std::collections::BTreeMap;

use crate::Count;
use crate::violators::{self, Block as _, pool};

/// With fewer decisions there is one share for all records.
pub const FEWEST_DECISIONS: usize = 30;
/// Decisions' worth of the overall share that every step of the curve starts with.
const STEP_PRIOR: f64 = 2.0;
/// Decisions' worth of the curve that a pair of classes may start with, from loose to strict.
const PAIR_PRIORS: [f64; 10] = [2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];
/// No share that enters a logarithm lies nearer to 0 or 1.
const EDGE: f64 = 0.005;

/// A decision on a record that was flagged with a score.
#[derive(Clone, Copy, Debug)]
pub struct Judged {
    /// Low is suspicious.
    pub score: f64,
    /// Number of the pair of given and proposed class.
    pub pair: u32,
    pub wrong: bool,
}

/// The share of wrong labels as a function of score and pair of classes.
///
/// The curve is an isotonic regression by pool adjacent violators (Ayer et al. 1955; Zadrozny and
/// Elkan 2002 for its use on scores), each step drawn towards the overall share, with straight
/// lines between the steps. A pair of classes moves the log-odds by what its decisions differ from
/// the curve, shrunk by empirical Bayes: the prior's strength is that of [2, 1024] under which the
/// decisions are most likely (beta-binomial; Casella 1985). Under [`FEWEST_DECISIONS`] it is the
/// mean of a Beta(1, 1) prior and the decisions, whatever the score.
#[derive(Clone, Debug)]
pub struct Acceptance {
    decisions: usize,
    overall: f64,
    /// Mean score and share of wrong labels of each step; scores rise, shares do not.
    steps: Vec<(f64, f64)>,
    shifts: BTreeMap<u32, f64>,
    /// Of the decisions, rising.
    scores: Vec<f64>,
}

impl Acceptance {
    /// Learns from decisions in any order; those without a score that is a number are left out.
    pub fn fit(decisions: &[Judged]) -> Acceptance {
        let mut judged: Vec<Judged> =
            decisions.iter().copied().filter(|one| !one.score.is_nan()).collect();
        judged.sort_unstable_by(|a, b| {
            a.score.total_cmp(&b.score).then_with(|| (a.pair, a.wrong).cmp(&(b.pair, b.wrong)))
        });
        let wrong = judged.iter().filter(|one| one.wrong).count();
        let overall = (wrong as f64 + 1.0) / (judged.len() as f64 + 2.0);
        let mut fitted = Acceptance {
            decisions: judged.len(),
            overall,
            steps: Vec::new(),
            shifts: BTreeMap::new(),
            scores: judged.iter().map(|one| one.score).collect(),
        };
        if judged.len() >= FEWEST_DECISIONS {
            fitted.steps = steps(&judged, overall);
            fitted.shifts = shifts(&judged, &fitted);
        }
        fitted
    }

    /// Returns the number of decisions learnt from.
    pub fn decisions(&self) -> usize {
        self.decisions
    }

    /// Returns the share of wrong labels, 0 to 1, among records with this score and pair.
    pub fn probability(&self, score: f64, pair: Option<u32>) -> f64 {
        let curve = self.curve(score);
        match pair.and_then(|pair| self.shifts.get(&pair)) {
            Some(shift) => logistic(log_odds(curve) + shift),
            None => curve,
        }
    }

    /// Returns how many of these rows, given by score and pair, have a wrong label: the sum of their
    /// probabilities. The variance is that of the draw and of the mean probability, which rests on
    /// the decisions whose scores lie among those of the rows.
    pub fn expected(&self, rows: &[(f64, Option<u32>)]) -> Count {
        let chances: Vec<f64> =
            rows.iter().map(|(score, pair)| self.probability(*score, *pair)).collect();
        let count = rows.len() as f64;
        let mean: f64 = chances.iter().sum();
        let draw: f64 = chances.iter().map(|chance| chance * (1.0 - chance)).sum();
        let scores = || rows.iter().map(|row| row.0).filter(|score| !score.is_nan());
        let (low, high) =
            (scores().fold(f64::INFINITY, f64::min), scores().fold(f64::NEG_INFINITY, f64::max));
        let among = match self.scores.is_empty() || low > high {
            true => 0,
            false => {
                self.scores.partition_point(|s| *s <= high)
                    - self.scores.partition_point(|s| *s < low)
            }
        };
        let share = mean / count.max(1.0);
        let learnt = count * count * share * (1.0 - share) / (among as f64 + STEP_PRIOR);
        Count { mean, variance: draw + learnt }
    }

    fn curve(&self, score: f64) -> f64 {
        let (Some(first), Some(last)) = (self.steps.first(), self.steps.last()) else {
            return self.overall;
        };
        if score.is_nan() {
            return self.overall;
        }
        let above = self.steps.partition_point(|step| step.0 <= score);
        match above {
            0 => first.1,
            n if n == self.steps.len() => last.1,
            n => {
                let ((from, high), (to, low)) = (self.steps[n - 1], self.steps[n]);
                high + (low - high) * (score - from) / (to - from)
            }
        }
    }
}

/// Decisions that share one step of the curve.
#[derive(Clone, Copy)]
struct Block {
    wrong: u64,
    count: u64,
    scores: f64,
}

impl Block {
    fn share(self, overall: f64) -> f64 {
        (self.wrong as f64 + STEP_PRIOR * overall) / (self.count as f64 + STEP_PRIOR)
    }
}

impl violators::Block for Block {
    fn take(&mut self, other: Block) {
        self.wrong += other.wrong;
        self.count += other.count;
        self.scores += other.scores;
    }
}

/// Pools neighbours until the share of wrong labels, with its prior, falls from step to step.
fn steps(sorted: &[Judged], overall: f64) -> Vec<(f64, f64)> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut last_score = f64::NAN;
    for one in sorted {
        let block = Block { wrong: u64::from(one.wrong), count: 1, scores: one.score };
        // Equal scores are one step from the start: nothing tells them apart.
        match blocks.last_mut() {
            Some(last) if one.score.total_cmp(&last_score).is_eq() => last.take(block),
            _ => blocks.push(block),
        }
        last_score = one.score;
    }
    let blocks = pool(blocks, |early, late| {
        // In whole numbers, so that the pooling is exact.
        u128::from(late.wrong) * u128::from(early.count)
            >= u128::from(early.wrong) * u128::from(late.count)
    });
    // The prior weighs more on small steps, so it may bend the curve upwards again.
    let blocks = pool(blocks, |early, late| late.share(overall) >= early.share(overall));
    blocks.iter().map(|b| (b.scores / b.count as f64, b.share(overall))).collect()
}

/// What a pair's decisions came to, beside what the curve expects of them.
#[derive(Clone, Copy, Default)]
struct PairCount {
    wrong: u64,
    count: u64,
    expected: f64,
}

impl PairCount {
    fn mean(self) -> f64 {
        (self.expected / self.count as f64).clamp(EDGE, 1.0 - EDGE)
    }

    fn shift(self, strength: f64) -> f64 {
        let mean = self.mean();
        let share = (self.wrong as f64 + strength * mean) / (self.count as f64 + strength);
        log_odds(share) - log_odds(mean)
    }

    /// Log of the beta-binomial likelihood, without the part that no prior changes.
    fn log_likelihood(self, strength: f64) -> f64 {
        let rising =
            |from: f64, count: u64| (0..count).map(|n| (from + n as f64).ln()).sum::<f64>();
        let mean = self.mean();
        rising(strength * mean, self.wrong)
            + rising(strength * (1.0 - mean), self.count - self.wrong)
            - rising(strength, self.count)
    }
}

fn shifts(sorted: &[Judged], curve: &Acceptance) -> BTreeMap<u32, f64> {
    let mut pairs: BTreeMap<u32, PairCount> = BTreeMap::new();
    for one in sorted {
        let pair = pairs.entry(one.pair).or_default();
        pair.wrong += u64::from(one.wrong);
        pair.count += 1;
        pair.expected += curve.curve(one.score);
    }
    let likelihood =
        |strength: f64| pairs.values().map(|p| p.log_likelihood(strength)).sum::<f64>();
    let mut best = (f64::NEG_INFINITY, PAIR_PRIORS[0]);
    for strength in PAIR_PRIORS {
        let likelihood = likelihood(strength);
        // Of equal ones the strictest.
        if likelihood >= best.0 {
            best = (likelihood, strength);
        }
    }
    pairs.into_iter().map(|(pair, count)| (pair, count.shift(best.1))).collect()
}

fn log_odds(share: f64) -> f64 {
    let share = share.clamp(EDGE, 1.0 - EDGE);
    (share / (1.0 - share)).ln()
}

fn logistic(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(score: f64, pair: u32, wrong: bool) -> Judged {
        Judged { score, pair, wrong }
    }

    /// `count` decisions at one score, of which `wrong` are wrong.
    fn many(score: f64, pair: u32, wrong: usize, count: usize) -> Vec<Judged> {
        (0..count).map(|n| judged(score, pair, n < wrong)).collect()
    }

    #[test]
    fn few_decisions_give_one_share() {
        let none = Acceptance::fit(&[]);
        assert_eq!(none.probability(-0.9, Some(1)), 0.5);
        let few = Acceptance::fit(&many(-0.9, 0, 9, 10));
        assert_eq!(few.probability(-0.9, Some(0)), 10.0 / 12.0);
        assert_eq!(few.probability(0.9, None), 10.0 / 12.0);
    }

    #[test]
    fn the_share_falls_as_the_score_rises() {
        // Shares 0.9, 0.5, 0.7, 0.1: the middle two violate the order and are pooled to 0.6.
        let all: Vec<Judged> = [(-0.8, 90), (-0.4, 50), (0.0, 70), (0.4, 10)]
            .into_iter()
            .flat_map(|(score, wrong)| many(score, 0, wrong, 100))
            .collect();
        let fitted = Acceptance::fit(&all);
        let overall = 221.0 / 402.0;
        let step = |wrong: f64, count: f64| (wrong + 2.0 * overall) / (count + 2.0);
        let expected =
            [(-0.8, step(90.0, 100.0)), (-0.2, step(120.0, 200.0)), (0.4, step(10.0, 100.0))];
        assert_eq!(fitted.steps.len(), expected.len());
        for (found, wanted) in fitted.steps.iter().zip(expected) {
            assert!((found.0 - wanted.0).abs() < 1e-12 && (found.1 - wanted.1).abs() < 1e-12);
        }
        let mut before = 1.0;
        for n in -10..=10 {
            let share = fitted.probability(f64::from(n) / 10.0, None);
            assert!(share <= before, "{share} after {before}");
            before = share;
        }
    }

    #[test]
    fn a_pair_moves_by_what_its_decisions_show() {
        // Two pairs under one curve: one always wrong, one never, and a third with one decision.
        let mut all = many(-0.5, 1, 60, 60);
        all.extend(many(-0.5, 2, 0, 60));
        all.extend(many(-0.5, 3, 1, 1));
        let fitted = Acceptance::fit(&all);
        let share = |pair| fitted.probability(-0.5, pair);
        assert!(share(Some(1)) > 0.9 && share(Some(2)) < 0.1, "{:?}", fitted.shifts);
        assert!(share(Some(3)) > share(None) && share(Some(3)) < share(Some(1)));
        assert_eq!(share(Some(9)), share(None));

        // Pairs that all do as the curve says are left on it.
        let alike: Vec<Judged> = (0..10).flat_map(|pair| many(-0.5, pair, 30, 60)).collect();
        let fitted = Acceptance::fit(&alike);
        assert!(fitted.shifts.values().all(|shift| shift.abs() < 0.01), "{:?}", fitted.shifts);
    }

    #[test]
    fn the_order_of_decisions_changes_nothing() {
        let mut all: Vec<Judged> = (0..200)
            .map(|n| judged(f64::from(n * 37 % 101) / 101.0, n as u32 % 5, n * 7 % 11 < 4))
            .collect();
        let one = Acceptance::fit(&all);
        all.reverse();
        all.swap(3, 150);
        let other = Acceptance::fit(&all);
        for n in 0..100 {
            let (score, pair) = (f64::from(n) / 100.0, Some(n as u32 % 6));
            assert_eq!(
                one.probability(score, pair).to_bits(),
                other.probability(score, pair).to_bits()
            );
        }
    }
}

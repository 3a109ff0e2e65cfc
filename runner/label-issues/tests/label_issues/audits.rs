//! Simulated audits in rounds: does the interval for errors left hold the truth?

use label_issues::{Cohort, errors_left};

/// A small generator of numbers in [0, 1); the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        // Steele, Lea and Flood 2014, SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

struct Plan {
    rows: usize,
    wrong: f64,
    rounds: usize,
    budget: usize,
    control: usize,
    /// How far scores of wrong and right labels lie apart.
    separation: f64,
}

struct Row {
    wrong: bool,
    hash: f64,
    score: f64,
    /// Round of the decision, and whether it was made on a control row alone.
    decided: Option<(usize, bool)>,
}

/// One audit: each round decides the most suspicious rows and some control rows. Returns what is
/// left in truth, and the cohorts.
fn audit(plan: &Plan, seed: u64) -> (u64, u64, Vec<Cohort>) {
    let mut random = Random(seed);
    let mut rows: Vec<Row> = (0..plan.rows)
        .map(|_| {
            let wrong = random.next() < plan.wrong;
            Row { wrong, hash: random.next(), score: 0.0, decided: None }
        })
        .collect();
    for round in 0..plan.rounds {
        // Each round's model has its own opinion; a logistic noise around the truth.
        for row in &mut rows {
            let draw = random.next().clamp(1e-12, 1.0 - 1e-12);
            let sign = if row.wrong { -plan.separation } else { plan.separation };
            row.score = sign + (draw / (1.0 - draw)).ln();
        }
        let mut open: Vec<usize> = (0..rows.len()).filter(|n| rows[*n].decided.is_none()).collect();
        open.sort_by(|a, b| rows[*a].hash.total_cmp(&rows[*b].hash));
        let control: Vec<usize> = open.iter().copied().take(plan.control).collect();
        open.sort_by(|a, b| rows[*a].score.total_cmp(&rows[*b].score));
        for n in open.iter().take(plan.budget) {
            rows[*n].decided = Some((round, false));
        }
        for n in control {
            rows[n].decided.get_or_insert((round, true));
        }
    }
    let count = |wanted: &dyn Fn(&Row) -> bool| rows.iter().filter(|r| wanted(r)).count() as u64;
    let cohorts = (0..plan.rounds)
        .map(|round| {
            let among = |row: &Row| match row.decided {
                None => true,
                Some((at, control)) => at > round || (at == round && control),
            };
            let drawn = |row: &Row| row.decided == Some((round, true));
            Cohort {
                rows: count(&among),
                drawn: count(&drawn),
                wrong: count(&|row| drawn(row) && row.wrong),
                found: count(&|row| among(row) && row.decided.is_some() && row.wrong),
            }
        })
        .collect();
    let left = count(&|row| row.wrong && row.decided.is_none());
    (left, count(&|row| row.decided.is_none()), cohorts)
}

/// Of 200 audits, how many intervals hold the truth, and the mean of estimate less truth.
fn coverage(plan: &Plan) -> (usize, f64) {
    let (mut held, mut off) = (0, 0.0);
    for seed in 0..200 {
        let (left, unverified, cohorts) = audit(plan, 1_000 + seed);
        let found = errors_left(&cohorts, unverified).unwrap();
        held += usize::from((found.low..=found.high).contains(&(left as f64)));
        off += (found.estimate - left as f64) / 200.0;
    }
    (held, off)
}

#[test]
fn intervals_hold_the_truth() {
    let typical =
        Plan { rows: 4000, wrong: 0.2, rounds: 6, budget: 100, control: 40, separation: 1.5 };
    let plans = [
        Plan { ..typical },
        Plan { wrong: 0.08, rounds: 4, ..typical },
        Plan { wrong: 0.3, rounds: 1, control: 100, ..typical },
        Plan { rounds: 8, budget: 200, control: 50, separation: 2.5, ..typical },
    ];
    for (n, plan) in plans.iter().enumerate() {
        let (held, off) = coverage(plan);
        assert!(held >= 180, "plan {n}: {held} of 200 intervals hold the truth");
        let wrong = plan.rows as f64 * plan.wrong;
        assert!(off.abs() < 0.08 * wrong, "plan {n}: {off} off on the mean");
    }
}

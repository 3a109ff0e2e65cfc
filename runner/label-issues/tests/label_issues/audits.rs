//! Simulated audits in rounds: do the intervals for errors left hold the truth?

use std::collections::BTreeMap;

use label_issues::{Acceptance, Cohort, Count, Judged, Stratum, outlook};

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

#[derive(Clone, Copy)]
struct Plan {
    rows: usize,
    /// Share of wrong labels in each stratum; strata are as large as each other.
    wrong: &'static [f64],
    /// Whether each stratum gets its share of the control rows, or all rows are one.
    stratified: bool,
    rounds: usize,
    budget: usize,
    control: usize,
    /// The part of each round's queue that is decided before the next.
    reviewed: f64,
    /// How far scores of wrong and right labels lie apart.
    separation: f64,
}

struct Row {
    wrong: bool,
    stratum: usize,
    hash: f64,
    score: f64,
    /// Round of the decision, whether it was made on a control row alone, and the score then.
    decided: Option<(usize, bool, f64)>,
}

/// What is known of a round when it is queued.
struct Queued {
    /// Open rows of each stratum, less those put forward for their scores.
    rows: BTreeMap<usize, u64>,
    /// How many were put forward for their scores and not decided in this round.
    undecided: u64,
}

struct Audit {
    rows: Vec<Row>,
    queued: Vec<Queued>,
}

/// One audit: each round decides the most suspicious rows and some control rows, in an order that
/// mixes the two, as far as it comes.
fn audit(plan: &Plan, seed: u64) -> Audit {
    let mut random = Random(seed);
    let strata = plan.wrong.len();
    let mut rows: Vec<Row> = (0..plan.rows)
        .map(|n| {
            let wrong = random.next() < plan.wrong[n % strata];
            Row { wrong, stratum: n % strata, hash: random.next(), score: 0.0, decided: None }
        })
        .collect();
    let mut queued = Vec::new();
    for round in 0..plan.rounds {
        // Each round's model has its own opinion; a logistic noise around the truth.
        for row in &mut rows {
            let draw = random.next().clamp(1e-12, 1.0 - 1e-12);
            let sign = if row.wrong { -plan.separation } else { plan.separation };
            row.score = sign + (draw / (1.0 - draw)).ln();
        }
        let mut open: Vec<usize> = (0..rows.len()).filter(|n| rows[*n].decided.is_none()).collect();
        open.sort_by(|a, b| rows[*a].hash.total_cmp(&rows[*b].hash));
        let part = |n: usize| if plan.stratified { rows[n].stratum } else { 0 };
        let mut drawn: BTreeMap<usize, usize> = BTreeMap::new();
        let share = plan.control / if plan.stratified { strata } else { 1 };
        let mut control = Vec::new();
        for n in open.iter().copied() {
            let taken = drawn.entry(part(n)).or_default();
            if *taken < share {
                *taken += 1;
                control.push(n);
            }
        }
        open.sort_by(|a, b| rows[*a].score.total_cmp(&rows[*b].score));
        let lane: Vec<usize> = open.iter().copied().take(plan.budget).collect();
        let mut round_rows: BTreeMap<usize, u64> = BTreeMap::new();
        open.iter().skip(plan.budget).for_each(|n| *round_rows.entry(part(*n)).or_default() += 1);
        let mut places: Vec<(f64, bool, usize)> =
            lane.iter().enumerate().map(|(at, n)| (at as f64, false, *n)).collect();
        let only = control.into_iter().filter(|n| !lane.contains(n));
        places.extend(only.map(|n| (random.next() * lane.len() as f64, true, n)));
        places.sort_by(|a, b| a.0.total_cmp(&b.0));
        places.truncate((places.len() as f64 * plan.reviewed).round() as usize);
        let decided = places.iter().filter(|place| !place.1).count();
        for (_, by_chance, n) in places {
            rows[n].decided = Some((round, by_chance, rows[n].score));
        }
        queued.push(Queued { rows: round_rows, undecided: (lane.len() - decided) as u64 });
    }
    Audit { rows, queued }
}

impl Audit {
    fn count(&self, wanted: impl Fn(&Row) -> bool) -> u64 {
        self.rows.iter().filter(|row| wanted(row)).count() as u64
    }

    fn cohort(&self, plan: &Plan, round: usize) -> Cohort {
        let at = |row: &Row| row.decided.map(|(at, by_chance, _)| (at, by_chance));
        let lane = |row: &Row| at(row) == Some((round, false));
        let strata = self.queued[round].rows.iter().map(|(part, rows)| {
            let drawn = |row: &Row| {
                at(row) == Some((round, true)) && (!plan.stratified || row.stratum == *part)
            };
            let wrong = self.count(|row| drawn(row) && row.wrong);
            Stratum { rows: *rows, drawn: self.count(drawn), wrong }
        });
        let since = |row: &Row| at(row).is_some_and(|(at, _)| at >= round) && !lane(row);
        let found = self.count(|row| since(row) && row.wrong);
        let (decided, wrong) = (self.count(lane), self.count(|row| lane(row) && row.wrong));
        let open = Count::undecided(self.queued[round].undecided, decided, wrong);
        let found = Count { mean: found as f64 - open.mean, variance: open.variance };
        Cohort { strata: strata.collect(), found }
    }

    /// The open rows with the lowest scores, and what decisions let expect of them.
    fn next(&self, rows: usize) -> (Vec<&Row>, Count) {
        let judged: Vec<Judged> = self
            .rows
            .iter()
            .filter_map(|row| row.decided.map(|d| Judged { score: d.2, pair: 0, wrong: row.wrong }))
            .collect();
        let acceptance = Acceptance::fit(&judged);
        let mut open: Vec<&Row> = self.rows.iter().filter(|row| row.decided.is_none()).collect();
        open.sort_by(|a, b| a.score.total_cmp(&b.score));
        open.truncate(rows);
        let scores: Vec<(f64, Option<u32>)> = open.iter().map(|row| (row.score, None)).collect();
        (open, acceptance.expected(&scores))
    }
}

/// Of 200 audits, how many intervals hold the truth for what is left and for what comes next, the
/// mean of estimate less truth, and the mean width.
struct Coverage {
    left: usize,
    next: usize,
    off: f64,
    width: f64,
}

fn coverage(plan: &Plan) -> Coverage {
    let mut all = Coverage { left: 0, next: 0, off: 0.0, width: 0.0 };
    for seed in 0..200 {
        let audit = audit(plan, 1_000 + seed);
        let cohorts: Vec<Cohort> = (0..plan.rounds).map(|r| audit.cohort(plan, r)).collect();
        let (rows, expected) = audit.next(plan.budget);
        let unverified = audit.count(|row| row.decided.is_none());
        let found = outlook(&cohorts, unverified, Some((rows.len() as u64, expected)));
        let (left, next) = (found.left.unwrap(), found.next.unwrap());
        let truth = audit.count(|row| row.wrong && row.decided.is_none()) as f64;
        all.left += usize::from((left.low..=left.high).contains(&truth));
        let comes = rows.iter().filter(|row| row.wrong).count() as f64;
        all.next += usize::from((next.low..=next.high).contains(&comes));
        all.off += (left.estimate - truth) / 200.0;
        all.width += (left.high - left.low) / 200.0;
        assert!(next.estimate <= left.estimate + 1e-6 && next.high <= left.high + 1e-6);
    }
    all
}

const TYPICAL: Plan = Plan {
    rows: 4000,
    wrong: &[0.2],
    stratified: false,
    rounds: 6,
    budget: 100,
    control: 40,
    reviewed: 1.0,
    separation: 1.5,
};

fn check(name: &str, plan: &Plan) -> Coverage {
    let found = coverage(plan);
    let Coverage { left, next, off, .. } = found;
    assert!(left >= 180, "{name}: {left} of 200 intervals hold what is left");
    assert!(next >= 180, "{name}: {next} of 200 intervals hold what comes next");
    let share = plan.wrong.iter().sum::<f64>() / plan.wrong.len() as f64;
    let wrong = plan.rows as f64 * share;
    assert!(off.abs() < 0.08 * wrong, "{name}: {off} off on the mean");
    found
}

#[test]
fn intervals_hold_the_truth() {
    check("typical", &TYPICAL);
    check("few errors", &Plan { wrong: &[0.08], rounds: 4, ..TYPICAL });
    check("one round", &Plan { wrong: &[0.3], rounds: 1, control: 100, ..TYPICAL });
    let sharp = Plan { rounds: 8, budget: 200, control: 50, separation: 2.5, ..TYPICAL };
    check("a sharp model", &sharp);
}

#[test]
fn intervals_hold_the_truth_when_rounds_are_left_half_done() {
    check("half", &Plan { reviewed: 0.5, budget: 200, ..TYPICAL });
    check(
        "a fifth, of one round",
        &Plan { reviewed: 0.2, rounds: 1, budget: 400, control: 200, ..TYPICAL },
    );
    check("most", &Plan { reviewed: 0.8, budget: 200, separation: 2.5, ..TYPICAL });
}

#[test]
fn strata_are_counted_as_strata() {
    const APART: &[f64] = &[0.01, 0.02, 0.1, 0.6];
    let plan = Plan { wrong: APART, control: 60, rounds: 1, separation: 0.7, ..TYPICAL };
    let lumped = check("one draw of all", &plan);
    let parts = check("four strata", &Plan { stratified: true, ..plan });
    assert!(parts.width < 0.9 * lumped.width, "{} {}", parts.width, lumped.width);
    check("four strata in rounds", &Plan { stratified: true, rounds: 5, ..plan });
    let partial = Plan { stratified: true, rounds: 4, reviewed: 0.6, ..plan };
    check("four strata, half done", &partial);
}

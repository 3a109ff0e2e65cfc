//! `estimate`: what an audit has found and what is left, from decisions on control rows.
//!
//! The statistics are those of the crate `label-issues`; this file counts. A round is an audit run
//! with decisions. What a round's queue held besides the control rows is known from these, so a
//! round that is reviewed in part counts as what it is.

use std::collections::{BTreeMap, HashMap};

use engine::{Artifact, Inputs, Node, NodeError, Outputs, RunContext};
use label_issues::{Cohort, Count, Interval, Outlook, Stratum, outlook};
use plan::{CheckContext, Checked, ColumnType, Finding, InputPort, PortType, Schema};
use polars::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::columns::{
    FLOAT, INTEGER, STRING, booleans, frame_port, integers, named, rows_of, string_column, strings,
};
use crate::decisions::{self, LEARNT_FROM, Learnt};
use crate::gold::{self, Accuracy, Share};
use crate::kind::{Kind, Making};
use crate::proposals::Proposals;
use crate::sample::in_question;

mod rounds;

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// How many of the records on `next` are going to be reviewed; all when absent.
    #[serde(default)]
    #[schemars(range(min = 1))]
    budget: Option<u32>,
}

/// What is looked at of the records that come next.
const NEXT: [(&str, &[ColumnType]); 5] = [
    ("record_id", STRING),
    ("given_label", STRING),
    ("predicted_label", STRING),
    ("given_confidence", FLOAT),
    ("prediction_confidence", FLOAT),
];

pub(crate) struct Estimate;

impl Kind for Estimate {
    type Params = Params;

    const NAME: &'static str = "estimate";
    const VERSION: u32 = 3;
    const SUMMARY: &'static str = "Errors found and left, with 95 % intervals, from control rows.";

    fn input_ports() -> Vec<InputPort> {
        let decided = [
            ("review_decision", STRING),
            ("original_label", STRING),
            ("final_label", STRING),
            ("audit_run_id", STRING),
            ("decision_seq", INTEGER),
            ("control_row", &[ColumnType::Boolean] as &[ColumnType]),
            ("stratum", STRING),
            ("drawn_from", INTEGER),
            ("lane_rows", INTEGER),
        ];
        let decided: Vec<_> = decided.into_iter().chain(LEARNT_FROM.iter().copied()).collect();
        vec![
            frame_port("input", "all records, as `sample` reads them", &[("record_id", STRING)]),
            frame_port("decisions", "decisions so far, from a `corrections` node", &decided),
            InputPort {
                required: false,
                ..frame_port("next", "what is to be reviewed next, from a `filter`", &NEXT)
            },
            InputPort {
                required: false,
                ..frame_port("gold", "answers to gold rows, from `corrections`", &gold::ANSWERS)
            },
        ]
    }

    fn output_ports() -> Vec<&'static str> {
        vec!["", rounds::ROUNDS]
    }

    fn check(_: &Params, _: &CheckContext<'_>) -> Result<Checked, Vec<Finding>> {
        let mut schema = Schema::new([("measure", ColumnType::String)]);
        for column in ["estimate", "low", "high"] {
            schema.set(column, ColumnType::Float);
        }
        schema.set("words", ColumnType::String);
        let outputs = [("", schema), (rounds::ROUNDS, rounds::schema())];
        let outputs = outputs.map(|(port, schema)| (port, PortType::Frame(schema))).to_vec();
        Ok(Checked { outputs, ..Checked::default() })
    }

    fn node(params: Params, _: &Making<'_>) -> Result<Box<dyn Node>, NodeError> {
        Ok(Box::new(EstimateNode { params }))
    }
}

struct EstimateNode {
    params: Params,
}

/// A decision in effect that verifies its record.
struct Verified<'a> {
    /// Whether the label in the source was wrong.
    wrong: bool,
    round: usize,
    /// The lane that put the record forward; `None` for one that was drawn at random alone.
    lane: Option<&'a str>,
    drawn: Drawn<'a>,
}

/// What the ledger knows of the draw of a control row.
#[derive(Clone, Copy)]
struct Drawn<'a> {
    stratum: &'a str,
    /// Rows of the stratum that it was drawn from.
    from: Option<u64>,
    /// Rows that lanes put into the same batch.
    lane_rows: Option<u64>,
}

/// Whether each record's label is in question and nobody knows it from elsewhere.
fn asked_about(input: &DataFrame) -> Vec<bool> {
    let mut asked = in_question(input);
    if let Ok(sources) = strings(input, "label_source") {
        asked.iter_mut().zip(sources.iter()).for_each(|(asked, s)| *asked &= s != Some("gold"));
    }
    asked
}

/// The verifying decisions on records of `input`.
fn verified<'a>(
    input: &DataFrame,
    decisions: &'a DataFrame,
) -> Result<Vec<Verified<'a>>, NodeError> {
    let ids = strings(input, "record_id")?;
    let in_question = asked_about(input);
    let decided = strings(decisions, "record_id")?;
    // Decisions are few beside the records.
    let wanted: PlHashSet<&str> = decided.iter().flatten().collect();
    let known = rows_of(ids, &wanted);
    let asked = |id: &str| known.get(id).is_some_and(|row| in_question[*row]);
    let words = strings(decisions, "review_decision")?;
    let originals = strings(decisions, "original_label")?;
    let finals = strings(decisions, "final_label")?;
    let runs = strings(decisions, "audit_run_id")?;
    let lanes = strings(decisions, "lane")?;
    let control = booleans(decisions, "control_row")?;
    let strata = strings(decisions, "stratum")?;
    let [from, lane_rows] = ["drawn_from", "lane_rows"].map(|name| integers(decisions, name));
    let (from, lane_rows) = (from?, lane_rows?);
    let rounds = rounds(runs, &integers(decisions, "decision_seq")?);
    let count =
        |values: &[Option<i64>], row: usize| values[row].and_then(|n| u64::try_from(n).ok());
    let mut all = Vec::new();
    for row in 0..decisions.height() {
        let word = words.get(row).unwrap_or_default();
        if word == "unsure" || !asked(decided.get(row).unwrap_or_default()) {
            continue;
        }
        let by_chance = control.get(row) == Some(true) && lanes.get(row).is_none();
        all.push(Verified {
            wrong: word == "invalid" || finals.get(row) != originals.get(row),
            round: rounds[runs.get(row).unwrap_or_default()],
            lane: (!by_chance).then(|| lanes.get(row).unwrap_or("no lane")),
            drawn: Drawn {
                stratum: strata.get(row).unwrap_or_default(),
                from: count(&from, row),
                lane_rows: count(&lane_rows, row),
            },
        });
    }
    Ok(all)
}

/// The number of each audit run, by its first decision.
fn rounds<'a>(runs: &'a StringChunked, sequence: &[Option<i64>]) -> HashMap<&'a str, usize> {
    let mut first: BTreeMap<&str, i64> = BTreeMap::new();
    for (run, seq) in runs.iter().zip(sequence) {
        let seq = seq.unwrap_or(i64::MAX);
        let known = first.entry(run.unwrap_or_default()).or_insert(seq);
        *known = seq.min(*known);
    }
    let mut order: Vec<(i64, &str)> = first.into_iter().map(|(run, seq)| (seq, run)).collect();
    order.sort_unstable();
    order.into_iter().enumerate().map(|(round, (_, run))| (run, round)).collect()
}

/// The control rows of each round, with what they were drawn from.
fn cohorts(verified: &[Verified<'_>], records: u64) -> Vec<Cohort> {
    let rounds = verified.iter().map(|one| one.round + 1).max().unwrap_or(0);
    (0..rounds).map(|round| cohort(verified, records, round)).collect()
}

fn cohort(verified: &[Verified<'_>], records: u64, round: usize) -> Cohort {
    let count = |wanted: &dyn Fn(&Verified<'_>) -> bool| {
        verified.iter().filter(|one| wanted(one)).count() as u64
    };
    let lane = |one: &Verified<'_>| one.round == round && one.lane.is_some();
    let drawn = || verified.iter().filter(|one| one.round == round && one.lane.is_none());
    let decided = count(&lane);
    // Rows that a lane queued are no rows that control rows stand for, decided or not.
    let lane_rows = drawn().filter_map(|one| one.drawn.lane_rows).max().unwrap_or(0).max(decided);
    let rows = records.saturating_sub(count(&|one| one.round < round) + lane_rows);
    let mut parts: BTreeMap<&str, Stratum> = BTreeMap::new();
    for one in drawn() {
        let part =
            parts.entry(one.drawn.stratum).or_insert(Stratum { rows: 0, drawn: 0, wrong: 0 });
        part.rows = part.rows.max(one.drawn.from.unwrap_or(0));
        part.drawn += 1;
        part.wrong += u64::from(one.wrong);
    }
    let mut strata: Vec<Stratum> = parts.into_values().collect();
    match strata.as_mut_slice() {
        [all] => all.rows = rows,
        parts => {
            // Parts without a decision, and records that came later.
            let others = rows.saturating_sub(parts.iter().map(|part| part.rows).sum());
            strata.push(Stratum { rows: others, drawn: 0, wrong: 0 });
        }
    }
    let since = count(&|one| one.round >= round && !lane(one) && one.wrong) as f64;
    let open = match lane_rows - decided {
        0 => Count::default(),
        open => Count::undecided(open, decided, count(&|one| lane(one) && one.wrong)),
    };
    Cohort { strata, found: Count { mean: since - open.mean, variance: open.variance } }
}

/// Lines of the table of estimates.
#[derive(Default)]
struct Table {
    rows: Vec<(String, Option<Interval>, String)>,
}

impl Table {
    fn number(&mut self, measure: &str, value: u64) {
        let value = value as f64;
        let exact = Interval { estimate: value, low: value, high: value };
        self.rows.push((measure.to_owned(), Some(exact), String::new()));
    }

    fn add(&mut self, measure: impl Into<String>, value: Option<Interval>, words: String) {
        self.rows.push((measure.into(), value, words));
    }

    /// What follows from the number of errors left.
    fn left(&mut self, left: Interval, found: u64, records: u64) {
        let start = map(left, |left| left + found as f64);
        self.add("errors at the start", Some(start), String::new());
        let prevalence = map(start, |start| start / (records as f64).max(1.0));
        self.add("prevalence", Some(prevalence), percent(prevalence));
        let recall = map(left, |left| match found as f64 + left {
            all if all > 0.0 => found as f64 / all,
            _ => 1.0,
        });
        self.add("recall", Some(recall), percent(recall));
    }

    /// How good reviewers are, by gold rows.
    fn reviewers(&mut self, accuracy: &Accuracy) {
        let parts = [
            ("accuracy of reviewers on gold rows", accuracy.all),
            ("wrong labels that reviewers see, on gold rows", accuracy.wrong_seen),
            ("right labels that reviewers leave, on gold rows", accuracy.right_kept),
        ];
        let parts = parts.map(|(measure, share)| (measure.to_owned(), share));
        let each = accuracy.reviewers.iter();
        let each = each.map(|(name, share)| (format!("accuracy of reviewer `{name}`"), *share));
        for (measure, share) in parts.into_iter().chain(each) {
            let interval = share.interval();
            let told =
                |interval| format!("{} of {}: {}", share.hits, share.count, percent(interval));
            self.add(measure, interval, interval.map(told).unwrap_or_default());
        }
    }

    fn frame(&self) -> Result<DataFrame, NodeError> {
        let number = |name: &str, get: fn(&Interval) -> f64| {
            let value = |row: &(String, Option<Interval>, String)| row.1.as_ref().map(get);
            let values: Vec<Option<f64>> =
                self.rows.iter().map(|row| value(row).filter(|value| !value.is_nan())).collect();
            Column::new(name.into(), values)
        };
        crate::columns::frame(vec![
            string_column("measure", self.rows.iter().map(|row| Some(row.0.as_str()))),
            number("estimate", |interval| interval.estimate),
            number("low", |interval| interval.low),
            number("high", |interval| interval.high),
            string_column("words", self.rows.iter().map(|row| Some(row.2.as_str()))),
        ])
    }
}

fn map(interval: Interval, change: impl Fn(f64) -> f64) -> Interval {
    let (estimate, one, other) =
        (change(interval.estimate), change(interval.low), change(interval.high));
    Interval { estimate, low: one.min(other), high: one.max(other) }
}

fn percent(share: Interval) -> String {
    let [estimate, low, high] = [share.estimate, share.low, share.high].map(|v| 100.0 * v);
    format!("{estimate:.1} % ({low:.1} to {high:.1} %)")
}

impl Node for EstimateNode {
    fn reads(&self, port: &str) -> Option<Vec<String>> {
        match port {
            "input" => Some(named(&[
                "record_id",
                "text_valid",
                "label_source",
                decisions::ORIGINAL_QUALITY,
            ])),
            "next" => {
                let mut names = named(&["record_id", "given_label"]);
                names.extend(decisions::scored());
                Some(names)
            }
            _ => None,
        }
    }

    fn run(&self, _: &RunContext<'_>, inputs: &Inputs) -> Result<Outputs, NodeError> {
        let input = inputs.frame("input")?;
        let decisions = inputs.frame("decisions")?;
        let records = asked_about(input).into_iter().filter(|asked| *asked).count() as u64;
        let verified = verified(input, decisions)?;
        let found = verified.iter().filter(|one| one.wrong).count() as u64;
        let unverified = records - verified.len() as u64;
        let cohorts = cohorts(&verified, records);
        let next = match inputs.try_frame("next") {
            Some(next) => self.next(next, decisions, input)?,
            None => None,
        };
        let Outlook { left, next: expected } = outlook(&cohorts, unverified, next);
        let next = next.zip(expected).map(|((rows, _), errors)| (rows, errors));
        let mut table = Table::default();
        table.number("records", records);
        table.number("records verified", verified.len() as u64);
        let drawn = cohorts.iter().flat_map(|cohort| &cohort.strata).map(|part| part.drawn).sum();
        table.number("control rows decided", drawn);
        table.number("errors found", found);
        let sentence = sentence(left, next);
        table.add("errors left", left, sentence.clone());
        if let Some(left) = left {
            table.left(left, found, records);
        }
        for (lane, share) in lanes(&verified) {
            let words = |precision| {
                format!("{} of {} wrong: {}", share.hits, share.count, percent(precision))
            };
            let precision = share.interval();
            let words = precision.map(words).unwrap_or_default();
            table.add(format!("precision of lane `{lane}`"), precision, words);
        }
        if let Some((_, errors)) = next {
            table.add("errors expected in the next rows", Some(errors), String::new());
        }
        let mut outputs = Outputs::default();
        if let Some(answers) = inputs.try_frame("gold") {
            let accuracy = Accuracy::read(answers)?;
            table.reviewers(&accuracy);
            let Share { hits, count } = accuracy.all;
            outputs.count("gold rows answered right", hits as usize, Some(count as usize));
        }
        outputs.artifacts = Outputs::frame(table.frame()?).artifacts;
        outputs.count("wrong labels found", found as usize, Some(verified.len()));
        outputs.count(sentence, left.map_or(0, |left| left.estimate.round() as usize), None);
        Ok(outputs.with(rounds::ROUNDS, Artifact::Frame(rounds::frame(&verified)?)))
    }
}

/// "about 350 wrong labels left (290 to 420); the next 250 should find about 60"
fn sentence(left: Option<Interval>, next: Option<(u64, Interval)>) -> String {
    let mut sentence = match left {
        Some(Interval { estimate, low, high }) => {
            format!(
                "about {estimate:.0} wrong labels left ({:.0} to {:.0})",
                low.floor(),
                high.ceil()
            )
        }
        None => "no control row is decided, so nothing is known of what is left".to_owned(),
    };
    if let Some((rows, errors)) = next {
        sentence.push_str(&format!("; the next {rows} should find about {:.0}", errors.estimate));
    }
    sentence
}

/// Wrong labels among the decisions of each lane.
fn lanes<'a>(verified: &[Verified<'a>]) -> BTreeMap<&'a str, Share> {
    let mut lanes: BTreeMap<&str, Share> = BTreeMap::new();
    for one in verified {
        if let Some(lane) = one.lane {
            lanes.entry(lane).or_default().add(one.wrong);
        }
    }
    lanes
}

impl EstimateNode {
    /// How many records come next and how many wrong labels they should hold, by what decisions on
    /// others were; `None` while there are no decisions.
    fn next(
        &self,
        next: &DataFrame,
        decisions: &DataFrame,
        records: &DataFrame,
    ) -> Result<Option<(u64, Count)>, NodeError> {
        let learnt = Learnt::read(decisions, records)?;
        if learnt.decisions() == 0 {
            return Ok(None);
        }
        let ids = strings(next, "record_id")?;
        let given = strings(next, "given_label")?;
        let proposals = Proposals::read(next)?;
        let scores = decisions::scores(next, &proposals)?;
        let mut order: Vec<usize> = (0..next.height()).collect();
        order.sort_by(|a, b| {
            let scores = scores[*a].total_cmp(&scores[*b]);
            scores.then_with(|| ids.get(*a).cmp(&ids.get(*b)))
        });
        order.truncate(self.params.budget.map_or(usize::MAX, |budget| budget as usize));
        let records = order
            .iter()
            .map(|row| (given.get(*row).unwrap_or_default(), proposals.label(*row), scores[*row]));
        Ok(Some((order.len() as u64, learnt.expected(records))))
    }
}

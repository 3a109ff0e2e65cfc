//! `estimate`: what an audit has found and what is left, from decisions on control rows.
//!
//! The statistics are those of the crate `label-issues`; this file counts. A round is an audit run
//! with decisions. Rows that a lane queued and nobody decided count with the rows of no lane, so a
//! round's estimate is to be believed once the round is reviewed.

use std::collections::{BTreeMap, HashMap};

use engine::{Inputs, Node, NodeError, Outputs, RunContext};
use label_issues::{Cohort, Interval, errors_left, share_interval};
use plan::{CheckContext, Checked, ColumnType, Finding, InputPort, PortType, Schema};
use polars::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::columns::{
    FLOAT, INTEGER, STRING, booleans, floats, frame_port, integers, string_column, strings,
};
use crate::decisions::{LEARNT_FROM, LaneCount, Learnt, margin};
use crate::kind::{Kind, Making};
use crate::sample::in_question;

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// How many of the records on `next` are going to be reviewed; all when absent.
    #[serde(default)]
    #[schemars(range(min = 1))]
    budget: Option<u32>,
}

pub(crate) struct Estimate;

impl Kind for Estimate {
    type Params = Params;

    const NAME: &'static str = "estimate";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = "Errors found and left, with 95 % intervals, from control rows.";

    fn input_ports() -> Vec<InputPort> {
        let decided = [
            ("record_id", STRING),
            ("review_decision", STRING),
            ("original_label", STRING),
            ("final_label", STRING),
            ("audit_run_id", STRING),
            ("decision_seq", INTEGER),
            ("control_row", &[ColumnType::Boolean] as &[ColumnType]),
        ];
        let decided: Vec<_> = decided.into_iter().chain(LEARNT_FROM.iter().copied()).collect();
        let next = [
            ("record_id", STRING),
            ("given_label", STRING),
            ("predicted_label", STRING),
            ("given_confidence", FLOAT),
            ("prediction_confidence", FLOAT),
        ];
        vec![
            frame_port("input", "all records, as `sample` reads them", &[("record_id", STRING)]),
            frame_port("decisions", "decisions so far, from a `corrections` node", &decided),
            InputPort {
                required: false,
                ..frame_port("next", "what is to be reviewed next, from a `filter`", &next)
            },
        ]
    }

    fn check(_: &Params, _: &CheckContext<'_>) -> Result<Checked, Vec<Finding>> {
        let mut schema = Schema::new([("measure", ColumnType::String)]);
        for column in ["estimate", "low", "high"] {
            schema.set(column, ColumnType::Float);
        }
        schema.set("words", ColumnType::String);
        Ok(Checked { outputs: vec![("", PortType::Frame(schema))], ..Checked::default() })
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
}

/// The verifying decisions on records of `input`.
fn verified<'a>(
    input: &DataFrame,
    decisions: &'a DataFrame,
) -> Result<Vec<Verified<'a>>, NodeError> {
    let ids = strings(input, "record_id")?;
    let in_question = in_question(input);
    let known: HashMap<&str, bool> =
        ids.iter().zip(in_question).map(|(id, asked)| (id.unwrap_or_default(), asked)).collect();
    let decided = strings(decisions, "record_id")?;
    let words = strings(decisions, "review_decision")?;
    let originals = strings(decisions, "original_label")?;
    let finals = strings(decisions, "final_label")?;
    let runs = strings(decisions, "audit_run_id")?;
    let lanes = strings(decisions, "lane")?;
    let control = booleans(decisions, "control_row")?;
    let sequence = integers(decisions, "decision_seq")?;
    let mut first: BTreeMap<&str, i64> = BTreeMap::new();
    for (run, seq) in runs.iter().zip(&sequence) {
        let seq = seq.unwrap_or(i64::MAX);
        let known = first.entry(run.unwrap_or_default()).or_insert(seq);
        *known = seq.min(*known);
    }
    let mut order: Vec<(i64, &str)> = first.into_iter().map(|(run, seq)| (seq, run)).collect();
    order.sort_unstable();
    let rounds: HashMap<&str, usize> =
        order.into_iter().enumerate().map(|(round, (_, run))| (run, round)).collect();
    let mut all = Vec::new();
    for row in 0..decisions.height() {
        let word = words.get(row).unwrap_or_default();
        if word == "unsure" || known.get(decided.get(row).unwrap_or_default()) != Some(&true) {
            continue;
        }
        let by_chance = control.get(row) == Some(true) && lanes.get(row).is_none();
        all.push(Verified {
            wrong: word == "invalid" || finals.get(row) != originals.get(row),
            round: rounds[runs.get(row).unwrap_or_default()],
            lane: (!by_chance).then(|| lanes.get(row).unwrap_or("no lane")),
        });
    }
    Ok(all)
}

/// The control rows of each round, with what they were drawn from.
fn cohorts(verified: &[Verified<'_>], records: u64) -> Vec<Cohort> {
    let rounds = verified.iter().map(|one| one.round + 1).max().unwrap_or(0);
    let count = |wanted: &dyn Fn(&Verified<'_>) -> bool| {
        verified.iter().filter(|one| wanted(one)).count() as u64
    };
    (0..rounds)
        .map(|round| {
            // Verified before the round, or put forward in it by a lane.
            let outside = |one: &Verified<'_>| {
                one.round < round || (one.round == round && one.lane.is_some())
            };
            let drawn = |one: &Verified<'_>| one.round == round && one.lane.is_none();
            Cohort {
                rows: records - count(&outside),
                drawn: count(&drawn),
                wrong: count(&|one| drawn(one) && one.wrong),
                found: count(&|one| !outside(one) && one.wrong),
            }
        })
        .collect()
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
    fn run(&self, _: &RunContext<'_>, inputs: &Inputs) -> Result<Outputs, NodeError> {
        let input = inputs.frame("input")?;
        let decisions = inputs.frame("decisions")?;
        let records = in_question(input).into_iter().filter(|asked| *asked).count() as u64;
        let verified = verified(input, decisions)?;
        let found = verified.iter().filter(|one| one.wrong).count() as u64;
        let unverified = records - verified.len() as u64;
        let cohorts = cohorts(&verified, records);
        let left = errors_left(&cohorts, unverified);
        let next = match inputs.try_frame("next") {
            Some(next) => self.next(next, decisions)?,
            None => None,
        };
        let mut table = Table::default();
        table.number("records", records);
        table.number("verified", verified.len() as u64);
        table.number("control rows decided", cohorts.iter().map(|cohort| cohort.drawn).sum());
        table.number("errors found", found);
        let sentence = sentence(left, next);
        table.add("errors left", left, sentence.clone());
        if let Some(left) = left {
            let start = map(left, |left| left + found as f64);
            table.add("errors at the start", Some(start), String::new());
            let prevalence = map(start, |start| start / (records as f64).max(1.0));
            table.add("prevalence", Some(prevalence), percent(prevalence));
            let recall = map(left, |left| match found as f64 + left {
                all if all > 0.0 => found as f64 / all,
                _ => 1.0,
            });
            table.add("recall", Some(recall), percent(recall));
        }
        for (lane, count) in lanes(&verified) {
            let precision = share_interval(count.wrong, count.decided, None);
            let words = precision.map(|precision| {
                format!("{} of {} wrong: {}", count.wrong, count.decided, percent(precision))
            });
            table.add(format!("precision of lane `{lane}`"), precision, words.unwrap_or_default());
        }
        if let Some((_, expected)) = next {
            let known = Interval { estimate: expected, low: f64::NAN, high: f64::NAN };
            table.add("errors expected in the next rows", Some(known), String::new());
        }
        let mut outputs = Outputs::frame(table.frame()?);
        outputs.count("wrong labels found", found as usize, Some(verified.len()));
        match left {
            Some(left) => outputs.count(sentence, left.estimate.round() as usize, None),
            None => outputs.count(sentence, 0, None),
        }
        Ok(outputs)
    }
}

/// "about 350 wrong labels left (290 to 420); the next 250 should find about 60"
fn sentence(left: Option<Interval>, next: Option<(usize, f64)>) -> String {
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
    if let Some((rows, expected)) = next {
        sentence.push_str(&format!("; the next {rows} should find about {expected:.0}"));
    }
    sentence
}

/// Decisions by the lane they came from.
fn lanes<'a>(verified: &[Verified<'a>]) -> BTreeMap<&'a str, LaneCount> {
    let mut lanes: BTreeMap<&str, LaneCount> = BTreeMap::new();
    for one in verified {
        if let Some(lane) = one.lane {
            let count = lanes.entry(lane).or_default();
            count.decided += 1;
            count.wrong += u64::from(one.wrong);
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
    ) -> Result<Option<(usize, f64)>, NodeError> {
        let learnt = Learnt::read(decisions)?;
        if learnt.decisions() == 0 {
            return Ok(None);
        }
        let ids = strings(next, "record_id")?;
        let given = strings(next, "given_label")?;
        let predicted = strings(next, "predicted_label")?;
        let given_confidence = floats(next, "given_confidence")?;
        let confidence = floats(next, "prediction_confidence")?;
        let margins: Vec<f64> =
            given_confidence.iter().zip(&confidence).map(|(g, p)| margin(*g, *p)).collect();
        let mut order: Vec<usize> = (0..next.height()).collect();
        order.sort_by(|a, b| {
            margins[*a].total_cmp(&margins[*b]).then_with(|| ids.get(*a).cmp(&ids.get(*b)))
        });
        order.truncate(self.params.budget.map_or(usize::MAX, |budget| budget as usize));
        let wrong = |row: &usize| {
            let text = |column: &StringChunked| column.get(*row).unwrap_or_default().to_owned();
            learnt.wrong(&text(given), &text(predicted), margins[*row])
        };
        Ok(Some((order.len(), order.iter().map(wrong).sum())))
    }
}

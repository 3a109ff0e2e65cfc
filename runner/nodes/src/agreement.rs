//! `agreement`: records that several reviewers saw: whose label to believe, and whom to believe; and
//! how often each is right where the right label is known.
//!
//! The statistics are those of the crate `label-issues`; this file turns names into numbers and
//! back. What a reviewer's decision means for the data is the business of `clean`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use engine::{Artifact, Inputs, Node, NodeError, Outputs, RunContext};
use label_issues::{
    Crowd, Interval, Opinion, bootstrap, cohen, fleiss, krippendorff, reviewer_quality,
};
use plan::{CheckContext, Checked, ColumnType, Finding, InputPort, PortType, Schema};
use polars::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::columns::{STRING, floats, frame_port, rows_of, string_column, strings};
use crate::gold::{self, Accuracy};
use crate::kind::{Kind, Making};

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// For the draws behind the intervals.
    #[serde(default = "default_seed")]
    seed: u64,
}

fn default_seed() -> u64 {
    42
}

pub(crate) struct Agreement;

impl Kind for Agreement {
    type Params = Params;

    const NAME: &'static str = "agreement";
    const VERSION: u32 = 2;
    const SUMMARY: &'static str = "Consensus of several reviewers, and how good each of them is.";

    fn input_ports() -> Vec<InputPort> {
        let votes = [("record_id", STRING), ("reviewed_by", STRING), ("label", STRING)];
        vec![
            frame_port("input", "the port `votes` of a `corrections` node", &votes),
            frame_port(
                "probabilities",
                "the port `probabilities` of a `predict` node",
                &[("record_id", STRING)],
            ),
            InputPort {
                required: false,
                ..frame_port("gold", "answers to gold rows, from `corrections`", &gold::ANSWERS)
            },
        ]
    }

    fn output_ports() -> Vec<&'static str> {
        vec!["", "reviewers", "statistics"]
    }

    fn check(_: &Params, _: &CheckContext<'_>) -> Result<Checked, Vec<Finding>> {
        use ColumnType::{Float, Integer, String};
        let records = Schema::new([
            ("record_id", String),
            ("votes", Integer),
            ("consensus_label", String),
            ("consensus_quality", Float),
            ("agreement", Float),
        ]);
        let reviewers = Schema::new([
            ("reviewed_by", String),
            ("votes", Integer),
            ("quality", Float),
            ("quality_low", Float),
            ("quality_high", Float),
            ("agreement", Float),
            ("weight", Float),
            ("gold_rows", Integer),
            ("gold_accuracy", Float),
            ("gold_low", Float),
            ("gold_high", Float),
        ]);
        let statistics = Schema::new([
            ("measure", String),
            ("records", Integer),
            ("estimate", Float),
            ("low", Float),
            ("high", Float),
        ]);
        let outputs = [("", records), ("reviewers", reviewers), ("statistics", statistics)];
        let outputs = outputs.map(|(port, schema)| (port, PortType::Frame(schema))).to_vec();
        Ok(Checked { outputs, ..Checked::default() })
    }

    fn node(params: Params, _: &Making<'_>) -> Result<Box<dyn Node>, NodeError> {
        Ok(Box::new(AgreementNode { params }))
    }
}

struct AgreementNode {
    params: Params,
}

/// Votes with numbers in place of names.
struct Votes {
    records: Vec<String>,
    reviewers: Vec<String>,
    classes: Vec<String>,
    /// Reviewer and class of each vote on each record, by reviewer.
    votes: Vec<Vec<(u32, u32)>>,
    /// Records x classes.
    probabilities: Vec<f64>,
    /// Votes for what is no category, or on records that are no more.
    left_out: usize,
}

impl Votes {
    fn read(input: &DataFrame, probabilities: &DataFrame) -> Result<Votes, NodeError> {
        let columns: Vec<&Column> =
            probabilities.columns().iter().filter(|c| c.name() != "record_id").collect();
        let classes: Vec<String> = columns.iter().map(|c| c.name().to_string()).collect();
        let class_of: HashMap<&str, u32> =
            classes.iter().enumerate().map(|(n, name)| (name.as_str(), n as u32)).collect();
        let ids = strings(input, "record_id")?;
        let voted: PlHashSet<&str> = ids.iter().flatten().collect();
        let row_of = rows_of(strings(probabilities, "record_id")?, &voted);
        let by = strings(input, "reviewed_by")?;
        let labels = strings(input, "label")?;
        let reviewers: BTreeSet<&str> = by.iter().flatten().collect();
        let reviewers: Vec<&str> = reviewers.into_iter().collect();
        let mut found: BTreeMap<&str, BTreeMap<u32, u32>> = BTreeMap::new();
        let mut left_out = 0;
        for row in 0..input.height() {
            let id = ids.get(row).filter(|id| row_of.contains_key(id));
            let class = labels.get(row).and_then(|label| class_of.get(label));
            let reviewer = by.get(row).and_then(|name| reviewers.binary_search(&name).ok());
            match (id, class, reviewer) {
                (Some(id), Some(class), Some(reviewer)) => {
                    found.entry(id).or_default().insert(reviewer as u32, *class);
                }
                _ => left_out += 1,
            }
        }
        let table: Vec<Vec<f64>> = columns
            .iter()
            .map(|column| floats(probabilities, column.name()))
            .collect::<Result<_, NodeError>>()?;
        let cells = found.keys().flat_map(|id| table.iter().map(|column| column[row_of[id]]));
        Ok(Votes {
            probabilities: cells.collect(),
            records: found.keys().map(|id| (*id).to_owned()).collect(),
            votes: found.into_values().map(|votes| votes.into_iter().collect()).collect(),
            reviewers: reviewers.into_iter().map(str::to_owned).collect(),
            classes,
            left_out,
        })
    }

    fn crowd(&self) -> Crowd<'_> {
        Crowd {
            votes: &self.votes,
            probabilities: &self.probabilities,
            classes: self.classes.len(),
            reviewers: self.reviewers.len(),
        }
    }

    /// Classes alone, of the records with two votes or more.
    fn shared(&self) -> Vec<Vec<u32>> {
        let shared = self.votes.iter().filter(|votes| votes.len() >= 2);
        shared.map(|votes| votes.iter().map(|vote| vote.1).collect()).collect()
    }

    /// What two reviewers said of the records both saw.
    fn pairs(&self, one: u32, other: u32) -> Vec<(u32, u32)> {
        let of = |votes: &[(u32, u32)], wanted: u32| {
            votes.iter().find(|(reviewer, _)| *reviewer == wanted).map(|vote| vote.1)
        };
        self.votes.iter().filter_map(|votes| Some((of(votes, one)?, of(votes, other)?))).collect()
    }
}

impl Node for AgreementNode {
    fn run(&self, _: &RunContext<'_>, inputs: &Inputs) -> Result<Outputs, NodeError> {
        let votes = Votes::read(inputs.frame("input")?, inputs.frame("probabilities")?)?;
        let gold = inputs.try_frame("gold").map(Accuracy::read).transpose()?.unwrap_or_default();
        let shared = votes.shared();
        // Without a record that two have seen there is nothing to weigh, and that is no error.
        let opinion = match shared.is_empty() {
            true => None,
            false => {
                let opinion = votes.crowd().opinion();
                Some(opinion.map_err(|error| NodeError::input(error.to_string()))?)
            }
        };
        let quality = match &opinion {
            Some(_) => reviewer_quality(&votes.crowd(), self.params.seed),
            None => vec![None; votes.reviewers.len()],
        };
        let statistics = self.statistics(&votes, &shared);
        let reviewers = reviewers_frame(&votes, opinion.as_ref(), &quality, &gold)?;
        let mut outputs = Outputs::frame(records_frame(&votes, opinion.as_ref())?)
            .with("reviewers", Artifact::Frame(reviewers))
            .with("statistics", Artifact::Frame(statistics_frame(&statistics)?));
        outputs.count("records seen by two or more", shared.len(), Some(votes.votes.len()));
        if votes.left_out > 0 {
            outputs.count(
                "votes without a category or record here, left out",
                votes.left_out,
                None,
            );
        }
        for (measure, _, value) in statistics.iter().filter(|s| !s.0.starts_with("cohen")) {
            if let Some(value) = value {
                outputs.metric(measure.clone(), value.estimate);
            }
        }
        Ok(outputs)
    }
}

/// Name of a measure, records it rests on, and what it came to.
type Statistic = (String, usize, Option<Interval>);

impl AgreementNode {
    fn statistics(&self, votes: &Votes, shared: &[Vec<u32>]) -> Vec<Statistic> {
        let seed = self.params.seed;
        let mut all = vec![
            ("krippendorff alpha".to_owned(), shared.len(), bootstrap(shared, seed, krippendorff)),
            ("fleiss kappa".to_owned(), shared.len(), bootstrap(shared, seed, fleiss)),
        ];
        for (one, name) in votes.reviewers.iter().enumerate() {
            for (other, other_name) in votes.reviewers.iter().enumerate().skip(one + 1) {
                let pairs = votes.pairs(one as u32, other as u32);
                if !pairs.is_empty() {
                    let kappa = bootstrap(&pairs, seed, cohen);
                    all.push((
                        format!("cohen kappa of {name} and {other_name}"),
                        pairs.len(),
                        kappa,
                    ));
                }
            }
        }
        all
    }
}

fn records_frame(votes: &Votes, opinion: Option<&Opinion>) -> Result<DataFrame, NodeError> {
    let rows = opinion.map(|opinion| opinion.rows.as_slice()).unwrap_or_default();
    let numbers = |name: &str, get: fn(&label_issues::Consensus) -> f64| {
        Column::new(name.into(), rows.iter().map(get).collect::<Vec<f64>>())
    };
    let counts: Vec<i64> = votes.votes[..rows.len()].iter().map(|v| v.len() as i64).collect();
    crate::columns::frame(vec![
        string_column("record_id", votes.records[..rows.len()].iter().map(|id| Some(id.as_str()))),
        Column::new("votes".into(), counts),
        string_column(
            "consensus_label",
            rows.iter().map(|row| Some(votes.classes[row.class as usize].as_str())),
        ),
        numbers("consensus_quality", |row| row.quality),
        numbers("agreement", |row| row.agreement),
    ])
}

fn reviewers_frame(
    votes: &Votes,
    opinion: Option<&Opinion>,
    quality: &[Option<Interval>],
    gold: &Accuracy,
) -> Result<DataFrame, NodeError> {
    // An answer to a gold row is a vote too, so whoever gave one is among the reviewers.
    let names = &votes.reviewers;
    let of_all = |name: &str, get: &dyn Fn(usize) -> Option<f64>| {
        Column::new(name.into(), (0..names.len()).map(get).collect::<Vec<Option<f64>>>())
    };
    let seen = |n: usize| opinion.map(|opinion| &opinion.reviewers[n]);
    let share = |n: usize| gold.reviewers.get(&names[n]).copied().unwrap_or_default();
    let counts: Vec<i64> = (0..names.len())
        .map(|n| votes.votes.iter().flatten().filter(|vote| vote.0 as usize == n).count() as i64)
        .collect();
    let rows: Vec<i64> = (0..names.len()).map(|n| share(n).count as i64).collect();
    let gold = |n: usize| share(n).interval();
    crate::columns::frame(vec![
        string_column("reviewed_by", names.iter().map(|name| Some(name.as_str()))),
        Column::new("votes".into(), counts),
        of_all("quality", &|n| seen(n).and_then(|one| one.quality)),
        of_all("quality_low", &|n| quality[n].map(|interval| interval.low)),
        of_all("quality_high", &|n| quality[n].map(|interval| interval.high)),
        of_all("agreement", &|n| seen(n).and_then(|one| one.agreement)),
        of_all("weight", &|n| seen(n).map(|one| one.weight)),
        Column::new("gold_rows".into(), rows),
        of_all("gold_accuracy", &|n| gold(n).map(|interval| interval.estimate)),
        of_all("gold_low", &|n| gold(n).map(|interval| interval.low)),
        of_all("gold_high", &|n| gold(n).map(|interval| interval.high)),
    ])
}

fn statistics_frame(statistics: &[Statistic]) -> Result<DataFrame, NodeError> {
    let numbers = |name: &str, get: fn(&Interval) -> f64| {
        let values = statistics.iter().map(|one| one.2.as_ref().map(get));
        Column::new(name.into(), values.collect::<Vec<Option<f64>>>())
    };
    let records: Vec<i64> = statistics.iter().map(|one| one.1 as i64).collect();
    crate::columns::frame(vec![
        string_column("measure", statistics.iter().map(|one| Some(one.0.as_str()))),
        Column::new("records".into(), records),
        numbers("estimate", |interval| interval.estimate),
        numbers("low", |interval| interval.low),
        numbers("high", |interval| interval.high),
    ])
}

//! CROWDLAB against cleanlab's answers on random votes, kept in a fixture, and bad input.

use label_issues::{Crowd, Error};
use serde_json::Value;

use crate::support::assert_close;

struct Case {
    classes: usize,
    reviewers: usize,
    votes: Vec<Vec<(u32, u32)>>,
    probabilities: Vec<f64>,
    value: Value,
}

impl Case {
    fn crowd(&self) -> Crowd<'_> {
        let Case { classes, reviewers, votes, probabilities, .. } = self;
        Crowd { votes, probabilities, classes: *classes, reviewers: *reviewers }
    }

    fn numbers(&self, name: &str) -> Vec<f64> {
        numbers(&self.value[name])
    }
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

fn cases() -> Vec<Case> {
    let text = include_str!("../fixtures/crowdlab.json");
    let file: Value = serde_json::from_str(text).unwrap();
    let case = |value: &Value| {
        let number = |value: &Value| u32::try_from(value.as_u64().unwrap()).unwrap();
        let row = |row: &Value| {
            row.as_array().unwrap().iter().map(|v| (number(&v[0]), number(&v[1]))).collect()
        };
        Case {
            classes: number(&value["classes"]) as usize,
            reviewers: number(&value["reviewers"]) as usize,
            votes: value["votes"].as_array().unwrap().iter().map(row).collect(),
            probabilities: numbers(&value["probabilities"]),
            value: value.clone(),
        }
    };
    file["cases"].as_array().unwrap().iter().map(case).collect()
}

#[test]
fn as_cleanlab_says() {
    let cases = cases();
    assert!(cases.len() >= 4);
    for case in &cases {
        let opinion = case.crowd().opinion().unwrap();
        let consensus: Vec<f64> = opinion.rows.iter().map(|row| f64::from(row.class)).collect();
        assert_eq!(consensus, case.numbers("consensus"));
        let of_rows = |get: fn(&label_issues::Consensus) -> f64| -> Vec<f64> {
            opinion.rows.iter().map(get).collect()
        };
        assert_close(&of_rows(|row| row.quality), &case.numbers("quality"), 1e-9, "quality");
        assert_close(&of_rows(|row| row.agreement), &case.numbers("agreement"), 1e-9, "agreement");
        let of_reviewers = |get: fn(&label_issues::Reviewer) -> f64| -> Vec<f64> {
            opinion.reviewers.iter().map(get).collect()
        };
        let quality = of_reviewers(|one| one.quality.unwrap());
        assert_close(&quality, &case.numbers("reviewer_quality"), 1e-9, "reviewer quality");
        let agreement = of_reviewers(|one| one.agreement.unwrap());
        assert_close(&agreement, &case.numbers("reviewer_agreement"), 1e-9, "reviewer agreement");
        assert_close(&of_reviewers(|one| one.weight), &case.numbers("weights"), 1e-9, "weights");
        let model = [case.value["model_weight"].as_f64().unwrap()];
        assert_close(&[opinion.model_weight], &model, 1e-9, "model weight");
    }
}

#[test]
fn the_order_of_votes_changes_nothing() {
    for mut case in cases() {
        let before = case.crowd().opinion().unwrap().rows;
        case.votes.iter_mut().for_each(|votes| votes.reverse());
        for (one, other) in before.iter().zip(case.crowd().opinion().unwrap().rows) {
            assert_eq!(one.class, other.class);
            assert!((one.quality - other.quality).abs() < 1e-12);
        }
    }
}

#[test]
fn what_cannot_be_weighed() {
    let probabilities = [0.5, 0.5, 0.9, 0.1];
    let opinion = |votes: &[Vec<(u32, u32)>]| {
        let crowd = Crowd { votes, probabilities: &probabilities, classes: 2, reviewers: 2 };
        crowd.opinion().map(|_| ()).unwrap_err()
    };
    assert!(matches!(opinion(&[vec![(0, 1)], vec![(1, 1)]]), Error::NoOverlap));
    assert!(matches!(opinion(&[vec![(0, 1), (1, 0)], vec![]]), Error::NoVotes { row: 1 }));
    assert!(matches!(
        opinion(&[vec![(0, 1)], vec![(0, 0), (5, 0)]]),
        Error::NoSuchReviewer { row: 1, reviewer: 5, reviewers: 2 }
    ));
    assert!(matches!(
        opinion(&[vec![(0, 2)], vec![(0, 0)]]),
        Error::LabelOutOfRange { row: 0, .. }
    ));
    assert!(matches!(opinion(&[vec![(0, 1), (1, 0)]]), Error::Ragged { .. }));
}

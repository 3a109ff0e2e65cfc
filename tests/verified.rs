//! `verified_weight` of `predict`: what reviewers have looked at counts more while folds learn.

use serde_json::Value;

use crate::support::Sandbox;
use crate::support::rows::text;

const PLAIN: &str = "classifier: {plugin: linear}}";

#[test]
fn a_weight_moves_what_is_learnt_once_there_are_decisions() {
    let sandbox = Sandbox::audit();
    sandbox.run(&[]);
    let first = sandbox.frame("oof.probabilities", &[]);
    let weighted = "classifier: {plugin: linear}, verified_weight: 20}";
    sandbox.edit("relabel.yaml", PLAIN, weighted);
    sandbox.run(&[]);
    assert_eq!(sandbox.frame("oof.probabilities", &[]), first, "nothing is verified yet");

    let mut csv = "record_id,review_decision,reviewed_by,reviewed_at\n".to_owned();
    for item in sandbox.frame("queue", &[]) {
        csv.push_str(&format!("{},accept,ann,2025-03-01T10:00:00Z\n", text(&item, "record_id")));
    }
    sandbox.write("decisions.csv", csv);
    sandbox.relabel(&["review", "import", "decisions.csv"]).ok();
    sandbox.run(&[]);
    let heavy = sandbox.frame("oof.probabilities", &[]);
    sandbox.edit("relabel.yaml", weighted, PLAIN);
    sandbox.run(&[]);
    assert_ne!(sandbox.frame("oof.probabilities", &[]), heavy);
    sandbox.edit("relabel.yaml", PLAIN, weighted);
    assert!(sandbox.run(&[]).units("run").iter().all(|unit| unit == "queue"), "in the cache");
}

#[test]
fn a_weight_that_cannot_be_is_told_before_anything_runs() {
    let check = |weight: &str, input: &str| {
        let sandbox = Sandbox::audit();
        let to = format!("classifier: {{plugin: linear}}, verified_weight: {weight}}}");
        sandbox.edit("relabel.yaml", PLAIN, &to);
        sandbox.edit("relabel.yaml", "input: current, k:", &format!("input: {input}, k:"));
        sandbox.relabel(&["check"]).code(2)
    };
    check("0", "current").says(&["must lie between 0.01 and 1000", "relabel.yaml:11:"]);
    check("much", "current").says(&["`verified_weight`", "relabel.yaml:11:"]);
    check("3", "valid").says(&["no column `label_source`", "put a `clean` node before this one"]);
}

/// Ids and `given - predicted` confidence of a frame's rows, the most suspicious first.
fn by_margin(rows: &[Value]) -> Vec<String> {
    let number = |row: &Value, name: &str| row[name].as_f64().unwrap();
    let margin =
        |row: &Value| number(row, "given_confidence") - number(row, "prediction_confidence");
    let mut rows: Vec<(f64, &str)> =
        rows.iter().map(|r| (margin(r), text(r, "record_id"))).collect();
    rows.sort_by(|a, b| a.partial_cmp(b).unwrap());
    rows.into_iter().map(|(_, id)| id.to_owned()).collect()
}

fn accept(sandbox: &Sandbox, queue: &[Value]) {
    let mut csv = "record_id,review_decision,reviewed_by,reviewed_at\n".to_owned();
    for item in queue {
        csv.push_str(&format!("{},accept,ann,2025-03-01T10:00:00Z\n", text(item, "record_id")));
    }
    sandbox.write("decisions.csv", csv);
    sandbox.relabel(&["review", "import", "decisions.csv"]).ok();
}

#[test]
fn each_run_is_the_next_round_of_the_best_that_nobody_verified() {
    let sandbox = Sandbox::audit();
    let queue = "store: 'sqlite:relabel.db'}\n  cleaned";
    sandbox.edit("relabel.yaml", queue, &queue.replace('}', ", budget: 6}"));
    let mut seen: Vec<String> = Vec::new();
    for round in 0..3 {
        sandbox.run(&[]);
        let mut wanted = by_margin(&sandbox.frame("suspicious", &[]));
        wanted.retain(|id| !seen.contains(id));
        wanted.truncate(6);
        let queue = sandbox.frame("queue", &[]);
        let queued: Vec<String> =
            queue.iter().map(|item| text(item, "record_id").to_owned()).collect();
        assert_eq!(queued, wanted, "round {round}");
        assert!(round > 1 || queued.len() == 6, "round {round}");
        accept(&sandbox, &queue);
        seen.extend(queued);
    }
    assert!(seen.len() > 12, "{seen:?}");
}

#[test]
fn verified_labels_tune_the_thresholds_of_confident_learning() {
    let sandbox = Sandbox::audit();
    sandbox.edit("relabel.yaml", "  queue:", "  issues: {kind: issues, input: oof}\n  queue:");
    sandbox.run(&[]);
    accept(&sandbox, &sandbox.frame("queue", &[]));
    sandbox.run(&[]);
    let (oof, chances) = (sandbox.frame("oof", &[]), sandbox.frame("oof.probabilities", &[]));
    let mut moved = 0;
    for class in sandbox.frame("issues.classes", &[]) {
        let name = text(&class, "category");
        let mean = |label: &str| {
            let rows = oof.iter().zip(&chances).filter(|(row, _)| row[label] == name);
            let values: Vec<f64> =
                rows.map(|(_, chances)| chances[name].as_f64().unwrap()).collect();
            values.iter().sum::<f64>() / values.len() as f64
        };
        let threshold = class["threshold"].as_f64().unwrap();
        assert!((threshold - mean("given_label")).abs() < 1e-5, "{class}");
        moved += usize::from((threshold - mean("original_label")).abs() > 1e-3);
    }
    assert!(moved > 1, "labels that were corrected move the thresholds");
}

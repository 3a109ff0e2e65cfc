//! `verified_weight` of `predict`: what reviewers have looked at counts more while folds learn.

use serde_json::Value;

use crate::support::Sandbox;

const PLAIN: &str = "classifier: {plugin: linear}}";

fn text<'a>(row: &'a Value, name: &str) -> &'a str {
    row[name].as_str().unwrap_or_default()
}

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

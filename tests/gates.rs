//! Gates: a check of the data or a metric that says no ends the run with exit code 6.

use crate::support::Sandbox;

const PIPELINE: &str = "\
version: 1
nodes:
  records: {kind: source, path: records.csv}
  valid: {kind: validate, input: records, max_rejected: 0.2}
  model: {kind: train, input: valid, classifier: {plugin: majority}}
  scores: {kind: evaluate, model: model, gold: records, require: {accuracy: 0.7}}
";

/// Ten records, one of them with an unusable text; eight of label `a`.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::empty();
    let row = |n: usize| {
        let text = if n == 3 { "?" } else { "a text of some words" };
        format!("r{n},{text} {n},{}\n", if n < 8 { "a" } else { "b" })
    };
    let rows: String = (0..10).map(row).collect();
    sandbox.write("records.csv", format!("record_id,text,label\n{}", rows.replace("? 3", "?")));
    sandbox.write("relabel.yaml", PIPELINE);
    sandbox
}

#[test]
fn too_many_rejected_records_stop_the_run() {
    let sandbox = sandbox();
    let outcome = sandbox.relabel(&["run", "--set", "nodes.valid.max_rejected=0.05"]).code(6);
    outcome.says(&[
        "error: valid: 1 of 10 records are rejected, `max_rejected` says 0.05 of them",
        "hint: run without it, and `relabel show NODE.rejected` lists them with reasons",
        "needs `valid`",
    ]);
    let (events, outcome) = sandbox.run_to_end(&["--set", "nodes.valid.max_rejected=0.05"]);
    outcome.code(6);
    assert_eq!(events.finish()["exit_code"], 6);
    sandbox.relabel(&["run"]).ok();
    let wrong = sandbox.relabel(&["check", "--set", "nodes.valid.max_rejected=3"]).code(2);
    wrong.says(&["max_rejected"]);
}

#[test]
fn a_model_below_its_metric_stops_the_run() {
    let sandbox = sandbox();
    sandbox.run(&[]);
    let outcome = sandbox.relabel(&["run", "--set", "nodes.scores.require.accuracy=0.9"]).code(6);
    outcome.says(&["error: scores: accuracy of `model` is 0.8000, `require` says 0.9"]);
    let outcome = sandbox.relabel(&["run", "--set", "nodes.scores.require.macro_f1=0.9"]).code(6);
    outcome.says(&["error: scores: macro F1 of `model` is 0.4444, `require` says 0.9"]);
}

//! `relabel run`: what it prints, selections, failures.

use insta::assert_snapshot;
use serde_json::Value;

use crate::support::Sandbox;

#[test]
fn json_lines_for_programs() {
    let sandbox = Sandbox::audit();
    let events = sandbox.run(&[]);
    assert_eq!(events.0[0]["event"], "run_started");
    assert_eq!(events.0[0]["schema_version"], 1);
    let finish = events.finish();
    assert_eq!((&finish["schema_version"], &finish["exit_code"]), (&1.into(), &0.into()));
    assert!(finish["run_id"].is_string() && finish["seconds"].is_number());
    assert_eq!(
        finish["units"],
        serde_json::json!({"hit": 0, "run": 14, "failed": 0, "skipped": 0})
    );
    let unit = events.unit("oof[3]");
    assert_eq!((&unit["node"], &unit["fold"]), (&"oof".into(), &3.into()));
    assert_eq!((&unit["state"], &unit["reason"]), (&"run".into(), &"first-run".into()));
    assert!(unit["rows"].is_u64() && unit["seconds"].is_number());
}

#[test]
fn the_four_conditions_say_what_they_let_through() {
    let sandbox = Sandbox::audit();
    let events = sandbox.run(&[]);
    let notes = events.unit("suspicious")["notes"].as_array().unwrap();
    let counts: Vec<(&str, u64, u64)> = notes
        .iter()
        .filter(|note| note["note"] == "count")
        .map(|note| {
            let number = |name: &str| note[name].as_u64().unwrap();
            (note["text"].as_str().unwrap(), number("count"), number("of"))
        })
        .collect();
    assert_eq!(counts.len(), 4, "{notes:?}");
    assert_eq!((counts[0].0, counts[0].2), ("prediction_confidence > 0.5", 300));
    assert_eq!(counts[1].0, "predicted_label != given_label");
    for pair in counts.windows(2) {
        assert_eq!(pair[1].2, pair[0].1, "each condition starts from what the one before left");
    }
    let suspicious = events.unit("suspicious")["rows"].as_u64().unwrap();
    assert_eq!(counts[3].1, suspicious);
    assert!((15..=35).contains(&suspicious), "23 labels are wrong, {suspicious} are suspicious");
}

#[test]
fn a_confidence_that_starves_the_queue_is_warned_of() {
    let sandbox = Sandbox::audit();
    let events = sandbox.run(&["--set", "params.confidence=1"]);
    let warnings = events.warnings("suspicious");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("`prediction_confidence > 1` keeps 0 of"), "{warnings:?}");
    assert_eq!(events.unit("queue")["rows"], 0, "nothing suspicious is a fine result");
    let plain = sandbox.relabel(&["run", "--set", "params.confidence=1"]).ok();
    plain.says(&["warning: ", "add a lane with the rule `adaptive`"]);
}

#[test]
fn plain_lines_where_there_is_no_terminal() {
    let sandbox = Sandbox::audit();
    let set = ["run", "--jobs", "1", "--select", "folds"];
    let outcome = sandbox.relabel(&set).ok();
    assert_snapshot!(outcome.err(), @r"
    run      decided          first run  0 rows  [T] s
             0  decisions in effect
    run      records          first run  300 rows  [T] s
    run      valid            first run  300 rows  [T] s
             300 of 300  texts usable
    run      current          first run  300 rows  [T] s
             0 of 300  labels corrected
             0  labels verified as they are
    run      folds            first run  300 rows  [T] s
    ");
    assert_snapshot!(outcome.out(), @"0 hit, 5 run in [T] s (run [RUN])");
    let outcome = sandbox.relabel(&set).ok();
    assert_snapshot!(outcome.err(), @r"
    hit      decided          0 rows
    hit      records          300 rows
    hit      valid            300 rows
    hit      current          300 rows
    hit      folds            300 rows
    ");
    assert_snapshot!(outcome.out(), @"5 hit, 0 run in [T] s (run [RUN])");
}

#[test]
fn selections() {
    let sandbox = Sandbox::audit();
    let events = sandbox.run(&["--select", "valid"]);
    assert_eq!(events.units("run"), ["records", "valid"]);
    let events = sandbox.run(&["--select", "kind:export", "--force", "val*"]);
    assert_eq!(events.units("run"), ["cleaned", "current", "decided", "valid"]);
    assert_eq!(events.reason("valid"), "forced");
    let events = sandbox.run(&["--select", "folds+", "--force", "kind:kfold"]);
    assert_eq!(events.reason("folds"), "forced");
    assert_eq!(events.units("hit"), ["current", "decided", "records", "valid"]);
    let outcome = sandbox.relabel(&["run", "--select", "fold"]).code(2);
    outcome.says(&["selector `fold` selects no node", "did you mean `folds`?"]);
}

#[test]
fn what_depends_on_a_failure_is_skipped_and_the_code_is_1() {
    let sandbox = Sandbox::audit();
    sandbox.write("gold.csv", "record_id,text,label\na,one,x\na,two,y\n");
    let text = sandbox.read("relabel.yaml");
    sandbox.write(
        "relabel.yaml",
        format!("{text}  gold: {{kind: source, path: gold.csv}}\n  good: {{kind: validate, input: gold}}\n"),
    );
    let (events, outcome) = sandbox.run_to_end(&["--keep-going"]);
    outcome.code(1);
    assert_eq!(events.finish()["exit_code"], 1);
    assert_eq!(events.units("failed"), ["gold"]);
    assert_eq!(events.units("skipped"), ["good"]);
    assert_eq!(events.unit("good")["message"], "needs `gold`");
    assert_eq!(events.units("run").len(), 14, "the other branch goes on");

    let (events, _) = sandbox.run_to_end(&[]);
    assert_eq!(events.reason("gold"), "previous-failed");
    sandbox.write("gold.csv", "record_id,text,label\na,one,x\nb,two,y\n");
    let events = sandbox.run(&[]);
    assert_eq!(events.units("run"), ["gold", "good"]);
}

#[test]
fn set_reaches_any_value_and_wrong_ones_are_told() {
    let sandbox = Sandbox::audit();
    let events = sandbox.run(&["--set", "nodes.folds.k=3", "--set", "nodes.folds.seed=1"]);
    assert_eq!(events.unit("folds")["state"], "run");
    assert_eq!(events.units("run").iter().filter(|unit| unit.starts_with("oof[")).count(), 3);
    let outcome = sandbox.relabel(&["run", "--set", "params.confidenc=1"]).code(2);
    outcome.says(&["there is no `confidenc`", "did you mean `confidence`?"]);
    let outcome = sandbox.relabel(&["run", "--set", "params.confidence"]).code(2);
    outcome.says(&["has no `=`"]);
}

#[test]
fn the_environment_chooses_the_store() {
    let sandbox = Sandbox::audit();
    sandbox.edit(
        "relabel.yaml",
        "'sqlite:relabel.db'",
        "'${env:RELABEL_STORE:-sqlite:relabel.db}'",
    );
    let mut command = sandbox.command(&["run"]);
    command.env("RELABEL_STORE", "sqlite:elsewhere.db");
    sandbox.outcome(command).ok();
    assert!(sandbox.path("elsewhere.db").exists() && !sandbox.path("relabel.db").exists());
}

#[test]
fn the_out_of_fold_frame_has_its_columns() {
    let sandbox = Sandbox::audit();
    sandbox.run(&[]);
    let rows = sandbox.frame("oof", &[]);
    assert_eq!(rows.len(), 300);
    for name in [
        "record_id",
        "original_label",
        "given_label",
        "predicted_label",
        "prediction_confidence",
        "given_confidence",
        "fold_id",
        "audit_run_id",
        "model_version",
        "text",
    ] {
        assert!(rows.iter().all(|row| !row[name].is_null()), "{name} in {}", rows[0]);
    }
    let ids = |rows: &[Value]| rows.iter().map(|row| row["audit_run_id"].to_string()).next();
    assert_eq!(rows[0]["audit_run_id"].as_str().unwrap().len(), 16);
    let probabilities = sandbox.frame("oof.probabilities", &[]);
    for row in &probabilities {
        let sum: f64 = row.as_object().unwrap().values().filter_map(Value::as_f64).sum();
        assert!((sum - 1.0).abs() < 1e-3, "{row}");
    }
    sandbox.run(&["--force", "oof"]);
    assert_eq!(ids(&sandbox.frame("oof", &[])), ids(&rows), "a rerun is the same audit run");
}

#[test]
fn a_selector_of_a_kind_that_is_not_there_lists_each_kind_once() {
    let sandbox = Sandbox::audit();
    let text = sandbox.read("relabel.yaml");
    sandbox.write("relabel.yaml", text + "  again: {kind: validate, input: current}\n");
    let outcome = sandbox.relabel(&["plan", "--select", "kind:xyz"]).code(2);
    assert_eq!(outcome.err().matches("`validate`").count(), 1, "{}", outcome.err());
}

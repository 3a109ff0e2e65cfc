//! `relabel plan`: what a run would do. That it says the same as `run` is in `reruns.rs`.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::Sandbox;

#[test]
fn before_the_first_run() {
    let sandbox = Sandbox::audit();
    assert_snapshot!(sandbox.relabel(&["plan"]).ok().out(), @r"
    run      decided          first run
    run      records          first run
    maybe    valid            waits for a unit that will run
    maybe    current          waits for a unit that will run
    maybe    cleaned          waits for a unit that will run
    maybe    folds            waits for a unit that will run
    maybe    oof[0]           waits for a unit that will run
    maybe    oof[1]           waits for a unit that will run
    maybe    oof[2]           waits for a unit that will run
    maybe    oof[3]           waits for a unit that will run
    maybe    oof[4]           waits for a unit that will run
    maybe    oof              waits for a unit that will run
    maybe    suspicious       waits for a unit that will run
    maybe    queue            waits for a unit that will run
    ");
    assert!(!sandbox.path("out").exists() && !sandbox.path("relabel.db").exists());
}

#[test]
fn after_a_change() {
    let sandbox = Sandbox::audit();
    sandbox.run(&[]);
    assert_snapshot!(sandbox.relabel(&["plan", "--set", "params.folds=4"]).ok().out(), @r"
    hit      decided
    hit      records
    hit      valid
    hit      current
    hit      cleaned
    run      folds            k: 5 -> 4
    maybe    oof[0]           waits for a unit that will run
    maybe    oof[1]           waits for a unit that will run
    maybe    oof[2]           waits for a unit that will run
    maybe    oof[3]           waits for a unit that will run
    maybe    oof              waits for a unit that will run
    maybe    suspicious       waits for a unit that will run
    maybe    queue            waits for a unit that will run
    ");
}

#[test]
fn one_document_for_programs() {
    let sandbox = Sandbox::audit();
    sandbox.run(&["--select", "folds"]);
    let plan = sandbox.relabel(&["plan", "--format", "json"]).ok().json();
    assert_eq!(plan["schema_version"], 1);
    let units = plan["units"].as_array().unwrap();
    assert_eq!(units.len(), 14);
    let unit = |node: &str, fold: Value| {
        units.iter().find(|unit| unit["node"] == node && unit["fold"] == fold).unwrap()
    };
    assert_eq!(unit("folds", Value::Null)["state"], "hit");
    assert_eq!(unit("oof", json!(4))["state"], "run");
    assert_eq!(unit("oof", json!(4))["reason"], "first-run");
    assert_eq!(unit("queue", Value::Null)["state"], "maybe");
}

#[test]
fn a_source_that_is_gone_is_told() {
    let sandbox = Sandbox::audit();
    sandbox.run(&[]);
    std::fs::remove_file(sandbox.path("records.csv")).unwrap();
    sandbox.relabel(&["plan"]).code(2).says(&["cannot read `records.csv`"]);
}

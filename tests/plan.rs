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

/// What cannot be judged is blocked, with why; `run` and `explain` say the same.
#[test]
fn what_needs_a_broken_store_is_blocked() {
    let sandbox = Sandbox::audit();
    sandbox.run(&[]);
    sandbox.write("relabel.db", "no database at all, and longer than its header would be");
    let plan = sandbox.relabel(&["plan", "--format", "json"]).code(3).json();
    let unit = |node: &str| {
        plan["units"].as_array().unwrap().iter().find(|unit| unit["node"] == node).unwrap().clone()
    };
    let why = unit("decided")["reason"].as_str().unwrap().to_owned();
    assert!(why.contains("relabel.db"), "{why}");
    let states =
        ["decided", "current", "queue", "records", "valid"].map(|n| unit(n)["state"].clone());
    assert_eq!(states, ["blocked", "blocked", "blocked", "hit", "hit"].map(Value::from));
    assert_eq!(unit("current")["reason"], "needs `decided`");
    assert_eq!(unit("oof")["reason"], "needs `folds`");
    sandbox.relabel(&["plan", "--exit-code"]).code(3);

    let explained = sandbox.relabel(&["explain", "decided", "--format", "json"]).code(3).json();
    assert_eq!((&explained["state"], &explained["reason"]), (&"blocked".into(), &why.into()));
    let (events, outcome) = sandbox.run_to_end(&["--jobs", "1"]);
    outcome.code(3);
    assert_eq!(events.units("failed"), ["decided"]);
    assert!(events.units("skipped").contains(&"queue".to_owned()), "{events:?}");
}

#[test]
fn of_two_nodes_that_are_alike_one_runs() {
    let sandbox = Sandbox::audit();
    let twins =
        ["one", "two"].map(|name| format!("  {name}: {{kind: validate, input: current}}\n"));
    sandbox.write("relabel.yaml", sandbox.read("relabel.yaml") + &twins.concat());
    sandbox.run(&["--select", "current"]);
    let plan = sandbox.relabel(&["plan", "--select", "one", "--select", "two"]).ok();
    let lines: Vec<&str> = plan.out().lines().rev().take(2).collect();
    assert!(
        lines[1].starts_with("run      one") && lines[0].starts_with("maybe    two"),
        "{lines:?}"
    );
    let events = sandbox.run(&["--select", "one", "--select", "two", "--jobs", "2"]);
    assert_eq!(events.units("run"), ["one"]);
    assert!(events.of("unit_waiting").is_empty(), "a run does not wait for itself: {events:?}");
    assert!(events.units("hit").contains(&"two".to_owned()));
    // Each that is forced runs, and each file that is written to another place is written.
    let plan = sandbox.relabel(&["plan", "--force", "one", "--force", "two"]).ok();
    assert_eq!(plan.out().matches("forced").count(), 2, "{}", plan.out());
    let copies = ["a.csv", "b.csv", "c.csv"].map(|file| {
        format!("  {}: {{kind: export, input: current, path: out/{file}}}\n", &file[..1])
    });
    sandbox.write("relabel.yaml", sandbox.read("relabel.yaml") + &copies.concat());
    sandbox.run(&["--jobs", "3"]);
    assert_eq!(sandbox.read("out/a.csv"), sandbox.read("out/b.csv"));
    assert_eq!(sandbox.read("out/a.csv"), sandbox.read("out/c.csv"));
}

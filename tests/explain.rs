//! `relabel explain`: every fact of a unit's key beside those of the last run.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::Sandbox;

#[track_caller]
fn explained(sandbox: &Sandbox, args: &[&str]) -> Value {
    let args: Vec<&str> = ["explain", "--format", "json"].iter().chain(args).copied().collect();
    sandbox.relabel(&args).ok().json()
}

/// The fact of a name.
#[track_caller]
fn fact<'a>(explained: &'a Value, name: &str) -> &'a Value {
    let facts = explained["facts"].as_array().unwrap();
    facts.iter().find(|fact| fact["name"] == name).unwrap_or_else(|| panic!("{name}: {facts:?}"))
}

#[test]
fn a_hit_has_all_facts_and_they_are_the_same() {
    let sandbox = Sandbox::audit();
    sandbox.run(&[]);
    let unit = explained(&sandbox, &["oof[2]"]);
    assert_eq!((&unit["state"], &unit["fold"]), (&json!("hit"), &json!(2)));
    assert_eq!(unit["key"], unit["last_key"]);
    let facts = unit["facts"].as_array().unwrap();
    assert!(facts.len() > 10 && facts.iter().all(|fact| fact["state"] == "same"), "{unit}");
    assert_eq!(fact(&unit, "plugin:name")["new"], "linear 0.1.0");
    assert_eq!(fact(&unit, "input:input")["from"], "folds");
    // The key that is explained is the one that the run recorded.
    let run = sandbox.relabel(&["runs", "show", "--format", "json"]).ok().json();
    let units = run["units"].as_array().unwrap();
    let recorded = units.iter().find(|u| u["node"] == "oof" && u["fold"] == 2).unwrap();
    assert_eq!(recorded["key"], unit["key"]);
}

#[test]
fn a_change_is_shown_with_both_values() {
    let sandbox = Sandbox::audit();
    sandbox.run(&[]);
    let text = sandbox.relabel(&["explain", "folds", "--set", "params.folds=4"]).ok();
    assert_snapshot!(text.out(), @r"
    run      folds            k: 5 -> 4
    key      [DIGEST]
    last     [DIGEST]

    fact                      state    value
    kind                      same     kfold 2
    unit                      same     whole
    param:k                   changed  5 -> 4
    param:seed                same     42
    param:stratify            same     true
    input:input from current  same     fea4a8f5c710
    ");
}

#[test]
fn it_agrees_with_plan_and_run() {
    let sandbox = Sandbox::audit();
    sandbox.run(&[]);
    sandbox.edit("records.csv", "r0001,", "r0001,another ");
    sandbox.edit("taxonomy.yaml", "technical]", "technical, other]");
    let before: Vec<Value> =
        ["records", "valid", "decided"].iter().map(|n| explained(&sandbox, &[n])).collect();
    let plan = sandbox.relabel(&["plan", "--format", "json"]).ok().json();
    for unit in &before {
        let units = plan["units"].as_array().unwrap();
        let planned = units.iter().find(|p| p["node"] == unit["node"]).unwrap();
        assert_eq!(planned["state"], unit["state"]);
        assert_eq!(planned["detail"], unit["reason"]);
    }
    assert_eq!(before[0]["reason"]["code"], "file-changed");
    assert_eq!(fact(&before[0], "file:records.csv")["state"], "changed");
    assert_eq!(before[1]["state"], "maybe");
    assert_eq!(before[1]["waits_for"], json!(["records"]));
    assert_eq!(before[2]["state"], "hit");

    let events = sandbox.run(&[]);
    assert_eq!(events.reason("records"), "file-changed");
    let after = explained(&sandbox, &["records"]);
    assert_eq!((&after["key"], &after["state"]), (&before[0]["key"], &json!("hit")));
}

#[test]
fn facts_come_and_go() {
    let sandbox = Sandbox::audit();
    sandbox.run(&[]);
    let unit = explained(&sandbox, &["oof[0]", "--set", "nodes.oof.classifier.plugin=naive-bayes"]);
    assert_eq!(unit["reason"]["code"], "plugin-changed");
    assert_eq!(fact(&unit, "param:classifier.params.epochs")["state"], "removed");
    assert_eq!(fact(&unit, "param:classifier.params.alpha")["state"], "added");
    assert_eq!(fact(&unit, "plugin:name")["old"], "linear 0.1.0");
}

#[test]
fn before_the_first_run_and_after_a_failure() {
    let sandbox = Sandbox::audit();
    let unit = explained(&sandbox, &["records"]);
    assert_eq!((&unit["state"], &unit["last_key"]), (&json!("run"), &Value::Null));
    assert!(unit["facts"].as_array().unwrap().iter().all(|fact| fact["state"] == "added"));
    sandbox.relabel(&["explain", "oof"]).ok().says(&["explained alone: oof[0], oof[1]"]);

    sandbox.write("records.csv", "record_id,text,label\na,one,x\na,two,y\n");
    sandbox.run_to_end(&["--select", "records"]).1.code(1);
    let unit = explained(&sandbox, &["records"]);
    assert_eq!(
        (&unit["last_failed"], &unit["reason"]["code"]),
        (&true.into(), &"previous-failed".into())
    );
}

#[test]
fn a_file_that_only_moved_is_the_same() {
    let sandbox = Sandbox::audit();
    sandbox.run(&[]);
    sandbox.write("moved.csv", sandbox.read("records.csv"));
    let unit = explained(&sandbox, &["records", "--set", "nodes.records.path=moved.csv"]);
    assert_eq!(unit["state"], "hit");
    assert!(unit["facts"].as_array().unwrap().iter().all(|fact| fact["state"] == "same"), "{unit}");
}

#[test]
fn what_is_not_there_is_told() {
    let sandbox = Sandbox::audit();
    sandbox
        .relabel(&["explain", "fold"])
        .code(2)
        .says(&["no node `fold`", "did you mean `folds`?"]);
    let outcome = sandbox.relabel(&["explain", "oof[9]"]).code(2);
    outcome.says(&["`oof` has no part `oof[9]`", "parts: `oof[0]`"]);
    sandbox.relabel(&["explain", "oof[choice]"]).code(2);
}

#[test]
fn what_waits_has_all_facts_that_are_known() {
    let sandbox = Sandbox::audit();
    sandbox.run(&[]);
    let args = ["oof[0]", "--set", "params.folds=4", "--set", "nodes.oof.classifier.params.c=0.5"];
    let unit = explained(&sandbox, &args);
    assert_eq!((&unit["state"], &unit["key"]), (&json!("maybe"), &Value::Null));
    assert_eq!(unit["waits_for"], json!(["folds"]));
    let input = fact(&unit, "input:input");
    assert_eq!((&input["state"], &input["from"]), (&json!("waits"), &json!("folds")));
    assert!(input["old"].is_string() && input["new"].is_null(), "{input}");
    let param = fact(&unit, "param:classifier.params.c");
    assert_eq!((&param["state"], &param["new"]), (&json!("changed"), &json!(0.5)));
    assert_eq!(fact(&unit, "plugin:name")["state"], "same");
    // Of several inputs those that are known are compared.
    sandbox.edit("records.csv", "r0001,", "r0001,another ");
    let unit = explained(&sandbox, &["current"]);
    assert_eq!(fact(&unit, "input:input")["state"], "waits");
    assert_eq!(fact(&unit, "input:corrections")["state"], "same");
    let text = sandbox.relabel(&["explain", "current"]).ok();
    for part in ["waits    valid", "input:input from valid", "-> not known yet", "kind  "] {
        assert!(text.out().contains(part), "{part}: {}", text.out());
    }
}

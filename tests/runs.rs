//! `relabel runs`: what has been run here.

use crate::support::{Events, Sandbox};

#[test]
fn listed_newest_first() {
    let sandbox = Sandbox::audit();
    let first = sandbox.run(&[]);
    let second = sandbox.run(&[]);
    let list = sandbox.relabel(&["runs", "list", "--format", "json"]).ok().json();
    let runs = list["runs"].as_array().unwrap();
    assert_eq!(runs[0]["run_id"], second.finish()["run_id"]);
    assert_eq!(runs[1]["run_id"], first.finish()["run_id"]);
    assert_eq!((&runs[0]["pipeline"], &runs[0]["outcome"]), (&"audit".into(), &"done".into()));
    assert_eq!((&runs[0]["units"]["hit"], &runs[1]["units"]["run"]), (&14.into(), &14.into()));
    let text = sandbox.relabel(&["runs", "list", "--limit", "1"]).ok();
    assert_eq!(text.out().lines().count(), 2, "{}", text.out());
}

#[test]
fn one_run_with_its_units() {
    let sandbox = Sandbox::audit();
    sandbox.run(&["--select", "valid"]);
    sandbox.run(&["--select", "valid", "--set", "nodes.valid.text={min_chars: 5}"]);
    let shown = sandbox.relabel(&["runs", "show"]).ok();
    let lines: Vec<&str> = shown.out().lines().filter(|line| !line.contains("[T")).collect();
    assert!(lines.contains(&"pipeline  audit") && lines.contains(&"outcome   done"), "{lines:?}");
    assert!(shown.out().contains("text.min_chars: 3 -> 5"), "{}", shown.out());
}

#[test]
fn the_record_holds_the_resolved_pipeline_and_where_values_came_from() {
    let sandbox = Sandbox::audit();
    let events = sandbox.run(&["--set", "params.confidence=0.6"]);
    let run_id = events.finish()["run_id"].as_str().unwrap();
    let tail = &run_id[run_id.len() - 8..];
    let run = sandbox.relabel(&["runs", "show", tail, "--format", "json"]).ok().json();
    assert_eq!((&run["run_id"], &run["outcome"]), (&run_id.into(), &"done".into()));
    let header = &run["header"];
    assert_eq!(header["resolved"]["nodes"]["folds"]["stratify"], true, "defaults are filled in");
    assert_eq!(header["plugins"][0]["name"], "linear");
    let text = header["origins"].to_string();
    assert!(text.contains("override") && text.contains("\"line\":"), "{text}");
    assert_eq!(run["units"].as_array().unwrap().len(), 14);
    assert!(run["units"].as_array().unwrap().iter().all(|unit| unit["key"].is_string()), "{run}");
}

#[test]
fn a_failed_run_says_what_failed() {
    let sandbox = Sandbox::audit();
    sandbox.write("records.csv", "record_id,text,label\na,one,x\na,two,y\n");
    let (_, outcome) = sandbox.run_to_end(&["--select", "valid", "--jobs", "1"]);
    outcome.code(1);
    let shown = sandbox.relabel(&["runs", "show", "last"]).ok();
    let lines: Vec<&str> = shown.out().lines().collect();
    assert!(lines.contains(&"outcome   failed"), "{lines:?}");
    let starts = |text: &str| lines.iter().any(|line| line.starts_with(text));
    assert!(starts("records  source    failed   first run"), "{lines:?}");
    assert!(starts("valid    validate  skipped  needs `records`"), "{lines:?}");
}

#[test]
fn none_and_unknown_ones() {
    let sandbox = Sandbox::audit();
    let outcome = sandbox.relabel(&["runs", "list"]).ok();
    outcome.says(&["no run is recorded in "]);
    sandbox.relabel(&["runs", "show"]).code(2).says(&["no run `last`"]);
    sandbox.run(&["--select", "valid"]);
    sandbox.run(&["--select", "valid"]);
    sandbox.relabel(&["runs", "show", "ffff"]).code(2).says(&["no run `ffff`"]);
    sandbox.relabel(&["runs", "show", "0"]).code(2).says(&["stands for 2 runs"]);
}

#[test]
fn what_units_used_is_recorded() {
    let sandbox = Sandbox::audit();
    sandbox.run(&["--jobs", "1"]);
    let show = || sandbox.relabel(&["runs", "show", "--format", "json"]).ok().json();
    let first = show();
    for unit in first["units"].as_array().unwrap() {
        assert!(unit["peak_bytes"].as_u64().unwrap() > 1_000_000, "{unit}");
        assert!(unit["cpu_seconds"].as_f64().unwrap() >= 0.0 && unit["cpu_shared"].is_null());
    }
    assert_eq!(first["header"]["tool_version"], env!("CARGO_PKG_VERSION"));
    sandbox.run(&[]);
    let second = show();
    let saved = |unit: &serde_json::Value| unit["saved_seconds"].as_f64().unwrap();
    let units = second["units"].as_array().unwrap();
    let sum: f64 = units.iter().map(saved).sum();
    assert!((sum - second["summary"]["saved_seconds"].as_f64().unwrap()).abs() < 1e-9 && sum > 0.0);
    let text = sandbox.relabel(&["runs", "show", "last~1"]).ok();
    assert!(text.stdout.contains("CPU s") && text.stdout.contains("peak MB"), "{}", text.stdout);
}

#[test]
fn two_runs_side_by_side() {
    let sandbox = Sandbox::audit();
    sandbox.run(&[]);
    let other = [
        "--set",
        "params.confidence=0.2",
        "--set",
        "nodes.oof.classifier.plugin=naive-bayes",
        "--set",
        "nodes.suspicious.where=given_label = 'billing'",
    ];
    sandbox.run(&other);
    let diff = sandbox.relabel(&["runs", "diff", "last~1", "last", "--format", "json"]).ok().json();
    let named = |part: &str, name: &str| {
        let found = diff[part].as_array().unwrap().iter().find(|entry| entry["name"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {}", diff[part])).clone()
    };
    let confidence = named("params", "params.confidence");
    assert_eq!((&confidence["a"], &confidence["b"]), (&0.5.into(), &0.2.into()));
    assert!(
        named("plugins", "linear")["b"].is_null() && named("plugins", "naive-bayes")["a"].is_null()
    );
    assert!(!diff["metrics"].as_array().unwrap().is_empty(), "{diff}");
    let units = diff["units"].as_array().unwrap();
    let unit = |name: &str| units.iter().find(|unit| unit["unit"] == name).unwrap();
    assert_eq!(
        (&unit("valid")["same_key"], &unit("oof[0]")["same_key"]),
        (&true.into(), &false.into())
    );
    assert_eq!(
        (&unit("valid")["a"]["state"], &unit("valid")["b"]["state"]),
        (&"run".into(), &"hit".into())
    );

    let ids = |args: &[&str]| -> Vec<serde_json::Value> {
        let rows = sandbox.frame("suspicious", args);
        let mut ids: Vec<serde_json::Value> = rows.iter().map(|r| r["record_id"].clone()).collect();
        ids.sort_by_key(ToString::to_string);
        ids
    };
    let (a, b) = (ids(&[]), ids(&other));
    let flagged = &diff["flagged"][0];
    assert_eq!((&flagged["a"], &flagged["b"]), (&a.len().into(), &b.len().into()));
    let only = |these: &[serde_json::Value], those: &[serde_json::Value]| {
        serde_json::Value::from_iter(these.iter().filter(|id| !those.contains(id)).cloned())
    };
    assert_eq!(flagged["newly"], only(&b, &a));
    assert_eq!(flagged["no_longer"], only(&a, &b));
    assert_ne!(a, b, "the test is of no use otherwise");

    let text = sandbox.relabel(&["runs", "diff", "last~1"]).ok();
    for part in
        ["params.confidence: 0.5000 -> 0.2000", "naive-bayes: none ->", "flagged by suspicious"]
    {
        assert!(text.stdout.contains(part), "{part} is not in\n{}", text.stdout);
    }
}

#[test]
fn what_gc_took_cannot_be_compared_and_says_so() {
    let sandbox = Sandbox::audit();
    sandbox.run(&[]);
    sandbox.run(&["--set", "params.folds=4"]);
    sandbox.relabel(&["cache", "gc", "--keep-runs", "1"]).ok();
    let text = sandbox.relabel(&["runs", "diff", "last~1", "last"]).ok();
    let wanted = "cannot be compared: earlier run: its result is no longer in the cache";
    assert!(text.stdout.contains(wanted), "{}", text.stdout);
    sandbox.relabel(&["runs", "diff", "last~7", "last"]).code(2).says(&["no run `last~7`"]);
}

#[test]
fn a_run_that_cannot_be_read_is_listed_and_passed_over() {
    let sandbox = Sandbox::audit();
    let first = sandbox.run(&["--select", "valid"]);
    let second = sandbox.run(&["--select", "valid"]);
    let id = |events: &Events| events.finish()["run_id"].as_str().unwrap().to_owned();
    sandbox.write(&format!(".relabel/runs-v1/{}/run.json", id(&second)), "{\"pipel");
    let list = sandbox.relabel(&["runs", "list", "--format", "json"]).ok().json();
    assert_eq!(list["runs"][0]["run_id"], id(&second));
    assert_eq!(list["runs"][0]["outcome"], "unreadable");
    assert_eq!(list["runs"][1]["outcome"], "done");
    assert!(sandbox.relabel(&["runs", "list"]).ok().out().contains("unreadable"));
    let shown = sandbox.relabel(&["runs", "show", "--format", "json"]).ok();
    assert_eq!(shown.json()["run_id"], id(&first));
    assert!(shown.stderr.contains(&format!("warning: run {} is passed", id(&second))));
    sandbox.relabel(&["runs", "show", &id(&second)]).code(3);
}

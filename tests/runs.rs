//! `relabel runs`: what has been run here.

use crate::support::Sandbox;

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

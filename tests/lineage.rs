//! `relabel run --lineage`: OpenLineage events of what was read and written.

use serde_json::{Value, json};

use crate::support::Sandbox;

fn events(sandbox: &Sandbox) -> Vec<Value> {
    sandbox.read("lineage.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of<'a>(events: &'a [Value], job: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["job"]["name"] == job).collect()
}

/// The required parts of a `RunEvent`, as the specification 2-0-2 has them.
#[track_caller]
fn check_form(event: &Value) {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    assert!(["START", "COMPLETE", "FAIL", "ABORT"].contains(&text("/eventType")), "{event}");
    assert!(text("/eventTime").len() >= 20 && text("/eventTime").ends_with('Z'), "{event}");
    let id = text("/run/runId");
    assert!(id.len() == 36 && id.matches('-').count() == 4, "{event}");
    assert!(!text("/job/namespace").is_empty() && text("/producer").starts_with("https://"));
    assert!(text("/schemaURL").starts_with("https://openlineage.io/spec/2-0-2/"), "{event}");
    for dataset in ["inputs", "outputs"].iter().flat_map(|s| event[*s].as_array().unwrap()) {
        assert!(dataset["namespace"].is_string() && dataset["name"].is_string(), "{event}");
    }
    for facet in event["run"]["facets"].as_object().unwrap().values() {
        assert!(facet["_producer"].is_string() && facet["_schemaURL"].is_string(), "{event}");
    }
}

#[test]
fn a_run_tells_what_it_read_and_wrote() {
    let sandbox = Sandbox::audit();
    let finish = sandbox.run(&["--lineage", "lineage.jsonl"]).finish().clone();
    let all = events(&sandbox);
    all.iter().for_each(check_form);
    let pipeline = of(&all, "audit");
    let types: Vec<&Value> = pipeline.iter().map(|event| &event["eventType"]).collect();
    assert_eq!(types, [&json!("START"), &json!("COMPLETE")]);
    assert!(pipeline.iter().all(|event| event["run"]["runId"] == finish["run_id"]));
    let names = |event: &Value, side: &str| -> Vec<String> {
        let datasets = event[side].as_array().unwrap().iter();
        datasets.map(|d| d["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        names(pipeline[1], "inputs"),
        ["ledger", &sandbox.path("records.csv").to_string_lossy()]
    );
    let cleaned = sandbox.path("out/cleaned.csv");
    assert_eq!(names(pipeline[1], "outputs"), [&*cleaned.to_string_lossy(), "audit/queue"]);

    // A node in folds is one job that starts once and completes once.
    let oof = of(&all, "audit.oof");
    assert_eq!(oof.len(), 2, "{oof:?}");
    assert_eq!(oof[0]["run"]["runId"], oof[1]["run"]["runId"]);
    assert_eq!(oof[1]["run"]["facets"]["parent"]["run"]["runId"], finish["run_id"]);
    assert_eq!(names(oof[1], "inputs"), ["audit.folds"]);
    assert_eq!(names(oof[1], "outputs"), ["audit.oof"]);
    assert_eq!(oof[1]["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"], 300);

    // What is in the cache was not run: the pipeline's own events are added, and no others.
    sandbox.run(&["--lineage", "lineage.jsonl"]);
    assert_eq!(events(&sandbox).len(), all.len() + 2);
}

#[test]
fn a_failure_is_told() {
    let sandbox = Sandbox::audit();
    sandbox.write("records.csv", "record_id,text,label\na,one,x\na,two,y\n");
    sandbox.run_to_end(&["--lineage", "lineage.jsonl"]).1.code(1);
    let all = events(&sandbox);
    all.iter().for_each(check_form);
    let last = of(&all, "audit")[1];
    assert_eq!(last["eventType"], "FAIL");
    let message = last["run"]["facets"]["errorMessage"]["message"].as_str().unwrap();
    assert!(message.starts_with("records: ") && message.contains("used twice"), "{message}");
    assert_eq!(of(&all, "audit.records")[1]["eventType"], "FAIL");
}

#[test]
fn a_file_that_cannot_be_written_is_told_before_anything_runs() {
    let sandbox = Sandbox::audit();
    let outcome = sandbox.relabel(&["run", "--lineage", "no/such/folder.jsonl"]).code(3);
    outcome.says(&["cannot write lineage to `no/such/folder.jsonl`"]);
    assert!(!sandbox.path(".relabel").exists());
}

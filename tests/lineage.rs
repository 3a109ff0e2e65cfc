//! `relabel run --lineage`: OpenLineage events of what was read and written.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::crash::{interrupt, slow, wait_for};
use crate::support::data::CATEGORIES;
use crate::support::{Sandbox, records, repository};

fn events(sandbox: &Sandbox) -> Vec<Value> {
    sandbox.read("lineage.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of<'a>(events: &'a [Value], job: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["job"]["name"] == job).collect()
}

/// The official schemas of events and of the facets that are used; see the folder's README.
struct Schemas(Vec<(String, Value)>);

impl Schemas {
    fn read() -> Schemas {
        let folder = repository().join("tests/fixtures/openlineage");
        let schema = |name: &str| {
            let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
            let schema: Value = serde_json::from_str(&text).unwrap();
            (schema["$id"].as_str().unwrap().to_owned(), schema)
        };
        let facets =
            ["ParentRunFacet", "ErrorMessageRunFacet", "OutputStatisticsOutputDatasetFacet"];
        Schemas(["OpenLineage"].iter().chain(&facets).map(|name| schema(name)).collect())
    }

    #[track_caller]
    fn check(&self, id: &str, document: &Value) {
        let mut registry = jsonschema::Registry::new();
        for (id, schema) in &self.0 {
            registry = registry.add(id, schema).unwrap();
        }
        let registry = registry.prepare().unwrap();
        let (_, schema) = self.0.iter().find(|(known, _)| known == id).expect("a known schema");
        let options = jsonschema::options().with_registry(&registry).should_validate_formats(true);
        let validator = options.build(schema).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(document)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert_eq!(errors, [""; 0], "{document:#}");
    }

    /// The event, and each of its facets against the schema that it names.
    #[track_caller]
    fn check_event(&self, event: &Value) {
        self.check("https://openlineage.io/spec/2-0-2/OpenLineage.json", event);
        assert_eq!(
            event["schemaURL"],
            "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
        );
        let mut facets = vec![&event["run"]["facets"]];
        for side in ["inputs", "outputs"] {
            for dataset in event[side].as_array().unwrap() {
                facets.extend(dataset.get("outputFacets"));
            }
        }
        for (name, facet) in facets.into_iter().flat_map(|facets| facets.as_object().unwrap()) {
            let id = facet["_schemaURL"].as_str().unwrap().split('#').next().unwrap();
            self.check(id, &json!({ name: facet }));
        }
    }
}

/// Every event of a file, checked.
#[track_caller]
fn checked(sandbox: &Sandbox) -> Vec<Value> {
    let (schemas, all) = (Schemas::read(), events(sandbox));
    all.iter().for_each(|event| schemas.check_event(event));
    all
}

#[test]
fn the_schemas_refuse_what_is_wrong() {
    let sandbox = Sandbox::audit();
    sandbox.run(&["--lineage", "lineage.jsonl"]);
    let schemas = Schemas::read();
    let good = events(&sandbox).pop().unwrap();
    schemas.check_event(&good);
    for (pointer, bad) in [
        ("/run/runId", json!("7")),
        ("/eventTime", json!("yesterday")),
        ("/eventType", json!("DONE")),
        ("/job/name", json!(null)),
    ] {
        let mut event = good.clone();
        *event.pointer_mut(pointer).unwrap() = bad;
        let check = std::panic::AssertUnwindSafe(|| schemas.check_event(&event));
        assert!(std::panic::catch_unwind(check).is_err(), "{pointer}");
    }
}

#[test]
fn a_run_tells_what_it_read_and_wrote() {
    let sandbox = Sandbox::audit();
    let finish = sandbox.run(&["--lineage", "lineage.jsonl"]).finish().clone();
    let all = checked(&sandbox);
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
    let all = checked(&sandbox);
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

/// Every job that starts ends once, with Ctrl-C and with several folds that fail.
#[test]
fn what_started_ends_once() {
    let sandbox = slow();
    let args = ["run", "--lineage", "lineage.jsonl", "--jobs", "1"];
    let mut child = sandbox.command(&args).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    wait_for(&mut lines, |line| line.starts_with("run      oof[0]"));
    interrupt(&child);
    lines.for_each(drop);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let all = checked(&sandbox);
    let types = |job: &str| -> Vec<String> {
        of(&all, job).iter().map(|e| e["eventType"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(types("audit.folds"), ["START", "COMPLETE"]);
    assert_eq!(
        (types("audit.oof"), types("audit")),
        (
            ["START", "ABORT"].map(String::from).to_vec(),
            ["START", "ABORT"].map(String::from).to_vec()
        )
    );

    std::fs::remove_file(sandbox.path("lineage.jsonl")).unwrap();
    let late = ["--set", "nodes.oof.timeout_seconds=0.05", "--keep-going"];
    sandbox.run_to_end(&[&["--lineage", "lineage.jsonl"], &late[..]].concat()).1.code(1);
    let all = checked(&sandbox);
    let oof: Vec<&Value> = of(&all, "audit.oof").iter().map(|e| &e["eventType"]).collect();
    assert_eq!(oof, [&json!("START"), &json!("FAIL")]);
}

#[test]
fn files_of_scores_and_pages_are_data_sets() {
    let sandbox = Sandbox::audit();
    let scores = records(300, 7)
        .iter()
        .fold(format!("record_id,{}\n", CATEGORIES.join(",")), |text, record| {
            text + &format!("{},0.4,0.2,0.2,0.2\n", record.id)
        });
    sandbox.write("scores.csv", scores);
    let more = "  brought: {kind: predict, input: valid, probabilities: scores.csv}\n  \
                issues: {kind: issues, input: brought}\n  \
                page: {kind: report, input: issues, path: out/page.html}\n";
    sandbox.write("relabel.yaml", sandbox.read("relabel.yaml") + more);
    sandbox.run(&["--lineage", "lineage.jsonl"]);
    let all = checked(&sandbox);
    let last = of(&all, "audit")[1];
    let has = |side: &str, file: &str| {
        let name = json!(sandbox.path(file).to_string_lossy());
        last[side].as_array().unwrap().iter().any(|dataset| dataset["name"] == name)
    };
    assert!(has("inputs", "scores.csv") && has("outputs", "out/page.html"), "{last:#}");
    assert!(!has("inputs", "out/page.html") && has("inputs", "records.csv"));
}

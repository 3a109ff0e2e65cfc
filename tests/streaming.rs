//! Probabilities that are large enough to stay in the cache while `issues` walks over them.

use std::path::PathBuf;

use serde_json::Value;

use crate::crash::{files_below, flip_a_bit};
use crate::support::Sandbox;

const PIPELINE: &str = "version: 1
nodes:
  records: {kind: source, path: records.csv}
  valid: {kind: validate, input: records, text: {min_chars: 1}}
  folds: {kind: kfold, input: valid, k: 2}
  oof: {kind: predict, input: folds, classifier: {plugin: naive-bayes}}
  issues: {kind: issues, input: oof, filter_by: prune_by_noise_rate}
";
const LABELS: [&str; 8] = ["alpha", "bravo", "delta", "hotel", "kilo", "lima", "oscar", "tango"];
/// With eight columns of probabilities, more than the 1 MB from which on columns are kept apart.
const ROWS: usize = 110_000;

/// Texts of a word of their label; one label in eleven is drawn anew.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::empty();
    let row = |n: usize| {
        let (truth, wrong) = (LABELS[n % 8], n.is_multiple_of(11));
        let label = if wrong { LABELS[n / 11 % 8] } else { truth };
        format!("r{n:06},about {truth} and number {},{label}\n", n % 13)
    };
    let rows: String = (0..ROWS).map(row).collect();
    sandbox.write("records.csv", format!("record_id,text,label\n{rows}"));
    sandbox.write("relabel.yaml", PIPELINE);
    sandbox
}

/// Where the columns of a port are kept that has several files.
fn columns_of(sandbox: &Sandbox, port: &str) -> Vec<PathBuf> {
    for path in files_below(&sandbox.path(".relabel/records-v3")) {
        let record: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let outputs = record["outputs"].as_array().unwrap();
        if let Some(output) = outputs.iter().find(|output| output["port"] == port) {
            let blobs = output["blobs"].as_array().unwrap().iter();
            let names = blobs.map(|blob| blob["blob"].as_str().unwrap().to_owned());
            let objects = sandbox.path(".relabel/objects-v1");
            return names.map(|name| objects.join(&name[..2]).join(&name[2..])).collect();
        }
    }
    Vec::new()
}

#[test]
fn issues_of_kept_probabilities_are_those_of_probabilities_in_memory() {
    let other = ["--set", "nodes.issues.filter_by=both"];
    let kept = sandbox();
    kept.run(&[]);
    // Here the probabilities come from the cache, and there from the node before.
    let events = kept.run(&other);
    assert_eq!(events.units("run"), ["issues"]);
    let fresh = sandbox();
    fresh.run(&other);
    let issues = kept.frame("issues", &other);
    assert!(issues.iter().any(|row| row["is_label_issue"] == true));
    assert_eq!(issues, fresh.frame("issues", &other));

    // A damaged column is found before a number of it is used.
    let columns = columns_of(&kept, "probabilities");
    assert!(columns.len() > LABELS.len(), "they are kept apart: {columns:?}");
    flip_a_bit(columns.last().unwrap());
    let again = ["--set", "nodes.issues.filter_by=prune_by_class"];
    let (events, outcome) = kept.run_to_end(&again);
    outcome.ok();
    assert_eq!(events.of("repaired")[0]["what"], "damaged");
    fresh.run(&again);
    assert_eq!(kept.frame("issues", &again), fresh.frame("issues", &again));
}

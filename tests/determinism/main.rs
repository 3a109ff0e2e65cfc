//! Every node kind and plugin on 300,000 records, several times, on one thread and on two: equal
//! logical digests and byte-equal exports; of a page, all but the times. Small frames hide what
//! depends on threads, so these are large; the neighbours that `knn` looks for are among fewer records.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use engine::{Cache, Digest};
use serde_json::Value;

const RECORDS: usize = 300_000;
const CATEGORIES: [&str; 5] = ["account", "billing", "delivery", "technical", "travel"];

/// Every kind of node, every shipped plugin, every format of export.
const PIPELINE: &str = "\
version: 1
name: everything
taxonomy: [account, billing, delivery, technical, travel]
nodes:
  records: {kind: source, path: records.csv}
  decided: {kind: corrections, store: 'sqlite:relabel.db'}
  valid: {kind: validate, input: records}
  current: {kind: clean, input: valid, corrections: decided}
  pairs: {kind: duplicates, input: current}
  folds: {kind: kfold, input: pairs, k: 2, group: duplicate_group}
  linear: {kind: predict, input: folds, classifier: {plugin: linear, params: {epochs: 1}}}
  bayes: {kind: predict, input: folds, classifier: {plugin: naive-bayes}}
  majority: {kind: predict, input: folds, classifier: {plugin: majority}}
  complement: {kind: predict, input: folds, classifier: {plugin: complement-nb}}
  logistic: {kind: predict, input: folds, classifier: {plugin: logistic}}
  forest: {kind: predict, input: folds, classifier: {plugin: forest}}
  few: {kind: filter, input: pairs, where: 'cast(substr(record_id, 2) as int) < 4000'}
  few_folds: {kind: kfold, input: few, k: 2}
  nearest: {kind: predict, input: few_folds, classifier: {plugin: knn}}
  chosen: {kind: predict, input: few_folds,
           classifier: {plugin: auto, among: [naive-bayes, complement-nb]}}
  forms: {kind: predict, input: folds, matrix: {classifier.plugin: [majority, naive-bayes]}}
  both: {kind: combine, input: [bayes, majority], weights: log_loss, calibrate: isotonic}
  brought: {kind: predict, input: current, probabilities: scores.csv, calibrate: temperature}
  issues: {kind: issues, input: both}
  suspicious: {kind: filter, input: issues, where: 'is_label_issue and text_valid'}
  laned:
    kind: filter
    input: issues
    decisions: decided
    where: text_valid
    lanes:
      - {name: strict, rule: strict, where: 'prediction_confidence > 0.9 and predicted_label != given_label', budget: 300}
      - {name: adaptive, rule: adaptive}
      - {name: ranked, rule: ranked, rank_by: label_quality, budget: 500}
  page: {kind: report, input: issues, classes: issues.classes, duplicates: pairs.conflicts,
         models: both.models, path: out/report.html}
  tenths: {kind: filter, input: records,
           where: 'sum(case when record_id is null then 0.0 else 0.1 end) = 30000.0'}
  digits: {kind: filter, input: records, where: 'NUMBER < sum(NUMBER / 7.0) DIGITS
           or NUMBER < avg(NUMBER / 7.0) DIGITS or NUMBER < stddev(NUMBER / 7.0) DIGITS'}
  drawn: {kind: sample, input: issues, rows: 200, stratify_by: given_label}
  found: {kind: estimate, input: issues, decisions: decided, next: laned, budget: 250}
  people: {kind: agreement, input: decided.votes, probabilities: bayes.probabilities}
  queue: {kind: review-queue, input: suspicious, control: drawn, store: 'sqlite:relabel.db', budget: 500}
  csv: {kind: export, input: current, path: out/cleaned.csv}
  parquet: {kind: export, input: linear, path: out/linear.parquet}
  arrow: {kind: export, input: issues, path: out/issues.arrow}
  jsonl: {kind: export, input: suspicious, path: out/suspicious.jsonl}
  gold: {kind: source, path: gold.csv}
  model: {kind: train, input: current, classifier: {plugin: naive-bayes}}
  other: {kind: train, input: current, classifier: {plugin: majority}}
  scores: {kind: evaluate, model: [other, model], gold: gold}
";

/// The pipeline; in `digits` the number in a record's id, and the last binary digits of an aggregate,
/// which are the first to follow the order of a sum.
fn pipeline() -> String {
    let text = PIPELINE.replace("DIGITS", "* 1048576.0 % 262144.0");
    text.replace("NUMBER", "cast(substr(record_id, 2) as double)")
}

/// Records with repeated words, some wrong labels, some empty texts; the same on every machine.
fn records(count: usize) -> String {
    let mut state = 7u64;
    let mut below = |limit: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % limit
    };
    let mut text = String::from("record_id,text,label\n");
    for n in 0..count {
        let class = below(5);
        let given = if below(10) == 0 { below(5) } else { class };
        text.push_str(&format!("r{n:06},"));
        for _ in 0..if n % 997 == 0 { 0 } else { 6 } {
            let word = if below(3) == 0 { below(400) } else { class * 60 + below(60) };
            text.push_str(&format!("word{word} "));
        }
        text.push_str(&format!(",{}\n", CATEGORIES[given as usize]));
    }
    text
}

/// Probabilities that somebody brings for these records, in another order.
fn probabilities(count: usize) -> String {
    let mut text = format!("{},record_id\n", CATEGORIES.join(","));
    for n in (0..count).rev() {
        let sure = 0.5 + (n % 43) as f64 / 100.0;
        let p = (0..5).map(|class| if class == n % 5 { sure } else { (1.0 - sure) / 4.0 });
        p.for_each(|p| text.push_str(&format!("{p:.6},")));
        text.push_str(&format!("r{n:06}\n"));
    }
    text
}

fn relabel(folder: &Path, args: &[&str], threads: &str) -> Vec<u8> {
    let plugins = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let output = Command::new(env!("CARGO_BIN_EXE_relabel"))
        .args(args)
        .arg("--plugin-path")
        .arg(plugins)
        .current_dir(folder)
        .env("POLARS_MAX_THREADS", threads)
        .env("RAYON_NUM_THREADS", threads)
        .env_remove("RELABEL_CACHE_DIR")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Logical digests of all results by key, and the bytes of all exports.
type Results = (BTreeMap<Digest, Vec<Digest>>, BTreeMap<String, Vec<u8>>);

fn run(threads: &str) -> Results {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("relabel.toml"), "").unwrap();
    std::fs::write(folder.path().join("relabel.yaml"), pipeline()).unwrap();
    std::fs::write(folder.path().join("records.csv"), records(RECORDS)).unwrap();
    std::fs::write(folder.path().join("scores.csv"), probabilities(RECORDS)).unwrap();
    std::fs::write(folder.path().join("gold.csv"), records(5000)).unwrap();
    relabel(folder.path(), &["run", "--jobs", threads], threads);
    let inventory = Cache::at(folder.path().join(".relabel")).inventory().unwrap();
    let results = inventory.records.into_iter().map(|(key, entry)| {
        let outputs = entry.record.unwrap().outputs;
        (key, outputs.iter().map(|output| output.logical).collect())
    });
    let exports = std::fs::read_dir(folder.path().join("out")).unwrap().map(|entry| {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        let mut bytes = std::fs::read(entry.path()).unwrap();
        if name == "report.html" {
            let times = b"<section id=\"pipeline\"";
            let at = bytes.windows(times.len()).position(|window| window == times);
            bytes.truncate(at.unwrap());
        }
        (name, bytes)
    });
    (results.collect(), exports.collect())
}

#[test]
fn threads_and_repetition_change_nothing() {
    let one = run("1");
    assert!(one.0.len() >= 50 && one.1.len() == 9, "{} {}", one.0.len(), one.1.len());
    for threads in ["2", "2"] {
        let other = run(threads);
        assert!(one.0 == other.0, "a result depends on threads or differs from run to run");
        for (name, bytes) in &one.1 {
            assert!(other.1.get(name) == Some(bytes), "{name} is not the same bytes");
        }
    }
}

#[test]
fn every_kind_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let schema: Value = serde_json::from_slice(&relabel(folder.path(), &["schema"], "1")).unwrap();
    let node = &schema["properties"]["nodes"]["additionalProperties"];
    let kinds = node["properties"]["kind"]["enum"].as_array().unwrap();
    let kinds: BTreeSet<&str> = kinds.iter().map(|kind| kind.as_str().unwrap()).collect();
    let missing: Vec<&str> =
        kinds.into_iter().filter(|kind| !PIPELINE.contains(&format!("{{kind: {kind},"))).collect();
    assert_eq!(missing, [""; 0], "add a node of the kind to this file's pipeline");
}

/// The plugins that come with relabel; other libraries beside this program are of other tests.
#[test]
fn every_plugin_is_in_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let names =
        entries.filter_map(|name| Some(name.to_str()?.strip_prefix("classifier-")?.to_owned()));
    let names: BTreeSet<String> = names.collect();
    assert!(names.len() >= 7, "{names:?}");
    let missing: Vec<&String> =
        names.iter().filter(|name| !PIPELINE.contains(&format!("plugin: {name}"))).collect();
    assert!(missing.is_empty(), "add a node with {missing:?} to this file's pipeline");
}

//! `relabel runs diff`: what is different between two runs, up to which records they flag.

use std::collections::{BTreeMap, BTreeSet};

use engine::{Cache, RunRecord, UnitEntry, load_frame};
use serde_json::{Value, json};

use crate::args::Format;
use crate::output::{self, Table};

/// A value in the earlier and in the later run.
type Pair = (Option<Value>, Option<Value>);

/// Flagged records of one node that feeds a review queue.
struct Flagged {
    node: String,
    /// Why the sets cannot be compared, if so.
    problem: Option<String>,
    before: usize,
    now: usize,
    newly: Vec<String>,
    no_longer: Vec<String>,
}

pub(super) fn run(a: &RunRecord, b: &RunRecord, cache: &Cache, format: Format) {
    let params = differences(&leaves(&a.header["resolved"]), &leaves(&b.header["resolved"]));
    let plugins = differences(&plugins(a), &plugins(b));
    let metrics = differences(&metrics(a), &metrics(b));
    let flagged = flagged(a, b, cache);
    match format {
        Format::Json => output::json(&json!({
            "schema_version": 1,
            "a": a.run_id,
            "b": b.run_id,
            "outcomes": [a.outcome, b.outcome],
            "seconds": [seconds(a), seconds(b)],
            "params": pairs_json(&params),
            "plugins": pairs_json(&plugins),
            "metrics": pairs_json(&metrics),
            "units": units_json(a, b),
            "flagged": flagged.iter().map(flagged_json).collect::<Vec<_>>(),
        })),
        Format::Text => print(a, b, [params, plugins, metrics], &flagged),
    }
}

fn seconds(run: &RunRecord) -> Option<f64> {
    run.summary.as_ref().map(|summary| summary.seconds)
}

/// Every leaf of a JSON document by its path.
fn leaves(value: &Value) -> BTreeMap<String, Value> {
    fn walk(path: String, value: &Value, found: &mut BTreeMap<String, Value>) {
        match value {
            Value::Object(map) if !map.is_empty() => {
                for (key, value) in map {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    walk(path, value, found);
                }
            }
            leaf => {
                found.insert(path, leaf.clone());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(String::new(), value, &mut found);
    found
}

fn plugins(run: &RunRecord) -> BTreeMap<String, Value> {
    let plugins = run.header["plugins"].as_array().into_iter().flatten();
    let described = plugins.map(|plugin| {
        let text = |name: &str| plugin[name].as_str().unwrap_or_default().to_owned();
        let digest: String = text("file_digest").chars().take(12).collect();
        (text("name"), json!(format!("{} ({digest})", text("version"))))
    });
    described.collect()
}

fn metrics(run: &RunRecord) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for unit in &run.units {
        for note in unit.notes.iter().filter(|note| note["note"] == "metric") {
            let name = note["name"].as_str().unwrap_or_default();
            found.insert(format!("{}: {name}", unit.name()), note["value"].clone());
        }
    }
    found
}

/// What is not the same in both, by name.
fn differences(a: &BTreeMap<String, Value>, b: &BTreeMap<String, Value>) -> BTreeMap<String, Pair> {
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let pairs = names.into_iter().map(|name| (name, a.get(name).cloned(), b.get(name).cloned()));
    pairs.filter(|(_, a, b)| a != b).map(|(name, a, b)| (name.clone(), (a, b))).collect()
}

fn pairs_json(pairs: &BTreeMap<String, Pair>) -> Vec<Value> {
    pairs.iter().map(|(name, (a, b))| json!({ "name": name, "a": a, "b": b })).collect()
}

/// The last entry of each unit: one that was repaired or tried again has several.
fn units(run: &RunRecord) -> BTreeMap<String, &UnitEntry> {
    run.units.iter().map(|unit| (unit.name(), unit)).collect()
}

/// Seconds that a unit took in the run, or that it took when it was made.
fn cost(unit: &UnitEntry) -> Option<f64> {
    unit.seconds.or(unit.saved_seconds)
}

fn units_json(a: &RunRecord, b: &RunRecord) -> Vec<Value> {
    let (a, b) = (units(a), units(b));
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let side = |unit: Option<&&UnitEntry>| {
        unit.map(|unit| {
            json!({
                "state": unit.state,
                "key": unit.key,
                "rows": unit.rows,
                "seconds": cost(unit),
                "cpu_seconds": unit.cpu_seconds,
                "peak_bytes": unit.peak_bytes,
            })
        })
    };
    names
        .into_iter()
        .map(|name| {
            let same = a.get(name).and_then(|unit| unit.key) == b.get(name).and_then(|unit| unit.key);
            json!({ "unit": name, "same_key": same, "a": side(a.get(name)), "b": side(b.get(name)) })
        })
        .collect()
}

/// Nodes that feed a review queue in either run, and what they gave.
fn flagged(a: &RunRecord, b: &RunRecord, cache: &Cache) -> Vec<Flagged> {
    let mut feeding = BTreeSet::new();
    for run in [a, b] {
        for node in run.header["resolved"]["nodes"].as_object().into_iter().flat_map(|n| n.values())
        {
            if node["kind"] == "review-queue" {
                feeding.extend(node["input"].as_str().map(str::to_owned));
            }
        }
    }
    let compare = |node: String| {
        let mut flagged = Flagged {
            node: node.clone(),
            problem: None,
            before: 0,
            now: 0,
            newly: Vec::new(),
            no_longer: Vec::new(),
        };
        match (records(a, &node, cache), records(b, &node, cache)) {
            (Ok(before), Ok(now)) => {
                (flagged.before, flagged.now) = (before.len(), now.len());
                flagged.newly = now.difference(&before).cloned().collect();
                flagged.no_longer = before.difference(&now).cloned().collect();
            }
            (Err(problem), _) => flagged.problem = Some(format!("earlier run: {problem}")),
            (_, Err(problem)) => flagged.problem = Some(format!("later run: {problem}")),
        }
        flagged
    };
    feeding.into_iter().map(compare).collect()
}

/// The record ids that a node gave in a run.
fn records(run: &RunRecord, reference: &str, cache: &Cache) -> Result<BTreeSet<String>, String> {
    let (node, port) = reference.split_once('.').unwrap_or((reference, ""));
    let is_it = |unit: &&UnitEntry| unit.node == node && unit.name() == node && unit.key.is_some();
    let unit = run.units.iter().rev().find(is_it);
    let key = unit.and_then(|unit| unit.key).ok_or("it came to no result")?;
    let gone = "its result is no longer in the cache";
    let record = cache.record(&key).ok_or(gone)?;
    let wanted = ["record_id".to_owned()];
    let frame = load_frame(cache, record.output(port).ok_or(gone)?, Some(&wanted));
    let frame = frame.map_err(|_| gone)?;
    let column = frame.column("record_id").map_err(|_| "it has no column `record_id`")?;
    let ids = column.str().map_err(|error| error.to_string())?;
    Ok(ids.iter().flatten().map(str::to_owned).collect())
}

fn flagged_json(flagged: &Flagged) -> Value {
    json!({
        "node": flagged.node,
        "problem": flagged.problem,
        "a": flagged.before,
        "b": flagged.now,
        "newly": flagged.newly,
        "no_longer": flagged.no_longer,
    })
}

fn print(a: &RunRecord, b: &RunRecord, parts: [BTreeMap<String, Pair>; 3], flagged: &[Flagged]) {
    let line = |side: &str, run: &RunRecord| {
        let seconds = seconds(run).map(|seconds| format!(", {seconds:.2} s")).unwrap_or_default();
        let (id, at, outcome) = (&run.run_id, &run.started_at, run.outcome.word());
        output::result(format!("{side}  {id}  {at}  {outcome}{seconds}"));
    };
    line("a", a);
    line("b", b);
    for (title, pairs) in ["parameters", "plugins", "metrics"].into_iter().zip(&parts) {
        if pairs.is_empty() {
            output::result(format!("\n{title}: the same"));
            continue;
        }
        output::result(format!("\n{title}"));
        for (name, (a, b)) in pairs {
            output::result(format!("  {name}: {} -> {}", shown(a), shown(b)));
        }
    }
    let mut table = Table::new(&["unit", "a", "b", "rows a", "rows b", "s a", "s b"]);
    let (a, b) = (units(a), units(b));
    for name in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
        let sides = [a.get(name), b.get(name)];
        let mut row = vec![name.clone()];
        row.extend(sides.map(|unit| unit.map_or("-".into(), |unit| unit.state.clone())));
        row.extend(sides.map(|unit| {
            unit.and_then(|unit| unit.rows).map(|rows| rows.to_string()).unwrap_or_default()
        }));
        row.extend(sides.map(|unit| {
            unit.and_then(|unit| cost(unit)).map(|s| format!("{s:.2}")).unwrap_or_default()
        }));
        table.row(row);
    }
    output::result(format!("\n{}", table.render()));
    for flagged in flagged {
        output::result(format!("\nflagged by {}", flagged.node));
        if let Some(problem) = &flagged.problem {
            output::result(format!("  cannot be compared: {problem}"));
            continue;
        }
        output::result(format!("  {} -> {} records", flagged.before, flagged.now));
        for (word, ids) in [("newly", &flagged.newly), ("no longer", &flagged.no_longer)] {
            if !ids.is_empty() {
                let more = if ids.len() > 10 { ", ..." } else { "" };
                let first = ids.iter().take(10).cloned().collect::<Vec<_>>().join(", ");
                output::result(format!("  {word} ({}): {first}{more}", ids.len()));
            }
        }
    }
}

fn shown(value: &Option<Value>) -> String {
    match value {
        None => "none".into(),
        Some(Value::String(text)) => text.split_whitespace().collect::<Vec<_>>().join(" "),
        Some(Value::Number(number)) if number.is_f64() => {
            format!("{:.4}", number.as_f64().unwrap_or_default())
        }
        Some(value) => value.to_string(),
    }
}

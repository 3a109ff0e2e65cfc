//! `relabel` killed at every place that matters, one after the other: what is visible then is
//! whole, and the next run comes to what an undisturbed one gives.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;

use engine::{Cache, Digest};

use crate::crash::files_below;
use crate::support::data::TAXONOMY;
use crate::support::{Sandbox, records, to_csv};

const STORE: &str = "sqlite:relabel.db";

/// All kinds of effects in few units: blobs, records, a queue, an export, run records.
const PIPELINE: &str = "\
version: 1
name: small
taxonomy: taxonomy.yaml
nodes:
  records: {kind: source, path: records.csv}
  decided: {kind: corrections, store: 'sqlite:relabel.db'}
  valid: {kind: validate, input: records}
  current: {kind: clean, input: valid, corrections: decided}
  folds: {kind: kfold, input: current, k: 2}
  oof: {kind: predict, input: folds, classifier: {plugin: majority}}
  suspicious: {kind: filter, input: oof, where: 'predicted_label != given_label'}
  queue: {kind: review-queue, input: suspicious, store: 'sqlite:relabel.db', budget: 5}
  cleaned: {kind: export, input: current, path: out/cleaned.csv}
";

fn small() -> Sandbox {
    let sandbox = Sandbox::in_memory();
    sandbox.write("taxonomy.yaml", TAXONOMY);
    sandbox.write("relabel.yaml", PIPELINE);
    sandbox.write("records.csv", to_csv(&records(24, 7)));
    sandbox
}

/// All that a user can see of a sandbox, without times and ids of runs.
#[derive(Debug, PartialEq)]
struct State {
    /// Logical digests of every result by its key.
    results: BTreeMap<Digest, Vec<Digest>>,
    files: BTreeMap<&'static str, Option<String>>,
    items: Vec<String>,
}

const FILES: [&str; 2] = ["out/cleaned.csv", "out/cleaned.csv.manifest.json"];

fn state(sandbox: &Sandbox) -> State {
    let inventory = Cache::at(sandbox.path(".relabel")).inventory().unwrap();
    let results = inventory.records.into_iter().map(|(key, entry)| {
        let outputs = entry.record.expect("no record is half-written").outputs;
        (key, outputs.iter().map(|output| output.logical).collect())
    });
    let read = |name: &str| std::fs::read_to_string(sandbox.path(name)).ok();
    State {
        results: results.collect(),
        files: FILES.into_iter().map(|name| (name, read(name))).collect(),
        items: items(sandbox),
    }
}

/// The open items of the queue; the ledger's chain must hold.
fn items(sandbox: &Sandbox) -> Vec<String> {
    let store = review_store::open_existing(STORE, &sandbox.path("")).unwrap();
    let Some(store) = store else { return Vec::new() };
    assert!(store.verify().unwrap().is_intact());
    let items = store.open_items("small/queue", None).unwrap();
    let shown = |item: &review_store::Item| serde_json::to_string(item).unwrap();
    items.iter().map(shown).collect()
}

/// Kills the command at its `nth` point; false if it came to its end before.
fn kill_at(sandbox: &Sandbox, nth: u64, args: &[&str]) -> bool {
    let mut command = sandbox.command(args);
    let output = command.env("RELABEL_TEST_KILL_AT", nth.to_string()).output().unwrap();
    if output.status.signal() == Some(9) {
        return true;
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    false
}

/// Nothing that can be seen is half-written, whatever was going on.
#[track_caller]
fn check_visible(sandbox: &Sandbox, allowed: &[&State], nth: u64) {
    let damages = engine::verify(&Cache::at(sandbox.path(".relabel"))).unwrap().damages;
    assert!(damages.is_empty(), "at point {nth}: {damages:?}");
    for name in FILES {
        let there = std::fs::read_to_string(sandbox.path(name)).ok();
        let known = allowed.iter().any(|state| state.files[name] == there);
        assert!(known || there.is_none(), "at point {nth}: {name} is neither old nor new");
    }
    let items = items(sandbox);
    let known = allowed.iter().any(|state| state.items == items);
    assert!(known || items.is_empty(), "at point {nth}: half a queue");
    for run in files_below(&sandbox.path(".relabel/runs-v1")) {
        if run.file_name().is_some_and(|name| name == "run.json") {
            serde_json::from_slice::<serde_json::Value>(&std::fs::read(run).unwrap()).unwrap();
        }
    }
}

/// Tries every point of a run that starts from `before`; gives how many there are.
fn try_all(before: &Sandbox, old: &State) -> u64 {
    try_each(1, before, old, &["run", "--jobs", "1"])
}

/// Tries every `step`-th point of a command; gives the last that there is.
fn try_each(step: u64, before: &Sandbox, old: &State, run: &[&str]) -> u64 {
    let untroubled = Sandbox::copy_of(before);
    untroubled.relabel(run).ok();
    let wanted = state(&untroubled);
    let mut nth = 1;
    loop {
        let sandbox = Sandbox::copy_of(before);
        if !kill_at(&sandbox, nth, run) {
            return nth - step;
        }
        check_visible(&sandbox, &[old, &wanted], nth);
        if nth % 16 == 0 {
            sandbox.relabel(&["runs", "show"]).ok();
        }
        sandbox.relabel(run).ok();
        assert_eq!(state(&sandbox), wanted, "after a kill at point {nth}");
        assert_eq!(left_behind(&sandbox), [""; 0], "after a kill at point {nth}");
        nth += step;
    }
}

/// Unfinished files outside the cache, where no gc looks.
fn left_behind(sandbox: &Sandbox) -> Vec<String> {
    let name = |path: &std::path::Path| path.strip_prefix(sandbox.path("")).map(|p| p.to_owned());
    let files = files_below(&sandbox.path("")).into_iter().filter_map(|path| name(&path).ok());
    let names = files.map(|path| path.display().to_string()).collect::<Vec<_>>();
    names.into_iter().filter(|n| !n.starts_with(".relabel/") && n.contains("tmp-")).collect()
}

fn nothing() -> State {
    let files = FILES.into_iter().map(|name| (name, None)).collect();
    State { results: BTreeMap::new(), files, items: Vec::new() }
}

#[test]
fn killed_anywhere_in_a_first_run() {
    let points = try_all(&small(), &nothing());
    assert!(points >= 200, "{points} points");
}

#[test]
fn killed_anywhere_in_a_rerun_that_replaces_queue_and_export() {
    let sandbox = small();
    sandbox.run(&[]);
    let old = state(&sandbox);
    sandbox.edit("records.csv", "r0006,", "r0006,another ");
    let points = try_all(&sandbox, &old);
    assert!(points >= 120, "{points} points");
}

/// Units that run beside each other come to their points in any order; what is whole is whole.
#[test]
fn killed_while_several_units_run() {
    let linear = "nodes.oof.classifier.plugin=linear";
    let run = ["run", "--jobs", "3", "--set", linear];
    let points = try_each(4, &small(), &nothing(), &run);
    assert!(points >= 200, "{points} points");
}

#[test]
fn killed_anywhere_in_a_gc() {
    let sandbox = small();
    let first = ["--set", "nodes.folds.k=3"];
    sandbox.run(&first);
    sandbox.run(&[]);
    let left = sandbox.path(".relabel/objects-v1/.tmp-left");
    std::fs::write(&left, "half").unwrap();
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(9000);
    std::fs::File::open(&left).unwrap().set_modified(long_ago).unwrap();
    let gc = ["cache", "gc", "--keep-runs", "1", "--runs", "1"];
    let untroubled = Sandbox::copy_of(&sandbox);
    untroubled.relabel(&gc).ok();
    let wanted = state(&untroubled);
    assert!(wanted.results.len() < state(&sandbox).results.len());
    let mut nth = 1;
    loop {
        let copy = Sandbox::copy_of(&sandbox);
        if !kill_at(&copy, nth, &gc) {
            break;
        }
        let damages = engine::verify(&Cache::at(copy.path(".relabel"))).unwrap().damages;
        assert!(damages.is_empty(), "at point {nth}: {damages:?}");
        copy.relabel(&gc).ok();
        assert_eq!(state(&copy), wanted, "after a kill at point {nth}");
        if nth % 8 == 0 {
            assert_eq!(copy.run(&[]).units("run"), [""; 0], "what is kept still hits");
        }
        nth += 1;
    }
    assert!(nth > 30, "{nth} points");
}

#[test]
fn killed_while_decisions_are_imported() {
    let sandbox = small();
    sandbox.run(&[]);
    let queued = sandbox.frame("queue", &[]);
    let rows = queued.iter().map(|item| {
        let (id, label) = (item["record_id"].as_str().unwrap(), item["proposed_label"].as_str());
        format!("{id},accept,{},ann,2026-01-02T03:04:05Z,\n", label.unwrap())
    });
    let header = "record_id,review_decision,final_label,reviewed_by,reviewed_at,note\n";
    sandbox.write("decisions.csv", format!("{header}{}", rows.collect::<String>()));
    let import = ["review", "import", "decisions.csv"];
    let mut nth = 1;
    loop {
        let copy = Sandbox::copy_of(&sandbox);
        let killed = kill_at(&copy, nth, &import);
        let store = review_store::open_existing(STORE, &copy.path("")).unwrap().unwrap();
        assert!(store.verify().unwrap().is_intact());
        let recorded = store.ledger().unwrap().len();
        assert!(recorded == 0 || recorded == queued.len(), "{recorded} of {}", queued.len());
        drop(store);
        copy.relabel(&import).ok();
        let store = review_store::open_existing(STORE, &copy.path("")).unwrap().unwrap();
        assert_eq!(store.ledger().unwrap().len(), queued.len(), "none is lost, none is doubled");
        if !killed {
            break;
        }
        nth += 1;
    }
    assert!(nth > 3, "{nth} points");
}

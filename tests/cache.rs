//! `relabel cache`: what is in it, whether it is sound, and what may go.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::crash::{
    cut_short, files_below, flip_a_bit, is_start_of, record_and_blob, slow, wait_for,
};
use crate::support::data::UNITS;
use crate::support::{Events, Sandbox};

const OTHER: [&str; 2] = ["--set", "params.folds=4"];

#[track_caller]
fn gc(sandbox: &Sandbox, args: &[&str]) -> Value {
    let args: Vec<&str> = ["cache", "gc", "--format", "json"].iter().chain(args).copied().collect();
    sandbox.relabel(&args).ok().json()
}

fn removed(report: &Value) -> Vec<&str> {
    let removals = report["removals"].as_array().unwrap().iter();
    removals.map(|removal| removal["unit"].as_str().unwrap()).collect()
}

fn set_age(path: &Path, seconds: u64) {
    let time = SystemTime::now() - Duration::from_secs(seconds);
    std::fs::File::open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn status_counts_what_is_there() {
    let sandbox = Sandbox::audit();
    sandbox.run(&[]);
    let status = sandbox.relabel(&["cache", "status", "--format", "json"]).ok().json();
    assert_eq!((&status["records"], &status["runs"]), (&14.into(), &1.into()));
    assert_eq!((&status["orphans"], &status["unfinished_files"]), (&0.into(), &0.into()));
    assert!(status["blob_bytes"].as_u64().unwrap() > 10_000);
    let kinds = status["kinds"].as_array().unwrap();
    assert!(kinds.iter().any(|kind| kind["kind"] == "predict" && kind["records"] == 6), "{status}");
    let text = sandbox.relabel(&["cache", "status"]).ok();
    assert!(text.stdout.contains("14 results in "), "{}", text.stdout);
    let empty = Sandbox::empty();
    let status = empty.relabel(&["cache", "status", "--format", "json"]).ok().json();
    assert_eq!(status["records"], 0);
}

#[test]
fn gc_keeps_what_the_last_runs_used() {
    let sandbox = Sandbox::audit();
    sandbox.run(&[]);
    sandbox.run(&OTHER);
    assert_eq!(removed(&gc(&sandbox, &["--dry-run"])), [""; 0]);

    let dry = gc(&sandbox, &["--dry-run", "--keep-runs", "1"]);
    let mut names = removed(&dry);
    names.sort_unstable();
    let predict = ["audit/oof", "audit/oof[0]", "audit/oof[1]"];
    assert!(predict.iter().all(|name| names.contains(name)), "{names:?}");
    assert!(names.contains(&"audit/folds") && !names.contains(&"audit/valid"), "{names:?}");
    assert!(dry["seconds"].as_f64().unwrap() > 0.0, "what it would cost is said");
    assert_eq!(sandbox.run(&OTHER).units("run"), [""; 0], "a dry run removes nothing");

    let done = gc(&sandbox, &["--keep-runs", "1"]);
    assert_eq!(done["removed_bytes"].as_u64().unwrap(), {
        done["bytes_before"].as_u64().unwrap() - done["bytes_after"].as_u64().unwrap()
    });
    assert_eq!(done["removals"], dry["removals"]);
    assert_eq!(sandbox.run(&OTHER).units("run"), [""; 0], "what is kept is whole");
    let events = sandbox.run(&[]);
    assert!(events.units("run").contains(&"oof[0]".to_owned()), "{events:?}");
    sandbox.relabel(&["cache", "verify"]).ok();
}

#[test]
fn runs_of_each_pipeline_count_for_themselves() {
    let sandbox = Sandbox::audit();
    sandbox.write("other.yaml", sandbox.read("relabel.yaml").replace("name: audit", "name: other"));
    sandbox.run(&["other.yaml", "--set", "params.folds=4"]);
    for confidence in ["0.5", "0.6", "0.7"] {
        sandbox.run(&["--set", &format!("params.confidence={confidence}")]);
    }
    gc(&sandbox, &["--keep-runs", "1"]);
    assert_eq!(sandbox.run(&["other.yaml", "--set", "params.folds=4"]).units("run"), [""; 0]);
}

#[test]
fn least_recently_used_goes_first_down_to_the_size() {
    let sandbox = Sandbox::audit();
    for folds in ["3", "4", "5"] {
        sandbox.run(&["--set", &format!("params.folds={folds}")]);
    }
    // Used again, so that what comes of four folds is now the oldest.
    sandbox.run(&["--set", "params.folds=3"]);
    let all = gc(&sandbox, &["--dry-run", "--keep-runs", "0"]);
    let before = all["bytes_before"].as_u64().unwrap();
    assert_eq!(all["bytes_after"], 0, "nothing is kept, nothing is left: {all}");
    let limit = (before - 1).to_string();
    let some = gc(&sandbox, &["--dry-run", "--keep-runs", "0", "--max-size", &limit]);
    assert_eq!(some["removals"].as_array().unwrap().len(), 1);
    let first: Vec<&str> = removed(&all).into_iter().take(7).collect();
    gc(&sandbox, &["--keep-runs", "0", "--max-size", &(before * 8 / 10).to_string()]);
    assert!(first.contains(&"audit/folds"), "{first:?}");
    assert_eq!(sandbox.run(&["--set", "params.folds=3"]).units("run"), [""; 0]);
    let events = sandbox.run(&["--set", "params.folds=4"]);
    assert!(!events.units("run").is_empty());
}

#[test]
fn age_counts_from_the_last_use() {
    let sandbox = Sandbox::audit();
    sandbox.run(&[]);
    sandbox.run(&OTHER);
    let (old, _) = record_and_blob(&sandbox, "filter", "whole");
    set_age(&old, 3 * 86_400);
    let week = gc(&sandbox, &["--dry-run", "--keep-runs", "0", "--older-than", "1w"]);
    assert_eq!(removed(&week), [""; 0]);
    let day = gc(&sandbox, &["--keep-runs", "0", "--older-than", "1d"]);
    assert_eq!(removed(&day), ["audit/suspicious"]);
    assert!(!old.exists());
    let outcome = sandbox.relabel(&["cache", "gc", "--older-than", "soon"]).code(2);
    outcome.says(&["an age is a number and s, m, h, d or w"]);
}

#[test]
fn what_is_left_unfinished_goes_when_it_is_old() {
    let sandbox = Sandbox::audit();
    sandbox.run(&[]);
    let objects = sandbox.path(".relabel/objects-v1");
    let orphan = objects.join("ab").join("c".repeat(62));
    std::fs::create_dir_all(orphan.parent().unwrap()).unwrap();
    let files = [objects.join(".tmp-left"), sandbox.path(".relabel/.relabel-tmp-left"), orphan];
    for file in &files {
        std::fs::write(file, "half").unwrap();
    }
    assert_eq!(gc(&sandbox, &[])["loose_files"], 0, "it may be somebody's work");
    files.iter().for_each(|file| set_age(file, 7200));
    let report = gc(&sandbox, &[]);
    assert_eq!((&report["loose_files"], &report["removed_bytes"]), (&3.into(), &12.into()));
    assert!(files.iter().all(|file| !file.exists()));
    assert_eq!(sandbox.run(&[]).units("run"), [""; 0]);
}

#[test]
fn gc_leaves_alone_what_a_running_run_uses() {
    let sandbox = slow();
    let jobs = ["--jobs", "1"];
    sandbox.run(&jobs);
    let args = [&["run", "--format", "json"], &OTHER[..], &jobs[..]].concat();
    let mut child = sandbox.command(&args).stdout(Stdio::piped()).spawn().unwrap();
    let mut text = String::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    wait_for(&mut lines.by_ref().inspect(|line| text.push_str(&format!("{line}\n"))), |line| {
        is_start_of(line, 1)
    });
    let report = gc(&sandbox, &["--keep-runs", "0", "--runs", "0"]);
    assert_eq!(report["runs_in_progress"].as_array().unwrap().len(), 1, "{report}");
    assert_eq!(report["removed_run_records"], 1, "the run that is on keeps its record");
    let gone = removed(&report);
    assert!(gone.contains(&"audit/folds") && gone.contains(&"audit/oof[4]"), "{gone:?}");
    assert!(!gone.contains(&"audit/valid") && !gone.contains(&"audit/records"), "{gone:?}");
    lines.for_each(|line| text.push_str(&format!("{line}\n")));
    assert!(child.wait().unwrap().success(), "{text}");
    let events = Events::parse(&text);
    assert!(events.of("repaired").is_empty(), "{events:?}");
    assert_eq!(sandbox.run(&[&OTHER[..], &jobs[..]].concat()).units("run"), [""; 0]);
    sandbox.relabel(&["cache", "verify"]).ok();
}

#[test]
fn gc_again_and_again_beside_a_run_harms_nothing() {
    let sandbox = slow();
    let args = ["run", "--format", "json", "--jobs", "2"];
    let mut child = sandbox.command(&args).stdout(Stdio::piped()).spawn().unwrap();
    let mut sweeps_beside_it = 0;
    while child.try_wait().unwrap().is_none() {
        if sandbox.path(".relabel/runs-v1").exists() {
            let report = gc(&sandbox, &["--keep-runs", "0", "--runs", "1"]);
            assert_eq!(report["run_records"], json!([]), "the last run keeps its record");
            sweeps_beside_it += report["runs_in_progress"].as_array().unwrap().len();
        }
    }
    let output = child.wait_with_output().unwrap();
    let events = Events::parse(&String::from_utf8(output.stdout).unwrap());
    assert!(sweeps_beside_it > 3 && output.status.success());
    assert!(events.of("repaired").is_empty(), "{events:?}");
    assert_eq!(events.units("run"), UNITS);
}

#[test]
fn records_of_runs_go_by_number_and_age_and_never_before_their_results() {
    let sandbox = Sandbox::audit();
    sandbox.write("other.yaml", sandbox.read("relabel.yaml").replace("name: audit", "name: other"));
    sandbox.run(&["other.yaml"]);
    let ids: Vec<Value> = (0..4).map(|_| sandbox.run(&[]).finish()["run_id"].clone()).collect();
    let listed = || {
        let runs = sandbox.relabel(&["runs", "list", "--format", "json"]).ok().json();
        runs["runs"].as_array().unwrap().len()
    };
    assert_eq!(gc(&sandbox, &[])["run_records"], json!([]), "nobody asked for it");
    assert_eq!(gc(&sandbox, &["--runs", "2"])["run_records"], json!([]), "five are kept for");
    let dry = gc(&sandbox, &["--dry-run", "--keep-runs", "1", "--runs", "2"]);
    assert_eq!((&dry["run_records"], listed()), (&json!(ids[..2]), 5));
    assert!(dry["run_record_bytes"].as_u64().unwrap() > 1000);
    let young = ["--keep-runs", "1", "--runs", "2", "--older-than", "1d"];
    assert_eq!(gc(&sandbox, &young)["run_records"], json!([]));
    let folder = sandbox.path(".relabel/runs-v1").join(ids[0].as_str().unwrap());
    ["run.json", "events.jsonl", ""].iter().for_each(|file| set_age(&folder.join(file), 172_800));
    assert_eq!(gc(&sandbox, &young)["removed_run_records"], 1);
    assert!(!folder.exists());
    let done = sandbox.relabel(&["cache", "gc", "--keep-runs", "1", "--runs", "1"]).ok();
    assert!(done.out().contains("removed the records of 2 runs"), "{}", done.out());
    assert_eq!(listed(), 2, "the last of each pipeline");
    sandbox.relabel(&["runs", "show", "last"]).ok();
    assert_eq!(sandbox.run(&["other.yaml"]).units("run"), [""; 0]);
}

#[test]
fn verify_finds_damage_and_the_next_run_makes_it_anew() {
    let sandbox = Sandbox::audit();
    sandbox.run(&[]);
    sandbox.relabel(&["cache", "verify"]).ok();
    // A queue's output is read by nobody: no run would find out.
    let (_, blob) = record_and_blob(&sandbox, "review-queue", "whole");
    flip_a_bit(&blob);
    let (_, missing) = record_and_blob(&sandbox, "kfold", "whole");
    std::fs::remove_file(missing).unwrap();
    let (garbled, _) = record_and_blob(&sandbox, "validate", "whole");
    cut_short(&garbled);
    assert_eq!(sandbox.relabel(&["plan", "--select", "decided"]).ok().out(), "hit      decided");

    let report = sandbox.relabel(&["cache", "verify", "--format", "json"]).code(8).json();
    let mut damages: Vec<String> = report["damages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|damage| {
            format!("{} {}", damage["unit"].as_str().unwrap(), damage["what"].as_str().unwrap())
        })
        .collect();
    damages.sort();
    let wanted = [
        "audit/folds its output is missing",
        "audit/queue its output is damaged",
        "audit/valid its record cannot be read",
    ];
    assert_eq!((damages, &report["removed"]), (wanted.map(String::from).to_vec(), &json!(true)));
    sandbox.relabel(&["cache", "verify"]).ok();
    let events = sandbox.run(&[]);
    assert_eq!(events.units("run"), ["folds", "queue", "valid"]);
    assert_eq!(events.reason("queue"), "output-missing");
}

#[test]
fn damage_is_told_to_people() {
    let sandbox = Sandbox::audit();
    sandbox.run(&[]);
    let (_, blob) = record_and_blob(&sandbox, "predict", "whole");
    flip_a_bit(&blob);
    let outcome = sandbox.relabel(&["cache", "verify"]).code(8);
    assert!(
        outcome.stdout.contains("damaged  audit/oof  its output is damaged"),
        "{}",
        outcome.stdout
    );
    outcome.says(&["the next run makes it anew"]);
}

#[test]
fn cached_units_that_run_once_more_give_the_same() {
    let sandbox = Sandbox::audit();
    sandbox.run(&[]);
    let before = files_below(&sandbox.path(".relabel/records-v3")).len();
    let args = ["cache", "verify", "--rerun", "100", "--format", "json"];
    let reruns = sandbox.relabel(&args).ok().json_lines().pop().unwrap();
    // All but the two sinks.
    assert_eq!((reruns["reruns"].as_array().unwrap().len(), &reruns["diverged"]), (12, &0.into()));
    assert_eq!(files_below(&sandbox.path(".relabel/records-v3")).len(), before);
    let some = |sandbox: &Sandbox| {
        let args = ["cache", "verify", "--rerun", "3", "--format", "json"];
        sandbox.relabel(&args).ok().json_lines().pop().unwrap()["reruns"].clone()
    };
    assert_eq!(some(&sandbox), some(&sandbox), "the choice is the same each time");
}

#[test]
fn a_unit_that_gives_something_else_is_a_divergence() {
    let sandbox = Sandbox::audit();
    sandbox.run(&[]);
    let (path, _) = record_and_blob(&sandbox, "clean", "whole");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut record: Value = serde_json::from_str(&text).unwrap();
    record["outputs"][0]["logical"] = json!("0".repeat(64));
    record.as_object_mut().unwrap().shift_remove("seal");
    // A record begins with the digest of the rest of it.
    let rest = record.to_string().split_off(1);
    let seal = engine::Digest::of(rest.as_bytes());
    std::fs::write(&path, format!("{{\"seal\":\"{seal}\",{rest}")).unwrap();
    let outcome = sandbox.relabel(&["cache", "verify", "--rerun", "100"]).code(8);
    let line = "rerun    current          its output is not what the cache has";
    assert!(outcome.stdout.contains(line), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("1 diverged"), "{}", outcome.stdout);
}

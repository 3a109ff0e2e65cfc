//! Runs that are killed, caches that are damaged, disks that are full: nothing is lost or wrong.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::data::UNITS;
use crate::support::{Events, Outcome, Sandbox, plugins, records, to_csv};

const SLOW: [&str; 2] = ["--jobs", "1"];

/// A sandbox whose classifier naps in each fold.
pub fn slow() -> Sandbox {
    let sandbox = Sandbox::audit();
    plugins::compile(&sandbox, "tests/fixtures/slow.c", None);
    sandbox.edit("relabel.yaml", "plugin: linear", "plugin: plugin-in-c");
    sandbox
}

/// Reads lines until one is what is waited for.
pub fn wait_for(lines: &mut dyn Iterator<Item = String>, done: impl Fn(&str) -> bool) {
    let mut seen = String::new();
    for line in lines {
        if done(&line) {
            return;
        }
        seen.push_str(&line);
        seen.push('\n');
    }
    panic!("the run ended before it came so far:\n{seen}");
}

pub fn is_start_of(line: &str, fold: u64) -> bool {
    let event: Value = serde_json::from_str(line).unwrap();
    event["event"] == "unit_started" && event["fold"] == fold
}

/// Starts a run and kills it inside the fold.
fn kill_in_fold(sandbox: &Sandbox, fold: u64) {
    let args: Vec<&str> = ["run", "--format", "json"].into_iter().chain(SLOW).collect();
    let mut child = sandbox.command(&args).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    wait_for(&mut lines, |line| is_start_of(line, fold));
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().code(), None, "it was to die of the signal");
}

#[test]
fn killed_in_the_third_fold_three_folds_are_left() {
    let sandbox = slow();
    kill_in_fold(&sandbox, 2);
    let shown = sandbox.relabel(&["runs", "show"]).ok();
    assert!(shown.stdout.contains("outcome   unfinished"), "{}", shown.stdout);

    let events = sandbox.run(&SLOW);
    let folds: Vec<String> =
        events.units("run").into_iter().filter(|unit| unit.starts_with("oof[")).collect();
    assert_eq!(folds, ["oof[2]", "oof[3]", "oof[4]"]);
    assert_eq!(events.units("hit").len(), 8, "{events:?}");

    let untroubled = slow();
    untroubled.run(&SLOW);
    assert_eq!(sandbox.frame("oof", &[]), untroubled.frame("oof", &[]));
    assert_eq!(sandbox.read("out/cleaned.csv"), untroubled.read("out/cleaned.csv"));
}

#[test]
fn killed_again_and_again_it_comes_to_its_end() {
    let sandbox = slow();
    for fold in [0, 1, 3] {
        kill_in_fold(&sandbox, fold);
    }
    let events = sandbox.run(&SLOW);
    assert!(events.units("hit").contains(&"oof[2]".to_owned()));
    assert_eq!(events.units("hit").len() + events.units("run").len(), UNITS.len());
}

pub fn interrupt(child: &Child) {
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

#[test]
fn ctrl_c_keeps_what_is_done_and_says_how_to_go_on() {
    let sandbox = slow();
    let args: Vec<&str> =
        ["run", "relabel.yaml", "--set", "params.confidence=0.4"].into_iter().chain(SLOW).collect();
    let mut command = sandbox.command(&args);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    wait_for(&mut lines, |line| line.starts_with("run      oof[0]"));
    interrupt(&child);
    let rest: Vec<String> = lines.collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:?}");
    let told = "go on with: relabel run relabel.yaml --set 'params.confidence=0.4'";
    assert!(rest.last().unwrap().starts_with(told), "{rest:?}");
    assert!(rest.iter().any(|line| line.starts_with("skipped  oof[4]")), "{rest:?}");
    let runs = sandbox.relabel(&["runs", "list", "--format", "json"]).ok().json();
    assert_eq!(runs["runs"][0]["outcome"], "interrupted");

    let events = sandbox.run(&[&["--set", "params.confidence=0.4"], &SLOW[..]].concat());
    assert!(events.units("hit").contains(&"oof[0]".to_owned()));
    assert!(events.units("run").contains(&"oof[4]".to_owned()));
}

/// All files below a folder.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Path of the record of a unit, and of its main blob; `unit` as the facts have it.
pub fn record_and_blob(sandbox: &Sandbox, kind: &str, unit: &str) -> (PathBuf, PathBuf) {
    for path in files_below(&sandbox.path(".relabel/records-v3")) {
        let text = std::fs::read_to_string(&path).unwrap();
        let record: Value = serde_json::from_str(&text).unwrap_or_default();
        if record["kind"] == kind && text.contains(&format!("\"{unit}\"")) {
            let blob = record["outputs"][0]["blobs"][0]["blob"].as_str().unwrap();
            let objects = sandbox.path(".relabel/objects-v1");
            return (path, objects.join(&blob[..2]).join(&blob[2..]));
        }
    }
    panic!("no record of {kind} {unit}");
}

pub fn flip_a_bit(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(path, bytes).unwrap();
}

pub fn cut_short(path: &Path) {
    let bytes = std::fs::read(path).unwrap();
    std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

#[test]
fn blobs_cut_short_are_made_again() {
    let sandbox = Sandbox::audit();
    sandbox.run(&[]);
    let whole = (sandbox.frame("oof", &[]), sandbox.read("out/cleaned.csv"));
    for blob in files_below(&sandbox.path(".relabel/objects-v1")) {
        cut_short(&blob);
    }
    let plan = sandbox.relabel(&["plan"]).ok();
    assert!(plan.stdout.contains("output in the cache is damaged"), "{}", plan.stdout);
    let events = sandbox.run(&[]);
    assert_eq!(events.units("run"), UNITS);
    assert_eq!(events.reason("oof[0]"), "output-corrupt");
    assert_eq!((sandbox.frame("oof", &[]), sandbox.read("out/cleaned.csv")), whole);
}

/// Where a bit makes another number or another digest, all is JSON as before.
#[test]
fn records_with_a_flipped_bit_are_made_again() {
    let sandbox = Sandbox::audit();
    sandbox.run(&[]);
    let whole = (sandbox.frame("oof", &[]), sandbox.read("out/cleaned.csv"));
    let records = files_below(&sandbox.path(".relabel/records-v3"));
    for path in &records {
        let text = std::fs::read_to_string(path).unwrap();
        let logical = text.find("\"logical\":\"").unwrap() + 12;
        let mut bytes = text.into_bytes();
        // Of a digit another digit.
        bytes[logical] ^= 1;
        std::fs::write(path, bytes).unwrap();
    }
    let plan = sandbox.relabel(&["plan"]).ok();
    assert!(plan.stdout.contains("output in the cache is damaged"), "{}", plan.stdout);
    let events = sandbox.run(&[]);
    assert_eq!(events.units("run"), UNITS);
    assert_eq!((sandbox.frame("oof", &[]), sandbox.read("out/cleaned.csv")), whole);
    flip_a_bit(&records[0]);
    let verified = sandbox.relabel(&["cache", "verify"]);
    assert!(verified.stdout.contains(", 1 damaged"), "{}", verified.stdout);
}

#[test]
fn missing_blobs_are_made_again() {
    let sandbox = Sandbox::audit();
    sandbox.run(&[]);
    std::fs::remove_dir_all(sandbox.path(".relabel/objects-v1")).unwrap();
    let events = sandbox.run(&[]);
    assert_eq!(events.units("run"), UNITS);
    assert_eq!(events.reason("folds"), "output-missing");
}

#[test]
fn a_flipped_bit_is_found_when_it_is_read() {
    let sandbox = Sandbox::audit();
    sandbox.run(&[]);
    let other = ["--set", "params.confidence=0.6"];
    let (_, blob) = record_and_blob(&sandbox, "predict", "whole");
    flip_a_bit(&blob);
    let shown = sandbox.relabel(&["show", "oof"]).code(3);
    shown.says(&["an artifact is damaged"]);
    let (events, outcome) = sandbox.run_to_end(&other);
    outcome.ok();
    let repaired = events.of("repaired");
    assert_eq!((repaired.len(), &repaired[0]["node"]), (1, &Value::from("oof")));
    assert_eq!(repaired[0]["what"], "damaged");
    assert_eq!(events.reason("suspicious"), "params-changed");

    let untroubled = Sandbox::audit();
    untroubled.run(&other);
    assert_eq!(sandbox.frame("suspicious", &other), untroubled.frame("suspicious", &other));
    assert_eq!(sandbox.frame("oof", &[]), untroubled.frame("oof", &other));
}

#[test]
fn a_column_that_many_results_share_is_made_again() {
    let sandbox = Sandbox::audit();
    let rows: Vec<String> = (0..60_000)
        .map(|n| {
            let (label, word) =
                (["billing", "technical"][n % 2], ["an invoice", "a broken router"][n % 2]);
            let label = if n % 25 == 0 { "technical" } else { label };
            format!(
                "r{n},a text about {word} that is long enough to be kept for itself {n},{label}\n"
            )
        })
        .collect();
    sandbox.write("records.csv", format!("record_id,text,label\n{}", rows.concat()));
    sandbox.run(&[]);
    let untroubled = Sandbox::copy_of(&sandbox);
    let blobs = files_below(&sandbox.path(".relabel/objects-v1"));
    let length = |path: &PathBuf| std::fs::metadata(path).unwrap().len();
    let texts = blobs.iter().max_by_key(|path| length(path)).unwrap();
    assert!(length(texts) > 4_000_000, "the texts are kept once");
    flip_a_bit(texts);
    // The filter needs texts of the records that it keeps and of no others.
    let other = ["--set", "params.confidence=0.01"];
    let (events, outcome) = sandbox.run_to_end(&other);
    outcome.ok();
    let repaired: Vec<&str> =
        events.of("repaired").iter().map(|event| event["node"].as_str().unwrap()).collect();
    assert!(repaired.contains(&"oof") && repaired.contains(&"records"), "{repaired:?}");
    let wanted = untroubled.run(&other);
    assert!(wanted.of("repaired").is_empty());
    assert_eq!(sandbox.frame("suspicious", &other), untroubled.frame("suspicious", &other));
    assert!(sandbox.relabel(&["cache", "verify"]).ok().stdout.contains(", 0 damaged"));
}

#[test]
fn every_blob_flipped_is_no_end_either() {
    let sandbox = Sandbox::audit();
    sandbox.run(&[]);
    for blob in files_below(&sandbox.path(".relabel/objects-v1")) {
        flip_a_bit(&blob);
    }
    let other = ["--set", "params.confidence=0.6"];
    sandbox.run(&other);
    let untroubled = Sandbox::audit();
    untroubled.run(&other);
    assert_eq!(sandbox.frame("suspicious", &other), untroubled.frame("suspicious", &other));
}

#[test]
fn damaged_records_are_as_good_as_none_and_said_so() {
    let sandbox = Sandbox::audit();
    sandbox.run(&[]);
    let (truncated, _) = record_and_blob(&sandbox, "kfold", "whole");
    cut_short(&truncated);
    let (garbled, _) = record_and_blob(&sandbox, "validate", "whole");
    std::fs::write(&garbled, "what is this").unwrap();
    let (emptied, _) = record_and_blob(&sandbox, "predict", "fold 1 of 5");
    std::fs::write(&emptied, "").unwrap();
    let events = sandbox.run(&[]);
    assert_eq!(events.units("run"), ["folds", "oof[1]", "valid"]);
    for unit in ["folds", "oof[1]", "valid"] {
        assert_eq!(events.reason(unit), "output-corrupt");
    }
}

#[test]
fn another_files_content_under_a_blobs_name_is_no_hit() {
    let sandbox = Sandbox::audit();
    sandbox.run(&[]);
    let (record, _) = record_and_blob(&sandbox, "kfold", "whole");
    let (other, _) = record_and_blob(&sandbox, "validate", "whole");
    std::fs::copy(other, record).unwrap();
    assert_eq!(sandbox.run(&[]).units("run"), ["folds"]);
}

#[test]
fn damaged_side_files_only_cost_their_explanations() {
    let sandbox = Sandbox::audit();
    sandbox.run(&[]);
    for path in files_below(&sandbox.path(".relabel/facts-v1")) {
        std::fs::write(path, "{").unwrap();
    }
    std::fs::write(sandbox.path(".relabel/files-v1.json"), "[1, 2").unwrap();
    assert_eq!(sandbox.run(&[]).units("hit"), UNITS);
}

#[track_caller]
fn check_no_cache(outcome: Outcome) {
    let outcome = outcome.code(3);
    assert!(outcome.stdout.is_empty(), "{}", outcome.stdout);
    outcome.says(&["error: cache at `", "cannot write to `objects-v1`", "hint: choose a folder"]);
}

#[test]
fn a_cache_that_cannot_be_written() {
    let sandbox = Sandbox::audit();
    // A file where the folder should be stops root too, whom permission bits do not.
    sandbox.write("blocker", "");
    check_no_cache(sandbox.relabel(&["run", "--cache-dir", "blocker/cache"]));
    check_no_cache(sandbox.relabel(&["run", "--cache-dir", "/proc/relabel-test"]));
    sandbox.relabel(&["check", "--cache-dir", "blocker/cache"]).ok();
    sandbox.relabel(&["plan", "--cache-dir", "blocker/cache"]).ok();
}

#[test]
fn a_read_only_cache_is_still_good_for_plan_and_show() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::audit();
    sandbox.run(&[]);
    let folder = sandbox.path(".relabel");
    let mut folders: Vec<PathBuf> =
        files_below(&folder).iter().map(|file| file.parent().unwrap().to_owned()).collect();
    folders.extend(["locks", "objects-v1", "records-v3", "runs-v1"].map(|name| folder.join(name)));
    folders.push(folder.clone());
    let set_mode = |mode: u32| {
        for folder in &folders {
            std::fs::set_permissions(folder, PermissionsExt::from_mode(mode)).unwrap();
        }
    };
    set_mode(0o555);
    let binds = std::fs::write(folder.join("probe"), "").is_err();
    let plan = sandbox.command(&["plan"]).output().unwrap();
    let show = sandbox.command(&["show", "oof"]).output().unwrap();
    let run = sandbox.relabel(&["run", "--set", "params.confidence=0.6"]);
    set_mode(0o755);
    assert_eq!((plan.status.code(), show.status.code()), (Some(0), Some(0)));
    // Permission bits mean nothing to root; `a_cache_that_cannot_be_written` holds for both.
    if binds {
        check_no_cache(run);
    }
}

/// Files may not grow beyond so many KiB: what a full disk is to a program.
fn on_a_full_disk(sandbox: &Sandbox, kib: u32, args: &[&str]) -> Outcome {
    sandbox.outcome(sandbox.command_behind(&format!("trap '' XFSZ; ulimit -f {kib}"), args))
}

#[test]
fn a_full_disk_is_told_and_what_is_done_is_kept() {
    let sandbox = Sandbox::audit();
    let mut codes = Vec::new();
    for kib in [1, 4, 8, 16, 24, 32, 48] {
        let outcome = on_a_full_disk(&sandbox, kib, &["run"]);
        codes.push(outcome.code);
        if outcome.code != Some(0) {
            outcome.code(3).says(&["error: ", "File too large", "hint: free some space"]);
        }
        let objects = files_below(&sandbox.path(".relabel/objects-v1"));
        let half = objects
            .iter()
            .find(|path| path.file_name().unwrap().to_string_lossy().starts_with(".tmp"));
        assert_eq!(half, None, "half a blob was left behind");
    }
    assert_eq!(codes[0], Some(3));
    sandbox.run(&[]);
    let untroubled = Sandbox::audit();
    untroubled.run(&[]);
    assert_eq!(sandbox.frame("suspicious", &[]), untroubled.frame("suspicious", &[]));
    assert_eq!(sandbox.read("out/cleaned.csv"), untroubled.read("out/cleaned.csv"));
}

#[test]
fn an_export_that_cannot_be_written_leaves_the_old_one() {
    let sandbox = Sandbox::audit();
    // The export has to be larger than what the review store writes when it is opened.
    sandbox.write("records.csv", to_csv(&records(1500, 7)));
    sandbox.run(&[]);
    let before = sandbox.read("out/cleaned.csv");
    sandbox.edit("records.csv", "r0001,", "r0001,another ");
    let events = sandbox.run(&["--select", "current"]);
    assert!(events.units("run").contains(&"current".to_owned()));
    let outcome = on_a_full_disk(&sandbox, 64, &["run", "--select", "cleaned"]).code(3);
    outcome.says(&["cannot write `out/cleaned.csv`"]);
    assert_eq!(sandbox.read("out/cleaned.csv"), before);
}

/// The last line of a run that was killed has no newline: it is read up to there.
#[test]
fn a_log_that_breaks_off_is_readable() {
    let sandbox = Sandbox::audit();
    let events: Events = sandbox.run(&[]);
    let run_id = events.finish()["run_id"].as_str().unwrap().to_owned();
    cut_short(&sandbox.path(&format!(".relabel/runs-v1/{run_id}/events.jsonl")));
    let shown = sandbox.relabel(&["runs", "show", &run_id]).ok();
    assert!(shown.stdout.contains("unfinished"), "{}", shown.stdout);
    // It may break off within a letter, too.
    let log = sandbox.path(&format!(".relabel/runs-v1/{run_id}/events.jsonl"));
    let mut bytes = std::fs::read(&log).unwrap();
    bytes.extend("{\"event\": \"unit ü".bytes().take(17));
    assert!(String::from_utf8(bytes.clone()).is_err());
    std::fs::write(&log, bytes).unwrap();
    let again = sandbox.relabel(&["runs", "show", &run_id]).ok();
    assert_eq!(again.stdout, shown.stdout);
    assert!(shown.stdout.contains("\nrecords "), "{}", shown.stdout);
}

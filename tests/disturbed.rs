//! Runs that are disturbed and not killed: clocks that jump, sources that change, others at work.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};

use crate::crash::{files_below, interrupt, is_start_of, slow, wait_for};
use crate::support::data::UNITS;
use crate::support::{Events, Sandbox};

/// Gives every file below a folder a time in the future: the clock was set back since.
fn from_the_future(sandbox: &Sandbox) {
    let time = SystemTime::now() + Duration::from_secs(90_000);
    for file in files_below(&sandbox.path("")) {
        std::fs::File::open(file).unwrap().set_modified(time).unwrap();
    }
}

#[test]
fn a_clock_that_jumped_back_changes_nothing() {
    let sandbox = Sandbox::audit();
    sandbox.run(&[]);
    let runs = sandbox.path(".relabel/runs-v1");
    let first = std::fs::read_dir(&runs).unwrap().next().unwrap().unwrap().path();
    // An id of the year 10889, as a wild clock makes it.
    std::fs::rename(&first, runs.join("ffffffff-ffff-7000-8000-000000000000")).unwrap();
    from_the_future(&sandbox);
    assert_eq!(sandbox.run(&[]).units("hit"), UNITS);
    sandbox.edit("records.csv", "r0001,", "r0001,another ");
    let events = sandbox.run(&[]);
    assert_eq!(events.reason("records"), "file-changed");
    let listed = sandbox.relabel(&["runs", "list", "--format", "json"]).ok().json();
    assert_eq!(listed["runs"].as_array().unwrap().len(), 3);
    sandbox.relabel(&["cache", "gc", "--keep-runs", "0", "--older-than", "1d"]).ok();
    assert_eq!(sandbox.run(&[]).units("run"), [""; 0]);
    sandbox.relabel(&["cache", "gc", "--keep-runs", "0"]).ok();
    let status = sandbox.relabel(&["cache", "status", "--format", "json"]).ok().json();
    assert_eq!(status["records"], 0, "without an age the clock plays no part");
}

/// A run with one worker, stopped inside a fold for as long as `meanwhile` takes.
fn run_with(sandbox: &Sandbox, fold: u64, meanwhile: impl FnOnce()) -> (Option<i32>, Events) {
    let mut command = sandbox.command(&["run", "--format", "json", "--jobs", "1"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut text = String::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    wait_for(&mut lines.by_ref().inspect(|line| text.push_str(&format!("{line}\n"))), |line| {
        is_start_of(line, fold)
    });
    meanwhile();
    lines.for_each(|line| text.push_str(&format!("{line}\n")));
    (child.wait().unwrap().code(), Events::parse(&text))
}

#[test]
fn a_source_that_changes_during_the_run_is_not_mixed_with_what_it_was() {
    let sandbox = slow();
    // Its name comes last, so that it is read after everything else; its key is another.
    let again = "  zz: {kind: source, path: records.csv, on_bad_row: quarantine}\n  queue:";
    sandbox.edit("relabel.yaml", "  queue:", again);
    let edit = || sandbox.edit("records.csv", "r0001,", "r0001,another ");
    let (code, events) = run_with(&sandbox, 1, edit);
    assert_eq!(code, Some(1), "{events:?}");
    assert_eq!(events.units("failed"), ["zz"]);
    let message = events.unit("zz")["message"].as_str().unwrap();
    assert!(message.contains("changed while the run was on"), "{message}");
    let again = sandbox.run(&["--jobs", "1"]);
    assert!(again.units("run").contains(&"records".to_owned()));
    assert_eq!(sandbox.frame("records", &[]), sandbox.frame("zz", &[]));
}

#[test]
fn ctrl_c_twice_ends_at_once() {
    let sandbox = slow();
    let mut command = sandbox.command(&["run", "--format", "json", "--jobs", "1"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    wait_for(&mut lines, |line| is_start_of(line, 0));
    let started = Instant::now();
    interrupt(&child);
    std::thread::sleep(Duration::from_millis(20));
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(started.elapsed() < Duration::from_secs(5));
    // Nobody wrote an end: the run counts as unfinished, and is gone on with.
    let shown = sandbox.relabel(&["runs", "show", "--format", "json"]).ok().json();
    assert_eq!(shown["outcome"], "unfinished");
    let events = sandbox.run(&["--jobs", "1"]);
    assert!(events.units("hit").contains(&"folds".to_owned()));
}

#[test]
fn two_pipelines_at_once_on_one_cache() {
    let sandbox = slow();
    let text = sandbox.read("relabel.yaml");
    let other = text
        .replace("name: audit", "name: other")
        .replace("folds: 5", "folds: 4")
        .replace("cleaned.csv", "other.csv");
    sandbox.write("other.yaml", other);
    let start = |pipeline: &str| {
        let mut command = sandbox.command(&["run", pipeline, "--format", "json", "--jobs", "2"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let both = [start("relabel.yaml"), start("other.yaml")];
    let mut shared = Vec::new();
    for child in both {
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        shared.extend(Events::parse(&text).units("run"));
    }
    for once in ["records", "valid", "current"] {
        assert_eq!(shared.iter().filter(|unit| *unit == once).count(), 1, "{shared:?}");
    }
    let alone = slow();
    alone.write("other.yaml", sandbox.read("other.yaml"));
    alone.run(&["other.yaml"]);
    alone.run(&[]);
    for (pipeline, file) in [("relabel.yaml", "out/cleaned.csv"), ("other.yaml", "out/other.csv")] {
        let frame = |sandbox: &Sandbox| sandbox.frame("oof", &["-p", pipeline]);
        assert_eq!(frame(&sandbox), frame(&alone), "{pipeline}");
        assert_eq!(sandbox.read(file), alone.read(file));
    }
    sandbox.relabel(&["cache", "verify"]).ok();
}

//! How a run is steered: parameter files, retries, time limits.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::crash::{interrupt, slow, wait_for};
use crate::support::{Events, Sandbox, plugins};

#[test]
fn a_file_of_parameters_goes_under_set() {
    let sandbox = Sandbox::audit();
    sandbox.run(&["--set", "params.folds=4", "--set", "params.confidence=0.6"]);
    sandbox.write("ours.yaml", "# Ours.\nfolds: 4\nconfidence: 0.6\n");
    let events = sandbox.run(&["--params", "ours.yaml"]);
    assert_eq!(events.units("run"), [""; 0]);
    let run = sandbox.relabel(&["runs", "show", "--format", "json"]).ok().json();
    let origin = &run["header"]["origins"]["nodes.folds.k"]["params"];
    assert_eq!((&origin["file"], &origin["line"]), (&0.into(), &2.into()));
    let plan = |args: &[&str]| {
        let args = [&["plan", "--params", "ours.yaml"], args].concat();
        sandbox.relabel(&args).ok().stdout
    };
    assert!(plan(&["--set", "params.folds=5"]).contains("k: 4 -> 5"));
    sandbox.write("theirs.yaml", "folds: 3");
    assert!(plan(&["--params", "theirs.yaml"]).contains("k: 4 -> 3"));
}

#[test]
fn what_is_wrong_with_a_parameter_is_shown_where_it_was_given() {
    let sandbox = Sandbox::audit();
    sandbox.write("ours.yaml", "folds: 4\nconfidenc: 0.6\n");
    let outcome = sandbox.relabel(&["run", "--params", "ours.yaml"]).code(2);
    outcome.says(&["there is no `confidenc`", "ours.yaml:2:", "did you mean `confidence`?"]);
    sandbox.write("ours.yaml", "folds: several");
    let outcome = sandbox.relabel(&["run", "--params", "ours.yaml"]).code(2);
    outcome.says(&["node `folds`: `k` must be of type integer", "ours.yaml:1:8"]);
    let outcome = sandbox.relabel(&["run", "--set", "params.folds=several"]).code(2);
    outcome.says(&["`k` must be of type integer, not \"several\"", "--> --set"]);
    let outcome = sandbox.relabel(&["run", "--set", "params.fold=3"]).code(2);
    outcome.says(&["`--set params.fold`: there is no `fold`", "did you mean `folds`?"]);
    let outcome = sandbox.relabel(&["run", "--set", "params.zzz=3"]).code(2);
    outcome.says(&["there is: `confidence`, `folds`"]);
    sandbox.write("ours.yaml", "- a list");
    let outcome = sandbox.relabel(&["run", "--params", "ours.yaml"]).code(2);
    outcome.says(&["a parameter file is a map of parameters, this is a list"]);
    let outcome = sandbox.relabel(&["run", "--params", "none.yaml"]).code(2);
    outcome.says(&["cannot read parameters `none.yaml`"]);
}

#[test]
fn how_a_node_is_run_is_not_what_it_computes() {
    let sandbox = Sandbox::audit();
    sandbox.run(&[]);
    sandbox.edit(
        "relabel.yaml",
        "{plugin: linear}",
        "{plugin: linear}, timeout_seconds: 60, retries: 3",
    );
    assert_eq!(sandbox.run(&[]).units("run"), [""; 0]);
    let refused = sandbox.relabel(&["check", "--set", "nodes.oof.timeout_seconds=-1"]).code(2);
    refused.says(&["node `oof`: `timeout_seconds` must be a number above 0, not -1"]);
    let refused = sandbox.relabel(&["check", "--set", "nodes.oof.retries=often"]).code(2);
    refused.says(&["`retries` must be a whole number from 0 to 20"]);
}

#[test]
fn a_unit_over_its_time_fails_and_the_others_are_kept() {
    let sandbox = slow();
    let args = ["--jobs", "1", "--set", "nodes.oof.timeout_seconds=0.05", "--keep-going"];
    let started = Instant::now();
    let (events, outcome) = sandbox.run_to_end(&args);
    outcome.code(1);
    let message = events.unit("oof[0]")["message"].as_str().unwrap();
    assert_eq!(message, "it took longer than its `timeout_seconds: 0.05`");
    assert!(events.units("run").contains(&"cleaned".to_owned()), "{events:?}");
    assert_eq!(events.units("skipped"), ["oof", "queue", "suspicious"]);
    assert!(started.elapsed().as_secs() < 60);
    let (events, outcome) = sandbox.run_to_end(&["--set", "nodes.oof.timeout_seconds=60"]);
    outcome.ok();
    assert_eq!(events.reason("oof[0]"), "previous-failed");
}

#[test]
fn a_unit_that_does_not_stop_is_given_up() {
    let sandbox = Sandbox::audit();
    plugins::compile(&sandbox, "tests/fixtures/slow.c", Some("HANG"));
    sandbox.edit("relabel.yaml", "plugin: linear", "plugin: plugin-in-c");
    let started = Instant::now();
    let (events, outcome) =
        sandbox.run_to_end(&["--jobs", "1", "--set", "nodes.oof.timeout_seconds=0.1"]);
    outcome.code(1);
    assert_eq!(events.units("failed"), ["oof[0]"]);
    assert!(started.elapsed().as_secs() < 30, "it hangs for a minute");
}

#[test]
fn an_io_error_is_tried_again() {
    let sandbox = Sandbox::audit();
    // A file where the folder of the export should be.
    sandbox.write("out", "in the way");
    let args = ["--set", "nodes.cleaned.retries=2", "--keep-going"];
    let (events, outcome) = sandbox.run_to_end(&args);
    outcome.code(3);
    let retries = events.of("unit_retried");
    assert_eq!(retries.iter().map(|r| r["attempt"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(
        (events.units("failed"), &retries[0]["node"]),
        (vec!["cleaned".into()], &"cleaned".into())
    );
    let none = sandbox.run_to_end(&["--set", "nodes.cleaned.retries=0", "--keep-going"]).0;
    assert!(none.of("unit_retried").is_empty());
}

#[test]
fn what_passes_while_it_is_tried_again_is_no_failure() {
    let sandbox = Sandbox::audit();
    sandbox.write("out", "in the way");
    let command = sandbox.command(&["run", "--format", "json", "--set", "nodes.cleaned.retries=9"]);
    let path = sandbox.path("out");
    let outcome = std::thread::scope(|scope| {
        let run = scope.spawn(|| sandbox.outcome(command));
        // Until the export has failed once, at least.
        let failed = || {
            let runs = sandbox.path(".relabel/runs-v1");
            let logs = std::fs::read_dir(runs).into_iter().flatten().flatten();
            let read = |log: std::fs::DirEntry| {
                std::fs::read_to_string(log.path().join("events.jsonl")).unwrap_or_default()
            };
            logs.map(read).any(|log| log.contains("\"retried\""))
        };
        while !failed() && !run.is_finished() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        std::fs::remove_file(&path).unwrap();
        run.join().unwrap()
    });
    let events = crate::support::Events::parse(&outcome.ok().stdout);
    assert!(!events.of("unit_retried").is_empty());
    assert!(events.units("run").contains(&"cleaned".to_owned()));
}

/// A shell takes the command as it is printed, and it is the same run: what was selected, the same
/// cache and plugins, values with quotes in them.
#[test]
fn the_command_to_go_on_with_goes_on() {
    let sandbox = slow();
    let args = ["run", "--jobs", "1", "--select", "o*f", "--cache-dir", "kept here"];
    let set = ["--set", "nodes.suspicious.where=given_label = 'billing' and text_valid"];
    let args = [&args[..], &set[..]].concat();
    let mut child = sandbox.command(&args).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    wait_for(&mut lines, |line| line.starts_with("run      oof[0]"));
    interrupt(&child);
    let told = lines.find_map(|line| Some(line.strip_prefix("go on with: relabel ")?.to_owned()));
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let mut command = Command::new("bash");
    let line = format!("{} {} --format json", env!("CARGO_BIN_EXE_relabel"), told.unwrap());
    command.args(["-c", &line]).current_dir(sandbox.path(""));
    let events = Events::parse(&sandbox.outcome(command).ok().stdout);
    assert!(events.units("hit").contains(&"oof[0]".to_owned()), "{line} {events:?}");
    let wanted = ["oof", "oof[1]", "oof[2]", "oof[3]", "oof[4]"].map(str::to_owned);
    assert!(events.units("run").iter().all(|unit| wanted.contains(unit)), "{line} {events:?}");
    assert!(!sandbox.path(".relabel").exists());
    // The values are those of the first command, to the letter.
    let show = ["runs", "show", "--format", "json", "--cache-dir", "kept here"];
    let run = sandbox.relabel(&show).ok().json();
    let resolved = &run["header"]["resolved"]["nodes"]["suspicious"]["where"];
    assert_eq!(resolved, "given_label = 'billing' and text_valid");
}

#[test]
fn a_whole_number_with_a_point_is_that_number() {
    let sandbox = Sandbox::audit();
    sandbox.run(&[]);
    let plan = |set: &str| sandbox.relabel(&["plan", "--exit-code", "--set", set]);
    plan("params.folds=5.0").ok();
    plan("nodes.oof.seed=42.0").ok();
    plan("nodes.queue.budget=1e3").code(4);
    plan("nodes.folds.k=5.5").code(2).says(&["`k` must be of type integer, not 5.5", "--> --set"]);
}

#[test]
fn what_is_forced_has_to_be_selected() {
    let sandbox = Sandbox::audit();
    sandbox.run(&[]);
    for command in ["run", "plan"] {
        let args = [command, "--select", "folds", "--force", "cleaned"];
        let outcome = sandbox.relabel(&args).code(2);
        outcome.says(&["`--force cleaned` forces nothing", "--select folds --select cleaned"]);
    }
    let events = sandbox.run(&["--select", "folds", "--force", "valid"]);
    assert_eq!(events.units("run"), ["valid"], "what is needed is selected with it");
    let events = sandbox.run(&["--select", "valid", "--force", "*"]);
    assert_eq!(events.units("run"), ["records", "valid"], "all that is selected");
}

#[test]
fn a_parameter_that_the_file_does_not_have_can_be_set() {
    let sandbox = Sandbox::audit();
    sandbox.run(&[]);
    let plan = sandbox.relabel(&["plan", "--set", "nodes.valid.text.min_chars=4"]).ok();
    assert!(plan.out().contains("text.min_chars: 3 -> 4"), "{}", plan.out());
    let set = |set: &str| sandbox.relabel(&["plan", "--set", set]).code(2);
    set("nodes.valid.text.min_char=4").says(&[
        "min_char",
        "did you mean `min_chars`?",
        "--> --set",
    ]);
    set("nodes.valid.text.min_chars=few").says(&["must be of type integer", "--> --set"]);
    set("nodes.valid.txt.min_chars=4").says(&["did you mean `text`?", "--> --set"]);
    set("nodes.folds.k.x=4").says(&["`x` would be inside"]);
}

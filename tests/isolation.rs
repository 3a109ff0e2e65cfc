//! Libraries in processes of their own: a plugin that goes wrong takes down its fold and no more,
//! and one that is well gives the same bytes as in the process.

use std::collections::BTreeSet;

use crate::support::{Outcome, Sandbox, plugins};

const UNRULY: &str = "tests/fixtures/unruly.c";

/// An audit whose plugin goes wrong in the fold with seed 44, which is the third.
pub fn unruly(define: &str) -> Sandbox {
    let sandbox = Sandbox::audit();
    sandbox.edit("relabel.yaml", "plugin: linear", "plugin: plugin-in-c");
    plugins::compile(&sandbox, UNRULY, Some(define));
    sandbox.write("unruly", "");
    sandbox
}

/// Runs it, with limits if there are any; one fold fails with these words.
#[track_caller]
pub fn check_one_fold_fails(sandbox: &Sandbox, texts: &[&str]) -> Outcome {
    let outcome = sandbox.relabel(&["run", "relabel.yaml", "--keep-going"]).code(1).says(texts);
    let failed: Vec<&str> =
        outcome.err().lines().filter(|line| line.starts_with("failed")).collect();
    assert_eq!(failed, ["failed   oof[2]"], "{}", outcome.err());
    assert!(outcome.err().contains("error: oof[2]: plugin `plugin-in-c` "), "{}", outcome.err());
    let outcome = outcome
        .says(&["hint: repeat it with: relabel run relabel.yaml --select oof", "skipped  queue"]);
    check_only_that_fold_is_missing(sandbox);
    outcome
}

/// The plugin has come to its senses: what was right is kept, and all comes to its end.
#[track_caller]
pub fn check_only_that_fold_is_missing(sandbox: &Sandbox) {
    std::fs::remove_file(sandbox.path("unruly")).unwrap();
    let events = sandbox.run(&[]);
    let run = events.units("run");
    let folds: Vec<&String> = run.iter().filter(|unit| unit.starts_with("oof[")).collect();
    assert_eq!(folds, ["oof[2]"], "{events:?}");
    for unit in ["oof", "queue", "suspicious"] {
        assert!(run.contains(&unit.to_owned()), "{unit} is not in {run:?}");
    }
    let untroubled = Sandbox::audit();
    untroubled.write("relabel.yaml", sandbox.read("relabel.yaml"));
    std::fs::create_dir(untroubled.path("plugins")).unwrap();
    let library = std::fs::read_dir(sandbox.path("plugins")).unwrap().next().unwrap().unwrap();
    let copy = untroubled.path("plugins").join(library.file_name());
    std::fs::copy(library.path(), copy).unwrap();
    untroubled.run(&[]);
    assert_eq!(sandbox.frame("oof", &[]), untroubled.frame("oof", &[]));
}

#[test]
fn a_segmentation_fault() {
    let texts = [
        "crashed in fit: killed by SIGSEGV; the last it said:",
        "  | looking \\u{1b}[31mfor trouble",
    ];
    check_one_fold_fails(&unruly("SEGFAULT"), &texts);
}

#[test]
fn an_abort() {
    let texts = ["crashed in fit: killed by SIGABRT", "  | free(): invalid pointer"];
    check_one_fold_fails(&unruly("ABORT"), &texts);
}

#[test]
fn a_kill() {
    check_one_fold_fails(&unruly("KILLED"), &["crashed in fit: killed by SIGKILL\n"]);
}

#[test]
fn an_exit() {
    check_one_fold_fails(&unruly("EXITS"), &["crashed in fit: exit status 3\n"]);
}

#[test]
fn without_keep_going_the_run_ends_there() {
    let sandbox = unruly("SEGFAULT");
    let set = ["run", "--jobs", "1", "--set", "params.confidence=0.4"];
    let outcome = sandbox.relabel(&set).code(1);
    let outcome = outcome.says(&[
        "hint: repeat it with: relabel run --set 'params.confidence=0.4' --select oof",
        "skipped  oof[3]",
    ]);
    assert!(!outcome.err().contains("run      oof[3]"));
    let json = sandbox.relabel(&["run", "--format", "json", "--keep-going"]).code(1);
    assert!(
        json.stdout.contains("\"hint\":\"repeat it with: relabel run --select oof --plugin-path ")
    );
}

#[test]
fn dead_in_prepare() {
    let sandbox = unruly("DIES_IN_PREPARE");
    let outcome = sandbox.relabel(&["run", "--keep-going"]).code(1);
    let outcome = outcome.says(&["plugin `plugin-in-c` crashed in prepare: killed by SIGSEGV"]);
    assert!(outcome.err().contains("skipped  queue"), "{}", outcome.err());
    plugins::compile(&sandbox, "examples/plugin-c/plugin.c", None);
    let events = sandbox.run(&[]);
    assert!(events.units("hit").contains(&"folds".to_owned()), "{events:?}");
}

#[test]
fn dead_before_it_says_its_name() {
    let sandbox = unruly("DIES_IN_DESCRIBE");
    for command in ["check", "plan", "run"] {
        let outcome = sandbox.relabel(&[command]).code(7);
        outcome.says(&[
            "was refused: it crashed in describe: killed by SIGABRT",
            "  | no licence for this machine",
        ]);
    }
    let list = sandbox.relabel(&["plugins", "list"]).ok();
    assert!(list.out().contains("refused: it crashed in describe"), "{}", list.out());
}

/// A library of unknown origin is never loaded into relabel itself, unless the user says so.
#[test]
fn dead_in_loading() {
    let sandbox = unruly("DIES_IN_LOADING");
    let outcome = sandbox.relabel(&["check"]).code(7);
    outcome.says(&["was refused: it crashed in describe: exit status 9"]);
    let in_process = ["check", "--set", "nodes.oof.classifier.isolation=in-process"];
    sandbox.relabel(&in_process).code(9);
}

#[test]
fn what_it_prints_does_no_harm() {
    let sandbox = unruly("PRINTS");
    std::fs::remove_file(sandbox.path("unruly")).unwrap();
    sandbox.run(&[]);
    let shown = sandbox.relabel(&["plugins", "show", "plugin-in-c"]).ok();
    assert!(!shown.stdout.contains("Hello"), "{}", shown.stdout);
}

/// Each fold leaks 50 descriptors, into a process that may have 40: the children run out, alone.
#[test]
fn what_it_leaks_is_not_leaked_here() {
    let sandbox = unruly("LEAKS");
    std::fs::remove_file(sandbox.path("unruly")).unwrap();
    let (shell, args) = ("ulimit -n 40", ["run", "--keep-going", "--jobs", "1"]);
    let mut command = sandbox.command_behind(shell, &args);
    command.arg("--plugin-path").arg(sandbox.path("plugins"));
    sandbox.outcome(command).ok();
}

/// What two runs have left, by digest: records by key, blobs by content.
fn cached(sandbox: &Sandbox) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for folder in ["objects-v1", "records-v3"] {
        let mut folders = vec![sandbox.path(".relabel").join(folder)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    names.insert(name);
                }
            }
        }
    }
    names
}

#[test]
fn shipped_plugins_give_the_same_bytes_in_a_process_of_their_own() {
    for plugin in ["linear", "naive-bayes", "majority"] {
        let run = |isolation: &str| {
            let sandbox = Sandbox::audit();
            let mut text = sandbox.read("relabel.yaml");
            text.push_str("  model: {kind: train, input: current, classifier: {plugin: linear}}\n");
            text.push_str("  measured: {kind: evaluate, model: model, gold: records}\n");
            sandbox.write("relabel.yaml", text);
            let mut sets = Vec::new();
            for node in ["oof", "model"] {
                sets.push(format!("nodes.{node}.classifier.plugin={plugin}"));
                sets.push(format!("nodes.{node}.classifier.isolation={isolation}"));
            }
            let args: Vec<&str> = sets.iter().flat_map(|set| ["--set", set.as_str()]).collect();
            sandbox.run(&args);
            // Where it runs decides nothing: no key knows it.
            let sets: Vec<String> =
                sets.iter().map(|set| set.replace("=process", "=in-process")).collect();
            let args: Vec<&str> = sets.iter().flat_map(|set| ["--set", set.as_str()]).collect();
            assert_eq!(sandbox.run(&args).units("run"), [""; 0]);
            (cached(&sandbox), sandbox.frame("measured", &args))
        };
        assert_eq!(run("process"), run("in-process"), "{plugin}");
    }
}

#[test]
fn what_cannot_be_is_told_by_the_check() {
    let sandbox = unruly("PRINTS");
    let set = |text: &str| {
        let set = format!("nodes.oof.classifier={text}");
        sandbox.relabel(&["check", "--set", &set]).code(2)
    };
    set("{plugin: linear, isolation: in-process, limits: {seconds: 5}}").says(&[
        "plugin `linear` cannot run as asked: `limits` hold for a process of its own only",
        "hint: take `isolation` away, or say `isolation: process`",
    ]);
    set("{plugin: linear, isolation: proces}").says(&["did you mean `process`?"]);
    set("{plugin: linear, limits: {seconds: 0}}").says(&["`seconds`"]);
    set("{plugin: linear, limits: {hours: 1}}").says(&["unknown key `hours`"]);
    let shown = sandbox.relabel(&["plugins", "show", "plugin-in-c"]).ok();
    assert!(shown.out().contains("library, in a process of its own"), "{}", shown.out());
    let shown = sandbox.relabel(&["plugins", "show", "linear"]).ok();
    assert!(shown.out().contains("library, in this process"), "{}", shown.out());
}

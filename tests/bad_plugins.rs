//! Plugins that break the contract: a clear error each, and a cache that holds nothing of theirs.

use std::path::Path;

use crate::support::{Outcome, Sandbox, plugins};

const BROKEN: &str = "runner/plugin-host/tests/fixtures/broken.c";

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::audit();
    sandbox.edit("relabel.yaml", "plugin: linear", "plugin: plugin-in-c");
    sandbox
}

fn run(sandbox: &Sandbox) -> Outcome {
    sandbox.relabel(&["run"])
}

/// Runs with the plugin built with this break.
fn run_with(source: &str, define: &str) -> (Sandbox, Outcome) {
    let sandbox = sandbox();
    plugins::compile(&sandbox, source, Some(define));
    let outcome = run(&sandbox);
    (sandbox, outcome)
}

#[track_caller]
fn check_fails(source: &str, define: &str, text: &str) {
    let (sandbox, outcome) = run_with(source, define);
    let outcome = outcome.code(1).says(&["failed   oof[", "plugin `plugin-in-c`", text]);
    assert!(outcome.err().contains("skipped  queue"), "{}", outcome.err());
    // A sound plugin in its place: what failed is run, what was right is kept.
    plugins::compile(&sandbox, "examples/plugin-c/plugin.c", None);
    let events = sandbox.run(&[]);
    assert!(events.units("hit").contains(&"folds".to_owned()), "{events:?}");
    assert!(events.units("run").contains(&"oof[0]".to_owned()), "{events:?}");
}

#[test]
fn wrong_answers() {
    check_fails(BROKEN, "BREAK_FIT", "failed in fit: the moon is in the wrong place");
    check_fails(BROKEN, "BREAK_SHAPE_ROWS", "in predict: returned");
    check_fails(BROKEN, "BREAK_SHAPE_CLASSES", "returned scores of type `+w:7`, not `+w:4`");
    check_fails(BROKEN, "BREAK_NEGATIVE", "has probability -0.25");
    check_fails(BROKEN, "BREAK_NAN", "has probability NaN");
    check_fails(BROKEN, "BREAK_SUM", "the probabilities sum to 1.4");
}

#[test]
fn a_panic() {
    check_fails("tests/fixtures/slow.c", "PANIC", "panicked: index out of bounds");
}

#[track_caller]
fn check_refused(sandbox: &Sandbox, text: &str) {
    for command in ["check", "run", "plan"] {
        let outcome = sandbox.relabel(&[command]).code(7);
        outcome.says(&["plugin `plugin-in-c` at ", " was refused: ", text, "relabel.yaml:11:"]);
    }
    assert!(!sandbox.path(".relabel").exists(), "nothing ran");
}

#[test]
fn another_abi() {
    for (define, text) in [
        ("BREAK_VERSION", "it speaks ABI version 99, this program 1"),
        ("BREAK_OTHER_VERSION", "does not speak ABI version 1"),
        ("BREAK_MISSING", "function `fit` is missing"),
        ("BREAK_SCHEMA", "its params_schema is not JSON"),
    ] {
        let sandbox = sandbox();
        plugins::compile(&sandbox, BROKEN, Some(define));
        check_refused(&sandbox, text);
    }
}

#[test]
fn no_library_at_all() {
    let sandbox = sandbox();
    let library = plugins::compile(&sandbox, "runner/plugin-host/tests/fixtures/no_plugin.c", None);
    check_refused(&sandbox, "it does not export `relabel_classifier_entry`");
    std::fs::write(&library, "just words").unwrap();
    check_refused(&sandbox, "it is no library");
    std::fs::write(&library, "").unwrap();
    check_refused(&sandbox, "it is no library");
}

#[test]
fn no_such_plugin() {
    let sandbox = sandbox();
    let outcome = run(&sandbox).code(2);
    let known = "hint: plugins: `complement-nb`, `forest`, `knn`, `linear`, `logistic`, `majority`";
    outcome.says(&["plugin-in-c", known, "`naive-bayes`"]);
}

#[test]
fn a_plugin_file_is_found_from_the_pipelines_folder() {
    let sandbox = sandbox();
    let library = plugins::compile(&sandbox, "examples/plugin-c/plugin.c", None);
    let name = Path::new("plugins").join(library.file_name().unwrap());
    sandbox.edit("relabel.yaml", "plugin: plugin-in-c", &format!("plugin: ./{}", name.display()));
    let events = sandbox.run(&[]);
    assert_eq!(events.unit("oof")["state"], "run");
    // From elsewhere, the same file by the same name, and so the same keys.
    let mut command = sandbox.command(&["plan", "--exit-code", "../relabel.yaml"]);
    command.current_dir(sandbox.path("out"));
    sandbox.outcome(command).ok();
}

#[test]
fn a_rebuilt_plugin_is_another_plugin() {
    let sandbox = sandbox();
    plugins::compile(&sandbox, "examples/plugin-c/plugin.c", None);
    sandbox.run(&[]);
    plugins::compile(&sandbox, "tests/fixtures/slow.c", None);
    let events = sandbox.run(&[]);
    assert_eq!(events.reason("oof[0]"), "plugin-changed");
    assert!(events.units("hit").contains(&"folds".to_owned()), "{events:?}");
}

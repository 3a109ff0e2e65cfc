//! Every plugin of this repository keeps the contract, over every transport; and the suite finds
//! what it is there to find.

use std::sync::Arc;

use engine::classifier::{Classifier, ClassifierSource, ClassifierSourceError, PluginRequest};
use plugin_host::PluginSource;
use plugin_host::contract::{CHECKS, Check, Verdict, examine};

use crate::support::{built_plugins, compile};

/// The plugins that come with relabel; other libraries beside the test program are fixtures.
const SHIPPED: [&str; 7] =
    ["complement-nb", "forest", "knn", "linear", "logistic", "majority", "naive-bayes"];

/// The ways to a plugin. A transport is one line: its name, and how a plugin is opened by it.
const TRANSPORTS: [(&str, Open); 1] = [("in process", in_process)];

type Opened = Result<Arc<dyn Classifier>, ClassifierSourceError>;
type Open = fn(&PluginSource, &str) -> Opened;

fn in_process(source: &PluginSource, name: &str) -> Opened {
    source.classifier(&PluginRequest::new(name))
}

fn check(name: &str) -> &'static Check {
    CHECKS.iter().find(|check| check.name == name).unwrap()
}

/// What failed, as `transport, check: reason`, and what did not apply.
fn outcome(source: &PluginSource, plugin: &str) -> (Vec<String>, Vec<&'static str>) {
    let (mut failed, mut not_applicable) = (Vec::new(), Vec::new());
    for (transport, open) in TRANSPORTS {
        for check in &CHECKS {
            match examine(check, &|| open(source, plugin)).verdict {
                Verdict::Passed => {}
                Verdict::Failed(reason) => {
                    failed.push(format!("{transport}, {}: {reason}", check.name));
                }
                Verdict::NotApplicable(_) => not_applicable.push(check.name),
            }
        }
    }
    (failed, not_applicable)
}

#[test]
fn shipped_plugins_keep_it() {
    let source = PluginSource::new(vec![built_plugins()]);
    for name in SHIPPED {
        let (failed, not_applicable) = outcome(&source, name);
        assert_eq!(failed, [""; 0], "{name}");
        let expected: &[&str] = if name == "majority" { &["learns", "columns"] } else { &[] };
        assert_eq!(not_applicable, expected.repeat(TRANSPORTS.len()), "{name}");
    }
}

#[test]
fn the_example_in_c_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = compile("../../examples/plugin-c/plugin.c", None, folder.path(), "plugin-in-c");
    let source = PluginSource::new(vec![]);
    let (failed, not_applicable) = outcome(&source, file.to_str().unwrap());
    assert_eq!(failed, [""; 0]);
    // It reads the text alone.
    assert_eq!(not_applicable, ["columns"].repeat(TRANSPORTS.len()));
}

/// A plugin that keeps all of it but one thing fails the checks that are about that, and no others.
#[test]
fn each_break_is_found_by_its_check() {
    let cases: [(&str, &[&str]); 17] = [
        ("BREAK_NO_LICENCE", &["description"]),
        ("BREAK_PLUGIN_VERSION", &["description"]),
        ("BREAK_OPEN_SCHEMA", &["parameters"]),
        ("BREAK_BARE_PARAMETER", &["description"]),
        ("BREAK_CONSTANT", &["learns"]),
        ("BREAK_COUNTER", &["seed", "threads", "held-out", "weights", "columns", "concurrent"]),
        ("BREAK_THREADS", &["threads"]),
        ("BREAK_LEAK", &["held-out"]),
        ("BREAK_WEIGHTS", &["weights"]),
        ("BREAK_COLUMNS", &["columns"]),
        ("BREAK_FORGETS", &["saved-model"]),
        ("BREAK_TRUSTS", &["foreign-bytes"]),
        ("BREAK_LONG_TEXT", &["hard-texts"]),
        ("BREAK_ONE_CLASS", &["few-rows"]),
        ("BREAK_MANY_CLASSES", &["many-classes"]),
        ("BREAK_PROGRESS", &["progress"]),
        ("BREAK_DEAF", &["cancel"]),
    ];
    let folder = tempfile::tempdir().unwrap();
    let source = PluginSource::new(vec![]);
    let mut wrong = Vec::new();
    for (define, expected) in cases {
        let name = define.to_lowercase().replace('_', "-");
        let fixture = "tests/fixtures/unsound.c";
        let file = compile(fixture, Some(define), folder.path(), &name);
        let open = || source.classifier(&PluginRequest::new(file.to_str().unwrap()));
        let failed: Vec<&str> = CHECKS
            .iter()
            .filter(|check| matches!(examine(check, &open).verdict, Verdict::Failed(_)))
            .map(|check| check.name)
            .collect();
        if failed != expected {
            wrong.push(format!("{define} is found by {failed:?}, not by {expected:?}"));
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn a_failure_says_what_and_with_what_input() {
    let folder = tempfile::tempdir().unwrap();
    let source = PluginSource::new(vec![]);
    for (define, name, text) in [
        ("BREAK_LONG_TEXT", "hard-texts", "with a document of one megabyte: plugin `plugin-in-c`"),
        ("BREAK_ONE_CLASS", "few-rows", "with two training rows of one class: "),
        ("BREAK_TRUSTS", "foreign-bytes", "is loaded as a model of "),
    ] {
        let fixture = "tests/fixtures/unsound.c";
        let file = compile(fixture, Some(define), folder.path(), &define.to_lowercase());
        let report = examine(check(name), &|| {
            source.classifier(&PluginRequest::new(file.to_str().unwrap()))
        });
        let Verdict::Failed(reason) = report.verdict else { panic!("{define} passed {name}") };
        assert!(reason.contains(text), "{define}: {reason}");
    }
}

#[test]
fn a_panic_in_one_check_leaves_the_next_alone() {
    let nobody: &dyn Fn() -> Opened = &|| {
        Err(ClassifierSourceError::Unknown { name: "x".into(), known: vec![], searched: vec![] })
    };
    let report = examine(check("seed"), nobody);
    assert_eq!(report.verdict, Verdict::Failed("no plugin `x`".to_owned()));

    let folder = tempfile::tempdir().unwrap();
    let file = compile("../../tests/fixtures/slow.c", Some("PANIC"), folder.path(), "panics");
    let source = PluginSource::new(vec![]);
    let open = || source.classifier(&PluginRequest::new(file.to_str().unwrap()));
    let verdicts = ["seed", "description", "parameters"].map(|name| examine(check(name), &open));
    let Verdict::Failed(reason) = &verdicts[0].verdict else { panic!("a panic is a failure") };
    assert!(reason.contains("panicked: index out of bounds"), "{reason}");
    assert!(verdicts[1..].iter().all(|report| report.verdict == Verdict::Passed));
}

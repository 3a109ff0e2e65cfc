//! Plugins in C that break the contract: each is refused or gives an error that says what it did.

use std::fs;

use plugin_host::{PluginSource, library_file_name};

use crate::support::{compile, one_fold, records, try_load};

const FIXTURE: &str = "tests/fixtures/broken.c";

/// What happens to a plugin with this break: the error of loading it or of using it.
fn outcome(define: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = compile(FIXTURE, Some(define), folder.path(), "plugin-in-c");
    let source = PluginSource::new(vec![]);
    let plugin = match try_load(&source, file.to_str().unwrap()) {
        Ok(plugin) => plugin,
        Err(message) => return message.replace(file.to_str().unwrap(), "FILE"),
    };
    let (texts, labels) = records(50);
    one_fold(&*plugin, &texts, &labels, 1).unwrap_err().to_string()
}

#[track_caller]
fn check(define: &str, expected: &str) {
    let outcome = outcome(define);
    assert!(outcome.contains(expected), "{define}: {outcome}");
    assert!(outcome.contains("plugin `plugin-in-c`") || outcome.contains("at FILE was refused"));
}

#[test]
fn refused_while_loading() {
    check("BREAK_ENTRY", "its entry function failed: no licence found");
    check("BREAK_VERSION", "it speaks ABI version 99, this program 1");
    check("BREAK_OTHER_VERSION", "does not speak ABI version 1: this plugin was built for another");
    check("BREAK_MISSING", "function `fit` is missing");
    check("BREAK_NAME", "its name is not UTF-8");
    check("BREAK_NULL_NAME", "its name is a null pointer");
    check("BREAK_SCHEMA", "its params_schema is not JSON");
}

#[test]
fn wrong_answers_are_named() {
    check("BREAK_NULL_CORPUS", "broke its contract in prepare: returned a null pointer");
    check("BREAK_FIT", "failed in fit: the moon is in the wrong place");
    check("BREAK_SHAPE_ROWS", "broke its contract in predict: returned 9 rows of scores, not 10");
    check("BREAK_SHAPE_CLASSES", "returned scores of type `+w:7`, not `+w:3`");
    check("BREAK_SHORT_VALUES", "returned 29 values for 10 rows of 3 classes");
    check("BREAK_TYPE", "returned values of type `g`, not float32");
    check("BREAK_NULL_VALUES", "returned values as a null or unaligned pointer");
    check("BREAK_NO_SCORES", "returned no scores");
    check("BREAK_NAN", "row 0: class 1 has probability NaN");
    check("BREAK_NEGATIVE", "row 0: class 0 has probability -0.25");
    check("BREAK_SUM", "row 0: the probabilities sum to 1.5");
}

#[test]
fn what_is_no_plugin_is_refused_and_listed() {
    let folder = tempfile::tempdir().unwrap();
    compile("tests/fixtures/no_plugin.c", None, folder.path(), "silent");
    fs::write(folder.path().join(library_file_name("words")), "just words").unwrap();
    fs::write(folder.path().join(library_file_name("empty")), "").unwrap();
    compile("../../examples/plugin-c/plugin.c", None, folder.path(), "misnamed");
    let source = PluginSource::new(vec![folder.path().to_path_buf()]);
    let found: Vec<String> = source
        .list()
        .into_iter()
        .map(|plugin| format!("{}: {}", plugin.name, plugin.description.unwrap_err()))
        .collect();
    assert!(found[0].starts_with("empty: it is no library: "), "{}", found[0]);
    assert_eq!(found[1], "misnamed: it calls itself `plugin-in-c`, its file name says `misnamed`");
    let silent = "silent: it is no plugin: it does not export `relabel_classifier_entry`";
    assert_eq!(found[2], silent);
    assert!(found[3].starts_with("words: it is no library: "), "{}", found[3]);
    let message = try_load(&source, "words").err().unwrap();
    assert!(message.contains("plugin `words` at "), "{message}");
}

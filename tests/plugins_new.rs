//! `relabel plugins new`: what it writes builds, and keeps the contract, in each language.

use crate::support::authors::{cargo_build, make, path_with, python_with};
use crate::support::{Outcome, Sandbox};

/// All checks pass; what does not apply is none of a plugin that is to be a start.
#[track_caller]
fn check_passes(outcome: Outcome, name: &str, skipped: u64) {
    let outcome = outcome.ok();
    let report = outcome.json();
    assert_eq!(report["plugin"], name);
    assert_eq!(report["failed"], 0, "{report:#}");
    assert_eq!(report["not_applicable"], skipped, "{report:#}");
    assert!(report["passed"].as_u64().unwrap() + skipped >= 18, "{report:#}");
}

#[test]
fn in_rust() {
    let sandbox = Sandbox::empty();
    let made = sandbox.relabel(&["plugins", "new", "nearest-words"]).ok();
    made.says(&["next:", "cd nearest-words", "cargo build --release", "relabel plugins check"]);
    let folder = sandbox.path("nearest-words");
    cargo_build(&folder, &folder.join("target"));
    let library = "nearest-words/target/release/libclassifier_nearest_words.so";
    check_passes(
        sandbox.relabel(&["plugins", "check", library, "--format", "json"]),
        "nearest-words",
        0,
    );
    let source = sandbox.read("nearest-words/src/lib.rs");
    assert!(!source.contains("plugin-in-rust"), "the example's name is still there");
}

#[test]
fn in_c() {
    let sandbox = Sandbox::empty();
    sandbox.relabel(&["plugins", "new", "c-words", "--language", "c", "--folder", "a/b"]).ok();
    make(&sandbox.path("a/b"));
    let library = "a/b/libclassifier_c_words.so";
    let checked = sandbox.relabel(&["plugins", "check", library, "--format", "json"]);
    // It reads the text alone.
    check_passes(checked, "c-words", 1);
    for file in ["plugin.c", "Makefile", "README.md"] {
        let text = sandbox.read(&format!("a/b/{file}"));
        for word in ["plugin-in-c", "plugin_in_c", "@NAME@", "@LIBRARY@"] {
            assert!(!text.contains(word), "{word} is still in {file}");
        }
    }
}

#[test]
fn in_python() {
    let sandbox = Sandbox::empty();
    sandbox.relabel(&["plugins", "new", "py-words", "--language", "python"]).ok();
    let program = sandbox.read("py-words/classifier-py-words.py");
    assert!(program.contains("name = \"py-words\"") && !program.contains('@'), "{program}");
    let Some(python) = python_with("numpy, pyarrow", "plugins_new::in_python") else { return };
    let program = "./py-words/classifier-py-words.py";
    let mut command = sandbox.command(&["plugins", "check", program, "--format", "json"]);
    command.env("PATH", path_with(&python));
    check_passes(sandbox.outcome(command), "py-words", 0);
}

#[test]
fn nothing_is_overwritten_and_names_are_checked() {
    let sandbox = Sandbox::empty();
    sandbox.write("mine/notes.txt", "precious");
    sandbox
        .relabel(&["plugins", "new", "mine"])
        .code(2)
        .says(&["`mine` is there already", "hint: choose another folder"]);
    assert_eq!(sandbox.read("mine/notes.txt"), "precious");
    for name in ["Mine", "my_words", "../x", "a b", "x-"] {
        sandbox.relabel(&["plugins", "new", name]).code(2).says(&["is no name", "hint: take a-z"]);
    }
    let left = std::fs::read_dir(sandbox.path("")).unwrap().count();
    assert_eq!(left, 2, "relabel.toml and mine, nothing else");
    sandbox.write("file", "");
    sandbox.relabel(&["plugins", "new", "x", "--folder", "file/x"]).code(3).says(&["cannot write"]);
}

#[test]
fn as_json() {
    let sandbox = Sandbox::empty();
    let made = sandbox.relabel(&["plugins", "new", "w", "--language", "c", "--format", "json"]);
    let made = made.ok().json();
    assert_eq!(made["schema_version"], 1);
    assert_eq!(made["files"], serde_json::json!(["Makefile", "README.md", "plugin.c", "plugin.h"]));
    assert_eq!(made["next"][0], "cd w");
}

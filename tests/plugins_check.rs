//! `relabel plugins check`: a table of what a plugin keeps and what not, and the exit code.

use crate::support::{Sandbox, plugins};

const UNSOUND: &str = "runner/plugin-host/tests/fixtures/unsound.c";

#[test]
fn a_sound_plugin() {
    let sandbox = Sandbox::empty();
    let checked = sandbox.relabel(&["plugins", "check", "majority"]).ok();
    let out = checked.out();
    assert!(out.starts_with("check           result   what it means"), "{out}");
    assert!(out.contains("threads         passed   1, 2, 3 and 8 threads give the same"), "{out}");
    assert!(out.contains("learns          skipped  it has the capability `reference`"), "{out}");
    assert!(out.ends_with(": 16 passed, 0 failed, 2 skipped"), "{out}");
}

#[test]
fn an_unsound_plugin() {
    let sandbox = Sandbox::empty();
    let library = plugins::compile(&sandbox, UNSOUND, Some("BREAK_WEIGHTS"));
    let library = library.to_str().unwrap();
    let only = ["--only", "weights", "--only", "seed"];
    let args = [&["plugins", "check", library], only.as_slice()].concat();
    let checked = sandbox.relabel(&args).code(7);
    assert!(checked.out().contains("\nweights  FAILED  the mean probability of class 0 is "));
    assert!(checked.out().ends_with("1 passed, 1 failed, 0 skipped"), "{}", checked.out());

    let args = [&args[..], &["--format", "json"]].concat();
    let report = sandbox.relabel(&args).code(7).json();
    assert_eq!(report["schema_version"], 1);
    assert_eq!((&report["passed"], &report["failed"]), (&1.into(), &1.into()));
    let checks = report["checks"].as_array().unwrap();
    let results: Vec<[&str; 2]> = checks
        .iter()
        .map(|check| [check["check"].as_str().unwrap(), check["result"].as_str().unwrap()])
        .collect();
    assert_eq!(results, [["seed", "passed"], ["weights", "failed"]]);
    assert!(checks[0]["reason"].is_null() && checks[1]["reason"].is_string(), "{report}");
}

#[test]
fn what_cannot_be_checked() {
    let sandbox = Sandbox::empty();
    sandbox
        .relabel(&["plugins", "check", "majority", "--only", "thread"])
        .code(2)
        .says(&["no check `thread`", "hint: did you mean `threads`?"]);
    sandbox.relabel(&["plugins", "check", "majorty"]).code(7).says(&["no plugin `majorty`"]);
    sandbox.write("words.so", "just words");
    sandbox
        .relabel(&["plugins", "check", "words.so"])
        .code(7)
        .says(&["no plugin `words.so`", "say `./words.so`"]);
    sandbox.relabel(&["plugins", "check", "./words.so"]).code(7).says(&["was refused: "]);
}

/// One suite, whatever the way to the plugin. A program in Python goes through it in `examples.rs`.
#[test]
fn a_library_keeps_the_contract_in_process_and_in_a_process_of_its_own() {
    let sandbox = Sandbox::empty();
    for name in ["complement-nb", "forest", "knn", "linear", "logistic", "majority", "naive-bayes"]
    {
        for place in ["in-process", "process"] {
            let checked = sandbox.relabel(&["plugins", "check", name, "--isolation", place]);
            assert!(checked.out().contains(" 0 failed,"), "{name}, {place}: {}", checked.out());
            checked.ok();
        }
    }
}

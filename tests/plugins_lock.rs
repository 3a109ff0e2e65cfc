//! plugins.lock and --locked: what is not the pinned file is refused before it is opened.

use crate::support::{Sandbox, plugins};

const EXAMPLE: &str = "examples/plugin-c/plugin.c";

/// An audit with the plugin in C, by name, whose lock file is written.
fn locked() -> Sandbox {
    let sandbox = Sandbox::audit();
    sandbox.edit("relabel.yaml", "plugin: linear", "plugin: plugin-in-c");
    plugins::compile(&sandbox, EXAMPLE, None);
    sandbox.relabel(&["plugins", "lock"]).ok().says(&["wrote plugins.lock"]);
    sandbox
}

#[test]
fn the_file_is_stable_and_says_what_changed() {
    let sandbox = locked();
    let text = sandbox.read("plugins.lock");
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("# Written by `relabel plugins lock`"), "{text}");
    assert_eq!(
        lines[1..5],
        ["version: 1", "plugins:", "- plugin: plugin-in-c", "  version: 1.0.0"]
    );
    assert!(lines[5].starts_with("  digest: ") && lines[5].len() == 10 + 64, "{text}");
    let again = sandbox.relabel(&["plugins", "lock", "--format", "json"]).ok().json();
    assert_eq!(again["plugins"][0]["state"], "same");
    assert_eq!(sandbox.read("plugins.lock"), text);

    // Another pipeline of the folder shares the file; entries are sorted.
    let other = sandbox.read("relabel.yaml").replace("plugin: plugin-in-c", "plugin: linear");
    sandbox.write("other.yaml", other);
    let out = sandbox.relabel(&["plugins", "lock", "other.yaml"]).ok();
    assert!(out.out().contains("linear") && out.out().ends_with("new"), "{}", out.out());
    let names: Vec<String> = sandbox
        .read("plugins.lock")
        .lines()
        .filter_map(|line| line.strip_prefix("- plugin: ").map(str::to_owned))
        .collect();
    assert_eq!(names, ["linear", "plugin-in-c"]);
    for pipeline in ["relabel.yaml", "other.yaml"] {
        sandbox.relabel(&["check", pipeline, "--locked"]).ok();
    }
}

#[test]
fn a_swapped_file_is_refused_unopened() {
    let sandbox = locked();
    sandbox.relabel(&["check", "--locked"]).ok();
    sandbox.relabel(&["run", "--locked"]).ok();
    // A library that says so when it is opened.
    sandbox.write(
        "intruder.c",
        "#include <stdio.h>\n__attribute__((constructor)) static void opened(void) {\n  FILE \
         *file = fopen(\"opened\", \"w\");\n  if (file) fclose(file);\n}\n",
    );
    let library = sandbox.path("plugins").join("libclassifier_plugin_in_c.so");
    plugins::compile_to(&sandbox.path("intruder.c"), None, &library);
    for command in ["check", "plan", "run", "graph"] {
        let outcome = sandbox.relabel(&[command, "--locked"]).code(7);
        outcome.says(&[
            "plugin `plugin-in-c` at ",
            " was refused: its digest is [DIGEST], plugins.lock has [DIGEST]",
            "relabel.yaml:11:",
            "hint: `relabel plugins lock` accepts",
        ]);
    }
    let mut command = sandbox.command(&["run"]);
    command.env("RELABEL_LOCKED", "1");
    sandbox.outcome(command).code(7).says(&["plugins.lock has"]);
    assert!(!sandbox.path("opened").exists(), "the library was opened");
    // Unlocked it is opened, which shows that the test above can fail.
    sandbox.relabel(&["check"]).code(7);
    assert!(sandbox.path("opened").exists());
}

#[test]
fn a_rebuilt_plugin_is_accepted_by_locking_again() {
    let sandbox = locked();
    plugins::compile(&sandbox, "tests/fixtures/slow.c", None);
    sandbox.relabel(&["check", "--locked"]).code(7);
    let locked = sandbox.relabel(&["plugins", "lock", "--locked"]).ok();
    assert!(locked.out().ends_with("changed"), "{}", locked.out());
    sandbox.relabel(&["check", "--locked"]).ok();
}

#[test]
fn a_plugin_that_is_not_in_the_file() {
    let sandbox = locked();
    let set = ["--set", "nodes.oof.classifier.plugin=linear"];
    let args = [&["check", "--locked"], set.as_slice()].concat();
    sandbox.relabel(&args).code(7).says(&["plugin `linear`", "plugins.lock does not have it"]);
}

#[test]
fn plugins_by_path_are_locked_as_they_are_written() {
    let sandbox = locked();
    let path = "./plugins/libclassifier_plugin_in_c.so";
    sandbox.edit("relabel.yaml", "plugin: plugin-in-c", &format!("plugin: {path}"));
    sandbox.relabel(&["check", "--locked"]).code(7).says(&["plugins.lock does not have it"]);
    sandbox.relabel(&["plugins", "lock"]).ok();
    assert!(sandbox.read("plugins.lock").contains(&format!("- plugin: {path}\n")));
    // From another folder too: paths start from the pipeline.
    std::fs::create_dir(sandbox.path("elsewhere")).unwrap();
    let mut command = sandbox.command(&["run", "--locked", "../relabel.yaml"]);
    command.current_dir(sandbox.path("elsewhere"));
    sandbox.outcome(command).ok();
    plugins::compile(&sandbox, "tests/fixtures/slow.c", None);
    sandbox.relabel(&["check", "--locked"]).code(7).says(&["plugins.lock has"]);
}

#[test]
fn all_that_auto_may_choose_is_locked() {
    let sandbox = locked();
    let auto = "{plugin: auto, among: [majority, linear]}";
    sandbox.edit("relabel.yaml", "{plugin: plugin-in-c}", auto);
    sandbox.relabel(&["check", "--locked"]).code(7).says(&["plugins.lock does not have it"]);
    sandbox.relabel(&["plugins", "lock"]).ok();
    let text = sandbox.read("plugins.lock");
    for name in ["linear", "majority", "plugin-in-c"] {
        assert!(text.contains(&format!("- plugin: {name}\n")), "{text}");
    }
    assert!(!text.contains("plugin: auto"), "{text}");
    sandbox.relabel(&["run", "--locked"]).ok();
}

#[test]
fn no_lock_file_and_a_damaged_one() {
    let sandbox = locked();
    let text = sandbox.read("plugins.lock");
    sandbox.write("plugins.lock", text.replace("digest: ", "digest: x"));
    let outcome = sandbox.relabel(&["check", "--locked"]).code(7);
    outcome.says(&["plugins.lock:6: the lock file is damaged: ", "no digest", "hint: mend it"]);
    sandbox.relabel(&["plugins", "lock"]).code(7).says(&["plugins.lock:6: "]);
    sandbox.relabel(&["check"]).ok();

    std::fs::remove_file(sandbox.path("plugins.lock")).unwrap();
    let outcome = sandbox.relabel(&["run", "--locked"]).code(7);
    outcome.says(&["there is no plugins.lock", "hint: `relabel plugins lock relabel.yaml`"]);
    assert!(!sandbox.path(".relabel/records-v3").exists(), "nothing ran");
    let mut command = sandbox.command(&["check"]);
    command.env("RELABEL_LOCKED", "0");
    sandbox.outcome(command).ok();
}

//! Plugins that are programs, here in shell around the host of libraries: sound ones, and ones that
//! say what they must not say.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::isolation::{check_one_fold_fails, unruly};
use crate::support::{Outcome, Sandbox, plugins};

/// An audit with a program `plugin-in-c` of these lines. `$relabel` is there for them, and what
/// they need of files is in the folder `$here`.
fn with_program(lines: &str) -> Sandbox {
    let sandbox = Sandbox::audit();
    sandbox.edit("relabel.yaml", "plugin: linear", "plugin: plugin-in-c");
    write_program(&sandbox, lines);
    sandbox
}

fn write_program(sandbox: &Sandbox, lines: &str) {
    let (relabel, here) = (env!("CARGO_BIN_EXE_relabel"), sandbox.path(""));
    let text = format!("#!/bin/bash\nrelabel='{relabel}'\nhere='{}'\n{lines}\n", here.display());
    let name = "plugins/classifier-plugin-in-c.sh";
    sandbox.write(name, text);
    std::fs::set_permissions(sandbox.path(name), PermissionsExt::from_mode(0o755)).unwrap();
}

/// The example in C as a library that is no plugin by its name: only a program leads to it.
fn hidden_library(sandbox: &Sandbox) {
    plugins::compile(sandbox, "examples/plugin-c/plugin.c", None);
    let library = std::fs::read_dir(sandbox.path("plugins"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "so"))
        .unwrap();
    std::fs::rename(library, sandbox.path("hidden.so")).unwrap();
}

const HOST: &str = "exec \"$relabel\" exec-plugin --library \"$here/hidden.so\"";

#[test]
fn a_program_audits_like_the_library() {
    let sandbox = with_program(HOST);
    hidden_library(&sandbox);
    let shown = sandbox.relabel(&["plugins", "show", "plugin-in-c"]).ok();
    assert!(shown.out().contains("program, in a process of its own"), "{}", shown.out());
    assert_eq!(sandbox.run(&[]).units("run").len(), 14);
    let library = Sandbox::audit();
    library.edit("relabel.yaml", "plugin: linear", "plugin: plugin-in-c");
    plugins::compile(&library, "examples/plugin-c/plugin.c", None);
    library.run(&[]);
    assert_eq!(sandbox.frame("oof.probabilities", &[]), library.frame("oof.probabilities", &[]));
    // By its path too, and then it is the same plugin.
    let path = "plugin: ./plugins/classifier-plugin-in-c.sh";
    sandbox.edit("relabel.yaml", "plugin: plugin-in-c", path);
    assert_eq!(sandbox.run(&[]).units("run"), [""; 0]);
    let in_process = ["check", "--set", "nodes.oof.classifier.isolation=in-process"];
    let text = "cannot run as asked: a program always has a process of its own";
    sandbox.relabel(&in_process).code(2).says(&[text, "hint: take `isolation` away"]);
}

/// A run with nothing to do starts no process.
#[test]
fn its_description_is_kept() {
    let sandbox = with_program(&format!("echo started >> \"$here/starts\"\n{HOST}"));
    hidden_library(&sandbox);
    sandbox.run(&[]);
    let starts = sandbox.read("starts").lines().count();
    assert!((1..=5).contains(&starts), "{starts} starts for five folds");
    assert_eq!(sandbox.run(&[]).units("run"), [""; 0]);
    sandbox.relabel(&["check"]).ok();
    assert_eq!(sandbox.read("starts").lines().count(), starts);
    // Damaged, it is asked for again, and kept again.
    let folder = sandbox.path(".relabel/plugins-v1");
    let kept: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(kept.len(), 1);
    std::fs::write(&kept[0], "{").unwrap();
    sandbox.relabel(&["check"]).ok();
    sandbox.relabel(&["check"]).ok();
    assert_eq!(sandbox.read("starts").lines().count(), starts + 1);
    // Another program is another description.
    write_program(&sandbox, &format!("echo again >> \"$here/starts\"\n{HOST}"));
    assert_eq!(sandbox.run(&[]).reason("oof[0]"), "plugin-changed");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2);
}

#[test]
fn a_program_that_changes_while_the_run_is_on() {
    let swap = "echo \"# $$\" >> \"$here/plugins/classifier-plugin-in-c.sh\"";
    let sandbox = with_program(&format!("[ -e \"$here/known\" ] && {swap}\n{HOST}"));
    hidden_library(&sandbox);
    sandbox.relabel(&["check"]).ok();
    sandbox.write("known", "");
    let outcome = sandbox.relabel(&["run"]).code(1);
    outcome.says(&["its file changed while the run was on; run again"]);
}

#[test]
fn a_program_that_does_not_start() {
    let sandbox = with_program("");
    let broken = |text: &str| {
        let name = "plugins/classifier-plugin-in-c.sh";
        sandbox.write(name, text);
        std::fs::set_permissions(sandbox.path(name), PermissionsExt::from_mode(0o755)).unwrap();
        sandbox.relabel(&["check"]).code(7)
    };
    broken("#!/nowhere/python\n")
        .says(&["it crashed in describe: exit status 3", "cannot be started"]);
    broken("#!/bin/sh\necho no module named sklearn >&2; exit 1\n").says(&[
        "was refused: it crashed in describe: exit status 1; the last it said:",
        "  | no module named sklearn",
    ]);
    broken("#!/bin/sh\n").says(&["exit status 0, its output ended without an answer"]);
    broken("#!/bin/sh\necho Loading the model...; cat\n").says(&[
        "wrote what is no message to stdout, where only answers belong: `Loading the model...",
    ]);
}

/// The answer to `describe`, as the host of libraries gives it; `describe` is in the folder.
fn recorded_answer(sandbox: &Sandbox) {
    // One run whose requests are written down.
    let tee = "tee \"$here/requests\" | \"$relabel\" exec-plugin --library \"$here/hidden.so\"";
    write_program(sandbox, tee);
    sandbox.relabel(&["check", "--cache-dir", "elsewhere"]).ok();
    let requests = sandbox.path("requests");
    let answer = Command::new(env!("CARGO_BIN_EXE_relabel"))
        .args(["exec-plugin", "--library"])
        .arg(sandbox.path("hidden.so"))
        .stdin(std::fs::File::open(requests).unwrap())
        .stdout(Stdio::piped())
        .output()
        .unwrap();
    assert!(answer.status.success());
    assert!(answer.stdout.len() > 100);
    sandbox.write("answer", answer.stdout);
}

/// A program that describes itself as it should and then does this.
#[track_caller]
fn check_after_describe(lines: &str, texts: &[&str]) -> Outcome {
    let sandbox = with_program("");
    hidden_library(&sandbox);
    recorded_answer(&sandbox);
    write_program(&sandbox, &format!("cat \"$here/answer\"\n{lines}"));
    let outcome = sandbox.relabel(&["run"]).code(1);
    let outcome = outcome.says(&["plugin `plugin-in-c` "]).says(texts);
    // A sound program in its place comes to the end.
    write_program(&sandbox, HOST);
    sandbox.run(&[]);
    outcome
}

#[test]
fn junk_among_the_answers() {
    let text = "broke its contract in prepare: wrote what is no message to stdout";
    let shown = "`fitting... \\u{1b}[2J";
    check_after_describe("printf 'fitting... \\033[2J'; cat >/dev/null", &[text, shown]);
}

#[test]
fn the_answer_to_another_request() {
    let text = "broke its contract in prepare: answered request 1, and 2 was asked";
    check_after_describe("cat \"$here/answer\" -", &[text]);
}

#[test]
fn an_answer_cut_short() {
    let text = "crashed in prepare: exit status 0, its output ended in the middle of a message";
    check_after_describe("head -c 100 \"$here/answer\"", &[text]);
    let text = "broke its contract in prepare: its output ended in the middle of a message";
    check_after_describe("head -c 100 \"$here/answer\"; exec >&-; exec sleep 60", &[text]);
}

#[test]
fn giant_lengths() {
    let text = "sent a message that is not sound: it announces 2147483647 bytes of metadata";
    let giant = "printf '\\377\\377\\377\\377\\377\\377\\377\\177'; exec sleep 60";
    check_after_describe(giant, &[text]);
}

/// What a program starts goes with it.
#[test]
fn a_program_with_children_of_its_own() {
    let sandbox = unruly("HANGS");
    hidden_library_of(&sandbox);
    write_program(&sandbox, "\"$relabel\" exec-plugin --library \"$here/hidden.so\"");
    sandbox.edit(
        "relabel.yaml",
        "plugin: plugin-in-c",
        "plugin: ./plugins/classifier-plugin-in-c.sh, limits: {seconds: 2}",
    );
    let outcome = sandbox.relabel(&["run", "--keep-going"]).code(1);
    outcome.says(&["took longer than its limit of 2 s in fit"]);
    let pid = sandbox.read("hanging");
    let path = format!("/proc/{}/stat", pid.trim());
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while std::fs::read_to_string(&path).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(std::time::Instant::now() < deadline, "the child of the program is still there");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

fn hidden_library_of(sandbox: &Sandbox) {
    let entry = std::fs::read_dir(sandbox.path("plugins")).unwrap().next().unwrap().unwrap();
    std::fs::rename(entry.path(), sandbox.path("hidden.so")).unwrap();
}

#[test]
fn a_crash_inside_a_program() {
    let sandbox = unruly("SEGFAULT");
    hidden_library_of(&sandbox);
    write_program(&sandbox, HOST);
    check_one_fold_fails(&sandbox, &["crashed in fit: killed by SIGSEGV"]);
}

//! A whole project that cannot be written to: what only reads works there, and the rest says why not.

use std::process::Command;

use crate::support::{Outcome, Sandbox};

/// Runs the rest of a line of shell where the folder it is in cannot be written to, whoever runs it.
const READ_ONLY: &str = "exec unshare --user --map-root-user --mount bash -c \
    'mount --bind . . && mount -o remount,ro,bind . && cd \"$PWD\" && exec \"$@\"' bash \"$@\"";

/// `relabel` in a sandbox on a read-only file system.
fn read_only(sandbox: &Sandbox, args: &[&str]) -> Outcome {
    sandbox.outcome(sandbox.command_behind(READ_ONLY, args))
}

/// Takes the right to write from everything, where nothing can be mounted.
fn without_write_permission(sandbox: &Sandbox, args: &[&str]) -> Outcome {
    sandbox.outcome(sandbox.command_behind("chmod -R a-w .", args))
}

type Way = fn(&Sandbox, &[&str]) -> Outcome;

/// A way that holds for the user who runs the tests: permission bits mean nothing to root, and not
/// every machine lets a user mount.
fn way() -> Way {
    let mut probe = Command::new("unshare");
    probe.args(["--user", "--map-root-user", "--mount", "mount", "--bind", "/tmp", "/tmp"]);
    if probe.output().is_ok_and(|output| output.status.success()) {
        return read_only;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut chmod = Command::new("chmod");
    assert!(chmod.arg("a-w").arg(folder.path()).status().unwrap().success());
    let binds = std::fs::write(folder.path().join("probe"), "").is_err();
    assert!(binds, "needs user namespaces, or a user who is not root");
    without_write_permission
}

#[test]
fn what_only_reads_works_on_a_read_only_file_system() {
    let sandbox = Sandbox::audit();
    sandbox.run(&[]);
    let reads: [&[&str]; 11] = [
        &["check"],
        &["plan"],
        &["plan", "--exit-code"],
        &["explain", "decided"],
        &["explain", "oof"],
        &["show", "oof", "--limit", "3"],
        &["show", "queue"],
        &["runs", "list"],
        &["runs", "show"],
        &["review", "status"],
        &["review", "verify"],
    ];
    let before: Vec<String> = reads.iter().map(|args| sandbox.relabel(args).ok().stdout).collect();
    let read_only = way();
    for (args, before) in reads.iter().zip(before) {
        assert_eq!(read_only(&sandbox, args).ok().stdout, before, "{args:?}");
    }
    let outcome = read_only(&sandbox, &["run"]).code(3);
    outcome.says(&["cannot write to `objects-v1`", "ead-only file system"]);
}

#[test]
fn a_store_whose_last_changes_cannot_be_had_is_told() {
    let sandbox = Sandbox::audit();
    sandbox.run(&[]);
    // What a killed process leaves: changes that are not in the file yet.
    sandbox.write("relabel.db-wal", [7; 64]);
    let read_only = way();
    let why = "its folder cannot be written to, and its last changes are in";
    let plan = read_only(&sandbox, &["plan"]).code(3);
    assert!(
        plan.stdout.contains("blocked  decided") && plan.stdout.contains(why),
        "{}",
        plan.stdout
    );
    let outcome = read_only(&sandbox, &["show", "oof"]).code(3);
    outcome.says(&["`oof` as it is now cannot be judged: decided: ", why]);
    read_only(&sandbox, &["review", "status"]).code(3).says(&[why]);
}

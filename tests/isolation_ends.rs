//! How processes of plugins end: at a limit, with Ctrl-C, with relabel; and what they never see.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::isolation::{check_one_fold_fails, check_only_that_fold_is_missing, unruly};
use crate::support::Sandbox;

fn limited(define: &str, limits: &str) -> Sandbox {
    let sandbox = unruly(define);
    let limited = format!("plugin: plugin-in-c, limits: {{{limits}}}");
    sandbox.edit("relabel.yaml", "plugin: plugin-in-c", &limited);
    sandbox
}

#[test]
fn a_time_limit() {
    let sandbox = limited("HANGS", "seconds: 1");
    check_one_fold_fails(&sandbox, &["took longer than its limit of 1 s in fit\n"]);
    assert!(!is_alive(pid_of_hanging(&sandbox)));
}

#[test]
fn a_memory_limit() {
    let sandbox = limited("EATS", "memory_mb: 400");
    check_one_fold_fails(&sandbox, &["failed in fit: out of memory"]);
    let sandbox = limited("EATS_BLINDLY", "memory_mb: 400");
    let texts = ["crashed in fit: killed by SIGSEGV; its memory limit is 400 MiB"];
    check_one_fold_fails(&sandbox, &texts);
}

/// Limits decide nothing of a result: with others the same results are found.
#[test]
fn limits_are_in_no_key() {
    let sandbox = limited("PRINTS", "seconds: 100");
    std::fs::remove_file(sandbox.path("unruly")).unwrap();
    sandbox.run(&[]);
    sandbox.edit("relabel.yaml", "seconds: 100", "seconds: 200, memory_mb: 2000");
    assert_eq!(sandbox.run(&[]).units("run"), [""; 0]);
}

/// With a limit also a shipped plugin has a process of its own.
#[test]
fn limits_hold_for_shipped_plugins() {
    let sandbox = Sandbox::audit();
    let limit = ["--set", "nodes.oof.classifier.limits={memory_mb: 2}"];
    let outcome = sandbox.relabel(&[&["check"][..], &limit].concat()).code(7);
    outcome.says(&["plugin `linear` at ", "was refused: "]);
}

#[test]
fn secrets_stay_in_relabel() {
    let sandbox = unruly("TELLS");
    let mut command = sandbox.command(&["run", "--keep-going"]);
    command.env("RELABEL_STORE", "postgres://user:password@host/db").env("SECRET_TOKEN", "hush");
    let outcome = sandbox.outcome(command).code(1);
    let outcome = outcome.says(&["failed in fit: store=none token=none path=there"]);
    assert!(!outcome.err().contains("password") && !outcome.err().contains("hush"));
}

fn start(sandbox: &Sandbox) -> Child {
    let mut command = sandbox.command(&["run", "--keep-going"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until a plugin hangs; gives the id of its process.
fn pid_of_hanging(sandbox: &Sandbox) -> u32 {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !sandbox.path("hanging").exists() {
        assert!(Instant::now() < deadline, "no plugin hangs");
        sleep(Duration::from_millis(10));
    }
    sandbox.read("hanging").trim().parse().unwrap()
}

/// Whether a process runs; one that is dead and not yet buried does not.
fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(PathBuf::from(format!("/proc/{pid}/stat")));
    let state = stat.ok().and_then(|stat| Some(stat.rsplit_once(')')?.1.trim().to_owned()));
    state.is_some_and(|state| !state.starts_with('Z') && !state.starts_with('X'))
}

#[track_caller]
fn check_dies(pid: u32) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while is_alive(pid) {
        assert!(Instant::now() < deadline, "process {pid} is still there");
        sleep(Duration::from_millis(10));
    }
}

/// Processes that relabel has started and that are still there.
fn children_of(pid: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let of_task = |task: std::fs::DirEntry| {
        std::fs::read_to_string(task.path().join("children")).unwrap_or_default()
    };
    let all: Vec<String> = tasks.flatten().map(of_task).collect();
    all.iter().flat_map(|pids| pids.split_whitespace()).map(|pid| pid.parse().unwrap()).collect()
}

#[test]
fn killed_relabel_leaves_no_child() {
    let sandbox = unruly("HANGS");
    let mut relabel = start(&sandbox);
    let hanging = pid_of_hanging(&sandbox);
    assert!(is_alive(hanging));
    let children = children_of(relabel.id());
    assert!(children.contains(&hanging), "{children:?}");
    relabel.kill().unwrap();
    relabel.wait().unwrap();
    children.into_iter().for_each(check_dies);
}

#[test]
fn ctrl_c_ends_children_and_the_run() {
    let sandbox = unruly("HANGS");
    let relabel = start(&sandbox);
    let hanging = pid_of_hanging(&sandbox);
    // All but the hanging fold come to their end.
    sleep(Duration::from_millis(500));
    let status = Command::new("kill").args(["-INT", &relabel.id().to_string()]).status().unwrap();
    assert!(status.success());
    let started = Instant::now();
    let output = relabel.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(started.elapsed() < Duration::from_secs(10), "it took its time");
    assert!(stderr.contains("skipped  oof[2]"), "{stderr}");
    check_dies(hanging);
    check_only_that_fold_is_missing(&sandbox);
}

/// The group of a child is not relabel's: what a terminal sends to that does not reach it.
#[test]
fn a_child_leads_a_group_of_its_own() {
    let sandbox = unruly("HANGS");
    let mut relabel = start(&sandbox);
    let hanging = pid_of_hanging(&sandbox);
    let stat = std::fs::read_to_string(format!("/proc/{hanging}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    assert_eq!(fields[2], hanging.to_string(), "state, parent, group: {fields:?}");
    let limits = std::fs::read_to_string(format!("/proc/{hanging}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    relabel.kill().unwrap();
    relabel.wait().unwrap();
    check_dies(hanging);
}

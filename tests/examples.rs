//! The examples do what their README says.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::authors::{cargo_build, make, path_with, python_with};
use crate::support::{Record, Sandbox, records, repository};

/// Copies the files of a folder of this repository; what was built there stays behind.
fn copy(from: &str, sandbox: &Sandbox, to: &str) {
    for entry in std::fs::read_dir(repository().join(from)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let is_built = name == "target" || name == "Cargo.lock" || name.ends_with(".so");
        if entry.file_type().unwrap().is_dir() && !is_built {
            copy(&format!("{from}/{name}"), sandbox, &format!("{to}/{name}"));
        } else if !is_built {
            // Keeps the bit that makes a program of it.
            let path = sandbox.path(&format!("{to}/{name}"));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::copy(entry.path(), path).unwrap();
        }
    }
}

/// The path of this repository in a copied file that leads to it by `../..`.
#[track_caller]
fn lead_back(sandbox: &Sandbox, file: &str) {
    sandbox.edit(file, "../..", &repository().display().to_string());
}

#[test]
fn a_first_audit() {
    let sandbox = Sandbox::empty();
    let folder = repository().join("examples/first-audit");
    for name in ["decisions.csv", "messages.csv", "relabel.yaml"] {
        sandbox.write(name, std::fs::read(folder.join(name)).unwrap());
    }
    sandbox.run(&[]);
    let queued = sandbox.relabel(&["show", "queue", "--format", "csv"]).ok();
    assert!(queued.stdout.contains("m08,") && queued.stdout.contains("m16,"), "{}", queued.stdout);
    sandbox.relabel(&["review", "import", "decisions.csv"]).ok();
    let events = sandbox.run(&[]);
    assert_eq!(events.reason("decided"), "ledger-changed");
    let cleaned = sandbox.read("out/cleaned.csv");
    let corrected: Vec<&str> =
        cleaned.lines().filter(|line| line.contains(",correction,")).collect();
    assert_eq!(corrected.len(), 2, "{cleaned}");
    assert!(corrected[0].starts_with("m08,") && corrected[1].starts_with("m16,"), "{corrected:?}");
}

#[test]
fn the_plugin_in_c() {
    let sandbox = Sandbox::audit();
    copy("examples/plugin-c", &sandbox, "plugin");
    lead_back(&sandbox, "plugin/Makefile");
    make(&sandbox.path("plugin"));
    let library = "./plugin/libclassifier_plugin_in_c.so";
    sandbox.relabel(&["plugins", "check", library]).ok();
    sandbox.edit("relabel.yaml", "plugin: linear", &format!("plugin: {library}"));
    assert!(accuracy(&sandbox) > 0.8);
}

#[test]
fn the_plugin_in_rust() {
    let sandbox = Sandbox::audit();
    copy("examples/plugin-rust", &sandbox, "plugin");
    lead_back(&sandbox, "plugin/Cargo.toml");
    let folder = sandbox.path("plugin");
    cargo_build(&folder, &folder.join("target"));
    let library = "./plugin/target/release/libclassifier_plugin_in_rust.so";
    sandbox.relabel(&["plugins", "check", library]).ok();
    sandbox.edit("relabel.yaml", "plugin: linear", &format!("plugin: {library}"));
    assert!(accuracy(&sandbox) > 0.8);
}

fn accuracy(sandbox: &Sandbox) -> f64 {
    sandbox.run(&[]).unit("oof")["notes"][0]["value"].as_f64().unwrap()
}

#[test]
fn the_plugin_in_python() {
    let packages = "numpy, pyarrow, sklearn";
    let Some(python) = python_with(packages, "examples::the_plugin_in_python") else { return };
    let sandbox = Sandbox::empty();
    copy("examples/plugin-python", &sandbox, ".");
    let relabel = |args: &[&str]| {
        let mut command = sandbox.command(args);
        command.env("PATH", path_with(&python));
        sandbox.outcome(command)
    };
    relabel(&["plugins", "check", "./classifier-sklearn.py"]).ok();
    relabel(&["run"]).ok();
    let found = relabel(&["show", "suspicious", "--format", "csv"]).ok().stdout;
    assert!(found.contains("b11,") && found.contains("b34,"), "{found}");
    assert!(Path::new(&sandbox.path(".relabel")).exists());
}

/// The program of the benchmark. `cargo test --workspace` builds it, a narrower call does not.
fn benchmark() -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_relabel")).parent().unwrap();
    let program = folder.join("examples/benchmark");
    if !program.exists() {
        let mut command = Command::new(env!("CARGO"));
        command.args(["build", "--offline", "--quiet", "-p", "plugin-host"]);
        command.args(["--example", "benchmark"]);
        command.args(folder.ends_with("release").then_some("--release"));
        command.env("CARGO_TARGET_DIR", folder.parent().unwrap()).current_dir(repository());
        assert!(command.status().unwrap().success());
    }
    program
}

#[test]
fn the_benchmark() {
    let packages = "numpy, sklearn";
    let Some(python) = python_with(packages, "examples::the_benchmark") else { return };
    let sandbox = Sandbox::audit();
    let output = Command::new(python.join("python3"))
        .arg(repository().join("examples/benchmark/compare.py"))
        .args(["records.csv", "--plugins", "linear", "majority", "--peers", "sgd", "--runs", "1"])
        .arg("--program")
        .arg(benchmark())
        // Cargo builds the libraries that tests use into this folder.
        .env("RELABEL_PLUGIN_PATH", Path::new(env!("CARGO_BIN_EXE_relabel")).with_file_name("deps"))
        .current_dir(sandbox.path(""))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let table = String::from_utf8(output.stdout).unwrap();
    let log_loss = |name: &str| -> f64 {
        let row = table.lines().find(|line| line.contains(&format!("| {name} |"))).unwrap();
        row.split('|').nth(8).unwrap().trim().parse().unwrap()
    };
    // Guessing among four classes of one size costs the logarithm of four.
    assert!((log_loss("majority") - 4.0_f64.ln()).abs() < 0.05, "{table}");
    assert!(["linear", "sgd"].iter().all(|name| log_loss(name) > 0.0), "{table}");
    assert_eq!(sandbox.read("results.jsonl").lines().count(), 3);
}

#[test]
fn the_benchmark_of_audits() {
    let Some(python) = python_with("numpy", "examples::the_benchmark_of_audits") else { return };
    let sandbox = Sandbox::empty();
    let row = |r: &Record| format!("{},{},{},{}\n", r.id, r.text, r.label, r.truth);
    let rows: String = records(300, 7).iter().map(row).collect();
    sandbox.write("known.csv", format!("record_id,text,label,true_label\n{rows}"));
    let output = Command::new(python.join("python3"))
        .arg(repository().join("examples/benchmark/audit.py"))
        .args(["known.csv", "--parts", "effort", "--rounds", "2", "--budget", "8", "--errs", "0"])
        .args(["--c", "--models", "linear", "--program", env!("CARGO_BIN_EXE_relabel")])
        .env("RELABEL_PLUGIN_PATH", Path::new(env!("CARGO_BIN_EXE_relabel")).with_file_name("deps"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(sandbox.path(""))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = sandbox.read("audit.jsonl");
    let lines: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    for line in lines {
        let left = line["left"].as_array().unwrap();
        let (first, last) = (left[0].as_u64().unwrap(), left.last().unwrap().as_u64().unwrap());
        assert_eq!((line["reviewed"].as_u64(), line["errors"].as_u64()), (Some(16), Some(first)));
        assert!(last + 8 < first, "most of sixteen reviews find an error: {line}");
    }
}

#[test]
fn every_example_is_run_by_a_test() {
    let mut names: Vec<String> = std::fs::read_dir(repository().join("examples"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(
        names,
        ["benchmark", "first-audit", "plugin-c", "plugin-python", "plugin-rust"],
        "a new example needs a test here"
    );
}

//! The rules of the project as tests: layout, crate edges, sizes, the plugin boundary's version.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::data::TAXONOMY;
use crate::support::{Sandbox, records, repository, to_csv};

/// What each crate may use of ours. Tests may use more; plugins are any `classifier-*`.
const EDGES: [(&str, &[&str]); 12] = [
    ("plan", &[]),
    ("cache", &[]),
    ("label-issues", &[]),
    ("plugin-abi", &[]),
    ("engine", &["plan", "cache"]),
    ("nodes", &["engine", "plan", "label-issues", "review-store"]),
    ("plugin-host", &["engine", "plugin-abi"]),
    ("review-store", &[]),
    ("review-web", &["review-store"]),
    ("route-service", &["engine", "plugin-host"]),
    ("plugin-sdk", &["plugin-abi"]),
    ("classifier-", &["plugin-sdk"]),
];

/// Crates of others that these must never use.
const HEAVY: [&str; 8] =
    ["polars", "tokio", "clap", "sqlx", "axum", "rusqlite", "indicatif", "signal-hook"];

/// Crates that know bytes and numbers only.
const LIGHT: [&str; 4] = ["plan", "cache", "label-issues", "plugin-abi"];

const TOP_LEVEL: [&str; 5] = ["examples", "pipelines", "plugins", "runner", "tests"];

/// Digest of `plugin.h` and the sources of `plugin-abi`, and the ABI version it belongs to.
const ABI: (u32, &str) = (1, "78c2ad91052ffce9e05a5419adf282fe");

struct Package {
    name: String,
    folder: PathBuf,
    /// Dependencies of the crate itself, not of its tests.
    dependencies: Vec<String>,
    dev_dependencies: Vec<String>,
}

fn packages() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--format-version", "1", "--no-deps"])
        .current_dir(repository())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let package = |package: &Value| {
        let names = |wanted: &dyn Fn(&Value) -> bool| -> Vec<String> {
            let all = package["dependencies"].as_array().unwrap().iter();
            all.filter(|d| wanted(&d["kind"])).map(|d| d["name"].as_str().unwrap().into()).collect()
        };
        let manifest = Path::new(package["manifest_path"].as_str().unwrap());
        Package {
            name: package["name"].as_str().unwrap().to_owned(),
            folder: manifest.parent().unwrap().to_owned(),
            dependencies: names(&|kind| kind != "dev"),
            dev_dependencies: names(&|kind| kind == "dev"),
        }
    };
    metadata["packages"].as_array().unwrap().iter().map(package).collect()
}

fn allowed(name: &str) -> Option<&'static [&'static str]> {
    let is = |row: &str| row == name || (row.ends_with('-') && name.starts_with(row));
    EDGES.iter().find(|(row, _)| is(row)).map(|(_, edges)| *edges)
}

#[test]
fn crates_use_what_they_may() {
    let packages = packages();
    let ours: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    for package in packages.iter().filter(|package| package.name != "cli") {
        let name = &package.name;
        let allowed = allowed(name).unwrap_or_else(|| {
            panic!("crate `{name}` is not in the table of edges; add it with a reason")
        });
        for used in package.dependencies.iter().filter(|used| ours.contains(used.as_str())) {
            assert!(allowed.contains(&used.as_str()), "`{name}` must not use `{used}`");
        }
        let all = package.dependencies.iter().chain(&package.dev_dependencies);
        assert!(all.into_iter().all(|used| used != "cli"), "`{name}` uses the command line");
        for heavy in package.dependencies.iter().filter(|_| LIGHT.contains(&name.as_str())) {
            let is_heavy = HEAVY.iter().any(|word| heavy == word || heavy.starts_with("polars-"));
            assert!(!is_heavy, "`{name}` must not use `{heavy}`");
        }
    }
    let polars = |name: &str| {
        let package = packages.iter().find(|package| package.name == name);
        package.is_some_and(|package| package.dependencies.iter().any(|d| d.starts_with("polars")))
    };
    for name in ["plugin-host", "review-store", "review-web", "plugin-sdk", "plugin-abi"] {
        assert!(!polars(name), "`{name}` must not use polars");
    }
}

#[test]
fn a_crate_is_named_by_its_folder() {
    for package in packages() {
        assert_eq!(package.folder.file_name().unwrap().to_str(), Some(package.name.as_str()));
        let parent = package.folder.parent().unwrap().file_name().unwrap();
        let is_plugin = package.name.starts_with("plugin-a")
            || package.name.starts_with("plugin-s")
            || package.name.starts_with("classifier-");
        assert_eq!(parent, if is_plugin { "plugins" } else { "runner" }, "{}", package.name);
    }
}

/// Files below the folders of the project, by ending; what builds and runs leave behind is not ours.
fn files(ending: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                walk(&path, ending, found);
            } else if name.ends_with(ending) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    TOP_LEVEL.iter().for_each(|name| walk(&repository().join(name), ending, &mut found));
    found.sort();
    assert!(!found.is_empty());
    found
}

fn shown(path: &Path) -> String {
    path.strip_prefix(repository()).unwrap_or(path).display().to_string()
}

#[test]
fn files_are_short() {
    let length = |path: &PathBuf| std::fs::read_to_string(path).unwrap().lines().count();
    let long: Vec<String> = [".rs", ".c", ".h"]
        .into_iter()
        .flat_map(files)
        .filter(|path| length(path) > 500)
        .map(|path| shown(&path))
        .collect();
    assert_eq!(long, [""; 0], "over 500 lines: split them");
}

#[test]
fn rust_files_say_what_they_are() {
    let silent: Vec<String> = files(".rs")
        .iter()
        .filter(|path| !std::fs::read_to_string(path).unwrap().starts_with("//!"))
        .map(|path| shown(path))
        .collect();
    assert_eq!(silent, [""; 0], "each file opens with `//!`");
}

#[test]
fn only_the_output_module_prints() {
    let macros = ["print!(", "println!(", "eprint!(", "eprintln!(", "dbg!("];
    for path in files(".rs") {
        let name = shown(&path);
        let may = name.starts_with("runner/cli/src/output") || name.contains("/examples/");
        // A build script speaks to cargo by printing.
        let may = may || name.ends_with("/build.rs");
        if may || name.contains("tests/") {
            continue;
        }
        for (n, line) in std::fs::read_to_string(&path).unwrap().lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let prints = macros.iter().any(|name| {
                code.match_indices(name)
                    .any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
            });
            assert!(!prints, "{name}:{} prints; only runner/cli/src/output may", n + 1);
        }
    }
}

/// What polars computes in another order from run to run, or with another number of threads.
const UNORDERED: [(&str, &str); 10] = [
    (".group_by(", "sort by key first, or count in integers by hand"),
    (".group_by_stable(", "its order is kept, its float sums are not"),
    (".over(", "grouped windows sum floats in any order"),
    (".unique(", "use `unique_stable` with `UniqueKeepStrategy::First`"),
    ("UniqueKeepStrategy::Any", "use `UniqueKeepStrategy::First`"),
    ("left_join(", "look rows up by record id"),
    ("inner_join(", "look rows up by record id"),
    ("full_join(", "look rows up by record id"),
    ("JoinArgs", "look rows up by record id, or say `maintain_order`"),
    ("par_iter", "a float sum over threads has no order"),
];

/// Results may not depend on threads; a test on few rows does not notice when they do.
#[test]
fn node_kinds_leave_out_what_has_no_order() {
    let mut found = Vec::new();
    for path in files(".rs") {
        let name = shown(&path);
        if !name.starts_with("runner/nodes/src/") {
            continue;
        }
        for (n, line) in std::fs::read_to_string(&path).unwrap().lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let bad = UNORDERED
                .iter()
                .filter(|(word, _)| code.contains(word) && !code.contains("MaintainOrderJoin"));
            found.extend(bad.map(|(word, hint)| format!("{name}:{}: `{word}`: {hint}", n + 1)));
        }
    }
    assert_eq!(found, [""; 0]);
}

#[test]
fn every_test_file_is_declared() {
    let main = std::fs::read_to_string(repository().join("tests/main.rs")).unwrap();
    for entry in std::fs::read_dir(repository().join("tests")).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        if path.extension().is_some_and(|extension| extension == "rs") && stem != "main" {
            assert!(main.contains(&format!("mod {stem};")), "tests/{stem}.rs is not in main.rs");
        }
    }
}

#[test]
fn nothing_lies_about_at_the_top() {
    let output = Command::new("git").args(["ls-files"]).current_dir(repository()).output().unwrap();
    let names: BTreeSet<String> = if output.status.success() && !output.stdout.is_empty() {
        let text = String::from_utf8(output.stdout).unwrap();
        let tops = text.lines().filter_map(|path| path.split_once('/'));
        tops.map(|(top, _)| top.to_owned()).collect()
    } else {
        let entries = std::fs::read_dir(repository()).unwrap().map(|entry| entry.unwrap().path());
        let folders = entries.filter(|path| path.is_dir());
        let name = |path: PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        folders.map(name).filter(|name| name != "target" && name != "relabel-demo").collect()
    };
    for name in names.iter().filter(|name| !name.starts_with('.')) {
        assert!(TOP_LEVEL.contains(&name.as_str()), "`{name}/` does not belong at the top");
    }
}

#[test]
fn shipped_pipelines_pass_the_check() {
    let sandbox = Sandbox::empty();
    let data = to_csv(&records(300, 7));
    for name in ["records.csv", "gold.csv"] {
        sandbox.write(name, &data);
    }
    sandbox.write("taxonomy.yaml", TAXONOMY);
    let mut checked = 0;
    for entry in std::fs::read_dir(repository().join("pipelines")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".yaml") {
            sandbox.write(&name, std::fs::read(&path).unwrap());
            sandbox.relabel(&["check", &name]).ok();
            sandbox.relabel(&["run", &name]).ok();
            checked += 1;
        }
    }
    assert!(checked >= 2);
}

#[test]
fn the_plugin_boundary_changes_with_its_version_only() {
    let folder = repository().join("plugins/plugin-abi");
    let mut paths = vec![folder.join("plugin.h")];
    let sources = std::fs::read_dir(folder.join("src")).unwrap();
    paths.extend(sources.map(|entry| entry.unwrap().path()));
    paths.sort();
    let mut hasher = blake3::Hasher::new();
    for path in &paths {
        let text = std::fs::read(path).unwrap();
        hasher.update(&(text.len() as u64).to_le_bytes()).update(&text);
    }
    let digest = hasher.finalize().to_hex();
    let source = std::fs::read_to_string(folder.join("src/lib.rs")).unwrap();
    let header = std::fs::read_to_string(folder.join("plugin.h")).unwrap();
    let (version, known) = ABI;
    assert!(source.contains(&format!("pub const ABI_VERSION: u32 = {version};")));
    assert!(header.contains(&format!("#define RELABEL_ABI_VERSION {version}")));
    assert_eq!(
        &digest.as_str()[..32],
        known,
        "plugin-abi has changed. If what a plugin may rely on did, raise ABI_VERSION in lib.rs and \
         plugin.h and add a line to the table in lib.rs; then put version and digest into `ABI`"
    );
}

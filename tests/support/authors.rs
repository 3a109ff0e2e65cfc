//! What plugin authors have: a Rust toolchain, a C compiler, and Python where it is installed.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Set where Python and its packages must be there: a folder whose `bin/python3` has them.
const PYTHON_VENV: &str = "RELABEL_TEST_VENV";

/// Builds a crate of its own in `folder`, without the network.
#[track_caller]
pub fn cargo_build(folder: &Path, target: &Path) {
    let output = Command::new(env!("CARGO"))
        .args(["build", "--release", "--offline", "--quiet"])
        .env("CARGO_TARGET_DIR", target)
        // What the surrounding build says of itself must not reach this one.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_BUILD_TARGET")
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "the compiler warns");
}

/// `make` in a folder; its Makefile says -Wall -Wextra -Werror -pedantic.
#[track_caller]
pub fn make(folder: &Path) {
    let makefile = std::fs::read_to_string(folder.join("Makefile")).unwrap();
    assert!(makefile.contains("-std=c11 -O2 -Wall -Wextra -Werror -pedantic"), "{makefile}");
    // The rule is run by hand: `make` itself may not be installed where a compiler is.
    let rule = makefile.lines().find_map(|line| line.strip_prefix("\t$(CC) ")).unwrap();
    let target = makefile.lines().find_map(|line| line.split_once(".so:")).unwrap().0;
    let header = makefile.lines().find_map(|line| line.strip_prefix("HEADER = ")).unwrap_or(".");
    let rule = rule.replace("$@", &format!("{target}.so")).replace("$(HEADER)", header);
    let output = Command::new("cc").args(rule.split(' ')).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The folder of a `python3` that has these packages, to be put first on PATH; or nothing, said
/// aloud past the capture of test output.
#[track_caller]
pub fn python_with(packages: &str, test: &str) -> Option<PathBuf> {
    let folder = std::env::var_os(PYTHON_VENV).map(|venv| PathBuf::from(venv).join("bin"));
    let python = folder.as_deref().map_or("python3".into(), |folder| folder.join("python3"));
    let outcome = Command::new(&python).args(["-c", &format!("import {packages}")]).output();
    let problem = match outcome {
        Ok(output) if output.status.success() => {
            return Some(folder.unwrap_or_else(folder_of_python));
        }
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            text.lines().last().unwrap_or_default().to_owned()
        }
        Err(error) => error.to_string(),
    };
    assert!(
        folder.is_none(),
        "{PYTHON_VENV} is set, and {} has not all: {problem}",
        python.display()
    );
    let text = format!("SKIPPED {test}: it needs python3 with {packages} ({problem})\n");
    std::io::stderr().write_all(text.as_bytes()).unwrap();
    None
}

fn folder_of_python() -> PathBuf {
    let code = "import os, sys; print(os.path.dirname(sys.executable))";
    let output = Command::new("python3").args(["-c", code]).output().unwrap();
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

/// PATH with a folder in front.
pub fn path_with(folder: &Path) -> std::ffi::OsString {
    let rest = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_owned()).chain(std::env::split_paths(&rest));
    std::env::join_paths(folders).unwrap()
}

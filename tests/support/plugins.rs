//! Classifier plugins in C, compiled by the tests: whole ones, slow ones and broken ones.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Sandbox, repository};

/// Compiles a C file of this repository into the plugin `plugin-in-c` in the sandbox's `plugins/`.
pub fn compile(sandbox: &Sandbox, source: &str, define: Option<&str>) -> PathBuf {
    let folder = sandbox.path("plugins");
    std::fs::create_dir_all(&folder).unwrap();
    let library = folder.join(library_file_name("plugin-in-c"));
    compile_to(&repository().join(source), define, &library);
    library
}

/// Compiles with warnings as errors, as a plugin author would.
pub fn compile_to(source: &Path, define: Option<&str>, library: &Path) {
    let output = Command::new("cc")
        .args(["-std=c11", "-D_POSIX_C_SOURCE=200809L", "-O1", "-Wall", "-Wextra", "-Werror"])
        .args(["-fPIC", "-shared"])
        .args(define.map(|define| format!("-D{define}")))
        .arg("-I")
        .arg(repository().join("plugins/plugin-abi"))
        .arg(source)
        .arg("-o")
        .arg(library)
        .output()
        .expect("a C compiler named `cc` is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn library_file_name(name: &str) -> String {
    let name = name.replace('-', "_");
    format!("{}classifier_{name}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX)
}

//! The files of a new plugin, by language. They are the examples of this repository and, for Rust,
//! the sources of the SDK, taken into the program when it is compiled.

/// A file of a new plugin: its path there, and what it holds.
#[derive(Debug, Clone, Copy)]
pub struct File {
    pub path: &'static str,
    pub text: &'static str,
    /// It is started as a program.
    pub is_program: bool,
}

/// A file of this repository under another path.
macro_rules! file {
    ($path:literal, $source:literal) => {
        File {
            path: $path,
            text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../", $source)),
            is_program: false,
        }
    };
}

/// A source file of the SDK or the ABI, which has the same path in the plugin's `vendor/`.
macro_rules! vendored {
    ($path:literal) => {
        File {
            path: concat!("vendor/", $path),
            text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../plugins/", $path)),
            is_program: false,
        }
    };
}

pub const RUST: &[File] = &[
    file!("Cargo.toml", "runner/cli/templates/rust/Cargo.toml"),
    file!("README.md", "runner/cli/templates/rust/README.md"),
    file!("src/lib.rs", "examples/plugin-rust/src/lib.rs"),
    file!("vendor/plugin-abi/Cargo.toml", "runner/cli/templates/rust/plugin-abi.toml"),
    vendored!("plugin-abi/plugin.h"),
    vendored!("plugin-abi/src/arrow.rs"),
    vendored!("plugin-abi/src/lib.rs"),
    file!("vendor/plugin-sdk/Cargo.toml", "runner/cli/templates/rust/plugin-sdk.toml"),
    vendored!("plugin-sdk/src/abi_table.rs"),
    vendored!("plugin-sdk/src/arrow_in.rs"),
    vendored!("plugin-sdk/src/arrow_out.rs"),
    vendored!("plugin-sdk/src/bytes.rs"),
    vendored!("plugin-sdk/src/calibrate.rs"),
    vendored!("plugin-sdk/src/checks.rs"),
    vendored!("plugin-sdk/src/context.rs"),
    vendored!("plugin-sdk/src/envelope.rs"),
    vendored!("plugin-sdk/src/error.rs"),
    vendored!("plugin-sdk/src/lanes.rs"),
    vendored!("plugin-sdk/src/lib.rs"),
    vendored!("plugin-sdk/src/math.rs"),
    vendored!("plugin-sdk/src/random.rs"),
    vendored!("plugin-sdk/src/text/counts.rs"),
    vendored!("plugin-sdk/src/text/log_linear.rs"),
    vendored!("plugin-sdk/src/text/mod.rs"),
    vendored!("plugin-sdk/src/text/projection.rs"),
    vendored!("plugin-sdk/src/text/selection.rs"),
    vendored!("plugin-sdk/src/text/tokens.rs"),
    vendored!("plugin-sdk/src/text/vectoriser.rs"),
    vendored!("plugin-sdk/src/threads.rs"),
];

pub const C: &[File] = &[
    file!("Makefile", "runner/cli/templates/c/Makefile"),
    file!("README.md", "runner/cli/templates/c/README.md"),
    file!("plugin.c", "examples/plugin-c/plugin.c"),
    file!("plugin.h", "plugins/plugin-abi/plugin.h"),
];

pub const PYTHON: &[File] = &[
    file!("README.md", "runner/cli/templates/python/README.md"),
    File {
        path: "classifier-@NAME@.py",
        text: include_str!("../../../templates/python/classifier.py"),
        is_program: true,
    },
    file!("relabel_plugin.py", "examples/plugin-python/relabel_plugin.py"),
];

/// Puts the plugin's name in the places of a path or text that are made for it.
///
/// The examples have names of their own there. Nothing else in these files holds one of the words;
/// a test of the generated plugins looks.
pub fn with_name(text: &str, name: &str) -> String {
    let underscored = name.replace('-', "_");
    text.replace("@LIBRARY@", &plugin_host::library_file_name(name))
        .replace("@NAME@", name)
        .replace("plugin-in-rust", name)
        .replace("plugin-in-c", name)
        .replace("plugin_in_c", &underscored)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::{Path, PathBuf};

    use super::*;

    fn repository() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    fn files_below(folder: &Path, found: &mut BTreeSet<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files_below(&path, found);
            } else {
                found.insert(path);
            }
        }
    }

    #[test]
    fn no_source_of_the_sdk_is_forgotten() {
        let plugins = repository().join("plugins");
        for crate_name in ["plugin-abi", "plugin-sdk"] {
            let mut on_disk = BTreeSet::new();
            files_below(&plugins.join(crate_name), &mut on_disk);
            let on_disk: BTreeSet<String> = on_disk
                .iter()
                .map(|path| path.strip_prefix(&plugins).unwrap().display().to_string())
                .collect();
            let prefix = format!("vendor/{crate_name}/");
            let carried: BTreeSet<String> = RUST
                .iter()
                .filter(|file| file.path.starts_with(&prefix))
                .map(|file| file.path["vendor/".len()..].to_owned())
                .collect();
            assert_eq!(carried, on_disk, "the table RUST lacks a file, or has one too many");
        }
    }

    /// Dependencies of a manifest by name, with version and features.
    fn dependencies(manifest: &str, section: &str) -> BTreeMap<String, String> {
        let lines = manifest.lines().skip_while(|line| *line != section).skip(1);
        let lines = lines.take_while(|line| !line.starts_with('['));
        let pairs = lines.filter(|line| !line.starts_with('#')).filter_map(|l| l.split_once('='));
        pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect()
    }

    #[test]
    fn the_vendored_manifest_is_that_of_the_workspace() {
        let read = |path: &str| std::fs::read_to_string(repository().join(path)).unwrap();
        let workspace = dependencies(&read("Cargo.toml"), "[workspace.dependencies]");
        for crate_name in ["plugin-abi", "plugin-sdk"] {
            let manifest = read(&format!("plugins/{crate_name}/Cargo.toml"));
            let own = dependencies(&manifest, "[dependencies]");
            let path = format!("vendor/{crate_name}/Cargo.toml");
            let carried = RUST.iter().find(|file| file.path == path).unwrap();
            let carried = dependencies(carried.text, "[dependencies]");
            let names: BTreeSet<&str> =
                own.keys().map(|name| name.trim_end_matches(".workspace")).collect();
            assert_eq!(carried.keys().map(String::as_str).collect::<BTreeSet<_>>(), names);
            for (name, value) in carried.iter().filter(|(name, _)| *name != "plugin-abi") {
                assert_eq!(value, &workspace[name], "`{name}` of {path}");
            }
        }
    }
}

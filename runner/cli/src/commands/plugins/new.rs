//! `relabel plugins new`: a plugin that builds and keeps the contract, to start from.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde_json::json;

use super::template::{self, File};
use crate::args::Format;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;

/// Longer names make file names that some systems refuse.
const LONGEST_NAME: usize = 64;

/// Writes a new plugin that builds and passes `relabel plugins check`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The word for it in pipelines: a-z, 0-9 and `-`
    name: String,
    /// What it is written in
    #[arg(long, value_enum, default_value_t = Language::Rust)]
    language: Language,
    /// Folder to make; named like the plugin if absent
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Language {
    Rust,
    C,
    Python,
}

impl Language {
    fn files(self) -> &'static [File] {
        match self {
            Language::Rust => template::RUST,
            Language::C => template::C,
            Language::Python => template::PYTHON,
        }
    }

    /// What has to be run in the new folder, if anything.
    fn build(self) -> Option<&'static str> {
        match self {
            Language::Rust => Some("cargo build --release"),
            Language::C => Some("make"),
            Language::Python => None,
        }
    }

    /// The plugin's file after that, in the new folder.
    fn product(self, name: &str) -> String {
        let library = plugin_host::library_file_name(name);
        match self {
            Language::Rust => format!("./target/release/{library}"),
            Language::C => format!("./{library}"),
            Language::Python => format!("./classifier-{name}.py"),
        }
    }
}

pub fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let name = checked_name(&args.name)?;
    let folder = args.folder.clone().unwrap_or_else(|| PathBuf::from(name));
    let shown = folder.display().to_string();
    if folder.symlink_metadata().is_ok() {
        return Err(CliError::usage(format!("`{shown}` is there already; nothing was written"))
            .with_hint("choose another folder with `--folder DIR`"));
    }
    let files = args.language.files();
    if let Err(error) = write(&folder, files, name) {
        // Half a plugin helps nobody, and a second try would find the folder in its way.
        let _ = std::fs::remove_dir_all(&folder);
        let message = format!("cannot write `{shown}`: {error}");
        return Err(CliError::new(Exit::Internal, message));
    }
    let product = args.language.product(name);
    let mut steps = vec![format!("cd {shown}")];
    steps.extend(args.language.build().map(str::to_owned));
    steps.push(format!("relabel plugins check {product}"));
    if context.format == Format::Json {
        let paths: Vec<String> =
            files.iter().map(|file| template::with_name(file.path, name)).collect();
        output::json(&json!({
            "schema_version": 1,
            "plugin": name,
            "folder": shown,
            "files": paths,
            "next": steps,
        }));
        return Ok(Exit::Done);
    }
    output::result(format!("{shown}: plugin `{name}`, {} files; README.md says more", files.len()));
    output::info("next:");
    steps.iter().for_each(|step| output::info(format!("    {step}")));
    Ok(Exit::Done)
}

fn checked_name(name: &str) -> Result<&str, CliError> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let edges = |name: &str| name.starts_with('-') || name.ends_with('-');
    if name.is_empty() || !name.bytes().all(allowed) || edges(name) {
        return Err(CliError::usage(format!("`{name}` is no name for a plugin"))
            .with_hint("take a-z and 0-9, with `-` between them, such as `nearest-words`"));
    }
    if name.len() > LONGEST_NAME {
        let length = name.len();
        return Err(CliError::usage(format!("the name has {length} letters"))
            .with_hint(format!("{LONGEST_NAME} are the most")));
    }
    Ok(name)
}

fn write(folder: &Path, files: &[File], name: &str) -> std::io::Result<()> {
    for file in files {
        let path = folder.join(template::with_name(file.path, name));
        std::fs::create_dir_all(path.parent().unwrap_or(folder))?;
        std::fs::write(&path, template::with_name(file.text, name))?;
        if file.is_program {
            make_program(&path)?;
        }
    }
    Ok(())
}

#[cfg(unix)]
fn make_program(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755))
}

#[cfg(not(unix))]
fn make_program(_: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_a_pipeline_can_say() {
        for name in ["a", "nearest-words", "x2", "2x", &"a".repeat(64)] {
            assert_eq!(checked_name(name).unwrap(), name);
        }
        for name in ["", "A", "a_b", "a/b", "..", "-a", "a-", "a b", "é", &"a".repeat(65)] {
            assert!(checked_name(name).is_err(), "{name}");
        }
    }
}

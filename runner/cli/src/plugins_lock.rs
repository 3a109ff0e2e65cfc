//! plugins.lock: which file each plugin of a pipeline is, by digest.
//!
//! YAML, version 1, entries sorted by plugin; the same plugins give the same bytes. It lies beside
//! the pipeline, and holds the plugins of all pipelines of that folder. Plugins without `/` are
//! names on the search path, others are paths from that folder, as in a pipeline.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use plugin_host::Pins;
use serde::{Deserialize, Serialize};

use crate::error::{CliError, Exit};

const FILE_NAME: &str = "plugins.lock";
const VERSION: u32 = 1;
const HEADER: &str =
    "# Written by `relabel plugins lock`; with `--locked` any other plugin is refused.\n";

/// A lock file, read or to be written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PluginsLock {
    /// By name or path, as pipelines write it.
    pub plugins: BTreeMap<String, LockedPlugin>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedPlugin {
    pub version: String,
    /// BLAKE3 of the file, 64 hexadecimal digits.
    pub digest: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    plugins: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    plugin: String,
    version: String,
    digest: String,
}

fn is_digest(digest: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    digest.len() == 64 && digest.bytes().all(is_digit)
}

impl PluginsLock {
    /// Where the lock file of a pipeline is.
    pub fn path_beside(pipeline: &Path) -> PathBuf {
        pipeline.with_file_name(FILE_NAME)
    }

    /// Reads the lock file of a pipeline, which has to be there.
    pub fn read_beside(pipeline: &Path) -> Result<PluginsLock, CliError> {
        let path = PluginsLock::path_beside(pipeline);
        PluginsLock::read(&path)?.ok_or_else(|| {
            let message = format!("there is no {}, and plugins are locked", path.display());
            let hint = format!(
                "`relabel plugins lock {}` accepts the plugins as they are now",
                pipeline.display()
            );
            CliError::new(Exit::Refused, message).with_hint(hint)
        })
    }

    /// Reads a lock file if there is one; a damaged one is an error with its line.
    pub fn read(path: &Path) -> Result<Option<PluginsLock>, CliError> {
        let refused = |at: String, why: String| {
            CliError::new(Exit::Refused, format!("{at}: the lock file is damaged: {why}"))
                .with_hint("mend it, or delete it and write it anew with `relabel plugins lock`")
        };
        let shown = path.display();
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                let message = format!("cannot read {shown}: {error}");
                return Err(CliError::new(Exit::Refused, message));
            }
        };
        let text = match str::from_utf8(&bytes) {
            Ok(text) => text,
            Err(error) => {
                let line = 1 + bytes[..error.valid_up_to()].iter().filter(|b| **b == b'\n').count();
                return Err(refused(format!("{shown}:{line}"), "it is not UTF-8".to_owned()));
            }
        };
        let document: Document = serde_yaml::from_str(text).map_err(|error| {
            // Where the parser names no place, it is the document as a whole that is wrong.
            let line = error.location().map_or(1, |location| location.line());
            refused(format!("{shown}:{line}"), without_place(&error))
        })?;
        checked(document, text)
            .map(Some)
            .map_err(|(line, why)| refused(format!("{shown}:{line}"), why))
    }

    /// The bytes of the file.
    pub fn to_text(&self) -> String {
        let plugins = self.plugins.iter().map(|(plugin, locked)| Entry {
            plugin: plugin.clone(),
            version: locked.version.clone(),
            digest: locked.digest.clone(),
        });
        let document = Document { version: VERSION, plugins: plugins.collect() };
        let yaml = serde_yaml::to_string(&document).expect("strings and numbers have a YAML form");
        format!("{HEADER}{yaml}")
    }

    /// What a source of plugins is to allow, for pipelines in `base_dir`.
    pub fn pins(&self, base_dir: &Path) -> Pins {
        let pins = self.plugins.iter().map(|(plugin, locked)| {
            let asked_for = if plugin.contains('/') {
                base_dir.join(plugin).display().to_string()
            } else {
                plugin.clone()
            };
            (asked_for, locked.digest.clone())
        });
        Pins::new(pins.collect())
    }
}

/// The parser's message without the place at its end, which the line says already.
fn without_place(error: &serde_yaml::Error) -> String {
    let text = error.to_string();
    let place = error.location().map(|at| format!(" at line {} column {}", at.line(), at.column()));
    match place.and_then(|place| text.strip_suffix(&place).map(str::to_owned)) {
        Some(text) => text,
        None => text,
    }
}

/// Looks at what the parser cannot; the error is a line and what is wrong there.
fn checked(document: Document, text: &str) -> Result<PluginsLock, (usize, String)> {
    if document.version != VERSION {
        let why = format!("it has version {}, this program {VERSION}", document.version);
        return Err((line_of(text, "version", &document.version.to_string(), 0), why));
    }
    let mut plugins = BTreeMap::new();
    for Entry { plugin, version, digest } in document.plugins {
        if !is_digest(&digest) {
            let why = format!("`{digest}` is no digest of 64 lower-case hexadecimal digits");
            return Err((line_of(text, "digest", &digest, 0), why));
        }
        if plugins.insert(plugin.clone(), LockedPlugin { version, digest }).is_some() {
            let why = format!("`{plugin}` is there twice");
            return Err((line_of(text, "plugin", &plugin, 1), why));
        }
    }
    Ok(PluginsLock { plugins })
}

/// The line that gives this value to this key, after `skipped` others that do; 1 if it is written
/// in another way than this program does.
fn line_of(text: &str, key: &str, value: &str, skipped: usize) -> usize {
    let lines = text.lines().enumerate().filter(|(_, line)| {
        let rest = line.trim_start_matches(['-', ' ']).strip_prefix(key);
        let given = rest.and_then(|rest| rest.strip_prefix(':'));
        given.is_some_and(|given| given.trim().trim_matches(['\'', '"']) == value)
    });
    lines.map(|(n, _)| n + 1).nth(skipped).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    fn read(text: impl AsRef<[u8]>) -> Result<Option<PluginsLock>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        std::fs::write(&path, text).unwrap();
        let shown = path.display().to_string();
        PluginsLock::read(&path).map_err(|error| error.message.replace(&shown, "FILE"))
    }

    #[test]
    fn what_is_written_is_read() {
        let locked =
            |version: &str| LockedPlugin { version: version.into(), digest: DIGEST.into() };
        let plugins = [("linear", "0.1.0"), ("./plugins/a b: c.so", "1"), ("z", "1.0")];
        let plugins = plugins.into_iter().map(|(name, version)| (name.to_owned(), locked(version)));
        let lock = PluginsLock { plugins: plugins.collect() };
        let text = lock.to_text();
        assert_eq!(read(&text), Ok(Some(lock)));
        assert!(text.starts_with("# Written by"), "{text}");
        assert!(text.ends_with('\n'));
    }

    #[test]
    fn damage_has_a_line() {
        let entry = format!("- plugin: linear\n  version: 0.1.0\n  digest: {DIGEST}\n");
        let head = "version: 1\nplugins:\n";
        for (text, message) in [
            ("version: 2\nplugins: []\n".to_owned(), "FILE:1: the lock file is damaged: "),
            (format!("{head}{entry}{entry}"), "FILE:6: the lock file is damaged: `linear` is"),
            (format!("{head}{}", entry.replace("0011", "zz")), "FILE:5: the lock file is damaged"),
            (format!("{head}{}", entry.replace("digest", "hash")), "FILE:5: the lock file is "),
            (format!("{head}- plugin: [\n"), "FILE:3: the lock file is damaged"),
            ("just words".to_owned(), "FILE:1: the lock file is damaged"),
            (String::new(), "FILE:1: the lock file is damaged"),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.starts_with(message), "{text}\n{error}");
        }
        let error = read(b"version: 1\nplugins: \xff").unwrap_err();
        assert!(error.starts_with("FILE:2: ") && error.contains("not UTF-8"), "{error}");
    }
}

//! Which files are plugins, by their names: looks at folders, opens no file.

use std::collections::BTreeMap;
use std::env::consts::DLL_EXTENSION;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{MAIN_SEPARATOR, Path, PathBuf};

use engine::classifier::Transport;

use crate::description::is_plugin_name;

const LIBRARY_STEM: &str = "libclassifier_";
const PROGRAM_STEM: &str = "classifier-";

/// Returns the file name that the library of plugin `name` has in a folder of the search path.
///
/// A program is called `classifier-NAME`, with any one extension or none.
pub fn library_file_name(name: &str) -> String {
    format!("{LIBRARY_STEM}{}.{DLL_EXTENSION}", name.replace('-', "_"))
}

/// A file that should be a plugin.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PluginFile {
    pub transport: Transport,
    pub path: PathBuf,
}

/// Names and files of the search path; of equal names the first folder counts.
pub(crate) fn files(folders: &[PathBuf]) -> BTreeMap<String, PluginFile> {
    let mut files = BTreeMap::new();
    for folder in folders {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        let mut found: Vec<(PluginFile, String)> = entries
            .flatten()
            .filter_map(|entry| {
                let (name, transport) = named(&entry.file_name())?;
                let file = PluginFile { transport, path: entry.path() };
                is_usable(&file).then_some((file, name))
            })
            .collect();
        found.sort();
        for (file, name) in found {
            files.entry(name).or_insert(file);
        }
    }
    files
}

/// The file that a path names.
pub(crate) fn file_at(path: &Path) -> Result<PluginFile, String> {
    let is_library = path.extension().is_some_and(|extension| extension == DLL_EXTENSION);
    let transport = if is_library { Transport::Library } else { Transport::Program };
    let file = PluginFile { transport, path: path.to_owned() };
    if is_usable(&file) {
        return Ok(file);
    }
    let text = format!("it is neither a library (`.{DLL_EXTENSION}`) nor executable");
    Err(format!("{text}; `chmod +x` makes a program of it"))
}

pub(crate) fn is_path(name: &str) -> bool {
    name.contains('/') || name.contains(MAIN_SEPARATOR)
}

fn is_usable(file: &PluginFile) -> bool {
    let Ok(metadata) = fs::metadata(&file.path) else { return false };
    let is_executable = metadata.permissions().mode() & 0o111 != 0;
    metadata.is_file() && (file.transport == Transport::Library || is_executable)
}

/// Name and kind of the plugin in a file of this name, if it is one.
fn named(file_name: &OsStr) -> Option<(String, Transport)> {
    let file_name = file_name.to_str()?;
    let (name, kind) = match file_name.strip_prefix(LIBRARY_STEM) {
        Some(rest) => {
            let name = rest.strip_suffix(DLL_EXTENSION)?.strip_suffix('.')?;
            (name.replace('_', "-"), Transport::Library)
        }
        None => {
            let rest = file_name.strip_prefix(PROGRAM_STEM)?;
            let (name, extension) = rest.split_once('.').unwrap_or((rest, "none"));
            let is_extension = !extension.is_empty() && !extension.contains('.');
            (is_extension && extension != DLL_EXTENSION)
                .then(|| (name.to_owned(), Transport::Program))?
        }
    };
    is_plugin_name(&name).then_some((name, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(file_name: &str) -> Option<(String, Transport)> {
        named(OsStr::new(file_name))
    }

    #[test]
    fn file_names_and_plugin_names() {
        let file = library_file_name("naive-bayes");
        assert!(file.starts_with("libclassifier_naive_bayes."));
        assert_eq!(is(&file), Some(("naive-bayes".to_owned(), Transport::Library)));
        for file in ["classifier-sk-learn", "classifier-sk-learn.py", "classifier-sk-learn.sh"] {
            assert_eq!(is(file), Some(("sk-learn".to_owned(), Transport::Program)), "{file}");
        }
        for other in [
            "libclassifier_.so",
            "classifier_x.so",
            "libclassifier_X.so",
            "notes.txt",
            "classifier-",
            "classifier-x.tar.gz",
            "classifier-x.",
            "classifier-X.py",
            "classifier-x.so",
        ] {
            assert_eq!(is(other), None, "{other}");
        }
    }

    #[test]
    fn a_library_comes_before_a_program_and_a_folder_before_the_next() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let paths = folders.each_ref().map(|folder| folder.path().to_owned());
        let write = |folder: usize, name: &str, mode: u32| {
            let path = paths[folder].join(name);
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        };
        write(0, "classifier-a.py", 0o755);
        write(0, &library_file_name("a"), 0o644);
        write(0, "classifier-b.py", 0o644);
        write(1, "classifier-b", 0o755);
        write(1, "classifier-a", 0o755);
        let found = files(&paths);
        assert_eq!(found["a"].path, paths[0].join(library_file_name("a")));
        assert_eq!(found["b"].path, paths[1].join("classifier-b"));
        assert_eq!(found.len(), 2);
        assert!(file_at(&paths[0].join("classifier-b.py")).unwrap_err().contains("chmod +x"));
        assert_eq!(
            file_at(&paths[0].join("classifier-a.py")).unwrap().transport,
            Transport::Program
        );
    }
}

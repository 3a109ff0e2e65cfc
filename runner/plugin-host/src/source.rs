//! Finds plugin libraries: by name in the folders it was given, or by the path of a file.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{MAIN_SEPARATOR, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use engine::classifier::{Classifier, ClassifierSource, ClassifierSourceError, PluginDescription};
use libloading::Library;
use plugin_abi as abi;

use crate::classifier::HostClassifier;
use crate::instance::{Instance, is_plugin_name};

const STEM: &str = "libclassifier_";

/// Returns the file name that plugin `name` has in a folder of the search path.
pub fn library_file_name(name: &str) -> String {
    format!("{STEM}{}.{}", name.replace('-', "_"), std::env::consts::DLL_EXTENSION)
}

/// A library on the search path, usable or not.
#[derive(Debug, Clone)]
pub struct FoundPlugin {
    /// The name it is asked for by.
    pub name: String,
    pub location: PathBuf,
    /// What it says of itself, or why it was refused.
    pub description: Result<PluginDescription, String>,
}

/// The plugins of some folders, and any other that is named by its path.
///
/// Loading is done once a file: a second call for the same file gives the same plugin, unless that
/// one panicked; then it is made anew from the library that is already loaded.
pub struct PluginSource {
    folders: Vec<PathBuf>,
    /// By canonical path and digest of the file.
    loaded: Mutex<BTreeMap<(PathBuf, String), Loaded>>,
}

#[derive(Clone)]
struct Loaded {
    entry: abi::EntryFn,
    instance: Arc<Instance>,
}

impl PluginSource {
    /// Looks in `folders`, first one first. An empty path names no folder and is left out, so that
    /// a stray separator in a variable never means the current directory.
    pub fn new(folders: Vec<PathBuf>) -> PluginSource {
        let folders = folders.into_iter().filter(|folder| !folder.as_os_str().is_empty()).collect();
        PluginSource { folders, loaded: Mutex::new(BTreeMap::new()) }
    }

    pub fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// Loads every plugin on the search path, sorted by name; of equal names the first one counts.
    pub fn list(&self) -> Vec<FoundPlugin> {
        self.files()
            .into_iter()
            .map(|(name, location)| {
                let description =
                    self.load_named(&name, &location).map(|instance| instance.description.clone());
                FoundPlugin { name, location, description }
            })
            .collect()
    }

    /// Names and files of the search path, without loading anything.
    fn files(&self) -> BTreeMap<String, PathBuf> {
        let mut files = BTreeMap::new();
        for folder in &self.folders {
            let Ok(entries) = fs::read_dir(folder) else { continue };
            for entry in entries.flatten() {
                if let Some(name) = plugin_name(&entry.file_name()) {
                    files.entry(name).or_insert_with(|| entry.path());
                }
            }
        }
        files
    }

    fn load_named(&self, name: &str, file: &Path) -> Result<Arc<Instance>, String> {
        let instance = self.load_file(file)?;
        let own_name = &instance.description.name;
        if own_name != name {
            return Err(format!("it calls itself `{own_name}`, its file name says `{name}`"));
        }
        Ok(instance)
    }

    fn load_file(&self, file: &Path) -> Result<Arc<Instance>, String> {
        let path = fs::canonicalize(file).map_err(|error| format!("cannot be read: {error}"))?;
        let digest = file_digest(&path).map_err(|error| format!("cannot be read: {error}"))?;
        let key = (path, digest);
        // Held while loading, so that two threads do not load one file twice.
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = match loaded.get(&key) {
            Some(known) if !known.instance.is_broken() => return Ok(Arc::clone(&known.instance)),
            Some(known) => known.entry,
            None => open_library(&key.0)?,
        };
        let location = file.display().to_string();
        // SAFETY: the symbol is the entry function of a plugin, by its name; the library is never
        // unloaded.
        let instance = Arc::new(unsafe { Instance::new(entry, &location, &key.1)? });
        loaded.insert(key, Loaded { entry, instance: Arc::clone(&instance) });
        Ok(instance)
    }
}

impl ClassifierSource for PluginSource {
    fn classifier(&self, name: &str) -> Result<Arc<dyn Classifier>, ClassifierSourceError> {
        let (file, loaded) = if is_path(name) {
            let file = PathBuf::from(name);
            if !file.is_file() {
                return Err(self.unknown(name));
            }
            let loaded = self.load_file(&file);
            (file, loaded)
        } else {
            let Some(file) = self.find(name) else { return Err(self.unknown(name)) };
            let loaded = self.load_named(name, &file);
            (file, loaded)
        };
        match loaded {
            Ok(instance) => Ok(Arc::new(HostClassifier::new(instance))),
            Err(reason) => Err(ClassifierSourceError::Refused {
                name: name.to_owned(),
                location: file.display().to_string(),
                reason,
            }),
        }
    }
}

impl PluginSource {
    fn find(&self, name: &str) -> Option<PathBuf> {
        if !is_plugin_name(name) {
            return None;
        }
        let file_name = library_file_name(name);
        self.folders.iter().map(|folder| folder.join(&file_name)).find(|file| file.is_file())
    }

    fn unknown(&self, name: &str) -> ClassifierSourceError {
        let searched = if is_path(name) {
            Vec::new()
        } else {
            self.folders.iter().map(|folder| folder.display().to_string()).collect()
        };
        let known = self.files().into_keys().collect();
        ClassifierSourceError::Unknown { name: name.to_owned(), known, searched }
    }
}

fn is_path(name: &str) -> bool {
    name.contains('/') || name.contains(MAIN_SEPARATOR)
}

/// Returns the name of the plugin in a file of this name, if it is one.
fn plugin_name(file_name: &OsStr) -> Option<String> {
    let file_name = file_name.to_str()?;
    let name = file_name.strip_prefix(STEM)?.strip_suffix(std::env::consts::DLL_EXTENSION)?;
    let name = name.strip_suffix('.')?.replace('_', "-");
    is_plugin_name(&name).then_some(name)
}

fn file_digest(path: &Path) -> std::io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    std::io::copy(&mut fs::File::open(path)?, &mut hasher)?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// Opens a library for the rest of the process and finds its entry function.
fn open_library(path: &Path) -> Result<abi::EntryFn, String> {
    let library = open_forever(path).map_err(|error| format!("it is no library: {error}"))?;
    // Never dropped: thread-local destructors of the plugin may run until the process ends.
    let library: &'static Library = Box::leak(Box::new(library));
    // SAFETY: a library that exports this name promises the signature of `plugin.h`.
    let symbol = unsafe { library.get::<abi::EntryFn>(abi::ENTRY_SYMBOL) };
    match symbol {
        Ok(symbol) => Ok(*symbol),
        Err(_) => Err(format!("it is no plugin: it does not export `{}`", abi::ENTRY_SYMBOL)),
    }
}

#[cfg(unix)]
fn open_forever(path: &Path) -> Result<Library, libloading::Error> {
    use libloading::os::unix;
    const RTLD_NODELETE: i32 = if cfg!(target_os = "macos") { 0x80 } else { 0x1000 };
    let flags = unix::RTLD_NOW | unix::RTLD_LOCAL | RTLD_NODELETE;
    // SAFETY: running the library's initialisers is what loading a plugin means; the user put it
    // on the search path or named it.
    unsafe { unix::Library::open(Some(path), flags) }.map(Library::from)
}

#[cfg(not(unix))]
fn open_forever(path: &Path) -> Result<Library, libloading::Error> {
    // SAFETY: as above.
    unsafe { Library::new(path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_and_plugin_names() {
        let file = library_file_name("naive-bayes");
        assert!(file.starts_with("libclassifier_naive_bayes."));
        assert_eq!(plugin_name(OsStr::new(&file)).as_deref(), Some("naive-bayes"));
        for other in ["libclassifier_.so", "classifier_x.so", "libclassifier_X.so", "notes.txt"] {
            assert_eq!(plugin_name(OsStr::new(other)), None, "{other}");
        }
    }

    #[test]
    fn empty_folders_are_no_folders() {
        let source = PluginSource::new(vec![PathBuf::new(), PathBuf::from("plugins")]);
        assert_eq!(source.folders(), [PathBuf::from("plugins")]);
    }
}

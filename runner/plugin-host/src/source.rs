//! Finds plugins by name in the folders it was given, or by the path of a file, and decides where
//! they run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use engine::classifier::{
    Cancel, Classifier, ClassifierError, ClassifierSource, ClassifierSourceError, Isolation,
    Limits, PluginDescription, PluginRequest, Transport,
};
use plugin_abi as abi;

use crate::classifier::HostClassifier;
use crate::description::{Origin, is_plugin_name};
use crate::instance::Instance;
use crate::library::{instantiate, open_library};
use crate::pins::Pins;
use crate::process::{
    Isolated, IsolatedClassifier, Launcher, Setting, read_description, write_description,
};
use crate::search::{self, PluginFile, is_path};
use crate::{file_digest, lock};

/// A plugin on the search path, usable or not.
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
    /// How children are started; without it all plugins are libraries in this process.
    launcher: Option<Launcher>,
    /// Folders whose libraries run in this process by default.
    own_folders: Vec<PathBuf>,
    /// Where descriptions are kept.
    descriptions: Mutex<Option<PathBuf>>,
    /// By canonical path and digest of the file.
    loaded: Mutex<BTreeMap<(PathBuf, String), Loaded>>,
    isolated: Mutex<BTreeMap<(PathBuf, String, Limits), Arc<Isolated>>>,
    pins: OnceLock<Pins>,
}

#[derive(Clone)]
struct Loaded {
    entry: abi::EntryFn,
    instance: Arc<Instance>,
}

/// Why a file gives no plugin.
enum Refusal {
    File(String),
    Isolation(String),
    /// It is another file than the one that was pinned.
    Pin(String),
}

impl PluginSource {
    /// Looks in `folders`, first one first. An empty path names no folder and is left out, so that
    /// a stray separator in a variable never means the current directory.
    pub fn new(folders: Vec<PathBuf>) -> PluginSource {
        let folders = folders.into_iter().filter(|folder| !folder.as_os_str().is_empty()).collect();
        PluginSource {
            folders,
            launcher: None,
            own_folders: Vec::new(),
            descriptions: Mutex::default(),
            loaded: Mutex::default(),
            isolated: Mutex::default(),
            pins: OnceLock::new(),
        }
    }

    /// Runs plugins in child processes, but for libraries in `own_folders`.
    #[must_use]
    pub fn isolating(mut self, launcher: Launcher, own_folders: Vec<PathBuf>) -> PluginSource {
        self.launcher = Some(launcher);
        self.own_folders = own_folders.iter().filter_map(|f| fs::canonicalize(f).ok()).collect();
        self
    }

    /// Keeps descriptions of isolated plugins in this folder, which need not be there.
    pub fn keep_descriptions(&self, folder: PathBuf) {
        *lock(&self.descriptions) = Some(folder);
    }

    /// From now on gives only what these pins allow; others are refused before they are opened.
    /// The first pins stay.
    pub fn pin(&self, pins: Pins) {
        self.pins.get_or_init(|| pins);
    }

    pub fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// Describes every plugin on the search path, sorted by name; of equal names the first counts.
    pub fn list(&self) -> Vec<FoundPlugin> {
        search::files(&self.folders)
            .into_iter()
            .map(|(name, file)| {
                let description = match self.open(&file, &PluginRequest::new(&name)) {
                    Ok(plugin) => Ok(plugin.description().clone()),
                    Err(
                        Refusal::File(reason) | Refusal::Isolation(reason) | Refusal::Pin(reason),
                    ) => Err(reason),
                };
                FoundPlugin { name, location: file.path, description }
            })
            .collect()
    }

    /// Where a plugin runs: where it is asked to, or by the policy of this source.
    fn isolation(
        &self,
        transport: Transport,
        path: &Path,
        request: &PluginRequest<'_>,
    ) -> Result<Isolation, Refusal> {
        let has_limits = request.limits != Limits::default();
        let is_own = path.parent().is_some_and(|f| self.own_folders.iter().any(|own| own == f));
        let isolation = match (transport, request.isolation) {
            (Transport::Program, Some(Isolation::InProcess)) => {
                let text = "a program always has a process of its own";
                return Err(Refusal::Isolation(text.to_owned()));
            }
            (Transport::Library, Some(Isolation::InProcess)) if has_limits => {
                let text = "`limits` hold for a process of its own only";
                return Err(Refusal::Isolation(text.to_owned()));
            }
            (Transport::Program, _) => Isolation::Process,
            (Transport::Library, Some(isolation)) => isolation,
            (Transport::Library, None) if has_limits => Isolation::Process,
            (Transport::Library, None) if is_own || self.launcher.is_none() => Isolation::InProcess,
            (Transport::Library, None) => Isolation::Process,
        };
        Ok(isolation)
    }

    fn open(
        &self,
        file: &PluginFile,
        request: &PluginRequest<'_>,
    ) -> Result<Arc<dyn Classifier>, Refusal> {
        let unreadable = |error: std::io::Error| Refusal::File(format!("cannot be read: {error}"));
        let path = fs::canonicalize(&file.path).map_err(unreadable)?;
        let transport = file.transport;
        let isolation = self.isolation(transport, &path, request)?;
        let origin = Origin {
            digest: file_digest(&path).map_err(unreadable)?,
            location: file.path.display().to_string(),
            transport,
            isolation,
        };
        if let Some(pins) = self.pins.get() {
            pins.check(request.plugin, &origin.digest).map_err(Refusal::Pin)?;
        }
        let plugin: Arc<dyn Classifier> = match isolation {
            Isolation::InProcess => {
                let instance = self.load(path, &origin).map_err(Refusal::File)?;
                Arc::new(HostClassifier::new(instance))
            }
            Isolation::Process => {
                let isolated = self.isolate(path, origin, request).map_err(Refusal::File)?;
                Arc::new(IsolatedClassifier(isolated))
            }
        };
        let own_name = &plugin.description().name;
        if !is_path(request.plugin) && own_name != request.plugin {
            let name = request.plugin;
            let text = format!("it calls itself `{own_name}`, its file name says `{name}`");
            return Err(Refusal::File(text));
        }
        Ok(plugin)
    }

    fn load(&self, path: PathBuf, origin: &Origin) -> Result<Arc<Instance>, String> {
        let key = (path, origin.digest.clone());
        // Held while loading, so that two threads do not load one file twice.
        let mut loaded = lock(&self.loaded);
        let entry = match loaded.get(&key) {
            Some(known) if !known.instance.is_broken() => return Ok(Arc::clone(&known.instance)),
            Some(known) => known.entry,
            None => open_library(&key.0)?,
        };
        let instance = instantiate(entry, origin)?;
        loaded.insert(key, Loaded { entry, instance: Arc::clone(&instance) });
        Ok(instance)
    }

    fn isolate(
        &self,
        path: PathBuf,
        origin: Origin,
        request: &PluginRequest<'_>,
    ) -> Result<Arc<Isolated>, String> {
        let launcher = self.launcher.clone();
        let launcher = launcher.ok_or("this program starts no processes for plugins")?;
        let key = (path.clone(), origin.digest.clone(), request.limits);
        // Held while a child starts, so that two threads do not start one each.
        let mut isolated = lock(&self.isolated);
        if let Some(known) = isolated.get(&key) {
            return Ok(Arc::clone(known));
        }
        let folder = lock(&self.descriptions).clone();
        let (digest, transport) = (origin.digest.clone(), origin.transport);
        let kept = folder.as_ref().and_then(|folder| read_description(folder, &digest, transport));
        let setting = Setting { launcher, file: path, origin, limits: request.limits };
        let (child, about) = match kept {
            Some(about) => (None, about),
            None => {
                let started = setting.start(request.plugin, &Cancel::default());
                let (child, about) =
                    started.map_err(|error| with_limit(reason(error), request.limits))?;
                if let Some(folder) = &folder {
                    write_description(folder, &digest, transport, &about);
                }
                (Some(child), about)
            }
        };
        let plugin = Arc::new(Isolated::new(setting, about, child));
        isolated.insert(key, Arc::clone(&plugin));
        Ok(plugin)
    }

    fn unknown(&self, name: &str) -> ClassifierSourceError {
        let searched = if is_path(name) {
            Vec::new()
        } else {
            self.folders.iter().map(|folder| folder.display().to_string()).collect()
        };
        let known = search::files(&self.folders).into_keys().collect();
        ClassifierSourceError::Unknown { name: name.to_owned(), known, searched }
    }
}

/// Why a plugin that could not describe itself is refused: without the words of a call.
fn reason(error: ClassifierError) -> String {
    match error {
        ClassifierError::Failed { message, .. } => message,
        ClassifierError::Contract { message, .. } => message,
        ClassifierError::Crashed { operation, ending, last_lines, .. } => {
            format!("it crashed in {operation}: {ending}{last_lines}")
        }
        ClassifierError::TimedOut { operation, seconds, last_lines, .. } => {
            format!("it took longer than {seconds} s in {operation}{last_lines}")
        }
        ClassifierError::Cancelled => "interrupted".to_owned(),
    }
}

/// A library that finds no room to load says many things, but not that.
fn with_limit(reason: String, limits: Limits) -> String {
    match limits.memory_mb {
        Some(limit) if !reason.contains("its memory limit") => {
            format!("{reason}; its memory limit is {limit} MiB")
        }
        _ => reason,
    }
}

impl ClassifierSource for PluginSource {
    fn classifier(
        &self,
        request: &PluginRequest<'_>,
    ) -> Result<Arc<dyn Classifier>, ClassifierSourceError> {
        let name = request.plugin;
        let refused = |location: &Path, reason: String| ClassifierSourceError::Refused {
            name: name.to_owned(),
            location: location.display().to_string(),
            reason,
        };
        let file = if is_path(name) {
            let path = Path::new(name);
            if !path.is_file() {
                return Err(self.unknown(name));
            }
            search::file_at(path).map_err(|reason| refused(path, reason))?
        } else if is_plugin_name(name) {
            let mut files = search::files(&self.folders);
            files.remove(name).ok_or_else(|| self.unknown(name))?
        } else {
            return Err(self.unknown(name));
        };
        self.open(&file, request).map_err(|refusal| match refusal {
            Refusal::File(reason) => refused(&file.path, reason),
            Refusal::Isolation(reason) => {
                ClassifierSourceError::Isolation { name: name.to_owned(), reason }
            }
            Refusal::Pin(reason) => {
                let location = file.path.display().to_string();
                ClassifierSourceError::Unpinned { name: name.to_owned(), location, reason }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_folders_are_no_folders() {
        let source = PluginSource::new(vec![PathBuf::new(), PathBuf::from("plugins")]);
        assert_eq!(source.folders(), [PathBuf::from("plugins")]);
    }
}

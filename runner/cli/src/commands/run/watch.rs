//! What `relabel run --watch` looks at: everything outside the cache that decides what a run does.
//!
//! Files are looked at by their size, times and inode a few times a second: that works on every
//! file system, network ones too, and costs next to nothing for the few files a pipeline has.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::classifier::Cancel;

use crate::args::PipelineArgs;
use crate::context::{Context, Loaded};

const LOOK_EVERY: Duration = Duration::from_millis(150);
/// So many looks without a further change, and what was being written is taken to be finished.
const QUIET_LOOKS: u32 = 2;

/// What changes when a file is written or replaced; `None` for one that is not there.
type Look = Option<(u64, i64, i64, i64, i64, u64)>;

/// The files that decide what a run does.
pub(super) struct Watched {
    files: BTreeMap<PathBuf, Look>,
    /// The files in each folder of the search path that are called as plugins are: of equal names
    /// the first folder counts, and a name that is in none may come.
    plugins: BTreeMap<PathBuf, Vec<String>>,
}

/// Names of plugin files in a folder, in their order.
fn plugin_files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| is_plugin_file(name)).collect();
    names.sort_unstable();
    names
}

fn is_plugin_file(name: &str) -> bool {
    // The names of a library without a name: `lib….so`.
    let library = plugin_host::library_file_name("");
    let (before, ending) = library.split_once('.').unwrap_or((&library, ""));
    let is_library = name.strip_prefix(before).is_some_and(|rest| {
        rest.rsplit_once('.').is_some_and(|(_, extension)| extension == ending)
    });
    is_library || name.starts_with("classifier-")
}

fn look(path: &Path) -> Look {
    let file = std::fs::metadata(path).ok()?;
    // The size of a folder says nothing; its times move when a file comes or goes.
    let size = if file.is_dir() { 0 } else { file.size() };
    Some((size, file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec(), file.ino()))
}

impl Watched {
    /// The pipeline, parameter files, taxonomy, plugins and sources, as they are now.
    ///
    /// A pipeline that cannot be read is watched by its own file, what it names, and `before`.
    pub(super) fn new(
        args: &PipelineArgs,
        pipeline: &Path,
        context: &Context,
        loaded: Option<&Loaded>,
        before: Option<&Watched>,
    ) -> Watched {
        let mut paths = vec![pipeline.to_owned()];
        paths.extend(args.params.iter().cloned());
        match loaded {
            None => {
                paths.extend(before.into_iter().flat_map(|watched| watched.files.keys().cloned()));
                paths.extend(named_in(pipeline));
            }
            Some(loaded) => paths.extend(read_by(context, loaded)),
        }
        let folders = context.plugins.folders().iter();
        Watched {
            files: paths.into_iter().map(|path| (path.clone(), look(&path))).collect(),
            plugins: folders.map(|folder| (folder.clone(), plugin_files(folder))).collect(),
        }
    }

    /// Adds what is known only now that it has run: a node that waited has named its files since.
    pub(super) fn add_known(&mut self, context: &Context, loaded: &Loaded) {
        for path in read_by(context, loaded) {
            self.files.entry(path).or_insert_with_key(|path| look(path));
        }
    }

    fn changed(&self) -> BTreeMap<PathBuf, Look> {
        let now = self.files.iter().map(|(path, before)| (path, before, look(path)));
        let changed = now.filter(|(_, before, now)| now != *before);
        let folders =
            self.plugins.iter().filter(|(folder, before)| plugin_files(folder) != **before);
        let folders = folders.map(|(folder, _)| (folder.clone(), look(folder)));
        changed.map(|(path, _, now)| (path.clone(), now)).chain(folders).collect()
    }

    /// Waits for a change and until it is over; the names of what changed, or `None` when the user
    /// has had enough.
    pub(super) fn wait(&self, cancel: &Cancel) -> Option<Vec<String>> {
        let mut quiet = 0;
        let mut last = BTreeMap::new();
        loop {
            std::thread::sleep(LOOK_EVERY);
            if cancel.is_cancelled() {
                return None;
            }
            let changed = self.changed();
            quiet = if changed == last { quiet + 1 } else { 0 };
            last = changed;
            if !last.is_empty() && quiet >= QUIET_LOOKS {
                return Some(last.keys().map(|path| path.display().to_string()).collect());
            }
        }
    }
}

/// What a pipeline that does not pass the check may read: a taxonomy, a source or a plugin that is
/// wrong or missing is mended in its own file. Any text in it may be a path; what is none is no file.
fn named_in(pipeline: &Path) -> Vec<PathBuf> {
    fn walk(value: &serde_yaml::Value, texts: &mut Vec<String>) {
        match value {
            serde_yaml::Value::String(text) => texts.push(text.clone()),
            serde_yaml::Value::Sequence(items) => items.iter().for_each(|item| walk(item, texts)),
            serde_yaml::Value::Mapping(map) => map.values().for_each(|item| walk(item, texts)),
            _ => {}
        }
    }
    let text = std::fs::read_to_string(pipeline).unwrap_or_default();
    let mut texts = Vec::new();
    walk(&serde_yaml::from_str(&text).unwrap_or_default(), &mut texts);
    let Ok(pipeline) = std::path::absolute(pipeline) else { return Vec::new() };
    let base_dir = pipeline.parent().unwrap_or(Path::new(""));
    let paths = texts.iter().map(|text| base_dir.join(text));
    paths.filter(|path| !path.is_dir()).collect()
}

/// What a checked pipeline reads besides its own file.
fn read_by(context: &Context, loaded: &Loaded) -> Vec<PathBuf> {
    let plan = &loaded.plan;
    let mut paths = Vec::new();
    if let Some(taxonomy) = plan.resolved["taxonomy"].as_str() {
        paths.push(loaded.base_dir.join(taxonomy));
    }
    for step in plan.steps() {
        paths.extend(step.plugins.iter().map(|plugin| PathBuf::from(&plugin.location)));
        if step.kind == "source" {
            let path = loaded.base_dir.join(step.params["path"].as_str().unwrap_or_default());
            let is_glob = path.to_string_lossy().contains(['*', '?', '[', '{']);
            paths.extend(path.parent().filter(|_| is_glob).map(Path::to_owned));
        }
    }
    // The judge knows which files there are; a pipeline it cannot judge is watched without them.
    for unit in context.engine(loaded).plan(plan, None, &[]).unwrap_or_default() {
        let facts = unit.facts.iter().flat_map(|facts| facts.iter());
        let files = facts.filter_map(|fact| fact.name.strip_prefix("file:"));
        paths.extend(files.map(|file| loaded.base_dir.join(file)));
    }
    paths
}

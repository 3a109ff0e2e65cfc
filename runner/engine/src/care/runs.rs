//! Which records of runs may go, and how they go: what a run is known by first, so that a kill in
//! between leaves a folder that no list of runs shows and the next gc removes.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use cache::{Cache, CacheError, kill};

use super::GcOptions;
use crate::history::History;

/// A run whose record is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRemoval {
    pub run_id: String,
    /// Absent for what a gc or a run that was killed has left.
    pub pipeline: Option<String>,
    pub bytes: u64,
}

/// Records of runs beyond the last `keep_records` of each pipeline, oldest first.
///
/// Runs that results are kept for stay, and those in progress. A run takes its lock before it makes
/// its folder, so one that is not in progress after the folders were listed has ended.
pub(super) fn removals(
    cache: &Cache,
    options: &GcOptions,
    stale_before_ns: i128,
) -> Result<Vec<RunRemoval>, CacheError> {
    let Some(keep) = options.keep_records else { return Ok(Vec::new()) };
    let keep = keep.max(options.keep_runs);
    let history = History::at(cache.folder());
    let mut folders: Vec<String> = std::fs::read_dir(history.runs_folder())
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    folders.sort_unstable();
    let in_progress = cache.runs_in_progress()?;
    let limit_ns = options.now_ns - options.unused_for_ns;
    let mut seen: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut removals = Vec::new();
    for run_id in folders.iter().rev() {
        let folder = history.run_folder(run_id);
        let (bytes, changed_ns) = size_and_time(&folder);
        let header = history.header(run_id);
        let old = match &header {
            Some(header) => {
                let text = |name: &str| header[name].as_str().unwrap_or_default().to_owned();
                let count = seen.entry((text("pipeline"), text("base_dir"))).or_default();
                *count += 1;
                *count > keep && (options.unused_for_ns == 0 || changed_ns <= limit_ns)
            }
            None => changed_ns < stale_before_ns,
        };
        if old && !in_progress.iter().any(|run| run.run_id == *run_id) {
            let pipeline =
                header.map(|header| header["pipeline"].as_str().unwrap_or_default().to_owned());
            removals.push(RunRemoval { run_id: run_id.clone(), pipeline, bytes });
        }
    }
    removals.reverse();
    Ok(removals)
}

/// Bytes of a folder's files, and when the newest of them was last written to.
fn size_and_time(folder: &Path) -> (u64, i128) {
    let (mut bytes, mut newest) = (0, 0);
    let own = std::fs::metadata(folder).ok();
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for metadata in files.filter_map(|file| file.metadata().ok()).chain(own) {
        if metadata.is_file() {
            bytes += metadata.len();
        }
        let since = metadata
            .modified()
            .ok()
            .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        newest = newest.max(since.map_or(0, |since| since.as_nanos() as i128));
    }
    (bytes, newest)
}

/// Removes records of runs; gives their number and bytes.
pub(super) fn remove(cache: &Cache, removals: &[RunRemoval]) -> Result<(u64, u64), CacheError> {
    let history = History::at(cache.folder());
    let mut removed = (0, 0);
    for removal in removals {
        let folder = history.run_folder(&removal.run_id);
        kill::point();
        let gone = remove_if_there(&folder.join("run.json")).and_then(|()| {
            kill::point();
            match std::fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        });
        gone.map_err(|source| CacheError {
            folder: cache.folder().display().to_string(),
            action: format!("cannot remove the record of run `{}`", removal.run_id),
            source,
        })?;
        removed = (removed.0 + 1, removed.1 + removal.bytes);
    }
    Ok(removed)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

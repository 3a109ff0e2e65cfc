//! Removing what is no longer wanted while others go on using the cache.
//!
//! A sweep looks at everything first (`Inventory`), and removes things one by one. What a run takes
//! into use it marks (the file's times change) while it holds `locks/gc` shared; the sweep removes a
//! thing while it holds that lock alone, and only if its marks are still those of the inventory. So
//! whoever was first wins, nobody waits longer than one removal, and no clock is trusted.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, FlockOperation, Timestamps, UTIME_NOW, flock, utimensat};

use crate::digest::Digest;
use crate::fs::TEMPORARY;
use crate::kill;
use crate::lock::{KeyLock, LockAttempt};
use crate::store::{Cache, CacheError, TEMPORARY_BLOB, UnitRecord};

/// How often a run tries to take its own lock, 5 ms apart.
const LOCK_ATTEMPTS: usize = 400;

/// Where earlier versions kept their records.
const OLD_RECORDS: [&str; 2] = ["records-v1", "records-v2"];

/// Everything that changes when a file is marked as used, replaced or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// When it was last used, in nanoseconds since 1970.
    pub used_ns: i128,
    changed_ns: i128,
    inode: u64,
}

/// A record in the cache.
#[derive(Debug, Clone)]
pub struct RecordEntry {
    pub key: Digest,
    /// Size of the record itself.
    pub bytes: u64,
    pub stamp: Stamp,
    /// `None` if it cannot be read.
    pub record: Option<UnitRecord>,
}

/// A blob in the cache.
#[derive(Debug, Clone, Copy)]
pub struct BlobEntry {
    pub bytes: u64,
    pub stamp: Stamp,
}

/// A file that is neither: what a killed process left unfinished, or a record of an earlier format.
#[derive(Debug, Clone)]
pub struct Stray {
    pub path: PathBuf,
    pub bytes: u64,
    pub stamp: Stamp,
}

/// All that is in a cache at one time.
#[derive(Debug, Default)]
pub struct Inventory {
    pub records: BTreeMap<Digest, RecordEntry>,
    pub blobs: BTreeMap<Digest, BlobEntry>,
    pub strays: Vec<Stray>,
}

/// A run that holds its lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunInProgress {
    pub run_id: String,
    /// When it took the lock, in nanoseconds since 1970.
    pub started_ns: i128,
}

/// Held by the one sweep that is on.
#[derive(Debug)]
pub struct SweepLock(#[allow(dead_code)] KeyLock);

/// What a sweep has removed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Sweep {
    pub records: u64,
    pub blobs: u64,
    pub strays: u64,
    pub bytes: u64,
    /// Things that somebody took into use after the inventory, and that were left alone.
    pub spared: u64,
}

impl Stamp {
    fn of(metadata: &std::fs::Metadata) -> Stamp {
        let nanoseconds = |s: i64, ns: i64| i128::from(s) * 1_000_000_000 + i128::from(ns);
        Stamp {
            used_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
        }
    }
}

/// Marks a file as used now.
pub(crate) fn touch(path: &Path) -> io::Result<()> {
    let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let times = Timestamps { last_access: now, last_modification: now };
    Ok(utimensat(CWD, path, &times, AtFlags::empty())?)
}

/// `locks/gc`, shared or alone; freed when dropped.
#[derive(Debug)]
pub(crate) struct UseLock<'a> {
    file: Option<File>,
    home: &'a Mutex<Option<File>>,
}

/// While there is one, no sweep removes anything.
#[derive(Debug)]
pub struct Hold<'a>(#[allow(dead_code)] Option<UseLock<'a>>);

impl Drop for UseLock<'_> {
    fn drop(&mut self) {
        let Some(file) = self.file.take() else { return };
        // Unlocked, it is there for the next use; a lock that cannot be freed goes with its file.
        if flock(&file, FlockOperation::Unlock).is_ok() {
            *self.home.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        }
    }
}

impl Cache {
    fn use_lock(&self, operation: FlockOperation) -> Result<UseLock<'_>, CacheError> {
        let home = &*self.use_lock;
        let at_home = home.lock().unwrap_or_else(PoisonError::into_inner).take();
        let file = match at_home {
            Some(file) => Ok(file),
            None => self.open_use_lock(),
        };
        file.and_then(|file| {
            rustix::io::retry_on_intr(|| flock(&file, operation))?;
            Ok(UseLock { file: Some(file), home })
        })
        .map_err(|error| self.error("cannot lock the cache", error))
    }

    fn open_use_lock(&self) -> io::Result<File> {
        let folder = self.folder().join("locks");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        match options.open(folder.join("gc")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                std::fs::create_dir_all(&folder)?;
                options.open(folder.join("gc"))
            }
            opened => opened,
        }
    }

    /// Keeps sweeps from removing anything until it is dropped, which should be soon: a sweep waits.
    pub fn hold(&self) -> Hold<'_> {
        // Where nothing can be locked, nothing can be removed either.
        Hold(self.in_use_lock().ok())
    }

    /// Keeps sweeps from removing anything for the moment in which something is taken into use.
    pub(crate) fn in_use_lock(&self) -> Result<UseLock<'_>, CacheError> {
        self.use_lock(FlockOperation::LockShared)
    }

    /// Says that a run is on, until the lock is dropped or the process ends in any way.
    pub fn lock_run(&self, run_id: &str, holder: &str) -> Result<KeyLock, CacheError> {
        let folder = self.folder().join("locks");
        let path = folder.join(format!("run-{run_id}"));
        for _ in 0..LOCK_ATTEMPTS {
            let attempt = std::fs::create_dir_all(&folder)
                .and_then(|()| KeyLock::attempt(&path, holder))
                .map_err(|error| self.error("cannot lock the run", error))?;
            match attempt {
                LockAttempt::Held(lock) => return Ok(lock),
                // Somebody looks whether the run is on, which takes no longer than this.
                LockAttempt::HeldBy(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        let error = io::Error::other(format!("run {run_id}"));
        Err(self.error("a run of this id is on", error))
    }

    /// The runs that are on now.
    pub fn runs_in_progress(&self) -> Result<Vec<RunInProgress>, CacheError> {
        let mut runs = Vec::new();
        for (path, _) in files_in(&self.folder().join("locks")) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Some(run_id) = name.strip_prefix("run-") else { continue };
            let Ok(file) = File::open(&path) else { continue };
            match flock(&file, FlockOperation::NonBlockingLockShared) {
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    let metadata = file
                        .metadata()
                        .map_err(|error| self.error("cannot look at a lock", error))?;
                    let started_ns = Stamp::of(&metadata).used_ns;
                    runs.push(RunInProgress { run_id: run_id.to_owned(), started_ns });
                }
                Err(error) => return Err(self.error("cannot look at a lock", error.into())),
                Ok(()) => {}
            }
        }
        runs.sort_by(|a, b| a.run_id.cmp(&b.run_id));
        Ok(runs)
    }

    /// Removes lock files that killed processes left and nobody has touched since `before_ns`.
    pub fn remove_stale_locks(&self, before_ns: i128) -> u64 {
        let mut removed = 0;
        for (path, metadata) in files_in(&self.folder().join("locks")) {
            let name = path.file_name().unwrap_or_default();
            if name == "gc" || name == "sweep" || Stamp::of(&metadata).used_ns >= before_ns {
                continue;
            }
            // Whoever holds a lock removes its file when it lets go.
            if let Ok(LockAttempt::Held(lock)) = KeyLock::attempt(&path, "relabel cache gc") {
                drop(lock);
                removed += 1;
            }
        }
        removed
    }

    /// Becomes the one sweep that is on, or says who is.
    pub fn lock_sweep(&self, holder: &str) -> Result<Result<SweepLock, String>, CacheError> {
        let folder = self.folder().join("locks");
        let attempt = std::fs::create_dir_all(&folder)
            .and_then(|()| KeyLock::attempt(&folder.join("sweep"), holder))
            .map_err(|error| self.error("cannot lock the cache", error))?;
        Ok(match attempt {
            LockAttempt::Held(lock) => Ok(SweepLock(lock)),
            LockAttempt::HeldBy(holder) => Err(holder),
        })
    }

    /// Looks at everything that is there.
    pub fn inventory(&self) -> Result<Inventory, CacheError> {
        let mut found = Inventory::default();
        for (path, metadata) in self.files_of("records-v3")? {
            let (bytes, stamp) = (metadata.len(), Stamp::of(&metadata));
            match named_digest(&path, ".json") {
                Some(key) => {
                    let record = self.record(&key);
                    found.records.insert(key, RecordEntry { key, bytes, stamp, record });
                }
                None => found.strays.push(Stray { path, bytes, stamp }),
            }
        }
        for (path, metadata) in self.files_of("objects-v1")? {
            let (bytes, stamp) = (metadata.len(), Stamp::of(&metadata));
            match named_digest(&path, "") {
                Some(digest) => {
                    found.blobs.insert(digest, BlobEntry { bytes, stamp });
                }
                None => found.strays.push(Stray { path, bytes, stamp }),
            }
        }
        let mut others = files_in(self.folder());
        others.extend(files_in(&self.folder().join("facts-v1")));
        others.retain(|(path, _)| is_unfinished(path));
        for name in OLD_RECORDS {
            others.extend(self.files_of(name)?);
        }
        for (path, metadata) in others {
            let (bytes, stamp) = (metadata.len(), Stamp::of(&metadata));
            found.strays.push(Stray { path, bytes, stamp });
        }
        Ok(found)
    }

    /// Files of a folder and of the folders in it.
    fn files_of(&self, name: &str) -> Result<Vec<(PathBuf, std::fs::Metadata)>, CacheError> {
        let folder = self.folder().join(name);
        let entries = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => {
                entries.map_err(|error| self.error(format!("cannot read `{name}`"), error))?
            }
        };
        let mut found = files_in(&folder);
        for entry in entries.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                found.extend(files_in(&entry.path()));
            }
        }
        Ok(found)
    }

    /// Removes records, then every blob that no record is left for, then strays.
    ///
    /// Each only if it is as it was in the inventory; what is in use by now is spared. A kill in
    /// between leaves blobs without a record, which the next sweep removes.
    pub fn sweep(
        &self,
        inventory: &Inventory,
        records: &BTreeSet<Digest>,
        blobs: &BTreeSet<Digest>,
        strays: &[Stray],
    ) -> Result<Sweep, CacheError> {
        let mut sweep = Sweep::default();
        let mut doomed: BTreeMap<Digest, BlobEntry> = BTreeMap::new();
        for key in records {
            let Some(entry) = inventory.records.get(key) else { continue };
            // Whoever computes this key or writes its record is in the middle of using it.
            let LockAttempt::Held(lock) = self.lock(key, "relabel cache gc")? else {
                sweep.spared += 1;
                continue;
            };
            if self.remove_unchanged(&self.record_path(key), entry.stamp)? {
                sweep.records += 1;
                sweep.bytes += entry.bytes;
                for named in entry.record.iter().flat_map(UnitRecord::blobs) {
                    let blob = inventory.blobs.get(&named.blob);
                    doomed.extend(blob.map(|blob| (named.blob, *blob)));
                }
            } else {
                sweep.spared += 1;
            }
            drop(lock);
        }
        doomed.extend(blobs.iter().filter_map(|b| Some((*b, *inventory.blobs.get(b)?))));
        for entry in inventory.records.values() {
            if self.has_record_file(&entry.key) {
                for named in entry.record.iter().flat_map(UnitRecord::blobs) {
                    doomed.remove(&named.blob);
                }
            }
        }
        for (digest, entry) in doomed {
            if self.remove_unchanged(&self.blob_path(&digest), entry.stamp)? {
                sweep.blobs += 1;
                sweep.bytes += entry.bytes;
            }
        }
        for stray in strays {
            if self.remove_unchanged(&stray.path, stray.stamp)? {
                sweep.strays += 1;
                sweep.bytes += stray.bytes;
            }
        }
        Ok(sweep)
    }

    fn remove_unchanged(&self, path: &Path, stamp: Stamp) -> Result<bool, CacheError> {
        kill::point();
        let alone = self.use_lock(FlockOperation::LockExclusive)?;
        let there = std::fs::metadata(path).map(|metadata| Stamp::of(&metadata));
        if there.ok() != Some(stamp) {
            return Ok(false);
        }
        kill::point();
        std::fs::remove_file(path)
            .map_err(|error| self.error(format!("cannot remove `{}`", path.display()), error))?;
        kill::point();
        drop(alone);
        Ok(true)
    }
}

/// The digest that a path below a folder of two-letter folders stands for.
fn named_digest(path: &Path, ending: &str) -> Option<Digest> {
    let name = path.file_name()?.to_str()?.strip_suffix(ending)?;
    let folder = path.parent()?.file_name()?.to_str()?;
    format!("{folder}{name}").parse().ok()
}

fn is_unfinished(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with(TEMPORARY) || name.starts_with(TEMPORARY_BLOB)
}

/// Plain files right in a folder, by name; a folder that cannot be read has none.
fn files_in(folder: &Path) -> Vec<(PathBuf, std::fs::Metadata)> {
    let mut files: Vec<(PathBuf, std::fs::Metadata)> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)))
        .filter(|(_, metadata)| metadata.is_file())
        .collect();
    files.sort_by(|a, b| a.0.cmp(&b.0));
    files
}

#[cfg(test)]
mod tests;

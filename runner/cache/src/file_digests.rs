//! Digests of external files, remembered by size, times and inode.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::fs::write_unsynced;

/// A file changed this shortly before it was looked at may change again within the same time
/// stamp, so its digest is not remembered (the "racy git" problem).
const RACY_NS: i128 = 2_000_000_000;

/// Why a file has no digest.
#[derive(Debug, thiserror::Error)]
#[error("`{path}`: {source}")]
pub struct FileError {
    pub path: String,
    pub source: io::Error,
}

/// Everything that changes when a file is written to or replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stat {
    size: u64,
    mtime_ns: i128,
    ctime_ns: i128,
    inode: u64,
    device: u64,
}

/// A digest with the state of the file it was taken of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatedDigest {
    stat: Stat,
    pub digest: Digest,
}

/// The table, kept in one JSON file; losing it costs a look at each file, nothing else.
#[derive(Debug, Default)]
pub struct FileDigests {
    path: Option<PathBuf>,
    known: BTreeMap<PathBuf, StatedDigest>,
    dirty: bool,
}

impl Stat {
    fn of(file: &File) -> io::Result<Stat> {
        let metadata = file.metadata()?;
        let nanoseconds = |s: i64, ns: i64| i128::from(s) * 1_000_000_000 + i128::from(ns);
        Ok(Stat {
            size: metadata.size(),
            mtime_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            ctime_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
            device: metadata.dev(),
        })
    }
}

impl FileDigests {
    /// Reads the table; a missing or damaged one is an empty one.
    pub fn open(path: &Path) -> FileDigests {
        let known = std::fs::read(path)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        FileDigests { path: Some(path.to_owned()), known, dirty: false }
    }

    /// The digest of a file's bytes; `now_ns` is the time since the epoch.
    pub fn digest(&mut self, path: &Path, now_ns: i128) -> Result<StatedDigest, FileError> {
        let fail = |source| FileError { path: path.display().to_string(), source };
        let mut file = File::open(path).map_err(fail)?;
        let stat = Stat::of(&file).map_err(fail)?;
        if let Some(known) = self.known.get(path).filter(|known| known.stat == stat) {
            return Ok(known.clone());
        }
        let digest = Digest::of_reader(&mut file).map_err(fail)?;
        let stated = StatedDigest { stat: stat.clone(), digest };
        if stat != Stat::of(&file).map_err(fail)? {
            let message = "changed while it was read; run again when it is still";
            return Err(fail(io::Error::other(message)));
        }
        if now_ns - stat.mtime_ns.max(stat.ctime_ns) > RACY_NS {
            self.known.insert(path.to_owned(), stated.clone());
            self.dirty = true;
        }
        Ok(stated)
    }

    /// Whether the file is still as it was when `digest` was taken.
    pub fn is_unchanged(path: &Path, stated: &StatedDigest) -> bool {
        File::open(path).and_then(|file| Stat::of(&file)).is_ok_and(|stat| stat == stated.stat)
    }

    /// Writes the table if it changed. It only saves time, so a caller may ignore the error.
    pub fn save(&mut self) -> io::Result<()> {
        if let (true, Some(path)) = (self.dirty, &self.path) {
            write_unsynced(path, &serde_json::to_vec(&self.known)?)?;
            self.dirty = false;
        }
        Ok(())
    }
}

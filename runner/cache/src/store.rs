//! Records and blobs in a folder.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::Access;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::{Digest, DigestWriter};
use crate::facts::Facts;
use crate::fs::write_unsynced;
use crate::kill;
use crate::lock::{KeyLock, LockAttempt};
use crate::seal::{sealed, unsealed};
use crate::sweep::{Hold, touch};

/// Bytes of a record that is read at once.
const SMALL_RECORD: usize = 1 << 13;
/// How the names of unfinished blobs begin.
pub(crate) const TEMPORARY_BLOB: &str = ".tmp-";

/// A blob that an output, or a part of it, is kept in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRecord {
    /// BLAKE3 of the blob's bytes, for integrity.
    pub blob: Digest,
    pub bytes: u64,
    /// The part of the output that it holds, in the writer's words; absent for the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
}

/// An output of a unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputRecord {
    pub port: String,
    /// Digest of the content, whatever its encoding; what keys of readers are made of.
    pub logical: Digest,
    /// Rows of a frame; absent for other outputs.
    pub rows: Option<u64>,
    /// Where it is kept. Outputs of other units may have some of these blobs too.
    pub blobs: Vec<BlobRecord>,
}

impl OutputRecord {
    /// Bytes of all its blobs.
    pub fn bytes(&self) -> u64 {
        self.blobs.iter().map(|blob| blob.bytes).sum()
    }

    /// Whether it is kept in parts.
    pub fn is_in_parts(&self) -> bool {
        self.blobs.iter().any(|blob| blob.part.is_some())
    }
}

/// What is kept of a finished unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnitRecord {
    pub schema_version: u32,
    pub key: Digest,
    /// The step's node kind.
    pub kind: String,
    pub outputs: Vec<OutputRecord>,
    /// What the unit had to say: counts and warnings, for reruns that do not run it.
    pub notes: Vec<Value>,
    pub facts: Facts,
    /// Seconds the unit took when it ran.
    pub seconds: f64,
    /// The run that made it.
    pub run_id: String,
    pub finished_at: String,
}

impl UnitRecord {
    pub const SCHEMA_VERSION: u32 = 3;

    pub fn output(&self, port: &str) -> Option<&OutputRecord> {
        self.outputs.iter().find(|output| output.port == port)
    }

    /// The blobs of all outputs; one that two of them share comes twice.
    pub fn blobs(&self) -> impl Iterator<Item = &BlobRecord> {
        self.outputs.iter().flat_map(|output| &output.blobs)
    }
}

/// Whether a blob can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobState {
    Whole,
    Missing,
    /// Its length or its bytes are not what the record says.
    Damaged,
}

#[derive(Debug, thiserror::Error)]
#[error("cache at `{folder}`: {action}: {source}")]
pub struct CacheError {
    pub folder: String,
    pub action: String,
    pub source: io::Error,
}

/// What to do when something cannot be written to a cache.
pub fn write_hint(error: &io::Error) -> &'static str {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    // Who writes in somebody's format wraps what the disk said.
    let all = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    let mut kinds = all.filter_map(|error| error.downcast_ref::<io::Error>()).map(io::Error::kind);
    if kinds.any(|kind| matches!(kind, StorageFull | QuotaExceeded | FileTooLarge)) {
        "free some space or choose another folder with `--cache-dir`"
    } else {
        "choose a folder that can be written to with `--cache-dir`"
    }
}

/// A cache in a folder; cheap to clone, safe to use from several threads and processes.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
    /// `locks/gc`, opened once and handed from one use to the next.
    pub(crate) use_lock: Arc<Mutex<Option<File>>>,
    /// What was published and may not be on disk yet.
    unsynced: Arc<Mutex<BTreeSet<PathBuf>>>,
}

impl Cache {
    /// Opens a cache without touching the disk: `plan` works on a read-only one.
    pub fn at(folder: impl Into<PathBuf>) -> Cache {
        Cache { folder: folder.into(), use_lock: Arc::default(), unsynced: Arc::default() }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn error(&self, action: impl Into<String>, source: io::Error) -> CacheError {
        CacheError { folder: self.folder.display().to_string(), action: action.into(), source }
    }

    /// Makes the folders, so that a disk that cannot be written to is told at once.
    pub fn prepare(&self) -> Result<(), CacheError> {
        for name in ["objects-v1", "records-v3", "locks", "runs-v1"] {
            let folder = self.folder.join(name);
            std::fs::create_dir_all(&folder)
                .and_then(|()| Ok(rustix::fs::access(&folder, Access::WRITE_OK)?))
                .map_err(|error| self.error(format!("cannot write to `{name}`"), error))?;
        }
        let ignore = self.folder.join(".gitignore");
        if !ignore.exists() {
            std::fs::write(&ignore, "*\n")
                .map_err(|error| self.error("cannot write `.gitignore`", error))?;
        }
        Ok(())
    }

    pub(crate) fn record_path(&self, key: &Digest) -> PathBuf {
        let hex = key.to_hex();
        self.folder.join("records-v3").join(&hex[..2]).join(format!("{}.json", &hex[2..]))
    }

    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.to_hex();
        self.folder.join("objects-v1").join(&hex[..2]).join(&hex[2..])
    }

    /// The record under a key; one that is damaged or cannot be read is as good as none.
    pub fn record(&self, key: &Digest) -> Option<UnitRecord> {
        // Most records fit a small buffer: of thousands, each costs one read and no memory.
        let mut small = [0; SMALL_RECORD];
        let mut file = File::open(self.record_path(key)).ok()?;
        let length = file.read(&mut small).ok()?;
        let record = if length < SMALL_RECORD {
            unsealed(&small[..length])?
        } else {
            let mut bytes = small.to_vec();
            file.read_to_end(&mut bytes).ok()?;
            unsealed(&bytes)?
        };
        (record.schema_version == UnitRecord::SCHEMA_VERSION && record.key == *key)
            .then_some(record)
    }

    /// Whether there is a file under the key at all, readable or not.
    pub fn has_record_file(&self, key: &Digest) -> bool {
        self.record_path(key).exists()
    }

    /// Publishes a record; every blob it names must be in place.
    ///
    /// A sweep that is on at the same time waits until the record is there, and then spares its
    /// blobs.
    pub fn put_record(&self, record: &UnitRecord) -> Result<(), CacheError> {
        let shared = self.in_use_lock()?;
        for blob in record.blobs() {
            if self.blob_state(blob) != BlobState::Whole {
                let error = io::Error::other("somebody removed it while the unit was running");
                return Err(self.error("an artifact is no longer there", error));
            }
        }
        let path = self.record_path(&record.key);
        write_unsynced(&path, &sealed(record))
            .map_err(|error| self.error("cannot write a record", error))?;
        drop(shared);
        self.note_unsynced(path);
        Ok(())
    }

    fn note_unsynced(&self, path: PathBuf) {
        self.unsynced.lock().unwrap_or_else(PoisonError::into_inner).insert(path);
    }

    /// Waits until all that was published is on disk: files first, then the folders they are in.
    ///
    /// A killed process needs no sync: what it wrote is the system's. Only a power cut can lose
    /// what was not synced, and whoever reads finds that by length and digest.
    pub fn sync(&self) -> Result<(), CacheError> {
        let files =
            std::mem::take(&mut *self.unsynced.lock().unwrap_or_else(PoisonError::into_inner));
        let folders: BTreeSet<PathBuf> =
            files.iter().filter_map(|path| path.parent().map(Path::to_owned)).collect();
        for path in files.iter().chain(&folders) {
            match File::open(path).and_then(|file| file.sync_all()) {
                // Somebody has removed it since.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                done => done.map_err(|error| self.error("cannot sync a result", error))?,
            }
        }
        Ok(())
    }

    /// Takes a record that was found whole into use: marks it, and says whether it is still there.
    ///
    /// A sweep removes nothing that was marked after the sweep looked at it, nor its blobs.
    pub fn use_record(&self, record: &UnitRecord) -> bool {
        self.use_record_in(record, &self.hold())
    }

    /// The same while a hold is there already, as when many are taken into use.
    pub fn use_record_in(&self, record: &UnitRecord, _: &Hold<'_>) -> bool {
        // Where nothing can be marked, nothing can be removed either.
        match touch(&self.record_path(&record.key)) {
            // Blobs go after their record only, so they are as whole as they were.
            Ok(()) => true,
            Err(_) => self.has_record_file(&record.key) && self.is_whole(record),
        }
    }

    pub fn remove_record(&self, key: &Digest) -> Result<(), CacheError> {
        match std::fs::remove_file(self.record_path(key)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(self.error("cannot remove a record", error))
            }
            _ => Ok(()),
        }
    }

    /// Writes a blob through `write`; returns the digest and number of its bytes.
    pub fn put_blob(
        &self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(Digest, u64), CacheError> {
        self.put_blob_io(write).map_err(|error| self.error("cannot write an artifact", error))
    }

    fn put_blob_io(
        &self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<(Digest, u64)> {
        let folder = self.folder.join("objects-v1");
        std::fs::create_dir_all(&folder)?;
        kill::point();
        let temporary = tempfile::Builder::new().prefix(TEMPORARY_BLOB).tempfile_in(&folder)?;
        kill::point();
        let buffer = BufWriter::with_capacity(1 << 18, temporary.as_file());
        let mut writer = DigestWriter::new(buffer);
        write(&mut writer)?;
        let (mut buffer, digest, length) = writer.finish();
        buffer.flush()?;
        drop(buffer);
        kill::point();
        let path = self.blob_path(&digest);
        // Marked before it is looked at: from now on a sweep leaves it alone.
        let shared = self.in_use_lock().map_err(|error| error.source)?;
        if touch(&path).is_ok()
            && std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() == length)
            && Digest::of_file(&path).is_ok_and(|there| there == digest)
        {
            return Ok((digest, length));
        }
        drop(shared);
        kill::point();
        let parent = path.parent().expect("a blob lies in a folder");
        std::fs::create_dir_all(parent)?;
        kill::point();
        temporary.persist(&path).map_err(|error| error.error)?;
        kill::point();
        self.note_unsynced(path);
        Ok((digest, length))
    }

    /// A quick look: is the blob there in its full length?
    pub fn blob_state(&self, blob: &BlobRecord) -> BlobState {
        match std::fs::metadata(self.blob_path(&blob.blob)) {
            Ok(metadata) if metadata.len() == blob.bytes => BlobState::Whole,
            Ok(_) => BlobState::Damaged,
            Err(_) => BlobState::Missing,
        }
    }

    /// The same of all blobs of a record: the worst of them.
    pub fn state(&self, record: &UnitRecord) -> BlobState {
        let states = record.blobs().map(|blob| self.blob_state(blob));
        states.max_by_key(|state| *state as u8).unwrap_or(BlobState::Whole)
    }

    /// Whether every blob of a record is there in its full length.
    pub fn is_whole(&self, record: &UnitRecord) -> bool {
        record.blobs().all(|blob| self.blob_state(blob) == BlobState::Whole)
    }

    /// A thorough look: do the bytes have their digest?
    pub fn verify_blob(&self, blob: &BlobRecord) -> BlobState {
        match self.blob_state(blob) {
            BlobState::Whole => match Digest::of_file(&self.blob_path(&blob.blob)) {
                Ok(digest) if digest == blob.blob => BlobState::Whole,
                Ok(_) => BlobState::Damaged,
                Err(_) => BlobState::Missing,
            },
            state => state,
        }
    }

    pub fn remove_blob(&self, digest: &Digest) {
        // What cannot be removed is found damaged again next time.
        let _ = std::fs::remove_file(self.blob_path(digest));
    }

    /// Reads a whole blob and checks its digest.
    pub fn read_blob(&self, blob: &BlobRecord) -> Result<Vec<u8>, CacheError> {
        let bytes = std::fs::read(self.blob_path(&blob.blob))
            .map_err(|error| self.error("cannot read an artifact", error))?;
        self.check_digest(Digest::of(&bytes), blob)?;
        Ok(bytes)
    }

    fn check_digest(&self, found: Digest, blob: &BlobRecord) -> Result<(), CacheError> {
        if found == blob.blob {
            return Ok(());
        }
        let error = io::Error::other("its bytes do not have its digest");
        Err(self.error("an artifact is damaged", error))
    }

    /// Opens a blob for reading once its digest is checked; never holds more than a piece of it.
    pub fn open_blob(&self, blob: &BlobRecord) -> Result<File, CacheError> {
        let open = || {
            let mut file = File::open(self.blob_path(&blob.blob))?;
            let digest = Digest::of_reader(&mut file)?;
            file.rewind()?;
            Ok((file, digest))
        };
        let opened = open().map_err(|error| self.error("cannot read an artifact", error));
        let (file, digest) = opened?;
        self.check_digest(digest, blob)?;
        Ok(file)
    }

    /// Tries to become the one that computes `key`; `holder` is shown to others who want it.
    pub fn lock(&self, key: &Digest, holder: &str) -> Result<LockAttempt, CacheError> {
        let folder = self.folder.join("locks");
        std::fs::create_dir_all(&folder)
            .and_then(|()| KeyLock::attempt(&folder.join(key.to_hex()), holder))
            .map_err(|error| self.error("cannot lock a key", error))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn cache() -> (tempfile::TempDir, Cache) {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().join("cache"));
        cache.prepare().unwrap();
        (folder, cache)
    }

    /// Publishes one blob and its record, made for the key `key`.
    pub(crate) fn put(cache: &Cache, key: &str, bytes: &[u8]) -> UnitRecord {
        let (blob, length) = cache.put_blob(|file| file.write_all(bytes)).unwrap();
        let blobs = vec![BlobRecord { blob, bytes: length, part: None }];
        let output = OutputRecord { port: String::new(), logical: blob, rows: None, blobs };
        let record = UnitRecord {
            schema_version: UnitRecord::SCHEMA_VERSION,
            key: Digest::of(key.as_bytes()),
            kind: "test".into(),
            outputs: vec![output],
            notes: vec![],
            facts: Facts::new(),
            seconds: 0.5,
            run_id: "r".into(),
            finished_at: "t".into(),
        };
        cache.put_record(&record).unwrap();
        record
    }

    #[test]
    fn what_goes_in_comes_out() {
        let (_folder, cache) = cache();
        let record = put(&cache, "k", b"content");
        assert_eq!(cache.record(&record.key), Some(record.clone()));
        assert_eq!(cache.read_blob(&record.outputs[0].blobs[0]).unwrap(), b"content");
        assert_eq!(cache.record(&Digest::of(b"other")), None);
    }

    #[test]
    fn damage_is_found() {
        let (_folder, cache) = cache();
        let record = put(&cache, "k", b"content");
        let blob = &record.outputs[0].blobs[0];
        let path = cache.blob_path(&blob.blob);
        std::fs::write(&path, b"c0ntent").unwrap();
        assert_eq!(cache.blob_state(blob), BlobState::Whole);
        assert_eq!(cache.verify_blob(blob), BlobState::Damaged);
        assert!(cache.read_blob(blob).is_err() && cache.open_blob(blob).is_err());
        std::fs::write(&path, b"cont").unwrap();
        assert_eq!(cache.blob_state(blob), BlobState::Damaged);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(cache.blob_state(blob), BlobState::Missing);
        put(&cache, "k", b"content");
        assert_eq!(cache.verify_blob(blob), BlobState::Whole);
    }

    #[test]
    fn a_damaged_blob_is_replaced_when_it_is_written_again() {
        let (_folder, cache) = cache();
        let record = put(&cache, "k", b"content");
        std::fs::write(cache.blob_path(&record.outputs[0].blobs[0].blob), b"c0ntent").unwrap();
        put(&cache, "k", b"content");
        assert_eq!(cache.verify_blob(&record.outputs[0].blobs[0]), BlobState::Whole);
    }

    #[test]
    fn a_truncated_record_is_no_record() {
        let (_folder, cache) = cache();
        let record = put(&cache, "k", b"content");
        let path = cache.record_path(&record.key);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert_eq!(cache.record(&record.key), None);
        assert!(cache.has_record_file(&record.key));
    }

    #[test]
    fn one_holder_at_a_time() {
        let (_folder, cache) = cache();
        let key = Digest::of(b"k");
        let LockAttempt::Held(lock) = cache.lock(&key, "first").unwrap() else { panic!("free") };
        match cache.lock(&key, "second").unwrap() {
            LockAttempt::HeldBy(who) => assert_eq!(who, "first"),
            LockAttempt::Held(_) => panic!("held twice"),
        }
        drop(lock);
        assert!(matches!(cache.lock(&key, "second").unwrap(), LockAttempt::Held(_)));
    }

    #[test]
    fn a_failed_write_leaves_nothing() {
        let (_folder, cache) = cache();
        let result = cache.put_blob(|file| {
            file.write_all(b"half")?;
            Err(io::Error::other("no space"))
        });
        assert!(result.unwrap_err().to_string().contains("cannot write an artifact"));
        let left = std::fs::read_dir(cache.folder().join("objects-v1")).unwrap().count();
        assert_eq!(left, 0);
    }
}

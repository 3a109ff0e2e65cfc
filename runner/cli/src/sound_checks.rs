//! Checks that came out well, kept from one command to the next: a pipeline of thousands of
//! expressions is not typed anew each time.
//!
//! The file is a digest of what checked them (this program's file), then 32 bytes a check. One that
//! is damaged or of another build is an empty one; losing it costs the checks, nothing else.

use std::cell::RefCell;
use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use engine::{Digest, write_unsynced};

type Fingerprint = [u8; 32];

/// More than any pipeline has; beyond it only what the last check used is kept.
const MOST: usize = 100_000;

/// The checks of one cache folder.
#[derive(Debug, Default)]
pub struct SoundChecks {
    path: PathBuf,
    before: HashSet<Fingerprint>,
    now: RefCell<HashSet<Fingerprint>>,
}

/// What tells this build from others: where its file is, how big, and when it was written.
fn build() -> Fingerprint {
    let file = std::env::current_exe().and_then(|path| Ok((std::fs::metadata(&path)?, path)));
    let text = match file {
        Ok((metadata, path)) => format!(
            "{} {} {} {} {}",
            path.display(),
            metadata.size(),
            metadata.mtime(),
            metadata.mtime_nsec(),
            metadata.ino()
        ),
        Err(_) => env!("CARGO_PKG_VERSION").to_owned(),
    };
    *Digest::of(text.as_bytes()).as_bytes()
}

impl SoundChecks {
    /// Reads what is there; a check of this folder's pipelines may ask for it.
    pub fn open(path: PathBuf) -> SoundChecks {
        let bytes = std::fs::read(&path).unwrap_or_default();
        let mut entries = bytes.chunks_exact(32).map(|chunk| {
            let mut entry = [0; 32];
            entry.copy_from_slice(chunk);
            entry
        });
        let before = match entries.next() {
            Some(head) if bytes.len().is_multiple_of(32) && head == build() => entries.collect(),
            _ => HashSet::new(),
        };
        SoundChecks { path, before, now: RefCell::default() }
    }

    pub fn has(&self, fingerprint: &Fingerprint) -> bool {
        self.before.contains(fingerprint)
    }

    pub fn note(&self, fingerprint: &Fingerprint) {
        self.now.borrow_mut().insert(*fingerprint);
    }

    /// Writes what is new, if the cache is there: a check alone makes no folder.
    pub fn save(&self) {
        let now = self.now.take();
        if now.is_empty() || !self.path.parent().is_some_and(std::path::Path::exists) {
            self.now.replace(now);
            return;
        }
        let mut all: Vec<Fingerprint> = now.iter().copied().collect();
        if self.before.len() + now.len() <= MOST {
            all.extend(&self.before);
        }
        all.sort_unstable();
        let bytes: Vec<u8> = std::iter::once(build()).chain(all).flatten().collect();
        // It only saves time.
        let _ = write_unsynced(&self.path, &bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_is_there_next_time_and_damage_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checks-v1");
        let one = [1; 32];
        let checks = SoundChecks::open(path.clone());
        assert!(!checks.has(&one));
        checks.note(&one);
        checks.save();
        assert!(SoundChecks::open(path.clone()).has(&one));
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[0] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert!(!SoundChecks::open(path.clone()).has(&one), "another build checked that");
        std::fs::write(&path, &bytes[..40]).unwrap();
        assert!(!SoundChecks::open(path).has(&one));
        let nowhere = SoundChecks::open(folder.path().join("none/checks-v1"));
        nowhere.note(&one);
        nowhere.save();
        assert!(!folder.path().join("none").exists());
    }
}

//! One computation per key at a time, over all processes: kernel locks, gone with their holder.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::fs::is_at;

/// The lock on a key; freed when dropped or when the process ends in any way.
#[derive(Debug)]
pub struct KeyLock {
    file: File,
    path: PathBuf,
}

/// What came of trying.
#[derive(Debug)]
pub enum LockAttempt {
    Held(KeyLock),
    /// Somebody else holds it; the text says who, as they wrote it.
    HeldBy(String),
}

impl KeyLock {
    pub(crate) fn attempt(path: &Path, holder: &str) -> io::Result<LockAttempt> {
        loop {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    let mut text = String::new();
                    file.read_to_string(&mut text)?;
                    return Ok(LockAttempt::HeldBy(text.trim().to_owned()));
                }
                Err(error) => return Err(error.into()),
            }
            // The holder before removes the file when it lets go: what was locked may be a file
            // that nobody else can find any more. Then try again with the one that is there.
            if !is_at(&file, path)? {
                continue;
            }
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(holder.as_bytes())?;
            return Ok(LockAttempt::Held(KeyLock { file, path: path.to_owned() }));
        }
    }
}

impl Drop for KeyLock {
    fn drop(&mut self) {
        // Removed while it is still locked, so nobody can hold a file that is not there. An error
        // leaves a small file behind, which the next holder takes over.
        let _ = std::fs::remove_file(&self.path);
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

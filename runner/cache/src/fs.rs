//! Files written whole or not at all: temporary file in the same folder, sync, rename.
//!
//! A kill leaves the temporary file behind. Within the cache a gc removes it; elsewhere the next
//! write to the folder does. Who writes holds a kernel lock on the temporary file, so what nobody
//! holds is a dead process's.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use tempfile::NamedTempFile;

use crate::kill;

/// How the names of unfinished files begin.
pub(crate) const TEMPORARY: &str = ".relabel-tmp-";

/// Writes a file through `write` and puts it in place when all of it is on disk.
///
/// On any error `path` is as it was before and the temporary file is gone. What killed processes
/// left unfinished in the same folder is removed.
pub fn write_atomically<T>(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<T>,
) -> io::Result<T> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder)?;
    kill::point();
    remove_left_behind(folder);
    let temporary = locked_temporary(folder)?;
    kill::point();
    let value = {
        let mut buffer = BufWriter::with_capacity(1 << 18, temporary.as_file());
        let value = write(&mut buffer)?;
        kill::point();
        buffer.flush()?;
        value
    };
    kill::point();
    // `tempfile` makes files for their owner alone; a result is as public as the folder lets it be.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    temporary.as_file().set_permissions(mode)?;
    temporary.as_file().sync_all()?;
    kill::point();
    temporary.persist(path).map_err(|error| error.error)?;
    kill::point();
    // The rename itself must survive a power cut too.
    File::open(folder)?.sync_all()?;
    kill::point();
    Ok(value)
}

/// A new temporary file that says with its lock that its writer is alive.
fn locked_temporary(folder: &Path) -> io::Result<NamedTempFile> {
    loop {
        let temporary = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(folder)?;
        // Between its making and its lock it looks like one that was left behind: whoever took it
        // for that holds the lock, or has removed it by now. Then another one is made.
        match flock(temporary.as_file(), FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => {}
            // Where nothing can be locked, nothing is taken for left behind either.
            Err(_) => return Ok(temporary),
            Ok(()) if is_at(temporary.as_file(), temporary.path())? => return Ok(temporary),
            Ok(()) => {}
        }
    }
}

/// Whether a path still leads to the open file.
pub(crate) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let there = match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        there => there?,
    };
    let open = file.metadata()?;
    Ok((open.dev(), open.ino()) == (there.dev(), there.ino()))
}

/// Removes temporary files that nobody holds; what cannot be looked at or removed stays.
fn remove_left_behind(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_temporary = entry.file_name().to_string_lossy().starts_with(TEMPORARY);
        if !is_temporary || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let path = entry.path();
        let Ok(file) = File::open(&path) else { continue };
        // The same file is removed that was locked, for only its holder may rename or remove it.
        let is_free = flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
        if is_free && is_at(&file, &path).unwrap_or(false) {
            let _ = std::fs::remove_file(&path);
        }
    }
}

/// Puts bytes in place whole, but does not wait for the disk: a killed process leaves nothing
/// half-written, a power cut may leave an empty file. For what only explains or saves time.
pub fn write_unsynced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    std::fs::create_dir_all(folder)?;
    kill::point();
    let mut temporary = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(folder)?;
    kill::point();
    temporary.write_all(bytes)?;
    kill::point();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    temporary.as_file().set_permissions(mode)?;
    kill::point();
    temporary.persist(path).map_err(|error| error.error)?;
    kill::point();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn temporaries(folder: &Path) -> usize {
        let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().starts_with(TEMPORARY)).count()
    }

    #[test]
    fn what_a_dead_process_left_goes_with_the_next_write() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join(".relabel-tmp-left");
        std::fs::write(&left, "half").unwrap();
        std::fs::write(folder.path().join(".other"), "not ours").unwrap();
        let path = folder.path().join("out.csv");
        write_atomically(&path, |file| file.write_all(b"whole")).unwrap();
        assert!(!left.exists());
        assert_eq!(std::fs::read(&path).unwrap(), b"whole");
        assert!(folder.path().join(".other").exists());
    }

    #[test]
    fn what_somebody_is_writing_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            write_atomically(&folder.path().join(name), |file| file.write_all(text.as_bytes()))
        };
        write_atomically(&folder.path().join("first"), |file| {
            file.write_all(b"one ")?;
            write("second", "two")?;
            assert_eq!(temporaries(folder.path()), 1, "the first is being written");
            file.write_all(b"whole")
        })
        .unwrap();
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!((read("first").as_str(), read("second").as_str()), ("one whole", "two"));
        assert_eq!(temporaries(folder.path()), 0);
    }

    #[test]
    fn many_writers_at_once_take_nothing_from_each_other() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let path = folder.path().join(format!("{writer}"));
                scope.spawn(move || {
                    for n in 0..50 {
                        let text = format!("{writer} {n}");
                        write_atomically(&path, |file| file.write_all(text.as_bytes())).unwrap();
                        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
                    }
                });
            }
        });
        assert_eq!(temporaries(folder.path()), 0);
    }
}

//! Files written whole or not at all: temporary file in the same folder, sync, rename.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::kill;

/// How the names of unfinished files begin; a kill leaves such a file behind, and gc removes it.
pub(crate) const TEMPORARY: &str = ".relabel-tmp-";

/// Writes a file through `write` and puts it in place when all of it is on disk.
///
/// On any error `path` is as it was before and the temporary file is gone.
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
    let temporary = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(folder)?;
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

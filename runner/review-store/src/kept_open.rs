//! Stores that stay open between one use and the next. Opening one makes and removes two files beside
//! it, which is much of what a run with nothing to do takes.

use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::sqlite::{Place, SqliteStore};
use crate::store::StoreError;

static KEPT: Mutex<Kept> = Mutex::new(Kept { holders: 0, stores: Vec::new() });

struct Kept {
    holders: usize,
    stores: Vec<(FileId, Arc<SqliteStore>)>,
}

/// Device and inode: a file that was put in place of another is another store.
type FileId = (u64, u64);

/// While there is one, stores that are opened for reading stay open, and opening them again costs
/// nothing; with the last one they are closed.
#[derive(Debug)]
pub struct KeepOpen(());

impl KeepOpen {
    #[allow(clippy::new_without_default)]
    pub fn new() -> KeepOpen {
        kept().holders += 1;
        KeepOpen(())
    }
}

impl Drop for KeepOpen {
    fn drop(&mut self) {
        let mut kept = kept();
        kept.holders -= 1;
        if kept.holders == 0 {
            let closed = std::mem::take(&mut kept.stores);
            drop(kept);
            drop(closed);
        }
    }
}

fn kept() -> MutexGuard<'static, Kept> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The store at a place if it is open, or what `open` gives.
pub(crate) fn or_open(
    place: &Place,
    open: impl FnOnce() -> Result<Arc<SqliteStore>, StoreError>,
) -> Result<Arc<SqliteStore>, StoreError> {
    let file = match place {
        Place::File(path) => std::fs::metadata(path).ok(),
        Place::Memory => None,
    };
    let Some(id) = file.map(|file| (file.dev(), file.ino())) else { return open() };
    let mut kept = kept();
    if let Some((_, store)) = kept.stores.iter().find(|(there, _)| *there == id) {
        return Ok(store.clone());
    }
    let store = open()?;
    if kept.holders > 0 {
        kept.stores.push((id, store.clone()));
    }
    Ok(store)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{ReviewStore, open, open_existing};

    fn again(folder: &Path) -> Arc<dyn ReviewStore> {
        open_existing("sqlite:relabel.db", folder).unwrap().unwrap()
    }

    // One test, for what is kept open is kept for the whole process.
    #[test]
    fn a_store_is_opened_once_and_closed_in_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        drop(open("sqlite:relabel.db", folder).unwrap());
        assert!(!Arc::ptr_eq(&again(folder), &again(folder)), "nobody keeps it open");

        let (outer, inner) = (KeepOpen::new(), KeepOpen::new());
        let first = again(folder);
        first.ledger_head().unwrap();
        drop(inner);
        assert!(Arc::ptr_eq(&first, &again(folder)));
        drop(open("sqlite:other.db", folder).unwrap());
        std::fs::rename(folder.join("other.db"), folder.join("relabel.db")).unwrap();
        assert!(!Arc::ptr_eq(&first, &again(folder)), "another file is another store");
        drop((outer, first));
        let left = std::fs::read_dir(folder).unwrap().count();
        assert_eq!(left, 1, "closed stores leave nothing beside them");
    }
}

//! The cache: records under keys, blobs under digests. Bytes in, bytes out.
//!
//! A unit is done when its record is in the store. Blobs go in first and the record last, each
//! written whole or not at all, so a kill at any moment leaves nothing half-written to be read.
//! This crate knows nothing of frames, nodes or runs, reads no environment and no clock.
//!
//! On disk, below the cache folder (old readers skip folders of newer versions; a new version
//! starts empty, for everything here can be computed again):
//!
//! | path | what | version |
//! | --- | --- | --- |
//! | `objects-v1/ab/cdef…` | a blob, named by the BLAKE3 of its bytes | in the folder's name |
//! | `records-v3/ab/cdef….json` | a unit's record, named by its key, with a digest of itself | in the folder's name |
//! | `locks/KEY` | one file a key that is being computed, held by a kernel lock | none |
//! | `locks/run-ID` | one file a run that is on, held by a kernel lock | none |
//! | `locks/gc` | held shared for the moment a run takes a result into use, alone while one is removed | none |
//! | `files-v1.json` | digests of external files with their size and times | in the file's name |

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod digest;
mod facts;
mod file_digests;
mod fs;
pub mod kill;
mod lock;
mod seal;
mod store;
mod sweep;

pub use digest::{Digest, DigestWriter, Hasher, ParseDigestError};
pub use facts::{Explanation, Fact, FactComparison, Facts};
pub use file_digests::{FileDigests, FileError, StatedDigest};
pub use fs::{write_atomically, write_unsynced};
pub use lock::{KeyLock, LockAttempt};
pub use store::{BlobRecord, BlobState, Cache, CacheError, OutputRecord, UnitRecord, write_hint};
pub use sweep::{
    BlobEntry, Hold, Inventory, RecordEntry, RunInProgress, Stamp, Stray, Sweep, SweepLock,
};

//! The plugin boundary in Rust: a mirror of `plugin.h`, field for field.
//! Types and constants only; what a call may rely on is written in the header. No dependencies.
//!
//! | ABI version | header |
//! | --- | --- |
//! | 1 | first version |

mod arrow;

use std::ffi::{c_char, c_void};
use std::ptr;

pub use arrow::{ArrowArray, ArrowSchema};

/// The version of `plugin.h` this crate mirrors.
pub const ABI_VERSION: u32 = 1;

/// The symbol a plugin exports.
pub const ENTRY_SYMBOL: &str = "relabel_classifier_entry";

/// The hand-kept C header, for `plugins new` and for tests that compile plugins in C.
pub const HEADER: &str = include_str!("../plugin.h");

pub type Status = i32;

pub const OK: Status = 0;
pub const FAILED: Status = 1;
pub const CANCELLED: Status = 2;
pub const UNSUPPORTED_VERSION: Status = 3;
pub const INVALID_ARGUMENT: Status = 4;
pub const PANICKED: Status = 5;

/// A message and how to free it.
#[repr(C)]
#[derive(Debug)]
pub struct Error {
    pub message: *mut c_char,
    pub private_data: *mut c_void,
    pub release: Option<unsafe extern "C" fn(error: *mut Error)>,
}

impl Error {
    /// Returns an error that says nothing, to be filled by the other side.
    pub const fn empty() -> Error {
        Error { message: ptr::null_mut(), private_data: ptr::null_mut(), release: None }
    }
}

impl Drop for Error {
    fn drop(&mut self) {
        if let Some(release) = self.release {
            // SAFETY: a live `release` belongs to whoever holds the struct; it sets itself to
            // `None`, so it runs once.
            unsafe { release(self) }
        }
    }
}

/// What a plugin says of itself; the strings stay the plugin's.
#[repr(C)]
#[derive(Debug)]
pub struct Description {
    pub name: *const c_char,
    pub version: *const c_char,
    pub description: *const c_char,
    pub licence: *const c_char,
    pub capabilities: *const *const c_char,
    pub params_schema: *const c_char,
}

impl Description {
    /// Returns a description without strings, to be filled by the other side.
    pub const fn empty() -> Description {
        Description {
            name: ptr::null(),
            version: ptr::null(),
            description: ptr::null(),
            licence: ptr::null(),
            capabilities: ptr::null(),
            params_schema: ptr::null(),
        }
    }
}

/// Threads, progress and cancellation of one call.
#[repr(C)]
#[derive(Debug)]
pub struct Context {
    pub threads: u32,
    pub host: *mut c_void,
    pub progress: Option<unsafe extern "C" fn(host: *mut c_void, share: f32)>,
    pub is_cancelled: Option<unsafe extern "C" fn(host: *mut c_void) -> i32>,
}

/// The rows and labels of one model, borrowed for the call.
#[repr(C)]
#[derive(Debug)]
pub struct Training {
    pub rows: *const ArrowArray,
    pub labels: *const ArrowArray,
    /// Null means that every weight is 1.
    pub weights: *const ArrowArray,
    pub class_count: u32,
    pub seed: u64,
}

/// Bytes and how to free them.
#[repr(C)]
#[derive(Debug)]
pub struct Bytes {
    pub data: *const u8,
    pub length: usize,
    pub private_data: *mut c_void,
    pub release: Option<unsafe extern "C" fn(bytes: *mut Bytes)>,
}

impl Bytes {
    /// Returns no bytes, to be filled by the other side.
    pub const fn empty() -> Bytes {
        Bytes { data: ptr::null(), length: 0, private_data: ptr::null_mut(), release: None }
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        if let Some(release) = self.release {
            // SAFETY: as for `Error`.
            unsafe { release(self) }
        }
    }
}

pub type DescribeFn =
    unsafe extern "C" fn(*mut c_void, description: *mut Description, error: *mut Error) -> Status;
pub type PrepareFn = unsafe extern "C" fn(
    *mut c_void,
    schema: *const ArrowSchema,
    columns: *const ArrowArray,
    params: *const c_char,
    context: *const Context,
    corpus: *mut *mut c_void,
    error: *mut Error,
) -> Status;
pub type FitFn = unsafe extern "C" fn(
    *mut c_void,
    corpus: *const c_void,
    training: *const Training,
    context: *const Context,
    model: *mut *mut c_void,
    error: *mut Error,
) -> Status;
pub type PredictFn = unsafe extern "C" fn(
    *mut c_void,
    corpus: *const c_void,
    model: *const c_void,
    rows: *const ArrowArray,
    context: *const Context,
    schema: *mut ArrowSchema,
    scores: *mut ArrowArray,
    error: *mut Error,
) -> Status;
pub type SaveFn = unsafe extern "C" fn(
    *mut c_void,
    model: *const c_void,
    bytes: *mut Bytes,
    error: *mut Error,
) -> Status;
pub type LoadFn = unsafe extern "C" fn(
    *mut c_void,
    data: *const u8,
    length: usize,
    model: *mut *mut c_void,
    class_count: *mut u32,
    error: *mut Error,
) -> Status;
pub type ReleaseHandleFn = unsafe extern "C" fn(*mut c_void, handle: *mut c_void);

/// The functions of a plugin. Fields are only ever appended.
#[repr(C)]
#[derive(Debug)]
pub struct ClassifierTable {
    pub abi_version: u32,
    pub state: *mut c_void,
    pub describe: Option<DescribeFn>,
    pub prepare: Option<PrepareFn>,
    pub fit: Option<FitFn>,
    pub predict: Option<PredictFn>,
    pub save: Option<SaveFn>,
    pub load: Option<LoadFn>,
    pub release_corpus: Option<ReleaseHandleFn>,
    pub release_model: Option<ReleaseHandleFn>,
    pub release: Option<unsafe extern "C" fn(table: *mut ClassifierTable)>,
}

impl ClassifierTable {
    /// Returns a table without functions, to be filled by a plugin's entry function.
    pub const fn empty() -> ClassifierTable {
        ClassifierTable {
            abi_version: 0,
            state: ptr::null_mut(),
            describe: None,
            prepare: None,
            fit: None,
            predict: None,
            save: None,
            load: None,
            release_corpus: None,
            release_model: None,
            release: None,
        }
    }
}

/// The type of [`ENTRY_SYMBOL`].
pub type EntryFn =
    unsafe extern "C" fn(version: u32, table: *mut ClassifierTable, error: *mut Error) -> Status;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_has_the_same_version() {
        assert!(HEADER.contains(&format!("#define RELABEL_ABI_VERSION {ABI_VERSION}\n")));
        assert!(HEADER.contains(ENTRY_SYMBOL));
    }

    #[test]
    fn header_has_the_same_statuses() {
        for (name, status) in [
            ("OK", OK),
            ("FAILED", FAILED),
            ("CANCELLED", CANCELLED),
            ("UNSUPPORTED_VERSION", UNSUPPORTED_VERSION),
            ("INVALID_ARGUMENT", INVALID_ARGUMENT),
            ("PANICKED", PANICKED),
        ] {
            assert!(HEADER.contains(&format!("#define RELABEL_{name} {status}\n")), "{name}");
        }
    }

    /// Sizes as the C compiler gives them for `plugin.h` on 64-bit targets.
    #[test]
    #[cfg(target_pointer_width = "64")]
    fn layout_is_that_of_version_1() {
        assert_eq!(size_of::<ArrowSchema>(), 72);
        assert_eq!(size_of::<ArrowArray>(), 80);
        assert_eq!(size_of::<Error>(), 24);
        assert_eq!(size_of::<Description>(), 48);
        assert_eq!(size_of::<Context>(), 32);
        assert_eq!(size_of::<Training>(), 40);
        assert_eq!(size_of::<Bytes>(), 32);
        assert_eq!(size_of::<ClassifierTable>(), 88);
    }
}

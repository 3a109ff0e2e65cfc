//! The error a plugin returns, and how it crosses the boundary.

use std::ffi::{CString, c_char};
use std::fmt;

use plugin_abi as abi;

/// Why an operation did not give a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// In words for the user: a lowercase fragment without a full stop.
    Failed(String),
    /// The host asked to stop; made by [`crate::Context::check`].
    Cancelled,
    /// The host broke the contract of `plugin.h`.
    InvalidArgument(String),
}

impl Error {
    pub fn new(message: impl Into<String>) -> Error {
        Error::Failed(message.into())
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Error {
        Error::InvalidArgument(message.into())
    }

    pub(crate) fn status(&self) -> abi::Status {
        match self {
            Error::Failed(_) => abi::FAILED,
            Error::Cancelled => abi::CANCELLED,
            Error::InvalidArgument(_) => abi::INVALID_ARGUMENT,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Failed(message) | Error::InvalidArgument(message) => f.write_str(message),
            Error::Cancelled => f.write_str("cancelled"),
        }
    }
}

impl std::error::Error for Error {}

/// Writes a message into the out-parameter of a call.
///
/// # Safety
///
/// `out` is null or points to a writable error that holds nothing.
pub(crate) unsafe fn write_error(out: *mut abi::Error, message: &str) {
    if out.is_null() {
        return;
    }
    let message = CString::new(message.replace('\0', "\u{fffd}")).expect("no NUL is left");
    let error = abi::Error {
        message: message.into_raw(),
        private_data: std::ptr::null_mut(),
        release: Some(release_error),
    };
    // SAFETY: the caller promises a writable place; what was there held nothing to drop.
    unsafe { out.write(error) }
}

unsafe extern "C" fn release_error(error: *mut abi::Error) {
    // SAFETY: the holder of a live `release` passes its own struct, whose message is a
    // `CString` of `write_error`; both fields are cleared, so that it is freed once.
    unsafe {
        let message: *mut c_char = (*error).message;
        (*error).message = std::ptr::null_mut();
        (*error).release = None;
        if !message.is_null() {
            drop(CString::from_raw(message));
        }
    }
}

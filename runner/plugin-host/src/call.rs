//! What surrounds every call: the context a plugin sees, and the meaning of its status.

use std::ffi::{CStr, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use engine::classifier::{CallContext, ClassifierError};
use plugin_abi as abi;

use crate::instance::Instance;

/// Runs `operation` with a C context that leads back to `context`.
pub(crate) fn with_context<R>(
    context: CallContext<'_>,
    operation: impl FnOnce(*const abi::Context) -> R,
) -> R {
    let raw = abi::Context {
        threads: context.threads.clamp(1, u32::MAX as usize) as u32,
        host: (&raw const context).cast_mut().cast(),
        progress: Some(progress),
        is_cancelled: Some(is_cancelled),
    };
    operation(&raw)
}

unsafe extern "C" fn progress(host: *mut c_void, share: f32) {
    // SAFETY: `host` is the `CallContext` of `with_context`, which outlives the call and whose
    // parts are all `Sync`.
    let context = unsafe { &*host.cast::<CallContext<'_>>() };
    let share = if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) };
    // A panic of the listener must not unwind into the plugin; losing a progress report is fine.
    let _ = catch_unwind(AssertUnwindSafe(|| (context.progress)(share)));
}

unsafe extern "C" fn is_cancelled(host: *mut c_void) -> i32 {
    // SAFETY: as in `progress`.
    let context = unsafe { &*host.cast::<CallContext<'_>>() };
    i32::from(context.cancel.is_cancelled())
}

/// Fails when the plugin panicked before: its state may be half changed.
pub(crate) fn refuse_broken(
    instance: &Instance,
    operation: &'static str,
) -> Result<(), ClassifierError> {
    if instance.is_broken() {
        return Err(broke(instance, operation, "it panicked in an earlier call"));
    }
    Ok(())
}

/// Turns a status and its error into a result.
pub(crate) fn check_status(
    instance: &Instance,
    operation: &'static str,
    status: abi::Status,
    error: &abi::Error,
) -> Result<(), ClassifierError> {
    let plugin = || instance.description.name.clone();
    match status {
        abi::OK => Ok(()),
        abi::CANCELLED => Err(ClassifierError::Cancelled),
        abi::FAILED => {
            Err(ClassifierError::Failed { plugin: plugin(), operation, message: message(error) })
        }
        abi::PANICKED => {
            instance.mark_broken();
            Err(broke(instance, operation, message(error)))
        }
        abi::INVALID_ARGUMENT => {
            Err(broke(instance, operation, format!("refused its arguments: {}", message(error))))
        }
        other => {
            let message = message(error);
            Err(broke(instance, operation, format!("returned status {other}: {message}")))
        }
    }
}

/// Makes the error of a plugin that broke its contract.
pub(crate) fn broke(
    instance: &Instance,
    operation: &'static str,
    message: impl Into<String>,
) -> ClassifierError {
    let plugin = instance.description.name.clone();
    ClassifierError::Contract { plugin, operation, message: message.into() }
}

/// Makes the error of a call this side cannot make.
pub(crate) fn failed(
    instance: &Instance,
    operation: &'static str,
    message: impl Into<String>,
) -> ClassifierError {
    let plugin = instance.description.name.clone();
    ClassifierError::Failed { plugin, operation, message: message.into() }
}

/// Returns the words of an error, whatever bytes they are.
pub(crate) fn message(error: &abi::Error) -> String {
    if error.message.is_null() {
        return "no message".to_owned();
    }
    // SAFETY: a message that is not null ends with NUL and lives until the error is released.
    unsafe { CStr::from_ptr(error.message) }.to_string_lossy().into_owned()
}

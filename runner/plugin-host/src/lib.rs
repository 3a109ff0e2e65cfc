//! Loads classifier plugins and calls them through the C table of `plugin-abi`.
//!
//! [`PluginSource`] finds plugins by name or path; what it returns implements the engine's
//! classifier traits, in this process for a library that is trusted, else in child processes
//! (`process`). Whatever comes back from a plugin is checked before anybody sees it, and every error
//! names the plugin, the operation and the reason. [`contract`] checks whether a classifier keeps its
//! promises. Knows nothing of frames, pipelines or particular plugins, and reads no environment:
//! folders and variables are given to it.

#![cfg_attr(test, allow(clippy::unwrap_used))]

use std::sync::{Mutex, MutexGuard, PoisonError};

mod arrow_in;
mod arrow_out;
mod call;
mod classifier;
pub mod contract;
mod description;
mod instance;
mod library;
mod pins;
mod process;
mod scores;
mod search;
mod source;

pub use classifier::load_static;
pub use pins::Pins;
pub use process::{ExecPlugin, Hosted, Launcher, exec_plugin};
pub use search::library_file_name;
pub use source::{FoundPlugin, PluginSource};

/// BLAKE3 of a file, 64 hexadecimal digits.
fn file_digest(path: &std::path::Path) -> std::io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    // In pieces that are large enough for its widest instructions.
    let mut file = std::io::BufReader::with_capacity(1 << 18, std::fs::File::open(path)?);
    std::io::copy(&mut file, &mut hasher)?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// Locks, also what a panic left behind: the values here are whole between any two statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Fails when a row is not one of the `count` rows of a corpus.
fn check_rows(rows: &[u32], count: usize) -> Result<(), String> {
    match rows.iter().find(|&&row| row as usize >= count) {
        Some(row) => Err(format!("row {row} is asked for, of {count}")),
        None => Ok(()),
    }
}

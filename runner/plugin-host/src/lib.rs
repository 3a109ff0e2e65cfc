//! Loads classifier plugins and calls them through the C table of `plugin-abi`.
//!
//! [`PluginSource`] finds libraries by name or path; what it returns implements the engine's
//! classifier traits in this process. Whatever comes back from a plugin is checked before anybody
//! sees it, and every error names the plugin, the operation and the reason. Knows nothing of
//! frames, pipelines or particular plugins, and reads no environment: folders are given to it.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod arrow_in;
mod arrow_out;
mod call;
mod classifier;
mod instance;
mod source;

pub use classifier::load_static;
pub use source::{FoundPlugin, PluginSource, library_file_name};

//! Texts as feature counts, for plugins that want them: label-free, deterministic, fast.

mod counts;
mod tokens;

pub use counts::{Counts, Vocabulary};
pub use tokens::TextSettings;

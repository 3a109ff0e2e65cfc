//! Texts as feature counts, for plugins that want them: label-free, deterministic, fast.

mod counts;
mod log_linear;
mod projection;
mod selection;
mod tokens;
mod vectoriser;

pub use counts::{Counts, Vocabulary};
pub use log_linear::LogLinear;
pub use projection::{Projection, ProjectionSettings};
pub use selection::{Selection, rows_by_class};
pub use tokens::TextSettings;
pub use vectoriser::{Resolved, Vectoriser, Weighting};

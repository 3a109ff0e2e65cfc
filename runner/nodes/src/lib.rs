//! The built-in node kinds, one file each, and the table that names them.
//!
//! A kind is a pure function from frames to frames; the sinks (`review-queue`, `export`, `report`) are
//! idempotent. Nothing here knows how units are scheduled, cached or shown.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod agreement;
mod choice;
mod classes;
mod classifier;
mod clean;
mod columns;
mod combine;
mod corrections;
mod decisions;
mod draw;
mod duplicates;
mod estimate;
mod evaluate;
mod export;
mod filter;
mod gold;
mod groups;
mod issues;
mod kfold;
mod kind;
mod metrics;
mod model;
mod predict;
mod proposals;
mod reasons;
mod reliability;
mod report;
mod review_queue;
mod sample;
mod soundness;
mod source;
mod texts;
mod train;
mod validate;

pub use kind::{BuiltinNodes, catalog};
pub use model::{ModelBlob, ModelBlobError};

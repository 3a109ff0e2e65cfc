//! The review store: the queue of suspicious records, and the ledger of what reviewers said.
//!
//! Everything speaks through the trait [`ReviewStore`], in plain data; the backend is chosen by
//! URL in [`open`]. This crate knows nothing of pipelines, frames, terminals or the web, reads no
//! clock and no environment: names, times and texts are given by the caller.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod checkpoint;
mod csv;
mod decision;
mod digest;
mod kept_open;
mod ledger;
mod location;
mod origin;
mod record;
mod sqlite;
mod store;

#[cfg(test)]
mod contract;

pub use crate::checkpoint::set_checkpoint;
pub use crate::csv::{
    CsvErrors, CsvExportError, CsvProblem, DecisionCsv, ExportScope, LineProblem, export_decisions,
    read_decisions, write_decisions,
};
pub use crate::decision::{
    BadDecision, BadDecisions, Decision, DecisionProblem, NewDecision, UnknownDecision,
};
pub use crate::digest::text_digest;
pub use crate::kept_open::KeepOpen;
pub use crate::ledger::{
    CurrentDecision, Divergence, DivergenceKind, GENESIS_DIGEST, LedgerHead, LedgerRow, Shown,
    VerifyReport, current_rows, fold,
};
pub use crate::location::{open, open_existing, redacted};
pub use crate::origin::Origin;
pub use crate::store::{
    Item, ItemState, NewItem, QueueOutcome, QueueStatus, RecordOutcome, ReviewStore, ReviewerCount,
    Status, StoreError, VerifiedRecord, batch_digest,
};

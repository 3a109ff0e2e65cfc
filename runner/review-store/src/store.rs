//! The trait [`ReviewStore`], the plain data it speaks in, and the errors of a store.

use std::path::PathBuf;

use serde::Serialize;

use crate::decision::{BadDecisions, NewDecision};
use crate::digest::{FieldHasher, text_digest};
use crate::ledger::{CurrentDecision, LedgerHead, LedgerRow, Shown, VerifyReport};
use crate::origin::Origin;

/// A review queue and its ledger. Every method is one transaction: all of it happens or nothing.
///
/// Several processes may use one store at a time; a method waits for others rather than failing.
pub trait ReviewStore: Send + Sync {
    /// What messages call this store; without secrets.
    fn location(&self) -> &str;

    /// Makes `items` what the queue asks for; the same batch again changes nothing.
    ///
    /// A record that is verified with the same text is not queued again, and a gold row not once it
    /// is answered: the decision in effect on its record has no say in that. Open items of the queue
    /// that are not in the batch are withdrawn; a later batch may bring them back.
    fn queue_items(
        &self,
        queue: &str,
        audit_run_id: &str,
        items: &[NewItem],
    ) -> Result<QueueOutcome, StoreError>;

    /// Whether the last batch of the queue has this digest and all its items are still there.
    fn holds_batch(&self, queue: &str, batch_digest: &str) -> Result<bool, StoreError>;

    /// The open items of a queue by rank; all of them without a limit.
    fn open_items(&self, queue: &str, limit: Option<usize>) -> Result<Vec<Item>, StoreError>;

    /// An item of a queue in whatever state, if the record was ever queued there.
    fn item(&self, queue: &str, record_id: &str) -> Result<Option<Item>, StoreError>;

    /// Appends decisions to the ledger, in their order; if one of them is bad, none.
    ///
    /// A decision that is already in the ledger is counted and not appended again.
    fn record_decisions(&self, decisions: &[NewDecision]) -> Result<RecordOutcome, StoreError>;

    /// The end of the ledger.
    fn ledger_head(&self) -> Result<LedgerHead, StoreError>;

    /// Every row of the ledger, in its order.
    fn ledger(&self) -> Result<Vec<LedgerRow>, StoreError>;

    /// The decision in effect on each record, by record id.
    fn current_decisions(&self) -> Result<Vec<CurrentDecision>, StoreError>;

    /// The records whose decision in effect verifies them, by record id.
    fn verified_records(&self) -> Result<Vec<VerifiedRecord>, StoreError>;

    /// Counts of one queue, or of every queue; a queue that does not exist has no entry.
    fn status(&self, queue: Option<&str>) -> Result<Status, StoreError>;

    /// Walks the ledger's chain; damage is in the report, not an error.
    fn verify(&self) -> Result<VerifyReport, StoreError>;
}

/// A suspicious record to be queued.
#[derive(Debug, Clone, PartialEq)]
pub struct NewItem {
    pub record_id: String,
    pub original_label: String,
    pub given_label: String,
    pub proposed_label: String,
    pub prediction_confidence: f64,
    pub given_confidence: Option<f64>,
    /// Low comes first.
    pub rank: u32,
    pub reasons: Vec<String>,
    /// The record's text as it is now; items and ledger carry its digest.
    pub text: String,
    /// The most probable categories, best first.
    pub categories: Vec<(String, f64)>,
    pub fold_id: Option<u32>,
    pub model_version: String,
    pub taxonomy_version: Option<String>,
    pub origin: Origin,
}

impl NewItem {
    pub(crate) fn content_digest(&self, audit_run_id: &str) -> String {
        let mut hasher = FieldHasher::new("relabel item 3");
        hasher
            .text(&self.record_id)
            .text(audit_run_id)
            .text(&self.original_label)
            .text(&self.given_label)
            .text(&self.proposed_label)
            .float(self.prediction_confidence)
            .optional(self.given_confidence, |hasher, confidence| {
                hasher.float(confidence);
            })
            .number(u64::from(self.rank))
            .number(self.reasons.len() as u64);
        for reason in &self.reasons {
            hasher.text(reason);
        }
        hasher.text(&self.text).number(self.categories.len() as u64);
        for (category, probability) in &self.categories {
            hasher.text(category).float(*probability);
        }
        hasher
            .optional(self.fold_id, |hasher, fold| {
                hasher.number(u64::from(fold));
            })
            .text(&self.model_version)
            .optional_text(self.taxonomy_version.as_deref())
            .optional_text(self.origin.lane.as_deref())
            .number(u64::from(self.origin.control))
            .optional_text(self.origin.stratum.as_deref())
            .optional(self.origin.drawn_from, |hasher, rows| {
                hasher.number(rows);
            })
            .optional(self.origin.lane_rows, |hasher, rows| {
                hasher.number(rows);
            })
            .optional_text(self.origin.gold.as_deref())
            .finish()
    }

    /// Says what is wrong with the item, if something is.
    pub(crate) fn problem(&self) -> Option<String> {
        let probabilities = self.categories.iter().map(|(_, probability)| *probability);
        let finite = probabilities
            .chain([self.prediction_confidence])
            .chain(self.given_confidence)
            .all(f64::is_finite);
        if self.record_id.trim().is_empty() {
            return Some("an item has an empty record id".to_owned());
        }
        (!finite).then(|| format!("record `{}` has a confidence that is no number", self.record_id))
    }

    pub(crate) fn text_digest(&self) -> String {
        text_digest(&self.text)
    }
}

/// Returns the digest of a batch, whatever the order of its items.
pub fn batch_digest(queue: &str, audit_run_id: &str, items: &[NewItem]) -> String {
    let mut digests: Vec<String> =
        items.iter().map(|item| item.content_digest(audit_run_id)).collect();
    digests.sort_unstable();
    let mut hasher = FieldHasher::new("relabel batch 1");
    hasher.text(queue).text(audit_run_id).number(digests.len() as u64);
    for digest in &digests {
        hasher.text(digest);
    }
    hasher.finish()
}

/// What [`ReviewStore::queue_items`] did. All but `withdrawn` add up to the batch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct QueueOutcome {
    pub added: u64,
    /// Items that were there with other contents, or withdrawn.
    pub refreshed: u64,
    /// Items that were there just so.
    pub kept: u64,
    /// Open items that the batch no longer asks for.
    pub withdrawn: u64,
    /// Records not queued because a reviewer has verified this very text, or answered it as gold.
    pub skipped_verified: u64,
    /// For [`ReviewStore::holds_batch`].
    pub batch_digest: String,
}

/// A record in a review queue, as it was when last queued.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Item {
    pub queue: String,
    pub record_id: String,
    pub audit_run_id: String,
    pub original_label: String,
    pub given_label: String,
    pub proposed_label: String,
    pub text: String,
    pub text_digest: String,
    pub model_version: String,
    #[serde(flatten)]
    pub shown: Shown,
    pub state: ItemState,
}

/// Where an item stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ItemState {
    /// Waits for a decision.
    Open,
    /// Has a decision on its text.
    Decided,
    /// A later batch did not ask for it; a decision on it still counts.
    Withdrawn,
}

/// What [`ReviewStore::record_decisions`] did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordOutcome {
    pub recorded: u64,
    pub already_there: u64,
    pub head: LedgerHead,
}

/// A record that needs no review as long as its text stays the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifiedRecord {
    pub record_id: String,
    pub text_digest: String,
}

/// Counts over the store.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// By name.
    pub queues: Vec<QueueStatus>,
    pub head: LedgerHead,
}

/// Counts over the items of one queue, by the decision in effect on each.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct QueueStatus {
    pub queue: String,
    pub open: u64,
    pub decided: u64,
    pub withdrawn: u64,
    pub accepted: u64,
    pub kept: u64,
    pub other: u64,
    pub both_fit: u64,
    pub invalid: u64,
    pub unsure: u64,
    /// Items whose given label was found wrong, whatever the proposal.
    pub given_wrong: u64,
    /// Items whose proposal was found right, whatever the given label.
    pub proposal_right: u64,
    /// Accepted per decided item that is not unsure; absent when there is none.
    pub acceptance: Option<f64>,
    /// By name.
    pub reviewers: Vec<ReviewerCount>,
}

/// How many of a queue's decisions in effect are a reviewer's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReviewerCount {
    pub reviewed_by: String,
    pub decisions: u64,
}

/// What can go wrong with a store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the store URL {problem}; known are `sqlite:FILE` and `sqlite::memory:`")]
    BadUrl { problem: String },
    #[error("unknown store scheme `{scheme}:`; known are `sqlite:FILE` and `sqlite::memory:`")]
    UnknownScheme { scheme: String },
    #[error("`{scheme}:` stores are not in this build yet; use `sqlite:FILE`")]
    NotInThisBuild { scheme: String },
    #[error("cannot make the folder `{}` for the review store", .path.display())]
    CreateFolder { path: PathBuf, source: std::io::Error },
    #[error("cannot open the review store `{location}`: {problem}")]
    CannotOpen { location: String, problem: String },
    #[error("`{location}` is not a database")]
    NotADatabase { location: String },
    #[error("`{location}` is a database of another program, not a review store")]
    NotAReviewStore { location: String },
    #[error(
        "the review store `{location}` has schema version {found}, made by a newer version; \
         this version knows up to {known}"
    )]
    NewerVersion { location: String, found: i64, known: i64 },
    #[error("the review store `{location}` is read-only")]
    ReadOnly { location: String },
    #[error("the review store `{location}` is damaged: {problem}")]
    Damaged { location: String, problem: String },
    #[error("the disk of the review store `{location}` is full; nothing was changed")]
    DiskFull { location: String },
    #[error("the review store `{location}` was in use by others for over {seconds} s")]
    Busy { location: String, seconds: u64 },
    #[error("the review store `{location}` failed")]
    Backend { location: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the batch for queue `{queue}` cannot be queued: {problem}")]
    BadBatch { queue: String, problem: String },
    #[error("{0}")]
    BadDecisions(BadDecisions),
}

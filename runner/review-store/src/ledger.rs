//! The ledger: every decision ever recorded, as rows chained by digest, and the state they fold to.
//!
//! A row carries the digest of the row before it and its own, so a change anywhere shows up when
//! the chain is walked. Knows nothing of storage; backends read and append rows.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::decision::Decision;
use crate::digest::FieldHasher;
use crate::origin::{Origin, Purpose};

/// Digest that stands before the first row.
pub const GENESIS_DIGEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Changes when the encoding under the row digests does; so far there is one.
const ROW_DOMAIN: &str = "relabel ledger row 1";

/// One row of the ledger. Rows are appended, and never change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LedgerRow {
    /// Counts from 1 without gaps.
    pub seq: u64,
    pub previous_digest: String,
    pub digest: String,
    /// Equal for the same decision recorded again, which is then not appended.
    pub idempotency_key: String,
    pub queue: String,
    pub record_id: String,
    pub audit_run_id: String,
    pub original_label: String,
    pub given_label: String,
    pub proposed_label: String,
    #[serde(rename = "review_decision")]
    pub decision: Decision,
    pub final_label: Option<String>,
    pub reviewed_by: String,
    /// RFC 3339, UTC.
    pub reviewed_at: String,
    pub model_version: String,
    pub note: Option<String>,
    /// Digest of the text that was shown.
    pub text_digest: String,
    /// What else was shown: a [`Shown`] as JSON, kept to the byte.
    pub shown: String,
    /// The decision that was in effect before; for `undo`, the one taken back.
    pub supersedes: Option<u64>,
}

/// What a reviewer saw beside the labels and the text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    pub rank: u32,
    pub reasons: Vec<String>,
    pub prediction_confidence: f64,
    pub given_confidence: Option<f64>,
    pub categories: Vec<(String, f64)>,
    pub fold_id: Option<u32>,
    pub taxonomy_version: Option<String>,
    #[serde(flatten)]
    pub origin: Origin,
}

/// The end of the ledger; what is downstream of the ledger depends on this alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LedgerHead {
    pub seq: u64,
    pub digest: String,
}

impl LedgerHead {
    /// The head of a ledger without rows.
    pub fn empty() -> LedgerHead {
        LedgerHead { seq: 0, digest: GENESIS_DIGEST.to_owned() }
    }
}

/// The decision in effect on a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CurrentDecision {
    pub record_id: String,
    #[serde(rename = "review_decision")]
    pub decision: Decision,
    pub final_label: Option<String>,
    pub original_label: String,
    pub given_label: String,
    pub proposed_label: String,
    pub reviewed_by: String,
    pub reviewed_at: String,
    pub note: Option<String>,
    pub decision_seq: u64,
    pub text_digest: String,
    pub audit_run_id: String,
    pub model_version: String,
    pub queue: String,
}

impl CurrentDecision {
    /// Whether the record counts as verified; it does not after `unsure`.
    pub fn verifies(&self) -> bool {
        self.decision.verifies()
    }

    /// Whether the reviewer found the given label wrong; absent when unsure.
    pub fn given_is_wrong(&self) -> Option<bool> {
        given_is_wrong(self.decision, &self.given_label, &self.proposed_label)
    }

    /// Whether the reviewer found the proposal right; absent when unsure.
    pub fn proposal_is_right(&self) -> Option<bool> {
        proposal_is_right(self.decision, &self.given_label, &self.proposed_label)
    }
}

impl From<&LedgerRow> for CurrentDecision {
    fn from(row: &LedgerRow) -> CurrentDecision {
        CurrentDecision {
            record_id: row.record_id.clone(),
            decision: row.decision,
            final_label: row.final_label.clone(),
            original_label: row.original_label.clone(),
            given_label: row.given_label.clone(),
            proposed_label: row.proposed_label.clone(),
            reviewed_by: row.reviewed_by.clone(),
            reviewed_at: row.reviewed_at.clone(),
            note: row.note.clone(),
            decision_seq: row.seq,
            text_digest: row.text_digest.clone(),
            audit_run_id: row.audit_run_id.clone(),
            model_version: row.model_version.clone(),
            queue: row.queue.clone(),
        }
    }
}

/// Folds a ledger, in its order, to the decision in effect on each record, by record id.
pub fn fold(rows: &[LedgerRow]) -> Vec<CurrentDecision> {
    current_rows(rows).into_iter().map(CurrentDecision::from).collect()
}

/// The rows in effect, by record id; answers to gold rows are never in effect.
pub fn current_rows(rows: &[LedgerRow]) -> Vec<&LedgerRow> {
    standing_rows(rows, Purpose::Review)
}

/// The last row of each record that was not taken back, among those for this purpose.
pub(crate) fn standing_rows(rows: &[LedgerRow], purpose: Purpose) -> Vec<&LedgerRow> {
    effective(rows, purpose, |row| Entry {
        seq: row.seq,
        record_id: &row.record_id,
        decision: row.decision,
        supersedes: row.supersedes,
        purpose: Purpose::of_shown(&row.shown),
    })
}

/// What the fold looks at in a row.
pub(crate) struct Entry<'a> {
    pub(crate) seq: u64,
    pub(crate) record_id: &'a str,
    pub(crate) decision: Decision,
    pub(crate) supersedes: Option<u64>,
    pub(crate) purpose: Purpose,
}

/// The one fold: decisions on a record pile up, undo takes one off, and the top one is in effect.
pub(crate) fn effective<R>(
    rows: &[R],
    purpose: Purpose,
    entry: impl Fn(&R) -> Entry<'_>,
) -> Vec<&R> {
    let mut piles: BTreeMap<&str, Vec<(u64, &R)>> = BTreeMap::new();
    for row in rows {
        let entry = entry(row);
        if entry.purpose != purpose {
            continue;
        }
        let pile = piles.entry(entry.record_id).or_default();
        if entry.decision == Decision::Undo {
            pile.retain(|(seq, _)| Some(*seq) != entry.supersedes);
        } else {
            pile.push((entry.seq, row));
        }
    }
    piles.into_values().filter_map(|pile| pile.last().map(|(_, row)| *row)).collect()
}

/// A row of the ledger as far as queues need it.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub(crate) seq: u64,
    pub(crate) record_id: String,
    pub(crate) decision: Decision,
    pub(crate) supersedes: Option<u64>,
    pub(crate) audit_run_id: String,
    pub(crate) text_digest: String,
    pub(crate) given_label: String,
    pub(crate) proposed_label: String,
    pub(crate) reviewed_by: String,
    pub(crate) purpose: Purpose,
}

impl Standing {
    pub(crate) fn entry(&self) -> Entry<'_> {
        Entry {
            seq: self.seq,
            record_id: &self.record_id,
            decision: self.decision,
            supersedes: self.supersedes,
            purpose: self.purpose,
        }
    }

    /// Whether a record with this text needs no further review.
    pub(crate) fn verifies(&self, text_digest: &str) -> bool {
        self.decision.verifies() && self.text_digest == text_digest
    }

    /// Whether an item has its decision: verified, or left as unsure within the same audit run.
    pub(crate) fn covers(&self, audit_run_id: &str, text_digest: &str) -> bool {
        self.verifies(text_digest)
            || (self.text_digest == text_digest && self.audit_run_id == audit_run_id)
    }

    pub(crate) fn given_is_wrong(&self) -> Option<bool> {
        given_is_wrong(self.decision, &self.given_label, &self.proposed_label)
    }

    pub(crate) fn proposal_is_right(&self) -> Option<bool> {
        proposal_is_right(self.decision, &self.given_label, &self.proposed_label)
    }
}

fn given_is_wrong(decision: Decision, given: &str, proposed: &str) -> Option<bool> {
    match decision {
        Decision::Accept => Some(given != proposed),
        Decision::Other | Decision::Invalid => Some(true),
        Decision::Keep | Decision::BothFit => Some(false),
        Decision::Unsure | Decision::Undo => None,
    }
}

fn proposal_is_right(decision: Decision, given: &str, proposed: &str) -> Option<bool> {
    match decision {
        Decision::Accept | Decision::BothFit => Some(true),
        Decision::Keep => Some(given == proposed),
        Decision::Other | Decision::Invalid => Some(false),
        Decision::Unsure | Decision::Undo => None,
    }
}

/// A ledger row as stored, before anything in it is believed.
pub(crate) struct RawRow {
    pub(crate) seq: u64,
    pub(crate) previous_digest: String,
    pub(crate) digest: String,
    /// In the order of [`FIELD_NAMES`].
    pub(crate) fields: Vec<Option<String>>,
}

/// The fields under a row's digest, in the order of their encoding; also their column names.
pub(crate) const FIELD_NAMES: [&str; 16] = [
    "idempotency_key",
    "queue",
    "record_id",
    "audit_run_id",
    "original_label",
    "given_label",
    "proposed_label",
    "review_decision",
    "final_label",
    "reviewed_by",
    "reviewed_at",
    "model_version",
    "note",
    "text_digest",
    "shown",
    "supersedes",
];

impl LedgerRow {
    /// Reads what was shown; `None` if that is no JSON of a [`Shown`], as after tampering.
    pub fn shown(&self) -> Option<Shown> {
        serde_json::from_str(&self.shown).ok()
    }

    /// Whether this is an answer to a gold row, or takes one back.
    pub fn is_gold(&self) -> bool {
        Purpose::of_shown(&self.shown) == Purpose::Gold
    }

    /// Fills in both digests, as the row after `head`.
    pub(crate) fn chained(mut self, head: &LedgerHead) -> LedgerRow {
        self.seq = head.seq + 1;
        self.previous_digest = head.digest.clone();
        self.digest = row_digest(self.seq, &self.previous_digest, self.fields());
        self
    }

    pub(crate) fn standing(&self) -> Standing {
        Standing {
            seq: self.seq,
            record_id: self.record_id.clone(),
            decision: self.decision,
            supersedes: self.supersedes,
            audit_run_id: self.audit_run_id.clone(),
            text_digest: self.text_digest.clone(),
            given_label: self.given_label.clone(),
            proposed_label: self.proposed_label.clone(),
            reviewed_by: self.reviewed_by.clone(),
            purpose: Purpose::of_shown(&self.shown),
        }
    }

    pub(crate) fn head(&self) -> LedgerHead {
        LedgerHead { seq: self.seq, digest: self.digest.clone() }
    }

    /// In the order of [`FIELD_NAMES`].
    pub(crate) fn fields(&self) -> [Option<Cow<'_, str>>; 16] {
        fn text(value: &str) -> Option<Cow<'_, str>> {
            Some(Cow::Borrowed(value))
        }
        [
            text(&self.idempotency_key),
            text(&self.queue),
            text(&self.record_id),
            text(&self.audit_run_id),
            text(&self.original_label),
            text(&self.given_label),
            text(&self.proposed_label),
            text(self.decision.name()),
            self.final_label.as_deref().map(Cow::Borrowed),
            text(&self.reviewed_by),
            text(&self.reviewed_at),
            text(&self.model_version),
            self.note.as_deref().map(Cow::Borrowed),
            text(&self.text_digest),
            text(&self.shown),
            self.supersedes.map(|seq| Cow::Owned(seq.to_string())),
        ]
    }
}

fn row_digest<'a>(
    seq: u64,
    previous_digest: &str,
    fields: impl IntoIterator<Item = Option<Cow<'a, str>>>,
) -> String {
    let mut hasher = FieldHasher::new(ROW_DOMAIN);
    hasher.number(seq).text(previous_digest);
    for (name, value) in FIELD_NAMES.iter().zip(fields) {
        hasher.text(name).optional_text(value.as_deref());
    }
    hasher.finish()
}

/// What a walk over the whole chain found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Rows that were walked and are sound.
    pub rows: u64,
    /// The last sound row.
    pub head: LedgerHead,
    /// The first place where the chain is not what it must be.
    pub divergence: Option<Divergence>,
}

impl VerifyReport {
    pub fn is_intact(&self) -> bool {
        self.divergence.is_none()
    }
}

/// A place where the ledger is not what was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Divergence {
    pub seq: u64,
    pub kind: DivergenceKind,
    pub expected: String,
    pub found: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DivergenceKind {
    /// One or more rows are gone.
    RowsMissing,
    /// The row does not carry the digest of the row before it.
    LinkBroken,
    /// The contents of the row are not those its digest was made of.
    RowAltered,
    /// The recorded end of the ledger is not its last row.
    HeadMismatch,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            DivergenceKind::RowsMissing => "is missing",
            DivergenceKind::LinkBroken => "does not follow from the row before it",
            DivergenceKind::RowAltered => "was altered",
            DivergenceKind::HeadMismatch => "is not the recorded end of the ledger",
        };
        write!(
            f,
            "ledger row {} {what}: expected `{}`, found `{}`",
            self.seq, self.expected, self.found
        )
    }
}

/// Walks a chain row by row and stops at the first divergence.
pub(crate) struct ChainWalk {
    head: LedgerHead,
    divergence: Option<Divergence>,
}

impl ChainWalk {
    pub(crate) fn new() -> ChainWalk {
        ChainWalk { head: LedgerHead::empty(), divergence: None }
    }

    /// Takes the next row; answers whether to go on.
    pub(crate) fn step(&mut self, row: RawRow) -> bool {
        let seq = self.head.seq + 1;
        if row.seq != seq {
            return self.diverge(
                seq,
                DivergenceKind::RowsMissing,
                format!("row {seq}"),
                format!("row {}", row.seq),
            );
        }
        if row.previous_digest != self.head.digest {
            let expected = self.head.digest.clone();
            return self.diverge(seq, DivergenceKind::LinkBroken, expected, row.previous_digest);
        }
        let fields = row.fields.into_iter().map(|field| field.map(Cow::Owned));
        let expected = row_digest(seq, &row.previous_digest, fields);
        if row.digest != expected {
            return self.diverge(seq, DivergenceKind::RowAltered, expected, row.digest);
        }
        self.head = LedgerHead { seq, digest: expected };
        true
    }

    /// Compares the end of the walk with the head that was recorded with the last row.
    pub(crate) fn finish(mut self, recorded: &LedgerHead) -> VerifyReport {
        let end = self.head.clone();
        if self.divergence.is_none() && recorded != &end {
            let (seq, kind) = if recorded.seq > end.seq {
                (end.seq + 1, DivergenceKind::RowsMissing)
            } else {
                (end.seq, DivergenceKind::HeadMismatch)
            };
            let show = |head: &LedgerHead| format!("end at row {} {}", head.seq, head.digest);
            self.diverge(seq, kind, show(recorded), show(&end));
        }
        VerifyReport { rows: end.seq, head: end, divergence: self.divergence }
    }

    fn diverge(&mut self, seq: u64, kind: DivergenceKind, expected: String, found: String) -> bool {
        self.divergence = Some(Divergence { seq, kind, expected, found });
        false
    }
}

//! How an item came into its queue, and what a decision on it is for: review, or measuring reviewers.
//!
//! It knows nothing of how items are chosen; it is the tag they carry from the queue to the ledger.

use serde::{Deserialize, Serialize};

/// How an item came into its queue. Kept with its decision and never put before a reviewer, who
/// must not know a control or gold row from another.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Origin {
    /// The lane that put the record forward, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
    /// Whether the record was drawn at random too, for estimates.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub control: bool,
    /// The part of the records that a control row was drawn for, if they were drawn by parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stratum: Option<String>,
    /// How many records of that part were open, less those that lanes put into the same batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drawn_from: Option<u64>,
    /// How many records lanes put into the batch that a control row came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane_rows: Option<u64>,
    /// The right label of a gold row, which measures its reviewer: a decision on it is an answer
    /// and changes no label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gold: Option<String>,
}

impl Origin {
    pub(crate) fn purpose(&self) -> Purpose {
        if self.gold.is_some() { Purpose::Gold } else { Purpose::Review }
    }
}

/// What a decision is for. The two are folded apart, so that an answer to a gold row never
/// replaces, and never is, the decision in effect on its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    Review,
    Gold,
}

impl Purpose {
    /// Reads it off a `Shown` as it was recorded, without the rest. In JSON a quote within a text
    /// is escaped, so this can be nothing but the key.
    pub(crate) fn of_shown(shown: &str) -> Purpose {
        if shown.contains("\"gold\":") { Purpose::Gold } else { Purpose::Review }
    }
}

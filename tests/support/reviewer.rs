//! A reviewer who knows the truth.

use std::collections::BTreeMap;

use serde_json::Value;

use super::records;

/// The true label of each record of [`records`], by id.
pub fn truth(count: usize, seed: u64) -> BTreeMap<String, String> {
    records(count, seed).into_iter().map(|record| (record.id, record.truth)).collect()
}

/// review_decision and final_label of an item whose true label is `right`.
pub fn verdict<'a>(item: &Value, right: &'a str) -> (&'static str, &'a str) {
    if item["given_label"] == right {
        ("keep", "")
    } else if item["proposed_label"] == right {
        ("accept", "")
    } else {
        ("other", right)
    }
}

//! Items and decisions for the contract, short to write down.

use crate::{CurrentDecision, Decision, NewDecision, NewItem, Origin, RecordOutcome, ReviewStore};

pub(crate) const QUEUE: &str = "audit/queue";

/// An item whose given label is `given` and whose proposal is `proposed`.
pub(crate) fn item(record_id: &str) -> NewItem {
    NewItem {
        record_id: record_id.to_owned(),
        original_label: "original".to_owned(),
        given_label: "given".to_owned(),
        proposed_label: "proposed".to_owned(),
        prediction_confidence: 0.97,
        given_confidence: Some(0.01),
        rank: 1,
        reasons: vec!["disagrees".to_owned()],
        text: format!("text of {record_id}"),
        categories: vec![("proposed".to_owned(), 0.97), ("given".to_owned(), 0.01)],
        fold_id: Some(3),
        model_version: "linear 1 abc".to_owned(),
        taxonomy_version: Some("t1".to_owned()),
        origin: Origin::default(),
    }
}

pub(crate) fn items(record_ids: &[&str]) -> Vec<NewItem> {
    record_ids.iter().map(|id| item(id)).collect()
}

/// Queues a batch, and returns added, refreshed, kept, withdrawn, skipped.
pub(crate) fn queue(store: &dyn ReviewStore, audit_run_id: &str, items: &[NewItem]) -> [u64; 5] {
    let outcome = store.queue_items(QUEUE, audit_run_id, items).unwrap();
    let total = outcome.added + outcome.refreshed + outcome.kept + outcome.skipped_verified;
    assert_eq!(total, items.len() as u64);
    [outcome.added, outcome.refreshed, outcome.kept, outcome.withdrawn, outcome.skipped_verified]
}

/// A decision of ann's, at a second of its own.
pub(crate) fn decision(record_id: &str, decision: Decision, second: u32) -> NewDecision {
    let time = format!("2025-01-31T09:{:02}:{:02}Z", second / 60, second % 60);
    let new = NewDecision::new(record_id, decision, "ann", time);
    let label = (decision == Decision::Other).then(|| "third".to_owned());
    NewDecision { final_label: label, ..new }
}

pub(crate) fn record(store: &dyn ReviewStore, decisions: &[NewDecision]) -> RecordOutcome {
    store.record_decisions(decisions).unwrap()
}

/// The message of a refused batch, without its first line.
pub(crate) fn refusal(store: &dyn ReviewStore, decisions: &[NewDecision]) -> String {
    let message = store.record_decisions(decisions).unwrap_err().to_string();
    let (first, rest) = message.split_once('\n').unwrap();
    assert!(first.ends_with("cannot be recorded, so none was"), "{first}");
    rest.lines().map(str::trim).collect::<Vec<_>>().join("\n")
}

/// Record ids of the open items, by rank.
pub(crate) fn open_ids(store: &dyn ReviewStore) -> Vec<String> {
    store.open_items(QUEUE, None).unwrap().into_iter().map(|item| item.record_id).collect()
}

/// `record: decision final_label` for each record with a decision in effect.
pub(crate) fn current(store: &dyn ReviewStore) -> Vec<String> {
    let show = |d: CurrentDecision| {
        format!("{}: {} {}", d.record_id, d.decision, d.final_label.as_deref().unwrap_or("-"))
    };
    store.current_decisions().unwrap().into_iter().map(show).collect()
}

//! The contract on batches, items and counts.

use super::Opener;
use super::support::*;
use crate::{Decision, ItemState, LedgerHead, NewItem, ReviewerCount, batch_digest, text_digest};

pub(crate) fn a_new_store_is_empty(opener: &impl Opener) {
    let store = opener.connect();
    assert_eq!(store.ledger_head().unwrap(), LedgerHead::empty());
    assert!(store.ledger().unwrap().is_empty());
    assert!(store.current_decisions().unwrap().is_empty());
    assert!(store.verified_records().unwrap().is_empty());
    assert!(store.status(None).unwrap().queues.is_empty());
    assert!(store.status(Some("nothing")).unwrap().queues.is_empty());
    assert!(store.open_items("nothing", None).unwrap().is_empty());
    assert!(store.item("nothing", "r1").unwrap().is_none());
    assert!(!store.holds_batch("nothing", "").unwrap());
    assert!(store.verify().unwrap().is_intact());
}

pub(crate) fn the_same_batch_twice_changes_nothing(opener: &impl Opener) {
    let store = opener.connect();
    let mut batch = items(&["r1", "r2", "r3"]);
    assert_eq!(queue(&*store, "run-a", &batch), [3, 0, 0, 0, 0]);
    let before = store.open_items(QUEUE, None).unwrap();
    batch.reverse();
    assert_eq!(queue(&*store, "run-a", &batch), [0, 0, 3, 0, 0]);
    assert_eq!(store.open_items(QUEUE, None).unwrap(), before);

    record(&*store, &[decision("r1", Decision::Unsure, 0), decision("r2", Decision::Keep, 1)]);
    assert_eq!(queue(&*store, "run-a", &batch), [0, 0, 2, 0, 1]);
    assert_eq!(open_ids(&*store), ["r3"]);
}

pub(crate) fn a_changed_item_is_refreshed(opener: &impl Opener) {
    let store = opener.connect();
    queue(&*store, "run-a", &items(&["r1", "r2"]));
    let changed = NewItem { proposed_label: "better".to_owned(), ..item("r1") };
    assert_eq!(queue(&*store, "run-a", &[changed, item("r2")]), [0, 1, 1, 0, 0]);
    let found = store.item(QUEUE, "r1").unwrap().unwrap();
    assert_eq!(found.proposed_label, "better");
    assert_eq!(queue(&*store, "run-b", &items(&["r1", "r2"])), [0, 2, 0, 0, 0]);
    assert_eq!(store.item(QUEUE, "r2").unwrap().unwrap().audit_run_id, "run-b");
}

pub(crate) fn items_no_longer_asked_for_are_withdrawn_and_come_back(opener: &impl Opener) {
    let store = opener.connect();
    queue(&*store, "run-a", &items(&["r1", "r2", "r3"]));
    record(&*store, &[decision("r3", Decision::Accept, 0)]);
    // r3 has its decision: it stays decided, whatever a batch asks for.
    assert_eq!(queue(&*store, "run-b", &items(&["r1"])), [0, 1, 0, 1, 0]);
    assert_eq!(open_ids(&*store), ["r1"]);
    assert_eq!(store.item(QUEUE, "r2").unwrap().unwrap().state, ItemState::Withdrawn);
    assert_eq!(store.item(QUEUE, "r3").unwrap().unwrap().state, ItemState::Decided);
    assert_eq!(queue(&*store, "run-b", &items(&["r1"])), [0, 0, 1, 0, 0]);
    assert_eq!(queue(&*store, "run-a", &items(&["r1", "r2"])), [0, 2, 0, 0, 0]);
    assert_eq!(open_ids(&*store), ["r1", "r2"]);
    assert_eq!(queue(&*store, "run-c", &[]), [0, 0, 0, 2, 0]);
    assert!(open_ids(&*store).is_empty());
}

pub(crate) fn verified_records_are_not_queued_again(opener: &impl Opener) {
    let store = opener.connect();
    let all = ["accept", "both", "invalid", "keep", "other", "unsure"];
    queue(&*store, "run-a", &items(&all));
    let kinds = [
        Decision::Accept,
        Decision::BothFit,
        Decision::Invalid,
        Decision::Keep,
        Decision::Other,
        Decision::Unsure,
    ];
    let decide = |(id, kind): (&&str, Decision)| decision(id, kind, 0);
    record(&*store, &all.iter().zip(kinds).map(decide).collect::<Vec<_>>());

    let verified = store.verified_records().unwrap();
    let ids: Vec<&str> = verified.iter().map(|record| record.record_id.as_str()).collect();
    assert_eq!(ids, all[..5]);
    assert_eq!(verified[0].text_digest, text_digest("text of accept"));

    assert_eq!(queue(&*store, "run-b", &items(&all)), [0, 1, 0, 0, 5]);
    assert_eq!(open_ids(&*store), ["unsure"]);
    // Nor in a queue that never had them.
    let elsewhere = store.queue_items("other/queue", "run-b", &items(&all)).unwrap();
    assert_eq!((elsewhere.added, elsewhere.skipped_verified), (1, 5));
}

pub(crate) fn a_changed_text_is_queued_again(opener: &impl Opener) {
    let store = opener.connect();
    queue(&*store, "run-a", &items(&["r1"]));
    record(&*store, &[decision("r1", Decision::Accept, 0)]);
    let edited = NewItem { text: "edited".to_owned(), ..item("r1") };
    assert_eq!(queue(&*store, "run-b", std::slice::from_ref(&edited)), [0, 1, 0, 0, 0]);
    assert_eq!(open_ids(&*store), ["r1"]);
    assert_eq!(store.current_decisions().unwrap()[0].text_digest, text_digest("text of r1"));
    record(&*store, &[decision("r1", Decision::Keep, 1)]);
    assert_eq!(queue(&*store, "run-c", &[edited]), [0, 0, 0, 0, 1]);
    assert_eq!(current(&*store), ["r1: keep given"]);
}

pub(crate) fn unsure_comes_back_in_the_next_audit_run_only(opener: &impl Opener) {
    let store = opener.connect();
    queue(&*store, "run-a", &items(&["r1"]));
    record(&*store, &[decision("r1", Decision::Unsure, 0)]);
    assert!(open_ids(&*store).is_empty());
    let ranked = NewItem { rank: 9, ..item("r1") };
    assert_eq!(queue(&*store, "run-a", &[ranked]), [0, 1, 0, 0, 0]);
    assert!(open_ids(&*store).is_empty());
    assert_eq!(queue(&*store, "run-b", &items(&["r1"])), [0, 1, 0, 0, 0]);
    assert_eq!(open_ids(&*store), ["r1"]);
}

pub(crate) fn queues_do_not_touch_each_other(opener: &impl Opener) {
    let store = opener.connect();
    queue(&*store, "run-a", &items(&["r1", "r2"]));
    store.queue_items("other/queue", "run-a", &items(&["r2", "r3"])).unwrap();
    assert_eq!(open_ids(&*store), ["r1", "r2"]);
    assert!(store.item("other/queue", "r1").unwrap().is_none());
    record(&*store, &[decision("r2", Decision::Accept, 0)]);
    // One decision verifies the record wherever it is queued.
    assert_eq!(open_ids(&*store), ["r1"]);
    assert_eq!(store.item("other/queue", "r2").unwrap().unwrap().state, ItemState::Decided);
    let status = store.status(Some("other/queue")).unwrap();
    assert_eq!(status.queues.len(), 1);
    assert_eq!((status.queues[0].open, status.queues[0].decided), (1, 1));
}

pub(crate) fn a_batch_is_held_until_another_comes(opener: &impl Opener) {
    let store = opener.connect();
    let (first, second) = (items(&["r1", "r2"]), items(&["r2"]));
    let outcome = store.queue_items(QUEUE, "run-a", &first).unwrap();
    let digest = outcome.batch_digest;
    assert_eq!(digest, batch_digest(QUEUE, "run-a", &first));
    assert_ne!(digest, batch_digest(QUEUE, "run-b", &first));
    assert_ne!(digest, batch_digest("other/queue", "run-a", &first));
    assert!(store.holds_batch(QUEUE, &digest).unwrap());
    assert!(!store.holds_batch("other/queue", &digest).unwrap());

    // Decisions do not undo a batch, and neither does the same batch once more.
    record(&*store, &[decision("r1", Decision::Accept, 0)]);
    assert!(store.holds_batch(QUEUE, &digest).unwrap());
    queue(&*store, "run-a", &first);
    assert!(store.holds_batch(QUEUE, &digest).unwrap());

    store.queue_items("other/queue", "run-a", &second).unwrap();
    assert!(store.holds_batch(QUEUE, &digest).unwrap());
    queue(&*store, "run-a", &second);
    assert!(!store.holds_batch(QUEUE, &digest).unwrap());
    queue(&*store, "run-a", &first);
    assert!(store.holds_batch(QUEUE, &digest).unwrap());

    let nothing = store.queue_items(QUEUE, "run-c", &[]).unwrap().batch_digest;
    assert!(store.holds_batch(QUEUE, &nothing).unwrap());
}

pub(crate) fn items_come_back_as_queued_and_by_rank(opener: &impl Opener) {
    let store = opener.connect();
    let odd = NewItem {
        rank: u32::MAX,
        given_confidence: None,
        reasons: vec![],
        text: "zero \0, quote \", line\nÄ 😀".to_owned(),
        categories: vec![],
        fold_id: None,
        taxonomy_version: None,
        prediction_confidence: 0.1 + 0.2,
        ..item("r,1")
    };
    let early = NewItem { rank: 0, ..item("z") };
    queue(&*store, "run-a", &[odd.clone(), item("b"), item("a"), early]);
    assert_eq!(open_ids(&*store), ["z", "a", "b", "r,1"]);
    let limited = store.open_items(QUEUE, Some(2)).unwrap();
    assert_eq!(limited.len(), 2);

    let found = store.item(QUEUE, "r,1").unwrap().unwrap();
    assert_eq!((found.queue.as_str(), found.audit_run_id.as_str()), (QUEUE, "run-a"));
    assert_eq!((&found.text, found.text_digest), (&odd.text, text_digest(&odd.text)));
    assert_eq!(found.shown.rank, odd.rank);
    assert_eq!(found.shown.prediction_confidence.to_bits(), odd.prediction_confidence.to_bits());
    assert_eq!((found.shown.given_confidence, found.shown.fold_id), (None, None));
    assert_eq!((found.shown.taxonomy_version, found.state), (None, ItemState::Open));
    let found = store.item(QUEUE, "a").unwrap().unwrap();
    assert_eq!(
        (found.shown.reasons, found.shown.categories),
        (item("a").reasons, item("a").categories)
    );
    assert_eq!((found.shown.fold_id, found.model_version), (Some(3), item("a").model_version));
}

pub(crate) fn bad_batches_change_nothing(opener: &impl Opener) {
    let store = opener.connect();
    let refuse = |queue: &str, items: &[NewItem]| {
        let error = store.queue_items(queue, "run-a", items).unwrap_err().to_string();
        assert!(store.status(None).unwrap().queues.is_empty());
        error
    };
    assert!(refuse(QUEUE, &items(&["r1", "r1"])).ends_with("record `r1` is in it twice"));
    assert!(refuse(QUEUE, &items(&["r1", " "])).ends_with("an item has an empty record id"));
    assert!(refuse(" ", &items(&["r1"])).ends_with("the queue has no name"));
    let nan = NewItem { prediction_confidence: f64::NAN, ..item("r1") };
    assert!(refuse(QUEUE, &[nan]).ends_with("record `r1` has a confidence that is no number"));
}

pub(crate) fn status_counts(opener: &impl Opener) {
    let store = opener.connect();
    queue(&*store, "run-a", &items(&["a1", "a2", "b", "i", "k", "o", "open", "u", "gone"]));
    let mut bo = decision("k", Decision::Keep, 0);
    bo.reviewed_by = "bo".to_owned();
    record(
        &*store,
        &[
            decision("a1", Decision::Keep, 0),
            decision("a1", Decision::Accept, 1),
            decision("a2", Decision::Accept, 2),
            decision("b", Decision::BothFit, 3),
            decision("i", Decision::Invalid, 4),
            decision("o", Decision::Other, 5),
            decision("u", Decision::Unsure, 6),
            bo,
        ],
    );
    queue(&*store, "run-a", &items(&["a1", "a2", "b", "i", "k", "o", "open", "u"]));
    store.queue_items("empty/queue", "run-a", &[]).unwrap();

    let status = store.status(None).unwrap();
    assert_eq!(status.head.seq, 8);
    let names: Vec<&str> = status.queues.iter().map(|queue| queue.queue.as_str()).collect();
    assert_eq!(names, [QUEUE, "empty/queue"]);
    let queue = &status.queues[0];
    assert_eq!((queue.open, queue.decided, queue.withdrawn), (1, 7, 1));
    assert_eq!((queue.accepted, queue.kept, queue.other), (2, 1, 1));
    assert_eq!((queue.both_fit, queue.invalid, queue.unsure), (1, 1, 1));
    assert_eq!((queue.given_wrong, queue.proposal_right), (4, 3));
    assert_eq!(queue.acceptance, Some(2.0 / 6.0));
    let count = |name: &str, decisions| ReviewerCount { reviewed_by: name.to_owned(), decisions };
    assert_eq!(queue.reviewers, [count("ann", 6), count("bo", 1)]);
    assert_eq!(status.queues[1].acceptance, None);
}

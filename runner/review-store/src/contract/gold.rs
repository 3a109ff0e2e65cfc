//! The contract on gold rows: their decisions are answers, and change nothing else.

use super::Opener;
use super::support::*;
use crate::{Decision, NewItem, Origin};

fn gold(record_id: &str, right: &str) -> NewItem {
    let origin = Origin { gold: Some(right.to_owned()), ..Origin::default() };
    NewItem { origin, ..item(record_id) }
}

pub(crate) fn answers_to_gold_rows_are_never_in_effect(opener: &impl Opener) {
    let store = opener.connect();
    let batch = [gold("r1", "third"), item("r2")];
    assert_eq!(queue(&*store, "run-a", &batch), [2, 0, 0, 0, 0]);
    record(&*store, &[decision("r1", Decision::Accept, 0), decision("r2", Decision::Accept, 1)]);

    assert_eq!(current(&*store), ["r2: accept proposed"]);
    let verified = store.verified_records().unwrap();
    assert_eq!(verified.iter().map(|one| &*one.record_id).collect::<Vec<_>>(), ["r2"]);
    let ledger = store.ledger().unwrap();
    assert_eq!([ledger[0].is_gold(), ledger[1].is_gold()], [true, false]);
    assert_eq!(ledger[0].shown().unwrap().origin.gold.as_deref(), Some("third"));
    assert!(store.verify().unwrap().is_intact());

    // It has its answer all the same, and is not asked again.
    assert_eq!(open_ids(&*store), [""; 0]);
    assert_eq!(store.status(None).unwrap().queues[0].decided, 2);
    assert_eq!(queue(&*store, "run-b", &batch), [0, 0, 0, 0, 2]);
    // As an item of the usual kind it is open again.
    assert_eq!(queue(&*store, "run-b", &[item("r1")]), [0, 1, 0, 0, 0]);
    assert_eq!(open_ids(&*store), ["r1"]);
}

pub(crate) fn a_verified_record_may_be_gold(opener: &impl Opener) {
    let store = opener.connect();
    queue(&*store, "run-a", &[item("r1")]);
    record(&*store, &[decision("r1", Decision::Keep, 0)]);
    assert_eq!(queue(&*store, "run-b", &[gold("r1", "given")]), [0, 1, 0, 0, 0]);
    assert_eq!(open_ids(&*store), ["r1"]);
    record(&*store, &[decision("r1", Decision::Other, 1)]);
    assert_eq!(current(&*store), ["r1: keep given"]);
    assert_eq!(store.ledger().unwrap()[1].supersedes, None, "an answer replaces no decision");
    assert_eq!(open_ids(&*store), [""; 0]);

    // What was said last is taken back first.
    record(&*store, &[decision("r1", Decision::Undo, 2)]);
    assert_eq!(current(&*store), ["r1: keep given"]);
    assert_eq!(open_ids(&*store), ["r1"]);
    record(&*store, &[decision("r1", Decision::Undo, 3)]);
    assert_eq!(current(&*store), [""; 0]);
    assert!(refusal(&*store, &[decision("r1", Decision::Undo, 4)]).contains("no decision to undo"));
}

pub(crate) fn no_text_makes_a_row_gold(opener: &impl Opener) {
    let store = opener.connect();
    let key = "\"gold\":\"x\"".to_owned();
    let origin =
        Origin { lane: Some(key.clone()), stratum: Some("gold".into()), ..Origin::default() };
    let tricky = NewItem { origin, reasons: vec![key.clone()], ..item("r1") };
    queue(&*store, "run-a", &[tricky]);
    record(&*store, &[decision("r1", Decision::Accept, 0)]);
    assert_eq!(current(&*store), ["r1: accept proposed"]);
}

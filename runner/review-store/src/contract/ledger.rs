//! The contract on decisions, the ledger, and moving decisions between stores.

use super::Opener;
use super::support::*;
use crate::{
    CurrentDecision, Decision, ExportScope, GENESIS_DIGEST, ItemState, NewDecision, NewItem,
    Origin, ReviewStore, Shown, export_decisions, fold, read_decisions, text_digest,
};

pub(crate) fn rows_carry_what_was_shown(opener: &impl Opener) {
    let store = opener.connect();
    queue(&*store, "run-a", &items(&["r1", "r2"]));
    let mut new = decision("r1", Decision::Accept, 0);
    new.reviewed_at = "2025-01-31T10:30:00.250+01:00".to_owned();
    new.reviewed_by = " ann ".to_owned();
    new.note = Some("sure".to_owned());
    let outcome = record(&*store, &[new, decision("r1", Decision::Other, 9)]);
    assert_eq!((outcome.recorded, outcome.already_there, outcome.head.seq), (2, 0, 2));
    assert_eq!(outcome.head, store.ledger_head().unwrap());

    let ledger = store.ledger().unwrap();
    let row = &ledger[0];
    assert_eq!((row.seq, row.previous_digest.as_str()), (1, GENESIS_DIGEST));
    assert_eq!((row.queue.as_str(), row.audit_run_id.as_str()), (QUEUE, "run-a"));
    let labels = (&*row.original_label, &*row.given_label, &*row.proposed_label);
    assert_eq!(labels, ("original", "given", "proposed"));
    assert_eq!((row.decision, row.final_label.as_deref()), (Decision::Accept, Some("proposed")));
    assert_eq!((&*row.reviewed_by, &*row.reviewed_at), ("ann", "2025-01-31T09:30:00.25Z"));
    assert_eq!((&*row.model_version, row.note.as_deref()), ("linear 1 abc", Some("sure")));
    assert_eq!((&row.text_digest, row.supersedes), (&text_digest("text of r1"), None));
    let shown: Shown = serde_json::from_str(&row.shown).unwrap();
    assert_eq!(shown, store.item(QUEUE, "r1").unwrap().unwrap().shown);

    assert_eq!((ledger[1].supersedes, &ledger[1].previous_digest), (Some(1), &row.digest));
    assert_eq!(store.current_decisions().unwrap(), [CurrentDecision::from(&ledger[1])]);
}

pub(crate) fn rows_carry_how_their_item_came(opener: &impl Opener) {
    let store = opener.connect();
    let origin = Origin {
        lane: Some("strict".to_owned()),
        control: true,
        stratum: Some("given".to_owned()),
        drawn_from: Some(4000),
        lane_rows: Some(250),
        gold: None,
    };
    let both = NewItem { origin: origin.clone(), ..item("r1") };
    assert_eq!(queue(&*store, "run-a", &[both.clone(), item("r2")]), [2, 0, 0, 0, 0]);
    let control = NewItem { origin: Origin { control: true, ..Origin::default() }, ..item("r2") };
    assert_eq!(queue(&*store, "run-a", &[both, control]), [0, 1, 1, 0, 0]);
    assert_eq!(store.item(QUEUE, "r1").unwrap().unwrap().shown.origin, origin);
    record(&*store, &[decision("r1", Decision::Accept, 0), decision("r2", Decision::Keep, 1)]);
    let shown: Vec<Origin> =
        store.ledger().unwrap().iter().map(|row| row.shown().unwrap().origin).collect();
    assert_eq!(shown, [origin, Origin { control: true, ..Origin::default() }]);
}

pub(crate) fn a_bad_decision_stops_the_whole_batch(opener: &impl Opener) {
    let store = opener.connect();
    queue(&*store, "run-a", &items(&["r1", "r2"]));
    let mut contradiction = decision("r2", Decision::Accept, 1);
    contradiction.final_label = Some("given".to_owned());
    contradiction.line = Some(7);
    let no_reviewer =
        NewDecision { reviewed_by: " ".to_owned(), ..decision("r1", Decision::Keep, 2) };
    let no_time =
        NewDecision { reviewed_at: "noon".to_owned(), ..decision("r1", Decision::Keep, 3) };
    let batch = [
        decision("r1", Decision::Accept, 0),
        decision("unknown", Decision::Accept, 0),
        contradiction,
        no_reviewer,
        no_time,
    ];
    let refusal = refusal(&*store, &batch);
    let lines: Vec<&str> = refusal.lines().collect();
    assert_eq!(lines[0], "decision 2, record `unknown`: the record was never queued");
    assert!(lines[1].starts_with("line 7, record `r2`: `accept` means the final label `proposed`"));
    assert_eq!(lines[2], "decision 4, record `r1`: `reviewed_by` is empty");
    assert!(lines[3].starts_with("decision 5, record `r1`: `reviewed_at` is `noon`"));
    assert_eq!(lines.len(), 4);
    assert_eq!(store.ledger_head().unwrap().seq, 0);
    assert_eq!(open_ids(&*store), ["r1", "r2"]);
}

pub(crate) fn recording_again_appends_nothing(opener: &impl Opener) {
    let store = opener.connect();
    queue(&*store, "run-a", &items(&["r1", "r2"]));
    let batch = [
        decision("r1", Decision::Accept, 0),
        decision("r2", Decision::Unsure, 1),
        decision("r1", Decision::Accept, 0),
    ];
    let outcome = record(&*store, &batch);
    assert_eq!((outcome.recorded, outcome.already_there), (2, 1));
    assert_eq!(record(&*store, &batch).already_there, 3);

    // The same instant and the final label spelt out are the same decision.
    let mut same = decision("r1", Decision::Accept, 0);
    same.reviewed_at = "2025-01-31T11:00:00+02:00".to_owned();
    same.final_label = Some("proposed".to_owned());
    same.note = Some(" ".to_owned());
    assert_eq!(record(&*store, &[same.clone()]).already_there, 1);

    // So it is after the item changed its mind, and after it was taken back.
    let edited = NewItem { proposed_label: "new".into(), text: "edited".into(), ..item("r1") };
    queue(&*store, "run-b", &[edited]);
    assert_eq!(record(&*store, &batch).already_there, 3);
    record(&*store, &[decision("r1", Decision::Undo, 5)]);
    assert_eq!(record(&*store, &batch).already_there, 3);
    assert_eq!(current(&*store), ["r2: unsure -"]);

    for change in [
        NewDecision { note: Some("why".to_owned()), ..decision("r2", Decision::Unsure, 1) },
        NewDecision { reviewed_by: "bo".to_owned(), ..decision("r2", Decision::Unsure, 1) },
        decision("r2", Decision::Unsure, 2),
        decision("r2", Decision::Keep, 1),
    ] {
        assert_eq!(record(&*store, &[change]).recorded, 1);
    }
}

pub(crate) fn undo_brings_back_the_decision_before(opener: &impl Opener) {
    let store = opener.connect();
    queue(&*store, "run-a", &items(&["r1"]));
    record(&*store, &[decision("r1", Decision::Accept, 0), decision("r1", Decision::Keep, 1)]);
    assert_eq!(current(&*store), ["r1: keep given"]);
    record(&*store, &[decision("r1", Decision::Undo, 2)]);
    assert_eq!(current(&*store), ["r1: accept proposed"]);
    record(&*store, &[decision("r1", Decision::Undo, 3)]);
    assert!(current(&*store).is_empty());
    assert_eq!(open_ids(&*store), ["r1"]);
    assert!(store.verified_records().unwrap().is_empty());

    let ledger = store.ledger().unwrap();
    let supersedes: Vec<Option<u64>> = ledger.iter().map(|row| row.supersedes).collect();
    assert_eq!(supersedes, [None, Some(1), Some(2), Some(1)]);
    assert_eq!((ledger[2].final_label.as_deref(), &*ledger[2].given_label), (None, "given"));
    record(&*store, &[decision("r1", Decision::Other, 4)]);
    assert_eq!(current(&*store), ["r1: other third"]);
}

pub(crate) fn undo_needs_something_to_undo(opener: &impl Opener) {
    let store = opener.connect();
    queue(&*store, "run-a", &items(&["r1"]));
    let undo = decision("r1", Decision::Undo, 1);
    assert!(
        refusal(&*store, std::slice::from_ref(&undo)).ends_with("there is no decision to undo")
    );
    record(&*store, &[decision("r1", Decision::Keep, 0)]);
    let labelled = NewDecision { final_label: Some("given".to_owned()), ..undo.clone() };
    assert!(
        refusal(&*store, &[labelled]).ends_with("`undo` has no final label, but `given` is stated")
    );
    record(&*store, std::slice::from_ref(&undo));
    assert_eq!(record(&*store, &[undo]).already_there, 1);
    let twice = decision("r1", Decision::Undo, 2);
    assert!(refusal(&*store, &[twice]).ends_with("there is no decision to undo"));
}

pub(crate) fn a_stale_reference_is_refused(opener: &impl Opener) {
    let store = opener.connect();
    queue(&*store, "run-a", &items(&["r1"]));
    let stale = NewDecision { supersedes: Some(1), ..decision("r1", Decision::Undo, 3) };
    let message = refusal(&*store, std::slice::from_ref(&stale));
    assert!(message.ends_with("decision 1 is not in effect; the record has none"));
    record(&*store, &[decision("r1", Decision::Keep, 0), decision("r1", Decision::Accept, 1)]);
    let message = refusal(&*store, &[stale]);
    assert!(message.ends_with("decision 1 is not in effect; decision 2 is"));
    let right = NewDecision { supersedes: Some(2), ..decision("r1", Decision::Undo, 3) };
    assert_eq!(record(&*store, &[right]).recorded, 1);
}

pub(crate) fn withdrawn_items_still_take_decisions(opener: &impl Opener) {
    let store = opener.connect();
    queue(&*store, "run-a", &items(&["r1"]));
    queue(&*store, "run-b", &[]);
    record(&*store, &[decision("r1", Decision::Accept, 0)]);
    assert_eq!(store.item(QUEUE, "r1").unwrap().unwrap().state, ItemState::Decided);
    let status = store.status(None).unwrap();
    assert_eq!((status.queues[0].decided, status.queues[0].withdrawn), (1, 0));
}

pub(crate) fn queues_that_disagree_must_be_named(opener: &impl Opener) {
    let store = opener.connect();
    queue(&*store, "run-a", &items(&["r1", "r2"]));
    let differs = |id| NewItem { proposed_label: "better".to_owned(), ..item(id) };
    let others = [differs("r1"), differs("r2")];
    store.queue_items("other/queue", "run-b", &others).unwrap();

    let accept = decision("r1", Decision::Accept, 0);
    let message = refusal(&*store, std::slice::from_ref(&accept));
    assert!(message.contains("name one of `audit/queue`, `other/queue`"), "{message}");
    let nowhere = NewDecision { queue: Some("no/queue".to_owned()), ..accept.clone() };
    assert!(refusal(&*store, &[nowhere]).ends_with("the record was never queued in `no/queue`"));

    let named = NewDecision { queue: Some("other/queue".to_owned()), ..accept };
    let labelled = NewDecision {
        final_label: Some("proposed".to_owned()),
        ..decision("r2", Decision::Accept, 0)
    };
    record(&*store, &[named, labelled]);
    assert_eq!(current(&*store), ["r1: accept better", "r2: accept proposed"]);
    // What means the same in every queue needs no name; the latest queue counts.
    record(&*store, &[decision("r1", Decision::Keep, 1)]);
    assert_eq!(store.current_decisions().unwrap()[0].queue, "other/queue");
}

pub(crate) fn a_decision_on_another_text_is_refused(opener: &impl Opener) {
    let store = opener.connect();
    queue(&*store, "run-a", &items(&["r1"]));
    let seen = |text: &str| NewDecision {
        text_digest: Some(text_digest(text)),
        ..decision("r1", Decision::Accept, 0)
    };
    let message = refusal(&*store, &[seen("an older text")]);
    assert!(message.ends_with("the text of the record changed since it was reviewed"));
    assert_eq!(record(&*store, &[seen("text of r1")]).recorded, 1);
}

pub(crate) fn wrong_given_and_right_proposal_are_told_apart(opener: &impl Opener) {
    let store = opener.connect();
    queue(&*store, "run-a", &items(&["r1"]));
    let judged = |kind, second| {
        record(&*store, &[decision("r1", kind, second)]);
        let current = store.current_decisions().unwrap().remove(0);
        (current.given_is_wrong(), current.proposal_is_right())
    };
    assert_eq!(judged(Decision::Accept, 0), (Some(true), Some(true)));
    assert_eq!(judged(Decision::Keep, 1), (Some(false), Some(false)));
    assert_eq!(judged(Decision::Other, 2), (Some(true), Some(false)));
    assert_eq!(judged(Decision::BothFit, 3), (Some(false), Some(true)));
    assert_eq!(judged(Decision::Invalid, 4), (Some(true), Some(false)));
    assert_eq!(judged(Decision::Unsure, 5), (None, None));
}

pub(crate) fn the_chain_verifies(opener: &impl Opener) {
    let store = opener.connect();
    queue(&*store, "run-a", &items(&["r1", "r2"]));
    for second in 0..20 {
        record(&*store, &[decision("r1", Decision::Keep, second)]);
    }
    let report = store.verify().unwrap();
    assert!(report.is_intact());
    assert_eq!((report.rows, report.head), (20, store.ledger_head().unwrap()));
}

/// A store with decisions of every kind, undone ones too.
fn reviewed(opener: &impl Opener) -> Box<dyn ReviewStore> {
    let store = opener.connect();
    queue(&*store, "run-a", &items(&["r1", "r2", "r3", "r4", "r5", "r6", "r7"]));
    let mut noted = decision("r7", Decision::Invalid, 6);
    noted.note = Some("not a \"text\",\nreally".to_owned());
    record(
        &*store,
        &[
            decision("r6", Decision::Unsure, 0),
            decision("r1", Decision::Keep, 1),
            decision("r1", Decision::Accept, 2),
            decision("r2", Decision::Keep, 2),
            decision("r2", Decision::Other, 3),
            decision("r2", Decision::Undo, 4),
            decision("r3", Decision::BothFit, 4),
            decision("r4", Decision::Accept, 5),
            decision("r4", Decision::Undo, 6),
            decision("r5", Decision::Other, 6),
            noted,
        ],
    );
    store
}

/// Exports from one store, imports twice into a new one with the same items, compares states.
fn moves_over<O: Opener>(opener: &O, scope: ExportScope) -> Box<dyn ReviewStore> {
    let store = reviewed(opener);
    let mut csv = Vec::new();
    let count = export_decisions(&*store, scope, &mut csv).unwrap();
    let read = read_decisions(csv.as_slice()).unwrap();
    assert_eq!(read.decisions.len() as u64, count);

    let other = O::fresh();
    let target = other.connect();
    queue(&*target, "run-a", &items(&["r1", "r2", "r3", "r4", "r5", "r6", "r7"]));
    assert_eq!(record(&*target, &read.decisions).recorded, count);
    assert_eq!(record(&*target, &read.decisions).already_there, count);
    assert_eq!(record(&*store, &read.decisions).already_there, count);

    let state = |store: &dyn ReviewStore| {
        let without_seq = |row| CurrentDecision { decision_seq: 0, ..row };
        store.current_decisions().unwrap().into_iter().map(without_seq).collect::<Vec<_>>()
    };
    assert_eq!(state(&*target), state(&*store));
    assert_eq!(fold(&target.ledger().unwrap()), target.current_decisions().unwrap());
    assert_eq!(open_ids(&*target), open_ids(&*store));
    assert!(target.verify().unwrap().is_intact());
    target
}

pub(crate) fn exported_decisions_make_an_equal_store(opener: &impl Opener) {
    let target = moves_over(opener, ExportScope::Current);
    assert_eq!(target.ledger_head().unwrap().seq, 6);
}

pub(crate) fn exported_history_makes_an_equal_store(opener: &impl Opener) {
    let target = moves_over(opener, ExportScope::History);
    assert_eq!(target.ledger_head().unwrap().seq, 11);
}

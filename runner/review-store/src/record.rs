//! Makes the ledger row of a new decision, from what the store knows about its record.
//!
//! Backends call this within the transaction that appends the row; no rule is theirs.

use std::collections::BTreeSet;

use crate::decision::{Decision, DecisionProblem, NewDecision};
use crate::digest::FieldHasher;
use crate::ledger::{LedgerHead, LedgerRow, standing_rows};
use crate::origin::Purpose;
use crate::store::{Item, ItemState};

/// Returns the row that `new` appends after `head`, or nothing when the ledger has it already.
///
/// `history` is the record's part of the ledger, `items` its items, the latest queued first.
pub(crate) fn next_row(
    new: &NewDecision,
    history: &[LedgerRow],
    items: &[Item],
    head: &LedgerHead,
) -> Result<Option<LedgerRow>, DecisionProblem> {
    let new = new.normalised()?;
    if history.iter().any(|row| is_same(row, &new)) {
        return Ok(None);
    }
    let standing = |purpose| standing_rows(history, purpose).first().copied();
    // What can be taken back is what was said last, be it a decision or an answer to a gold row.
    let last = [standing(Purpose::Review), standing(Purpose::Gold)];
    let last = last.into_iter().flatten().max_by_key(|row| row.seq);
    let (current, row) = if new.decision == Decision::Undo {
        is_current(&new, last)?;
        (last, undo_row(&new, last.ok_or(DecisionProblem::NothingToUndo)?)?)
    } else {
        let chosen = choose_item(&new, items);
        let current = match &chosen {
            Ok((item, _)) => standing(item.shown.origin.purpose()),
            Err(_) => last,
        };
        is_current(&new, current)?;
        let (item, final_label) = chosen?;
        (current, item_row(&new, item, final_label))
    };
    Ok(Some(LedgerRow { supersedes: current.map(|row| row.seq), ..row }.chained(head)))
}

/// Checks a statement about what the decision replaces.
fn is_current(new: &NewDecision, current: Option<&LedgerRow>) -> Result<(), DecisionProblem> {
    let current = current.map(|row| row.seq);
    match new.supersedes {
        Some(stated) if current != Some(stated) => {
            Err(DecisionProblem::NotInEffect { stated, current })
        }
        _ => Ok(()),
    }
}

/// A final label left out means the one that was filled in then, whatever the item says today.
fn is_same(row: &LedgerRow, new: &NewDecision) -> bool {
    row.decision == new.decision
        && row.reviewed_by == new.reviewed_by
        && row.reviewed_at == new.reviewed_at
        && row.note == new.note
        && (new.final_label.is_none() || row.final_label == new.final_label)
}

/// Finds the item a decision is about, and the final label it comes to on that item.
fn choose_item<'a>(
    new: &NewDecision,
    items: &'a [Item],
) -> Result<(&'a Item, Option<String>), DecisionProblem> {
    let in_queue = |item: &&Item| new.queue.as_ref().is_none_or(|queue| *queue == item.queue);
    let queued: Vec<&Item> = items.iter().filter(in_queue).collect();
    if queued.is_empty() {
        return Err(DecisionProblem::NotQueued { queue: new.queue.clone() });
    }
    let seen =
        |item: &&Item| new.text_digest.as_ref().is_none_or(|digest| *digest == item.text_digest);
    let mut seen: Vec<&Item> = queued.into_iter().filter(seen).collect();
    if seen.iter().any(|item| item.state != ItemState::Withdrawn) {
        seen.retain(|item| item.state != ItemState::Withdrawn);
    }

    let mut fitting = Vec::new();
    let mut problem = DecisionProblem::TextChanged;
    for item in seen.into_iter().rev() {
        let stated = new.final_label.as_deref();
        match new.decision.final_label(&item.given_label, &item.proposed_label, stated) {
            Ok(label) => fitting.push((item, label)),
            Err(found) => problem = found,
        }
    }
    let meanings: BTreeSet<&Option<String>> = fitting.iter().map(|(_, label)| label).collect();
    if meanings.len() > 1 {
        let queues = fitting.iter().map(|(item, _)| item.queue.clone()).collect();
        return Err(DecisionProblem::AmbiguousQueue { queues });
    }
    fitting.pop().ok_or(problem)
}

fn item_row(new: &NewDecision, item: &Item, final_label: Option<String>) -> LedgerRow {
    LedgerRow {
        seq: 0,
        previous_digest: String::new(),
        digest: String::new(),
        idempotency_key: idempotency_key(new, final_label.as_deref()),
        queue: item.queue.clone(),
        record_id: new.record_id.clone(),
        audit_run_id: item.audit_run_id.clone(),
        original_label: item.original_label.clone(),
        given_label: item.given_label.clone(),
        proposed_label: item.proposed_label.clone(),
        decision: new.decision,
        final_label,
        reviewed_by: new.reviewed_by.clone(),
        reviewed_at: new.reviewed_at.clone(),
        model_version: item.model_version.clone(),
        note: new.note.clone(),
        text_digest: item.text_digest.clone(),
        shown: serde_json::to_string(&item.shown).expect("`Shown` has only string keys"),
        supersedes: None,
    }
}

/// The row that takes `target` back: what it was about, who takes it back and when.
fn undo_row(new: &NewDecision, target: &LedgerRow) -> Result<LedgerRow, DecisionProblem> {
    let labels = (&target.given_label, &target.proposed_label);
    let final_label = new.decision.final_label(labels.0, labels.1, new.final_label.as_deref())?;
    Ok(LedgerRow {
        idempotency_key: idempotency_key(new, None),
        decision: Decision::Undo,
        final_label,
        reviewed_by: new.reviewed_by.clone(),
        reviewed_at: new.reviewed_at.clone(),
        note: new.note.clone(),
        ..target.clone()
    })
}

fn idempotency_key(new: &NewDecision, final_label: Option<&str>) -> String {
    FieldHasher::new("relabel decision 1")
        .text(&new.record_id)
        .text(new.decision.name())
        .optional_text(final_label)
        .text(&new.reviewed_by)
        .text(&new.reviewed_at)
        .optional_text(new.note.as_deref())
        .finish()
}

//! Counts over queues, from SQLite.

use std::collections::BTreeMap;

use rusqlite::Transaction;

use super::items::{Standings, purpose};
use super::{Failure, rows};
use crate::decision::Decision;
use crate::ledger::Standing;
use crate::store::{QueueStatus, ReviewerCount, Status};

pub(super) fn status(tx: &Transaction<'_>, queue: Option<&str>) -> Result<Status, Failure> {
    let standings = rows::standings(tx)?;
    let standings = Standings::of(&standings);
    let mut tallies = queues(tx, queue)?;
    let mut statement = tx.prepare_cached(
        "SELECT queue, record_id, audit_run_id, text_digest, withdrawn, gold FROM items
         WHERE ?1 IS NULL OR queue = ?1",
    )?;
    let mut items = statement.query([queue])?;
    while let Some(row) = items.next()? {
        let (record_id, audit_run_id): (String, String) =
            (row.get("record_id")?, row.get("audit_run_id")?);
        let text_digest: String = row.get("text_digest")?;
        let standing = standings
            .get(purpose(row)?, &record_id)
            .filter(|standing| standing.covers(&audit_run_id, &text_digest));
        let tally = tallies.entry(row.get("queue")?).or_default();
        match standing {
            Some(standing) => tally.decided(standing),
            None if row.get("withdrawn")? => tally.counts.withdrawn += 1,
            None => tally.counts.open += 1,
        }
    }
    let queues = tallies.into_iter().map(|(queue, tally)| tally.finish(queue)).collect();
    Ok(Status { queues, head: rows::head(tx)? })
}

/// Every queue that ever had a batch, empty ones too.
fn queues(tx: &Transaction<'_>, queue: Option<&str>) -> Result<BTreeMap<String, Tally>, Failure> {
    let mut statement =
        tx.prepare_cached("SELECT DISTINCT queue FROM batches WHERE ?1 IS NULL OR queue = ?1")?;
    let mut rows = statement.query([queue])?;
    let mut tallies = BTreeMap::new();
    while let Some(row) = rows.next()? {
        tallies.insert(row.get("queue")?, Tally::default());
    }
    Ok(tallies)
}

#[derive(Default)]
struct Tally {
    counts: QueueStatus,
    reviewers: BTreeMap<String, u64>,
}

impl Tally {
    fn decided(&mut self, standing: &Standing) {
        let counts = &mut self.counts;
        counts.decided += 1;
        match standing.decision {
            Decision::Accept => counts.accepted += 1,
            Decision::Keep => counts.kept += 1,
            Decision::Other => counts.other += 1,
            Decision::BothFit => counts.both_fit += 1,
            Decision::Invalid => counts.invalid += 1,
            Decision::Unsure => counts.unsure += 1,
            Decision::Undo => unreachable!("an undo is never in effect"),
        }
        counts.given_wrong += u64::from(standing.given_is_wrong() == Some(true));
        counts.proposal_right += u64::from(standing.proposal_is_right() == Some(true));
        *self.reviewers.entry(standing.reviewed_by.clone()).or_default() += 1;
    }

    fn finish(self, queue: String) -> QueueStatus {
        let sure = self.counts.decided - self.counts.unsure;
        let reviewers = self.reviewers.into_iter();
        QueueStatus {
            queue,
            acceptance: (sure > 0).then(|| self.counts.accepted as f64 / sure as f64),
            reviewers: reviewers
                .map(|(reviewed_by, decisions)| ReviewerCount { reviewed_by, decisions })
                .collect(),
            ..self.counts
        }
    }
}

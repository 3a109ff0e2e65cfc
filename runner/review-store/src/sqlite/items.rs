//! Batches and items in SQLite.

use std::collections::{BTreeMap, HashMap, HashSet};

use rusqlite::{OptionalExtension, Row, Transaction, named_params};
use serde::de::DeserializeOwned;

use super::Failure;
use super::rows::{number, optional_number, signed, standings};
use crate::ledger::{LedgerRow, Shown, Standing, effective, standing_rows};
use crate::origin::{Origin, Purpose};
use crate::store::{Item, ItemState, NewItem, QueueOutcome, StoreError, batch_digest};

pub(super) fn queue_items(
    tx: &Transaction<'_>,
    queue: &str,
    audit_run_id: &str,
    items: &[NewItem],
) -> Result<QueueOutcome, Failure> {
    check_batch(queue, items).map_err(|problem| {
        Failure::Refused(StoreError::BadBatch { queue: queue.to_owned(), problem })
    })?;
    let digest = batch_digest(queue, audit_run_id, items);
    let standings = standings(tx)?;
    let standings = Standings::of(&standings);
    let stored = stored_items(tx, queue)?;
    let batch_seq = enter_batch(tx, queue, audit_run_id, &digest)?;

    let mut outcome = QueueOutcome { batch_digest: digest, ..QueueOutcome::default() };
    for item in items {
        let verified = standings
            .get(item.origin.purpose(), &item.record_id)
            .is_some_and(|standing| standing.verifies(&item.text_digest()));
        let content_digest = item.content_digest(audit_run_id);
        match stored.get(&item.record_id) {
            _ if verified => {
                outcome.skipped_verified += 1;
                continue;
            }
            Some(stored) if stored.content_digest == content_digest && !stored.withdrawn => {
                outcome.kept += 1;
                if stored.batch_seq == batch_seq {
                    continue;
                }
            }
            Some(_) => outcome.refreshed += 1,
            None => outcome.added += 1,
        }
        upsert(tx, queue, audit_run_id, item, &content_digest, batch_seq)?;
    }

    let batch: HashSet<&str> = items.iter().map(|item| item.record_id.as_str()).collect();
    for (record_id, stored) in &stored {
        let decided = standings
            .get(stored.purpose, record_id)
            .is_some_and(|standing| standing.covers(&stored.audit_run_id, &stored.text_digest));
        if !stored.withdrawn && !decided && !batch.contains(record_id.as_str()) {
            withdraw(tx, queue, record_id)?;
            outcome.withdrawn += 1;
        }
    }
    count_batch(tx, queue, batch_seq)?;
    Ok(outcome)
}

fn check_batch(queue: &str, items: &[NewItem]) -> Result<(), String> {
    if queue.trim().is_empty() {
        return Err("the queue has no name".to_owned());
    }
    if let Some(problem) = items.iter().find_map(NewItem::problem) {
        return Err(problem);
    }
    let mut seen = HashSet::new();
    match items.iter().find(|item| !seen.insert(item.record_id.as_str())) {
        Some(twice) => Err(format!("record `{}` is in it twice", twice.record_id)),
        None => Ok(()),
    }
}

/// The decision in effect on each record, and the answer that stands to each gold row.
pub(super) struct Standings<'a>(HashMap<(Purpose, &'a str), &'a Standing>);

impl<'a> Standings<'a> {
    pub(super) fn of(standings: &'a [Standing]) -> Standings<'a> {
        let piles = [Purpose::Review, Purpose::Gold].into_iter().flat_map(|purpose| {
            let standing = effective(standings, purpose, Standing::entry);
            standing.into_iter().map(move |one| ((purpose, one.record_id.as_str()), one))
        });
        Standings(piles.collect())
    }

    pub(super) fn get(&self, purpose: Purpose, record_id: &str) -> Option<&'a Standing> {
        self.0.get(&(purpose, record_id)).copied()
    }
}

/// What an item is for.
pub(super) fn purpose(row: &Row<'_>) -> Result<Purpose, Failure> {
    let gold: Option<String> = row.get("gold")?;
    Ok(if gold.is_some() { Purpose::Gold } else { Purpose::Review })
}

/// What is known of an item before a batch comes in.
struct StoredItem {
    content_digest: String,
    audit_run_id: String,
    text_digest: String,
    batch_seq: i64,
    withdrawn: bool,
    purpose: Purpose,
}

fn stored_items(
    tx: &Transaction<'_>,
    queue: &str,
) -> Result<BTreeMap<String, StoredItem>, Failure> {
    let mut statement = tx.prepare_cached(
        "SELECT record_id, content_digest, audit_run_id, text_digest, batch_seq, withdrawn, gold
         FROM items WHERE queue = ?1",
    )?;
    let mut rows = statement.query([queue])?;
    let mut items = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let item = StoredItem {
            content_digest: row.get("content_digest")?,
            audit_run_id: row.get("audit_run_id")?,
            text_digest: row.get("text_digest")?,
            batch_seq: row.get("batch_seq")?,
            withdrawn: row.get("withdrawn")?,
            purpose: purpose(row)?,
        };
        items.insert(row.get("record_id")?, item);
    }
    Ok(items)
}

/// The last batch of a queue: its number, digest and count of items.
fn last_batch(tx: &Transaction<'_>, queue: &str) -> Result<Option<(i64, String, i64)>, Failure> {
    let mut statement = tx.prepare_cached(
        "SELECT batch_seq, batch_digest, items FROM batches
         WHERE queue = ?1 ORDER BY batch_seq DESC LIMIT 1",
    )?;
    let batch = statement.query_row([queue], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    Ok(batch.optional()?)
}

/// Returns the number of the batch; the same batch again keeps its number.
fn enter_batch(
    tx: &Transaction<'_>,
    queue: &str,
    audit_run_id: &str,
    digest: &str,
) -> Result<i64, Failure> {
    if let Some((batch_seq, last, _)) = last_batch(tx, queue)?
        && last == digest
    {
        return Ok(batch_seq);
    }
    tx.prepare_cached(
        "INSERT INTO batches (queue, audit_run_id, batch_digest, items) VALUES (?1, ?2, ?3, 0)",
    )?
    .execute([queue, audit_run_id, digest])?;
    Ok(tx.last_insert_rowid())
}

const COUNT_BATCH: &str = "SELECT count(*) FROM items WHERE queue = ?1 AND batch_seq = ?2";

fn count_batch(tx: &Transaction<'_>, queue: &str, batch_seq: i64) -> Result<(), Failure> {
    let sql = format!("UPDATE batches SET items = ({COUNT_BATCH}) WHERE batch_seq = ?2");
    tx.prepare_cached(&sql)?.execute((queue, batch_seq))?;
    Ok(())
}

pub(super) fn holds_batch(
    tx: &Transaction<'_>,
    queue: &str,
    digest: &str,
) -> Result<bool, Failure> {
    match last_batch(tx, queue)? {
        Some((batch_seq, last, items)) if last == digest => {
            let there: i64 = tx.query_row(COUNT_BATCH, (queue, batch_seq), |row| row.get(0))?;
            Ok(there == items)
        }
        _ => Ok(false),
    }
}

fn upsert(
    tx: &Transaction<'_>,
    queue: &str,
    audit_run_id: &str,
    item: &NewItem,
    content_digest: &str,
    batch_seq: i64,
) -> Result<(), Failure> {
    let text_digest = item.text_digest();
    tx.prepare_cached("INSERT INTO texts VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
        .execute([&text_digest, &item.text])?;
    // Everything but the key is replaced; no foreign key points at an item.
    tx.prepare_cached(
        "INSERT OR REPLACE INTO items (
            queue, record_id, audit_run_id, original_label, given_label, proposed_label,
            prediction_confidence, given_confidence, rank, reasons, text_digest, categories,
            fold_id, model_version, taxonomy_version, lane, control, stratum, drawn_from,
            lane_rows, gold, content_digest, batch_seq, withdrawn
         ) VALUES (
            :queue, :record_id, :audit_run_id, :original_label, :given_label, :proposed_label,
            :prediction_confidence, :given_confidence, :rank, :reasons, :text_digest, :categories,
            :fold_id, :model_version, :taxonomy_version, :lane, :control, :stratum, :drawn_from,
            :lane_rows, :gold, :content_digest, :batch_seq, 0
         )",
    )?
    .execute(named_params! {
        ":queue": queue,
        ":record_id": item.record_id,
        ":audit_run_id": audit_run_id,
        ":original_label": item.original_label,
        ":given_label": item.given_label,
        ":proposed_label": item.proposed_label,
        ":prediction_confidence": item.prediction_confidence,
        ":given_confidence": item.given_confidence,
        ":rank": item.rank,
        ":reasons": serde_json::to_string(&item.reasons).expect("strings are JSON"),
        ":text_digest": text_digest,
        ":categories": serde_json::to_string(&item.categories).expect("finite, so JSON"),
        ":fold_id": item.fold_id,
        ":model_version": item.model_version,
        ":taxonomy_version": item.taxonomy_version,
        ":lane": item.origin.lane,
        ":control": item.origin.control,
        ":stratum": item.origin.stratum,
        ":drawn_from": item.origin.drawn_from.map(signed),
        ":lane_rows": item.origin.lane_rows.map(signed),
        ":gold": item.origin.gold,
        ":content_digest": content_digest,
        ":batch_seq": batch_seq,
    })?;
    Ok(())
}

fn withdraw(tx: &Transaction<'_>, queue: &str, record_id: &str) -> Result<(), Failure> {
    tx.prepare_cached("UPDATE items SET withdrawn = 1 WHERE queue = ?1 AND record_id = ?2")?
        .execute([queue, record_id])?;
    Ok(())
}

pub(super) fn open_items(
    tx: &Transaction<'_>,
    queue: &str,
    limit: Option<usize>,
) -> Result<Vec<Item>, Failure> {
    let standings = standings(tx)?;
    let standings = Standings::of(&standings);
    let mut statement = tx.prepare_cached(
        "SELECT items.*, text FROM items JOIN texts USING (text_digest)
         WHERE queue = ?1 AND NOT withdrawn ORDER BY rank, record_id",
    )?;
    let mut rows = statement.query([queue])?;
    let limit = limit.unwrap_or(usize::MAX);
    let mut items = Vec::new();
    while items.len() < limit
        && let Some(row) = rows.next()?
    {
        let record_id: String = row.get("record_id")?;
        let standing = standings.get(purpose(row)?, &record_id);
        let item = read_item(row, |audit_run_id, text_digest| {
            standing.is_some_and(|standing| standing.covers(audit_run_id, text_digest))
        })?;
        if item.state == ItemState::Open {
            items.push(item);
        }
    }
    Ok(items)
}

/// The items of a record in whatever queue, the latest queued first.
pub(super) fn items_of_record(
    tx: &Transaction<'_>,
    record_id: &str,
    history: &[LedgerRow],
) -> Result<Vec<Item>, Failure> {
    let current = |purpose| standing_rows(history, purpose).first().map(|row| row.standing());
    let (review, gold) = (current(Purpose::Review), current(Purpose::Gold));
    let mut statement = tx.prepare_cached(
        "SELECT items.*, text FROM items JOIN texts USING (text_digest)
         WHERE record_id = ?1 ORDER BY batch_seq DESC, queue",
    )?;
    let mut rows = statement.query([record_id])?;
    let mut items = Vec::new();
    while let Some(row) = rows.next()? {
        let current = match purpose(row)? {
            Purpose::Review => &review,
            Purpose::Gold => &gold,
        };
        items.push(read_item(row, |audit_run_id, text_digest| {
            current.as_ref().is_some_and(|standing| standing.covers(audit_run_id, text_digest))
        })?);
    }
    Ok(items)
}

/// Reads an item; `decided` says whether an audit run and text digest have their decision.
fn read_item(row: &Row<'_>, decided: impl Fn(&str, &str) -> bool) -> Result<Item, Failure> {
    let audit_run_id: String = row.get("audit_run_id")?;
    let text_digest: String = row.get("text_digest")?;
    let state = if decided(&audit_run_id, &text_digest) {
        ItemState::Decided
    } else if row.get("withdrawn")? {
        ItemState::Withdrawn
    } else {
        ItemState::Open
    };
    Ok(Item {
        queue: row.get("queue")?,
        record_id: row.get("record_id")?,
        audit_run_id,
        original_label: row.get("original_label")?,
        given_label: row.get("given_label")?,
        proposed_label: row.get("proposed_label")?,
        text: row.get("text")?,
        text_digest,
        model_version: row.get("model_version")?,
        shown: Shown {
            rank: number(row, "rank")?,
            reasons: json(row, "reasons")?,
            prediction_confidence: row.get("prediction_confidence")?,
            given_confidence: row.get("given_confidence")?,
            categories: json(row, "categories")?,
            fold_id: optional_number(row, "fold_id")?,
            taxonomy_version: row.get("taxonomy_version")?,
            origin: Origin {
                lane: row.get("lane")?,
                control: row.get("control")?,
                stratum: row.get("stratum")?,
                drawn_from: optional_number(row, "drawn_from")?,
                lane_rows: optional_number(row, "lane_rows")?,
                gold: row.get("gold")?,
            },
        },
        state,
    })
}

fn json<T: DeserializeOwned>(row: &Row<'_>, column: &str) -> Result<T, Failure> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text)
        .map_err(|error| Failure::Nonsense(format!("`{column}` of an item is no JSON: {error}")))
}

//! Ledger rows to and from SQLite.

use std::sync::LazyLock;

use rusqlite::types::{FromSql, Value, ValueRef};
use rusqlite::{Row, Transaction, params_from_iter};

use super::Failure;
use crate::decision::Decision;
use crate::ledger::{FIELD_NAMES, LedgerHead, LedgerRow, RawRow, Standing};
use crate::origin::Purpose;

static COLUMNS: LazyLock<String> =
    LazyLock::new(|| format!("seq, previous_digest, digest, {}", FIELD_NAMES.join(", ")));

pub(super) fn head(tx: &Transaction<'_>) -> Result<LedgerHead, Failure> {
    let mut statement = tx.prepare_cached("SELECT seq, digest FROM ledger_head")?;
    let mut rows = statement.query([])?;
    match rows.next()? {
        Some(row) => Ok(LedgerHead { seq: number(row, "seq")?, digest: row.get("digest")? }),
        None => Err(Failure::Nonsense("the end of the ledger is not recorded".to_owned())),
    }
}

pub(super) fn ledger(tx: &Transaction<'_>) -> Result<Vec<LedgerRow>, Failure> {
    let mut statement =
        tx.prepare(&format!("SELECT {} FROM ledger ORDER BY seq", COLUMNS.as_str()))?;
    let mut rows = statement.query([])?;
    let mut ledger = Vec::new();
    while let Some(row) = rows.next()? {
        ledger.push(ledger_row(row)?);
    }
    Ok(ledger)
}

/// The ledger rows of one record.
pub(super) fn history(tx: &Transaction<'_>, record_id: &str) -> Result<Vec<LedgerRow>, Failure> {
    let mut statement = tx.prepare_cached(&format!(
        "SELECT {} FROM ledger WHERE record_id = ?1 ORDER BY seq",
        COLUMNS.as_str()
    ))?;
    let mut rows = statement.query([record_id])?;
    let mut history = Vec::new();
    while let Some(row) = rows.next()? {
        history.push(ledger_row(row)?);
    }
    Ok(history)
}

/// Every ledger row, as far as queues need it.
pub(super) fn standings(tx: &Transaction<'_>) -> Result<Vec<Standing>, Failure> {
    let mut statement = tx.prepare_cached(
        "SELECT seq, record_id, review_decision, supersedes, audit_run_id, text_digest,
                given_label, proposed_label, reviewed_by, shown
         FROM ledger ORDER BY seq",
    )?;
    let mut rows = statement.query([])?;
    let mut standings = Vec::new();
    while let Some(row) = rows.next()? {
        standings.push(Standing {
            seq: number(row, "seq")?,
            record_id: row.get("record_id")?,
            decision: decision(row)?,
            supersedes: optional_number(row, "supersedes")?,
            audit_run_id: row.get("audit_run_id")?,
            text_digest: row.get("text_digest")?,
            given_label: row.get("given_label")?,
            proposed_label: row.get("proposed_label")?,
            reviewed_by: row.get("reviewed_by")?,
            purpose: Purpose::of_shown(row.get_ref("shown")?.as_str().unwrap_or_default()),
        });
    }
    Ok(standings)
}

pub(super) fn append(tx: &Transaction<'_>, row: &LedgerRow) -> Result<(), Failure> {
    let marks = vec!["?"; 3 + FIELD_NAMES.len()].join(", ");
    let sql = format!("INSERT INTO ledger ({}) VALUES ({marks})", COLUMNS.as_str());
    let mut statement = tx.prepare_cached(&sql)?;
    let mut values = vec![
        Value::Integer(signed(row.seq)),
        Value::Text(row.previous_digest.clone()),
        Value::Text(row.digest.clone()),
    ];
    // STRICT columns turn the decimal text of `supersedes` into an integer.
    let fields = row.fields().map(|field| field.map_or(Value::Null, |f| Value::Text(f.into())));
    values.extend(fields);
    statement.execute(params_from_iter(values))?;
    Ok(())
}

/// Gives every row to `visit` as it is stored, until that answers `false`.
pub(super) fn each_raw_row(
    tx: &Transaction<'_>,
    mut visit: impl FnMut(RawRow) -> bool,
) -> Result<(), Failure> {
    let mut statement =
        tx.prepare(&format!("SELECT {} FROM ledger ORDER BY seq", COLUMNS.as_str()))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let fields = (0..FIELD_NAMES.len()).map(|index| raw_text(row, index + 3));
        let raw = RawRow {
            seq: u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0),
            previous_digest: raw_text(row, 1)?.unwrap_or_default(),
            digest: raw_text(row, 2)?.unwrap_or_default(),
            fields: fields.collect::<Result<_, Failure>>()?,
        };
        if !visit(raw) {
            break;
        }
    }
    Ok(())
}

/// A value as text; one that never could have been recorded comes out as some other text.
fn raw_text(row: &Row<'_>, index: usize) -> Result<Option<String>, Failure> {
    Ok(match row.get_ref(index)? {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(format!("real {number}")),
        ValueRef::Text(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        ValueRef::Blob(bytes) => Some(format!("blob of {} bytes", bytes.len())),
    })
}

fn ledger_row(row: &Row<'_>) -> Result<LedgerRow, Failure> {
    Ok(LedgerRow {
        seq: number(row, "seq")?,
        previous_digest: row.get("previous_digest")?,
        digest: row.get("digest")?,
        idempotency_key: row.get("idempotency_key")?,
        queue: row.get("queue")?,
        record_id: row.get("record_id")?,
        audit_run_id: row.get("audit_run_id")?,
        original_label: row.get("original_label")?,
        given_label: row.get("given_label")?,
        proposed_label: row.get("proposed_label")?,
        decision: decision(row)?,
        final_label: row.get("final_label")?,
        reviewed_by: row.get("reviewed_by")?,
        reviewed_at: row.get("reviewed_at")?,
        model_version: row.get("model_version")?,
        note: row.get("note")?,
        text_digest: row.get("text_digest")?,
        shown: row.get("shown")?,
        supersedes: optional_number(row, "supersedes")?,
    })
}

fn decision(row: &Row<'_>) -> Result<Decision, Failure> {
    let word: String = row.get("review_decision")?;
    let seq: i64 = row.get("seq")?;
    Decision::ALL
        .into_iter()
        .find(|decision| decision.name() == word)
        .ok_or_else(|| Failure::Nonsense(format!("ledger row {seq} has the decision `{word}`")))
}

/// SQLite's integers are signed; what this store counts never gets near the border.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).expect("fewer than 2^63 rows")
}

pub(super) fn number<T: TryFrom<i64>>(row: &Row<'_>, column: &str) -> Result<T, Failure> {
    narrow(row.get(column)?, column)
}

pub(super) fn optional_number<T: TryFrom<i64>>(
    row: &Row<'_>,
    column: &str,
) -> Result<Option<T>, Failure> {
    let stored: Option<i64> = get(row, column)?;
    stored.map(|stored| narrow(stored, column)).transpose()
}

fn get<T: FromSql>(row: &Row<'_>, column: &str) -> Result<T, Failure> {
    Ok(row.get(column)?)
}

fn narrow<T: TryFrom<i64>>(stored: i64, column: &str) -> Result<T, Failure> {
    T::try_from(stored).map_err(|_| Failure::Nonsense(format!("`{column}` is {stored}")))
}

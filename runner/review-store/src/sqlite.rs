//! The review store in one SQLite file, or in memory.
//!
//! A store is one connection behind a lock. Writing starts with an immediate transaction, so
//! writers queue up instead of failing halfway; reading sees one snapshot.

mod items;
mod rows;
mod schema;
mod status;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};

use crate::checkpoint;
use crate::decision::{BadDecision, BadDecisions, NewDecision};
use crate::ledger::{
    ChainWalk, CurrentDecision, LedgerHead, LedgerRow, VerifyReport, effective, fold,
};
use crate::origin::Purpose;
use crate::record::next_row;
use crate::store::{
    Item, NewItem, QueueOutcome, RecordOutcome, ReviewStore, Status, StoreError, VerifiedRecord,
};

/// How long one writer waits for the others.
const BUSY_TIMEOUT: Duration = Duration::from_secs(60);

/// Where a SQLite store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Memory,
    File(PathBuf),
}

impl Place {
    /// Whether there is something to open; a store in memory never is.
    pub(crate) fn exists(&self) -> Result<bool, StoreError> {
        match self {
            Place::Memory => Ok(false),
            Place::File(path) => path.try_exists().map_err(|error| StoreError::CannotOpen {
                location: self.name(),
                problem: error.to_string(),
            }),
        }
    }

    fn name(&self) -> String {
        match self {
            Place::Memory => "sqlite::memory:".to_owned(),
            Place::File(path) => path.display().to_string(),
        }
    }
}

/// What opening may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Make file and folders if they are not there; the store must be writable.
    Create,
    /// The file must be there; being able to read is enough.
    Existing,
}

pub(crate) struct SqliteStore {
    location: String,
    connection: Mutex<Connection>,
}

impl SqliteStore {
    pub(crate) fn open(place: &Place, access: Access) -> Result<SqliteStore, StoreError> {
        let location = place.name();
        let connection = schema::open(place, access)?;
        Ok(SqliteStore { location, connection: Mutex::new(connection) })
    }

    fn read<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        self.transact(TransactionBehavior::Deferred, work)
    }

    fn write<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        checkpoint::pass();
        let done = self.transact(TransactionBehavior::Immediate, |transaction| {
            let done = work(transaction);
            checkpoint::pass();
            done
        });
        checkpoint::pass();
        done
    }

    fn transact<T>(
        &self,
        behavior: TransactionBehavior,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        // A panic elsewhere rolled its transaction back, so the connection is still good.
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let run = || -> Result<T, Failure> {
            let transaction = connection.transaction_with_behavior(behavior)?;
            let result = work(&transaction)?;
            transaction.commit()?;
            Ok(result)
        };
        run().map_err(|failure| failure.at(&self.location))
    }
}

impl ReviewStore for SqliteStore {
    fn location(&self) -> &str {
        &self.location
    }

    fn queue_items(
        &self,
        queue: &str,
        audit_run_id: &str,
        items: &[NewItem],
    ) -> Result<QueueOutcome, StoreError> {
        self.write(|tx| items::queue_items(tx, queue, audit_run_id, items))
    }

    fn holds_batch(&self, queue: &str, batch_digest: &str) -> Result<bool, StoreError> {
        self.read(|tx| items::holds_batch(tx, queue, batch_digest))
    }

    fn open_items(&self, queue: &str, limit: Option<usize>) -> Result<Vec<Item>, StoreError> {
        self.read(|tx| items::open_items(tx, queue, limit))
    }

    fn item(&self, queue: &str, record_id: &str) -> Result<Option<Item>, StoreError> {
        self.read(|tx| {
            let items = items::items_of_record(tx, record_id, &rows::history(tx, record_id)?)?;
            Ok(items.into_iter().find(|item| item.queue == queue))
        })
    }

    fn record_decisions(&self, decisions: &[NewDecision]) -> Result<RecordOutcome, StoreError> {
        self.write(|tx| record_decisions(tx, decisions))
    }

    fn ledger_head(&self) -> Result<LedgerHead, StoreError> {
        self.read(rows::head)
    }

    fn ledger(&self) -> Result<Vec<LedgerRow>, StoreError> {
        self.read(rows::ledger)
    }

    fn current_decisions(&self) -> Result<Vec<CurrentDecision>, StoreError> {
        self.read(|tx| Ok(fold(&rows::ledger(tx)?)))
    }

    fn verified_records(&self) -> Result<Vec<VerifiedRecord>, StoreError> {
        self.read(|tx| {
            let standings = rows::standings(tx)?;
            let verified = effective(&standings, Purpose::Review, |standing| standing.entry())
                .into_iter()
                .filter(|standing| standing.decision.verifies())
                .map(|standing| VerifiedRecord {
                    record_id: standing.record_id.clone(),
                    text_digest: standing.text_digest.clone(),
                });
            Ok(verified.collect())
        })
    }

    fn status(&self, queue: Option<&str>) -> Result<Status, StoreError> {
        self.read(|tx| status::status(tx, queue))
    }

    fn verify(&self) -> Result<VerifyReport, StoreError> {
        self.read(|tx| {
            let mut walk = ChainWalk::new();
            rows::each_raw_row(tx, |row| walk.step(row))?;
            Ok(walk.finish(&rows::head(tx)?))
        })
    }
}

/// Appends as it goes; one bad decision leaves the transaction to be rolled back.
fn record_decisions(
    tx: &Transaction<'_>,
    decisions: &[NewDecision],
) -> Result<RecordOutcome, Failure> {
    let (mut recorded, mut already_there) = (0, 0);
    let mut head = rows::head(tx)?;
    let mut bad = Vec::new();
    for (index, new) in decisions.iter().enumerate() {
        let history = rows::history(tx, &new.record_id)?;
        let items = items::items_of_record(tx, &new.record_id, &history)?;
        match next_row(new, &history, &items, &head) {
            Ok(Some(row)) => {
                rows::append(tx, &row)?;
                head = row.head();
                recorded += 1;
            }
            Ok(None) => already_there += 1,
            Err(problem) => {
                let record_id = new.record_id.clone();
                bad.push(BadDecision { index, line: new.line, record_id, problem });
            }
        }
    }
    if bad.is_empty() {
        Ok(RecordOutcome { recorded, already_there, head })
    } else {
        Err(Failure::Refused(StoreError::BadDecisions(BadDecisions(bad))))
    }
}

/// Why a transaction ended early, before it is known where.
enum Failure {
    Sql(rusqlite::Error),
    /// What is stored makes no sense.
    Nonsense(String),
    Refused(StoreError),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Failure {
        Failure::Sql(error)
    }
}

impl Failure {
    fn at(self, location: &str) -> StoreError {
        let location = location.to_owned();
        match self {
            Failure::Refused(error) => error,
            Failure::Nonsense(problem) => StoreError::Damaged { location, problem },
            Failure::Sql(error) => match error.sqlite_error_code() {
                Some(ErrorCode::NotADatabase) => StoreError::NotADatabase { location },
                Some(ErrorCode::DatabaseCorrupt) => {
                    StoreError::Damaged { location, problem: error.to_string() }
                }
                Some(ErrorCode::ReadOnly) => StoreError::ReadOnly { location },
                Some(ErrorCode::DiskFull) => StoreError::DiskFull { location },
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                    StoreError::Busy { location, seconds: BUSY_TIMEOUT.as_secs() }
                }
                Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                    StoreError::CannotOpen { location, problem: error.to_string() }
                }
                _ => StoreError::Backend { location, source: Box::new(error) },
            },
        }
    }
}

//! Opens a SQLite file as a review store, and brings its schema up to date.
//!
//! | the file has | this version | a newer version |
//! | --- | --- | --- |
//! | nothing, or an older schema | migrates it, in one transaction | migrates it |
//! | this schema | uses it | migrates it |
//! | a newer schema | refuses it and says so | uses it |

use std::fs;
use std::path::Path;
use std::time::Instant;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::{Access, BUSY_TIMEOUT, Failure, Place};
use crate::store::StoreError;

/// Marks the file as ours; `file` and other tools show it. Spells "rlbl".
const APPLICATION_ID: i64 = 0x726c_626c;

/// The schema version is the number of migrations applied.
const MIGRATIONS: [&str; 3] = [
    include_str!("../../migrations/sqlite/0001_review_store.sql"),
    include_str!("../../migrations/sqlite/0002_lanes.sql"),
    include_str!("../../migrations/sqlite/0003_gold.sql"),
];

const SCHEMA_VERSION: i64 = MIGRATIONS.len() as i64;

pub(super) fn open(place: &Place, access: Access) -> Result<Connection, StoreError> {
    let location = place.name();
    match place {
        Place::Memory => {
            let connection = Connection::open_in_memory();
            connection.map_err(Failure::Sql).and_then(|connection| prepare(connection, access))
        }
        Place::File(path) => {
            if access == Access::Create {
                make_folder(path)?;
            }
            if path.is_dir() {
                let problem = "it is a folder".to_owned();
                return Err(StoreError::CannotOpen { location, problem });
            }
            open_file(path, access)
        }
    }
    .map_err(|failure| match failure {
        Failure::Refused(error) => located(error, &location),
        failure => failure.at(&location),
    })
}

/// A refusal from below knows no location yet.
fn located(error: StoreError, place: &str) -> StoreError {
    let location = place.to_owned();
    match error {
        StoreError::NotAReviewStore { .. } => StoreError::NotAReviewStore { location },
        StoreError::ReadOnly { .. } => StoreError::ReadOnly { location },
        StoreError::NewerVersion { found, known, .. } => {
            StoreError::NewerVersion { location, found, known }
        }
        error => error,
    }
}

fn make_folder(path: &Path) -> Result<(), StoreError> {
    match path.parent() {
        Some(folder) => fs::create_dir_all(folder)
            .map_err(|source| StoreError::CreateFolder { path: folder.to_owned(), source }),
        None => Ok(()),
    }
}

/// Tries again while others set the file up: switching to WAL does not wait by itself.
fn open_file(path: &Path, access: Access) -> Result<Connection, Failure> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if access == Access::Create {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
    }
    let start = Instant::now();
    loop {
        let opened = Connection::open_with_flags(path, flags)
            .map_err(Failure::Sql)
            .and_then(|connection| prepare(connection, access));
        match opened {
            Err(Failure::Sql(error)) if access == Access::Existing && is_read_only(&error) => {
                return open_unchanging(path, error);
            }
            Err(Failure::Sql(error)) if is_busy(&error) && start.elapsed() < BUSY_TIMEOUT => {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            opened => return opened,
        }
    }
}

/// Opens a file in a folder where nothing can be made: SQLite wants its shared memory there, unless
/// it is told that nobody changes the file.
fn open_unchanging(path: &Path, error: rusqlite::Error) -> Result<Connection, Failure> {
    // What is there has not reached the file yet and would be passed over.
    for ending in ["-wal", "-journal"] {
        let mut beside = path.as_os_str().to_owned();
        beside.push(ending);
        if fs::metadata(&beside).is_ok_and(|beside| beside.len() > 0) {
            let beside = Path::new(&beside).display();
            let problem = format!(
                "its folder cannot be written to, and its last changes are in `{beside}` still; \
                 open it once where it can be written to"
            );
            let location = path.display().to_string();
            return Err(Failure::Refused(StoreError::CannotOpen { location, problem }));
        }
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    match Connection::open_with_flags(immutable_uri(path), flags) {
        Ok(connection) => prepare(connection, Access::Existing),
        // Then the folder was not what kept it from being opened.
        Err(_) => Err(Failure::Sql(error)),
    }
}

/// Source: <https://www.sqlite.org/uri.html>.
fn immutable_uri(path: &Path) -> String {
    let mut uri = String::from(if path.is_absolute() { "file://" } else { "file:" });
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'~' => uri.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(*byte)),
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri.push_str("?mode=ro&immutable=1");
    uri
}

/// What SQLite says when it cannot make the files it needs beside the one it opens.
fn is_read_only(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly))
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

fn prepare(mut connection: Connection, access: Access) -> Result<Connection, Failure> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Look before touching: a foreign database must stay as it is. One look at all of it, or another
    // process that is setting the file up makes it seem a foreign one.
    let snapshot = connection.transaction()?;
    let outdated = version(&snapshot)? < SCHEMA_VERSION;
    snapshot.finish()?;
    let read_only = connection.is_readonly("main")?;
    if read_only && (outdated || access == Access::Create) {
        return Err(Failure::Refused(StoreError::ReadOnly { location: String::new() }));
    }
    if outdated {
        migrate(&mut connection)?;
    }
    if !read_only {
        let _mode: String =
            connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
        connection.pragma_update(None, "synchronous", "full")?;
    }
    connection.pragma_update(None, "foreign_keys", true)?;
    // Lets the ledger's trigger on DELETE see what INSERT OR REPLACE deletes.
    connection.pragma_update(None, "recursive_triggers", true)?;
    Ok(connection)
}

/// The version of the file's schema, 0 when it is empty.
fn version(connection: &Connection) -> Result<i64, Failure> {
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get(0));
    let (application, found): (i64, i64) = (pragma("application_id")?, pragma("user_version")?);
    let location = String::new();
    if application != APPLICATION_ID {
        let tables: i64 =
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        if application != 0 || found != 0 || tables != 0 {
            return Err(Failure::Refused(StoreError::NotAReviewStore { location }));
        }
        return Ok(0);
    }
    if found > SCHEMA_VERSION {
        let known = SCHEMA_VERSION;
        return Err(Failure::Refused(StoreError::NewerVersion { location, found, known }));
    }
    Ok(found)
}

fn migrate(connection: &mut Connection) -> Result<(), Failure> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have done it while this one waited.
    let applied = version(&transaction)?;
    for migration in MIGRATIONS.iter().skip(usize::try_from(applied).unwrap_or(0)) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    transaction.commit()?;
    Ok(())
}

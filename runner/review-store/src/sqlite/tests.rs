//! The contract on SQLite, in memory and in files, and what is SQLite's own: files and tampering.

use std::fs;
use std::path::PathBuf;

use rusqlite::Connection;
use tempfile::TempDir;

use crate::contract::Opener;
use crate::contract::support::*;
use crate::{Decision, DivergenceKind, ReviewStore, open, open_existing};

struct InMemory;

impl Opener for InMemory {
    fn fresh() -> InMemory {
        InMemory
    }

    fn connect(&self) -> Box<dyn ReviewStore> {
        open("sqlite::memory:", ".".as_ref()).unwrap()
    }
}

struct InFile(TempDir);

impl Opener for InFile {
    fn fresh() -> InFile {
        InFile(TempDir::new().unwrap())
    }

    fn connect(&self) -> Box<dyn ReviewStore> {
        open("sqlite:new/folder/relabel.db", self.0.path()).unwrap()
    }
}

impl InFile {
    fn path(&self) -> PathBuf {
        self.0.path().join("new/folder/relabel.db")
    }

    /// Runs SQL behind the store's back.
    fn tamper(&self, sql: &str) {
        Connection::open(self.path()).unwrap().execute_batch(sql).unwrap();
    }

    fn open_error(&self) -> String {
        match open("sqlite:new/folder/relabel.db", self.0.path()) {
            Ok(_) => "opened".to_owned(),
            Err(error) => error.to_string().replace(&self.path().display().to_string(), "FILE"),
        }
    }

    /// A store with five rows in its ledger, closed.
    fn reviewed() -> InFile {
        let file = InFile::fresh();
        let store = file.connect();
        queue(&*store, "run-a", &items(&["r1", "r2"]));
        for second in 0..5 {
            record(&*store, &[decision("r1", Decision::Keep, second)]);
        }
        file
    }
}

mod in_memory {
    crate::contract::contract_tests!(super::InMemory);
}

mod in_file {
    crate::contract::contract_tests!(super::InFile);
    crate::contract::shared_contract_tests!(super::InFile);
}

#[test]
fn an_absent_store_is_not_made_by_reading() {
    let folder = TempDir::new().unwrap();
    let reading = || open_existing("sqlite:sub/relabel.db", folder.path()).unwrap();
    assert!(reading().is_none());
    assert!(!folder.path().join("sub").exists());
    open("sqlite:sub/relabel.db", folder.path()).unwrap();
    assert!(reading().is_some());
}

#[test]
fn a_file_that_is_no_database() {
    let file = InFile::fresh();
    fs::create_dir_all(file.path().parent().unwrap()).unwrap();
    for contents in ["record_id,label\n".repeat(200), "short".to_owned()] {
        fs::write(file.path(), &contents).unwrap();
        assert_eq!(file.open_error(), "`FILE` is not a database");
        assert_eq!(fs::read_to_string(file.path()).unwrap(), contents);
    }
}

#[test]
fn a_database_of_another_program_stays_as_it_is() {
    let file = InFile::fresh();
    fs::create_dir_all(file.path().parent().unwrap()).unwrap();
    file.tamper("CREATE TABLE songs (title TEXT)");
    let before = fs::read(file.path()).unwrap();
    let message = "`FILE` is a database of another program, not a review store";
    assert_eq!(file.open_error(), message);
    assert_eq!(fs::read(file.path()).unwrap(), before);
}

#[test]
fn a_store_of_a_newer_version() {
    let file = InFile::reviewed();
    file.tamper("PRAGMA user_version = 7");
    assert_eq!(
        file.open_error(),
        "the review store `FILE` has schema version 7, made by a newer version; \
         this version knows up to 3"
    );
}

#[test]
fn a_store_of_version_1_is_brought_up_to_date() {
    let file = InFile::fresh();
    fs::create_dir_all(file.path().parent().unwrap()).unwrap();
    let first = include_str!("../../migrations/sqlite/0001_review_store.sql");
    file.tamper(&format!(
        "{first}
         INSERT INTO texts VALUES ('d', 'a text');
         INSERT INTO batches VALUES (1, '{QUEUE}', 'run-a', 'b', 1);
         INSERT INTO items VALUES ('{QUEUE}', 'r1', 'run-a', 'x', 'x', 'y', 0.9, NULL, 1, '[]', 'd',
                                   '[]', NULL, 'm', NULL, 'c', 1, 0);
         PRAGMA application_id = {};
         PRAGMA user_version = 1;",
        0x726c_626c
    ));
    let store = file.connect();
    let old = store.item(QUEUE, "r1").unwrap().unwrap();
    assert_eq!((old.text.as_str(), old.shown.origin), ("a text", crate::Origin::default()));
    record(&*store, &[decision("r1", Decision::Keep, 0)]);
    assert_eq!(queue(&*store, "run-b", &items(&["r2"])), [1, 0, 0, 0, 0]);
    assert!(store.verify().unwrap().is_intact());
}

#[test]
fn folders_and_files_in_the_wrong_place() {
    let file = InFile::fresh();
    fs::create_dir_all(file.path()).unwrap();
    assert_eq!(file.open_error(), "cannot open the review store `FILE`: it is a folder");
    let file = InFile::fresh();
    fs::write(file.0.path().join("new"), "").unwrap();
    assert!(file.open_error().starts_with("cannot make the folder"));
}

#[test]
fn a_read_only_store_can_be_read() {
    let file = InFile::reviewed();
    // A write version this SQLite does not know makes a file read-only, even for root.
    let mut bytes = fs::read(file.path()).unwrap();
    bytes[18] = 3;
    fs::write(file.path(), bytes).unwrap();
    assert_eq!(file.open_error(), "the review store `FILE` is read-only");
    let store = open_existing("sqlite:new/folder/relabel.db", file.0.path()).unwrap().unwrap();
    assert_eq!(store.current_decisions().unwrap().len(), 1);
    let error = store.record_decisions(&[decision("r2", Decision::Keep, 0)]).unwrap_err();
    assert!(error.to_string().ends_with("is read-only"), "{error}");
}

#[test]
fn a_damaged_file() {
    let file = InFile::reviewed();
    let mut bytes = fs::read(file.path()).unwrap();
    bytes[4096..].fill(0xA5);
    fs::write(file.path(), bytes).unwrap();
    let store = open("sqlite:new/folder/relabel.db", file.0.path());
    let error = store.and_then(|store| store.verify().map(|_| ())).unwrap_err().to_string();
    assert!(error.contains("is damaged"), "{error}");
}

#[test]
fn the_ledger_refuses_change_even_from_outside() {
    let file = InFile::reviewed();
    let connection = Connection::open(file.path()).unwrap();
    let refused = |sql: &str| connection.execute_batch(sql).unwrap_err().to_string();
    assert!(refused("UPDATE ledger SET note = 'x' WHERE seq = 2").contains("no update"));
    assert!(refused("DELETE FROM ledger").contains("no delete"));
    let all = "SELECT * FROM ledger WHERE seq";
    assert!(refused(&format!("INSERT OR REPLACE INTO ledger {all} = 2")).contains("append-only"));
    assert!(refused(&format!("INSERT INTO ledger {all} = 2")).contains("append-only"));
    assert!(file.connect().verify().unwrap().is_intact());
}

#[test]
fn tampering_is_found_and_placed() {
    use DivergenceKind::{HeadMismatch, LinkBroken, RowAltered, RowsMissing};
    for (sql, seq, kind) in [
        ("UPDATE ledger SET final_label = 'x' WHERE seq = 2", 2, RowAltered),
        ("UPDATE ledger SET final_label = NULL WHERE seq = 3", 3, RowAltered),
        ("UPDATE ledger SET reviewed_by = 'bo' WHERE seq = 5", 5, RowAltered),
        ("UPDATE ledger SET review_decision = 'nonsense' WHERE seq = 1", 1, RowAltered),
        ("UPDATE ledger SET supersedes = 9 WHERE seq = 4", 4, RowAltered),
        ("UPDATE ledger SET digest = 'x' WHERE seq = 4", 4, RowAltered),
        ("UPDATE ledger SET previous_digest = digest WHERE seq = 3", 3, LinkBroken),
        ("DELETE FROM ledger WHERE seq = 2", 2, RowsMissing),
        ("DELETE FROM ledger WHERE seq = 1", 1, RowsMissing),
        ("DELETE FROM ledger WHERE seq > 3", 4, RowsMissing),
        ("DELETE FROM ledger", 1, RowsMissing),
        ("UPDATE ledger_head SET seq = 4", 5, HeadMismatch),
        ("UPDATE ledger_head SET digest = 'x'", 5, HeadMismatch),
    ] {
        let file = InFile::reviewed();
        file.tamper("DROP TRIGGER ledger_has_no_update; DROP TRIGGER ledger_has_no_delete");
        file.tamper(sql);
        let report = file.connect().verify().unwrap();
        let divergence = report.divergence.expect(sql);
        assert_eq!((divergence.seq, divergence.kind), (seq, kind), "{sql}");
        assert_ne!(divergence.expected, divergence.found, "{sql}");
        assert!(report.rows < 6);
    }
}

#[test]
fn a_row_made_anew_with_its_digest_breaks_the_next_link() {
    let file = InFile::reviewed();
    let mut row = file.connect().ledger().unwrap().remove(1);
    row.reviewed_by = "mallory".to_owned();
    let head = crate::LedgerHead { seq: 1, digest: row.previous_digest.clone() };
    let forged = row.chained(&head);
    file.tamper("DROP TRIGGER ledger_has_no_update");
    let sql = "UPDATE ledger SET reviewed_by = 'mallory', digest = ?1 WHERE seq = 2";
    Connection::open(file.path()).unwrap().execute(sql, [&forged.digest]).unwrap();
    let divergence = file.connect().verify().unwrap().divergence.unwrap();
    assert_eq!((divergence.seq, divergence.kind), (3, DivergenceKind::LinkBroken));
    assert_eq!(divergence.expected, forged.digest);
}

#[test]
fn an_unknown_decision_in_the_ledger_is_damage() {
    let file = InFile::reviewed();
    file.tamper("DROP TRIGGER ledger_has_no_update");
    file.tamper("UPDATE ledger SET review_decision = 'nonsense' WHERE seq = 1");
    let error = file.connect().current_decisions().unwrap_err().to_string();
    assert!(error.ends_with("is damaged: ledger row 1 has the decision `nonsense`"), "{error}");
}

#[test]
fn a_writer_that_dies_leaves_nothing_behind() {
    let file = InFile::reviewed();
    let dying = Connection::open(file.path()).unwrap();
    dying
        .execute_batch(
            "BEGIN IMMEDIATE;
             UPDATE items SET withdrawn = 1;
             DELETE FROM batches WHERE 0;
             INSERT INTO ledger SELECT 6, (SELECT digest FROM ledger WHERE seq = 5), 'x', 'k',
                 queue, record_id, audit_run_id, original_label, given_label, proposed_label,
                 review_decision, final_label, reviewed_by, reviewed_at, model_version, note,
                 text_digest, shown, supersedes FROM ledger WHERE seq = 1",
        )
        .unwrap();
    drop(dying);
    let store = file.connect();
    assert_eq!(store.ledger_head().unwrap().seq, 5);
    assert_eq!(open_ids(&*store), ["r2"]);
    assert!(store.verify().unwrap().is_intact());
}

#[test]
fn a_half_made_store_is_finished() {
    let file = InFile::fresh();
    fs::create_dir_all(file.path().parent().unwrap()).unwrap();
    fs::write(file.path(), "").unwrap();
    assert_eq!(queue(&*file.connect(), "run-a", &items(&["r1"])), [1, 0, 0, 0, 0]);
}

#[test]
fn a_batch_is_not_held_when_its_target_was_replaced() {
    let file = InFile::fresh();
    let batch = items(&["r1", "r2"]);
    let digest = file.connect().queue_items(QUEUE, "run-a", &batch).unwrap().batch_digest;
    file.tamper("DELETE FROM items WHERE record_id = 'r2'");
    assert!(!file.connect().holds_batch(QUEUE, &digest).unwrap());
    assert_eq!(queue(&*file.connect(), "run-a", &batch), [1, 0, 1, 0, 0]);
    assert!(file.connect().holds_batch(QUEUE, &digest).unwrap());
    fs::remove_file(file.path()).unwrap();
    assert!(!file.connect().holds_batch(QUEUE, &digest).unwrap());
}

#[test]
fn texts_stay_readable_when_a_record_changes() {
    let file = InFile::reviewed();
    let edited = crate::NewItem { text: "edited".to_owned(), ..item("r1") };
    queue(&*file.connect(), "run-b", &[edited]);
    let sql = "SELECT text FROM ledger JOIN texts USING (text_digest) WHERE seq = 1";
    let connection = Connection::open(file.path()).unwrap();
    let text: String = connection.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(text, "text of r1");
}

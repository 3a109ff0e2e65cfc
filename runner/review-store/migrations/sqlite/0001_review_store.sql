-- The review store, version 1. Migrations are added, never edited.

-- Texts by digest: what a reviewer was shown stays readable when the record's text changes.
CREATE TABLE texts (
    text_digest TEXT NOT NULL PRIMARY KEY,
    text        TEXT NOT NULL
) STRICT;

-- Each change of what a queue asks for; the last one of a queue holds.
CREATE TABLE batches (
    batch_seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    queue        TEXT NOT NULL,
    audit_run_id TEXT NOT NULL,
    batch_digest TEXT NOT NULL,
    -- How many items of the batch are in `items`.
    items        INTEGER NOT NULL
) STRICT;
CREATE INDEX batches_by_queue ON batches (queue, batch_seq);

CREATE TABLE items (
    queue                 TEXT NOT NULL,
    record_id             TEXT NOT NULL,
    audit_run_id          TEXT NOT NULL,
    original_label        TEXT NOT NULL,
    given_label           TEXT NOT NULL,
    proposed_label        TEXT NOT NULL,
    prediction_confidence REAL NOT NULL,
    given_confidence      REAL,
    rank                  INTEGER NOT NULL,
    reasons               TEXT NOT NULL, -- JSON: [reason]
    text_digest           TEXT NOT NULL REFERENCES texts,
    categories            TEXT NOT NULL, -- JSON: [[category, probability]]
    fold_id               INTEGER,
    model_version         TEXT NOT NULL,
    taxonomy_version      TEXT,
    content_digest        TEXT NOT NULL,
    -- The last batch that asked for it.
    batch_seq             INTEGER NOT NULL REFERENCES batches,
    withdrawn             INTEGER NOT NULL DEFAULT 0 CHECK (withdrawn IN (0, 1)),
    PRIMARY KEY (queue, record_id)
) STRICT;
CREATE INDEX items_by_record ON items (record_id);
CREATE INDEX items_by_rank ON items (queue, rank, record_id);

-- Append-only. A row stands for itself: nothing refers to items, which may change.
CREATE TABLE ledger (
    seq             INTEGER PRIMARY KEY,
    previous_digest TEXT NOT NULL,
    digest          TEXT NOT NULL,
    idempotency_key TEXT NOT NULL UNIQUE,
    queue           TEXT NOT NULL,
    record_id       TEXT NOT NULL,
    audit_run_id    TEXT NOT NULL,
    original_label  TEXT NOT NULL,
    given_label     TEXT NOT NULL,
    proposed_label  TEXT NOT NULL,
    review_decision TEXT NOT NULL,
    final_label     TEXT,
    reviewed_by     TEXT NOT NULL,
    reviewed_at     TEXT NOT NULL, -- RFC 3339, UTC
    model_version   TEXT NOT NULL,
    note            TEXT,
    text_digest     TEXT NOT NULL,
    shown           TEXT NOT NULL, -- JSON
    supersedes      INTEGER
) STRICT;
CREATE INDEX ledger_by_record ON ledger (record_id, seq);

-- The end of the ledger, kept apart from it, so that a ledger cut short is noticed.
CREATE TABLE ledger_head (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    seq      INTEGER NOT NULL,
    digest   TEXT NOT NULL
) STRICT;
INSERT INTO ledger_head VALUES
    (1, 0, '0000000000000000000000000000000000000000000000000000000000000000');

-- Also stops INSERT OR REPLACE, which would delete without asking the trigger on DELETE.
CREATE TRIGGER ledger_appends_at_its_end BEFORE INSERT ON ledger
WHEN NOT EXISTS (
    SELECT 1 FROM ledger_head WHERE seq = NEW.seq - 1 AND digest = NEW.previous_digest
) OR EXISTS (
    SELECT 1 FROM ledger WHERE seq = NEW.seq OR idempotency_key = NEW.idempotency_key
)
BEGIN
    SELECT RAISE(ABORT, 'the ledger is append-only: the row does not follow its last row');
END;

CREATE TRIGGER ledger_moves_its_head AFTER INSERT ON ledger
BEGIN
    UPDATE ledger_head SET seq = NEW.seq, digest = NEW.digest;
END;

CREATE TRIGGER ledger_has_no_update BEFORE UPDATE ON ledger
BEGIN
    SELECT RAISE(ABORT, 'the ledger is append-only: no update');
END;

CREATE TRIGGER ledger_has_no_delete BEFORE DELETE ON ledger
BEGIN
    SELECT RAISE(ABORT, 'the ledger is append-only: no delete');
END;

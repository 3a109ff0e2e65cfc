//! Decisions as CSV: what `review import` reads and `review export` writes.
//!
//! Reading needs the columns `record_id`, `review_decision`, `reviewed_by` and `reviewed_at`, in
//! any order, and takes `final_label`, `note`, `queue` and `text_digest` if they are there. It
//! knows no store: whether a record was queued is found out when the decisions are recorded.

use std::fmt;
use std::io::{Read, Write};

use ::csv::{ByteRecord, ReaderBuilder, StringRecord, Writer};

use crate::decision::{DecisionProblem, NewDecision, UnknownDecision};
use crate::ledger::{LedgerRow, current_rows};
use crate::store::{ReviewStore, StoreError};

const REQUIRED: [&str; 4] = ["record_id", "review_decision", "reviewed_by", "reviewed_at"];

/// What reading looks at; exported files have more.
const READ: [&str; 8] = [
    "record_id",
    "review_decision",
    "final_label",
    "reviewed_by",
    "reviewed_at",
    "note",
    "queue",
    "text_digest",
];

const WRITTEN: [&str; 15] = [
    "record_id",
    "review_decision",
    "final_label",
    "reviewed_by",
    "reviewed_at",
    "note",
    "queue",
    "text_digest",
    "original_label",
    "given_label",
    "proposed_label",
    "audit_run_id",
    "model_version",
    "decision_seq",
    "supersedes",
];

/// The decisions of a CSV file, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionCsv {
    pub decisions: Vec<NewDecision>,
    /// Columns of the file that mean nothing here.
    pub ignored_columns: Vec<String>,
}

/// Which rows of the ledger to export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExportScope {
    /// The decision in effect on each record.
    #[default]
    Current,
    /// Every row, those taken back or replaced too.
    History,
}

/// Reads decisions, or tells everything that is wrong with the file at once.
pub fn read_decisions(reader: impl Read) -> Result<DecisionCsv, CsvErrors> {
    // Rows of another length are told with the rest, so the parser must let them through.
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(reader);
    let mut record = ByteRecord::new();
    let mut header = None;
    let mut decisions = Vec::new();
    let mut errors = Vec::new();
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(false) => break,
            Ok(true) => {}
            Err(error) => {
                let problem = CsvProblem::Read { problem: error.to_string() };
                errors.push(LineProblem { line: reader.position().line(), problem });
                break;
            }
        }
        let line = record.position().map_or(0, |position| position.line());
        let mut report = |problem| errors.push(LineProblem { line, problem });
        let Ok(text) = StringRecord::from_byte_record(record.clone()) else {
            report(CsvProblem::NotUtf8);
            continue;
        };
        match &header {
            None => match Header::read(&text) {
                Ok(found) => header = Some(found),
                Err(problems) => {
                    problems.into_iter().for_each(report);
                    return Err(CsvErrors(errors));
                }
            },
            Some(header) => match header.decision(&text, line) {
                Ok(decision) => decisions.push(decision),
                Err(problems) => problems.into_iter().for_each(report),
            },
        }
    }
    match header {
        _ if !errors.is_empty() => Err(CsvErrors(errors)),
        Some(header) => Ok(DecisionCsv { decisions, ignored_columns: header.ignored() }),
        None => Err(CsvErrors(vec![LineProblem { line: 1, problem: CsvProblem::Empty }])),
    }
}

/// Writes the chosen part of a store's ledger, in its order, and returns the count of rows.
pub fn export_decisions(
    store: &dyn ReviewStore,
    scope: ExportScope,
    writer: impl Write,
) -> Result<u64, CsvExportError> {
    let ledger = store.ledger()?;
    let mut rows: Vec<&LedgerRow> = match scope {
        ExportScope::Current => current_rows(&ledger),
        ExportScope::History => ledger.iter().collect(),
    };
    rows.sort_unstable_by_key(|row| row.seq);
    write_decisions(writer, rows)
}

/// Writes ledger rows, and returns their count.
pub fn write_decisions<'a>(
    writer: impl Write,
    rows: impl IntoIterator<Item = &'a LedgerRow>,
) -> Result<u64, CsvExportError> {
    let mut writer = Writer::from_writer(writer);
    writer.write_record(WRITTEN)?;
    let mut count = 0;
    for row in rows {
        let supersedes = row.supersedes.map(|seq| seq.to_string()).unwrap_or_default();
        writer.write_record([
            &row.record_id,
            row.decision.name(),
            row.final_label.as_deref().unwrap_or_default(),
            &row.reviewed_by,
            &row.reviewed_at,
            row.note.as_deref().unwrap_or_default(),
            &row.queue,
            &row.text_digest,
            &row.original_label,
            &row.given_label,
            &row.proposed_label,
            &row.audit_run_id,
            &row.model_version,
            &row.seq.to_string(),
            &supersedes,
        ])?;
        count += 1;
    }
    writer.flush().map_err(::csv::Error::from)?;
    Ok(count)
}

/// The columns of a file, by name.
struct Header(Vec<String>);

impl Header {
    fn read(record: &StringRecord) -> Result<Header, Vec<CsvProblem>> {
        let names: Vec<String> = record.iter().map(|name| name.trim().to_owned()).collect();
        let mut problems = Vec::new();
        for name in READ {
            let times = names.iter().filter(|known| *known == name).count();
            if times > 1 {
                problems.push(CsvProblem::RepeatedColumn { name: name.to_owned() });
            } else if times == 0 && REQUIRED.contains(&name) {
                let found = names.clone();
                problems.push(CsvProblem::MissingColumn { name: name.to_owned(), found });
            }
        }
        if problems.is_empty() { Ok(Header(names)) } else { Err(problems) }
    }

    fn ignored(self) -> Vec<String> {
        self.0.into_iter().filter(|name| !READ.contains(&name.as_str())).collect()
    }

    fn decision(&self, record: &StringRecord, line: u64) -> Result<NewDecision, Vec<CsvProblem>> {
        if record.len() != self.0.len() {
            let (found, expected) = (record.len(), self.0.len());
            return Err(vec![CsvProblem::FieldCount { found, expected }]);
        }
        let field = |name: &str| {
            let index = self.0.iter().position(|known| known == name);
            index.and_then(|index| record.get(index)).unwrap_or_default()
        };
        let optional = |name| Some(field(name).to_owned()).filter(|value| !value.is_empty());
        let problem_of = |new: &NewDecision| new.normalised().err().map(CsvProblem::Decision);

        let decision = field("review_decision").parse();
        let new = NewDecision {
            line: Some(line),
            record_id: field("record_id").to_owned(),
            // Any other will do to check the rest of the row with.
            decision: decision.clone().unwrap_or(crate::Decision::Unsure),
            final_label: optional("final_label"),
            reviewed_by: field("reviewed_by").to_owned(),
            reviewed_at: field("reviewed_at").to_owned(),
            note: optional("note"),
            queue: optional("queue"),
            text_digest: optional("text_digest"),
            supersedes: None,
        };
        let problems: Vec<CsvProblem> = decision
            .err()
            .map(CsvProblem::UnknownDecision)
            .into_iter()
            .chain(problem_of(&new))
            .collect();
        if !problems.is_empty() {
            return Err(problems);
        }
        new.normalised().map_err(|problem| vec![CsvProblem::Decision(problem)])
    }
}

/// What can be wrong with a CSV file of decisions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CsvProblem {
    #[error("the file is empty; it needs a header with `{}`", REQUIRED.join("`, `"))]
    Empty,
    #[error("cannot read on: {problem}")]
    Read { problem: String },
    #[error("there is no column `{name}`; the header has `{}`", .found.join("`, `"))]
    MissingColumn { name: String, found: Vec<String> },
    #[error("the column `{name}` is there more than once")]
    RepeatedColumn { name: String },
    #[error("the row has {found} fields, the header {expected}")]
    FieldCount { found: usize, expected: usize },
    #[error("the row is not UTF-8")]
    NotUtf8,
    #[error(transparent)]
    UnknownDecision(UnknownDecision),
    #[error(transparent)]
    Decision(DecisionProblem),
}

/// A problem and the line it starts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineProblem {
    pub line: u64,
    pub problem: CsvProblem,
}

/// Everything that is wrong with a CSV file, by line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvErrors(pub Vec<LineProblem>);

impl fmt::Display for CsvErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, LineProblem { line, problem }) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}line {line}: {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for CsvErrors {}

/// Why an export failed.
#[derive(Debug, thiserror::Error)]
pub enum CsvExportError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot write the decisions")]
    Write(#[from] ::csv::Error),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::Decision;

    fn read(text: &str) -> DecisionCsv {
        read_decisions(text.as_bytes()).unwrap()
    }

    fn errors(bytes: impl AsRef<[u8]>) -> String {
        read_decisions(bytes.as_ref()).unwrap_err().to_string()
    }

    const HEADER: &str = "record_id,review_decision,final_label,reviewed_by,reviewed_at,note\n";

    #[test]
    fn a_plain_file() {
        let text = format!(
            "{HEADER}r1,accept,,ann,2025-01-31T10:30:00+01:00,\nr2,other,fees,bo,2025-01-31T09:31:00Z,\"so, \"\"well\"\"\"\n"
        );
        let csv = read(&text);
        assert!(csv.ignored_columns.is_empty());
        let first = NewDecision {
            line: Some(2),
            ..NewDecision::new("r1", Decision::Accept, "ann", "2025-01-31T09:30:00Z")
        };
        assert_eq!(csv.decisions[0], first);
        assert_eq!(csv.decisions[1].note.as_deref(), Some("so, \"well\""));
        assert_eq!(csv.decisions[1].final_label.as_deref(), Some("fees"));
    }

    #[test]
    fn order_of_columns_bom_crlf_and_extra_columns() {
        let text = "\u{feff}reviewed_at, reviewed_by ,mood,review_decision,record_id\r\n\
                    2025-01-31T09:30:00Z,ann,good,Keep,r1\r\n\r\n";
        let csv = read(text);
        assert_eq!(csv.ignored_columns, ["mood"]);
        assert_eq!(csv.decisions.len(), 1);
        assert_eq!(csv.decisions[0].decision, Decision::Keep);
    }

    #[test]
    fn every_error_with_its_line() {
        let text = format!(
            "{HEADER}r1,acept,,ann,2025-01-31T09:30:00Z,\n\
             r2,keep,,,2025-01-31T09:30:00Z,\"two\nlines\"\n\
             r3,keep,,ann,yesterday,\n\
             r4,nope,,ann,today,\n\
             r5,keep\n\
             ,keep,,ann,2025-01-31T09:30:00Z,\n"
        );
        let errors = errors(text);
        let lines: Vec<&str> = errors.lines().collect();
        assert_eq!(lines[0], "line 2: unknown decision `acept`; did you mean `accept`?");
        assert_eq!(lines[1], "line 3: `reviewed_by` is empty");
        assert!(lines[2].starts_with("line 5: `reviewed_at` is `yesterday`"));
        assert!(lines[3].starts_with("line 6: unknown decision `nope`"));
        assert!(lines[4].starts_with("line 6: `reviewed_at` is `today`"));
        assert_eq!(lines[5], "line 7: the row has 2 fields, the header 6");
        assert_eq!(lines[6], "line 8: the record id is empty");
        assert_eq!(lines.len(), 7);
    }

    #[test]
    fn headers_that_cannot_work() {
        assert!(errors("").starts_with("line 1: the file is empty"));
        let missing = errors("record_id;review_decision\nr1;keep\n");
        assert!(
            missing.contains("no column `record_id`; the header has `record_id;review_decision`")
        );
        assert_eq!(missing.lines().count(), 4);
        let twice = errors("record_id,record_id,review_decision,reviewed_by,reviewed_at\n");
        assert_eq!(twice, "line 1: the column `record_id` is there more than once");
    }

    #[test]
    fn a_row_that_is_not_utf8() {
        let mut bytes = format!("{HEADER}r1,keep,,").into_bytes();
        bytes.extend(b"\xff,2025-01-31T09:30:00Z,\n");
        assert_eq!(errors(bytes), "line 2: the row is not UTF-8");
    }

    #[test]
    fn a_header_alone_is_no_decision() {
        assert!(read(HEADER).decisions.is_empty());
    }
}

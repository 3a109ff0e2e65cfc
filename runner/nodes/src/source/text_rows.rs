//! CSV, TSV and JSON lines: row by row, with the line number of every row that cannot be read.

use std::collections::HashMap;
use std::io::{BufRead, Read};
use std::path::Path;

use csv::{ByteRecord, ReaderBuilder};
use engine::NodeError;
use polars::prelude::*;
use serde_json::Value;

use super::BadRow;
use super::bytes::{Stream, failed};

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Longest piece of a bad row that is kept to show.
const RAW_CHARS: usize = 500;
/// Rows that memory is taken for before they are read.
const MOST_EXPECTED: usize = 10_000_000;

fn rows_of<R: Read>(reader: R, delimiter: u8) -> csv::Reader<R> {
    // Flexible, so that a row of the wrong length is ours to report and not the end of reading.
    ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(reader)
}

/// The names in the first row of a file, given its first bytes.
pub(super) fn header(bytes: &[u8], delimiter: u8, file: &str) -> Result<Vec<String>, NodeError> {
    let bytes = bytes.strip_prefix(BOM).unwrap_or(bytes);
    let unreadable = |error: &csv::Error| unreadable(file, error);
    names(&mut rows_of(bytes, delimiter), file, &unreadable)
}

fn names<R: Read>(
    rows: &mut csv::Reader<R>,
    file: &str,
    unreadable: &dyn Fn(&csv::Error) -> NodeError,
) -> Result<Vec<String>, NodeError> {
    let header = rows.byte_headers().map_err(|error| unreadable(&error))?;
    if header.is_empty() {
        return Err(empty(file));
    }
    let mut names: Vec<String> = Vec::with_capacity(header.len());
    for (n, field) in header.iter().enumerate() {
        let name = std::str::from_utf8(field)
            .map_err(|_| NodeError::input(format!("{file}:1: column {} is not UTF-8", n + 1)))?;
        let name = name.trim().to_owned();
        if name.is_empty() {
            return Err(NodeError::input(format!("{file}:1: column {} has no name", n + 1))
                .with_hint("the first row must name the columns"));
        }
        if names.contains(&name) {
            return Err(NodeError::input(format!("{file}:1: two columns are named `{name}`")));
        }
        names.push(name);
    }
    Ok(names)
}

pub(super) fn empty(file: &str) -> NodeError {
    NodeError::input(format!("`{file}` is empty"))
        .with_hint("a file with a header and at least one record is needed")
}

fn unreadable(file: &str, error: &csv::Error) -> NodeError {
    NodeError::input(format!("`{file}` cannot be read: {error}"))
}

/// Reads a file row by row, with a piece of it in memory beside its rows.
pub(super) fn read_delimited_file(
    path: &Path,
    delimiter: u8,
    file: &str,
) -> Result<(DataFrame, Vec<BadRow>), NodeError> {
    let Stream { mut reader, length } = Stream::open(path)?;
    let start = reader.fill_buf().map_err(|error| failed(path, length, &error))?;
    let (read, lines) = (start.len(), start.iter().filter(|byte| **byte == b'\n').count());
    let all = |length: u64| (length as f64 / read.max(1) as f64 * (lines + 1) as f64) as usize;
    let rows = length.map(all);
    if start.starts_with(BOM) {
        reader.consume(BOM.len());
    }
    let unreadable = |error: &csv::Error| match error.kind() {
        csv::ErrorKind::Io(error) => failed(path, length, error),
        _ => unreadable(file, error),
    };
    read_rows(&mut rows_of(reader, delimiter), delimiter, file, rows, &unreadable)
}

pub(super) fn read_delimited(
    bytes: &[u8],
    delimiter: u8,
    file: &str,
) -> Result<(DataFrame, Vec<BadRow>), NodeError> {
    let bytes = bytes.strip_prefix(BOM).unwrap_or(bytes);
    let unreadable = |error: &csv::Error| unreadable(file, error);
    read_rows(&mut rows_of(bytes, delimiter), delimiter, file, None, &unreadable)
}

/// `expected` is about how many rows there are: memory that grows is taken several times.
fn read_rows<R: Read>(
    rows: &mut csv::Reader<R>,
    delimiter: u8,
    file: &str,
    expected: Option<usize>,
    unreadable: &dyn Fn(&csv::Error) -> NodeError,
) -> Result<(DataFrame, Vec<BadRow>), NodeError> {
    let names = names(rows, file, unreadable)?;
    let room = expected.unwrap_or_default().clamp(1 << 10, MOST_EXPECTED);
    let mut builders: Vec<StringChunkedBuilder> =
        names.iter().map(|name| StringChunkedBuilder::new(name.as_str().into(), room)).collect();
    let mut bad = Vec::new();
    let mut record = ByteRecord::new();
    while rows.read_byte_record(&mut record).map_err(|error| unreadable(&error))? {
        let line = record.position().map_or(0, csv::Position::line);
        match problem(&record, names.len()) {
            None => {
                for (field, builder) in record.iter().zip(&mut builders) {
                    // `problem` has looked at the encoding of every field.
                    builder.append_value(std::str::from_utf8(field).unwrap_or_default());
                }
            }
            Some(reason) => {
                bad.push(BadRow {
                    file: file.to_owned(),
                    line,
                    reason,
                    raw: raw(&record, delimiter),
                });
            }
        }
    }
    let columns =
        builders.into_iter().map(|builder| builder.finish().into_series().into_column()).collect();
    Ok((crate::columns::frame(columns)?, bad))
}

fn problem(record: &ByteRecord, wanted: usize) -> Option<String> {
    if record.len() != wanted {
        let mut reason = format!("{} fields where the header has {wanted}", record.len());
        if record.iter().any(|field| field.contains(&b'\n')) {
            reason.push_str("; a quote may not be closed");
        }
        return Some(reason);
    }
    let bad = record.iter().position(|field| std::str::from_utf8(field).is_err())?;
    Some(format!("field {} is not UTF-8", bad + 1))
}

fn raw(record: &ByteRecord, delimiter: u8) -> String {
    let fields: Vec<String> =
        record.iter().map(|field| String::from_utf8_lossy(field).into_owned()).collect();
    let text = fields.join(&char::from(delimiter).to_string());
    text.chars().take(RAW_CHARS).collect()
}

/// The keys of the first object.
pub(super) fn first_keys(bytes: &[u8], file: &str) -> Result<Vec<String>, NodeError> {
    let text = bytes.strip_prefix(BOM).unwrap_or(bytes);
    let line = text.split(|byte| *byte == b'\n').find(|line| !line.trim_ascii().is_empty());
    let line = line.ok_or_else(|| empty(file))?;
    match serde_json::from_slice::<Value>(line) {
        Ok(Value::Object(map)) => Ok(map.keys().cloned().collect()),
        // Left to the run, which says which line; a quarantine may be wanted.
        _ => Ok(Vec::new()),
    }
}

pub(super) fn read_jsonl(bytes: &[u8], file: &str) -> Result<(DataFrame, Vec<BadRow>), NodeError> {
    let text = bytes.strip_prefix(BOM).unwrap_or(bytes);
    let mut names: Vec<String> = Vec::new();
    let mut place: HashMap<String, usize> = HashMap::new();
    let mut columns: Vec<Vec<Option<String>>> = Vec::new();
    let mut bad = Vec::new();
    let mut rows = 0;
    for (n, line) in text.split(|byte| *byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let map = match serde_json::from_slice::<Value>(line) {
            Ok(Value::Object(map)) => map,
            other => {
                let reason = match other {
                    Ok(_) => "not a JSON object".to_owned(),
                    Err(error) => format!("not JSON: {error}"),
                };
                let raw = String::from_utf8_lossy(line).chars().take(RAW_CHARS).collect();
                bad.push(BadRow { file: file.to_owned(), line: n as u64 + 1, reason, raw });
                continue;
            }
        };
        for (name, value) in map {
            let column = *place.entry(name).or_insert_with_key(|name| {
                names.push(name.clone());
                columns.push(vec![None; rows]);
                columns.len() - 1
            });
            columns[column].push(match value {
                Value::Null => None,
                Value::String(text) => Some(text),
                other => Some(other.to_string()),
            });
        }
        rows += 1;
        for column in &mut columns {
            column.resize(rows, None);
        }
    }
    let columns = names
        .iter()
        .zip(&columns)
        .map(|(name, values)| {
            crate::columns::string_column(name, values.iter().map(Option::as_deref))
        })
        .collect();
    Ok((crate::columns::frame(columns)?, bad))
}

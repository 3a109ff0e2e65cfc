//! From bytes to a table of the file's own columns, and from there to the columns that come out.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;

use engine::NodeError;
use plan::ColumnType;
use polars::prelude::*;
use polars_io::SerReader;
use polars_io::ipc::IpcReader;
use polars_io::mmap::MmapBytesReader;
use polars_io::parquet::read::ParquetReader;

use super::bytes::{Format, plain_file, read_bytes, read_start};
use super::text_rows::{empty, read_delimited, read_delimited_file, read_jsonl};
use super::{BadRow, ColumnNames, ExtraType};
use crate::columns::{column_type, data_type};

/// Enough of a file to hold its header or its first record.
const PEEK_BYTES: u64 = 1 << 18;

fn delimiter(format: Format) -> u8 {
    if format == Format::Tsv { b'\t' } else { b',' }
}

/// The file's columns without reading its rows; true if more may come with the rows.
pub(crate) fn peek(
    file: &Path,
    format: Format,
) -> Result<(Vec<(String, ColumnType)>, bool), NodeError> {
    let name = file.display().to_string();
    match format {
        Format::Csv | Format::Tsv => {
            let start = read_start(file, PEEK_BYTES)?;
            let header = super::text_rows::header(&start, delimiter(format), &name)?;
            Ok((header.into_iter().map(|name| (name, ColumnType::String)).collect(), false))
        }
        Format::Jsonl => {
            let start = read_start(file, PEEK_BYTES)?;
            let names = super::text_rows::first_keys(&start, &name)?;
            Ok((names.into_iter().map(|name| (name, ColumnType::String)).collect(), true))
        }
        Format::Parquet | Format::Arrow => {
            let frame = match plain_file(file)? {
                Some(plain) => columnar(plain, format, &name, Some(0))?,
                None => columnar(Cursor::new(read_bytes(file)?), format, &name, Some(0))?,
            };
            let columns = frame.columns().iter();
            let types = columns
                .map(|column| (column.name().to_string(), column_type(column.dtype())))
                .collect();
            Ok((types, false))
        }
    }
}

/// All rows of a file; rows that cannot be read are apart.
pub(super) fn read_file(
    file: &Path,
    format: Format,
    name: &str,
) -> Result<(DataFrame, Vec<BadRow>), NodeError> {
    if matches!(format, Format::Csv | Format::Tsv) {
        return read_delimited_file(file, delimiter(format), name);
    }
    let bytes = read_bytes(file)?;
    if bytes.is_empty() { Err(empty(name)) } else { read(&bytes, format, name) }
}

/// All rows of a file's bytes.
pub(crate) fn read(
    bytes: &[u8],
    format: Format,
    name: &str,
) -> Result<(DataFrame, Vec<BadRow>), NodeError> {
    match format {
        Format::Csv | Format::Tsv => read_delimited(bytes, delimiter(format), name),
        Format::Jsonl => read_jsonl(bytes, name),
        Format::Parquet | Format::Arrow => {
            Ok((columnar(Cursor::new(bytes), format, name, None)?, Vec::new()))
        }
    }
}

fn columnar<R: MmapBytesReader>(
    file: R,
    format: Format,
    name: &str,
    rows: Option<usize>,
) -> Result<DataFrame, NodeError> {
    let result = match format {
        Format::Parquet => ParquetReader::new(file).with_slice(rows.map(|rows| (0, rows))).finish(),
        _ => IpcReader::new(file).with_n_rows(rows).finish(),
    };
    result.map_err(|error| NodeError::input(format!("`{name}` cannot be read: {error}")))
}

/// Puts record_id, text and label in front under those names and types the others.
pub(super) fn shape(
    table: DataFrame,
    names: &ColumnNames,
    types: &BTreeMap<String, ExtraType>,
    file: &str,
) -> Result<DataFrame, NodeError> {
    let mut columns = Vec::with_capacity(table.width());
    let roles = [(&names.id, "record_id"), (&names.text, "text"), (&names.label, "label")];
    for (wanted, role) in roles {
        let column = table.column(wanted).map_err(|_| {
            let there: Vec<String> =
                table.columns().iter().map(|column| column.name().to_string()).collect();
            NodeError::input(format!("`{file}` has no column `{wanted}`"))
                .with_hint(format!("columns there: `{}`", there.join("`, `")))
        })?;
        let mut column = column.cast(&DataType::String).map_err(|error| {
            NodeError::input(format!("column `{wanted}` of `{file}` is no text: {error}"))
        })?;
        if role == "label" {
            column = blank_to_null(&column)?;
        }
        columns.push(column.with_name(role.into()));
    }
    let mapped = [&names.id, &names.text, &names.label];
    for column in table.columns() {
        let name = column.name().as_str();
        if mapped.iter().any(|mapped| *mapped == name) {
            continue;
        }
        columns.push(match types.get(name) {
            Some(wanted) => typed(column, *wanted, file)?,
            None => column.clone(),
        });
    }
    crate::columns::frame(columns)
}

/// A label of blanks is no label; blanks around a label are not part of it.
fn blank_to_null(column: &Column) -> Result<Column, NodeError> {
    let labels = column.str()?;
    let is_bare = |label: &str| !label.is_empty() && label.trim().len() == label.len();
    if labels.iter().flatten().all(is_bare) {
        return Ok(column.clone());
    }
    let labels: StringChunked =
        labels.iter().map(|label| label.map(str::trim).filter(|label| !label.is_empty())).collect();
    Ok(labels.with_name(column.name().clone()).into_series().into_column())
}

/// A column of texts as another type; an empty text is null, anything else must convert.
fn typed(column: &Column, wanted: ExtraType, file: &str) -> Result<Column, NodeError> {
    let wanted_type = data_type(wanted.column_type());
    if column.dtype() == &wanted_type {
        return Ok(column.clone());
    }
    let texts = column.cast(&DataType::String)?;
    let blank = blank_to_null(&texts)?;
    let converted = match wanted {
        ExtraType::Boolean => booleans(&blank)?,
        ExtraType::Date => dates(&blank)?,
        _ => blank.cast(&wanted_type)?,
    };
    let before = blank.is_not_null();
    let lost = converted.is_null() & before;
    if let Some(row) = lost.iter().position(|lost| lost == Some(true)) {
        let value = blank.str()?.get(row).unwrap_or_default().to_owned();
        let message = format!(
            "column `{}` of `{file}`: `{value}` in record {} is no {}",
            column.name(),
            row + 1,
            wanted.column_type()
        );
        return Err(NodeError::input(message).with_hint("mend the value or the type in `types`"));
    }
    Ok(converted)
}

fn booleans(column: &Column) -> Result<Column, NodeError> {
    let values: BooleanChunked = column
        .str()?
        .iter()
        .map(|value| match value?.to_lowercase().as_str() {
            "true" | "yes" | "1" => Some(true),
            "false" | "no" | "0" => Some(false),
            _ => None,
        })
        .collect();
    Ok(values.with_name(column.name().clone()).into_series().into_column())
}

/// `YYYY-MM-DD` as days since 1970-01-01.
fn dates(column: &Column) -> Result<Column, NodeError> {
    let epoch = jiff::civil::date(1970, 1, 1);
    let days: Int32Chunked = column
        .str()?
        .iter()
        .map(|value| {
            let date: jiff::civil::Date = value?.parse().ok()?;
            Some(date.since((jiff::Unit::Day, epoch)).ok()?.get_days())
        })
        .collect();
    let series = days.with_name(column.name().clone()).into_series();
    Ok(series.cast(&DataType::Date)?.into_column())
}

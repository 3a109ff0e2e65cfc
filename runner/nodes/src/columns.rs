//! Columns by name and type, with the messages a missing one deserves; and small builders.

use engine::NodeError;
use plan::{Accepts, ColumnType, InputPort};
use polars::prelude::*;

pub(crate) const STRING: &[ColumnType] = &[ColumnType::String];
pub(crate) const INTEGER: &[ColumnType] = &[ColumnType::Integer];
pub(crate) const FLOAT: &[ColumnType] = &[ColumnType::Float];

/// An input port that takes one frame with these columns.
pub(crate) fn frame_port(
    name: &'static str,
    summary: &'static str,
    columns: &[(&'static str, &'static [ColumnType])],
) -> InputPort {
    InputPort::one(name, Accepts::Frame(columns.to_vec()), summary)
}

fn column<'a>(frame: &'a DataFrame, name: &str) -> Result<&'a Series, NodeError> {
    match frame.column(name) {
        Ok(column) => Ok(column.as_materialized_series()),
        Err(_) => Err(NodeError::input(format!("column `{name}` is missing"))),
    }
}

fn wrong_type(name: &str, wanted: &str, found: &DataType) -> NodeError {
    NodeError::input(format!("column `{name}` must be of type {wanted}, it is {found}"))
}

pub(crate) fn strings<'a>(
    frame: &'a DataFrame,
    name: &str,
) -> Result<&'a StringChunked, NodeError> {
    let series = column(frame, name)?;
    series.str().map_err(|_| wrong_type(name, "string", series.dtype()))
}

pub(crate) fn booleans<'a>(
    frame: &'a DataFrame,
    name: &str,
) -> Result<&'a BooleanChunked, NodeError> {
    let series = column(frame, name)?;
    series.bool().map_err(|_| wrong_type(name, "boolean", series.dtype()))
}

/// Names of columns, for `Node::reads`.
pub(crate) fn named(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// A numeric column as doubles; a null is NaN.
pub(crate) fn floats(frame: &DataFrame, name: &str) -> Result<Vec<f64>, NodeError> {
    let series = column(frame, name)?;
    let cast =
        series.cast(&DataType::Float64).map_err(|_| wrong_type(name, "number", series.dtype()))?;
    Ok(cast.f64()?.iter().map(|value| value.unwrap_or(f64::NAN)).collect())
}

pub(crate) fn integers(frame: &DataFrame, name: &str) -> Result<Vec<Option<i64>>, NodeError> {
    let series = column(frame, name)?;
    let cast =
        series.cast(&DataType::Int64).map_err(|_| wrong_type(name, "integer", series.dtype()))?;
    Ok(cast.i64()?.iter().collect())
}

/// A string column out of anything that gives optional texts.
pub(crate) fn string_column<'a>(
    name: &str,
    values: impl IntoIterator<Item = Option<&'a str>>,
) -> Column {
    let values: StringChunked = values.into_iter().collect();
    values.with_name(name.into()).into_series().into_column()
}

/// The same text in every row, in memory once.
pub(crate) fn same_text_column(name: &str, text: &str, rows: usize) -> Column {
    StringChunked::full(name.into(), text, rows).into_series().into_column()
}

/// One of the texts in every row, each in memory once; null where a row has none.
pub(crate) fn choice_column(
    name: &str,
    texts: &[String],
    chosen: impl IntoIterator<Item = Option<usize>>,
) -> Result<Column, NodeError> {
    let texts: StringChunked = texts.iter().map(|text| Some(text.as_str())).collect();
    let chosen = chosen.into_iter().map(|place| place.map(|place| place as IdxSize));
    let chosen: IdxCa = chosen.collect();
    Ok(texts.take(&chosen)?.with_name(name.into()).into_series().into_column())
}

/// A float column; what is no number is null.
pub(crate) fn float_column(name: &str, values: impl IntoIterator<Item = f64>) -> Column {
    let known = values.into_iter().map(|value| Some(value).filter(|value| !value.is_nan()));
    Column::new(name.into(), known.collect::<Vec<Option<f64>>>())
}

/// The row of each id; the last where one comes twice.
pub(crate) fn rows_by_id(ids: &StringChunked) -> PlHashMap<&str, usize> {
    ids.iter().enumerate().map(|(row, id)| (id.unwrap_or_default(), row)).collect()
}

/// The rows of a few ids; the last where one comes twice.
pub(crate) fn rows_of<'a>(
    ids: &'a StringChunked,
    wanted: &PlHashSet<&str>,
) -> PlHashMap<&'a str, usize> {
    if wanted.is_empty() {
        return PlHashMap::default();
    }
    let known = ids.iter().enumerate().filter_map(|(row, id)| Some((id?, row)));
    known.filter(|(id, _)| wanted.contains(id)).collect()
}

/// Each text once, in order. There are few, so that finding them comes before sorting them.
pub(crate) fn distinct<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let found: PlHashSet<&str> = texts.collect();
    let mut found: Vec<&str> = found.into_iter().collect();
    found.sort_unstable();
    found
}

/// Leaves the first `count` of some things in order. Most are never compared with each other.
pub(crate) fn keep_first<T>(
    things: &mut Vec<T>,
    count: usize,
    order: impl Fn(&T, &T) -> std::cmp::Ordering,
) {
    if things.len() > count {
        things.select_nth_unstable_by(count, &order);
        things.truncate(count);
    }
    things.sort_unstable_by(order);
}

/// A frame of these columns, all of one length.
pub(crate) fn frame(columns: Vec<Column>) -> Result<DataFrame, NodeError> {
    let height = columns.first().map_or(0, Column::len);
    Ok(DataFrame::new(height, columns)?)
}

/// The type of a column as the plan knows it.
pub(crate) fn column_type(dtype: &DataType) -> ColumnType {
    match dtype {
        DataType::String => ColumnType::String,
        DataType::Boolean => ColumnType::Boolean,
        DataType::Date => ColumnType::Date,
        DataType::Datetime(..) => ColumnType::Datetime,
        dtype if dtype.is_integer() => ColumnType::Integer,
        dtype if dtype.is_float() => ColumnType::Float,
        _ => ColumnType::Other,
    }
}

/// The frame library's type for a type of the plan.
pub(crate) fn data_type(column_type: ColumnType) -> DataType {
    match column_type {
        ColumnType::String => DataType::String,
        ColumnType::Integer => DataType::Int64,
        ColumnType::Float => DataType::Float64,
        ColumnType::Boolean => DataType::Boolean,
        ColumnType::Date => DataType::Date,
        ColumnType::Datetime => DataType::Datetime(TimeUnit::Microseconds, None),
        ColumnType::Other => DataType::Null,
    }
}

/// `a`, `b`, `c` and 7 more.
pub(crate) fn listed(names: &[String], most: usize) -> String {
    let shown: Vec<String> = names.iter().take(most).map(|name| format!("`{name}`")).collect();
    let more = names.len().saturating_sub(most);
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}

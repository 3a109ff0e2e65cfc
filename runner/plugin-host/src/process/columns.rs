//! The data of operations as Arrow columns, and back. Types, nulls and row counts are checked;
//! what the values mean is the matter of others.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BinaryArray, FixedSizeListArray, Float32Array, Float64Array, LargeBinaryArray,
    LargeStringArray, RecordBatch, UInt32Array,
};
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use engine::classifier::{FitRequest, FurtherColumn, FurtherValues, Texts};

use super::wire::Message;

/// Texts cross in batches of about so many bytes, so that no reader needs them in one piece.
const BATCH_BYTES: i64 = 8 << 20;

type Batches = Result<Vec<RecordBatch>, ArrowError>;

fn batch(columns: Vec<(&str, ArrayRef)>) -> Result<RecordBatch, ArrowError> {
    let field = |name: &str, array: &ArrayRef| Field::new(name, array.data_type().clone(), false);
    let fields: Vec<Field> = columns.iter().map(|(name, array)| field(name, array)).collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
}

/// The columns of `prepare`, in at least one batch.
pub(crate) fn texts(texts: &Texts) -> Batches {
    let mut columns = vec![("text", strings(texts)?)];
    for further in texts.columns() {
        let array: ArrayRef = match &further.values {
            FurtherValues::Numbers(numbers) => Arc::new(Float64Array::from(numbers.clone())),
            FurtherValues::Words(words) => strings(words)?,
        };
        columns.push((&further.name, array));
    }
    let mut batches = Vec::new();
    let mut start = 0;
    loop {
        let limit = texts.offsets()[start] + BATCH_BYTES;
        let ends = &texts.offsets()[start + 1..];
        // At least one text, however long it is.
        let fitting = ends.iter().take_while(|end| **end <= limit).count().max(1);
        let length = fitting.min(ends.len());
        let part = columns.iter().map(|(name, array)| (*name, array.slice(start, length)));
        batches.push(batch(part.collect())?);
        start += length;
        if start >= texts.len() {
            break;
        }
    }
    Ok(batches)
}

fn strings(texts: &Texts) -> Result<ArrayRef, ArrowError> {
    let offsets = OffsetBuffer::new(ScalarBuffer::from(texts.offsets().to_vec()));
    let bytes = Buffer::from_vec(texts.bytes().to_vec());
    Ok(Arc::new(LargeStringArray::try_new(offsets, bytes, None)?))
}

/// The columns of `fit`.
pub(crate) fn training(request: &FitRequest<'_>) -> Batches {
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("rows", Arc::new(UInt32Array::from(request.rows.to_vec()))),
        ("labels", Arc::new(UInt32Array::from(request.labels.to_vec()))),
    ];
    if let Some(weights) = request.weights {
        columns.push(("weights", Arc::new(Float32Array::from(weights.to_vec()))));
    }
    Ok(vec![batch(columns)?])
}

/// The column of `predict`.
pub(crate) fn rows(rows: &[u32]) -> Batches {
    Ok(vec![batch(vec![("rows", Arc::new(UInt32Array::from(rows.to_vec())))])?])
}

/// The column of `load` and of the answer to `save`.
pub(crate) fn bytes(bytes: &[u8]) -> Batches {
    Ok(vec![batch(vec![("bytes", Arc::new(LargeBinaryArray::from(vec![bytes])))])?])
}

/// The answer to `predict`; `classes` is at least 1.
pub(crate) fn scores(values: Vec<f32>, classes: usize) -> Batches {
    let item = Arc::new(Field::new("item", DataType::Float32, false));
    let size = i32::try_from(classes)
        .map_err(|_| ArrowError::InvalidArgumentError(format!("there are {classes} classes")))?;
    let values = Arc::new(Float32Array::from(values));
    let lists = FixedSizeListArray::try_new(item, size, values, None)?;
    Ok(vec![batch(vec![("scores", Arc::new(lists))])?])
}

/// The arrays of a column, one a batch; `None` if no batch has the column.
fn column<'a, A: Array + 'static>(
    message: &'a Message,
    name: &str,
) -> Result<Option<Vec<&'a A>>, String> {
    let mut arrays = Vec::new();
    for batch in &message.batches {
        let Some(array) = batch.column_by_name(name) else { return Ok(None) };
        if array.null_count() > 0 {
            return Err(format!("column `{name}` has nulls"));
        }
        let kind = array.data_type();
        let array = array.as_any().downcast_ref::<A>();
        arrays.push(array.ok_or_else(|| format!("column `{name}` has type {kind}"))?);
    }
    if arrays.is_empty() { Ok(None) } else { Ok(Some(arrays)) }
}

fn required<'a, A: Array + 'static>(
    message: &'a Message,
    name: &str,
) -> Result<Vec<&'a A>, String> {
    column(message, name)?.ok_or_else(|| format!("there is no column `{name}`"))
}

/// The texts of `prepare` with the further columns.
pub(crate) fn read_texts(message: &Message) -> Result<Texts, String> {
    let words = |arrays: Vec<&LargeStringArray>| {
        Texts::from_strs(arrays.into_iter().flat_map(|array| array.iter()))
    };
    let mut further = Vec::new();
    let schema = message.batches.first().map(RecordBatch::schema);
    for field in schema.iter().flat_map(|schema| schema.fields().iter()) {
        let name = field.name();
        let values = match field.data_type() {
            DataType::Float64 => {
                let arrays: Vec<&Float64Array> = required(message, name)?;
                let numbers = arrays.into_iter().flat_map(|array| array.values().iter().copied());
                FurtherValues::Numbers(numbers.collect())
            }
            DataType::LargeUtf8 if name != "text" => {
                FurtherValues::Words(words(required(message, name)?))
            }
            _ => continue,
        };
        further.push(FurtherColumn { name: name.clone(), values });
    }
    Ok(words(required(message, "text")?).with_columns(further))
}

pub(crate) fn read_integers(message: &Message, name: &str) -> Result<Vec<u32>, String> {
    let arrays: Vec<&UInt32Array> = required(message, name)?;
    Ok(arrays.into_iter().flat_map(|array| array.values().iter().copied()).collect())
}

pub(crate) fn read_weights(message: &Message) -> Result<Option<Vec<f32>>, String> {
    let arrays: Option<Vec<&Float32Array>> = column(message, "weights")?;
    let values = |arrays: Vec<&Float32Array>| {
        arrays.into_iter().flat_map(|array| array.values().iter().copied()).collect()
    };
    Ok(arrays.map(values))
}

pub(crate) fn read_bytes(message: &Message) -> Result<Vec<u8>, String> {
    let rows: usize = message.batches.iter().map(RecordBatch::num_rows).sum();
    if rows != 1 {
        return Err(format!("column `bytes` has {rows} rows, not one"));
    }
    let short: Result<Vec<&BinaryArray>, String> = required(message, "bytes");
    let values: Vec<u8> = match short {
        Ok(arrays) => arrays.into_iter().flatten().flatten().flatten().copied().collect(),
        Err(_) => {
            let arrays: Vec<&LargeBinaryArray> = required(message, "bytes")?;
            arrays.into_iter().flatten().flatten().flatten().copied().collect()
        }
    };
    Ok(values)
}

/// The values of scores, row by row, of exactly `rows` rows of `classes` classes.
pub(crate) fn read_scores(
    message: &Message,
    rows: usize,
    classes: usize,
) -> Result<Vec<f32>, String> {
    let found: usize = message.batches.iter().map(RecordBatch::num_rows).sum();
    if found != rows {
        return Err(format!("returned {found} rows of scores, not {rows}"));
    }
    if rows == 0 {
        return Ok(Vec::new());
    }
    let arrays: Vec<&FixedSizeListArray> =
        required(message, "scores").map_err(|reason| format!("returned no scores: {reason}"))?;
    let mut scores = Vec::with_capacity(rows.saturating_mul(classes));
    for array in arrays {
        if usize::try_from(array.value_length()) != Ok(classes) {
            let size = array.value_length();
            return Err(format!("returned lists of {size} scores, not of {classes}"));
        }
        let values = array.values();
        let kind = values.data_type();
        let values = values.as_any().downcast_ref::<Float32Array>();
        let values = values.ok_or_else(|| format!("returned values of type {kind}"))?;
        if values.null_count() > 0 {
            return Err("returned nulls among the scores".to_owned());
        }
        if values.len() != array.len() * classes {
            let count = values.len();
            return Err(format!("returned {count} values for {} rows", array.len()));
        }
        scores.extend_from_slice(values.values());
    }
    Ok(scores)
}

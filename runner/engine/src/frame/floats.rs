//! Columns of floats that are read a piece at a time, wherever they are: a table of probabilities
//! for millions of records need not be in memory for those who walk over it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use cache::{BlobRecord, Cache};
use polars::prelude::*;

use super::column::{self, Malformed};
use super::{FrameError, LoadError};

/// Bytes that are read of a file at once to make numbers of.
const PIECE: usize = 1 << 16;

/// A column of floats without nulls, in memory or in the cache.
#[derive(Debug)]
pub struct FloatColumn {
    name: String,
    rows: usize,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Single(Float32Chunked),
    Double(Float64Chunked),
    /// A file that has the numbers, little endian, from `start` on.
    Kept {
        file: File,
        start: u64,
        single: bool,
    },
}

/// A number that such columns have or can be read as.
pub trait Float: Copy + Default {
    /// The column's values, if it is in memory and has numbers of this kind.
    fn in_memory(column: &FloatColumn) -> Option<&[Self]>;
    fn from_single(value: f32) -> Self;
    fn from_double(value: f64) -> Self;
}

impl Float for f32 {
    fn in_memory(column: &FloatColumn) -> Option<&[f32]> {
        match &column.values {
            Values::Single(values) => values.cont_slice().ok(),
            _ => None,
        }
    }

    fn from_single(value: f32) -> f32 {
        value
    }

    fn from_double(value: f64) -> f32 {
        value as f32
    }
}

impl Float for f64 {
    fn in_memory(column: &FloatColumn) -> Option<&[f64]> {
        match &column.values {
            Values::Double(values) => values.cont_slice().ok(),
            _ => None,
        }
    }

    fn from_single(value: f32) -> f64 {
        f64::from(value)
    }

    fn from_double(value: f64) -> f64 {
        value
    }
}

impl FloatColumn {
    /// A column in memory; `None` when it has nulls or is no column of floats.
    pub fn of(column: &Column) -> Option<FloatColumn> {
        let series = column.as_materialized_series().rechunk();
        let values = match series.dtype() {
            DataType::Float32 => Values::Single(series.f32().ok()?.clone()),
            DataType::Float64 => Values::Double(series.f64().ok()?.clone()),
            _ => return None,
        };
        let name = column.name().to_string();
        (series.null_count() == 0).then_some(FloatColumn { name, rows: series.len(), values })
    }

    /// The same of a column in the cache, whose bytes are checked once, here.
    pub(super) fn open(cache: &Cache, blob: &BlobRecord) -> Result<Option<FloatColumn>, LoadError> {
        let name = blob.part.as_deref().unwrap_or_default();
        let broken = |source: Malformed| FrameError::Column { column: name.to_owned(), source };
        let file = cache.open_blob(blob)?;
        let mut head = vec![0; column::HEAD.min(usize::try_from(blob.bytes).unwrap_or(usize::MAX))];
        file.read_exact_at(&mut head, 0).map_err(|_| broken(column::CUT_SHORT))?;
        let head = column::head(&head).map_err(broken)?;
        let (single, width) = match head.dtype {
            DataType::Float32 => (true, 4),
            DataType::Float64 => (false, 8),
            _ => return Ok(None),
        };
        if head.nulls > 0 {
            return Ok(None);
        }
        let length = (head.rows as u64).checked_mul(width);
        if length.and_then(|length| length.checked_add(head.length)) != Some(blob.bytes) {
            return Err(broken(column::CUT_SHORT).into());
        }
        let values = Values::Kept { file, start: head.length, single };
        Ok(Some(FloatColumn { name: name.to_owned(), rows: head.rows, values }))
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Whether its numbers are of 4 bytes.
    pub fn is_single(&self) -> bool {
        matches!(self.values, Values::Single(_) | Values::Kept { single: true, .. })
    }

    pub fn is_in_memory(&self) -> bool {
        !matches!(self.values, Values::Kept { .. })
    }

    /// Reads the rows from `first` on, as many as there is room for.
    pub fn read<T: Float>(&self, first: usize, into: &mut [T]) -> io::Result<()> {
        let last = first.checked_add(into.len()).filter(|last| *last <= self.rows);
        let last = last.ok_or_else(|| io::Error::other("the column has fewer rows"))?;
        match &self.values {
            Values::Single(values) => {
                let values = values.cont_slice().map_err(io::Error::other)?;
                let values = into.iter_mut().zip(&values[first..last]);
                values.for_each(|(into, value)| *into = T::from_single(*value));
            }
            Values::Double(values) => {
                let values = values.cont_slice().map_err(io::Error::other)?;
                let values = into.iter_mut().zip(&values[first..last]);
                values.for_each(|(into, value)| *into = T::from_double(*value));
            }
            Values::Kept { file, start, single: true } => {
                read_kept(file, start + 4 * first as u64, into, |bytes: &[u8; 4]| {
                    T::from_single(f32::from_le_bytes(*bytes))
                })?;
            }
            Values::Kept { file, start, single: false } => {
                read_kept(file, start + 8 * first as u64, into, |bytes: &[u8; 8]| {
                    T::from_double(f64::from_le_bytes(*bytes))
                })?;
            }
        }
        Ok(())
    }

    /// The same column in memory.
    pub fn into_memory(self) -> io::Result<FloatColumn> {
        let FloatColumn { name, rows, values: Values::Kept { single, .. } } = &self else {
            return Ok(self);
        };
        let series = if *single {
            let mut values = vec![0.0_f32; *rows];
            self.read(0, &mut values)?;
            Values::Single(Float32Chunked::from_vec(name.as_str().into(), values))
        } else {
            let mut values = vec![0.0_f64; *rows];
            self.read(0, &mut values)?;
            Values::Double(Float64Chunked::from_vec(name.as_str().into(), values))
        };
        Ok(FloatColumn { name: name.clone(), rows: *rows, values: series })
    }
}

fn read_kept<T, const WIDTH: usize>(
    file: &File,
    mut at: u64,
    into: &mut [T],
    make: impl Fn(&[u8; WIDTH]) -> T,
) -> io::Result<()> {
    let mut bytes = [0; PIECE];
    for into in into.chunks_mut(PIECE / WIDTH) {
        let bytes = &mut bytes[..into.len() * WIDTH];
        file.read_exact_at(bytes, at)?;
        at += bytes.len() as u64;
        let (numbers, _) = bytes.as_chunks::<WIDTH>();
        into.iter_mut().zip(numbers).for_each(|(into, bytes)| *into = make(bytes));
    }
    Ok(())
}

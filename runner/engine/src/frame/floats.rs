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

/// A number that such columns can be read as.
pub trait Float: Copy + Default {
    fn from_single(value: f32) -> Self;
    fn from_double(value: f64) -> Self;
}

impl Float for f32 {
    fn from_single(value: f32) -> f32 {
        value
    }

    fn from_double(value: f64) -> f32 {
        value as f32
    }
}

impl Float for f64 {
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
                fill(into, values[first..last].iter().copied().map(T::from_single));
            }
            Values::Double(values) => {
                let values = values.cont_slice().map_err(io::Error::other)?;
                fill(into, values[first..last].iter().copied().map(T::from_double));
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

    /// Reads rows wherever they stand, each below the number of rows, as many as there is room for;
    /// one by one if the column is in the cache.
    pub fn gather<T: Float>(
        &self,
        rows: impl Iterator<Item = usize>,
        into: &mut [T],
    ) -> io::Result<()> {
        match &self.values {
            Values::Single(values) => {
                let values = values.cont_slice().map_err(io::Error::other)?;
                fill(into, rows.map(|row| T::from_single(values[row])));
            }
            Values::Double(values) => {
                let values = values.cont_slice().map_err(io::Error::other)?;
                fill(into, rows.map(|row| T::from_double(values[row])));
            }
            Values::Kept { .. } => {
                for (row, into) in rows.zip(into) {
                    self.read(row, std::slice::from_mut(into))?;
                }
            }
        }
        Ok(())
    }

    /// The same column in memory.
    pub fn into_memory(self) -> io::Result<FloatColumn> {
        let Values::Kept { single, .. } = self.values else { return Ok(self) };
        let name = PlSmallStr::from_str(&self.name);
        let values = match single {
            true => Values::Single(Float32Chunked::from_vec(name, self.all()?)),
            false => Values::Double(Float64Chunked::from_vec(name, self.all()?)),
        };
        Ok(FloatColumn { values, ..self })
    }

    fn all<T: Float>(&self) -> io::Result<Vec<T>> {
        let mut all = vec![T::default(); self.rows];
        self.read(0, &mut all)?;
        Ok(all)
    }
}

fn fill<T>(into: &mut [T], values: impl Iterator<Item = T>) {
    into.iter_mut().zip(values).for_each(|(into, value)| *into = value);
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
        fill(into, numbers.iter().map(&make));
    }
    Ok(())
}

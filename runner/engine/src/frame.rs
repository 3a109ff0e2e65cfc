//! Frames as artifacts: how they are kept, and the logical digest of their content.

use std::io::Write;

use cache::{Digest, DigestWriter, Hasher};
use polars::prelude::*;
use polars_io::ipc::{IpcReader, IpcWriter};
use polars_io::{SerReader, SerWriter};

mod column;
mod floats;
mod kept;

pub use floats::{Float, FloatColumn};
pub(crate) use kept::{KnownColumns, Unread, load_columns, narrow, put_frame};
pub use kept::{LoadError, load_frame};

#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("cannot write a frame: {0}")]
    Write(#[source] PolarsError),
    #[error("cannot read a frame: {0}")]
    Read(PolarsError),
    #[error("column `{column}`: {source}")]
    Digest { column: String, source: PolarsError },
    #[error("column `{column}`: {source}")]
    Column { column: String, source: column::Malformed },
}

/// Writes a frame as an uncompressed Arrow IPC file, one batch.
fn write_frame(frame: &DataFrame, writer: &mut dyn Write) -> Result<(), FrameError> {
    let mut frame = frame.clone();
    frame.rechunk_mut();
    IpcWriter::new(writer).finish(&mut frame).map_err(FrameError::Write)
}

/// Reads a frame from its Arrow IPC file, column by column: the file is never in memory as a whole.
fn read_frame_file(file: std::fs::File) -> Result<DataFrame, FrameError> {
    IpcReader::new(file).finish().map_err(FrameError::Read)
}

/// The digest of a frame's content: schema and values in row order, whatever the chunks, offsets,
/// bytes under nulls or string encoding.
pub fn logical_digest(frame: &DataFrame) -> Result<Digest, FrameError> {
    let digests = frame.columns().iter().map(column_digest).collect::<Result<Vec<_>, _>>()?;
    Ok(digest_of_columns(frame, &digests))
}

/// A frame's digest from those of its columns.
fn digest_of_columns(frame: &DataFrame, columns: &[Digest]) -> Digest {
    let mut hasher = Hasher::new();
    hasher.field(b"relabel-frame-v2");
    hasher.update(&(frame.width() as u64).to_le_bytes());
    hasher.update(&(frame.height() as u64).to_le_bytes());
    for (column, digest) in frame.columns().iter().zip(columns) {
        hasher.field(column.name().as_bytes());
        hasher.update(digest.as_bytes());
    }
    hasher.finish()
}

/// The digest of the column's bytes (`column.rs`); for a type that has none there, of its type and
/// the Arrow IPC file of the column alone.
fn column_digest(column: &Column) -> Result<Digest, FrameError> {
    let series = column.as_materialized_series();
    let fail = |source| FrameError::Digest { column: series.name().to_string(), source };
    let mut digest = DigestWriter::new(std::io::sink());
    if column::type_name(series.dtype()).is_some() {
        column::encode(series, &mut digest).map_err(|error| fail(error.into()))?;
        return Ok(digest.finish().1);
    }
    let mut bytes = Vec::new();
    let alone = vec![series.rechunk().with_name(PlSmallStr::EMPTY).into_column()];
    let written = DataFrame::new(series.len(), alone)
        .and_then(|mut frame| IpcWriter::new(&mut bytes).finish(&mut frame));
    written.map_err(fail)?;
    let mut hasher = Hasher::new();
    hasher.field(series.dtype().to_string().as_bytes());
    hasher.field(&bytes);
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(texts: &[Option<&str>], numbers: &[f64]) -> DataFrame {
        df!("text" => texts, "number" => numbers).unwrap()
    }

    #[test]
    fn the_digest_is_of_the_content_not_of_its_layout() {
        let whole = frame(&[Some("a"), None, Some("b"), Some("")], &[1.0, 2.0, 3.0, 4.0]);
        let mut chunked = frame(&[Some("a"), None], &[1.0, 2.0]);
        chunked.vstack_mut(&frame(&[Some("b"), Some("")], &[3.0, 4.0])).unwrap();
        let longer =
            frame(&[Some("z"), Some("a"), None, Some("b"), Some("")], &[0.0, 1.0, 2.0, 3.0, 4.0]);
        let digest = logical_digest(&whole).unwrap();
        assert_eq!(digest, logical_digest(&chunked).unwrap());
        assert_eq!(digest, logical_digest(&longer.slice(1, 4)).unwrap());
    }

    #[test]
    fn every_difference_counts() {
        let digest = |texts: &[Option<&str>]| {
            logical_digest(&frame(texts, &vec![0.0; texts.len()])).unwrap()
        };
        let base = digest(&[Some("ab"), Some("c")]);
        assert_ne!(base, digest(&[Some("a"), Some("bc")]));
        assert_ne!(base, digest(&[Some("c"), Some("ab")]));
        assert_ne!(digest(&[None]), digest(&[Some("")]));
        let renamed = df!("text" => ["ab", "c"], "n" => [0.0, 0.0]).unwrap();
        assert_ne!(base, logical_digest(&renamed).unwrap());
    }

    #[test]
    fn a_type_without_bytes_has_a_digest_too() {
        let lists = |last: i64| {
            let lists = [Series::new("".into(), [1i64, 2]), Series::new("".into(), [last])];
            df!("lists" => lists).unwrap()
        };
        let digest = |frame: &DataFrame| logical_digest(frame).unwrap();
        assert_eq!(digest(&lists(3)), digest(&lists(3)));
        assert_ne!(digest(&lists(3)), digest(&lists(4)));
    }
}

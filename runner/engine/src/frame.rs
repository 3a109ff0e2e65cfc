//! Frames as artifacts: Arrow IPC files, and the logical digest of their content.

use std::io::Write;

use cache::{Digest, Hasher};
use polars::prelude::*;
use polars_io::ipc::{IpcReader, IpcWriter};
use polars_io::{SerReader, SerWriter};

#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("cannot write a frame: {0}")]
    Write(PolarsError),
    #[error("cannot read a frame: {0}")]
    Read(PolarsError),
    #[error("column `{column}`: {source}")]
    Digest { column: String, source: PolarsError },
}

/// Writes a frame as an uncompressed Arrow IPC file, one batch, so that it can be mapped.
pub fn write_frame(frame: &DataFrame, writer: &mut dyn Write) -> Result<(), FrameError> {
    let mut frame = frame.clone();
    frame.rechunk_mut();
    IpcWriter::new(writer).finish(&mut frame).map_err(FrameError::Write)
}

/// Reads the frame whose file has these bytes.
pub fn read_frame(bytes: &[u8]) -> Result<DataFrame, FrameError> {
    IpcReader::new(std::io::Cursor::new(bytes)).finish().map_err(FrameError::Read)
}

/// Reads a frame from its file, column by column: the file is never in memory as a whole.
pub fn read_frame_file(file: std::fs::File) -> Result<DataFrame, FrameError> {
    IpcReader::new(file).finish().map_err(FrameError::Read)
}

/// The digest of a frame's content: schema and values in row order, whatever the chunks, offsets,
/// bytes under nulls or string encoding.
///
/// Each column is digested on its own: name, type, row count, validity of every row if any is
/// null, then values (little endian; strings as all lengths, then all bytes; a null is 0 or empty).
pub fn logical_digest(frame: &DataFrame) -> Result<Digest, FrameError> {
    let mut hasher = Hasher::new();
    hasher.field(b"relabel-frame-v1");
    hasher.update(&(frame.width() as u64).to_le_bytes());
    hasher.update(&(frame.height() as u64).to_le_bytes());
    for column in frame.columns() {
        let series = column.as_materialized_series();
        hasher.field(series.name().as_bytes());
        hasher.field(series.dtype().to_string().as_bytes());
        digest_column(series, &mut hasher)
            .map_err(|source| FrameError::Digest { column: series.name().to_string(), source })?;
    }
    Ok(hasher.finish())
}

/// Fixed-width values: whole chunks at once where no row is null.
macro_rules! digest_numbers {
    ($array:expr, $hasher:expr) => {{
        let array = $array;
        let mut bytes = Vec::with_capacity(1 << 16);
        for chunk in array.downcast_iter() {
            for value in chunk.iter() {
                bytes.extend_from_slice(&value.copied().unwrap_or_default().to_le_bytes());
                if bytes.len() >= (1 << 16) - 16 {
                    $hasher.update(&bytes);
                    bytes.clear();
                }
            }
        }
        $hasher.update(&bytes);
    }};
}

fn digest_column(series: &Series, hasher: &mut Hasher) -> PolarsResult<()> {
    digest_validity(series, hasher);
    match series.dtype() {
        DataType::String => digest_strings(series.str()?, hasher),
        DataType::Boolean => {
            let bytes: Vec<u8> =
                series.bool()?.iter().map(|value| u8::from(value.unwrap_or(false))).collect();
            hasher.update(&bytes);
        }
        DataType::Int8 => digest_numbers!(series.i8()?, hasher),
        DataType::Int16 => digest_numbers!(series.i16()?, hasher),
        DataType::Int32 => digest_numbers!(series.i32()?, hasher),
        DataType::Int64 => digest_numbers!(series.i64()?, hasher),
        DataType::UInt8 => digest_numbers!(series.u8()?, hasher),
        DataType::UInt16 => digest_numbers!(series.u16()?, hasher),
        DataType::UInt32 => digest_numbers!(series.u32()?, hasher),
        DataType::UInt64 => digest_numbers!(series.u64()?, hasher),
        DataType::Float32 => digest_numbers!(series.f32()?, hasher),
        DataType::Float64 => digest_numbers!(series.f64()?, hasher),
        _ => {
            // Dates and the like are integers underneath; anything else by its own bytes.
            let physical = series.to_physical_repr().into_owned();
            if physical.dtype() == series.dtype() {
                let mut bytes = Vec::new();
                let mut frame =
                    DataFrame::new(series.len(), vec![physical.rechunk().into_column()])?;
                IpcWriter::new(&mut bytes).finish(&mut frame)?;
                hasher.field(&bytes);
                return Ok(());
            }
            return digest_column(&physical, hasher);
        }
    }
    Ok(())
}

fn digest_validity(series: &Series, hasher: &mut Hasher) {
    let nulls = series.null_count() as u64;
    hasher.update(&nulls.to_le_bytes());
    if nulls > 0 {
        let bytes: Vec<u8> =
            series.is_not_null().iter().map(|v| u8::from(v == Some(true))).collect();
        hasher.update(&bytes);
    }
}

fn digest_strings(strings: &StringChunked, hasher: &mut Hasher) {
    let lengths: Vec<u8> =
        strings.iter().flat_map(|value| (value.map_or(0, str::len) as u64).to_le_bytes()).collect();
    hasher.update(&lengths);
    let mut bytes = Vec::with_capacity(1 << 16);
    for value in strings.iter().flatten() {
        bytes.extend_from_slice(value.as_bytes());
        if bytes.len() >= 1 << 16 {
            hasher.update(&bytes);
            bytes.clear();
        }
    }
    hasher.update(&bytes);
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
    fn a_frame_comes_back_from_its_file() {
        let frame = frame(&[Some("a"), None, Some("ünï")], &[1.5, f64::NAN, -0.0]);
        let mut bytes = Vec::new();
        write_frame(&frame, &mut bytes).unwrap();
        let back = read_frame(&bytes).unwrap();
        assert_eq!(logical_digest(&frame).unwrap(), logical_digest(&back).unwrap());
    }
}

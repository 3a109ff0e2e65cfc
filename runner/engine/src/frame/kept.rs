//! Frames in the cache. A large one is kept column by column, so that what many frames share is
//! digested, written and kept once, and who needs two columns reads two. A small one is one Arrow
//! IPC file, and so is one with a column of a type that has no bytes of its own.

use std::collections::HashMap;

use cache::{BlobRecord, BlobState, Cache, CacheError, Digest, OutputRecord};
use polars::prelude::*;

use super::column::{self, Rows};
use super::{FrameError, digest_of_columns, logical_digest, read_frame_file, write_frame};

/// Bytes in memory from which on a frame is kept in parts.
const LARGE: usize = 4 << 20;

/// Why a frame cannot be had from the cache.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("{0}")]
    Cache(#[from] CacheError),
    #[error("an artifact is damaged: {0}")]
    Frame(#[from] FrameError),
    #[error("an artifact is missing")]
    Missing,
}

impl LoadError {
    /// What became of the artifact, in a word.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            LoadError::Cache(_) => "damaged",
            LoadError::Frame(_) => "unreadable",
            LoadError::Missing => "missing",
        }
    }
}

/// Columns that are in memory and in the cache.
#[derive(Default)]
pub(crate) struct KnownColumns {
    blobs: HashMap<Vec<usize>, BlobRecord>,
    /// Keeps their memory from being used for something else.
    alive: Vec<Column>,
}

impl KnownColumns {
    /// Notes the columns of a frame that is in the cache as `output`.
    pub fn add(&mut self, frame: &DataFrame, output: &OutputRecord) {
        for blob in &output.blobs {
            let part = blob.part.as_deref();
            if let Some(column) = part.and_then(|name| frame.column(name).ok()) {
                self.note(column, blob);
            }
        }
    }

    fn note(&mut self, column: &Column, blob: &BlobRecord) {
        if let Some(place) = column::place(column.as_materialized_series()) {
            self.alive.push(column.clone());
            self.blobs.insert(place, blob.clone());
        }
    }

    /// Where a column is kept already, whatever it is called there.
    fn find(&self, column: &Column) -> Option<&BlobRecord> {
        self.blobs.get(&column::place(column.as_materialized_series())?)
    }
}

/// Puts a frame into the cache, less the columns that are there.
pub(crate) fn put_frame(
    cache: &Cache,
    port: &str,
    frame: &DataFrame,
    known: &mut KnownColumns,
) -> Result<OutputRecord, LoadError> {
    let has_bytes = |column: &Column| column::type_name(column.dtype()).is_some();
    let in_parts = frame.estimated_size() >= LARGE && frame.columns().iter().all(has_bytes);
    let (logical, blobs) = if in_parts {
        let blobs = frame
            .columns()
            .iter()
            .map(|column| put_column(cache, column, known))
            .collect::<Result<Vec<BlobRecord>, LoadError>>()?;
        let digests: Vec<Digest> = blobs.iter().map(|blob| blob.blob).collect();
        (digest_of_columns(frame, &digests), blobs)
    } else {
        let (blob, bytes) =
            cache.put_blob(|file| write_frame(frame, file).map_err(std::io::Error::other))?;
        (logical_digest(frame)?, vec![BlobRecord { blob, bytes, part: None }])
    };
    Ok(OutputRecord { port: port.to_owned(), logical, rows: Some(frame.height() as u64), blobs })
}

fn put_column(
    cache: &Cache,
    column: &Column,
    known: &mut KnownColumns,
) -> Result<BlobRecord, LoadError> {
    let part = Some(column.name().to_string());
    // What was found damaged in this run has been taken out, and is written anew.
    let there = known.find(column).filter(|blob| cache.blob_state(blob) == BlobState::Whole);
    if let Some(blob) = there {
        return Ok(BlobRecord { part, ..blob.clone() });
    }
    let series = column.as_materialized_series();
    let (blob, bytes) = cache.put_blob(|file| column::encode(series, file))?;
    let blob = BlobRecord { blob, bytes, part };
    known.note(column, &blob);
    Ok(blob)
}

/// Reads a frame, or at least the wanted columns of it.
pub fn load_frame(
    cache: &Cache,
    output: &OutputRecord,
    wanted: Option<&[String]>,
) -> Result<DataFrame, LoadError> {
    Ok(load_columns(cache, output, wanted)?.0)
}

/// Columns of a frame that nobody has read yet.
#[derive(Debug, Clone)]
pub(crate) struct Unread {
    cache: Cache,
    output: OutputRecord,
}

/// Reads the wanted columns of a frame, all of them for `None`; what is kept in one file is read as
/// a whole. The rest can be had for chosen rows.
pub(crate) fn load_columns(
    cache: &Cache,
    output: &OutputRecord,
    wanted: Option<&[String]>,
) -> Result<(DataFrame, Option<Unread>), LoadError> {
    if output.blobs.iter().any(|blob| cache.blob_state(blob) == BlobState::Missing) {
        return Err(LoadError::Missing);
    }
    match output.blobs.as_slice() {
        [blob] if blob.part.is_none() => {
            return Ok((read_frame_file(cache.open_blob(blob)?)?, None));
        }
        _ => {}
    }
    let is_wanted = |blob: &&BlobRecord| {
        wanted.is_none_or(|wanted| blob.part.as_ref().is_some_and(|name| wanted.contains(name)))
    };
    let mut buffer = Vec::new();
    let columns = output
        .blobs
        .iter()
        .filter(is_wanted)
        .map(|blob| load_column(cache, blob, Rows::All, &mut buffer))
        .collect::<Result<Vec<Column>, LoadError>>()?;
    let unread = columns.len() < output.blobs.len();
    let unread = unread.then(|| Unread { cache: cache.clone(), output: output.clone() });
    Ok((frame_of(output.rows.unwrap_or_default() as usize, columns)?, unread))
}

fn frame_of(height: usize, columns: Vec<Column>) -> Result<DataFrame, FrameError> {
    DataFrame::new(height, columns).map_err(FrameError::Read)
}

/// `buffer` is memory to read the file into.
fn load_column(
    cache: &Cache,
    blob: &BlobRecord,
    rows: Rows<'_>,
    buffer: &mut Vec<u8>,
) -> Result<Column, LoadError> {
    let name = blob.part.as_deref().unwrap_or_default();
    cache.read_blob_into(blob, buffer)?;
    let column = column::decode(name, buffer, rows);
    Ok(column.map_err(|source| FrameError::Column { column: name.to_owned(), source })?)
}

impl Unread {
    /// Some rows of the whole frame, of which `read` was read before.
    pub fn rows(&self, read: &DataFrame, rows: &[IdxSize]) -> Result<DataFrame, LoadError> {
        let places = IdxCa::from_vec(PlSmallStr::EMPTY, rows.to_vec());
        let mut buffer = Vec::new();
        let columns = self
            .output
            .blobs
            .iter()
            .map(|blob| match read.column(blob.part.as_deref().unwrap_or_default()) {
                Ok(column) => Ok(column.take(&places).map_err(FrameError::Read)?),
                Err(_) => load_column(&self.cache, blob, Rows::These(rows), &mut buffer),
            })
            .collect::<Result<Vec<Column>, LoadError>>()?;
        Ok(frame_of(rows.len(), columns)?)
    }
}

#[cfg(test)]
mod tests;

//! Frames in the cache. A large one is kept column by column, so that what many frames share is
//! digested, written and kept once, and who needs two columns reads two. A small one is one Arrow
//! IPC file, and so is one with a column of a type that has no bytes of its own.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use cache::{BlobRecord, BlobState, Cache, CacheError, Digest, OutputRecord};
use polars::prelude::*;

use super::column::{self, Rows};
use super::floats::FloatColumn;
use super::{FrameError, digest_of_columns, logical_digest, read_frame_file, write_frame};

/// Bytes in memory from which on a frame is kept in parts.
const LARGE: usize = 1 << 20;

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

/// Puts a frame into the cache, less the columns that are there; on up to `threads` threads.
pub(crate) fn put_frame(
    cache: &Cache,
    port: &str,
    frame: &DataFrame,
    known: &mut KnownColumns,
    threads: usize,
) -> Result<OutputRecord, LoadError> {
    let has_bytes = |column: &Column| column::type_name(column.dtype()).is_some();
    let in_parts = frame.estimated_size() >= LARGE && frame.columns().iter().all(has_bytes);
    let (logical, blobs) = if in_parts {
        let blobs = put_columns(cache, frame.columns(), known, threads)?;
        let digests: Vec<Digest> = blobs.iter().map(|blob| blob.blob).collect();
        (digest_of_columns(frame, &digests), blobs)
    } else {
        let (blob, bytes) =
            cache.put_blob(|file| write_frame(frame, file).map_err(std::io::Error::other))?;
        (logical_digest(frame)?, vec![BlobRecord { blob, bytes, part: None }])
    };
    Ok(OutputRecord { port: port.to_owned(), logical, rows: Some(frame.height() as u64), blobs })
}

fn put_columns(
    cache: &Cache,
    columns: &[Column],
    known: &mut KnownColumns,
    threads: usize,
) -> Result<Vec<BlobRecord>, LoadError> {
    // What was found damaged in this run has been taken out, and is written anew.
    let is_there = |blob: &&BlobRecord| cache.blob_state(blob) == BlobState::Whole;
    let there: Vec<Option<BlobRecord>> =
        columns.iter().map(|column| known.find(column).filter(is_there).cloned()).collect();
    let put = |n: usize| -> Result<BlobRecord, LoadError> {
        let part = Some(columns[n].name().to_string());
        if let Some(blob) = &there[n] {
            return Ok(BlobRecord { part, ..blob.clone() });
        }
        let series = columns[n].as_materialized_series();
        let (blob, bytes) = cache.put_blob(|file| column::encode(series, file))?;
        Ok(BlobRecord { blob, bytes, part })
    };
    let blobs = in_parallel(columns.len(), threads, put);
    let blobs = blobs.into_iter().collect::<Result<Vec<BlobRecord>, LoadError>>()?;
    columns.iter().zip(&blobs).for_each(|(column, blob)| known.note(column, blob));
    Ok(blobs)
}

/// What `work` gives for each number below `count`, in their order; on up to `threads` threads.
fn in_parallel<T: Send>(count: usize, threads: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let some = || {
        let mut done = Vec::new();
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= count {
                return done;
            }
            done.push((n, work(n)));
        }
    };
    let mut all = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(count)).map(|_| scope.spawn(some)).collect();
        let mut all = some();
        for other in others {
            all.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        all
    });
    all.sort_by_key(|(n, _)| *n);
    all.into_iter().map(|(_, done)| done).collect()
}

/// Reads a frame, or at least the wanted columns of it.
pub fn load_frame(
    cache: &Cache,
    output: &OutputRecord,
    wanted: Option<&[String]>,
) -> Result<DataFrame, LoadError> {
    Ok(load_columns(cache, output, wanted, 1)?.0)
}

/// Columns of a frame that a node has not been given.
#[derive(Debug, Clone)]
pub(crate) enum Unread {
    InCache {
        cache: Cache,
        output: OutputRecord,
        threads: usize,
    },
    /// The whole frame, which is in memory anyway.
    InMemory(DataFrame),
}

/// The wanted columns of a frame in memory. A node gets no others wherever a frame comes from, so
/// that one which reads more than it says fails with every input, and not with large ones alone.
pub(crate) fn narrow(
    frame: DataFrame,
    wanted: Option<&[String]>,
) -> Result<(DataFrame, Option<Unread>), FrameError> {
    let Some(wanted) = wanted else { return Ok((frame, None)) };
    let is_wanted = |column: &&Column| wanted.iter().any(|name| name == column.name().as_str());
    let columns: Vec<Column> = frame.columns().iter().filter(is_wanted).cloned().collect();
    if columns.len() == frame.width() {
        return Ok((frame, None));
    }
    Ok((frame_of(frame.height(), columns)?, Some(Unread::InMemory(frame))))
}

/// Reads the wanted columns of a frame, all of them for `None`; what is kept in one file is read as
/// a whole. The rest can be had for chosen rows.
pub(crate) fn load_columns(
    cache: &Cache,
    output: &OutputRecord,
    wanted: Option<&[String]>,
    threads: usize,
) -> Result<(DataFrame, Option<Unread>), LoadError> {
    if output.blobs.iter().any(|blob| cache.blob_state(blob) == BlobState::Missing) {
        return Err(LoadError::Missing);
    }
    match output.blobs.as_slice() {
        [blob] if blob.part.is_none() => {
            return Ok(narrow(read_frame_file(cache.open_blob(blob)?)?, wanted)?);
        }
        _ => {}
    }
    let is_wanted = |blob: &&BlobRecord| {
        wanted.is_none_or(|wanted| blob.part.as_ref().is_some_and(|name| wanted.contains(name)))
    };
    let blobs: Vec<&BlobRecord> = output.blobs.iter().filter(is_wanted).collect();
    let load = |n: usize| load_column(cache, blobs[n], Rows::All);
    let columns = in_parallel(blobs.len(), threads, load);
    let columns = columns.into_iter().collect::<Result<Vec<Column>, LoadError>>()?;
    let unread = columns.len() < output.blobs.len();
    let in_cache = || Unread::InCache { cache: cache.clone(), output: output.clone(), threads };
    let unread = unread.then(in_cache);
    Ok((frame_of(output.rows.unwrap_or_default() as usize, columns)?, unread))
}

fn frame_of(height: usize, columns: Vec<Column>) -> Result<DataFrame, FrameError> {
    DataFrame::new(height, columns).map_err(FrameError::Read)
}

fn load_column(cache: &Cache, blob: &BlobRecord, rows: Rows<'_>) -> Result<Column, LoadError> {
    let name = blob.part.as_deref().unwrap_or_default();
    let column = column::decode(name, &cache.read_blob(blob)?, rows);
    Ok(column.map_err(|source| FrameError::Column { column: name.to_owned(), source })?)
}

impl Unread {
    /// Some rows of the whole frame, of which `read` was read before.
    pub fn rows(&self, read: &DataFrame, rows: &[IdxSize]) -> Result<DataFrame, LoadError> {
        let places = IdxCa::from_vec(PlSmallStr::EMPTY, rows.to_vec());
        let (cache, blobs, threads) = match self {
            Unread::InCache { cache, output, threads } => (cache, &output.blobs, *threads),
            Unread::InMemory(frame) => return Ok(frame.take(&places).map_err(FrameError::Read)?),
        };
        let load = |n: usize| match read.column(blobs[n].part.as_deref().unwrap_or_default()) {
            Ok(column) => Ok(column.take(&places).map_err(FrameError::Read)?),
            Err(_) => load_column(cache, &blobs[n], Rows::These(rows)),
        };
        let columns = in_parallel(blobs.len(), threads, load);
        let columns = columns.into_iter().collect::<Result<Vec<Column>, LoadError>>()?;
        Ok(frame_of(rows.len(), columns)?)
    }

    /// The columns of the frame that were not read, by name and as floats; `None` for one that has
    /// nulls or no floats.
    pub fn floats(
        &self,
        read: &DataFrame,
    ) -> Result<Vec<(String, Option<FloatColumn>)>, LoadError> {
        let (cache, output, threads) = match self {
            Unread::InCache { cache, output, threads } => (cache, output, *threads),
            Unread::InMemory(frame) => {
                let unread = frame.columns().iter().filter(|c| read.column(c.name()).is_err());
                let floats = unread.map(|c| (c.name().to_string(), FloatColumn::of(c)));
                return Ok(floats.collect());
            }
        };
        let part = |blob: &BlobRecord| blob.part.clone().unwrap_or_default();
        let unread = |blob: &&BlobRecord| read.column(&part(blob)).is_err();
        let blobs: Vec<&BlobRecord> = output.blobs.iter().filter(unread).collect();
        let open = |n: usize| Ok((part(blobs[n]), FloatColumn::open(cache, blobs[n])?));
        in_parallel(blobs.len(), threads, open).into_iter().collect()
    }
}

#[cfg(test)]
mod tests;

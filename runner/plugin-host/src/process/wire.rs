//! Messages on a pipe: one Arrow IPC stream each, with a JSON header in the schema's metadata.
//!
//! The other end is not believed: markers and lengths are checked before anything is allocated,
//! memory grows with the bytes that arrive, and Arrow's own validation stays on. Knows nothing of
//! operations or processes.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::reader::read_record_batch;
use arrow_ipc::root_as_message;
use arrow_ipc::writer::StreamEncoder;
use arrow_schema::{ArrowError, DataType, Fields, Schema, SchemaRef};
use serde::Serialize;
use serde_json::Value;

/// The key of the schema's metadata that holds the header.
const HEADER_KEY: &str = "relabel";
/// What every part of a stream begins with.
const MARKER: [u8; 4] = [0xff; 4];
/// Headers with their JSON Schema are far below.
const LONGEST_METADATA: u32 = 16 << 20;
const MOST_BATCHES: usize = 1 << 16;
const MOST_COLUMNS: usize = 1024;
/// So much of what is no message is shown.
const SHOWN: usize = 80;

/// A header with its data, if it has any.
#[derive(Debug)]
pub(crate) struct Message {
    pub header: Value,
    pub batches: Vec<RecordBatch>,
}

/// Why no message could be read.
#[derive(Debug)]
pub(crate) enum WireError {
    /// Bytes that are no message; the first of them.
    Junk(Vec<u8>),
    /// The stream ends inside a message.
    BrokenOff,
    /// A message that breaks the rules; the text says which.
    Malformed(String),
    Io(io::Error),
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> WireError {
        WireError::Io(error)
    }
}

fn malformed(text: impl Into<String>) -> WireError {
    WireError::Malformed(text.into())
}

/// Reads one message; `None` where the stream ends instead. `body_limit` is asked, when a body
/// comes, how many bytes all bodies of this message may have.
pub(crate) fn read_message<R: Read>(
    input: &mut BufReader<R>,
    body_limit: &dyn Fn() -> u64,
) -> Result<Option<Message>, WireError> {
    if available(input)?.is_empty() {
        return Ok(None);
    }
    let mut schema: Option<SchemaRef> = None;
    let mut batches = Vec::new();
    let mut bodies = 0;
    while let Some(length) = read_prefix(input)? {
        let mut metadata = Vec::new();
        read_more(input, &mut metadata, u64::from(length))?;
        let part = root_as_message(&metadata)
            .map_err(|_| malformed("its metadata is no Arrow metadata"))?;
        let Some(schema) = &schema else {
            schema = Some(Arc::new(read_schema(part)?));
            continue;
        };
        if batches.len() >= MOST_BATCHES {
            return Err(malformed(format!("it has more than {MOST_BATCHES} record batches")));
        }
        let (batch, length) = check_batch(part)?;
        bodies += length;
        let limit = body_limit();
        if bodies > limit {
            return Err(malformed(format!("it announces {bodies} bytes of data, over {limit}")));
        }
        let mut body = Vec::new();
        read_more(input, &mut body, length)?;
        let body = Buffer::from_vec(body);
        batches.push(decode(|| {
            read_record_batch(&body, batch, schema.clone(), &HashMap::new(), None, &part.version())
        })?);
    }
    let schema = schema.ok_or_else(|| malformed("it has no schema"))?;
    let header = schema.metadata().get(HEADER_KEY);
    let header = header.ok_or_else(|| malformed("its schema has no header"))?;
    let header: Value = serde_json::from_str(header)
        .map_err(|error| malformed(format!("its header is no JSON: {error}")))?;
    if !header.is_object() {
        return Err(malformed("its header is no JSON object"));
    }
    Ok(Some(Message { header, batches }))
}

fn available<R: Read>(input: &mut BufReader<R>) -> Result<&[u8], WireError> {
    loop {
        match input.fill_buf() {
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(input.buffer())
}

/// Reads the marker and gives the length of metadata; `None` for the end-of-stream marker.
fn read_prefix<R: Read>(input: &mut BufReader<R>) -> Result<Option<u32>, WireError> {
    let mut prefix = Vec::with_capacity(8);
    while prefix.len() < 8 {
        let here = available(input)?;
        if here.is_empty() {
            return Err(WireError::BrokenOff);
        }
        let taken = here.len().min(8 - prefix.len());
        prefix.extend_from_slice(&here[..taken]);
        // Told as soon as it is seen: the writer of a short line may never write more.
        let seen = prefix.len().min(4);
        if prefix[..seen] != MARKER[..seen] {
            let more = &here[taken..here.len().min(taken + SHOWN)];
            let junk = prefix.iter().chain(more).copied().take(SHOWN).collect();
            return Err(WireError::Junk(junk));
        }
        input.consume(taken);
    }
    match u32::from_le_bytes([prefix[4], prefix[5], prefix[6], prefix[7]]) {
        0 => Ok(None),
        length if length > LONGEST_METADATA => {
            Err(malformed(format!("it announces {length} bytes of metadata")))
        }
        length => Ok(Some(length)),
    }
}

/// Appends `length` bytes; the memory grows with what arrives, whatever the length claims.
fn read_more<R: Read>(
    input: &mut BufReader<R>,
    bytes: &mut Vec<u8>,
    length: u64,
) -> Result<(), WireError> {
    let read = input.take(length).read_to_end(bytes)?;
    if read as u64 == length { Ok(()) } else { Err(WireError::BrokenOff) }
}

/// Only types that an operation has are let in.
fn read_schema(part: arrow_ipc::Message<'_>) -> Result<Schema, WireError> {
    let schema = part.header_as_schema().filter(|_| part.bodyLength() == 0);
    let schema = schema.ok_or_else(|| malformed("it does not begin with a schema"))?;
    let schema = decode(|| try_fb_to_schema(schema))?;
    if schema.fields().len() > MOST_COLUMNS {
        return Err(malformed(format!("it has more than {MOST_COLUMNS} columns")));
    }
    for field in schema.fields() {
        let known = match field.data_type() {
            DataType::FixedSizeList(item, size) => {
                *size > 0 && item.data_type() == &DataType::Float32
            }
            kind => matches!(
                kind,
                DataType::UInt32
                    | DataType::Float32
                    | DataType::Float64
                    | DataType::LargeUtf8
                    | DataType::Binary
                    | DataType::LargeBinary
            ),
        };
        if !known {
            let (name, kind) = (field.name(), field.data_type());
            return Err(malformed(format!("its column `{name}` has type {kind}")));
        }
    }
    Ok(schema)
}

/// Checks the metadata of a record batch and gives the length of its body.
fn check_batch(
    part: arrow_ipc::Message<'_>,
) -> Result<(arrow_ipc::RecordBatch<'_>, u64), WireError> {
    let batch = part.header_as_record_batch();
    let batch = batch.ok_or_else(|| malformed("it has a part that is no record batch"))?;
    let body = u64::try_from(part.bodyLength())
        .map_err(|_| malformed("it announces a negative length"))?;
    if batch.compression().is_some() {
        return Err(malformed("it is compressed"));
    }
    // The decoder slices without looking.
    for buffer in batch.buffers().into_iter().flatten() {
        let range = u64::try_from(buffer.offset()).ok().zip(u64::try_from(buffer.length()).ok());
        let end = range.and_then(|(offset, length)| offset.checked_add(length));
        if end.is_none_or(|end| end > body) {
            return Err(malformed("it has a buffer outside of its body"));
        }
    }
    let is_sound = |length: i64, nulls: i64| length >= 0 && (0..=length).contains(&nulls);
    let mut nodes = batch.nodes().into_iter().flatten();
    if batch.length() < 0 || !nodes.all(|node| is_sound(node.length(), node.null_count())) {
        return Err(malformed("it has a column of negative length"));
    }
    Ok((batch, body))
}

/// Decodes with Arrow's validation on. What could make it panic is checked before; should it all
/// the same, the call fails and not the program.
fn decode<T>(decoder: impl FnOnce() -> Result<T, ArrowError>) -> Result<T, WireError> {
    match catch_unwind(AssertUnwindSafe(decoder)) {
        Ok(Ok(decoded)) => Ok(decoded),
        Ok(Err(error)) => Err(malformed(format!("its data are damaged: {error}"))),
        Err(_) => Err(malformed("its data are damaged")),
    }
}

/// Lays out a message; the buffers of the batches are shared, not copied.
pub(crate) fn encode(
    header: &impl Serialize,
    batches: &[RecordBatch],
) -> Result<Vec<Buffer>, ArrowError> {
    let header = serde_json::to_string(header)
        .map_err(|error| ArrowError::ExternalError(Box::new(error)))?;
    let fields =
        batches.first().map_or_else(Fields::empty, |batch| batch.schema().fields().clone());
    let metadata: HashMap<String, String> = [(HEADER_KEY.to_owned(), header)].into();
    let mut encoder = StreamEncoder::try_new(&Schema::new_with_metadata(fields, metadata))?;
    let mut parts = Vec::new();
    for batch in batches {
        parts.extend(encoder.encode(batch)?);
    }
    parts.extend(encoder.finish()?);
    Ok(parts)
}

pub(crate) fn write(output: &mut impl Write, parts: &[Buffer]) -> io::Result<()> {
    parts.iter().try_for_each(|part| output.write_all(part))?;
    output.flush()
}

#[cfg(test)]
mod tests;

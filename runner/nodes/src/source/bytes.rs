//! Files by name or glob, their format, and their bytes with compression undone.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use engine::NodeError;
use flate2::read::MultiGzDecoder;
use globset::GlobBuilder;
use schemars::JsonSchema;
use serde::Deserialize;

/// Bytes of a file that are read at once.
const STREAM_BYTES: usize = 1 << 18;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Format {
    Csv,
    Tsv,
    Jsonl,
    Parquet,
    Arrow,
}

impl Format {
    /// The format by the file's name, less `.gz` or `.zst`, unless it is given.
    pub fn of(file: &Path, given: Option<Format>) -> Result<Format, NodeError> {
        if let Some(format) = given {
            return Ok(format);
        }
        let name = file.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let name = name.strip_suffix(".gz").or(name.strip_suffix(".zst")).unwrap_or(&name);
        match name.rsplit('.').next().unwrap_or_default() {
            "csv" => Ok(Format::Csv),
            "tsv" | "tab" => Ok(Format::Tsv),
            "jsonl" | "ndjson" => Ok(Format::Jsonl),
            "parquet" | "pq" => Ok(Format::Parquet),
            "arrow" | "ipc" | "feather" => Ok(Format::Arrow),
            _ => Err(NodeError::input(format!(
                "the name `{}` does not say its format",
                file.display()
            ))
            .with_hint("set `format:` to csv, tsv, jsonl, parquet or arrow")),
        }
    }
}

/// The files a path or glob stands for, in the order of their names; at least one.
pub(crate) fn matching_files(base_dir: &Path, path: &str) -> Result<Vec<PathBuf>, NodeError> {
    let whole = base_dir.join(path);
    if !path.contains(['*', '?', '[', '{']) || whole.exists() {
        return match whole.metadata() {
            Ok(metadata) if metadata.is_dir() => {
                Err(NodeError::io(format!("`{path}` is a folder"))
                    .with_hint("name a file, or a glob such as `folder/*.csv`"))
            }
            Ok(_) => Ok(vec![whole]),
            Err(error) => Err(NodeError::io(format!("cannot read `{path}`: {error}"))
                .with_hint(format!("paths start from `{}`", base_dir.display()))),
        };
    }
    let text = whole.to_string_lossy();
    let glob = GlobBuilder::new(&text)
        .literal_separator(true)
        .build()
        .map_err(|error| NodeError::input(format!("`{path}` is no glob: {error}")))?
        .compile_matcher();
    let fixed: PathBuf = whole
        .components()
        .take_while(|part| !part.as_os_str().to_string_lossy().contains(['*', '?', '[', '{']))
        .collect();
    let mut found = Vec::new();
    walk(&fixed, &glob, 0, &mut found);
    found.sort();
    if found.is_empty() {
        return Err(NodeError::io(format!("no file matches `{path}`"))
            .with_hint(format!("paths start from `{}`", base_dir.display())));
    }
    Ok(found)
}

fn walk(folder: &Path, glob: &globset::GlobMatcher, depth: usize, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        // Links are not followed, so a link in a circle cannot hold the walk.
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_dir && depth < 32 {
            walk(&path, glob, depth + 1, found);
        } else if !is_dir && glob.is_match(&path) {
            found.push(path);
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Compression {
    None,
    Gzip,
    Zstd,
}

/// The compression by the first bytes: names lie more often than magic numbers.
fn compression(start: &[u8]) -> Compression {
    match start {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
        _ => Compression::None,
    }
}

/// The file itself, if it is not compressed: a footer can be read without the rest.
pub(crate) fn plain_file(file: &Path) -> Result<Option<File>, NodeError> {
    let fail = |error| not_read(file, &error);
    let mut open = File::open(file).map_err(fail)?;
    let mut start = [0; 4];
    let read = open.read(&mut start).map_err(fail)?;
    std::io::Seek::rewind(&mut open).map_err(fail)?;
    Ok((compression(&start[..read]) == Compression::None).then_some(open))
}

/// A file as it is read, decompressed on the way.
pub(crate) struct Stream {
    pub reader: Box<dyn BufRead>,
    /// Bytes in all, where that can be known.
    pub length: Option<u64>,
}

impl Stream {
    pub fn open(file: &Path) -> Result<Stream, NodeError> {
        let fail = |error| not_read(file, &error);
        let plain = File::open(file).map_err(fail)?;
        let size = plain.metadata().map_err(fail)?.len();
        let mut plain = BufReader::with_capacity(STREAM_BYTES, plain);
        let mut length = None;
        let reader: Box<dyn BufRead> = match compression(plain.fill_buf().map_err(fail)?) {
            Compression::None => {
                length = Some(size);
                Box::new(plain)
            }
            Compression::Gzip => {
                Box::new(BufReader::with_capacity(STREAM_BYTES, MultiGzDecoder::new(plain)))
            }
            Compression::Zstd => {
                let decoder = zstd::Decoder::with_buffer(plain);
                let decoder = decoder.map_err(|error| not_decompressed(file, &error))?;
                Box::new(BufReader::with_capacity(STREAM_BYTES, decoder))
            }
        };
        Ok(Stream { reader, length })
    }
}

/// What it means that reading a file failed; `length` is that of its stream.
pub(crate) fn failed(file: &Path, length: Option<u64>, error: &std::io::Error) -> NodeError {
    match length {
        None => not_decompressed(file, error),
        Some(_) => not_read(file, error),
    }
}

/// All bytes of a file, decompressed.
pub(crate) fn read_bytes(file: &Path) -> Result<Vec<u8>, NodeError> {
    let Stream { mut reader, length } = Stream::open(file)?;
    let mut bytes = Vec::with_capacity(length.unwrap_or_default() as usize);
    reader.read_to_end(&mut bytes).map_err(|error| failed(file, length, &error))?;
    Ok(bytes)
}

/// The first bytes of a file, decompressed: enough for a header, also of a file that ends in the
/// middle of a block.
pub(crate) fn read_start(file: &Path, most: u64) -> Result<Vec<u8>, NodeError> {
    let Stream { reader, length } = Stream::open(file)?;
    let mut bytes = Vec::new();
    match reader.take(most).read_to_end(&mut bytes) {
        Err(error) if length.is_some() || bytes.is_empty() => Err(failed(file, length, &error)),
        _ => Ok(bytes),
    }
}

fn not_read(file: &Path, error: &std::io::Error) -> NodeError {
    NodeError::io(format!("cannot read `{}`: {error}", file.display()))
}

fn not_decompressed(file: &Path, error: &std::io::Error) -> NodeError {
    NodeError::input(format!("cannot decompress `{}`: {error}", file.display()))
        .with_hint("the file may be cut short; fetch it again")
}

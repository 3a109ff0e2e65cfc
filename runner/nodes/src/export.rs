//! `export`: a frame as a file, with a manifest beside it. The same frame gives the same bytes.

use std::io::{BufWriter, Write};
use std::path::Path;

use engine::{Digest, Inputs, Node, NodeError, Note, Outputs, RunContext, UnitRecord};
use plan::{CheckContext, Checked, ColumnType, Finding, InputPort, PortType, Schema};
use polars::prelude::*;
use polars_io::SerWriter;
use polars_io::ipc::IpcWriter;
use polars_io::parquet::write::ParquetWriter;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::columns::{column_type, frame_port, string_column, strings};
use crate::kind::{Kind, Making};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Format {
    Parquet,
    Csv,
    Jsonl,
    Arrow,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// File to write: .parquet, .csv, .jsonl or .arrow.
    #[schemars(extend("x-relabel-key" = false))]
    path: String,
    /// The format, where the file's name does not say it.
    #[serde(default)]
    format: Option<Format>,
    /// Columns to write, in this order; all when absent.
    #[serde(default)]
    columns: Option<Vec<String>>,
}

impl Params {
    fn format(&self) -> Option<Format> {
        self.format.or_else(|| match self.path.rsplit('.').next()?.to_lowercase().as_str() {
            "parquet" | "pq" => Some(Format::Parquet),
            "csv" => Some(Format::Csv),
            "jsonl" | "ndjson" => Some(Format::Jsonl),
            "arrow" | "ipc" | "feather" => Some(Format::Arrow),
            _ => None,
        })
    }
}

pub(crate) struct Export;

impl Kind for Export {
    type Params = Params;

    const NAME: &'static str = "export";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = "Writes a frame to a file, with a manifest beside it.";
    const SINK: bool = true;

    fn input_ports() -> Vec<InputPort> {
        vec![frame_port("input", "what to write", &[])]
    }

    fn check(params: &Params, context: &CheckContext<'_>) -> Result<Checked, Vec<Finding>> {
        let schema = context.schema("input").cloned().unwrap_or_default();
        let mut findings = Vec::new();
        if params.format().is_none() {
            let message = format!("the name `{}` does not say its format", params.path);
            findings.push(
                Finding::param("/path", message)
                    .with_hint("set `format:` to parquet, csv, jsonl or arrow"),
            );
        }
        for (n, name) in params.columns.iter().flatten().enumerate() {
            if !schema.has(name) && !schema.open {
                let at = format!("/columns/{n}");
                let finding = Finding::param(&at, format!("no column `{name}` here"));
                findings.push(match plan::did_you_mean(name, schema.names()) {
                    Some(near) => finding.with_hint(format!("did you mean `{near}`?")),
                    None => finding,
                });
            }
        }
        if !findings.is_empty() {
            return Err(findings);
        }
        let files = Schema::new([
            ("path", ColumnType::String),
            ("rows", ColumnType::Integer),
            ("digest", ColumnType::String),
        ]);
        Ok(Checked { outputs: vec![("", PortType::Frame(files))], ..Checked::default() })
    }

    fn node(params: Params, _: &Making<'_>) -> Result<Box<dyn Node>, NodeError> {
        let format = params.format().ok_or_else(|| NodeError::input("no export format"))?;
        Ok(Box::new(ExportNode { params, format }))
    }
}

struct ExportNode {
    params: Params,
    format: Format,
}

impl Node for ExportNode {
    fn facts(&self, context: &mut engine::FactContext<'_>) -> Result<(), NodeError> {
        context.facts.add("format", format!("{:?}", self.format));
        Ok(())
    }

    fn run(&self, context: &RunContext<'_>, inputs: &Inputs) -> Result<Outputs, NodeError> {
        let frame = inputs.frame("input")?;
        let frame = match &self.params.columns {
            Some(columns) => frame.select(columns.iter().map(String::as_str))?,
            None => frame.clone(),
        };
        let path = context.base_dir.join(&self.params.path);
        let failed = |error: std::io::Error| {
            NodeError::io(format!("cannot write `{}`: {error}", self.params.path))
        };
        engine::write_atomically(&path, |file| write(&frame, self.format, file)).map_err(failed)?;
        let digest = Digest::of_file(&path).map_err(failed)?;
        let manifest = manifest(&frame, self.format, &digest)?;
        let manifest_path = manifest_path(&path);
        engine::write_atomically(&manifest_path, |file| {
            serde_json::to_writer_pretty(&mut *file, &manifest)?;
            file.write_all(b"\n")
        })
        .map_err(failed)?;
        let rows = vec![frame.height() as i64];
        let mut outputs = Outputs::frame(crate::columns::frame(vec![
            string_column("path", [Some(self.params.path.as_str())]),
            Column::new("rows".into(), rows),
            string_column("digest", [Some(digest.to_hex().as_str())]),
        ])?);
        outputs.count(format!("rows written to {}", self.params.path), frame.height(), None);
        outputs.target("file", digest.to_hex());
        outputs.target("manifest", Digest::of_file(&manifest_path).map_err(failed)?.to_hex());
        Ok(outputs)
    }

    fn target_is_current(&self, record: &UnitRecord, base_dir: &Path) -> Result<bool, NodeError> {
        let path = base_dir.join(&self.params.path);
        let is = |wanted: &str, path: &Path| {
            let digest = Digest::of_file(path).map(|digest| digest.to_hex()).ok();
            engine::notes_of(record).into_iter().any(|note| match note {
                Note::Target { name, digest: written } => {
                    name == wanted && digest.as_ref() == Some(&written)
                }
                _ => false,
            })
        };
        Ok(is("file", &path) && is("manifest", &manifest_path(&path)))
    }
}

fn manifest_path(path: &Path) -> std::path::PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".manifest.json");
    path.with_file_name(name)
}

/// What is in the file and how to prove it: no time, no host, no path.
fn manifest(frame: &DataFrame, format: Format, digest: &Digest) -> Result<Value, NodeError> {
    let logical =
        engine::logical_digest(frame).map_err(|error| NodeError::Internal(error.to_string()))?;
    let columns: Vec<Value> = frame
        .columns()
        .iter()
        .map(|column| {
            let kind = column_type(column.dtype()).to_string();
            json!({ "name": column.name().as_str(), "type": kind })
        })
        .collect();
    let mut sources = Map::new();
    if let Ok(words) = strings(frame, "label_source") {
        let mut counts: std::collections::BTreeMap<&str, u64> = std::collections::BTreeMap::new();
        words.iter().flatten().for_each(|word| *counts.entry(word).or_default() += 1);
        sources = counts.into_iter().map(|(word, n)| (word.to_owned(), json!(n))).collect();
    }
    Ok(json!({
        "schema_version": 1,
        "format": format!("{format:?}").to_lowercase(),
        "rows": frame.height(),
        "columns": columns,
        "file_digest": digest.to_hex(),
        "logical_digest": logical.to_hex(),
        "label_sources": sources,
    }))
}

fn write(
    frame: &DataFrame,
    format: Format,
    file: &mut BufWriter<&std::fs::File>,
) -> std::io::Result<()> {
    let mut frame = frame.clone();
    // One chunk, so that the bytes depend on the content and not on how it came together.
    frame.rechunk_mut();
    match format {
        Format::Parquet => {
            ParquetWriter::new(file)
                .with_row_group_size(Some(1 << 17))
                .set_parallel(false)
                .finish(&mut frame)
                .map_err(std::io::Error::other)?;
            Ok(())
        }
        Format::Arrow => IpcWriter::new(file).finish(&mut frame).map_err(std::io::Error::other),
        Format::Csv => write_csv(&frame, file),
        Format::Jsonl => write_jsonl(&frame, file),
    }
}

fn write_csv(frame: &DataFrame, file: &mut BufWriter<&std::fs::File>) -> std::io::Result<()> {
    let mut writer = csv::Writer::from_writer(file);
    writer.write_record(frame.columns().iter().map(|column| column.name().as_str()))?;
    let texts = texts(frame)?;
    for row in 0..frame.height() {
        writer.write_record(texts.iter().map(|column| column.get(row).unwrap_or_default()))?;
    }
    writer.flush()
}

/// Every column as text.
fn texts(frame: &DataFrame) -> std::io::Result<Vec<StringChunked>> {
    frame
        .columns()
        .iter()
        .map(|column| {
            let cast = column.cast(&DataType::String).map_err(std::io::Error::other)?;
            Ok(cast.str().map_err(std::io::Error::other)?.clone())
        })
        .collect()
}

fn write_jsonl(frame: &DataFrame, file: &mut BufWriter<&std::fs::File>) -> std::io::Result<()> {
    let texts = texts(frame)?;
    for row in 0..frame.height() {
        let mut line = Map::new();
        for (column, text) in frame.columns().iter().zip(&texts) {
            let value = match (text.get(row), column.dtype()) {
                (None, _) => Value::Null,
                (Some(text), DataType::Boolean) => json!(text == "true"),
                (Some(text), kind) if kind.is_primitive_numeric() => {
                    serde_json::from_str(text).unwrap_or(Value::Null)
                }
                (Some(text), _) => json!(text),
            };
            line.insert(column.name().to_string(), value);
        }
        serde_json::to_writer(&mut *file, &line)?;
        file.write_all(b"\n")?;
    }
    Ok(())
}

//! `source`: files in, one frame out, with record_id, text and label in front.

use std::path::{Path, PathBuf};

use engine::{FactContext, Inputs, Node, NodeError, Outputs, RunContext};
use plan::{CheckContext, Checked, ColumnType, Finding, InputPort, PortType, Schema};
use polars::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::columns::{listed, string_column};
use crate::kind::{Kind, Making};

pub(crate) mod bytes;
pub(crate) mod table;
mod text_rows;

use bytes::{Format, matching_files};

/// Names of the file's columns that become record_id, text and label.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ColumnNames {
    #[serde(default = "default_id")]
    pub id: String,
    #[serde(default = "default_text")]
    pub text: String,
    #[serde(default = "default_label")]
    pub label: String,
}

fn default_id() -> String {
    "record_id".into()
}
fn default_text() -> String {
    "text".into()
}
fn default_label() -> String {
    "label".into()
}

impl Default for ColumnNames {
    fn default() -> ColumnNames {
        ColumnNames { id: default_id(), text: default_text(), label: default_label() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OnBadRow {
    /// The first bad rows are listed and nothing is read.
    #[default]
    Fail,
    /// Bad rows go to the port `rejected`, with their line and reason.
    Quarantine,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ExtraType {
    String,
    Integer,
    Float,
    Boolean,
    Date,
}

impl ExtraType {
    fn column_type(self) -> ColumnType {
        match self {
            ExtraType::String => ColumnType::String,
            ExtraType::Integer => ColumnType::Integer,
            ExtraType::Float => ColumnType::Float,
            ExtraType::Boolean => ColumnType::Boolean,
            ExtraType::Date => ColumnType::Date,
        }
    }
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// File or glob: .csv, .tsv, .jsonl, .parquet, .arrow, each also .gz or .zst.
    #[schemars(extend("x-relabel-key" = false))]
    path: String,
    /// Which columns of the file are the record's id, text and label.
    #[serde(default)]
    columns: ColumnNames,
    /// The format, where the file's name does not say it.
    #[serde(default)]
    format: Option<Format>,
    /// Types of further CSV, TSV or JSONL columns; strings unless said here.
    #[serde(default)]
    types: std::collections::BTreeMap<String, ExtraType>,
    /// What to do with a row that cannot be read.
    #[serde(default)]
    on_bad_row: OnBadRow,
}

pub(crate) struct Source;

impl Kind for Source {
    type Params = Params;

    const NAME: &'static str = "source";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = "Reads labelled records from files.";

    fn input_ports() -> Vec<InputPort> {
        Vec::new()
    }

    fn output_ports() -> Vec<&'static str> {
        vec!["", "rejected"]
    }

    fn check(params: &Params, context: &CheckContext<'_>) -> Result<Checked, Vec<Finding>> {
        let at_path = |error: NodeError| {
            let mut finding = Finding::param("/path", error.to_string());
            finding.hint = error.hint().map(str::to_owned);
            vec![finding]
        };
        let files = matching_files(context.world.base_dir(), &params.path).map_err(at_path)?;
        let format = Format::of(&files[0], params.format).map_err(at_path)?;
        let (found, open) = table::peek(&files[0], format).map_err(at_path)?;
        let schema = output_schema(params, &found, open)?;
        let rejected = Schema::new([
            ("file", ColumnType::String),
            ("line", ColumnType::Integer),
            ("reason", ColumnType::String),
            ("raw", ColumnType::String),
        ]);
        Ok(Checked {
            outputs: vec![("", PortType::Frame(schema)), ("rejected", PortType::Frame(rejected))],
            ..Checked::default()
        })
    }

    fn node(params: Params, _: &Making<'_>) -> Result<Box<dyn Node>, NodeError> {
        Ok(Box::new(SourceNode { params }))
    }
}

/// The columns that come out, given those of the file.
fn output_schema(
    params: &Params,
    found: &[(String, ColumnType)],
    open: bool,
) -> Result<Schema, Vec<Finding>> {
    let names = &params.columns;
    let mut findings = Vec::new();
    let mut schema = Schema { open, ..Schema::default() };
    for (role, wanted) in [("id", &names.id), ("text", &names.text), ("label", &names.label)] {
        let there = found.iter().any(|(name, _)| name == wanted);
        if !there && !open {
            let message = format!("the file has no column `{wanted}` for `{role}`");
            let mut finding = Finding::param(&format!("/columns/{role}"), message);
            let known: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
            finding.hint = Some(match plan::did_you_mean(wanted, known.iter().copied()) {
                Some(name) => format!("did you mean `{name}`? write `columns: {{{role}: {name}}}`"),
                None => format!(
                    "columns there: `{}`; name the right one with `columns: {{{role}: NAME}}`",
                    known.join("`, `")
                ),
            });
            findings.push(finding);
        }
    }
    for name in ["record_id", "text", "label"] {
        schema.set(name, ColumnType::String);
    }
    let mapped = [&names.id, &names.text, &names.label];
    for (name, column_type) in found.iter().filter(|(name, _)| !mapped.contains(&name)) {
        if schema.has(name) {
            let message =
                format!("the file has a column `{name}` besides the one that becomes `{name}`");
            findings.push(Finding::param("/columns", message));
        }
        let given = params.types.get(name).map(|extra| extra.column_type());
        schema.set(name, given.unwrap_or(*column_type));
    }
    for name in params.types.keys().filter(|name| !open && !schema.has(name)) {
        let message = format!("`types` names `{name}`, which the file does not have");
        findings.push(Finding::param(&format!("/types/{name}"), message));
    }
    if findings.is_empty() { Ok(schema) } else { Err(findings) }
}

struct SourceNode {
    params: Params,
}

impl Node for SourceNode {
    fn facts(&self, context: &mut FactContext<'_>) -> Result<(), NodeError> {
        for file in matching_files(context.base_dir, &self.params.path)? {
            context.file(&file)?;
        }
        Ok(())
    }

    fn run(&self, context: &RunContext<'_>, _: &Inputs) -> Result<Outputs, NodeError> {
        let files = matching_files(context.base_dir, &self.params.path)?;
        let mut whole: Option<DataFrame> = None;
        let mut rejected = Vec::new();
        for (n, file) in files.iter().enumerate() {
            let frame = self.read(file, context.base_dir, &mut rejected)?;
            whole = Some(match whole {
                None => frame,
                Some(mut whole) => {
                    whole.vstack_mut(&frame).map_err(|error| {
                        NodeError::input(format!(
                            "`{}` does not have the columns of the files before it: {error}",
                            shown(file, context.base_dir)
                        ))
                    })?;
                    whole
                }
            });
            (context.progress)((n + 1) as f32 / files.len() as f32);
        }
        let frame = whole.ok_or_else(|| NodeError::Internal("no file was read".into()))?;
        if frame.height() == 0 {
            return Err(NodeError::input(format!("`{}` holds no record", self.params.path))
                .with_hint("a header alone, or every row rejected: there is nothing to audit"));
        }
        check_ids(&frame, &self.params.columns.id)?;
        let mut outputs = Outputs::frame(frame);
        if !rejected.is_empty() {
            let text = format!("{} rows could not be read and are quarantined", rejected.len());
            outputs.warn(text, Some("`relabel show NODE.rejected` lists them with their reasons"));
        }
        Ok(outputs.with("rejected", engine::Artifact::Frame(rejected_frame(&rejected)?)))
    }
}

/// A row that could not be read.
pub(crate) struct BadRow {
    pub file: String,
    pub line: u64,
    pub reason: String,
    pub raw: String,
}

impl SourceNode {
    fn read(
        &self,
        file: &Path,
        base_dir: &Path,
        rejected: &mut Vec<BadRow>,
    ) -> Result<DataFrame, NodeError> {
        let format = Format::of(file, self.params.format)?;
        let name = shown(file, base_dir);
        let (table, bad) = table::read_file(file, format, &name)?;
        if !bad.is_empty() && self.params.on_bad_row == OnBadRow::Fail {
            return Err(bad_rows_error(&name, &bad));
        }
        rejected.extend(bad);
        table::shape(table, &self.params.columns, &self.params.types, &name)
    }
}

fn bad_rows_error(file: &str, bad: &[BadRow]) -> NodeError {
    let lines: Vec<String> =
        bad.iter().take(10).map(|row| format!("\n  {file}:{}: {}", row.line, row.reason)).collect();
    let more = match bad.len().saturating_sub(10) {
        0 => String::new(),
        more => format!("\n  and {more} more"),
    };
    let rows = if bad.len() == 1 { "row" } else { "rows" };
    NodeError::input(format!("{} {rows} cannot be read:{}{more}", bad.len(), lines.concat()))
        .with_hint("mend them, or set `on_bad_row: quarantine` to go on without them")
}

fn rejected_frame(rows: &[BadRow]) -> Result<DataFrame, NodeError> {
    let lines: Vec<i64> = rows.iter().map(|row| row.line as i64).collect();
    crate::columns::frame(vec![
        string_column("file", rows.iter().map(|row| Some(row.file.as_str()))),
        Column::new("line".into(), lines),
        string_column("reason", rows.iter().map(|row| Some(row.reason.as_str()))),
        string_column("raw", rows.iter().map(|row| Some(row.raw.as_str()))),
    ])
}

/// Record ids must be there and be unique: everything downstream is keyed by them.
fn check_ids(frame: &DataFrame, column: &str) -> Result<(), NodeError> {
    let ids = crate::columns::strings(frame, "record_id")?;
    let mut first: PlHashMap<&str, usize> =
        PlHashMap::with_capacity_and_hasher(frame.height(), Default::default());
    let mut empty = Vec::new();
    let mut duplicate = Vec::new();
    for (row, id) in ids.iter().enumerate() {
        match id {
            None => empty.push((row + 1).to_string()),
            Some(id) if id.trim().is_empty() => empty.push((row + 1).to_string()),
            Some(id) => {
                if let Some(before) = first.insert(id, row) {
                    duplicate.push(format!("{id}` (records {} and {})", before + 1, row + 1));
                }
            }
        }
    }
    if !empty.is_empty() {
        let message = format!(
            "{} records have no id in column `{column}`: records {}",
            empty.len(),
            listed(&empty, 10).replace('`', "")
        );
        return Err(NodeError::input(message).with_hint("every record needs an id of its own"));
    }
    if !duplicate.is_empty() {
        let shown: Vec<String> = duplicate.iter().take(10).map(|id| format!("`{id}")).collect();
        let more = match duplicate.len().saturating_sub(10) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let message = format!(
            "{} record ids in column `{column}` are used twice: {}{more}",
            duplicate.len(),
            shown.join(", ")
        );
        return Err(NodeError::input(message)
            .with_hint("give each record its own id; corrections are kept by id"));
    }
    Ok(())
}

fn shown(file: &Path, base_dir: &Path) -> String {
    file.strip_prefix(base_dir)
        .map(PathBuf::from)
        .unwrap_or_else(|_| file.into())
        .display()
        .to_string()
}

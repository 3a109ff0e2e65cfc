//! `relabel show`: prints a frame from the cache.

use ::plan::{HandOn, Step};
use clap::ValueEnum;
use engine::{
    OutputRecord, Part, PlannedUnit, UnitName, UnitRecord, UnitState, load_frame, notes_of,
};
use polars::prelude::*;
use serde_json::{Map, Value, json};

use crate::args::{Format, PipelineOption};
use crate::context::{Context, Loaded};
use crate::error::{CliError, Exit};
use crate::output::{self, Table};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shape {
    Table,
    Csv,
    Json,
}

/// Prints the output of a node as it is in the cache, and on stderr what the node said of it
#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(help = "NODE, NODE.PORT, or a variant of a matrix: NODE[VARIANT]")]
    node: String,
    #[command(flatten)]
    pipeline: PipelineOption,
    /// Rows to print; 0 for all
    #[arg(long, default_value_t = 20)]
    limit: usize,
    /// How to print them; json is one object a line
    #[arg(long = "as", value_enum, default_value_t = Shape::Table)]
    shape: Shape,
}

pub fn run(args: Args, context: &Context) -> Result<Exit, CliError> {
    let loaded = context.load(&args.pipeline.into())?;
    let (node, port) = ::plan::split_reference(&args.node);
    let Some(step) = loaded.plan.find(node) else {
        let near = ::plan::did_you_mean(node, loaded.plan.steps().map(|step| step.name.as_str()));
        let error = CliError::usage(format!("no node `{node}` in {}", loaded.name));
        return Err(match near {
            Some(near) => error.with_hint(format!("did you mean `{near}`?")),
            None => error,
        });
    };
    // A matrix that hands nothing on has its comparison to show.
    let port = match &step.matrix {
        Some(matrix) if port.is_empty() && matrix.hand_on == HandOn::Nothing => "compare",
        _ => port,
    };
    let record = match record(context, &loaded, step)? {
        Found::Record(record) => record,
        Found::Blocked { unit, why } => {
            let message = format!("`{node}` as it is now cannot be judged: {unit}: {why}");
            return Err(CliError::new(Exit::Internal, message));
        }
        Found::Nothing => {
            let hint = format!("run it first: relabel run {} --select {node}", loaded.name);
            let message = format!("`{node}` as it is now is not in the cache");
            return Err(CliError::usage(message).with_hint(hint));
        }
    };
    let Some(out) = record.output(port) else {
        let ports: Vec<&str> = record.outputs.iter().map(|out| out.port.as_str()).collect();
        return Err(CliError::usage(format!("`{node}` has no port `{port}`"))
            .with_hint(format!("ports: `{}`", ports.join("`, `"))));
    };
    if out.rows.is_none() {
        for blob in &out.blobs {
            loaded.cache.read_blob(blob).map_err(|error| damaged(&error))?;
        }
        output::result(format!("a model of {} bytes, digest {}", out.bytes(), out.logical));
        return Ok(Exit::Done);
    }
    let frame = read(&loaded, out)?;
    let height = frame.height();
    let frame = if args.limit == 0 { frame } else { frame.head(Some(args.limit)) };
    let shape = match context.format {
        Format::Json => Shape::Json,
        Format::Text if context.csv => Shape::Csv,
        Format::Text => args.shape,
    };
    print(&frame, shape)?;
    if shape == Shape::Table && frame.height() < height {
        output::info(format!("{} of {height} rows; `--limit 0` for all", frame.height()));
    }
    tell_notes(&step.name, &record, shape);
    Ok(Exit::Done)
}

/// Says again what the unit said when it ran, whether that was just now or long ago: beside the rows,
/// so that these can be piped on. CSV goes into files and has no notes.
fn tell_notes(node: &str, record: &UnitRecord, shape: Shape) {
    match shape {
        Shape::Csv => {}
        Shape::Table => output::note_lines(&notes_of(record)).iter().for_each(output::info),
        Shape::Json if record.notes.is_empty() => {}
        Shape::Json => output::json_info(&json!({
            "event": "notes",
            "schema_version": 1,
            "node": node,
            "notes": record.notes,
        })),
    }
}

/// What the cache holds of a step as it is now.
enum Found {
    Record(UnitRecord),
    Nothing,
    /// Nobody can say: a unit that it needs, or one of its own, cannot be judged.
    Blocked {
        unit: UnitName,
        why: String,
    },
}

fn record(context: &Context, loaded: &Loaded, step: &Step) -> Result<Found, CliError> {
    let units = context.engine(loaded).plan(&loaded.plan, Some(&[step.id]), &[])?;
    let whole = |unit: &&PlannedUnit| unit.unit.node == step.name && unit.unit.part == Part::Whole;
    let key = units.iter().find(whole).and_then(|unit| unit.key);
    if let Some(record) = key.and_then(|key| loaded.cache.record(&key)) {
        return Ok(Found::Record(record));
    }
    // The first of them is the cause of the others.
    Ok(units
        .into_iter()
        .find_map(|unit| match unit.state {
            UnitState::Blocked(why) => Some(Found::Blocked { unit: unit.unit, why }),
            _ => None,
        })
        .unwrap_or(Found::Nothing))
}

fn read(loaded: &Loaded, out: &OutputRecord) -> Result<DataFrame, CliError> {
    load_frame(&loaded.cache, out, None).map_err(|error| damaged(&error))
}

fn damaged(error: &dyn std::fmt::Display) -> CliError {
    CliError::new(Exit::Internal, error.to_string())
}

/// The frame on a port of a step, if the cache has it as it is now.
pub(super) fn cached(
    context: &Context,
    loaded: &Loaded,
    step: &Step,
    port: &str,
) -> Result<Option<DataFrame>, CliError> {
    let Found::Record(record) = record(context, loaded, step)? else { return Ok(None) };
    let out = record.output(port);
    out.map(|out| read(loaded, out)).transpose()
}

fn print(frame: &DataFrame, shape: Shape) -> Result<(), CliError> {
    match shape {
        Shape::Table => output::result(table(frame)?.render()),
        Shape::Csv => {
            let texts = texts(frame)?;
            let mut writer = csv::Writer::from_writer(Vec::new());
            let fail = |error: csv::Error| CliError::new(Exit::Internal, error.to_string());
            writer.write_record(names(frame)).map_err(fail)?;
            for row in 0..frame.height() {
                let cells = texts.iter().map(|column| column.get(row).unwrap_or_default());
                writer.write_record(cells).map_err(fail)?;
            }
            let bytes = writer
                .into_inner()
                .map_err(|error| CliError::new(Exit::Internal, error.to_string()))?;
            output::result_bytes(&bytes);
        }
        Shape::Json => rows(frame)?.iter().for_each(output::json),
    }
    Ok(())
}

fn names(frame: &DataFrame) -> Vec<&str> {
    frame.columns().iter().map(|column| column.name().as_str()).collect()
}

fn texts(frame: &DataFrame) -> Result<Vec<StringChunked>, CliError> {
    frame
        .columns()
        .iter()
        .map(|column| Ok(column.cast(&DataType::String)?.str()?.clone()))
        .collect::<PolarsResult<Vec<StringChunked>>>()
        .map_err(|error| CliError::new(Exit::Internal, error.to_string()))
}

/// A frame for people.
pub(super) fn table(frame: &DataFrame) -> Result<Table, CliError> {
    let texts = texts(frame)?;
    let mut table = Table::new(&names(frame));
    for row in 0..frame.height() {
        table.row(texts.iter().map(|column| short(column.get(row))));
    }
    Ok(table)
}

/// A frame as one object a row.
pub(super) fn rows(frame: &DataFrame) -> Result<Vec<Value>, CliError> {
    let texts = texts(frame)?;
    let row = |row: usize| {
        let cells = frame.columns().iter().zip(&texts);
        let cells = cells.map(|(column, texts)| {
            (column.name().to_string(), value(texts.get(row), column.dtype()))
        });
        Value::Object(cells.collect::<Map<String, Value>>())
    };
    Ok((0..frame.height()).map(row).collect())
}

fn value(text: Option<&str>, dtype: &DataType) -> Value {
    match (text, dtype) {
        (None, _) => Value::Null,
        (Some(text), DataType::Boolean) => json!(text == "true"),
        (Some(text), dtype) if dtype.is_primitive_numeric() => {
            serde_json::from_str(text).unwrap_or(Value::Null)
        }
        (Some(text), _) => json!(text),
    }
}

/// A cell that fits in a table: one line, at most 48 characters.
fn short(text: Option<&str>) -> String {
    let Some(text) = text else { return "-".into() };
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.chars().count() <= 48 {
        return line;
    }
    let head: String = line.chars().take(45).collect();
    format!("{head}...")
}

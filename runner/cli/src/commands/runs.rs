//! `relabel runs`: what has been run here.

use clap::Subcommand;
use engine::{Cache, History, RunRecord, UnitEntry, notes_from_json};
use serde_json::{Value, json};

use crate::args::Format;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output::{self, Table};

mod diff;

/// Shows runs of the past
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists runs, newest first
    List {
        /// Most runs to list
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// Shows one run with its units
    Show {
        /// The run's id, a unique part of it at either end, or `last`
        #[arg(default_value = "last")]
        run: String,
    },
    /// Compares two runs: parameters, plugins, metrics, rows, durations, flagged records
    Diff {
        /// The earlier run: an id, a unique part of it at either end, `last`, or `last~N`
        a: String,
        /// The later run
        #[arg(default_value = "last")]
        b: String,
    },
}

pub fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let here = std::env::current_dir()?;
    let folder = context.cache_of_folder(&here);
    let history = History::at(&folder);
    match &args.command {
        Command::List { limit } => {
            let ids = history.run_ids();
            let newest = ids.iter().rev().take(*limit);
            let runs: Vec<Listed> =
                newest.map(|id| history.read(id).map_err(|_| id.clone())).collect();
            list(&runs, context.format);
            if runs.is_empty() && context.format == Format::Text {
                output::info(format!("no run is recorded in {}", folder.display()));
            }
        }
        Command::Show { run } => show(&find(&history, run)?, context.format),
        Command::Diff { a, b } => {
            let cache = Cache::at(&folder);
            diff::run(&find(&history, a)?, &find(&history, b)?, &cache, context.format);
        }
    }
    Ok(Exit::Done)
}

/// The outcome of a run whose `run.json` cannot be read.
const UNREADABLE: &str = "unreadable";

/// A run, or the id of one that cannot be read.
type Listed = Result<RunRecord, String>;

/// Finds a run, and says which newer ones could not be read if the last one was asked for.
fn find(history: &History, name: &str) -> Result<RunRecord, CliError> {
    let run = history.find(name)?;
    if name.starts_with("last") {
        let ids = history.run_ids();
        for id in ids.iter().rev().take_while(|id| **id > run.run_id) {
            if let Err(error) = history.read(id) {
                output::info(format!("warning: run {id} is passed over: {error}"));
            }
        }
    }
    Ok(run)
}

fn units_json(run: &RunRecord) -> Value {
    json!(run.summary.as_ref().map(|summary| summary.units))
}

/// A unit as the run's log has it, and of which variant of a matrix it is.
fn unit_json(unit: &UnitEntry) -> Value {
    let mut value = json!(unit);
    value["variant"] = output::variant_json(&unit.node);
    value
}

fn list(runs: &[Listed], format: Format) {
    if format == Format::Json {
        let runs: Vec<Value> = runs
            .iter()
            .map(|run| match run {
                Err(id) => json!({ "run_id": id, "outcome": UNREADABLE }),
                Ok(run) => json!({
                    "run_id": run.run_id,
                    "pipeline": run.pipeline,
                    "started_at": run.started_at,
                    "outcome": run.outcome,
                    "seconds": run.summary.as_ref().map(|summary| summary.seconds),
                    "units": units_json(run),
                }),
            })
            .collect();
        return output::json(&json!({ "schema_version": 1, "runs": runs }));
    }
    let mut table =
        Table::new(&["run", "pipeline", "started", "outcome", "seconds", "hit", "run", "failed"]);
    for run in runs {
        let run = match run {
            Ok(run) => run,
            Err(id) => {
                let mut row = [const { String::new() }; 8];
                (row[0], row[3]) = (id.clone(), UNREADABLE.to_owned());
                table.row(row);
                continue;
            }
        };
        let summary = run.summary.as_ref();
        let count = |get: fn(&engine::UnitCounts) -> usize| {
            summary.map(|summary| get(&summary.units).to_string()).unwrap_or_default()
        };
        table.row([
            run.run_id.clone(),
            run.pipeline.clone(),
            run.started_at.clone(),
            run.outcome.word().to_owned(),
            summary.map(|summary| format!("{:.2}", summary.seconds)).unwrap_or_default(),
            count(|units| units.hit),
            count(|units| units.run),
            count(|units| units.failed),
        ]);
    }
    output::result(table.render());
}

fn show(run: &RunRecord, format: Format) {
    if format == Format::Json {
        return output::json(&json!({
            "schema_version": 1,
            "run_id": run.run_id,
            "outcome": run.outcome,
            "header": run.header,
            "summary": run.summary,
            "units": run.units.iter().map(unit_json).collect::<Vec<Value>>(),
        }));
    }
    output::result(format!("run       {}", run.run_id));
    output::result(format!("pipeline  {}", run.pipeline));
    output::result(format!("started   {}", run.started_at));
    output::result(format!("outcome   {}\n", run.outcome.word()));
    let mut table = Table::new(&[
        "unit", "kind", "state", "reason", "rows", "seconds", "CPU s", "peak MB", "saved s",
    ]);
    for unit in &run.units {
        let reason = unit.reason.as_ref().and_then(|reason| reason["text"].as_str());
        let reason = reason.map(str::to_owned).or_else(|| unit.message.clone());
        table.row([
            unit.name(),
            unit.kind.clone(),
            unit.state.clone(),
            reason.unwrap_or_default(),
            unit.rows.map(|rows| rows.to_string()).unwrap_or_default(),
            unit.seconds.map(|seconds| format!("{seconds:.2}")).unwrap_or_default(),
            // With a `+` when other units ran at the same time: their seconds are in it.
            unit.cpu_seconds
                .map(|seconds| format!("{seconds:.2}{}", if unit.cpu_shared { "+" } else { "" }))
                .unwrap_or_default(),
            unit.peak_bytes.map(|bytes| (bytes / 1_000_000).to_string()).unwrap_or_default(),
            unit.saved_seconds.map(|seconds| format!("{seconds:.2}")).unwrap_or_default(),
        ]);
    }
    output::result(table.render());
    run.units.iter().for_each(tell_notes);
}

/// What a unit said, also when its result was there before; nothing where it said nothing.
fn tell_notes(unit: &UnitEntry) {
    let lines = output::note_lines(&notes_from_json(&unit.notes));
    if !lines.is_empty() {
        output::result(format!("\n{}", unit.name()));
        lines.iter().for_each(output::result);
    }
}

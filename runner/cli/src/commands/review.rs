//! `relabel review`: the queue's state, what is known of reviewers, and decisions as CSV.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Subcommand;
use review_store::{ExportScope, ReviewStore, Status, export_decisions, read_decisions};
use serde_json::json;

use crate::args::{Format, PipelineOption};
use crate::context::{Context, store_url};
use crate::error::{CliError, Exit};
use crate::output::{self, Table};

mod people;

/// Shows the review queue, and moves decisions in and out
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, clap::Args)]
struct StoreArgs {
    /// Review store, such as `sqlite:relabel.db`; the pipeline's if absent
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    #[command(flatten)]
    pipeline: PipelineOption,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Counts open and decided items; with a pipeline, what its nodes know of reviewers and of what is left
    Status {
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Reads decisions from a CSV file: record_id, review_decision, final_label, reviewed_by, reviewed_at, note
    Import {
        /// CSV file; `-` for standard input
        file: PathBuf,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Writes decisions as CSV
    Export {
        /// CSV file; standard output if absent
        file: Option<PathBuf>,
        /// Every row of the ledger, also those that are no longer in effect
        #[arg(long)]
        history: bool,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Proves the ledger's chain
    Verify {
        #[command(flatten)]
        store: StoreArgs,
    },
}

pub fn run(args: Args, context: &Context) -> Result<Exit, CliError> {
    match args.command {
        Command::Status { store } => {
            // A store that is named by itself has no pipeline to ask.
            let asked = store.store.is_none().then(|| store.pipeline.clone());
            let counts = open(store, context)?.status(None)?;
            let known = match asked {
                Some(pipeline) => people::known(context, pipeline)?,
                None => Vec::new(),
            };
            status(&counts, &known, context.format)?;
        }
        Command::Import { file, store } => import(&file, open(store, context)?.as_ref(), context)?,
        Command::Export { file, history, store } => {
            let scope = if history { ExportScope::History } else { ExportScope::Current };
            export(file, scope, open(store, context)?.as_ref())?;
        }
        Command::Verify { store } => return verify(open(store, context)?.as_ref(), context.format),
    }
    Ok(Exit::Done)
}

fn open(args: StoreArgs, context: &Context) -> Result<Arc<dyn ReviewStore>, CliError> {
    let (url, base_dir) = match args.store {
        Some(url) => (url, std::env::current_dir()?),
        None => {
            let loaded = context.load(&args.pipeline.into())?;
            (store_url(&loaded)?, loaded.base_dir)
        }
    };
    review_store::open_existing(&url, &base_dir)?.ok_or_else(|| {
        let url = review_store::redacted(&url);
        CliError::new(Exit::Internal, format!("there is no review store at `{url}` yet"))
            .with_hint("a run with a `review-queue` node makes it")
    })
}

fn status(status: &Status, known: &[people::Known], format: Format) -> Result<(), CliError> {
    if format == Format::Json {
        let mut value = serde_json::to_value(status)
            .map_err(|error| CliError::new(Exit::Internal, error.to_string()))?;
        value["schema_version"] = json!(1);
        value["nodes"] = people::json(known)?;
        output::json(&value);
        return Ok(());
    }
    counts(status);
    people::print(known)
}

fn counts(status: &Status) {
    let header = [
        "queue",
        "open",
        "decided",
        "accepted",
        "kept",
        "other",
        "both fit",
        "invalid",
        "unsure",
        "acceptance",
    ];
    let mut table = Table::new(&header);
    for queue in &status.queues {
        let counts = [
            queue.open,
            queue.decided,
            queue.accepted,
            queue.kept,
            queue.other,
            queue.both_fit,
            queue.invalid,
            queue.unsure,
        ];
        let mut row = vec![queue.queue.clone()];
        row.extend(counts.iter().map(u64::to_string));
        row.push(queue.acceptance.map(|a| format!("{:.1}%", 100.0 * a)).unwrap_or_default());
        table.row(row);
    }
    output::result(table.render());
    for queue in &status.queues {
        for reviewer in &queue.reviewers {
            let text = format!(
                "{}: {} decided by {}",
                queue.queue, reviewer.decisions, reviewer.reviewed_by
            );
            output::result(text);
        }
    }
    output::result(format!("ledger: {} rows, head {}", status.head.seq, status.head.digest));
}

fn import(file: &PathBuf, store: &dyn ReviewStore, context: &Context) -> Result<(), CliError> {
    let name = file.display().to_string();
    let reader: Box<dyn Read> = if name == "-" {
        Box::new(std::io::stdin())
    } else {
        let file = File::open(file)
            .map_err(|error| CliError::usage(format!("cannot read `{name}`: {error}")))?;
        Box::new(BufReader::new(file))
    };
    let csv = read_decisions(reader).map_err(|errors| {
        CliError::usage(format!("`{name}` was not imported, nothing was recorded:\n{errors}"))
    })?;
    if !csv.ignored_columns.is_empty() {
        output::info(format!("columns not used: {}", csv.ignored_columns.join(", ")));
    }
    let outcome = store.record_decisions(&csv.decisions).map_err(|error| {
        CliError::usage(format!("`{name}` was not imported, nothing was recorded:\n{error}"))
    })?;
    match context.format {
        Format::Json => output::json(&json!({
            "schema_version": 1,
            "recorded": outcome.recorded,
            "already_there": outcome.already_there,
            "ledger_head": outcome.head.digest,
        })),
        Format::Text => output::result(format!(
            "{} decisions recorded, {} were there already",
            outcome.recorded, outcome.already_there
        )),
    }
    Ok(())
}

fn export(
    file: Option<PathBuf>,
    scope: ExportScope,
    store: &dyn ReviewStore,
) -> Result<(), CliError> {
    let fail = |error: &dyn std::fmt::Display| CliError::new(Exit::Internal, error.to_string());
    match file {
        None => {
            let mut bytes = Vec::new();
            export_decisions(store, scope, &mut bytes).map_err(|error| fail(&error))?;
            output::result_bytes(&bytes);
        }
        Some(path) => {
            let mut writer = BufWriter::new(File::create(&path)?);
            let rows = export_decisions(store, scope, &mut writer).map_err(|error| fail(&error))?;
            writer.flush()?;
            output::result(format!("{rows} decisions written to {}", path.display()));
        }
    }
    Ok(())
}

fn verify(store: &dyn ReviewStore, format: Format) -> Result<Exit, CliError> {
    let report = store.verify()?;
    let sound = report.is_intact();
    match format {
        Format::Json => {
            let mut value = serde_json::to_value(&report)
                .map_err(|error| CliError::new(Exit::Internal, error.to_string()))?;
            value["schema_version"] = json!(1);
            value["sound"] = json!(sound);
            output::json(&value);
        }
        Format::Text => output::result(match &report.divergence {
            None => format!("{} rows, chain intact, head {}", report.rows, report.head.digest),
            Some(bad) => format!(
                "the ledger diverges at row {}: {:?}\n  expected {}\n  found    {}\n{} rows before it are sound",
                bad.seq, bad.kind, bad.expected, bad.found, report.rows
            ),
        }),
    }
    Ok(if sound { Exit::Done } else { Exit::Diverged })
}

//! `relabel demo`: the whole story on made-up records, with real training.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use engine::{RunOptions, RunReport, load_frame};
use review_store::{Decision, NewDecision};
use serde_json::{Value, json};

use crate::args::{Format, PipelineArgs};
use crate::commands::run::{default_jobs, execute, exit_of_report, new_run_id};
use crate::context::{Context, Loaded, store_url};
use crate::demo::generate::{self, DemoData};
use crate::demo::reviewer;
use crate::error::{CliError, Exit};
use crate::output::{self, FancyReporter, Table};

const PIPELINE: &str = include_str!("../../../../pipelines/demo.yaml");

/// Audits a made-up data set in rounds, with a simulated reviewer
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder to write to; what a demo wrote there before is replaced
    #[arg(default_value = "relabel-demo")]
    folder: PathBuf,
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Records to make
    #[arg(long, default_value_t = 6000, value_parser = clap::value_parser!(u32).range(500..=1_000_000))]
    records: u32,
    /// Rounds of review
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=50))]
    rounds: u32,
}

/// What a round came to.
struct Round {
    round: u32,
    reviewed: usize,
    accepted: usize,
    errors_left: usize,
    macro_f1_gold: f64,
}

impl Round {
    fn acceptance(&self) -> Option<f64> {
        (self.reviewed > 0).then(|| self.accepted as f64 / self.reviewed as f64)
    }
}

pub fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let data = generate::generate(args.seed, args.records as usize);
    write_files(&args.folder, &data)?;
    let truth: HashMap<String, String> =
        data.records.iter().map(|r| (r.record_id.clone(), r.true_label.clone())).collect();
    let pipeline =
        PipelineArgs { pipeline: Some(args.folder.join("demo.yaml")), ..PipelineArgs::default() };
    let loaded = Context::load(context, &pipeline)?;
    let mut rounds = Vec::new();
    let report = audit(context, &loaded, 0)?;
    rounds.push(measure(&loaded, &report, &truth, 0, &[])?);
    for round in 1..=args.rounds {
        let decisions = review(args, &loaded, &truth, round)?;
        let report = audit(context, &loaded, round)?;
        rounds.push(measure(&loaded, &report, &truth, round, &decisions)?);
    }
    print(args, &rounds, context.format);
    Ok(Exit::Done)
}

fn write_files(folder: &Path, data: &DemoData) -> Result<(), CliError> {
    let marker = folder.join("demo.yaml");
    if folder.exists() {
        let empty = std::fs::read_dir(folder)?.next().is_none();
        if !empty && !marker.exists() {
            let message =
                format!("`{}` is there and is no demo; nothing was written", folder.display());
            return Err(CliError::usage(message).with_hint("name another folder"));
        }
        // The story starts from nothing: no cache, no decisions of a demo before.
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                std::fs::remove_dir_all(&path)?
            } else {
                std::fs::remove_file(&path)?
            }
        }
    }
    std::fs::create_dir_all(folder)?;
    // The demo keeps its cache to itself.
    std::fs::write(folder.join("relabel.toml"), "")?;
    std::fs::write(marker, PIPELINE)?;
    let file = |name: &str| -> Result<BufWriter<File>, CliError> {
        Ok(BufWriter::new(File::create(folder.join(name))?))
    };
    generate::write_records_csv(data, file("records.csv")?)?;
    generate::write_truth_csv(data, file("truth.csv")?)?;
    generate::write_gold_csv(data, file("gold.csv")?)?;
    generate::taxonomy_yaml(data, file("taxonomy.yaml")?)?;
    Ok(())
}

/// Says what is going on where somebody may be watching.
#[derive(Default)]
struct Quiet;

impl engine::Reporter for Quiet {
    fn event(&mut self, event: &engine::Event) {
        if let engine::Event::UnitFailed { unit, message, .. } = event {
            output::info(format!("error: {unit}: {message}"));
        }
    }
}

fn audit(context: &Context, loaded: &Loaded, round: u32) -> Result<RunReport, CliError> {
    let options =
        RunOptions { run_id: new_run_id(), jobs: default_jobs(), ..RunOptions::default() };
    let watched = context.format == Format::Text && output::stderr_is_terminal();
    if context.format == Format::Text {
        output::info(format!("round {round}: audit"));
    }
    let report = if watched {
        execute(context, loaded, &options, &mut FancyReporter::new())?
    } else {
        execute(context, loaded, &options, &mut Quiet)?
    };
    match exit_of_report(&report) {
        Exit::Done => Ok(report),
        exit => Err(CliError::new(exit, "the audit did not finish")),
    }
}

/// Decides every open item, by way of a CSV file as a team's own tools would write it.
fn review(
    args: &Args,
    loaded: &Loaded,
    truth: &HashMap<String, String>,
    round: u32,
) -> Result<Vec<NewDecision>, CliError> {
    let store = review_store::open(&store_url(loaded)?, &loaded.base_dir)?;
    let queue = format!("{}/queue", loaded.plan.name);
    let items = store.open_items(&queue, None)?;
    let decisions: Vec<NewDecision> = items
        .iter()
        .enumerate()
        .map(|(n, item)| {
            let at =
                format!("2026-01-{round:02}T{:02}:{:02}:{:02}Z", 8 + n / 3600, n / 60 % 60, n % 60);
            reviewer::decide(item, truth, args.seed, at)
        })
        .collect();
    let path = args.folder.join(format!("decisions-{round}.csv"));
    write_decisions(&path, &decisions)?;
    let csv = review_store::read_decisions(File::open(&path)?)
        .map_err(|errors| CliError::new(Exit::Internal, errors.to_string()))?;
    store.record_decisions(&csv.decisions)?;
    Ok(decisions)
}

fn write_decisions(path: &Path, decisions: &[NewDecision]) -> Result<(), CliError> {
    let fail = |error: csv::Error| CliError::new(Exit::Internal, error.to_string());
    let mut writer = csv::Writer::from_path(path).map_err(fail)?;
    let header =
        ["record_id", "review_decision", "final_label", "reviewed_by", "reviewed_at", "note"];
    writer.write_record(header).map_err(fail)?;
    for decision in decisions {
        let label = decision.final_label.as_deref().unwrap_or_default();
        let row = [
            &decision.record_id,
            decision.decision.name(),
            label,
            &decision.reviewed_by,
            &decision.reviewed_at,
            "",
        ];
        writer.write_record(row).map_err(fail)?;
    }
    writer.flush()?;
    Ok(())
}

fn measure(
    loaded: &Loaded,
    report: &RunReport,
    truth: &HashMap<String, String>,
    round: u32,
    decisions: &[NewDecision],
) -> Result<Round, CliError> {
    let current = frame(loaded, report, "current")?;
    let metrics = frame(loaded, report, "scores")?;
    let wrong = || -> polars::prelude::PolarsResult<(usize, f64)> {
        let (ids, labels) = (current.column("record_id")?.str()?, current.column("label")?.str()?);
        let wrong = ids
            .iter()
            .zip(labels.iter())
            .filter(|(id, label)| truth.get(id.unwrap_or_default()).map(String::as_str) != *label)
            .count();
        let (models, names) = (metrics.column("model")?.str()?, metrics.column("metric")?.str()?);
        let values = metrics.column("value")?.f64()?;
        let f1 = (0..metrics.height())
            .find(|row| models.get(*row) == Some("after") && names.get(*row) == Some("macro_f1"))
            .and_then(|row| values.get(row));
        Ok((wrong, f1.unwrap_or(f64::NAN)))
    };
    let (errors_left, macro_f1_gold) =
        wrong().map_err(|error| CliError::new(Exit::Internal, error.to_string()))?;
    let accepted = decisions.iter().filter(|d| d.decision == Decision::Accept).count();
    Ok(Round { round, reviewed: decisions.len(), accepted, errors_left, macro_f1_gold })
}

fn frame(
    loaded: &Loaded,
    report: &RunReport,
    node: &str,
) -> Result<polars::prelude::DataFrame, CliError> {
    let missing = || CliError::new(Exit::Internal, format!("node `{node}` gave no frame"));
    let output =
        report.records.get(node).and_then(|record| record.output("")).ok_or_else(missing)?;
    load_frame(&loaded.cache, output, None)
        .map_err(|error| CliError::new(Exit::Internal, error.to_string()))
}

fn print(args: &Args, rounds: &[Round], format: Format) {
    let names = ["records", "truth", "gold"].map(|name| format!("{name}.csv"));
    let path = |name: &str| args.folder.join(name).display().to_string();
    let reviewed: usize = rounds.iter().map(|round| round.reviewed).sum();
    let accepted: usize = rounds.iter().map(|round| round.accepted).sum();
    let acceptance = accepted as f64 / reviewed.max(1) as f64;
    if format == Format::Json {
        let rounds: Vec<Value> = rounds
            .iter()
            .map(|round| {
                json!({
                    "round": round.round,
                    "reviewed": round.reviewed,
                    "accepted": round.accepted,
                    "acceptance": round.acceptance(),
                    "errors_left": round.errors_left,
                    "macro_f1_gold": round.macro_f1_gold,
                })
            })
            .collect();
        return output::json(&json!({
            "schema_version": 1,
            "seed": args.seed,
            "rounds": rounds,
            "acceptance": acceptance,
            "paths": {
                "records": path(&names[0]),
                "truth": path(&names[1]),
                "gold": path(&names[2]),
                "taxonomy": path("taxonomy.yaml"),
                "pipeline": path("demo.yaml"),
                "store": path("relabel.db"),
                "cleaned": path("out/cleaned.parquet"),
            },
        }));
    }
    let mut table = Table::new(&[
        "round",
        "reviewed",
        "accepted",
        "acceptance",
        "errors left",
        "macro F1 on gold",
    ]);
    for round in rounds {
        table.row([
            round.round.to_string(),
            round.reviewed.to_string(),
            round.accepted.to_string(),
            round.acceptance().map(|a| format!("{:.1}%", 100.0 * a)).unwrap_or_default(),
            round.errors_left.to_string(),
            format!("{:.3}", round.macro_f1_gold),
        ]);
    }
    output::result(table.render());
    let folder = args.folder.display();
    output::result(format!(
        "\n{accepted} of {reviewed} proposals accepted ({:.0} %). Everything is in {folder}; look at it with:\n  \
         relabel plan {folder}/demo.yaml\n  relabel show suspicious -p {folder}/demo.yaml\n  \
         relabel review status -p {folder}/demo.yaml",
        100.0 * acceptance
    ));
}

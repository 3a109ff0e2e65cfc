//! `relabel cache`: what is in the cache, whether it is sound, and removing what nothing needs.

use clap::Subcommand;
use engine::{Cache, Clock, GcDone, GcOptions, GcPlan, Rerun, Sweep, SystemClock, VerifyReport};
use serde_json::{Value, json};

use crate::args::{Format, PipelineOption};
use crate::commands::run::default_jobs;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output::{self, Table, size};

/// What nobody names or finished is left alone for an hour: it may be somebody's work.
const STRAY_AGE_NS: i128 = 3600 * 1_000_000_000;

/// Shows, checks and cleans the cache
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Counts what is in the cache
    Status,
    /// Checks the digest of every artifact and every record; what is damaged is taken out
    Verify {
        /// Run so many cached units of the pipeline once more, and compare what they give
        #[arg(long, value_name = "N", default_value_t = 0)]
        rerun: usize,
        #[command(flatten)]
        pipeline: PipelineOption,
    },
    /// Removes what neither the last runs nor a run in progress uses, least recently used first
    Gc {
        /// Keep what the last N runs of each pipeline used
        #[arg(long, value_name = "N", default_value_t = 5)]
        keep_runs: usize,
        /// Forget all but the last N runs of each pipeline, as `runs list` shows them
        #[arg(long, value_name = "N")]
        runs: Option<usize>,
        /// Stop when the cache is this small, such as 10GB or 500MiB
        #[arg(long, value_name = "SIZE", value_parser = parse_size)]
        max_size: Option<u64>,
        /// Remove only what has not been used for so long, such as 30d, 12h or 45m
        #[arg(long, value_name = "AGE", value_parser = parse_age)]
        older_than: Option<u64>,
        /// Remove nothing; say what would go and what it would cost to make it again
        #[arg(long)]
        dry_run: bool,
    },
}

pub fn run(args: Args, context: &Context) -> Result<Exit, CliError> {
    match args.command {
        Command::Status => status(&here(context)?, context.format),
        Command::Verify { rerun, pipeline } => {
            let verified = verify(&here_or_pipeline(context, &pipeline, rerun)?, context.format)?;
            if rerun == 0 || verified != Exit::Done {
                return Ok(verified);
            }
            rerun_units(rerun, pipeline, context)
        }
        Command::Gc { keep_runs, runs, max_size, older_than, dry_run } => {
            let options = GcOptions {
                keep_runs,
                keep_records: runs,
                max_bytes: max_size,
                unused_for_ns: i128::from(older_than.unwrap_or(0)) * 1_000_000_000,
                stray_age_ns: STRAY_AGE_NS,
                now_ns: SystemClock.now_ns(),
            };
            gc(&here(context)?, &options, dry_run, context.format)
        }
    }
}

fn here(context: &Context) -> Result<Cache, CliError> {
    Ok(Cache::at(context.cache_of_folder(&std::env::current_dir()?)))
}

/// The cache of the pipeline where one is named or needed, else that of this folder.
fn here_or_pipeline(
    context: &Context,
    pipeline: &PipelineOption,
    rerun: usize,
) -> Result<Cache, CliError> {
    if rerun > 0 || pipeline.pipeline.is_some() {
        return Ok(context.load(&pipeline.clone().into())?.cache);
    }
    here(context)
}

fn status(cache: &Cache, format: Format) -> Result<Exit, CliError> {
    let status = engine::status(cache).map_err(engine::EngineError::from)?;
    if format == Format::Json {
        let kinds: Vec<Value> = status
            .kinds
            .iter()
            .map(|(kind, (records, bytes, seconds))| {
                json!({ "kind": kind, "records": records, "bytes": bytes, "seconds": seconds })
            })
            .collect();
        output::json(&json!({
            "schema_version": 1,
            "folder": cache.folder().display().to_string(),
            "records": status.records,
            "unreadable_records": status.unreadable_records,
            "record_bytes": status.record_bytes,
            "blobs": status.blobs,
            "blob_bytes": status.blob_bytes,
            "orphans": status.orphans,
            "orphan_bytes": status.orphan_bytes,
            "unfinished_files": status.unfinished_files,
            "unfinished_bytes": status.unfinished_bytes,
            "runs": status.runs,
            "runs_in_progress": status.runs_in_progress,
            "seconds": status.seconds,
            "kinds": kinds,
        }));
        return Ok(Exit::Done);
    }
    output::result(format!("cache     {}", cache.folder().display()));
    let bytes = size(status.record_bytes + status.blob_bytes);
    output::result(format!("holds     {} results in {bytes}", status.records));
    output::result(format!("cost      {:.1} s to make all of it again", status.seconds));
    output::result(format!("runs      {} recorded", status.runs));
    for run in &status.runs_in_progress {
        output::result(format!("running   {run}"));
    }
    let loose = [
        (status.orphans, status.orphan_bytes, "artifacts that no result needs"),
        (status.unfinished_files, status.unfinished_bytes, "files left unfinished"),
        (status.unreadable_records, 0, "records that cannot be read"),
    ];
    for (count, bytes, what) in loose.into_iter().filter(|(count, ..)| *count > 0) {
        output::result(format!("loose     {count} {what}, {}", size(bytes)));
    }
    if !status.kinds.is_empty() {
        let mut table = Table::new(&["kind", "results", "MB", "seconds"]);
        for (kind, (records, bytes, seconds)) in &status.kinds {
            let megabytes = format!("{:.1}", *bytes as f64 / 1e6);
            table.row([kind.clone(), records.to_string(), megabytes, format!("{seconds:.2}")]);
        }
        output::result(format!("\n{}", table.render()));
    }
    Ok(Exit::Done)
}

fn verify(cache: &Cache, format: Format) -> Result<Exit, CliError> {
    let report = engine::verify(cache).map_err(engine::EngineError::from)?;
    // Taken out, so that the next run finds it missing and makes it anew.
    let removed = match report.damages.is_empty() {
        true => Ok(Sweep::default()),
        false => engine::remove_damaged(cache, &report),
    };
    if format == Format::Json {
        output::json(&verify_json(&report, &removed.as_ref().map_err(ToString::to_string)));
    } else {
        for damage in &report.damages {
            output::result(format!("damaged  {}  {}", damage.unit, damage.what));
        }
        let bytes = size(report.bytes);
        output::result(format!(
            "{} results with {} artifacts ({bytes}) checked, {} damaged",
            report.records,
            report.blobs,
            report.damages.len()
        ));
        if !report.damages.is_empty() {
            output::info(match &removed {
                Ok(_) => "what is damaged was taken out; the next run makes it anew".to_owned(),
                Err(error) => format!("what is damaged could not be taken out: {error}"),
            });
        }
    }
    Ok(if report.damages.is_empty() { Exit::Done } else { Exit::Diverged })
}

fn verify_json(report: &VerifyReport, removed: &Result<&Sweep, String>) -> Value {
    let damages: Vec<Value> = report
        .damages
        .iter()
        .map(|damage| json!({ "unit": damage.unit, "key": damage.key, "what": damage.what }))
        .collect();
    json!({
        "schema_version": 1,
        "records": report.records,
        "artifacts": report.blobs,
        "bytes": report.bytes,
        "damages": damages,
        "removed": removed.is_ok() && !report.damages.is_empty(),
        "remove_error": removed.as_ref().err(),
    })
}

fn rerun_units(
    count: usize,
    pipeline: PipelineOption,
    context: &Context,
) -> Result<Exit, CliError> {
    let loaded = context.load(&pipeline.into())?;
    let reruns = context.engine(&loaded).rerun(&loaded.plan, count, default_jobs())?;
    let bad = |rerun: &&Rerun| rerun.error.is_some() || !rerun.differences.is_empty();
    let diverged = reruns.iter().filter(bad).count();
    if context.format == Format::Json {
        let units: Vec<Value> = reruns
            .iter()
            .map(|rerun| {
                let differences: Vec<Value> = rerun
                    .differences
                    .iter()
                    .map(|(port, old, new)| json!({ "port": port, "cached": old, "rerun": new }))
                    .collect();
                json!({
                    "unit": rerun.unit.to_string(),
                    "same": !bad(&rerun),
                    "differences": differences,
                    "error": rerun.error.as_ref().map(ToString::to_string),
                })
            })
            .collect();
        output::json(&json!({ "schema_version": 1, "reruns": units, "diverged": diverged }));
    } else {
        for rerun in &reruns {
            let detail = match (&rerun.error, rerun.differences.as_slice()) {
                (Some(error), _) => format!("cannot be run: {error}"),
                (None, []) => "the same".to_owned(),
                (None, ports) => {
                    let ports: Vec<String> = ports
                        .iter()
                        .map(|(port, ..)| match port.as_str() {
                            "" => "its output".to_owned(),
                            port => format!("port `{port}`"),
                        })
                        .collect();
                    format!("{} is not what the cache has", ports.join(", "))
                }
            };
            output::result(output::unit_line("rerun", &rerun.unit, &detail));
        }
        output::result(format!("{} units run once more, {diverged} diverged", reruns.len()));
        if diverged > 0 {
            output::info("hint: run it with `--force NODE`, and report what is not reproducible");
        }
    }
    Ok(if diverged == 0 { Exit::Done } else { Exit::Diverged })
}

fn gc(cache: &Cache, options: &GcOptions, dry_run: bool, format: Format) -> Result<Exit, CliError> {
    let internal = |error| CliError::from(engine::EngineError::Cache(error));
    if !cache.folder().exists() {
        return Err(CliError::usage(format!(
            "there is no cache at `{}`",
            cache.folder().display()
        ))
        .with_hint("run a pipeline first, or name its cache with `--cache-dir`"));
    }
    let mut lock = None;
    if !dry_run {
        let holder = format!("process {}", std::process::id());
        match cache.lock_sweep(&holder).map_err(internal)? {
            Ok(held) => lock = Some(held),
            Err(holder) => {
                let message = format!("another `relabel cache gc` is on ({holder})");
                return Err(CliError::new(Exit::Internal, message).with_hint("wait for its end"));
            }
        }
    }
    let plan = engine::plan_gc(cache, options).map_err(internal)?;
    let done = match dry_run {
        true => None,
        false => Some(engine::carry_out_gc(cache, &plan).map_err(internal)?),
    };
    drop(lock);
    match format {
        Format::Json => output::json(&gc_json(&plan, done.as_ref())),
        Format::Text => print_gc(&plan, done.as_ref(), options),
    }
    Ok(Exit::Done)
}

fn gc_json(plan: &GcPlan, done: Option<&GcDone>) -> Value {
    let sweep = done.map(|done| &done.sweep);
    let removals: Vec<Value> = plan
        .removals
        .iter()
        .map(|removal| {
            json!({
                "unit": removal.unit,
                "key": removal.key,
                "bytes": removal.bytes,
                "seconds": removal.seconds,
                "used_at": output::time(removal.used_ns),
            })
        })
        .collect();
    json!({
        "schema_version": 1,
        "dry_run": sweep.is_none(),
        "removals": removals,
        "seconds": plan.removals.iter().filter_map(|removal| removal.seconds).sum::<f64>(),
        "loose_files": plan.loose_files,
        "loose_bytes": plan.loose_bytes,
        "bytes_before": plan.bytes_before,
        "bytes_after": plan.bytes_after,
        "kept_by_runs": plan.kept_by_runs,
        "runs_in_progress": plan.runs_in_progress,
        "removed_bytes": sweep.map(|sweep| sweep.bytes),
        "spared": sweep.map(|sweep| sweep.spared),
        "run_records": plan.run_records.iter().map(|run| run.run_id.as_str()).collect::<Vec<_>>(),
        "run_record_bytes": plan.run_records.iter().map(|run| run.bytes).sum::<u64>(),
        "removed_run_records": done.map(|done| done.run_records),
    })
}

fn print_gc(plan: &GcPlan, done: Option<&GcDone>, options: &GcOptions) {
    let sweep = done.map(|done| &done.sweep);
    if sweep.is_none() && !plan.removals.is_empty() {
        let mut table = Table::new(&["unit", "MB", "last used", "seconds to make again"]);
        for removal in &plan.removals {
            let seconds = removal.seconds.map(|seconds| format!("{seconds:.2}"));
            table.row([
                removal.unit.clone(),
                format!("{:.1}", removal.bytes as f64 / 1e6),
                output::time(removal.used_ns),
                seconds.unwrap_or_default(),
            ]);
        }
        output::result(format!("{}\n", table.render()));
    }
    let seconds: f64 =
        plan.removals.iter().filter_map(|removal| removal.seconds).fold(0.0, |a, b| a + b);
    let (verb, results, files, bytes) = match sweep {
        Some(sweep) => ("removed", sweep.records, sweep.strays, sweep.bytes),
        None => {
            let bytes = plan.bytes_before - plan.bytes_after;
            ("would remove", plan.removals.len() as u64, plan.loose_files, bytes)
        }
    };
    output::result(format!(
        "{verb} {results} results and {files} loose files, {}; {seconds:.1} s to make again",
        size(bytes)
    ));
    if options.keep_records.is_some() {
        let (records, bytes) = match done {
            Some(done) => (done.run_records, done.run_record_bytes),
            None => {
                let bytes = plan.run_records.iter().map(|run| run.bytes).sum();
                (plan.run_records.len() as u64, bytes)
            }
        };
        output::result(format!("{verb} the records of {records} runs, {}", size(bytes)));
    }
    if let Some(sweep) = sweep.filter(|sweep| sweep.spared > 0) {
        output::result(format!("{} were taken into use meanwhile and are kept", sweep.spared));
    }
    let after = sweep.map_or(plan.bytes_after, |sweep| plan.bytes_before - sweep.bytes);
    output::result(format!("{} left; {} results are kept by runs", size(after), plan.kept_by_runs));
    if options.max_bytes.is_some_and(|max| after > max) {
        output::info("more than `--max-size` is left: what runs of the past use is kept");
        output::info("hint: keep less with `--keep-runs`");
    }
}

/// `10GB`, `500MiB`, `1.5G` or plain bytes.
fn parse_size(text: &str) -> Result<u64, String> {
    let split = text.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit.trim().to_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "t" | "tb" => 1e12,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        "tib" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        unit => {
            return Err(format!("`{unit}` is no unit of size; use B, KB, MB, GB, TB or KiB..TiB"));
        }
    };
    let number: f64 =
        number.parse().map_err(|_| "a size is a number and a unit: 10GB".to_owned())?;
    Ok((number * factor) as u64)
}

/// `30d`, `12h`, `45m` or `90s`, in seconds.
fn parse_age(text: &str) -> Result<u64, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor: u64 = match unit.trim() {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return Err("an age is a number and s, m, h, d or w: 30d".into()),
    };
    let number: u64 = number.parse().map_err(|_| "an age begins with a number: 30d".to_owned())?;
    number.checked_mul(factor).ok_or_else(|| "that is longer than anything is old".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_ages() {
        assert_eq!(parse_size("10GB"), Ok(10_000_000_000));
        assert_eq!(parse_size("1.5 MiB"), Ok(1_572_864));
        assert_eq!(parse_size("0"), Ok(0));
        assert!(parse_size("ten").is_err() && parse_size("5 parsecs").is_err());
        assert_eq!(parse_age("30d"), Ok(30 * 86_400));
        assert_eq!(parse_age("45m"), Ok(2700));
        assert!(parse_age("30").is_err() && parse_age("d").is_err());
        assert!(parse_age("99999999999999999999d").is_err());
    }
}

//! `relabel run`: runs what is missing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::plan::{Plan, StepId};
use engine::classifier::Cancel;
use engine::{Reporter, RunOptions, RunReport};
use serde_json::json;

use crate::args::{Format, PipelineArgs};
use crate::context::{Context, Loaded};
use crate::error::{CliError, Exit, exit_of};
use crate::output::{
    self, FancyReporter, JsonReporter, LineageReporter, PlainReporter, RepeatHints,
};

mod watch;

use watch::Watched;

/// Which nodes a command is about
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Selection {
    /// Only these nodes and what they need: NODE, +NODE, NODE+, kind:KIND, globs
    #[arg(long, value_name = "SELECTOR")]
    pub select: Vec<String>,
    /// Run these nodes although the cache has them
    #[arg(long, value_name = "SELECTOR")]
    pub force: Vec<String>,
}

/// Runs a pipeline: what is in the cache is not done again
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pipeline: PipelineArgs,
    #[command(flatten)]
    selection: Selection,
    /// Units at a time; the number of cores if absent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Go on with what does not depend on a unit that failed
    #[arg(long)]
    keep_going: bool,
    /// Run again whenever the pipeline, its taxonomy, sources or plugins change; Ctrl-C ends it
    #[arg(long)]
    watch: bool,
    /// Append what was read and written to this file, as OpenLineage events
    #[arg(long, value_name = "FILE")]
    lineage: Option<PathBuf>,
}

type Selected = (Option<Vec<StepId>>, Vec<StepId>);

pub fn selected(plan: &Plan, selection: &Selection) -> Result<Selected, CliError> {
    let resolve = |selectors: &[String]| {
        ::plan::select(plan, selectors).map_err(|error| {
            let hint = error.hint.clone();
            CliError { hint, ..CliError::usage(error.to_string()) }
        })
    };
    let chosen = if selection.select.is_empty() { None } else { Some(resolve(&selection.select)?) };
    if let Some(chosen) = &chosen {
        let included = plan.with_needs(chosen);
        for selector in &selection.force {
            let forced = resolve(std::slice::from_ref(selector))?;
            if !forced.iter().any(|step| included.contains(step)) {
                return Err(nothing_to_force(selection, selector));
            }
        }
    }
    Ok((chosen, resolve(&selection.force)?))
}

fn nothing_to_force(selection: &Selection, selector: &str) -> CliError {
    let selectors: Vec<String> = selection.select.iter().map(|s| output::quoted(s)).collect();
    let message = format!(
        "`--force {selector}` forces nothing: no node of it is among what `--select {}` runs",
        selection.select.join(" --select ")
    );
    let selected = selectors.join(" --select ");
    let forced = output::quoted(selector);
    CliError::usage(message).with_hint(format!(
        "select it too: `--select {selected} --select {forced} --force {forced}`"
    ))
}

pub fn default_jobs() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

pub fn new_run_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

pub fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let cancel = Cancel::default();
    if args.watch {
        install_interrupt(&cancel)?;
        return watch(args, context, &cancel);
    }
    let loaded = context.load(&args.pipeline)?;
    install_interrupt(&cancel)?;
    let done = run_once(args, context, &loaded, &cancel);
    // The process ends here: taking a plan of thousands of nodes apart would only take time.
    std::mem::forget(loaded);
    done
}

fn run_once(
    args: &Args,
    context: &Context,
    loaded: &Loaded,
    cancel: &Cancel,
) -> Result<Exit, CliError> {
    let _stores = review_store::KeepOpen::new();
    let (chosen, forced) = selected(&loaded.plan, &args.selection)?;
    let options = RunOptions {
        run_id: new_run_id(),
        selected: chosen,
        forced,
        jobs: args.jobs.map_or_else(default_jobs, usize::from),
        keep_going: args.keep_going,
        cancel: cancel.clone(),
    };
    let mut reporter: Box<dyn Reporter> = match context.format {
        Format::Json => Box::new(JsonReporter),
        Format::Text => {
            for warning in &loaded.plan.warnings {
                output::info(format!("warning: {}", warning.message));
            }
            match output::stderr_is_terminal() {
                true => Box::new(FancyReporter::new()),
                false => Box::new(PlainReporter::default()),
            }
        }
    };
    let command = command_line(&args.pipeline);
    let places = &context.places;
    let mut reporter = RepeatHints { reporter: reporter.as_mut(), command, places };
    let report = match &args.lineage {
        None => execute(context, loaded, &options, &mut reporter)?,
        Some(path) => {
            let mut lineage =
                LineageReporter::new(path, &loaded.plan, &loaded.base_dir, &mut reporter).map_err(
                    |error| {
                        let message =
                            format!("cannot write lineage to `{}`: {error}", path.display());
                        CliError::new(Exit::Internal, message)
                    },
                )?;
            execute(context, loaded, &options, &mut lineage)?
        }
    };
    let exit = exit_of_report(&report);
    summarise(&report, exit, context, args);
    Ok(exit)
}

/// Runs, waits for a change, and runs again; what is wrong is told, and ends nothing.
fn watch(args: &Args, context: &Context, cancel: &Cancel) -> Result<Exit, CliError> {
    let pipeline = context.pipeline_path(&args.pipeline)?;
    let mut watched: Option<Watched> = None;
    loop {
        // Looked at before the run, so that a change during it is a change.
        let loaded = context.load(&args.pipeline);
        let readable = loaded.as_ref().ok();
        let mut now = Watched::new(&args.pipeline, &pipeline, context, readable, watched.as_ref());
        let done = loaded.and_then(|loaded| {
            let done = run_once(args, context, &loaded, cancel);
            now.add_known(context, &loaded);
            done
        });
        if let Err(error) = done {
            output::error(&error, context.format);
        }
        if cancel.is_cancelled() {
            return Ok(Exit::Interrupted);
        }
        output::info("watching for changes; Ctrl-C ends it");
        let Some(changed) = now.wait(cancel) else { return Ok(Exit::Interrupted) };
        output::info(format!("changed: {}", changed.join(", ")));
        watched = Some(now);
    }
}

pub fn execute(
    context: &Context,
    loaded: &Loaded,
    options: &RunOptions,
    reporter: &mut dyn Reporter,
) -> Result<RunReport, CliError> {
    let report = context.engine(loaded).run(&loaded.plan, options, reporter)?;
    // The first run of all makes the folder that they are kept in.
    loaded.checks.save();
    Ok(report)
}

/// The first Ctrl-C ends the run cleanly, the second at once.
fn install_interrupt(cancel: &Cancel) -> Result<(), CliError> {
    use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
    // Past a file size limit the write is to fail with an error, not the process with a signal.
    signal_hook::flag::register(SIGXFSZ, Arc::default())?;
    for signal in [SIGINT, SIGTERM] {
        let exit = i32::from(Exit::Interrupted.code());
        signal_hook::flag::register_conditional_shutdown(signal, exit, cancel.flag())?;
        signal_hook::flag::register(signal, cancel.flag())?;
    }
    Ok(())
}

pub fn exit_of_report(report: &RunReport) -> Exit {
    if let Some((_, error)) = report.failures.first() {
        return exit_of(error);
    }
    if report.summary.interrupted { Exit::Interrupted } else { Exit::Done }
}

fn summarise(report: &RunReport, exit: Exit, context: &Context, args: &Args) {
    let summary = &report.summary;
    let units = summary.units;
    if context.format == Format::Json {
        output::json(&json!({
            "event": "run_finished",
            "schema_version": 1,
            "run_id": summary.run_id,
            "exit_code": exit.code(),
            "seconds": summary.seconds,
            "saved_seconds": summary.saved_seconds,
            "units": units,
        }));
        return;
    }
    let mut text = format!("{} hit, {} run", units.hit, units.run);
    for (count, word) in [(units.failed, "failed"), (units.skipped, "skipped")] {
        if count > 0 {
            text.push_str(&format!(", {count} {word}"));
        }
    }
    output::result(format!("{text} in {:.2} s (run {})", summary.seconds, summary.run_id));
    if exit == Exit::Interrupted {
        output::info("interrupted; what is finished is kept");
        let command = command_line(&args.pipeline);
        output::info(format!("go on with: {command}{}{}", rest_of(args), context.places));
    }
}

/// The command that runs this pipeline once more.
fn command_line(args: &PipelineArgs) -> String {
    let pipeline = args.pipeline.iter().map(|path| format!(" {}", shown(path)));
    let params = args.params.iter().map(|file| format!(" --params {}", shown(file)));
    let sets = args.set.iter().map(|set| format!(" --set {}", output::always_quoted(set)));
    let options: String = pipeline.chain(params).chain(sets).collect();
    format!("relabel run{options}")
}

/// The options of a run that is to be gone on with. What was forced is not forced again: that would
/// throw away what is finished.
fn rest_of(args: &Args) -> String {
    let selected = args.selection.select.iter();
    let selected = selected.map(|selector| format!(" --select {}", output::quoted(selector)));
    let jobs = args.jobs.map(|jobs| format!(" --jobs {jobs}"));
    let keep_going = args.keep_going.then(|| " --keep-going".to_owned());
    let lineage = args.lineage.iter().map(|path| format!(" --lineage {}", shown(path)));
    selected.chain(jobs).chain(keep_going).chain(lineage).collect()
}

fn shown(path: &Path) -> String {
    output::quoted(&path.to_string_lossy())
}

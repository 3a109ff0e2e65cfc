//! `relabel plugins check`: the contract suite on one plugin, for its author.

use clap::ValueEnum;
use engine::classifier::{Classifier, ClassifierSource, Isolation, PluginRequest};
use plugin_host::contract::{CHECKS, Check, Report, Verdict, examine};
use serde_json::{Value, json};

use crate::args::Format;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output::{self, Table};

/// Checks that a plugin keeps the contract, on made-up texts; exit code 7 when it does not
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of a plugin, or path of its file
    plugin: String,
    /// Only this check; may be given several times
    #[arg(long, value_name = "CHECK")]
    only: Vec<String>,
    /// Where a library is to run; a program always has a process of its own
    #[arg(long, value_enum, value_name = "WHERE")]
    isolation: Option<IsolationName>,
}

/// The words of a pipeline file, for the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum IsolationName {
    Process,
    InProcess,
}

impl From<IsolationName> for Isolation {
    fn from(name: IsolationName) -> Isolation {
        match name {
            IsolationName::Process => Isolation::Process,
            IsolationName::InProcess => Isolation::InProcess,
        }
    }
}

pub fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let wanted = wanted(&args.only)?;
    let isolation = args.isolation.map(Isolation::from);
    let request = PluginRequest { isolation, ..PluginRequest::new(&args.plugin) };
    let plugin = super::find(&request, context)?;
    let open = || context.plugins.classifier(&request);
    let reports: Vec<Report> = wanted
        .into_iter()
        .map(|check| {
            let report = examine(check, &open);
            let seconds = report.time.as_secs_f64();
            output::info(format!("{:<14} {:<8} {seconds:.2} s", check.name, word(&report.verdict)));
            report
        })
        .collect();
    print(&*plugin, &reports, context.format);
    let failed = count(&reports, |verdict| matches!(verdict, Verdict::Failed(_)));
    Ok(if failed == 0 { Exit::Done } else { Exit::Refused })
}

fn wanted(only: &[String]) -> Result<Vec<&'static Check>, CliError> {
    for name in only {
        if CHECKS.iter().all(|check| check.name != name) {
            let known = CHECKS.iter().map(|check| check.name);
            let hint = match plan::did_you_mean(name, known.clone()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("checks: `{}`", known.collect::<Vec<_>>().join("`, `")),
            };
            return Err(CliError::usage(format!("no check `{name}`")).with_hint(hint));
        }
    }
    let is_wanted = |check: &&Check| only.is_empty() || only.iter().any(|name| name == check.name);
    Ok(CHECKS.iter().filter(is_wanted).collect())
}

fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Failed(_) => "FAILED",
        Verdict::NotApplicable(_) => "skipped",
    }
}

fn count(reports: &[Report], is_counted: impl Fn(&Verdict) -> bool) -> usize {
    reports.iter().filter(|report| is_counted(&report.verdict)).count()
}

fn print(plugin: &dyn Classifier, reports: &[Report], format: Format) {
    let description = plugin.description();
    let passed = count(reports, |verdict| *verdict == Verdict::Passed);
    let failed = count(reports, |verdict| matches!(verdict, Verdict::Failed(_)));
    let not_applicable = reports.len() - passed - failed;
    if format == Format::Json {
        output::json(&json!({
            "schema_version": 1,
            "plugin": description.name,
            "version": description.version,
            "file_digest": description.file_digest,
            "location": description.location,
            "transport": description.transport.word(),
            "isolation": description.isolation.word(),
            "checks": reports.iter().map(report_json).collect::<Vec<_>>(),
            "passed": passed,
            "failed": failed,
            "not_applicable": not_applicable,
        }));
        return;
    }
    let mut table = Table::new(&["check", "result", "what it means"]);
    for report in reports {
        let text = match &report.verdict {
            Verdict::Passed => report.check.meaning.to_owned(),
            Verdict::Failed(reason) | Verdict::NotApplicable(reason) => reason.replace('\n', " "),
        };
        table.row([report.check.name.to_owned(), word(&report.verdict).to_owned(), text]);
    }
    output::result(table.render());
    let (name, version) = (&description.name, &description.version);
    output::result(format!(
        "\n{name} {version}: {passed} passed, {failed} failed, {not_applicable} skipped"
    ));
}

fn report_json(report: &Report) -> Value {
    let (result, reason) = match &report.verdict {
        Verdict::Passed => ("passed", None),
        Verdict::Failed(reason) => ("failed", Some(reason)),
        Verdict::NotApplicable(reason) => ("not-applicable", Some(reason)),
    };
    json!({
        "check": report.check.name,
        "meaning": report.check.meaning,
        "result": result,
        "reason": reason,
        "seconds": report.time.as_secs_f64(),
    })
}

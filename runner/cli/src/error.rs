//! Errors of commands: a message, hints, an exit code. Library errors are turned into these here.

use std::path::PathBuf;

use engine::{CacheError, EngineError, HistoryError, NodeError};
use plan::{PipelineSource, PlanErrors, Problem, SourceName, Span};
use review_store::StoreError;

/// How a command ended; one meaning each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Done,
    /// 1: a unit failed; partial success is never 0.
    UnitFailed,
    /// 2: usage, pipeline or selection invalid; nothing ran.
    Invalid,
    /// 3: store, I/O or internal error.
    Internal,
    /// 4: `plan --exit-code`, and work is pending.
    Pending,
    /// 6: a data check or metric gate failed.
    Gate,
    /// 7: a plugin was refused.
    Refused,
    /// 8: `verify` found damage or divergence.
    Diverged,
    /// 130: interrupted.
    Interrupted,
}

impl Exit {
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::UnitFailed => 1,
            Exit::Invalid => 2,
            Exit::Internal => 3,
            Exit::Pending => 4,
            Exit::Gate => 6,
            Exit::Refused => 7,
            Exit::Diverged => 8,
            Exit::Interrupted => 130,
        }
    }
}

/// What a command failed with.
#[derive(Debug)]
pub struct CliError {
    pub exit: Exit,
    pub message: String,
    pub hint: Option<String>,
    /// Problems of a pipeline, shown with their lines.
    pub problems: Vec<LocatedProblem>,
}

/// A problem with the text it is in.
#[derive(Debug)]
pub struct LocatedProblem {
    pub problem: Problem,
    /// File, or the `--set` it came from.
    pub place: String,
    pub line_text: String,
}

impl CliError {
    pub fn new(exit: Exit, message: impl Into<String>) -> CliError {
        CliError { exit, message: message.into(), hint: None, problems: Vec::new() }
    }

    pub fn usage(message: impl Into<String>) -> CliError {
        CliError::new(Exit::Invalid, message)
    }

    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> CliError {
        self.hint = Some(hint.into());
        self
    }

    /// Every problem of a pipeline, with the line it is on.
    ///
    /// `refusals` is what was said of plugins that were refused: an exit code of its own when
    /// nothing else is wrong.
    pub fn plan(
        errors: &PlanErrors,
        file: &str,
        source: &PipelineSource<'_>,
        params: &[PathBuf],
        refusals: &[String],
    ) -> CliError {
        let in_file = |file: &str, text: &str, span: Span| {
            let line = text.lines().nth(span.line.saturating_sub(1)).unwrap_or_default();
            (format!("{file}:{}:{}", span.line, span.column), line.to_owned())
        };
        let problems: Vec<LocatedProblem> = errors
            .problems()
            .iter()
            .map(|problem| {
                let (place, line_text) = match problem.span.source {
                    SourceName::Pipeline => in_file(file, source.text, problem.span),
                    SourceName::Params(n) => {
                        let file = params[n].display().to_string();
                        in_file(&file, &source.params[n], problem.span)
                    }
                    SourceName::Override(n) => ("--set".to_owned(), source.overrides[n].clone()),
                };
                LocatedProblem { problem: problem.clone(), place, line_text }
            })
            .collect();
        let noun = if problems.len() == 1 { "problem" } else { "problems" };
        let message = format!("{} {noun} in {file}; nothing was run", problems.len());
        let refused = |problem: &Problem| refusals.iter().any(|r| problem.message.ends_with(r));
        let all_refused = errors.problems().iter().all(refused);
        let exit = if all_refused { Exit::Refused } else { Exit::Invalid };
        CliError { exit, message, hint: None, problems }
    }
}

/// The exit code of a unit's failure.
pub fn exit_of(error: &NodeError) -> Exit {
    match error {
        NodeError::Gate { .. } => Exit::Gate,
        NodeError::Refused { .. } => Exit::Refused,
        NodeError::Io { .. } | NodeError::Internal(_) => Exit::Internal,
        _ => Exit::UnitFailed,
    }
}

impl From<EngineError> for CliError {
    fn from(error: EngineError) -> CliError {
        match &error {
            EngineError::Cache(CacheError { source, .. })
            | EngineError::History(HistoryError::Io { source, .. }) => {
                let hint = engine::write_hint(source);
                CliError::new(Exit::Internal, error.to_string()).with_hint(hint)
            }
            EngineError::Node { source, .. } => {
                let exit = match exit_of(source) {
                    Exit::UnitFailed => Exit::Internal,
                    exit => exit,
                };
                let hint = source.hint().map(str::to_owned);
                CliError { hint, ..CliError::new(exit, error.to_string()) }
            }
            _ => CliError::new(Exit::Internal, error.to_string()),
        }
    }
}

impl From<HistoryError> for CliError {
    fn from(error: HistoryError) -> CliError {
        let exit = match error {
            HistoryError::Io { .. } => Exit::Internal,
            _ => Exit::Invalid,
        };
        CliError::new(exit, error.to_string()).with_hint("`relabel runs list` shows the runs")
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> CliError {
        CliError::new(Exit::Internal, with_causes(&error))
    }
}

/// A message with the errors it comes from.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> CliError {
        CliError::new(Exit::Internal, error.to_string())
    }
}

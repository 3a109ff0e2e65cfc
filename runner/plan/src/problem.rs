//! Problems in a pipeline file: what is wrong, where, and what to do.

use std::fmt;

/// Which text a place is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceName {
    /// The pipeline file.
    Pipeline,
    /// The n-th `--params` file of the command line, from 0.
    Params(usize),
    /// The n-th `--set` of the command line, from 0.
    Override(usize),
}

/// A place in a pipeline file; line and column count from 1, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    pub source: SourceName,
    pub line: usize,
    pub column: usize,
    /// Characters to underline on that line, at least 1.
    pub length: usize,
}

impl Span {
    /// The first character of the file.
    pub const START: Span = Span { source: SourceName::Pipeline, line: 1, column: 1, length: 1 };
}

/// One thing wrong with a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub span: Span,
    /// Lowercase fragment, names in backticks.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    pub fn new(span: Span, message: impl Into<String>) -> Problem {
        Problem { span, message: message.into(), hint: None }
    }

    #[must_use]
    pub fn with_hint(mut self, hint: Option<String>) -> Problem {
        self.hint = hint;
        self
    }
}

/// Every problem found, in the order of their places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanErrors(Vec<Problem>);

impl PlanErrors {
    /// Sorts by place; equal problems are told once.
    pub fn new(mut problems: Vec<Problem>) -> PlanErrors {
        problems.sort_by(|a, b| a.span.cmp(&b.span).then_with(|| a.message.cmp(&b.message)));
        problems.dedup();
        PlanErrors(problems)
    }

    pub fn problems(&self) -> &[Problem] {
        &self.0
    }
}

impl From<Problem> for PlanErrors {
    fn from(problem: Problem) -> PlanErrors {
        PlanErrors(vec![problem])
    }
}

impl fmt::Display for PlanErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.0.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            write!(f, "{}:{}: {}", problem.span.line, problem.span.column, problem.message)?;
            if let Some(hint) = &problem.hint {
                write!(f, " ({hint})")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for PlanErrors {}

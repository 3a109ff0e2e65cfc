//! The contract suite: what every classifier has to keep, in whatever language it is written and
//! over whatever transport it is called.
//!
//! Checks work on the engine's classifier traits alone and make up their own texts, always the same
//! ones. They know nothing of libraries, processes or files; whoever calls them opens the plugin
//! and prints what came out.

mod calls;
mod columns;
mod data;
mod describe;
mod inputs;
mod learning;
mod models;
mod subject;

use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::classifier::{Classifier, ClassifierSourceError};

use subject::{Failure, Subject};

/// One promise of the contract.
pub struct Check {
    /// The word for `--only`: a-z and `-`.
    pub name: &'static str,
    /// What holds when it passes, in one line.
    pub meaning: &'static str,
    run: fn(&Subject<'_>) -> CheckResult,
}

/// What a check came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    /// What went wrong, and with what input.
    Failed(String),
    /// The plugin does not claim what this checks; the text says so.
    NotApplicable(String),
}

/// A check with its verdict and what it took.
pub struct Report {
    pub check: &'static Check,
    pub verdict: Verdict,
    pub time: Duration,
}

/// `Ok(Verdict::Failed)` is never returned: a failure is an `Err`, so that `?` works on calls.
type CheckResult = Result<Verdict, Failure>;

/// All checks, the simple ones first; a plugin author reads failures from the top.
pub const CHECKS: [Check; 18] = [
    Check {
        name: "description",
        meaning: "name, version, licence and every parameter are described",
        run: describe::description,
    },
    Check {
        name: "parameters",
        meaning: "the defaults are accepted and an unknown parameter is refused",
        run: describe::parameters,
    },
    Check {
        name: "probabilities",
        meaning: "scores are finite, not negative, and sum to 1 in each row",
        run: learning::probabilities,
    },
    Check {
        name: "learns",
        meaning: "easy records are told apart better than by chance",
        run: learning::learns,
    },
    Check { name: "seed", meaning: "the same seed gives the same bytes", run: learning::same_seed },
    Check {
        name: "threads",
        meaning: "1, 2, 3 and 8 threads give the same bytes",
        run: learning::threads,
    },
    Check {
        name: "held-out",
        meaning: "rows that are not learnt from do not change the model",
        run: learning::held_out,
    },
    Check {
        name: "weights",
        meaning: "weights of 1 change nothing, and 2 pulls as a doubled row does",
        run: learning::weights,
    },
    Check {
        name: "columns",
        meaning: "columns beside the text are learnt from, or change nothing",
        run: columns::columns,
    },
    Check {
        name: "saved-model",
        meaning: "a saved model scores as before, unseen words included",
        run: models::saved_model,
    },
    Check {
        name: "foreign-bytes",
        meaning: "bytes that are no whole model of this plugin are refused",
        run: models::foreign_bytes,
    },
    Check {
        name: "corpus-dropped",
        meaning: "a model outlives the corpus it was fitted on",
        run: models::corpus_dropped,
    },
    Check {
        name: "hard-texts",
        meaning: "no text, huge texts and any Unicode are scored",
        run: inputs::hard_texts,
    },
    Check {
        name: "few-rows",
        meaning: "no row, one row, one class and classes without rows are learnt from",
        run: inputs::few_rows,
    },
    Check {
        name: "many-classes",
        meaning: "1,000 classes work, or an error names the parameter that bounds them",
        run: inputs::many_classes,
    },
    Check {
        name: "progress",
        meaning: "the finished share stays within 0 and 1 and does not fall",
        run: calls::progress,
    },
    Check { name: "cancel", meaning: "a cancelled call ends soon", run: calls::cancel },
    Check {
        name: "concurrent",
        meaning: "calls from two threads at once give what they give one by one",
        run: calls::concurrent,
    },
];

/// Runs one check on a plugin.
///
/// `open` gives the plugin, and is asked anew for each check: a plugin that panicked or whose
/// process ended in one check is not held against the next.
pub fn examine(
    check: &'static Check,
    open: &dyn Fn() -> Result<Arc<dyn Classifier>, ClassifierSourceError>,
) -> Report {
    let start = Instant::now();
    let verdict = match open() {
        Ok(plugin) => verdict_of((check.run)(&Subject::new(&*plugin))),
        Err(error) => Verdict::Failed(error.to_string()),
    };
    Report { check, verdict, time: start.elapsed() }
}

fn verdict_of(result: CheckResult) -> Verdict {
    result.unwrap_or_else(|failure| Verdict::Failed(failure.to_string()))
}

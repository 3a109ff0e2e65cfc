//! The only place that prints: results on stdout, everything else on stderr.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::io::{IsTerminal, Write};

use serde_json::{Value, json};

use crate::args::Format;
use crate::error::CliError;

mod fancy;
mod lineage;
mod lines;
mod repeat;
mod table;

pub use fancy::FancyReporter;
pub use lineage::LineageReporter;
pub use lines::{JsonReporter, PlainReporter, note_lines, unit_line, variant_json};
pub use repeat::{RepeatHints, always_quoted, quoted};
pub use table::Table;

/// Prints a line of a result. A closed pipe ends the program quietly, as `head` expects.
pub fn result(text: impl AsRef<str>) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{}", text.as_ref()).is_err() {
        std::process::exit(0);
    }
}

/// Prints bytes of a result as they are.
pub fn result_bytes(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    if out.write_all(bytes).and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

pub fn json(value: &Value) {
    result(value.to_string());
}

/// Prints an object for programs beside a result that has a form of its own.
pub fn json_info(value: &Value) {
    info(value.to_string());
}

/// Bytes for people: `12.3 MB`.
pub fn size(bytes: u64) -> String {
    let units = [(1e9, "GB"), (1e6, "MB"), (1e3, "KB")];
    match units.into_iter().find(|(factor, _)| bytes as f64 >= *factor) {
        Some((factor, unit)) => format!("{:.1} {unit}", bytes as f64 / factor),
        None => format!("{bytes} bytes"),
    }
}

/// A point in time, in nanoseconds since 1970: UTC, RFC 3339.
pub fn time(nanoseconds: i128) -> String {
    engine::time_text(nanoseconds)
}

/// Prints a line about what is going on.
pub fn info(text: impl AsRef<str>) {
    // One write a line, so that lines of several processes do not run into each other.
    let line = format!("{}\n", text.as_ref());
    // Where nobody listens there is nobody to tell.
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}

pub fn stderr_is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// Prints an error with its hint, and every problem of a pipeline with its line underlined.
pub fn error(error: &CliError, format: Format) {
    if format == Format::Json {
        let problems: Vec<Value> = error
            .problems
            .iter()
            .map(|located| {
                json!({
                    "message": located.problem.message,
                    "hint": located.problem.hint,
                    "place": located.place,
                    "line": located.problem.span.line,
                    "column": located.problem.span.column,
                })
            })
            .collect();
        json(&json!({
            "event": "error",
            "schema_version": 1,
            "message": error.message,
            "hint": error.hint,
            "exit_code": error.exit.code(),
            "problems": problems,
        }));
        return;
    }
    for located in &error.problems {
        let span = located.problem.span;
        eprintln!("error: {}\n  --> {}", located.problem.message, located.place);
        let number = span.line.to_string();
        let gutter = " ".repeat(number.len());
        // A tab counts as one column; it is shown as one blank so that the marks stay below.
        let line = located.line_text.replace('\t', " ");
        let column = span.column.min(line.chars().count() + 1);
        let room = (line.chars().count() + 1).saturating_sub(column).max(1);
        let marks = "^".repeat(span.length.min(room));
        eprintln!("{gutter} |\n{number} | {line}\n{gutter} | {}{marks}", " ".repeat(column - 1));
        if let Some(hint) = &located.problem.hint {
            eprintln!("hint: {hint}");
        }
        eprintln!();
    }
    eprintln!("error: {}", error.message);
    if let Some(hint) = &error.hint {
        eprintln!("hint: {hint}");
    }
}

//! Events as lines: for people where there is no terminal, and as JSON for programs.

use engine::{Event, Note, Reason, Reporter, UnitName};
use serde_json::{Value, json};

use super::{Table, info, json as print_json};

/// `run   folds   k: 5 -> 10`: the same line in `plan` and `run`.
pub fn unit_line(state: &str, unit: &UnitName, detail: &str) -> String {
    format!("{state:<8} {:<16} {detail}", unit.to_string()).trim_end().to_owned()
}

/// What a unit has to say, as lines: variants of a matrix first, then one line or two for each note.
pub fn note_lines(notes: &[Note]) -> Vec<String> {
    let mut lines = variant_lines(notes);
    lines.extend(notes.iter().filter_map(note_line));
    lines
}

fn note_line(note: &Note) -> Option<String> {
    Some(match note {
        Note::Count { text, count, of: Some(of) } => {
            format!("         {} of {}  {text}", thousands(*count), thousands(*of))
        }
        Note::Count { text, count, of: None } => {
            format!("         {}  {text}", thousands(*count))
        }
        Note::Metric { name, value } => format!("         {value:.4}  {name}"),
        Note::Warning { text, hint } => match hint {
            Some(hint) => format!("warning: {text}\n   hint: {hint}"),
            None => format!("warning: {text}"),
        },
        // Variants stand in one table.
        Note::Target { .. } | Note::Variant { .. } => return None,
    })
}

/// The variants of a matrix beside each other.
fn variant_lines(notes: &[Note]) -> Vec<String> {
    let mut names: Vec<&str> = Vec::new();
    for note in notes {
        let Note::Variant { metrics, .. } = note else { continue };
        names.extend(metrics.keys().map(String::as_str));
    }
    names.sort_unstable();
    names.dedup();
    let header: Vec<&str> = ["variant", "rows", "seconds"]
        .into_iter()
        .chain(names.iter().copied())
        .chain([""])
        .collect();
    let mut table = Table::new(&header);
    let mut any = false;
    for note in notes {
        let Note::Variant { name, rows, seconds, metrics, used } = note else { continue };
        any = true;
        let seconds = seconds.map(|seconds| format!("{seconds:.2}"));
        let mut cells = vec![
            name.clone(),
            rows.map(thousands).unwrap_or_default(),
            seconds.unwrap_or_default(),
        ];
        let figures = names.iter().map(|name| metrics.get(*name));
        cells.extend(figures.map(|value| value.map_or_else(String::new, |v| format!("{v:.4}"))));
        cells.push(if *used { "used" } else { "" }.to_owned());
        table.row(cells);
    }
    let text = if any { table.render() } else { String::new() };
    text.lines().map(|line| format!("         {line}").trim_end().to_owned()).collect()
}

/// `12345` as `12,345`.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

pub(super) fn finished_detail(reason: &Reason, rows: Option<u64>, seconds: f64) -> String {
    let rows = rows.map(|rows| format!("  {} rows", thousands(rows))).unwrap_or_default();
    format!("{}{rows}  {seconds:.2} s", reason.text())
}

/// The lines of an event, without progress; empty for events that have none.
pub(super) fn event_lines(event: &Event) -> Vec<String> {
    match event {
        Event::UnitHit { unit, rows, notes, .. } => {
            let rows = rows.map(|rows| format!("{} rows", thousands(rows))).unwrap_or_default();
            let mut lines = vec![unit_line("hit", unit, &rows)];
            let warnings = notes.iter().filter(|note| matches!(note, Note::Warning { .. }));
            lines.extend(warnings.filter_map(note_line));
            lines
        }
        Event::UnitFinished { unit, reason, rows, seconds, notes, .. } => {
            let detail = finished_detail(reason, *rows, *seconds);
            let mut lines = vec![unit_line("run", unit, &detail)];
            lines.extend(note_lines(notes));
            lines
        }
        Event::UnitFailed { unit, message, hint, .. } => {
            let mut lines =
                vec![unit_line("failed", unit, ""), format!("error: {unit}: {message}")];
            lines.extend(hint.iter().map(|hint| format!("hint: {hint}")));
            lines
        }
        Event::UnitRetried { unit, attempt, pause_seconds, message, .. } => {
            let detail = format!("try {} in {pause_seconds:.1} s: {message}", attempt + 1);
            vec![unit_line("retry", unit, &detail)]
        }
        Event::UnitSkipped { unit, because, .. } => vec![unit_line("skipped", unit, because)],
        Event::UnitWaiting { unit, holder } => {
            vec![unit_line("waiting", unit, &format!("held by {holder}"))]
        }
        Event::Repaired { unit, what } => {
            vec![unit_line("repair", unit, &format!("its result in the cache is {what}"))]
        }
        Event::RunStarted { .. } | Event::UnitStarted { .. } | Event::UnitProgress { .. } => {
            Vec::new()
        }
        Event::RunEstimate { .. } | Event::RunFinished(_) => Vec::new(),
    }
}

/// Bytes of lines that are gathered before they are written.
const GATHERED: usize = 1 << 14;

/// Plain lines on stderr. Hits come by the thousand and wait for each other, not for what takes
/// time.
#[derive(Debug, Default)]
pub struct PlainReporter {
    gathered: String,
}

impl Reporter for PlainReporter {
    fn event(&mut self, event: &Event) {
        for line in event_lines(event) {
            self.gathered.push_str(&line);
            self.gathered.push('\n');
        }
        let more_to_come = matches!(event, Event::UnitHit { .. } | Event::RunStarted { .. });
        if !more_to_come || self.gathered.len() >= GATHERED {
            self.flush();
        }
    }
}

impl PlainReporter {
    fn flush(&mut self) {
        if !self.gathered.is_empty() {
            info(self.gathered.trim_end_matches('\n'));
            self.gathered.clear();
        }
    }
}

impl Drop for PlainReporter {
    fn drop(&mut self) {
        self.flush();
    }
}

/// What tells a variant of a matrix from other nodes: `{"node": "oof", "name": "plugin=linear"}`.
pub fn variant_json(node: &str) -> Value {
    engine::variant_of(node)
        .map_or(Value::Null, |(node, name)| json!({ "node": node, "name": name }))
}

fn unit_json(event: &str, unit: &UnitName, more: Value) -> Value {
    let mut value = json!({
        "event": event,
        "node": unit.node,
        "variant": variant_json(&unit.node),
        "fold": unit.fold(),
        "part": unit.part.word(),
    });
    if let (Some(value), Value::Object(more)) = (value.as_object_mut(), more) {
        value.extend(more);
    }
    value
}

/// One JSON object a line on stdout; the last line, `run_finished`, is the command's.
#[derive(Debug, Default)]
pub struct JsonReporter;

impl Reporter for JsonReporter {
    fn event(&mut self, event: &Event) {
        let value = match event {
            Event::RunStarted { run_id, pipeline, units } => json!({
                "event": "run_started",
                "schema_version": 1,
                "run_id": run_id,
                "pipeline": pipeline,
                "units": units,
            }),
            Event::UnitHit { unit, rows, notes, .. } => unit_json(
                "unit",
                unit,
                json!({ "state": "hit", "reason": null, "rows": rows, "seconds": 0.0, "notes": notes }),
            ),
            Event::UnitStarted { unit, reason, .. } => {
                unit_json("unit_started", unit, json!({ "reason": reason.code() }))
            }
            Event::UnitFinished { unit, reason, rows, seconds, usage, notes, .. } => unit_json(
                "unit",
                unit,
                json!({
                    "state": "run",
                    "reason": reason.code(),
                    "reason_detail": reason.to_json(),
                    "rows": rows,
                    "seconds": seconds,
                    "node_seconds": usage.node_seconds,
                    "cpu_seconds": usage.cpu_seconds,
                    "peak_bytes": usage.peak_bytes,
                    "notes": notes,
                }),
            ),
            Event::UnitFailed { unit, reason, seconds, message, hint, .. } => unit_json(
                "unit",
                unit,
                json!({
                    "state": "failed",
                    "reason": reason.code(),
                    "rows": null,
                    "seconds": seconds,
                    "message": message,
                    "hint": hint,
                }),
            ),
            Event::UnitSkipped { unit, because, .. } => unit_json(
                "unit",
                unit,
                json!({ "state": "skipped", "reason": null, "message": because }),
            ),
            Event::UnitRetried { unit, attempt, pause_seconds, message, .. } => unit_json(
                "unit_retried",
                unit,
                json!({ "attempt": attempt, "pause_seconds": pause_seconds, "message": message }),
            ),
            Event::UnitWaiting { unit, holder } => {
                unit_json("unit_waiting", unit, json!({ "holder": holder }))
            }
            Event::Repaired { unit, what } => unit_json("repaired", unit, json!({ "what": what })),
            Event::UnitProgress { .. } | Event::RunEstimate { .. } | Event::RunFinished(_) => {
                return;
            }
        };
        print_json(&value);
    }
}

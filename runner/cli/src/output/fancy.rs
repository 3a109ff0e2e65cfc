//! Progress bars on a terminal: one for each running unit, with rows, rate and time left.

use std::collections::HashMap;
use std::time::Duration;

use engine::{Event, Reporter, UnitName};
use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};

use super::lines::event_lines;

/// Bars at the bottom, finished units as lines above them.
pub struct FancyReporter {
    bars: MultiProgress,
    running: HashMap<UnitName, ProgressBar>,
    /// The run as a whole, below the units; there once something runs.
    whole: Option<ProgressBar>,
}

impl FancyReporter {
    pub fn new() -> FancyReporter {
        FancyReporter { bars: MultiProgress::new(), running: HashMap::new(), whole: None }
    }

    fn print(&self, event: &Event) {
        for line in event_lines(event) {
            // A terminal that went away leaves nobody to tell.
            let _ = self.bars.println(line);
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        // A rate that does not fit leaves its place empty.
        let _ = write!(out, "{:.0} rows/s", state.per_sec());
    };
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("rate", rate)
        .progress_chars("=> ")
}

impl Reporter for FancyReporter {
    fn event(&mut self, event: &Event) {
        match event {
            Event::UnitStarted { unit, reason, expected_seconds, .. } => {
                let bar = ProgressBar::new_spinner();
                let bar = match &self.whole {
                    Some(whole) => self.bars.insert_before(whole, bar),
                    None => self.bars.add(bar),
                };
                bar.set_style(style("{spinner} {prefix:<16} {msg} {elapsed}"));
                bar.set_prefix(unit.to_string());
                let expected = expected_seconds.map(|seconds| format!("  about {}", span(seconds)));
                bar.set_message(format!("{}{}", reason.text(), expected.unwrap_or_default()));
                bar.enable_steady_tick(Duration::from_millis(120));
                self.running.insert(unit.clone(), bar);
            }
            Event::UnitProgress { unit, fraction, rows } => {
                if let Some(bar) = self.running.get(unit) {
                    if bar.length() != Some(*rows) && *rows > 0 {
                        bar.set_length(*rows);
                        bar.set_style(style(
                            "{spinner} {prefix:<16} [{bar:24}] {human_pos}/{human_len} rows \
                             {rate} ETA {eta}",
                        ));
                    }
                    bar.set_position((f64::from(*fraction) * *rows as f64) as u64);
                }
            }
            Event::UnitFinished { unit, .. }
            | Event::UnitFailed { unit, .. }
            | Event::UnitRetried { unit, .. }
            | Event::UnitSkipped { unit, .. } => {
                if let Some(bar) = self.running.remove(unit) {
                    bar.finish_and_clear();
                    self.bars.remove(&bar);
                }
                self.print(event);
            }
            Event::RunEstimate { done, units, seconds_left } => {
                let bars = &self.bars;
                let whole = self.whole.get_or_insert_with(|| {
                    let bar = bars.add(ProgressBar::new(*units as u64));
                    bar.set_style(style("  {pos} of {len} units  {elapsed}  {msg}"));
                    bar
                });
                whole.set_position(*done as u64);
                let left = seconds_left.map(|seconds| format!("about {} left", span(seconds)));
                whole.set_message(left.unwrap_or_default());
            }
            Event::RunFinished(_) => {
                if let Some(whole) = self.whole.take() {
                    whole.finish_and_clear();
                }
            }
            _ => self.print(event),
        }
    }

    fn wants_estimates(&self) -> bool {
        true
    }
}

/// Seconds as people say them: `8 s`, `3 min`, `2 h 5 min`.
fn span(seconds: f64) -> String {
    let minutes = (seconds / 60.0).round();
    if seconds < 90.0 {
        format!("{:.0} s", seconds.max(1.0))
    } else if minutes < 90.0 {
        format!("{minutes:.0} min")
    } else {
        format!("{:.0} h {:.0} min", (minutes / 60.0).floor(), minutes % 60.0)
    }
}

#[cfg(test)]
mod tests {
    use super::span;

    #[test]
    fn times_are_told_as_exactly_as_they_are_known() {
        let told: Vec<String> = [0.2, 8.4, 89.0, 100.0, 5390.0, 7500.0].map(span).to_vec();
        assert_eq!(told, ["1 s", "8 s", "89 s", "2 min", "1 h 30 min", "2 h 5 min"]);
    }
}

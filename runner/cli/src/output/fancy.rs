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
}

impl FancyReporter {
    pub fn new() -> FancyReporter {
        FancyReporter { bars: MultiProgress::new(), running: HashMap::new() }
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
            Event::UnitStarted { unit, reason, .. } => {
                let bar = self.bars.add(ProgressBar::new_spinner());
                bar.set_style(style("{spinner} {prefix:<16} {msg} {elapsed}"));
                bar.set_prefix(unit.to_string());
                bar.set_message(reason.text());
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
            _ => self.print(event),
        }
    }
}

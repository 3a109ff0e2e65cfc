//! Progress bars on a terminal: one for each running unit, with rows, rate and time left.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use engine::{Event, Reporter, UnitName};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::lines::{event_lines, thousands};

/// A unit that is at work: how long, what of it is done. What does not fit the terminal is cut off.
const UNIT: &str = "{spinner} {prefix:<16} {elapsed:>3}  {wide_msg}";
const WHOLE: &str = "  {pos} of {len} units  {elapsed}  {wide_msg}";
/// Characters of a unit's bar.
const BAR: usize = 12;
/// What a unit has to have done, and for how long, before that says when it ends.
const TELLING: (f64, f64) = (0.05, 1.0);

/// Bars at the bottom, finished units as lines above them.
pub struct FancyReporter {
    bars: MultiProgress,
    running: HashMap<UnitName, Running>,
    /// The run as a whole, below the units; there once something runs.
    whole: Option<ProgressBar>,
}

/// A unit with its bar.
struct Running {
    bar: ProgressBar,
    started: Instant,
    /// What it may take, by earlier runs.
    expected: Option<f64>,
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
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// `[===>        ]  31 %  93,000 of 300,000 rows  46,500 rows/s  about 4 s left`
fn progress(fraction: f64, rows: u64, elapsed: f64, expected: Option<f64>) -> String {
    let fraction = fraction.clamp(0.0, 1.0);
    let full = (fraction * BAR as f64) as usize;
    let head = if full < BAR { ">" } else { "" };
    let bar = format!("{}{head}", "=".repeat(full));
    let mut text = format!("[{bar:<BAR$}] {:>3.0} %", (100.0 * fraction).floor());
    let done = (fraction * rows as f64) as u64;
    if rows > 0 {
        text.push_str(&format!("  {} of {} rows", thousands(done), thousands(rows)));
    }
    if done > 0 && elapsed >= TELLING.1 {
        let rate = (done as f64 / elapsed) as u64;
        text.push_str(&format!("  {} rows/s", thousands(rate)));
    }
    if let Some(left) = seconds_left(fraction, elapsed, expected) {
        text.push_str(&format!("  about {} left", span(left)));
    }
    text
}

/// What is left by how it goes, and by earlier runs as long as little is done.
fn seconds_left(fraction: f64, elapsed: f64, expected: Option<f64>) -> Option<f64> {
    let by_pace = (fraction > 0.0).then(|| elapsed * (1.0 - fraction) / fraction);
    match (expected, by_pace) {
        (Some(expected), Some(by_pace)) => {
            let by_history = (expected - elapsed).max(0.0);
            Some(fraction * by_pace + (1.0 - fraction) * by_history)
        }
        (Some(expected), None) => Some((expected - elapsed).max(0.0)),
        (None, by_pace) => by_pace.filter(|_| fraction >= TELLING.0 && elapsed >= TELLING.1),
    }
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
                bar.set_style(style(UNIT));
                bar.set_prefix(unit.to_string());
                let expected = expected_seconds.map(|seconds| format!("  about {}", span(seconds)));
                bar.set_message(format!("{}{}", reason.text(), expected.unwrap_or_default()));
                bar.enable_steady_tick(Duration::from_millis(120));
                let running = Running { bar, started: Instant::now(), expected: *expected_seconds };
                self.running.insert(unit.clone(), running);
            }
            Event::UnitProgress { unit, fraction, rows } => {
                if let Some(running) = self.running.get(unit) {
                    let elapsed = running.started.elapsed().as_secs_f64();
                    let fraction = f64::from(*fraction);
                    running.bar.set_message(progress(fraction, *rows, elapsed, running.expected));
                }
            }
            Event::UnitFinished { unit, .. }
            | Event::UnitFailed { unit, .. }
            | Event::UnitRetried { unit, .. }
            | Event::UnitSkipped { unit, .. } => {
                if let Some(Running { bar, .. }) = self.running.remove(unit) {
                    bar.finish_and_clear();
                    self.bars.remove(&bar);
                }
                self.print(event);
            }
            Event::RunEstimate { done, units, seconds_left } => {
                let bars = &self.bars;
                let whole = self.whole.get_or_insert_with(|| {
                    let bar = bars.add(ProgressBar::new(*units as u64));
                    bar.set_style(style(WHOLE));
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

/// Seconds that are not known exactly: in whole seconds or minutes.
fn span(seconds: f64) -> String {
    let seconds = seconds.round().max(1.0);
    let told = if seconds < 90.0 { seconds } else { (seconds / 60.0).round() * 60.0 };
    engine::duration_text(told)
}

#[cfg(test)]
mod tests {
    use super::{progress, seconds_left, span};

    #[test]
    fn progress_says_what_is_known() {
        assert_eq!(progress(0.0, 0, 0.1, None), "[>           ]   0 %");
        assert_eq!(progress(0.01, 1000, 0.1, None), "[>           ]   1 %  10 of 1,000 rows");
        let half = "[======>     ]  50 %  150,000 of 300,000 rows  75,000 rows/s  about 2 s left";
        assert_eq!(progress(0.5, 300_000, 2.0, Some(4.0)), half);
        assert!(progress(1.0, 10, 9.0, None).starts_with("[============] 100 %  10 of 10 rows"));
    }

    #[test]
    fn what_is_left_goes_by_earlier_runs_until_there_is_a_pace() {
        assert_eq!(seconds_left(0.0, 1.0, Some(10.0)), Some(9.0));
        // At this pace it would be 90 s; a tenth of that counts.
        assert_eq!(seconds_left(0.1, 10.0, Some(20.0)), Some(0.1 * 90.0 + 0.9 * 10.0));
        assert_eq!(seconds_left(0.5, 30.0, Some(10.0)), Some(15.0));
        assert_eq!(seconds_left(0.01, 5.0, None), None);
        assert_eq!(seconds_left(0.5, 0.5, None), None);
        assert_eq!(seconds_left(0.5, 30.0, None), Some(30.0));
    }

    #[test]
    fn times_are_told_as_exactly_as_they_are_known() {
        let told: Vec<String> = [0.2, 8.4, 89.4, 89.7, 100.0, 5390.0, 7500.0].map(span).to_vec();
        assert_eq!(told, ["1 s", "8 s", "89 s", "2 min", "2 min", "1 h 30 min", "2 h 5 min"]);
    }
}

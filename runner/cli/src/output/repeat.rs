//! Adds to each failure that has no hint of its own how to repeat just what failed.

use engine::{Event, Reporter};

/// Passes events on to another reporter.
pub struct RepeatHints<'a> {
    pub reporter: &'a mut dyn Reporter,
    /// The command that was run, without a selection.
    pub command: String,
    /// Its options that say where the cache and plugins are.
    pub places: &'a str,
}

/// A word of a command line as a shell takes it.
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:=,@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        always_quoted(word)
    }
}

/// The same in quotes, needed or not.
pub fn always_quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

impl Reporter for RepeatHints<'_> {
    fn event(&mut self, event: &Event) {
        match event {
            Event::UnitFailed { unit, hint: None, .. } => {
                let mut event = event.clone();
                if let Event::UnitFailed { hint, .. } = &mut event {
                    let (command, node) = (&self.command, quoted(&unit.node));
                    let places = self.places;
                    *hint = Some(format!("repeat it with: {command} --select {node}{places}"));
                }
                self.reporter.event(&event);
            }
            event => self.reporter.event(event),
        }
    }

    fn wants_estimates(&self) -> bool {
        self.reporter.wants_estimates()
    }
}

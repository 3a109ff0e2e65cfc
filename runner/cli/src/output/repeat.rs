//! Adds to each failure that has no hint of its own how to repeat just what failed.

use engine::{Event, Reporter};

/// Passes events on to another reporter.
pub struct RepeatHints<'a> {
    pub reporter: &'a mut dyn Reporter,
    /// The command that was run, without a selection.
    pub command: String,
}

impl Reporter for RepeatHints<'_> {
    fn event(&mut self, event: &Event) {
        match event {
            Event::UnitFailed { unit, hint: None, .. } => {
                let mut event = event.clone();
                if let Event::UnitFailed { hint, .. } = &mut event {
                    let command = &self.command;
                    *hint = Some(format!("repeat it with: {command} --select {}", unit.node));
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

//! The end of what a child writes to stderr: bounded, and made harmless before anybody sees it.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use engine::classifier::LastLines;

use crate::lock;

const MOST_BYTES: usize = 8 << 10;
const MOST_LINES: usize = 20;

/// Filled by a thread of its own, which [`Tail::read`] is.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    bytes: VecDeque<u8>,
    /// Bytes were dropped at the front.
    cut: bool,
    ended: bool,
}

impl Tail {
    /// Reads to the end, keeping the last bytes.
    pub fn read(self: Arc<Self>, mut from: impl Read) {
        let mut piece = [0; 4096];
        loop {
            let read = match from.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            let mut state = lock(&self.state);
            state.bytes.extend(&piece[..read]);
            let over = state.bytes.len().saturating_sub(MOST_BYTES);
            state.bytes.drain(..over);
            state.cut |= over > 0;
        }
        lock(&self.state).ended = true;
        self.ended.notify_all();
    }

    /// The last lines. Waits a little for the rest of what a process that has ended wrote.
    pub fn last_lines(&self, patience: Duration) -> LastLines {
        let state = lock(&self.state);
        let (state, _) = self
            .ended
            .wait_timeout_while(state, patience, |state| !state.ended)
            .unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = state.bytes.iter().copied().collect();
        let mut lines = harmless_lines(&bytes);
        if state.cut && lines.len() > 1 {
            // The first one lacks its beginning.
            lines.remove(0);
        }
        lines.drain(..lines.len().saturating_sub(MOST_LINES));
        LastLines(lines)
    }
}

fn harmless_lines(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    text.lines().map(|line| harmless(line.trim_end())).filter(|line| !line.is_empty()).collect()
}

/// Control characters, which could move a terminal's cursor or colour what follows, become visible.
pub(crate) fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => out.push(' '),
            c if c.is_control() || is_direction(c) => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

/// Marks that reorder the text around them.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail_of(bytes: &[u8]) -> Vec<String> {
        let tail = Arc::new(Tail::default());
        Arc::clone(&tail).read(bytes);
        tail.last_lines(Duration::ZERO).0
    }

    #[test]
    fn the_last_lines_are_kept() {
        let text: String = (0..50).map(|n| format!("line {n}\n")).collect();
        let lines = tail_of(text.as_bytes());
        assert_eq!(
            (lines.len(), lines[0].as_str(), lines[19].as_str()),
            (20, "line 30", "line 49")
        );
    }

    #[test]
    fn a_line_without_end_is_bounded() {
        let lines = tail_of(&b"x".repeat(1 << 20));
        assert_eq!((lines.len(), lines[0].len()), (1, MOST_BYTES));
    }

    #[test]
    fn what_moves_a_terminal_is_shown_instead() {
        let lines = tail_of(b"\x1b[31mred\x07\tand\r\n\xff\xfe\n\n");
        assert_eq!(lines, ["\\u{1b}[31mred\\u{7} and", "\u{fffd}\u{fffd}"]);
    }
}

//! Selectors: which steps of a plan a command is about.
//!
//! `NODE`, `+NODE` (with all it needs), `NODE+` (with all that needs it), `kind:KIND`, and `*` and
//! `?` in any of them.

use std::collections::BTreeSet;

use petgraph::Direction;

use crate::graph::{Plan, StepId};
use crate::suggest::suggestion;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("selector `{selector}` selects no node")]
pub struct SelectError {
    pub selector: String,
    pub hint: Option<String>,
}

/// Steps selected by any of `selectors`, in topological order.
pub fn select(plan: &Plan, selectors: &[String]) -> Result<Vec<StepId>, SelectError> {
    let mut chosen = vec![false; plan.len()];
    for selector in selectors {
        let mut any = false;
        for id in matches(plan, selector) {
            chosen[id.index()] = true;
            any = true;
        }
        if !any {
            let word = selector.trim_matches('+');
            let hint = match word.strip_prefix("kind:") {
                Some(kind) => {
                    let kinds: BTreeSet<&str> = plan.steps().map(|step| step.kind).collect();
                    suggestion(kind, kinds, "kinds here")
                        .map(|hint| hint.replace("did you mean `", "did you mean `kind:"))
                }
                None => suggestion(word, plan.steps().map(|step| step.name.as_str()), "nodes"),
            };
            return Err(SelectError { selector: selector.clone(), hint });
        }
    }
    Ok(plan.steps().map(|step| step.id).filter(|id| chosen[id.index()]).collect())
}

fn matches(plan: &Plan, selector: &str) -> Vec<StepId> {
    let up = selector.starts_with('+');
    let down = selector.ends_with('+') && selector.len() > 1;
    let word = selector.trim_start_matches('+').trim_end_matches('+');
    let mut found = Vec::new();
    for step in plan.steps() {
        let hit = match word.strip_prefix("kind:") {
            Some(kind) => wildcard(kind, step.kind),
            // A node stands for its variants too.
            None => {
                wildcard(word, &step.name)
                    || step.variant.as_ref().is_some_and(|variant| wildcard(word, &variant.node))
            }
        };
        if !hit {
            continue;
        }
        found.push(step.id);
        if up {
            found.extend(plan.with_needs(&[step.id]));
        }
        if down {
            found.extend(plan.closure(&[step.id], Direction::Outgoing));
        }
    }
    found
}

/// `*` stands for any characters, `?` for one.
fn wildcard(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && pattern[p] == '*' {
            star = Some((p, t));
            p += 1;
        } else if p < pattern.len() && (pattern[p] == '?' || pattern[p] == text[t]) {
            p += 1;
            t += 1;
        } else if let Some((star_p, star_t)) = star {
            p = star_p + 1;
            t = star_t + 1;
            star = Some((star_p, t));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

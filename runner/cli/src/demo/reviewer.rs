//! A reviewer who looks at the truth, and errs now and then.

use std::collections::HashMap;

use engine::Digest;
use review_store::{Decision, Item, NewDecision};

/// Share of decisions that are wrong.
pub const ERROR_RATE: f64 = 0.02;

/// Decides an item. Whether the reviewer errs depends on the seed and the record alone, so that a
/// demo with the same seed has the same history.
pub fn decide(
    item: &Item,
    truth: &HashMap<String, String>,
    seed: u64,
    reviewed_at: String,
) -> NewDecision {
    let draw = Digest::of(format!("{seed}\n{}", item.record_id).as_bytes());
    let draw = u32::from_le_bytes(draw.as_bytes()[..4].try_into().expect("four bytes"));
    let errs = f64::from(draw) / f64::from(u32::MAX) < ERROR_RATE;
    let true_label = truth.get(&item.record_id).map_or("", String::as_str);
    let right = if item.proposed_label == true_label {
        Decision::Accept
    } else if item.given_label == true_label {
        Decision::Keep
    } else {
        Decision::Other
    };
    let decision = match (right, errs) {
        (Decision::Accept, true) => Decision::Keep,
        (_, true) => Decision::Accept,
        (right, false) => right,
    };
    let mut decided = NewDecision::new(&item.record_id, decision, "demo-reviewer", reviewed_at);
    if decision == Decision::Other {
        decided.final_label = Some(true_label.to_owned());
    }
    decided.text_digest = Some(item.text_digest.clone());
    decided.queue = Some(item.queue.clone());
    decided
}

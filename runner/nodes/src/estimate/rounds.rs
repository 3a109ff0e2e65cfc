//! The port `rounds` of `estimate`: what each round of review has brought so far. Knows nothing of
//! intervals and of what is left.

use engine::NodeError;
use plan::{ColumnType, Schema};
use polars::prelude::*;

use super::Verified;

pub(super) const ROUNDS: &str = "rounds";

#[derive(Clone, Copy, Default)]
struct Round {
    reviewed: i64,
    wrong: i64,
    control_rows: i64,
    control_rows_wrong: i64,
}

pub(super) fn schema() -> Schema {
    use ColumnType::{Float, Integer};
    Schema::new([
        ("round", Integer),
        ("reviewed", Integer),
        ("wrong", Integer),
        ("share_wrong", Float),
        ("control_rows", Integer),
        ("control_rows_wrong", Integer),
        ("reviewed_so_far", Integer),
        ("wrong_so_far", Integer),
    ])
}

/// A row for each round, counted from 1: records that were verified in it and labels that were
/// wrong among them, those of control rows that no lane put forward, and the sums up to it. A round
/// whose decisions were all made again in a later one has no records, and no share.
pub(super) fn frame(verified: &[Verified<'_>]) -> Result<DataFrame, NodeError> {
    let count = verified.iter().map(|one| one.round + 1).max().unwrap_or(0);
    let mut rounds = vec![Round::default(); count];
    for one in verified {
        let (round, wrong) = (&mut rounds[one.round], i64::from(one.wrong));
        round.reviewed += 1;
        round.wrong += wrong;
        if one.lane.is_none() {
            round.control_rows += 1;
            round.control_rows_wrong += wrong;
        }
    }
    let numbers = |name: &str, get: fn(&Round) -> i64| {
        Column::new(name.into(), rounds.iter().map(get).collect::<Vec<i64>>())
    };
    let sums = |name: &str, get: fn(&Round) -> i64| {
        let sums = rounds.iter().scan(0, |sum, round| {
            *sum += get(round);
            Some(*sum)
        });
        Column::new(name.into(), sums.collect::<Vec<i64>>())
    };
    let share =
        |round: &Round| (round.reviewed > 0).then(|| round.wrong as f64 / round.reviewed as f64);
    crate::columns::frame(vec![
        Column::new("round".into(), (1..=count as i64).collect::<Vec<i64>>()),
        numbers("reviewed", |round| round.reviewed),
        numbers("wrong", |round| round.wrong),
        Column::new("share_wrong".into(), rounds.iter().map(share).collect::<Vec<Option<f64>>>()),
        numbers("control_rows", |round| round.control_rows),
        numbers("control_rows_wrong", |round| round.control_rows_wrong),
        sums("reviewed_so_far", |round| round.reviewed),
        sums("wrong_so_far", |round| round.wrong),
    ])
}

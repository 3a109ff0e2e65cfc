//! How long units may take, from how long they took in earlier runs. Arithmetic on what logs say:
//! it reads no clock, and what it says decides nothing.

use std::collections::HashMap;

use crate::history::RunRecord;

/// Runs of a unit that an estimate is made of.
const SAMPLES: usize = 5;

/// A unit in an earlier run.
#[derive(Debug, Clone)]
struct Past {
    kind: String,
    rows: Option<u64>,
    /// Absent for a unit that did not run then.
    seconds: Option<f64>,
}

/// Units of earlier runs by name, the newest run first.
#[derive(Debug, Default)]
pub(crate) struct Durations(Vec<HashMap<String, Past>>);

/// A unit that an estimate is asked for.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    /// `oof[2]`.
    pub name: String,
    pub kind: &'a str,
    /// What it reads, and how many rows that has now if that is known.
    pub needs: Vec<(String, Option<u64>)>,
}

impl Durations {
    /// Learns from runs, which come newest first.
    pub fn of<'a>(runs: impl IntoIterator<Item = &'a RunRecord>) -> Durations {
        let units = |run: &RunRecord| {
            let ended =
                run.units.iter().filter(|unit| matches!(unit.state.as_str(), "run" | "hit"));
            ended
                .map(|unit| {
                    let seconds =
                        if unit.state == "run" { unit.seconds } else { unit.saved_seconds };
                    (unit.name(), Past { kind: unit.kind.clone(), rows: unit.rows, seconds })
                })
                .collect()
        };
        Durations(runs.into_iter().map(units).collect())
    }

    /// Seconds that a unit may take; `None` if nothing like it has ever run.
    ///
    /// The middle of its last five runs, each scaled by the rows it read then and has to read now;
    /// failing that, the middle of the other folds of its node, then of all units of its kind.
    pub fn expected(&self, asked: &Asked<'_>) -> Option<f64> {
        let own = self.0.iter().filter_map(|run| {
            let seconds = run.get(&asked.name)?.seconds?;
            Some(seconds * scale(run, asked))
        });
        let node = asked.name.rsplit_once('[').map(|(node, _)| format!("{node}["));
        let beside = self.0.iter().flat_map(|run| {
            let node = node.clone();
            let of_node =
                move |name: &str| node.as_deref().is_some_and(|node| name.starts_with(node));
            run.iter().filter(move |(name, _)| of_node(name)).filter_map(|(_, past)| past.seconds)
        });
        let alike = self.0.iter().flat_map(|run| {
            run.values().filter(|past| past.kind == asked.kind).filter_map(|past| past.seconds)
        });
        middle(own.take(SAMPLES).collect())
            .or_else(|| middle(beside.collect()))
            .or_else(|| middle(alike.collect()))
    }
}

/// Rows to read now over rows read then, where both are known.
fn scale(run: &HashMap<String, Past>, asked: &Asked<'_>) -> f64 {
    let (mut now, mut then) = (0, 0);
    for (name, rows) in &asked.needs {
        let before = run.get(name).and_then(|past| past.rows);
        if let (Some(rows), Some(before)) = (rows, before) {
            now = now.max(*rows);
            then = then.max(before);
        }
    }
    if then == 0 { 1.0 } else { now as f64 / then as f64 }
}

/// The median; of an even number the lower of the two in the middle.
fn middle(mut values: Vec<f64>) -> Option<f64> {
    values.retain(|value| value.is_finite());
    values.sort_by(f64::total_cmp);
    (!values.is_empty()).then(|| values[(values.len() - 1) / 2])
}

/// Seconds that a run may still take, on `jobs` workers.
///
/// `running` has what each unit takes in all and has taken so far, `waiting` what each takes. The
/// work is spread evenly, but no unit is faster than itself.
pub(crate) fn seconds_left(running: &[(f64, f64)], waiting: &[f64], jobs: usize) -> f64 {
    let open = running.iter().map(|(expected, elapsed)| (expected - elapsed).max(0.0));
    let open: Vec<f64> = open.chain(waiting.iter().copied()).collect();
    let longest = open.iter().copied().fold(0.0, f64::max);
    longest.max(open.iter().sum::<f64>() / jobs.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(kind: &str, rows: u64, seconds: f64) -> Past {
        Past { kind: kind.into(), rows: Some(rows), seconds: Some(seconds) }
    }

    fn run(units: &[(&str, &str, u64, f64)]) -> HashMap<String, Past> {
        let entry =
            |unit: &(&str, &str, u64, f64)| (unit.0.to_owned(), past(unit.1, unit.2, unit.3));
        units.iter().map(entry).collect()
    }

    fn asked<'a>(name: &str, kind: &'a str, rows: Option<u64>) -> Asked<'a> {
        Asked { name: name.into(), kind, needs: vec![("folds".into(), rows)] }
    }

    #[test]
    fn a_unit_takes_what_it_took_for_as_many_rows() {
        let durations = Durations(vec![
            run(&[("folds", "kfold", 200, 0.1), ("oof[0]", "predict", 40, 4.0)]),
            run(&[("folds", "kfold", 100, 0.1), ("oof[0]", "predict", 20, 2.0)]),
            run(&[("folds", "kfold", 100, 0.1), ("oof[0]", "predict", 20, 20.0)]),
        ]);
        // 4 s for 200 rows, 2 s and 20 s for 100: for 400 rows 8 s, 8 s and 80 s.
        assert_eq!(durations.expected(&asked("oof[0]", "predict", Some(400))), Some(8.0));
        // How many rows there will be is not known: as they were.
        assert_eq!(durations.expected(&asked("oof[0]", "predict", None)), Some(4.0));
    }

    #[test]
    fn what_never_ran_is_like_its_folds_then_like_its_kind() {
        let durations = Durations(vec![run(&[
            ("oof[0]", "predict", 20, 2.0),
            ("oof[1]", "predict", 20, 3.0),
            ("other", "predict", 20, 50.0),
            ("kept", "filter", 20, 0.5),
        ])]);
        assert_eq!(durations.expected(&asked("oof[2]", "predict", None)), Some(2.0));
        assert_eq!(durations.expected(&asked("new", "filter", None)), Some(0.5));
        assert_eq!(durations.expected(&asked("new", "source", None)), None);
        assert_eq!(Durations::default().expected(&asked("oof[2]", "predict", None)), None);
    }

    #[test]
    fn a_run_takes_as_long_as_its_work_on_all_workers_and_as_its_longest_unit() {
        assert_eq!(seconds_left(&[], &[], 2), 0.0);
        assert_eq!(seconds_left(&[(4.0, 1.0)], &[3.0, 4.0], 1), 10.0);
        assert_eq!(seconds_left(&[(4.0, 1.0)], &[3.0, 4.0], 2), 5.0);
        assert_eq!(seconds_left(&[(4.0, 1.0)], &[9.0], 4), 9.0);
        // Late already: the next moment may be the end.
        assert_eq!(seconds_left(&[(4.0, 6.0)], &[], 2), 0.0);
    }
}

//! `sample` and `estimate`: control rows nobody can tell from others, and what they say.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::rows::{ids, measure, text};
use crate::support::{Sandbox, records, reviewer};

const RECORDS: usize = 1200;

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::audit();
    sandbox.write("records.csv", crate::support::to_csv(&records(RECORDS, 7)));
    let nodes = "  control: {kind: sample, input: oof, rows: 120}
  found: {kind: estimate, input: oof, decisions: decided, next: suspicious, budget: 20}
  queue:";
    sandbox.edit("relabel.yaml", "  queue:", nodes);
    sandbox.edit(
        "relabel.yaml",
        "relabel.db'}\n  cleaned",
        "relabel.db', budget: 20, control: control}\n  cleaned",
    );
    sandbox
}

fn review(sandbox: &Sandbox, queue: &[Value]) {
    let truth = reviewer::truth(RECORDS, 7);
    let mut csv = "record_id,review_decision,final_label,reviewed_by,reviewed_at\n".to_owned();
    for item in queue {
        let (id, right) = (text(item, "record_id"), &truth[text(item, "record_id")]);
        let (word, label) = reviewer::verdict(item, right);
        csv.push_str(&format!("{id},{word},{label},ann,2025-03-01T10:00:00Z\n"));
    }
    sandbox.write("decisions.csv", csv);
    sandbox.relabel(&["review", "import", "decisions.csv"]).ok();
}

#[test]
fn control_rows_are_queued_unmarked() {
    let sandbox = sandbox();
    sandbox.run(&[]);
    let (control, queue) = (sandbox.frame("control", &[]), sandbox.frame("queue", &[]));
    assert_eq!(control.len(), 120);
    assert!(ids(&control).is_subset(&ids(&queue)) && queue.len() > 120, "{}", queue.len());
    assert!(queue.len() <= 140);
    let marked = |row: &Value| {
        let words = row.to_string();
        ["control", "lane", "sample"].iter().any(|word| words.contains(word))
    };
    assert!(!queue.iter().any(marked), "{:?}", queue[0]);
    let ranks: Vec<u64> = queue.iter().map(|row| row["rank"].as_u64().unwrap()).collect();
    assert_eq!(ranks, (1..=queue.len() as u64).collect::<Vec<_>>());
    // They stand neither first nor last.
    let drawn = ids(&control);
    let places: Vec<usize> =
        (0..queue.len()).filter(|n| !drawn.contains(text(&queue[*n], "record_id"))).collect();
    assert!(places[0] < 20 && *places.last().unwrap() > queue.len() - 40, "{places:?}");

    let nothing = sandbox.frame("found", &[]);
    assert!(
        text(measure(&nothing, "errors left"), "words").starts_with("no control row is decided")
    );
}

#[test]
fn estimates_hold_the_truth_round_by_round() {
    let sandbox = sandbox();
    sandbox.run(&[]);
    let mut before: BTreeSet<String> = BTreeSet::new();
    let (mut reviewed, mut wrong) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let queue = sandbox.frame("queue", &[]);
        let drawn = ids(&sandbox.frame("control", &[]));
        assert!(before.is_disjoint(&drawn), "a decided control row is drawn again");
        before.extend(drawn);
        review(&sandbox, &queue);
        sandbox.run(&[]);
        let found = sandbox.frame("found", &[]);
        let truth = reviewer::truth(RECORDS, 7);
        let current = sandbox.frame("current", &[]);
        let left = current.iter().filter(|row| text(row, "label") != truth[text(row, "record_id")]);
        let left = left.count() as f64;
        let interval = measure(&found, "errors left");
        let bound = |name: &str| interval[name].as_f64().unwrap();
        assert!(bound("low") <= left && left <= bound("high"), "{left}: {interval}");
        assert!(bound("high") - bound("low") < 150.0, "{interval}");
        let words = text(interval, "words");
        assert!(words.contains(" wrong labels left (") && words.contains("; the next "), "{words}");
        let recall = measure(&found, "recall");
        assert!(recall["low"].as_f64() < recall["high"].as_f64(), "{recall}");
        let lane = measure(&found, "precision of lane `queue`");
        assert!(lane["estimate"].as_f64().unwrap() > 0.5, "{lane}");
        reviewed.push(queue.len());
        let is_wrong = |item: &&Value| text(item, "given_label") != truth[text(item, "record_id")];
        wrong.push(queue.iter().filter(is_wrong).count());
        let rounds = sandbox.frame("found.rounds", &[]);
        let column = |name: &str| -> Vec<usize> {
            rounds.iter().map(|row| row[name].as_u64().unwrap() as usize).collect()
        };
        assert_eq!((column("reviewed"), column("wrong")), (reviewed.clone(), wrong.clone()));
        let last = &rounds[rounds.len() - 1];
        assert_eq!(last["round"], rounds.len());
        assert_eq!(last["reviewed_so_far"], reviewed.iter().sum::<usize>());
        assert_eq!(last["wrong_so_far"], wrong.iter().sum::<usize>());
        let drawn: usize = column("control_rows").iter().sum();
        assert_eq!(
            Some(drawn as f64),
            measure(&found, "control rows decided")["estimate"].as_f64()
        );
    }
    assert_eq!(sandbox.run(&[]).units("run"), [""; 0]);
}

#[test]
fn the_same_records_are_drawn_until_they_are_decided() {
    let sandbox = sandbox();
    sandbox.run(&[]);
    let first = ids(&sandbox.frame("control", &[]));
    let mut rows = records(RECORDS, 7);
    rows.reverse();
    sandbox.write("records.csv", crate::support::to_csv(&rows));
    sandbox.run(&["--select", "+control"]);
    assert_eq!(ids(&sandbox.frame("control", &[])), first, "the order of rows decides nothing");
    sandbox.edit("relabel.yaml", "rows: 120}", "rows: 120, seed: 43}");
    sandbox.run(&["--select", "+control"]);
    let other = ids(&sandbox.frame("control", &[]));
    assert!(other.len() == 120 && other != first);
    sandbox.edit("relabel.yaml", "seed: 43}", "stratify_by: given_lable}");
    sandbox.relabel(&["check"]).code(2).says(&["did you mean `given_label`?"]);
}

//! Gold rows: records whose right label is known, which nobody can tell from others, and which
//! measure reviewers without a say in any label.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::support::rows::{ids, measure, text};
use crate::support::{Record, Sandbox, records, reviewer};

const RECORDS: usize = 400;

/// Every fifth record is in the gold set, a few of them under a wrong label in the source.
fn known() -> Vec<Record> {
    records(RECORDS, 7).into_iter().step_by(5).collect()
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::audit();
    sandbox.write("records.csv", crate::support::to_csv(&records(RECORDS, 7)));
    let gold = known().into_iter().map(|record| format!("{},{}\n", record.id, record.truth));
    sandbox.write("gold.csv", format!("record_id,label\n{}", gold.collect::<String>()));
    let clean = "corrections: decided}";
    sandbox.edit("relabel.yaml", clean, "corrections: decided, gold: known}");
    let nodes = "  known: {kind: source, path: gold.csv, columns: {text: label}}
  control: {kind: sample, input: oof, rows: 30, gold_rows: 40, answered: decided.gold, probabilities: oof.probabilities}
  found: {kind: estimate, input: oof, decisions: decided, gold: decided.gold}
  people: {kind: agreement, input: decided.votes, probabilities: oof.probabilities, gold: decided.gold}
  queue:";
    sandbox.edit("relabel.yaml", "  queue:", nodes);
    let queue = "relabel.db'}\n  cleaned";
    let wired = "relabel.db', control: control, gold: control.gold}\n  cleaned";
    sandbox.edit("relabel.yaml", queue, wired);
    sandbox
}

/// Ann knows the truth; bo takes every proposal but for gold rows, where he says `other`.
fn review(sandbox: &Sandbox, queue: &[Value], gold: &BTreeSet<String>) {
    let truth = reviewer::truth(RECORDS, 7);
    let mut csv = "record_id,review_decision,final_label,reviewed_by,reviewed_at\n".to_owned();
    for item in queue {
        let id = text(item, "record_id");
        let (word, label) = reviewer::verdict(item, &truth[id]);
        csv.push_str(&format!("{id},{word},{label},ann,2025-03-01T10:00:00Z\n"));
        if gold.contains(id) {
            csv.push_str(&format!("{id},invalid,,bo,2025-03-01T11:00:00Z\n"));
        }
    }
    sandbox.write("decisions.csv", csv);
    sandbox.relabel(&["review", "import", "decisions.csv"]).ok();
}

#[test]
fn gold_rows_look_like_any_other() {
    let sandbox = sandbox();
    sandbox.run(&[]);
    let (gold, queue) = (sandbox.frame("control.gold", &[]), sandbox.frame("queue", &[]));
    assert_eq!(gold.len(), 40);
    assert!(ids(&gold).is_subset(&ids(&queue)));
    assert!(ids(&gold).is_disjoint(&ids(&sandbox.frame("suspicious", &[]))));
    assert!(ids(&gold).is_disjoint(&ids(&sandbox.frame("control", &[]))), "their labels are known");

    // A label that the gold set changed is shown as it was, with the confidence it had.
    let source: BTreeMap<String, Record> =
        records(RECORDS, 7).into_iter().map(|record| (record.id.clone(), record)).collect();
    let mut changed = 0;
    for item in &queue {
        let record = &source[text(item, "record_id")];
        assert_eq!(text(item, "given_label"), record.label);
        assert_eq!(text(item, "given_label"), text(item, "original_label"));
        let told = format!(", given label `{}` has ", record.label);
        assert!(text(item, "reasons").contains(&told), "{item}");
        changed += usize::from(ids(&gold).contains(&record.id) && record.label != record.truth);
        let words = item.to_string();
        assert!(!["gold", "control", "right"].iter().any(|word| words.contains(word)), "{words}");
    }
    assert!(changed > 1, "{changed}");
    // Neither first nor last.
    let places: Vec<usize> =
        (0..queue.len()).filter(|n| ids(&gold).contains(text(&queue[*n], "record_id"))).collect();
    assert!(places[0] < queue.len() / 2 && places[39] > queue.len() / 2, "{places:?}");
}

#[test]
fn an_answer_measures_its_reviewer_and_changes_no_label() {
    let sandbox = sandbox();
    sandbox.run(&[]);
    let exported = sandbox.read("out/cleaned.csv");
    for record in known() {
        let row = exported.lines().find(|line| line.starts_with(&record.id)).unwrap();
        assert!(row.contains(&record.truth) && row.contains("gold"), "{row}");
    }
    let gold = ids(&sandbox.frame("control.gold", &[]));
    let queue: Vec<Value> = sandbox.frame("queue", &[]);
    let golden: Vec<Value> =
        queue.iter().filter(|item| gold.contains(text(item, "record_id"))).cloned().collect();
    review(&sandbox, &golden, &gold);
    sandbox.run(&[]);
    assert_eq!(sandbox.read("out/cleaned.csv"), exported, "not a byte");
    assert!(sandbox.frame("decided", &[]).is_empty());

    let found = sandbox.frame("found", &[]);
    let number = |name: &str, column: &str| measure(&found, name)[column].as_f64().unwrap();
    assert_eq!(number("accuracy of reviewer `ann`", "estimate"), 1.0);
    assert!(number("accuracy of reviewer `ann`", "low") > 0.9);
    assert_eq!(number("accuracy of reviewer `bo`", "estimate"), 0.0);
    assert_eq!(number("accuracy of reviewers on gold rows", "estimate"), 0.5);
    assert_eq!(number("wrong labels that reviewers see, on gold rows", "estimate"), 1.0);
    assert_eq!(number("right labels that reviewers leave, on gold rows", "estimate"), 0.5);
    assert_eq!(number("records verified", "estimate"), 0.0);
    assert_eq!(number("records", "estimate"), (RECORDS - known().len()) as f64);
    let people = sandbox.frame("people.reviewers", &[]);
    let ann = people.iter().find(|row| text(row, "reviewed_by") == "ann").unwrap();
    assert_eq!((&ann["gold_rows"], &ann["gold_accuracy"]), (&40.into(), &1.0.into()));

    // Nobody is asked twice: what is left of the gold set comes next, and then nothing.
    let next = ids(&sandbox.frame("control.gold", &[]));
    assert!(next.is_disjoint(&gold) && next.len() == known().len() - 40, "{}", next.len());
    assert_eq!(sandbox.run(&[]).units("run"), [""; 0]);
}

#[test]
fn records_that_were_verified_can_be_gold() {
    let sandbox = sandbox();
    sandbox.edit("relabel.yaml", ", gold: known}", "}");
    sandbox.edit("relabel.yaml", "gold_rows: 40,", "gold_rows: 40, gold_from: verified,");
    sandbox.run(&[]);
    assert!(sandbox.frame("control.gold", &[]).is_empty(), "nothing is verified yet");
    let first = sandbox.frame("queue", &[]);
    review(&sandbox, &first, &BTreeSet::new());
    sandbox.run(&[]);
    let exported = sandbox.read("out/cleaned.csv");
    let gold = sandbox.frame("control.gold", &[]);
    assert!(gold.len() > 20 && ids(&gold).is_subset(&ids(&first)));
    // Corrected labels are as they were when they were first asked about.
    let before: BTreeMap<&str, &Value> =
        first.iter().map(|item| (text(item, "record_id"), item)).collect();
    for item in sandbox.frame("queue", &[]) {
        if let Some(before) = before.get(text(&item, "record_id")) {
            assert_eq!(item["given_label"], before["given_label"]);
        }
    }
    let queue: Vec<Value> = sandbox.frame("queue", &[]);
    let golden: Vec<Value> =
        queue.into_iter().filter(|item| ids(&gold).contains(text(item, "record_id"))).collect();
    let mut csv = "record_id,review_decision,reviewed_by,reviewed_at\n".to_owned();
    for item in &golden {
        let id = text(item, "record_id");
        csv.push_str(&format!("{id},accept,bo,2025-03-02T10:00:00Z\n"));
        csv.push_str(&format!("{id},keep,ann,2025-03-02T11:00:00Z\n"));
    }
    sandbox.write("decisions.csv", csv);
    sandbox.relabel(&["review", "import", "decisions.csv"]).ok();
    sandbox.run(&[]);
    assert_eq!(sandbox.read("out/cleaned.csv"), exported);
    let found = sandbox.frame("found", &[]);
    let bo = measure(&found, "accuracy of reviewer `bo`");
    let truth = reviewer::truth(RECORDS, 7);
    let right = golden.iter().filter(|i| text(i, "proposed_label") == truth[text(i, "record_id")]);
    let share = right.count() as f64 / golden.len() as f64;
    assert!((bo["estimate"].as_f64().unwrap() - share).abs() < 1e-9, "{bo} {share}");
    // Ann would be measured by her own decisions.
    assert!(!found.iter().any(|row| text(row, "measure").contains("ann")), "{found:?}");
    // As second votes they count for agreement.
    let shared = sandbox.frame("people", &[]);
    assert_eq!(shared.iter().filter(|row| row["votes"] == 2).count(), golden.len());
}

#[test]
fn what_gold_rows_need_is_told_before_anything_runs() {
    let sandbox = sandbox();
    sandbox.edit("relabel.yaml", " answered: decided.gold,", "");
    let told = "`gold_rows` needs `answered`, or the same rows would be asked for ever";
    sandbox.relabel(&["check"]).code(2).says(&[told, "name the port `gold`", "relabel.yaml:"]);

    let sandbox = Sandbox::audit();
    sandbox.edit("relabel.yaml", "corrections: decided}", "corrections: decided, gold: known}");
    sandbox.edit(
        "relabel.yaml",
        "  queue:",
        "  known: {kind: source, path: gold.csv, columns: {text: label}}\n  queue:",
    );
    sandbox.write("gold.csv", "record_id,label\nr0001,account\nr0002,\nnobody,billing\n");
    let told = "gold records without one right label: `r0002`";
    sandbox.relabel(&["run"]).code(1).says(&[told]);
    sandbox.write("gold.csv", "record_id,label\nr0001,account\nnobody,billing\n");
    sandbox.relabel(&["run"]).ok().says(&["1 records of the gold set are not in the source"]);
}

//! The loop that the product exists for: audit, review, import, run again.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::rows::text;
use crate::support::{Record, Sandbox, records, to_csv};

const HEADER: &str = "record_id,review_decision,final_label,reviewed_by,reviewed_at,note\n";

fn truth() -> BTreeMap<String, Record> {
    records(300, 7).into_iter().map(|record| (record.id.clone(), record)).collect()
}

/// One decision for each queued item, by the truth.
fn decide(queue: &[Value]) -> String {
    let truth = truth();
    let mut csv = HEADER.to_owned();
    for (n, item) in queue.iter().enumerate() {
        let right = &truth[text(item, "record_id")].truth;
        let (decision, label) = if text(item, "proposed_label") == right {
            ("accept", "")
        } else if text(item, "given_label") == right {
            ("keep", "")
        } else {
            ("other", right.as_str())
        };
        let (id, minute) = (text(item, "record_id"), n % 60);
        csv.push_str(&format!("{id},{decision},{label},ann,2025-03-01T10:{minute:02}:00Z,\n"));
    }
    csv
}

/// Rows of a CSV without quotes, by record id.
fn by_id(csv: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut lines = csv.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = lines.next().unwrap();
    let row = |cells: Vec<&str>| -> BTreeMap<String, String> {
        header.iter().zip(cells).map(|(name, cell)| ((*name).into(), cell.into())).collect()
    };
    lines.map(row).map(|row| (row["record_id"].clone(), row)).collect()
}

/// A sandbox after an audit, with its queue.
fn audited() -> (Sandbox, Vec<Value>) {
    let sandbox = Sandbox::audit();
    sandbox.run(&[]);
    let queue = sandbox.frame("queue", &[]);
    assert!(queue.len() > 15, "{queue:?}");
    (sandbox, queue)
}

fn import(sandbox: &Sandbox, csv: &str) -> Value {
    sandbox.write("decisions.csv", csv);
    sandbox.relabel(&["review", "import", "decisions.csv", "--format", "json"]).ok().json()
}

#[test]
fn the_cleaned_export_has_exactly_the_accepted_corrections() {
    let (sandbox, queue) = audited();
    let source = sandbox.read("records.csv");
    let before = by_id(&source);
    let decisions = decide(&queue);
    let imported = import(&sandbox, &decisions);
    assert_eq!(imported["recorded"], queue.len());

    let events = sandbox.run(&[]);
    assert_eq!(events.units("hit"), ["records", "valid"]);
    assert_eq!(events.reason("decided"), "ledger-changed");
    assert_eq!(sandbox.read("records.csv"), source, "the source is not ours to change");

    let cleaned = by_id(&sandbox.read("out/cleaned.csv"));
    assert_eq!(cleaned.len(), before.len());
    let decided = by_id(&decisions);
    let mut corrected = 0;
    for (id, row) in &cleaned {
        let original = &before[id]["label"];
        assert_eq!(&row["original_label"], original);
        assert_eq!(row["text"], before[id]["text"]);
        let word = decided.get(id).map(|decision| decision["review_decision"].as_str());
        let (label, source) = match word {
            Some("accept" | "other") => (&truth()[id].truth, "correction"),
            Some("keep") => (original, "verified"),
            _ => (original, "original"),
        };
        assert_eq!((&row["label"], row["label_source"].as_str()), (label, source), "{id}");
        corrected += usize::from(source == "correction");
    }
    assert!(corrected > 15, "{corrected}");
    let manifest: Value =
        serde_json::from_str(&sandbox.read("out/cleaned.csv.manifest.json")).unwrap();
    assert_eq!(manifest["rows"], 300);
    assert_eq!(manifest["label_sources"]["correction"], corrected);
}

#[test]
fn verified_records_are_not_queued_again() {
    let (sandbox, queue) = audited();
    import(&sandbox, &decide(&queue));
    sandbox.run(&[]);
    let ids = |queue: &[Value]| -> Vec<String> {
        queue.iter().map(|item| text(item, "record_id").to_owned()).collect()
    };
    let first = ids(&queue);
    let second = ids(&sandbox.frame("queue", &[]));
    assert!(second.iter().all(|id| !first.contains(id)), "{second:?}");
    assert_eq!(sandbox.run(&[]).units("run"), [""; 0], "the loop has come to rest");
}

#[test]
fn imported_twice_is_recorded_once() {
    let (sandbox, queue) = audited();
    let decisions = decide(&queue);
    let first = import(&sandbox, &decisions);
    let again = import(&sandbox, &decisions);
    assert_eq!((&again["recorded"], &again["already_there"]), (&0.into(), &first["recorded"]));
    assert_eq!(again["ledger_head"], first["ledger_head"]);
}

#[test]
fn a_bad_file_is_refused_whole() {
    let (sandbox, queue) = audited();
    let good = decide(&queue);
    let bad = format!(
        "{good}r0001,acept,,ann,2025-03-01T10:00:00Z,\n\
         r0002,keep,,ann,yesterday,\nr0003,keep,,,2025-03-01T10:00:00Z,\nr0004,keep\n"
    );
    sandbox.write("bad.csv", &bad);
    let line = good.lines().count();
    let outcome = sandbox.relabel(&["review", "import", "bad.csv"]).code(2);
    outcome.says(&[
        "`bad.csv` was not imported, nothing was recorded",
        &format!("line {}: unknown decision `acept`; did you mean `accept`?", line + 1),
        &format!("line {}: `reviewed_at` is `yesterday`", line + 2),
        &format!("line {}: `reviewed_by` is empty", line + 3),
        &format!("line {}: the row has 2 fields, the header 6", line + 4),
    ]);
    let unknown = format!("{HEADER}nobody,accept,,ann,2025-03-01T10:00:00Z,\n");
    sandbox.write("bad.csv", format!("{good}{}", unknown.replace(HEADER, "")));
    let outcome = sandbox.relabel(&["review", "import", "bad.csv"]).code(2);
    outcome.says(&["nothing was recorded", &format!("line {}", line + 1), "`nobody`"]);
    let no_label = good.replacen(",accept,", ",other,", 1);
    sandbox.write("bad.csv", no_label);
    let outcome = sandbox.relabel(&["review", "import", "bad.csv"]).code(2);
    outcome.says(&["nothing was recorded", "`other` needs a final label"]);
    let exported = sandbox.relabel(&["review", "export"]).ok();
    assert_eq!(exported.stdout.lines().count(), 1, "only a header: {}", exported.stdout);
    assert_eq!(sandbox.run(&[]).units("run"), [""; 0]);
}

#[test]
fn a_decision_on_a_text_that_changed_is_a_conflict() {
    let (sandbox, queue) = audited();
    let decisions = decide(&queue);
    import(&sandbox, &decisions);
    let decided = by_id(&decisions);
    let accepted = |word: &&BTreeMap<String, String>| word["review_decision"] == "accept";
    let ids: Vec<&String> =
        decided.values().filter(accepted).map(|row| &row["record_id"]).take(3).collect();
    let mut rows = records(300, 7);
    rows.retain(|record| &record.id != ids[2]);
    for record in &mut rows {
        if &record.id == ids[0] {
            record.text.push_str(" and more");
        } else if &record.id == ids[1] {
            record.label = record.truth.clone();
        }
    }
    sandbox.write("records.csv", to_csv(&rows));
    let events = sandbox.run(&[]);
    assert_eq!(events.warnings("current"), ["3 decisions were not applied"]);
    let mut conflicts: Vec<(String, String)> = sandbox
        .frame("current.conflicts", &[])
        .iter()
        .map(|row| (text(row, "record_id").to_owned(), text(row, "reason").to_owned()))
        .collect();
    conflicts.sort();
    let mut expected = vec![
        (ids[0].clone(), "the text has changed since the decision".to_owned()),
        (ids[1].clone(), "the original label has changed since the decision".to_owned()),
        (ids[2].clone(), "the record is not in the source".to_owned()),
    ];
    expected.sort();
    assert_eq!(conflicts, expected);
    let cleaned = by_id(&sandbox.read("out/cleaned.csv"));
    assert_eq!(cleaned[ids[0]]["label"], cleaned[ids[0]]["original_label"]);
    assert_eq!(cleaned[ids[0]]["label_source"], "original");
}

#[test]
fn a_later_decision_takes_the_place_of_an_earlier_one() {
    let (sandbox, queue) = audited();
    let item = &queue[0];
    let (id, given) = (text(item, "record_id"), text(item, "given_label"));
    import(&sandbox, &format!("{HEADER}{id},accept,,ann,2025-03-01T10:00:00Z,\n"));
    import(&sandbox, &format!("{HEADER}{id},keep,,bo,2025-03-02T10:00:00Z,looked again\n"));
    sandbox.run(&[]);
    let cleaned = by_id(&sandbox.read("out/cleaned.csv"));
    assert_eq!((cleaned[id]["label"].as_str(), &*cleaned[id]["label_source"]), (given, "verified"));
    let current = sandbox.relabel(&["review", "export"]).ok();
    assert_eq!(current.stdout.lines().count(), 2, "{}", current.stdout);
    let history = sandbox.relabel(&["review", "export", "--history"]).ok();
    assert_eq!(history.stdout.lines().count(), 3, "{}", history.stdout);
    sandbox.relabel(&["review", "verify"]).ok();
}

#[test]
fn decisions_move_from_store_to_store() {
    let (sandbox, queue) = audited();
    import(&sandbox, &decide(&queue));
    sandbox.relabel(&["review", "export", "all.csv"]).ok();
    let other = Sandbox::audit();
    other.run(&[]);
    let imported = import(&other, &sandbox.read("all.csv"));
    assert_eq!(imported["recorded"], queue.len());
    sandbox.run(&["--select", "cleaned"]);
    other.run(&["--select", "cleaned"]);
    let labels = |sandbox: &Sandbox| -> Vec<String> {
        by_id(&sandbox.read("out/cleaned.csv")).values().map(|row| row["label"].clone()).collect()
    };
    assert_eq!(labels(&sandbox), labels(&other));
}

#[test]
fn status_counts_what_is_open_and_decided() {
    let (sandbox, queue) = audited();
    let status = || sandbox.relabel(&["review", "status", "--format", "json"]).ok().json();
    let before = status();
    assert_eq!(before["queues"][0]["queue"], "audit/queue");
    assert_eq!(before["queues"][0]["open"], queue.len());
    let decisions = decide(&queue);
    let some: Vec<&str> = decisions.lines().take(6).collect();
    import(&sandbox, &(some.join("\n") + "\n"));
    let after = status();
    assert_eq!(after["queues"][0]["open"], queue.len() - 5);
    assert_eq!(after["queues"][0]["decided"], 5);
    assert_eq!(after["queues"][0]["reviewers"][0]["reviewed_by"], "ann");
    let text = sandbox.relabel(&["review", "status"]).ok();
    assert!(text.out().contains("audit/queue: 5 decided by ann"), "{}", text.out());
}

#[test]
fn a_store_that_is_none() {
    let sandbox = Sandbox::audit();
    let outcome = sandbox.relabel(&["review", "status"]).code(3);
    outcome.says(&["there is no review store at `sqlite:relabel.db` yet", "`review-queue` node"]);
    sandbox.write("relabel.db", "this is no database, it is a text of some length\n".repeat(40));
    let (_, outcome) = sandbox.run_to_end(&[]);
    let outcome = outcome.code(3);
    assert!(outcome.stdout.contains("is not a database"), "{}", outcome.stdout);
    sandbox.relabel(&["review", "status", "--store", "mysql:x"]).code(3);
    assert!(sandbox.read("relabel.db").starts_with("this is no database"), "left as it was");
}

#[test]
fn an_invalid_record_loses_its_label_and_an_unsure_one_keeps_it() {
    let (sandbox, queue) = audited();
    let (one, two) = (text(&queue[0], "record_id"), text(&queue[1], "record_id"));
    let csv = format!(
        "{HEADER}{one},invalid,,ann,2025-03-01T10:00:00Z,\n{two},unsure,,ann,2025-03-01T10:00:00Z,\n"
    );
    import(&sandbox, &csv);
    sandbox.run(&[]);
    let cleaned = by_id(&sandbox.read("out/cleaned.csv"));
    assert_eq!((&*cleaned[one]["label"], &*cleaned[one]["label_source"]), ("", "invalid"));
    assert_eq!(cleaned[two]["label"], cleaned[two]["original_label"]);
}
